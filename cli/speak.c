/* SPDX-License-Identifier: MIT */
/* How commands speak: lines for people, JSON objects for programs, exit status for both. */
#include "cli/cli.h"

#include "lib/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum sck_exit
sck_cli_exit(enum sck_code code)
{
    switch (code) {
    case SCK_OK:            return SCK_EXIT_DONE;
    case SCK_E_USAGE:       return SCK_EXIT_USAGE;
    case SCK_E_IO:          return SCK_EXIT_IO;
    case SCK_E_EXISTS:      return SCK_EXIT_IO;
    case SCK_E_MEMORY:      return SCK_EXIT_IO;
    case SCK_E_AUTHENTIC:   return SCK_EXIT_AUTHENTIC;
    case SCK_E_CONTEXT:     return SCK_EXIT_AUTHENTIC;
    case SCK_E_NOT_FOUND:   return SCK_EXIT_KEY;
    case SCK_E_STATE:       return SCK_EXIT_KEY;
    case SCK_E_CREDENTIAL:  return SCK_EXIT_KEEPER;
    case SCK_E_CONNECT:     return SCK_EXIT_KEEPER;
    case SCK_E_TOKEN:       return SCK_EXIT_KEEPER;
    case SCK_E_UNSUPPORTED: return SCK_EXIT_KEEPER;
    case SCK_E_INTERNAL:    return SCK_EXIT_KEEPER;
    case SCK_E_BUSY:        return SCK_EXIT_BUSY;
    case SCK_E_CANCELLED:   return SCK_EXIT_BUSY;
    case SCK_E_ERASED:      return SCK_EXIT_ERASED;
    case SCK_E_CONFIG:      return SCK_EXIT_CONFIG;
    case SCK_E_INTEGRITY:   return SCK_EXIT_INTEGRITY;
    case SCK_E_DENIED:      return SCK_EXIT_DENIED;
    }
    return SCK_EXIT_KEEPER;
}

enum sck_code
sck_cli_print_json(FILE *stream, json_t *object, struct sck_err *err)
{
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (text == NULL)
        return sck_fail(err, SCK_E_MEMORY, "print JSON: out of memory");
    enum sck_code code = SCK_OK;
    if (fprintf(stream, "%s\n", text) < 0)
        code = sck_fail_errno(err, SCK_E_IO, errno, "print JSON");
    free(text);
    return code;
}

json_t *
sck_cli_json_time(int64_t unix_s)
{
    char text[SCK_TIME_TEXT];
    if (unix_s == 0)
        return json_null();
    sck_time_format(unix_s, text);
    return json_string(text);
}

void
sck_cli_print_error(const struct sck_cli *cli, const struct sck_err *err)
{
    (void)fflush(stdout);
    if (cli->globals.json) {
        struct sck_err none = SCK_ERR_INIT;
        json_t *o = json_pack("{s:s%, s:s, s:i}", "error", err->message, strlen(err->message), "code",
                              sck_code_name(err->code), "exit", (int)sck_cli_exit(err->code));
        if (sck_cli_print_json(stderr, o, &none) == SCK_OK)
            return;
    }
    (void)fprintf(stderr, "scopekey: %s\n", err->message);
}

void
sck_cli_progress(void *arg, const char *line)
{
    const struct sck_cli *cli = arg;
    if (!cli->globals.json && !cli->globals.quiet)
        (void)printf("%s\n", line);
}
