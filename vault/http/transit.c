/* SPDX-License-Identifier: MIT */
#include "vault/http/transit.h"

#include "lib/core/kekname.h"

#include <stdio.h>
#include <string.h>

static bool
segments_are_legal(const char *text, size_t max)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (strlen(text) > max)
        return false;
    for (;;) {
        size_t len = strspn(text, legal);
        if (len == 0)
            return false;
        if (text[len] == '\0')
            return true;
        if (text[len] != '/')
            return false;
        text += len + 1;
    }
}

bool
sck_vault_mount_is_legal(const char *mount)
{
    return segments_are_legal(mount, 127);
}

bool
sck_vault_namespace_is_legal(const char *name_space)
{
    char copy[256];
    size_t len = strlen(name_space);
    if (len == 0)
        return true;
    if (len >= sizeof copy)
        return false;
    memcpy(copy, name_space, len + 1);
    if (len > 1 && copy[len - 1] == '/')
        copy[len - 1] = '\0';
    return segments_are_legal(copy, 255);
}

enum sck_code
sck_transit_aim(struct sck_vault *v, const char *name, const char *mount, const char *name_space,
                struct sck_transit *out, struct sck_err *err)
{
    *out = (struct sck_transit){v, name, mount[0] != '\0' ? mount : v->mount,
                                name_space[0] != '\0' ? name_space : v->name_space};
    if (!sck_kek_name_is_legal(name))
        return sck_fail(err, SCK_E_USAGE, "keeper vault: a KEK name must be 1 to %d of a-z, 0-9 and inner hyphens",
                        SCK_KEK_NAME_MAX);
    if (!sck_vault_mount_is_legal(out->mount) || !sck_vault_namespace_is_legal(out->name_space))
        return sck_fail(err, SCK_E_INTEGRITY,
                        "keeper vault: the record of KEK %s names an impossible mount or namespace", name);
    return SCK_OK;
}

struct sck_vault_call
sck_transit_call(const struct sck_transit *t, enum sck_vault_op op, const char *method, const char *path)
{
    return (struct sck_vault_call){.op = op, .method = method, .path = path, .kek = t->name,
                                   .name_space = t->name_space};
}

enum sck_code
sck_transit_body(const char *json, struct sck_secret **out, struct sck_err *err)
{
    return sck_secret_from(json, strlen(json), out, err);
}

/* The key's fields that we rely on. */
static enum sck_code
check_description(const struct sck_transit *t, const struct sck_vault_call *call, struct sck_json data,
                  uint32_t *version, struct sck_err *err)
{
    uint64_t latest = 0;
    struct sck_json type = sck_json_get(data, "type");
    if (type.kind != SCK_JSON_STRING || !sck_json_is(sck_json_get(data, "name"), t->name) ||
        !sck_json_u64(sck_json_get(data, "latest_version"), UINT32_MAX, &latest) || latest == 0)
        return sck_vault_strange(call, "the key's name, type and version", err);
    if (!sck_json_is(type, "aes256-gcm96") || sck_json_get(data, "derived").kind != SCK_JSON_FALSE)
        return sck_fail(err, SCK_E_STATE, "keeper vault: KEK %s is no plain aes256-gcm96 key: someone else made it",
                        t->name);
    if (sck_json_get(data, "exportable").kind != SCK_JSON_FALSE ||
        sck_json_get(data, "allow_plaintext_backup").kind != SCK_JSON_FALSE)
        return sck_fail(err, SCK_E_STATE, "keeper vault: KEK %s can be exported or backed up in clear: erase its owner",
                        t->name);
    *version = (uint32_t)latest;
    return SCK_OK;
}

enum sck_code
sck_transit_read(const struct sck_transit *t, const char *url, bool *missing, uint32_t *version, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r;
    (void)snprintf(path, sizeof path, "%s/keys/%s", t->mount, t->name);
    struct sck_vault_call call = sck_transit_call(t, SCK_OP_READ, "GET", path);
    call.token = &t->v->admin;
    call.url = url;
    *missing = false;
    enum sck_code rc = sck_vault_ask(t->v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict == SCK_SAYS_MISSING)
        *missing = true;
    else if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(t->v, &call, &r, err);
    else if (rc == SCK_OK)
        rc = check_description(t, &call, sck_json_get(r.json, "data"), version, err);
    sck_answer_clear(&r);
    return rc;
}

enum sck_code
sck_transit_allow_deletion(const struct sck_transit *t, bool *missing, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r = {.gave_up = ""};
    struct sck_secret *body = NULL;
    (void)snprintf(path, sizeof path, "%s/keys/%s/config", t->mount, t->name);
    struct sck_vault_call call = sck_transit_call(t, SCK_OP_CONFIG, "POST", path);
    *missing = false;
    enum sck_code rc = sck_transit_body("{\"deletion_allowed\":true}", &body, err);
    call.token = &t->v->admin;
    call.body = body;
    if (rc == SCK_OK)
        rc = sck_vault_ask(t->v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict == SCK_SAYS_MISSING)
        *missing = true;
    else if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(t->v, &call, &r, err);
    else if (rc == SCK_OK && r.reply.status != 204 &&
             sck_json_get(sck_json_get(r.json, "data"), "deletion_allowed").kind != SCK_JSON_TRUE)
        rc = sck_vault_strange(&call, "deletion_allowed = true", err);
    sck_answer_clear(&r);
    sck_secret_free(&body);
    return rc;
}

static enum sck_code
post_key(const struct sck_transit *t, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r = {.gave_up = ""};
    struct sck_secret *body = NULL;
    (void)snprintf(path, sizeof path, "%s/keys/%s", t->mount, t->name);
    struct sck_vault_call call = sck_transit_call(t, SCK_OP_CREATE, "POST", path);
    /* These three and no more: a policy with allowed_parameters refuses what it does not list. */
    enum sck_code rc = sck_transit_body("{\"type\":\"aes256-gcm96\",\"exportable\":false,"
                                        "\"allow_plaintext_backup\":false}", &body, err);
    call.token = &t->v->admin;
    call.body = body;
    if (rc == SCK_OK)
        rc = sck_vault_ask(t->v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(t->v, &call, &r, err);
    sck_answer_clear(&r);
    sck_secret_free(&body);
    return rc;
}

enum sck_code
sck_transit_create(struct sck_keeper *keeper, const char *name, uint32_t generation, struct sck_kek_made *made,
                   struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    struct sck_transit t;
    uint32_t version = 0;
    bool missing = false;
    (void)generation;
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, 1);
    enum sck_code rc = sck_transit_aim(v, name, "", "", &t, err);
    /* The server gives an existing key for a new one, so only reading it first tells whose it is. */
    if (rc == SCK_OK)
        rc = sck_transit_read(&t, NULL, &missing, &version, err);
    if (rc == SCK_OK && !missing)
        rc = sck_fail(err, SCK_E_EXISTS, "keeper vault: KEK %s is there already", name);
    if (rc == SCK_OK)
        rc = post_key(&t, err);
    if (rc == SCK_OK)
        rc = sck_transit_read(&t, NULL, &missing, &version, err);
    if (rc == SCK_OK && missing)
        rc = sck_fail(err, SCK_E_CONNECT, "keeper vault: KEK %s was made and is not there: another node answered, or "
                      "it was deleted at once", name);
    if (rc == SCK_OK && version != 1)
        rc = sck_fail(err, SCK_E_EXISTS, "keeper vault: KEK %s is there already", name);
    if (rc == SCK_OK)
        rc = sck_transit_allow_deletion(&t, &missing, err);
    if (rc == SCK_OK && missing)
        rc = sck_fail(err, SCK_E_CONNECT, "keeper vault: KEK %s was deleted while it was made", name);
    if (rc == SCK_OK) {
        made->version = 1;
        memcpy(made->mount, t.mount, strlen(t.mount) + 1);
        memcpy(made->name_space, t.name_space, strlen(t.name_space) + 1);
    }
    return rc;
}

/* A body {"ciphertext":"..."}. */
static enum sck_code
ciphertext_body(const uint8_t *blob, size_t len, struct sck_secret **out, struct sck_err *err)
{
    static const char head[] = "{\"ciphertext\":\"", tail[] = "\"}";
    enum sck_code rc = sck_secret_new(sizeof head - 1 + len + sizeof tail - 1, out, err);
    if (rc != SCK_OK)
        return rc;
    memcpy((*out)->data, head, sizeof head - 1);
    memcpy((*out)->data + sizeof head - 1, blob, len);
    memcpy((*out)->data + sizeof head - 1 + len, tail, sizeof tail - 1);
    return SCK_OK;
}

enum sck_code
sck_transit_try(const struct sck_transit *t, const char *url, const uint8_t *blob, size_t blob_len,
                enum sck_verdict *verdict, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r = {.gave_up = ""};
    struct sck_secret *body = NULL;
    (void)snprintf(path, sizeof path, "%s/decrypt/%s", t->mount, t->name);
    struct sck_vault_call call = sck_transit_call(t, SCK_OP_DECRYPT, "POST", path);
    enum sck_code rc = ciphertext_body(blob, blob_len, &body, err);
    call.token = &t->v->data;
    call.url = url;
    call.body = body;
    if (rc == SCK_OK)
        rc = sck_vault_ask(t->v, &call, &r, err);
    if (rc == SCK_OK) {
        *verdict = r.row->verdict;
        bool of_the_key = *verdict == SCK_SAYS_OK || *verdict == SCK_SAYS_MISSING || *verdict == SCK_SAYS_ALTERED ||
                          *verdict == SCK_SAYS_TOO_OLD || *verdict == SCK_SAYS_SOFT_DELETED;
        if (!of_the_key)
            rc = sck_vault_refused(t->v, &call, &r, err);
    }
    sck_answer_clear(&r);
    sck_secret_free(&body);
    return rc;
}
