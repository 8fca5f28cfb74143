/* SPDX-License-Identifier: MIT */
/* The option parser: what it takes, and word for word what it says of what it does not take. */
#include "cli/nearest.h"
#include "cli/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct globals {
    bool help;
    bool json;
    const char *home;
};

struct values {
    bool force;
    const char *output;
    const char *kind;
    int64_t count;
    int64_t size;
    int64_t when;
};

static const char *
kinds(size_t index)
{
    static const char *const words[] = {"ec-p256", "aes-256"};
    return index < 2 ? words[index] : NULL;
}

static const struct sck_option globals_table[] = {
    {'h', "help", SCK_OPTION_FLAG, offsetof(struct globals, help), NULL, "help", NULL, 0, 0},
    {'j', "json", SCK_OPTION_FLAG, offsetof(struct globals, json), NULL, "json", NULL, 0, 0},
    {'\0', "home", SCK_OPTION_DIR, offsetof(struct globals, home), "DIR", "home", NULL, 0, 0},
    {0},
};

static const struct sck_option make_table[] = {
    {'f', "force", SCK_OPTION_FLAG, offsetof(struct values, force), NULL, "force", NULL, 0, 0},
    {'o', "output", SCK_OPTION_FILE, offsetof(struct values, output), "FILE", "output", NULL, 0, 0},
    {'k', "kind", SCK_OPTION_WORD, offsetof(struct values, kind), "KIND", "kind", kinds, 0, 0},
    {'n', "count", SCK_OPTION_NUMBER, offsetof(struct values, count), "N", "count", NULL, 1, 100},
    {'s', "size", SCK_OPTION_SIZE, offsetof(struct values, size), "SIZE", "size", NULL, 4096, 67108864},
    {'w', "when", SCK_OPTION_TIME, offsetof(struct values, when), "TIME", "when", NULL, 0, 0},
    {0},
};

static enum sck_code
nothing(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)cli;
    (void)values;
    (void)operands;
    (void)count;
    (void)err;
    return SCK_OK;
}

static const struct sck_command make = {
    .name = "key make", .summary = "", .operands = "URI", .examples = "", .min_operands = 1, .max_operands = 2,
    .options = make_table, .values_size = sizeof(struct values), .run = nothing,
};
static const struct sck_command list = {
    .name = "list", .summary = "", .operands = "", .examples = "", .options = make_table,
    .values_size = sizeof(struct values), .run = nothing,
};
static const struct sck_command secret = {
    .name = "__secret", .summary = "", .operands = "", .examples = "", .options = make_table,
    .values_size = sizeof(struct values), .hidden = true, .run = nothing,
};
static const struct sck_command *const commands[] = {&make, &list, &secret, NULL};

#define WORDS 40

struct run {
    struct globals globals;
    struct sck_parsed parsed;
    struct sck_err err;
    enum sck_code code;
    char line[512];
};

/* Parse a line that is cut at blanks ("''" stands for an empty word). */
static void
parse(struct run *r, const char *line)
{
    char *argv[WORDS];
    int argc = 0;
    static char empty[] = "";
    memset(r, 0, sizeof *r);
    assert_true(strlen(line) < sizeof r->line);
    strcpy(r->line, line);
    for (char *save = NULL, *w = strtok_r(r->line, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        assert_true(argc < WORDS);
        argv[argc++] = strcmp(w, "''") == 0 ? empty : w;
    }
    r->code = sck_option_parse(commands, globals_table, &r->globals, &r->globals.help, argc, argv, &r->parsed, &r->err);
}

static void
done(struct run *r)
{
    free(r->parsed.values);
}

static void
refused(const char *line, const char *message)
{
    struct run r;
    parse(&r, line);
    assert_int_equal(r.code, SCK_E_USAGE);
    assert_int_equal(r.err.code, SCK_E_USAGE);
    assert_string_equal(r.err.message, message);
    done(&r);
}

static void
takes_every_spelling(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "key make u -f -o out -k aes-256 -n 7 -s 8K -w 2026-11-22T12:00:00Z -j",
        "key make --force --output out --kind aes-256 --count 7 --size 8192 --when 2026-11-22T12:00:00Z --json u",
        "--json key make --output=out --kind=aes-256 --count=7 --size=8K --when=2026-11-22T12:00:00Z -f u",
        "-j key make -foout -kaes-256 -n7 -s8K -w2026-11-22T12:00:00Z -- u",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct run r;
        parse(&r, lines[i]);
        assert_int_equal(r.code, SCK_OK);
        assert_ptr_equal(r.parsed.command, &make);
        assert_int_equal(r.parsed.count, 1);
        assert_string_equal(r.parsed.operands[0], "u");
        const struct values *v = r.parsed.values;
        assert_true(v->force);
        assert_string_equal(v->output, "out");
        assert_string_equal(v->kind, "aes-256");
        assert_int_equal(v->count, 7);
        assert_int_equal(v->size, 8192);
        assert_int_equal(v->when, 1795348800);
        assert_true(r.globals.json);
        assert_false(r.globals.help);
        done(&r);
    }
}

static void
leaves_out_what_is_not_given(void **state)
{
    (void)state;
    struct run r;
    parse(&r, "list");
    assert_int_equal(r.code, SCK_OK);
    const struct values *v = r.parsed.values;
    assert_false(v->force);
    assert_null(v->output);
    assert_int_equal(v->count, 0);
    assert_null(r.globals.home);
    done(&r);
}

static void
takes_dashes_as_operands(void **state)
{
    (void)state;
    struct run r;
    parse(&r, "key make - -o -");
    assert_int_equal(r.code, SCK_OK);
    assert_string_equal(r.parsed.operands[0], "-");
    assert_string_equal(((const struct values *)r.parsed.values)->output, "-");
    done(&r);
    parse(&r, "key make -- --force -o");
    assert_int_equal(r.code, SCK_OK);
    assert_int_equal(r.parsed.count, 2);
    assert_string_equal(r.parsed.operands[0], "--force");
    assert_string_equal(r.parsed.operands[1], "-o");
    assert_false(((const struct values *)r.parsed.values)->force);
    done(&r);
}

static void
names_groups(void **state)
{
    (void)state;
    struct run r;
    parse(&r, "key");
    assert_int_equal(r.code, SCK_OK);
    assert_null(r.parsed.command);
    assert_string_equal(r.parsed.group, "key");
    done(&r);
    parse(&r, "");
    assert_int_equal(r.code, SCK_OK);
    assert_null(r.parsed.command);
    assert_null(r.parsed.group);
    done(&r);
}

static void
needs_no_operands_for_help(void **state)
{
    (void)state;
    struct run r;
    parse(&r, "key make --help");
    assert_int_equal(r.code, SCK_OK);
    assert_ptr_equal(r.parsed.command, &make);
    assert_true(r.globals.help);
    done(&r);
}

static void
refuses_unknown_words(void **state)
{
    (void)state;
    refused("key mkae u", "unknown command \"key mkae\": did you mean `scopekey key make`?");
    refused("key wombat", "unknown command \"key wombat\": `scopekey key --help` lists them");
    refused("lits", "unknown command \"lits\": did you mean `scopekey list`?");
    refused("wombat", "unknown command \"wombat\": `scopekey --help` lists them");
    refused("__secrat", "unknown command \"__secrat\": `scopekey --help` lists them");
    refused("key make u --ouptut x", "unknown option --ouptut: did you mean --output?");
    refused("key make u --jsno", "unknown option --jsno: did you mean --json?");
    refused("key make u --wombat=1", "unknown option --wombat: `scopekey key make --help` lists them");
    refused("--wombat list", "unknown option --wombat: `scopekey --help` lists them");
    refused("list -fx", "unknown option -x: `scopekey list --help` lists them");
    /* Options of a command are unknown before it is named, and abbreviations are no names. */
    refused("--force list", "unknown option --force: `scopekey --help` lists them");
    refused("list --forc", "unknown option --forc: did you mean --force?");
    refused("list --f\x1b[2J", "unknown option --f\\x1b[2J: `scopekey list --help` lists them");
}

static void
refuses_bad_values(void **state)
{
    (void)state;
    refused("key make u --output", "--output needs a value: --output FILE");
    refused("key make u -o", "--output needs a value: --output FILE");
    refused("key make u --output=", "--output: the value is empty");
    refused("key make u -o ''", "--output: the value is empty");
    refused("key make u -o a -o b", "--output is given twice");
    refused("--home a list --home=b", "--home is given twice");
    refused("list --force=yes", "--force takes no value");
    refused("list -k ec-p265", "--kind: \"ec-p265\" is unknown: did you mean ec-p256?");
    refused("list -k wombat", "--kind: \"wombat\" is unknown: choose one of ec-p256, aes-256");
    refused("list -n 0", "--count: \"0\" is no number from 1 to 100");
    refused("list -n 101", "--count: \"101\" is no number from 1 to 100");
    refused("list -n 07", "--count: \"07\" is no number from 1 to 100");
    refused("list -n -7", "--count: \"-7\" is no number from 1 to 100");
    refused("list -n 7K", "--count: \"7K\" is no number from 1 to 100");
    refused("list -s 3K", "--size: \"3K\" is no size (bytes, or with K or M) from 4096 to 67108864");
    refused("list -s 65M", "--size: \"65M\" is no size (bytes, or with K or M) from 4096 to 67108864");
    refused("list -s 18014398509481985K", "--size: \"18014398509481985K\" is no size (bytes, or with K or M) from 4096 to "
                                          "67108864");
    refused("list -s K", "--size: \"K\" is no size (bytes, or with K or M) from 4096 to 67108864");
    refused("list -w 2026-11-22", "--when: write the time as YYYY-MM-DDTHH:MM:SSZ, in UTC");
    refused("list -w 2026-02-30T00:00:00Z", "--when: write the time as YYYY-MM-DDTHH:MM:SSZ, in UTC");
}

static void
refuses_wrong_operands(void **state)
{
    (void)state;
    refused("key make", "key make needs URI: `scopekey key make --help` shows examples");
    refused("key make a b c", "key make: \"c\" is one operand too many");
    refused("list a", "list: \"a\" is one operand too many");
    refused("list 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33",
            "list: more than 32 operands");
}

static void
measures_words(void **state)
{
    (void)state;
    assert_int_equal(sck_word_distance("", ""), 0);
    assert_int_equal(sck_word_distance("erase", "erase"), 0);
    assert_int_equal(sck_word_distance("erase", "eraes"), 1);
    assert_int_equal(sck_word_distance("erase", "rase"), 1);
    assert_int_equal(sck_word_distance("erase", "errase"), 1);
    assert_int_equal(sck_word_distance("erase", "erasa"), 1);
    assert_int_equal(sck_word_distance("erase", "list"), 4);
    assert_int_equal(sck_word_distance("a", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), 99);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_spelling),
        cmocka_unit_test(leaves_out_what_is_not_given),
        cmocka_unit_test(takes_dashes_as_operands),
        cmocka_unit_test(names_groups),
        cmocka_unit_test(needs_no_operands_for_help),
        cmocka_unit_test(refuses_unknown_words),
        cmocka_unit_test(refuses_bad_values),
        cmocka_unit_test(refuses_wrong_operands),
        cmocka_unit_test(measures_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
