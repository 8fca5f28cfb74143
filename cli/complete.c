/* SPDX-License-Identifier: MIT */
/* Completion scripts of bash and zsh, written from the option tables. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* ---- bash ---- */

static const char *
bash_kind(const struct sck_option *o)
{
    switch (o->kind) {
    case SCK_OPTION_FLAG:    return "";
    case SCK_OPTION_FILE:    return "file";
    case SCK_OPTION_DIR:     return "dir";
    case SCK_OPTION_SUBJECT: return "subjects";
    case SCK_OPTION_WORD:    return "words";
    case SCK_OPTION_TEXT:
    case SCK_OPTION_NUMBER:
    case SCK_OPTION_SIZE:
    case SCK_OPTION_TIME:    return "other";
    }
    return "";
}

static const char *
operand_kind(const struct sck_command *c)
{
    switch (c->operand) {
    case SCK_OPERAND_NONE:    return "";
    case SCK_OPERAND_KEY:     return "keys";
    case SCK_OPERAND_NEW_KEY:
    case SCK_OPERAND_SCOPE:   return "scopes";
    case SCK_OPERAND_SUBJECT: return "subjects";
    case SCK_OPERAND_FILE:    return "file";
    case SCK_OPERAND_WORD:    return "words";
    case SCK_OPERAND_COMMAND: return "commands";
    }
    return "";
}

static void
print_words(const char *(*word_at)(size_t index))
{
    for (size_t i = 0; word_at(i) != NULL; i++)
        (void)printf("%s%s", i > 0 ? " " : "", word_at(i));
}

/* One case per option that takes a value: what completes it. */
static void
bash_values(const char *command, const struct sck_option *table)
{
    for (const struct sck_option *o = table; o->name != NULL; o++) {
        if (o->help == NULL || o->kind == SCK_OPTION_FLAG)
            continue;
        (void)printf("    \"%s --%s\"", command, o->name);
        if (o->letter != '\0')
            (void)printf(" | \"%s -%c\"", command, o->letter);
        (void)printf(") kind=\"%s\"", bash_kind(o));
        if (o->word_at != NULL) {
            (void)printf(" list=\"");
            print_words(o->word_at);
            (void)printf("\"");
        }
        (void)printf(" ;;\n");
    }
}

static void
bash_names(const struct sck_option *table)
{
    for (const struct sck_option *o = table; o->name != NULL; o++) {
        if (o->help == NULL)
            continue;
        (void)printf(" --%s", o->name);
        if (o->letter != '\0')
            (void)printf(" -%c", o->letter);
    }
}

/* The distinct first words of all commands, or only of groups. */
static void
print_firsts(bool groups_only, const char *separator)
{
    const char *last = "";
    size_t last_len = 0;
    bool any = false;
    for (size_t i = 0; sck_cli_commands[i] != NULL; i++) {
        const struct sck_command *c = sck_cli_commands[i];
        size_t len = strcspn(c->name, " ");
        bool again = len == last_len && strncmp(last, c->name, len) == 0;
        last = c->name;
        last_len = len;
        if (c->hidden || again || (groups_only && c->name[len] == '\0'))
            continue;
        (void)printf("%s%.*s", any ? separator : "", (int)len, c->name);
        any = true;
    }
}

static void
bash_groups(void)
{
    for (size_t i = 0; sck_cli_commands[i] != NULL;) {
        const char *name = sck_cli_commands[i]->name;
        size_t len = strcspn(name, " ");
        if (name[len] == '\0') {
            i++;
            continue;
        }
        (void)printf("    %.*s) list=\"", (int)len, name);
        const char *gap = "";
        for (; sck_cli_commands[i] != NULL && strncmp(sck_cli_commands[i]->name, name, len + 1) == 0; i++) {
            (void)printf("%s%s", gap, sck_cli_commands[i]->name + len + 1);
            gap = " ";
        }
        (void)printf("\" ;;\n");
    }
}

static void
bash_tables(void)
{
    (void)printf("# Sets kind (and list) to what completes the value of option $2 of command $1.\n"
                 "_scopekey_value() {\n  kind='' list=''\n  case \"$1 $2\" in\n");
    for (size_t i = 0; sck_cli_commands[i] != NULL; i++) {
        if (!sck_cli_commands[i]->hidden)
            bash_values(sck_cli_commands[i]->name, sck_cli_commands[i]->options);
    }
    (void)printf("  esac\n  [ -n \"$kind\" ] && return\n  case \" $2\" in\n");
    bash_values("", sck_cli_globals);
    (void)printf("  esac\n}\n\n# Sets list to the options of command $1, kind to what completes its operands.\n"
                 "_scopekey_command() {\n  kind='' list='' words=''\n  case $1 in\n");
    for (size_t i = 0; sck_cli_commands[i] != NULL; i++) {
        const struct sck_command *c = sck_cli_commands[i];
        if (c->hidden)
            continue;
        (void)printf("    \"%s\") kind=\"%s\" list=\"", c->name, operand_kind(c));
        bash_names(c->options);
        (void)printf("\"");
        if (c->word_at != NULL) {
            (void)printf(" words=\"");
            print_words(c->word_at);
            (void)printf("\"");
        }
        (void)printf(" ;;\n");
    }
    (void)printf("  esac\n  list=\"$list");
    bash_names(sck_cli_globals);
    (void)printf("\"\n}\n\n# Sets list to the words that may follow $1 (\"\", or a group).\n"
                 "_scopekey_words() {\n  case $1 in\n");
    bash_groups();
    (void)printf("    *) list=\"");
    print_firsts(false, " ");
    (void)printf("\" ;;\n  esac\n}\n\n");
}

static void
print_bash(void)
{
    (void)printf("# SPDX-License-Identifier: MIT\n"
                 "# bash completion for scopekey(1), written by `scopekey completion bash`: do not edit.\n"
                 "# shellcheck shell=bash disable=SC2034\n\n");
    bash_tables();
    (void)printf(
        "_scopekey_reply() {\n"
        "  case $1 in\n"
        "    file) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); compopt -o filenames ;;\n"
        "    dir) mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); compopt -o filenames ;;\n"
        "    words) mapfile -t COMPREPLY < <(compgen -W \"$2\" -- \"$cur\") ;;\n"
        "    keys | scopes | subjects)\n"
        "      list=$(\"${COMP_WORDS[0]}\" __names \"$1\" 2>/dev/null)\n"
        "      mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$cur\") ;;\n"
        "    commands) _scopekey_words \"$group\"; mapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$cur\") ;;\n"
        "  esac\n"
        "}\n\n"
        "_scopekey() {\n"
        "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "  local command='' group='' kind='' list='' words='' word i\n"
        "  COMPREPLY=()\n"
        "  if [ \"$cur\" = = ]; then cur=''; elif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi\n"
        "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "    word=${COMP_WORDS[i]}\n"
        "    if [[ $word == -* ]]; then\n"
        "      _scopekey_value \"$command\" \"$word\"\n"
        "      if [ -n \"$kind\" ]; then\n"
        "        [ \"${COMP_WORDS[i + 1]}\" = = ] && ((i++))\n"
        "        ((i++))\n"
        "      fi\n"
        "    elif [ -z \"$command\" ]; then\n"
        "      case ${group:+another }$word in\n"
        "        ");
    print_firsts(true, " | ");
    (void)printf(
        ") group=$word ;;\n"
        "        *) command=\"${group:+$group }$word\" ;;\n"
        "      esac\n"
        "    elif [ \"$command\" = help ] && [ -z \"$group\" ]; then\n"
        "      group=$word\n"
        "    fi\n"
        "  done\n"
        "  _scopekey_value \"$command\" \"$prev\"\n"
        "  if [ -n \"$kind\" ]; then\n"
        "    _scopekey_reply \"$kind\" \"$list\"\n"
        "  elif [[ $cur == -* ]]; then\n"
        "    _scopekey_command \"$command\"\n"
        "    _scopekey_reply words \"$list\"\n"
        "  elif [ -z \"$command\" ]; then\n"
        "    _scopekey_words \"$group\"\n"
        "    _scopekey_reply words \"$list\"\n"
        "  else\n"
        "    _scopekey_command \"$command\"\n"
        "    _scopekey_reply \"$kind\" \"$words\"\n"
        "  fi\n"
        "}\n\n"
        "complete -F _scopekey scopekey\n");
}

/* ---- zsh ---- */

/* Inside single quotes; brackets and colons are _arguments' own. */
static void
zsh_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            (void)printf("'\\''");
        else if (strchr("[]:\\", *text) != NULL)
            (void)printf("\\%c", *text);
        else
            (void)putchar(*text);
    }
}

static void
zsh_action(const struct sck_option *o)
{
    switch (o->kind) {
    case SCK_OPTION_FLAG:
        return;
    case SCK_OPTION_FILE:
        (void)printf(":%s:_files", o->value);
        return;
    case SCK_OPTION_DIR:
        (void)printf(":%s:_files -/", o->value);
        return;
    case SCK_OPTION_SUBJECT:
        (void)printf(":%s:_scopekey_names subjects", o->value);
        return;
    case SCK_OPTION_WORD:
        (void)printf(":%s:(", o->value);
        print_words(o->word_at);
        (void)printf(")");
        return;
    case SCK_OPTION_TEXT:
    case SCK_OPTION_NUMBER:
    case SCK_OPTION_SIZE:
    case SCK_OPTION_TIME:
        (void)printf(":%s: ", o->value);
        return;
    }
}

static void
zsh_options(const struct sck_option *table)
{
    for (const struct sck_option *o = table; o->name != NULL; o++) {
        if (o->help == NULL)
            continue;
        if (o->letter != '\0')
            (void)printf("        '(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter,
                         o->kind == SCK_OPTION_FLAG ? "" : "+", o->name, o->kind == SCK_OPTION_FLAG ? "" : "=");
        else
            (void)printf("        '--%s%s[", o->name, o->kind == SCK_OPTION_FLAG ? "" : "=");
        zsh_text(o->help);
        (void)printf("]");
        zsh_action(o);
        (void)printf("'\n");
    }
}

static void
zsh_operand(const struct sck_command *c)
{
    const char *kind = operand_kind(c);
    if (strcmp(kind, "file") == 0)
        (void)printf("        '*:file:_files'\n");
    else if (strcmp(kind, "words") == 0) {
        (void)printf("        ':word:(");
        print_words(c->word_at);
        (void)printf(")'\n");
    } else if (strcmp(kind, "commands") == 0) {
        (void)printf("        '*:command:(");
        print_firsts(false, " ");
        (void)printf(")'\n");
    } else if (kind[0] != '\0')
        (void)printf("        '*:name:_scopekey_names %s'\n", kind);
}

static void
print_zsh(void)
{
    (void)printf("#compdef scopekey\n"
                 "# SPDX-License-Identifier: MIT\n"
                 "# zsh completion for scopekey(1), written by `scopekey completion zsh`: do not edit.\n\n"
                 "_scopekey_names() {\n"
                 "  local -a names\n"
                 "  names=(${(f)\"$(scopekey __names $1 2>/dev/null)\"})\n"
                 "  compadd -a names\n"
                 "}\n\n"
                 "_scopekey() {\n"
                 "  local -a every own firsts\n"
                 "  local command= group= list= i\n"
                 "  every=(\n");
    zsh_options(sck_cli_globals);
    (void)printf("  )\n  for ((i = 2; i < CURRENT; i++)); do\n"
                 "    [[ $words[i] == -* ]] && continue\n"
                 "    case \"$words[i]\" in\n      ");
    print_firsts(true, "|");
    (void)printf(") [[ -z $group ]] && group=$words[i] && continue ;;\n"
                 "    esac\n"
                 "    command=\"${group:+$group }$words[i]\"\n"
                 "    break\n"
                 "  done\n"
                 "  if [[ -z $command && $words[CURRENT] == -* ]]; then\n"
                 "    _arguments -s $every\n"
                 "    return\n"
                 "  fi\n"
                 "  if [[ -z $command ]]; then\n"
                 "    case $group in\n");
    bash_groups();
    (void)printf("      *) list=\"");
    print_firsts(false, " ");
    (void)printf("\" ;;\n    esac\n    compadd ${=list}\n    return\n  fi\n"
                 "  shift $((i - 1)) words\n  ((CURRENT -= i - 1))\n  case $command in\n");
    for (size_t i = 0; sck_cli_commands[i] != NULL; i++) {
        const struct sck_command *c = sck_cli_commands[i];
        if (c->hidden)
            continue;
        (void)printf("    '%s') own=(\n", c->name);
        zsh_options(c->options);
        zsh_operand(c);
        (void)printf("      ) ;;\n");
    }
    (void)printf("  esac\n  _arguments -s $own $every\n}\n\n_scopekey \"$@\"\n");
}

enum sck_code
sck_cli_print_completion(const char *shell, struct sck_err *err)
{
    if (strcmp(shell, "bash") == 0)
        print_bash();
    else if (strcmp(shell, "zsh") == 0)
        print_zsh();
    else
        return sck_fail(err, SCK_E_USAGE, "completion: \"%s\" is unknown: choose bash or zsh", shell);
    return SCK_OK;
}
