/* SPDX-License-Identifier: MIT */
/* The words that options take. */
#include "cli/cli.h"

#define WORD_AT(list, index) ((index) < sizeof(list) / sizeof((list)[0]) ? (list)[index] : NULL)

const char *
sck_words_algorithm(size_t index)
{
    const struct sck_alg_info *info = sck_alg_at(index);
    return info != NULL ? info->name : NULL;
}

const char *
sck_words_usage(size_t index)
{
    /* Usages are numbered from 1; the last of them, kek, is no scoped key's. */
    return index < SCK_USAGE_AGREE ? sck_usage_name((enum sck_usage)(index + 1)) : NULL;
}

const char *
sck_words_protection(size_t index)
{
    static const char *const words[] = {"token", "envelope"};
    return WORD_AT(words, index);
}

const char *
sck_words_keeper(size_t index)
{
    static const char *const words[] = {"token", "vault", "azure", "local"};
    return WORD_AT(words, index);
}

const char *
sck_words_vault_auth(size_t index)
{
    static const char *const words[] = {"token", "agent", "approle", "kubernetes", "jwt", "cert"};
    return WORD_AT(words, index);
}

const char *
sck_words_azure_credential(size_t index)
{
    static const char *const words[] = {"auto", "secret", "certificate", "federated", "managed"};
    return WORD_AT(words, index);
}

const char *
sck_words_azure_key_type(size_t index)
{
    static const char *const words[] = {"rsa", "rsa-hsm", "oct-hsm"};
    return WORD_AT(words, index);
}

const char *
sck_words_environment(size_t index)
{
    static const char *const words[] = {"development", "staging", "production"};
    return WORD_AT(words, index);
}

const char *
sck_words_fsync(size_t index)
{
    static const char *const words[] = {"each", "none"};
    return WORD_AT(words, index);
}

const char *
sck_words_shell(size_t index)
{
    static const char *const words[] = {"bash", "zsh"};
    return WORD_AT(words, index);
}
