/* SPDX-License-Identifier: MIT */
/* New versions of a KEK and the end of old ones: struct sck_keeper_ops.rotate, newest and retire. */
#include "vault/http/transit.h"

#include "lib/base/crypto.h"

#include <stdio.h>
#include <string.h>

/* One POST to keys/:n/`what` by the admin; *missing when there is no such key. */
static enum sck_code
post(const struct sck_transit *t, enum sck_vault_op op, const char *what, const char *json, bool once, bool *missing,
     struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r = {.gave_up = ""};
    struct sck_secret *body = NULL;
    (void)snprintf(path, sizeof path, "%s/keys/%s/%s", t->mount, t->name, what);
    struct sck_vault_call call = sck_transit_call(t, op, "POST", path);
    *missing = false;
    enum sck_code rc = sck_transit_body(json, &body, err);
    call.token = &t->v->admin;
    call.body = body;
    call.once = once;
    if (rc == SCK_OK)
        rc = sck_vault_ask(t->v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict == SCK_SAYS_MISSING)
        *missing = true;
    else if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(t->v, &call, &r, err);
    sck_answer_clear(&r);
    sck_secret_free(&body);
    return rc;
}

static enum sck_code
missing_fail(const struct sck_transit *t, const char *what, struct sck_err *err)
{
    return sck_fail(err, SCK_E_NOT_FOUND, "keeper vault, %s of KEK %s at %s: no such KEK", what, t->name, t->v->url);
}

static enum sck_code
read_version(const struct sck_transit *t, const char *what, uint32_t *version, struct sck_err *err)
{
    bool missing = false;
    enum sck_code rc = sck_transit_read(t, NULL, &missing, version, err);
    return rc == SCK_OK && missing ? missing_fail(t, what, err) : rc;
}

enum sck_code
sck_transit_newest(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version, struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    struct sck_secret *payload = NULL;
    struct sck_transit t;
    struct sck_buf blob;
    enum sck_code rc = sck_transit_aim(v, kek->name, kek->mount, kek->name_space, &t, err);
    if (rc != SCK_OK || v->admin.usable)
        return rc == SCK_OK ? read_version(&t, "read", version, err) : rc;
    /* The data token may not read keys, but what it wraps names the version. */
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    rc = sck_secret_new(SCK_PAYLOAD_LEN, &payload, err);
    if (rc == SCK_OK)
        rc = sck_random(payload->data, payload->len, err);
    if (rc == SCK_OK)
        rc = sck_transit_wrap(keeper, kek, payload, &blob, version, err);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    return rc;
}

enum sck_code
sck_transit_rotate(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made,
                   struct sck_err *err)
{
    struct sck_transit t;
    struct sck_err why = SCK_ERR_INIT;
    uint32_t before = 0;
    bool missing = false;
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, 1);
    enum sck_code rc = sck_transit_aim(sck_vault_of(keeper), kek->name, kek->mount, kek->name_space, &t, err);
    if (rc == SCK_OK)
        rc = read_version(&t, "rotate", &before, err);
    if (rc != SCK_OK)
        return rc;
    /* Asked twice it would rotate twice: when an answer is lost, the version tells whether the server heard. */
    enum sck_code asked = post(&t, SCK_OP_ROTATE, "rotate", "{}", true, &missing, &why);
    if (asked == SCK_OK && missing)
        return missing_fail(&t, "rotate", err);
    if (asked != SCK_OK && asked != SCK_E_CONNECT)
        return sck_fail(err, asked, "%s", why.message);
    rc = read_version(&t, "rotate", &made->version, err);
    if (rc == SCK_OK && made->version == before)
        rc = asked != SCK_OK ? sck_fail(err, asked, "%s", why.message)
                             : sck_fail(err, SCK_E_CONNECT, "keeper vault: KEK %s was rotated and is not newer: a node "
                                        "that is behind answered, try again", t.name);
    if (rc == SCK_OK) {
        memcpy(made->mount, t.mount, strlen(t.mount) + 1);
        memcpy(made->name_space, t.name_space, strlen(t.name_space) + 1);
    }
    return rc;
}

enum sck_code
sck_transit_retire(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest, struct sck_err *err)
{
    struct sck_transit t;
    bool missing = false;
    char json[128];
    enum sck_code rc = sck_transit_aim(sck_vault_of(keeper), kek->name, kek->mount, kek->name_space, &t, err);
    if (rc != SCK_OK)
        return rc;
    /* Trim wants both minima set; trimmed versions are gone from the server's storage. */
    (void)snprintf(json, sizeof json, "{\"min_decryption_version\":%u,\"min_encryption_version\":%u}",
                   (unsigned)oldest, (unsigned)oldest);
    rc = post(&t, SCK_OP_CONFIG, "config", json, false, &missing, err);
    (void)snprintf(json, sizeof json, "{\"min_available_version\":%u}", (unsigned)oldest);
    if (rc == SCK_OK && !missing)
        rc = post(&t, SCK_OP_TRIM, "trim", json, false, &missing, err);
    return rc == SCK_OK && missing ? missing_fail(&t, "retire", err) : rc;
}
