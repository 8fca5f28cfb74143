/* SPDX-License-Identifier: MIT */
/* `--help`: examples first, then what there is.  And the tables as lines, for tests/check. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void
print_indented(const char *lines)
{
    for (const char *line = lines; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        (void)printf("  %.*s\n", (int)len, line);
        line += len + (line[len] == '\n' ? 1 : 0);
    }
}

static void
print_wrapped(const char *text, size_t indent, size_t column)
{
    size_t at = column;
    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " \n");
        if (at > indent && at + 1 + len > 96) {
            (void)printf("\n%*s", (int)indent, "");
            at = indent;
        } else if (at > indent) {
            (void)putchar(' ');
            at++;
        }
        (void)printf("%.*s", (int)len, word);
        at += len;
        word += len;
        word += strspn(word, " \n");
    }
    (void)putchar('\n');
}

#define HELP_COLUMN 34

static void
print_options(const struct sck_option *table)
{
    for (const struct sck_option *o = table; o->name != NULL; o++) {
        if (o->help == NULL)
            continue;
        char left[80];
        int n = snprintf(left, sizeof left, "  %c%c%c --%s%s%s", o->letter != '\0' ? '-' : ' ',
                         o->letter != '\0' ? o->letter : ' ', o->letter != '\0' ? ',' : ' ', o->name,
                         o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
        (void)printf("%s", left);
        if (n >= HELP_COLUMN - 1)
            (void)printf("\n%*s", HELP_COLUMN, "");
        else
            (void)printf("%*s", HELP_COLUMN - n, "");
        print_wrapped(o->help, HELP_COLUMN, HELP_COLUMN);
        if (o->word_at == NULL)
            continue;
        struct sck_buf words;
        sck_buf_init(&words, 1024);
        for (size_t i = 0; o->word_at(i) != NULL; i++)
            sck_buf_printf(&words, "%s%s", i > 0 ? ", " : "(", o->word_at(i));
        sck_buf_put_str(&words, ")");
        (void)printf("%*s", HELP_COLUMN, "");
        print_wrapped(sck_buf_str(&words), HELP_COLUMN, HELP_COLUMN);
        sck_buf_clear(&words);
    }
}

static void
print_command(const struct sck_command *c)
{
    (void)printf("scopekey %s: %s\n\nExamples:\n", c->name, c->summary);
    print_indented(c->examples);
    (void)printf("\nUsage: scopekey %s%s%s [options]\n", c->name, c->operands[0] != '\0' ? " " : "", c->operands);
    if (c->details != NULL) {
        (void)putchar('\n');
        print_wrapped(c->details, 0, 0);
    }
    if (c->options->name != NULL) {
        (void)printf("\nOptions:\n");
        print_options(c->options);
    }
    (void)printf("\nOptions of every command:\n");
    print_options(sck_cli_globals);
}

/* The commands of a group, or all. */
static void
print_commands(const char *group)
{
    size_t len = group != NULL ? strlen(group) : 0;
    for (size_t i = 0; sck_cli_commands[i] != NULL; i++) {
        const struct sck_command *c = sck_cli_commands[i];
        if (c->hidden || (group != NULL && (strncmp(c->name, group, len) != 0 || c->name[len] != ' ')))
            continue;
        (void)printf("  %-16s %s\n", c->name, c->summary);
    }
}

static void
print_overview(void)
{
    (void)printf("scopekey: keys that belong to a person or a file, in a PKCS#11 token, with erasure that can be "
                 "proved\n\nExamples:\n"
                 "  scopekey init --pin-file pin.txt\n"
                 "  scopekey key create scopekey:subject/alice/tls --algorithm ec-p256\n"
                 "  scopekey encrypt --subject alice letter.txt -o letter.sk\n"
                 "  scopekey erase subject/alice\n"
                 "\nUsage: scopekey COMMAND [options]\n"
                 "\nCommands (`scopekey COMMAND --help` says more):\n");
    print_commands(NULL);
    (void)printf("\nOptions of every command:\n");
    print_options(sck_cli_globals);
    (void)printf("\nExit status: 0 done, 1 usage, 2 input or output, 3 altered or cut, 4 wrong or missing key,\n"
                 "5 keeper or token, 7 busy, 8 erased, 9 doctor found problems, 10 configuration, 11 integrity,\n"
                 "12 not permitted.  Manual: scopekey(1), scopekey.conf(5), scopekey-uri(7).\n");
}

void
sck_cli_help(const struct sck_parsed *parsed)
{
    if (parsed->command != NULL) {
        print_command(parsed->command);
    } else if (parsed->group != NULL) {
        (void)printf("Usage: scopekey %s COMMAND [options]\n\nCommands:\n", parsed->group);
        print_commands(parsed->group);
    } else {
        print_overview();
    }
}

static void
dump_options(const char *command, const struct sck_option *table)
{
    for (const struct sck_option *o = table; o->name != NULL; o++) {
        if (o->help != NULL)
            (void)printf("option\t%s\t--%s\t%c%c\n", command, o->name, o->letter != '\0' ? '-' : ' ',
                         o->letter != '\0' ? o->letter : ' ');
    }
}

void
sck_cli_dump(void)
{
    dump_options("-", sck_cli_globals);
    for (size_t i = 0; sck_cli_commands[i] != NULL; i++) {
        const struct sck_command *c = sck_cli_commands[i];
        if (c->hidden)
            continue;
        (void)printf("command\t%s\n", c->name);
        dump_options(c->name, c->options);
    }
}
