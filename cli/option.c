/* SPDX-License-Identifier: MIT */
#include "cli/option.h"

#include "cli/nearest.h"
#include "lib/base/bytes.h"
#include "lib/base/text.h"

#include <stdlib.h>
#include <string.h>

/* Words in messages may hold anything a shell can pass. */
static const char *
shown(const char *word, struct sck_buf *buf)
{
    size_t len = strlen(word);
    sck_buf_init(buf, 1024);
    sck_text_escape(word, len < 200 ? len : 200, buf);
    return sck_buf_str(buf);
}

/* ---- one option ---- */

struct parser {
    const struct sck_option *globals;
    void *global_values;
    const struct sck_command *command;
    void *values;
    uint64_t seen_globals, seen;    /* bit per option of each table */
    struct sck_err *err;
};

static const struct sck_option *
table_find(const struct sck_option *table, const char *name, size_t len, char letter)
{
    for (const struct sck_option *o = table; o != NULL && o->name != NULL; o++) {
        if (name != NULL ? strlen(o->name) == len && memcmp(o->name, name, len) == 0
                         : o->letter != '\0' && o->letter == letter)
            return o;
    }
    return NULL;
}

static const struct sck_option *
option_find(const struct parser *p, const char *name, size_t len, char letter)
{
    const struct sck_option *o = NULL;
    if (p->command != NULL)
        o = table_find(p->command->options, name, len, letter);
    return o != NULL ? o : table_find(p->globals, name, len, letter);
}

static enum sck_code
option_unknown(const struct parser *p, const char *name)
{
    struct sck_buf text;
    struct sck_nearest n = sck_nearest_to(name);
    const struct sck_option *own = p->command != NULL ? p->command->options : NULL;
    for (const struct sck_option *o = own; o != NULL && o->name != NULL; o++)
        sck_nearest_offer(&n, o->name);
    for (const struct sck_option *o = p->globals; o->name != NULL; o++)
        sck_nearest_offer(&n, o->name);
    enum sck_code code;
    if (n.best != NULL)
        code = sck_fail(p->err, SCK_E_USAGE, "unknown option --%s: did you mean --%s?", shown(name, &text), n.best);
    else
        code = sck_fail(p->err, SCK_E_USAGE, "unknown option --%s: `scopekey %s%s--help` lists them",
                        shown(name, &text), p->command != NULL ? p->command->name : "",
                        p->command != NULL ? " " : "");
    sck_buf_clear(&text);
    return code;
}

static enum sck_code
word_check(const struct sck_option *o, const char *value, struct sck_err *err)
{
    struct sck_nearest n = sck_nearest_to(value);
    struct sck_buf list, text;
    sck_buf_init(&list, 1024);
    for (size_t i = 0; o->word_at(i) != NULL; i++) {
        if (strcmp(o->word_at(i), value) == 0) {
            sck_buf_clear(&list);
            return SCK_OK;
        }
        sck_nearest_offer(&n, o->word_at(i));
        sck_buf_printf(&list, "%s%s", i > 0 ? ", " : "", o->word_at(i));
    }
    enum sck_code code;
    if (n.best != NULL)
        code = sck_fail(err, SCK_E_USAGE, "--%s: \"%s\" is unknown: did you mean %s?", o->name, shown(value, &text),
                        n.best);
    else
        code = sck_fail(err, SCK_E_USAGE, "--%s: \"%s\" is unknown: choose one of %s", o->name, shown(value, &text),
                        sck_buf_str(&list));
    sck_buf_clear(&text);
    sck_buf_clear(&list);
    return code;
}

static enum sck_code
number_read(const struct sck_option *o, const char *value, int64_t *out, struct sck_err *err)
{
    size_t len = strlen(value);
    uint64_t unit = 1;
    if (o->kind == SCK_OPTION_SIZE && len > 1) {
        if (value[len - 1] == 'K')
            unit = 1024;
        else if (value[len - 1] == 'M')
            unit = 1024 * 1024;
        if (unit > 1)
            len--;
    }
    uint64_t n = 0;
    if (!sck_u64_parse(value, len, (uint64_t)o->max / unit, &n) || (int64_t)(n * unit) < o->min) {
        struct sck_buf text;
        enum sck_code code =
            sck_fail(err, SCK_E_USAGE, "--%s: \"%s\" is no %s from %lld to %lld", o->name, shown(value, &text),
                     o->kind == SCK_OPTION_SIZE ? "size (bytes, or with K or M)" : "number", (long long)o->min,
                     (long long)o->max);
        sck_buf_clear(&text);
        return code;
    }
    *out = (int64_t)(n * unit);
    return SCK_OK;
}

static enum sck_code
option_store(const struct sck_option *o, void *values, const char *value, struct sck_err *err)
{
    char *at = (char *)values + o->offset;
    enum sck_code code = SCK_OK;
    int64_t number = 0;
    switch (o->kind) {
    case SCK_OPTION_FLAG:
        *(bool *)(void *)at = true;
        return SCK_OK;
    case SCK_OPTION_NUMBER:
    case SCK_OPTION_SIZE:
        code = number_read(o, value, &number, err);
        if (code == SCK_OK)
            memcpy(at, &number, sizeof number);
        return code;
    case SCK_OPTION_TIME:
        if (!sck_time_parse(value, strlen(value), &number))
            return sck_fail(err, SCK_E_USAGE, "--%s: write the time as YYYY-MM-DDTHH:MM:SSZ, in UTC", o->name);
        memcpy(at, &number, sizeof number);
        return SCK_OK;
    case SCK_OPTION_WORD:
        code = word_check(o, value, err);
        break;
    case SCK_OPTION_TEXT:
    case SCK_OPTION_FILE:
    case SCK_OPTION_DIR:
    case SCK_OPTION_SUBJECT:
        if (value[0] == '\0')
            code = sck_fail(err, SCK_E_USAGE, "--%s: the value is empty", o->name);
        break;
    }
    if (code == SCK_OK)
        memcpy(at, &value, sizeof value);
    return code;
}

/* `value` NULL for flags. */
static enum sck_code
option_take(struct parser *p, const struct sck_option *o, const char *value)
{
    bool own = p->command != NULL && table_find(p->command->options, o->name, strlen(o->name), '\0') == o;
    uint64_t *seen = own ? &p->seen : &p->seen_globals;
    uint64_t bit = UINT64_C(1) << (o - (own ? p->command->options : p->globals));
    if (value != NULL && (*seen & bit) != 0)
        return sck_fail(p->err, SCK_E_USAGE, "--%s is given twice", o->name);
    *seen |= bit;
    return option_store(o, own ? p->values : p->global_values, value, p->err);
}

static enum sck_code
value_missing(const struct parser *p, const struct sck_option *o)
{
    return sck_fail(p->err, SCK_E_USAGE, "--%s needs a value: --%s %s", o->name, o->name, o->value);
}

/* "--name" or "--name=value"; `next` is the following word or NULL, *used tells whether it was taken. */
static enum sck_code
long_take(struct parser *p, const char *word, const char *next, bool *used)
{
    const char *name = word + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct sck_option *o = option_find(p, name, len, '\0');
    if (o == NULL) {
        char copy[SCK_WORD_MAX + 1];
        (void)memcpy(copy, name, len < SCK_WORD_MAX ? len : SCK_WORD_MAX);
        copy[len < SCK_WORD_MAX ? len : SCK_WORD_MAX] = '\0';
        return option_unknown(p, copy);
    }
    if (o->kind == SCK_OPTION_FLAG) {
        if (equals != NULL)
            return sck_fail(p->err, SCK_E_USAGE, "--%s takes no value", o->name);
        return option_take(p, o, NULL);
    }
    if (equals != NULL)
        return option_take(p, o, equals + 1);
    if (next == NULL)
        return value_missing(p, o);
    *used = true;
    return option_take(p, o, next);
}

/* "-abc", "-ovalue" or "-o" with `next`. */
static enum sck_code
short_take(struct parser *p, const char *word, const char *next, bool *used)
{
    for (const char *c = word + 1; *c != '\0'; c++) {
        const struct sck_option *o = option_find(p, NULL, 0, *c);
        if (o == NULL) {
            struct sck_buf text;
            const char letter[2] = {*c, '\0'};
            enum sck_code code = sck_fail(p->err, SCK_E_USAGE, "unknown option -%s: `scopekey %s%s--help` lists them",
                                          shown(letter, &text), p->command != NULL ? p->command->name : "",
                                          p->command != NULL ? " " : "");
            sck_buf_clear(&text);
            return code;
        }
        if (o->kind == SCK_OPTION_FLAG) {
            enum sck_code code = option_take(p, o, NULL);
            if (code != SCK_OK)
                return code;
            continue;
        }
        if (c[1] != '\0')
            return option_take(p, o, c + 1);
        if (next == NULL)
            return value_missing(p, o);
        *used = true;
        return option_take(p, o, next);
    }
    return SCK_OK;
}

/* ---- commands ---- */

const struct sck_command *
sck_command_find(const struct sck_command *const *commands, const char *name)
{
    for (; *commands != NULL; commands++) {
        if (strcmp((*commands)->name, name) == 0)
            return *commands;
    }
    return NULL;
}

static bool
is_in_group(const struct sck_command *command, const char *group)
{
    size_t len = strlen(group);
    return strncmp(command->name, group, len) == 0 && command->name[len] == ' ';
}

static const char *
group_find(const struct sck_command *const *commands, const char *word)
{
    for (; *commands != NULL; commands++) {
        if (is_in_group(*commands, word))
            return word;
    }
    return NULL;
}

static enum sck_code
command_unknown(const struct sck_command *const *commands, const char *group, const char *word, struct sck_err *err)
{
    struct sck_nearest n = sck_nearest_to(word);
    char firsts[64][SCK_WORD_MAX + 1];
    size_t used = 0;
    for (; *commands != NULL && used < 64; commands++) {
        const char *name = (*commands)->name;
        if ((*commands)->hidden || (group != NULL && !is_in_group(*commands, group)))
            continue;
        if (group != NULL)
            name += strlen(group) + 1;
        size_t len = strcspn(name, " ");
        memcpy(firsts[used], name, len);
        firsts[used][len] = '\0';
        sck_nearest_offer(&n, firsts[used]);
        used++;
    }
    struct sck_buf text;
    const char *g = group != NULL ? group : "", *space = group != NULL ? " " : "";
    enum sck_code code;
    if (n.best != NULL)
        code = sck_fail(err, SCK_E_USAGE, "unknown command \"%s%s%s\": did you mean `scopekey %s%s%s`?", g, space,
                        shown(word, &text), g, space, n.best);
    else
        code = sck_fail(err, SCK_E_USAGE, "unknown command \"%s%s%s\": `scopekey %s%s--help` lists them", g, space,
                        shown(word, &text), g, space);
    sck_buf_clear(&text);
    return code;
}

/* The first words that are no options name the command. */
static enum sck_code
command_take(struct parser *p, const struct sck_command *const *commands, const char *word, struct sck_parsed *out)
{
    char name[2 * SCK_WORD_MAX + 2];
    size_t used = 0;
    if (out->group != NULL) {
        used = strlen(out->group);
        memcpy(name, out->group, used);
        name[used++] = ' ';
    }
    size_t len = strlen(word);
    const struct sck_command *found = NULL;
    if (used + len < sizeof name) {
        memcpy(name + used, word, len + 1);
        found = sck_command_find(commands, name);
    }
    if (found == NULL && out->group == NULL && (out->group = group_find(commands, word)) != NULL)
        return SCK_OK;
    if (found == NULL)
        return command_unknown(commands, out->group, word, p->err);
    out->command = p->command = found;
    out->values = p->values = calloc(1, found->values_size > 0 ? found->values_size : 1);
    return out->values != NULL ? SCK_OK : sck_fail(p->err, SCK_E_MEMORY, "parse the command line: out of memory");
}

static enum sck_code
operands_check(const struct sck_parsed *parsed, struct sck_err *err)
{
    const struct sck_command *c = parsed->command;
    if (parsed->count < c->min_operands)
        return sck_fail(err, SCK_E_USAGE, "%s needs %s: `scopekey %s --help` shows examples", c->name, c->operands,
                        c->name);
    if (parsed->count > c->max_operands) {
        struct sck_buf text;
        enum sck_code code = sck_fail(err, SCK_E_USAGE, "%s: \"%s\" is one operand too many", c->name,
                                      shown(parsed->operands[c->max_operands], &text));
        sck_buf_clear(&text);
        return code;
    }
    return SCK_OK;
}

enum sck_code
sck_option_parse(const struct sck_command *const *commands, const struct sck_option *globals, void *global_values,
                 const bool *lenient, int argc, char **argv, struct sck_parsed *out, struct sck_err *err)
{
    struct parser p = {.globals = globals, .global_values = global_values, .err = err};
    *out = (struct sck_parsed){0};
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;
        enum sck_code code = SCK_OK;
        if (!only_operands && strcmp(word, "--") == 0)
            only_operands = true;
        else if (!only_operands && strncmp(word, "--", 2) == 0)
            code = long_take(&p, word, next, &used);
        else if (!only_operands && word[0] == '-' && word[1] != '\0')
            code = short_take(&p, word, next, &used);
        else if (out->command == NULL)
            code = command_take(&p, commands, word, out);
        else if (out->count < SCK_OPERANDS_MAX)
            out->operands[out->count++] = word;
        else
            code = sck_fail(err, SCK_E_USAGE, "%s: more than %d operands", out->command->name, SCK_OPERANDS_MAX);
        if (code != SCK_OK)
            return code;
        if (used)
            i++;
    }
    if (out->command == NULL || *lenient)
        return SCK_OK;
    return operands_check(out, err);
}
