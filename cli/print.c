/* SPDX-License-Identifier: MIT */
/* Keys, subjects and files as people and programs read them.  JSON members: scopekey(1). */
#include "cli/cli.h"

#include "lib/base/text.h"
#include "lib/service/filecrypt.h"

#include <stdio.h>
#include <string.h>

static const char *
protection_name(enum sck_protection protection)
{
    switch (protection) {
    case SCK_PROTECTION_TOKEN:    return "token";
    case SCK_PROTECTION_ENVELOPE: return "envelope";
    }
    return "?";
}

static const char *
residence_name(enum sck_residence residence)
{
    switch (residence) {
    case SCK_WRAPPED:  return "wrapped";
    case SCK_RESIDENT: return "resident";
    }
    return "?";
}

static const char *
origin_name(enum sck_origin origin)
{
    switch (origin) {
    case SCK_ORIGIN_GENERATED: return "generated";
    case SCK_ORIGIN_IMPORTED:  return "imported";
    }
    return "?";
}

static const char *
alg_name(enum sck_alg alg)
{
    const struct sck_alg_info *info = sck_alg_info(alg);
    return info != NULL ? info->name : "?";
}

static void
uri_put(const struct sck_key_info *key, struct sck_buf *out)
{
    sck_buf_put_str(out, "scopekey:");
    sck_label_format(&key->scope, key->name, out);
}

static enum sck_code
print_key_json(const struct sck_key_info *key, struct sck_err *err)
{
    struct sck_buf uri, pem;
    char scope[SCK_SCOPE_TEXT_MAX + 1];
    sck_buf_init(&uri, SCK_LABEL_MAX + 16);
    sck_buf_init(&pem, 8192);
    uri_put(key, &uri);
    sck_scope_text(&key->scope, scope);
    if (key->spki_len > 0)
        sck_cli_pem_format(key->spki, key->spki_len, &pem);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:s, s:o, s:o, s:o, s:I}",
                          "uri", sck_buf_str(&uri), "key_id", key->key_id, "scope", scope, "name", key->name,
                          "algorithm", alg_name(key->alg), "usage", sck_usage_name(key->usage), "protection",
                          protection_name(key->protection), "residence", residence_name(key->residence), "origin",
                          origin_name(key->origin), "enabled", key->enabled ? 1 : 0, "version",
                          (json_int_t)key->version, "current_version", (json_int_t)key->current_version, "state",
                          key->version_active ? "active" : "retired", "created", sck_cli_json_time(key->created_s),
                          "version_created", sck_cli_json_time(key->version_created_s), "expires",
                          sck_cli_json_time(key->expires_s), "messages", (json_int_t)key->messages);
    if (o != NULL)
        json_object_set_new(o, "public_key", key->spki_len > 0 ? json_string(sck_buf_str(&pem)) : json_null());
    sck_buf_clear(&uri);
    sck_buf_clear(&pem);
    return sck_cli_print_json(stdout, o, err);
}

enum sck_code
sck_cli_print_key(const struct sck_cli *cli, const struct sck_key_info *key, struct sck_err *err)
{
    if (cli->globals.json)
        return print_key_json(key, err);
    char created[SCK_TIME_TEXT], expires[SCK_TIME_TEXT] = "never";
    struct sck_buf text;
    sck_buf_init(&text, 16384);
    uri_put(key, &text);
    sck_time_format(key->created_s, created);
    if (key->expires_s != 0)
        sck_time_format(key->expires_s, expires);
    sck_buf_printf(&text, "\n  key id      %s\n  algorithm   %s\n  usage       %s\n", key->key_id, alg_name(key->alg),
                   sck_usage_name(key->usage));
    sck_buf_printf(&text, "  protection  %s (%s, %s)\n", protection_name(key->protection),
                   residence_name(key->residence), origin_name(key->origin));
    sck_buf_printf(&text, "  state       %s\n  version     %u of %u (%s)\n", key->enabled ? "enabled" : "disabled",
                   key->version, key->current_version, key->version_active ? "active" : "retired: opens only");
    sck_buf_printf(&text, "  created     %s\n  expires     %s\n", created, expires);
    if (key->usage == SCK_USAGE_GCM)
        sck_buf_printf(&text, "  messages    %lld reserved of 4294967296\n", (long long)key->messages);
    if (key->spki_len > 0)
        sck_cli_pem_format(key->spki, key->spki_len, &text);
    enum sck_code code = sck_buf_check(&text, "key record", err);
    if (code == SCK_OK)
        (void)fputs(sck_buf_str(&text), stdout);
    sck_buf_clear(&text);
    return code;
}

static void
owner_text(const struct sck_owner_info *owner, char out[SCK_SCOPE_TEXT_MAX + 1])
{
    memcpy(out, "files", sizeof "files");
    if (owner->scope.kind != SCK_SCOPE_FILE)
        sck_scope_text(&owner->scope, out);
}

json_t *
sck_cli_owner_json(const struct sck_owner_info *owner)
{
    char scope[SCK_SCOPE_TEXT_MAX + 1];
    owner_text(owner, scope);
    return json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:s, s:I}", "scope", scope, "id", owner->scope.id, "generation",
                     (json_int_t)owner->generation, "state", owner->active ? "active" : "creating", "created",
                     sck_cli_json_time(owner->created_s), "keeper", sck_keeper_kind_name(owner->keeper), "kek_name",
                     owner->kek_name, "kek_version", (json_int_t)owner->kek_version);
}

enum sck_code
sck_cli_print_owner(const struct sck_cli *cli, const struct sck_owner_info *owner, struct sck_err *err)
{
    char scope[SCK_SCOPE_TEXT_MAX + 1], created[SCK_TIME_TEXT];
    if (cli->globals.json)
        return sck_cli_print_json(stdout, sck_cli_owner_json(owner), err);
    owner_text(owner, scope);
    sck_time_format(owner->created_s, created);
    (void)printf("%s\n  generation  %u\n  state       %s\n  created     %s\n", scope, owner->generation,
                 owner->active ? "active" : "creating", created);
    (void)printf("  keeper      %s\n  KEK         %s, version %u\n", sck_keeper_kind_name(owner->keeper),
                 owner->kek_name, owner->kek_version);
    return SCK_OK;
}

static enum sck_code
print_file_json(FILE *stream, const char *path, const struct sck_file_info *info, struct sck_err *err)
{
    char file_id[SCK_UUID_TEXT], dek_id[SCK_UUID_TEXT];
    struct sck_buf reference;
    sck_uuid_format(info->file_id, file_id);
    sck_uuid_format(info->dek_id, dek_id);
    sck_buf_init(&reference, 256);
    sck_buf_printf(&reference, "file-%s/%s", file_id, dek_id);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:o, s:b, s:b, s:o, s:o, s:o, s:o}", "file_id", file_id, "dek_id",
                          dek_id, "key_reference", sck_buf_str(&reference), "chunk_bytes",
                          (json_int_t)info->chunk_bytes, "plain_size",
                          info->plain_size >= 0 ? json_integer(info->plain_size) : json_null(), "known",
                          info->known ? 1 : 0, "erased", info->erased ? 1 : 0, "state",
                          info->state[0] != '\0' ? json_string(info->state) : json_null(), "owner",
                          info->owner[0] != '\0' ? json_string(info->owner) : json_null(), "created",
                          sck_cli_json_time(info->created_s), "due", sck_cli_json_time(info->due_s));
    /* A path need not be UTF-8; then the object goes without it. */
    if (o != NULL && path != NULL)
        (void)json_object_set_new(o, "path", json_string(path));
    sck_buf_clear(&reference);
    return sck_cli_print_json(stream, o, err);
}

enum sck_code
sck_cli_print_file(const struct sck_cli *cli, FILE *stream, const char *path, const struct sck_file_info *info,
                   struct sck_err *err)
{
    if (cli->globals.json)
        return print_file_json(stream, path, info, err);
    char file_id[SCK_UUID_TEXT], dek_id[SCK_UUID_TEXT], created[SCK_TIME_TEXT], due[SCK_TIME_TEXT];
    sck_uuid_format(info->file_id, file_id);
    sck_uuid_format(info->dek_id, dek_id);
    (void)fprintf(stream, "%s\n  key reference  file-%s/%s\n  chunk          %u bytes\n", path, file_id, dek_id,
                  info->chunk_bytes);
    if (info->plain_size >= 0)
        (void)fprintf(stream, "  plaintext      %lld bytes\n", (long long)info->plain_size);
    else
        (void)fprintf(stream, "  plaintext      unknown: the length fits no whole number of segments\n");
    if (info->erased)
        (void)fprintf(stream, "  key            erased: nothing opens this file\n");
    else if (!info->known)
        (void)fprintf(stream, "  key            not in this catalog\n");
    else {
        sck_time_format(info->created_s, created);
        sck_time_format(info->due_s, due);
        (void)fprintf(stream, "  key            %s, of %s\n  created        %s\n", info->state, info->owner, created);
        if (info->due_s != 0)
            (void)fprintf(stream, "  rotation due   %s\n", due);
    }
    return SCK_OK;
}
