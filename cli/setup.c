/* SPDX-License-Identifier: MIT */
/* The set-up a command works on, and the PIN asked on a terminal. */
#include "cli/cli.h"

#include "lib/token/pin.h"

struct sck_open
sck_cli_how(const struct sck_cli *cli)
{
    return (struct sck_open){
        .conf_path = cli->conf_path, .use_env = true, .auto_provision = true, .ask_pin = sck_cli_ask_pin};
}

enum sck_code
sck_cli_open(struct sck_cli *cli, struct sck_err *err)
{
    if (cli->service != NULL)
        return SCK_OK;
    const struct sck_open how = sck_cli_how(cli);
    return sck_service_open(&how, &cli->service, err);
}

static enum sck_code
prompt(const char *text, bool again, struct sck_secret **pin, struct sck_err *err)
{
    struct sck_pin_sources sources = {.fd = -1, .prompt = true, .prompt_text = text};
    return sck_pin_from_sources(&sources, again, pin, err);
}

enum sck_code
sck_cli_ask_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    (void)arg;
    return prompt("PIN of the Scopekey token", again, pin, err);
}

/* A new PIN and the same once more. */
static enum sck_code
prompt_twice(bool again, struct sck_secret **pin, struct sck_err *err)
{
    struct sck_secret *first = NULL, *second = NULL;
    enum sck_code code = prompt("PIN for the token", again, &first, err);
    if (code == SCK_OK)
        code = prompt("The same PIN again", false, &second, err);
    if (code == SCK_OK && (first->len != second->len || !sck_ct_equal(first->data, second->data, first->len)))
        code = sck_fail(err, SCK_E_USAGE, "the two PINs differ: nothing was made");
    if (code == SCK_OK) {
        *pin = first;
        first = NULL;
    }
    sck_secret_free(&first);
    sck_secret_free(&second);
    return code;
}

enum sck_code
sck_cli_ask_once(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    struct sck_pin_answer *answer = arg;
    enum sck_code code = SCK_OK;
    if (again)
        sck_secret_free(&answer->pin);
    if (answer->pin == NULL)
        code = answer->is_new ? prompt_twice(again, &answer->pin, err)
                              : sck_cli_ask_pin(NULL, again, &answer->pin, err);
    return code != SCK_OK ? code : sck_secret_dup(answer->pin, pin, err);
}
