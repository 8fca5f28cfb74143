/* SPDX-License-Identifier: MIT */
/* Resident keys: token objects, for what the token cannot wrap and for keys that start a door. */
#include "lib/token/key.h"
#include "lib/token/make.h"
#include "lib/token/own.h"
#include "lib/token/store.h"
#include "lib/token/trial.h"

#include "lib/base/fault.h"

#include <string.h>

struct resident_args {
    const struct sck_kind *kind;
    const struct sck_maker *maker;
    const char *label;
    const uint8_t *id;
    struct sck_buf *spki;
    bool exists;
};

static CK_RV
find_by_id(struct sck_use *use, const uint8_t id[16], CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *found)
{
    struct sck_template t;
    sck_template_start(&t);
    sck_template_bool(&t, CKA_TOKEN, true);
    sck_template_bytes(&t, CKA_ID, id, 16);
    return sck_find(&use->conn, use->session, &t, out, max, found);
}

static void
resident_template(struct sck_template *t, const struct resident_args *a)
{
    sck_template_start(t);
    sck_template_ulong(t, CKA_CLASS, a->kind->class);
    sck_template_ulong(t, CKA_KEY_TYPE, a->kind->key_type);
    sck_template_bool(t, CKA_TOKEN, true);
    sck_template_bytes(t, CKA_LABEL, a->label, strlen(a->label));
    sck_template_bytes(t, CKA_ID, a->id, 16);
    sck_template_bool(t, CKA_PRIVATE, true);
    sck_template_bool(t, CKA_SENSITIVE, true);
    sck_template_bool(t, CKA_EXTRACTABLE, false);
    if (a->kind->class == CKO_SECRET_KEY)
        sck_template_ulong(t, CKA_VALUE_LEN, 32);
    sck_template_flags(t, a->kind->class, a->kind->may);
    sck_template_mechanisms(t, a->kind->mechanisms, a->kind->mechanism_count);
    sck_template_bool(t, CKA_COPYABLE, false);
    sck_template_bool(t, CKA_MODIFIABLE, false);
}

static CK_RV
make_resident(struct sck_use *use, struct resident_args *a, bool old_name)
{
    struct sck_template key_t, public_t;
    CK_OBJECT_HANDLE public = CK_INVALID_HANDLE, key = CK_INVALID_HANDLE;
    bool pair = a->kind->class == CKO_PRIVATE_KEY;
    resident_template(&key_t, a);
    if (pair) {
        sck_template_public(&public_t, a->maker, a->kind->key_type, old_name);
        /* A public object beside each private one: other clients of the token look for it. */
        public_t.at[2].pValue = key_t.at[2].pValue;
        sck_template_bytes(&public_t, CKA_LABEL, a->label, strlen(a->label));
        sck_template_bytes(&public_t, CKA_ID, a->id, 16);
    }
    CK_RV rv = sck_generate(use, a->maker, pair ? &public_t : NULL, &key_t, &public, &key);
    if (rv == CKR_OK && pair)
        rv = sck_read_spki(use, a->maker, a->kind->key_type, public, a->spki);
    return rv;
}

static CK_RV
resident_op(struct sck_use *use, void *arg)
{
    struct resident_args *a = arg;
    CK_OBJECT_HANDLE there[1];
    CK_ULONG found = 0;
    sck_buf_reset(a->spki);
    CK_RV rv = find_by_id(use, a->id, there, 1, &found);
    a->exists = found > 0;
    if (rv != CKR_OK || a->exists)
        return rv;
    rv = make_resident(use, a, false);
    if (rv != CKR_OK && a->maker->ec_name != NULL && sck_rv_lost(rv) == SCK_LOST_NOTHING)
        rv = make_resident(use, a, true);
    return rv;
}

/* Sign or encrypt once, in a session that has not seen the key being made. */
static CK_RV
try_op(struct sck_use *use, void *arg)
{
    static const uint8_t in[32] = "scopekey: the first use of a key";
    struct resident_args *a = arg;
    struct sck_template t;
    CK_ULONG found = 0, len = 1024;
    uint8_t out[1024], nonce[12] = {0};
    CK_RV rv = sck_session_refresh(use);
    sck_template_start(&t);
    sck_template_ulong(&t, CKA_CLASS, a->kind->class);
    sck_template_bool(&t, CKA_TOKEN, true);
    sck_template_bytes(&t, CKA_ID, a->id, 16);
    if (rv == CKR_OK)
        rv = sck_find(&use->conn, use->session, &t, &use->object, 1, &found);
    if (rv == CKR_OK && found == 0)
        rv = CKR_OBJECT_HANDLE_INVALID;
    if (rv != CKR_OK)
        return rv;
    if (a->kind->mechanisms[0] == CKM_AES_GCM) {
        struct sck_gcm_args g = {.seal = true, .nonce = nonce, .in = in, .in_len = sizeof in, .room = out,
                                 .room_len = sizeof in + 16, .out_len = sizeof in + 16};
        return sck_gcm_op(use, &g);
    }
    if ((a->kind->may & SCK_MAY_SIGN) == 0)
        return CKR_OK;
    CK_MECHANISM m = {a->kind->mechanisms[0], NULL, 0};
    rv = SCK_P11(&use->conn, C_SignInit, use->session, &m, use->object);
    return rv == CKR_OK ? SCK_P11(&use->conn, C_Sign, use->session, sck_unconst(in), sizeof in, out, &len) : rv;
}

/* Token objects are not made twice by a second attempt: what a lost token had done by then is not known. */
static enum sck_code
run_once(struct sck_token *t, sck_op_fn op, void *arg, const char *what, struct sck_err *err)
{
    struct sck_use use;
    enum sck_code rc = sck_session_take(t, SCK_NEED_BARE, false, &use, err);
    if (rc != SCK_OK)
        return rc;
    CK_RV rv = op(&use, arg);
    (void)sck_session_give(&use, rv);
    return rv == CKR_OK ? SCK_OK : sck_fail_rv(err, rv, "%s on token %s", what, t->conf.label);
}

enum sck_code
sck_token_generate_resident(struct sck_token *token, enum sck_alg alg, enum sck_usage usage, const char *label,
                            const uint8_t id[16], struct sck_buf *spki, struct sck_err *err)
{
    const struct sck_alg_info *info = sck_alg_info(alg);
    const struct sck_maker *maker = sck_maker_of(alg);
    const struct sck_kind *kind = info == NULL ? NULL : sck_kind_find(usage, info->family);
    struct sck_write w = {&token->conf, -1, 0};
    struct sck_buf fresh;
    if (kind == NULL || maker == NULL || label == NULL || label[0] == 0)
        return sck_fail(err, SCK_E_USAGE, "a resident key needs a label, and a usage that fits its algorithm");
    if (memcmp(id, token->conf.setup_id, 16) == 0)
        return sck_fail(err, SCK_E_USAGE, "the id of a resident key is the set-up's own");
    sck_buf_init(&fresh, 1024);
    struct resident_args a = {kind, maker, label, id, &fresh, false};
    enum sck_code rc = sck_write_begin(&token->conf, &w, err);
    if (rc == SCK_OK)
        rc = run_once(token, resident_op, &a, "generating a resident key", err);
    if (rc == SCK_OK && a.exists)
        rc = sck_fail(err, SCK_E_EXISTS, "a key with this id is on token %s already", token->conf.label);
    sck_fault_point("token-resident-made");
    if (rc == SCK_OK)
        rc = sck_write_sync(&w, err);
    if (rc == SCK_OK)
        rc = run_once(token, try_op, &a, "first use of a resident key", err);
    sck_write_end(&w);
    if (rc == SCK_OK && kind->class == CKO_PRIVATE_KEY) {
        sck_buf_put(spki, fresh.data, fresh.len);
        rc = sck_buf_check(spki, "a public key", err);
    }
    sck_buf_clear(&fresh);
    return rc;
}

static CK_RV
destroy_op(struct sck_use *use, void *arg)
{
    const struct resident_args *a = arg;
    CK_OBJECT_HANDLE handles[16];
    CK_ULONG found = 0;
    CK_RV rv = find_by_id(use, a->id, handles, 16, &found);
    for (CK_ULONG i = 0; rv == CKR_OK && i < found; i++)
        rv = SCK_P11(&use->conn, C_DestroyObject, use->session, handles[i]);
    return rv;
}

enum sck_code
sck_token_destroy_resident(struct sck_token *token, const uint8_t id[16], struct sck_err *err)
{
    struct resident_args a = {.id = id};
    struct sck_write w = {&token->conf, -1, 0};
    if (memcmp(id, token->conf.setup_id, 16) == 0)
        return sck_fail(err, SCK_E_USAGE, "the id of a resident key is the set-up's own");
    enum sck_code rc = sck_write_begin(&token->conf, &w, err);
    if (rc == SCK_OK)
        rc = sck_token_run(token, SCK_NEED_BARE, false, destroy_op, &a, "destroying a resident key", err);
    if (rc == SCK_OK)
        rc = sck_write_sync(&w, err);
    sck_write_end(&w);
    return rc;
}
