/* SPDX-License-Identifier: MIT */
/*
 * The rollback anchor: private data objects, each written once.  A new one is made and synced before the one but
 * last is destroyed, so that a crash at any point leaves the anchor of before or the new one.
 * CKA_VALUE = u64 number ‖ u16 length ‖ data ‖ SHA-256 of all before; the highest number is the newest.
 */
#include "lib/token/own.h"
#include "lib/token/store.h"

#include "lib/base/crypto.h"
#include "lib/base/fault.h"

#include <stdio.h>
#include <string.h>

enum { ANCHOR_MAX = 128, ANCHOR_HEAD = 10, ANCHOR_OBJECTS = 8, KEEP = 2 };

struct anchor {
    CK_OBJECT_HANDLE handle;
    bool valid;
    uint64_t number;
    uint8_t data[ANCHOR_MAX];
    size_t len;
};

struct anchor_args {
    struct anchor there[ANCHOR_OBJECTS];
    CK_ULONG count;
    const void *data;
    size_t len;
};

static void
anchor_template(struct sck_use *use, char label[128], struct sck_template *t)
{
    const struct sck_token *token = use->token;
    (void)snprintf(label, 128, "%sanchor", token->prefix);
    sck_template_start(t);
    sck_template_ulong(t, CKA_CLASS, CKO_DATA);
    sck_template_bool(t, CKA_TOKEN, true);
    sck_template_bytes(t, CKA_APPLICATION, token->prefix, strlen(token->prefix) - 1);
    sck_template_bytes(t, CKA_LABEL, label, strlen(label));
}

static void
decode(const uint8_t *value, size_t len, struct anchor *a)
{
    uint8_t sum[SCK_SHA256_LEN];
    struct sck_reader r = sck_reader_from(value, len);
    a->number = sck_read_u64(&r);
    a->len = sck_read_u16(&r);
    const uint8_t *data = sck_read(&r, a->len);
    const uint8_t *want = sck_read(&r, sizeof sum);
    a->valid = sck_reader_is_done(&r) && a->len <= ANCHOR_MAX &&
        sck_sha256(value, len - sizeof sum, sum, NULL) == SCK_OK && memcmp(sum, want, sizeof sum) == 0;
    if (a->valid)
        memcpy(a->data, data, a->len);
}

static CK_RV
read_op(struct sck_use *use, void *arg)
{
    struct anchor_args *a = arg;
    CK_OBJECT_HANDLE handles[ANCHOR_OBJECTS];
    struct sck_template t;
    char label[128];
    anchor_template(use, label, &t);
    CK_RV rv = sck_find(&use->conn, use->session, &t, handles, ANCHOR_OBJECTS, &a->count);
    for (CK_ULONG i = 0; rv == CKR_OK && i < a->count; i++) {
        struct anchor *one = &a->there[i];
        uint8_t value[ANCHOR_HEAD + ANCHOR_MAX + SCK_SHA256_LEN];
        CK_ATTRIBUTE at = {CKA_VALUE, value, sizeof value};
        memset(one, 0, sizeof *one);
        one->handle = handles[i];
        CK_RV got = SCK_P11(&use->conn, C_GetAttributeValue, use->session, handles[i], &at, 1);
        if (got == CKR_OK)
            decode(value, at.ulValueLen, one);
        else if (sck_rv_lost(got) != SCK_LOST_NOTHING)
            rv = got;
    }
    return rv;
}

static const struct anchor *
newest(const struct anchor_args *a)
{
    const struct anchor *best = NULL;
    for (CK_ULONG i = 0; i < a->count; i++) {
        if (a->there[i].valid && (best == NULL || a->there[i].number > best->number))
            best = &a->there[i];
    }
    return best;
}

static CK_RV
create_op(struct sck_use *use, void *arg)
{
    struct anchor_args *a = arg;
    struct sck_template t;
    struct sck_buf value;
    char label[128];
    uint8_t sum[SCK_SHA256_LEN];
    CK_OBJECT_HANDLE fresh = CK_INVALID_HANDLE;
    CK_RV rv = read_op(use, a);
    if (rv != CKR_OK)
        return rv;
    const struct anchor *best = newest(a);
    sck_buf_init(&value, ANCHOR_HEAD + ANCHOR_MAX + SCK_SHA256_LEN);
    sck_buf_put_u64(&value, best == NULL ? 1 : best->number + 1);
    sck_buf_put_u16(&value, (uint16_t)a->len);
    sck_buf_put(&value, a->data, a->len);
    if (value.failed || sck_sha256(value.data, value.len, sum, NULL) != SCK_OK) {
        sck_buf_clear(&value);
        return CKR_HOST_MEMORY;
    }
    sck_buf_put(&value, sum, sizeof sum);
    anchor_template(use, label, &t);
    sck_template_bool(&t, CKA_PRIVATE, true);
    sck_template_bytes(&t, CKA_VALUE, value.data, value.len);
    rv = SCK_P11(&use->conn, C_CreateObject, use->session, t.at, t.count, &fresh);
    sck_buf_clear(&value);
    return rv;
}

/* Destroy all but the newest two; what a crash left half-written goes too. */
static CK_RV
trim_op(struct sck_use *use, void *arg)
{
    struct anchor_args *a = arg;
    CK_RV rv = read_op(use, a);
    for (int kept = 0; rv == CKR_OK && kept < KEEP; kept++) {
        struct anchor *best = NULL;
        for (CK_ULONG i = 0; i < a->count; i++) {
            struct anchor *one = &a->there[i];
            if (one->valid && (best == NULL || one->number > best->number))
                best = one;
        }
        if (best != NULL) {
            best->valid = false;
            best->handle = CK_INVALID_HANDLE;
        }
    }
    for (CK_ULONG i = 0; rv == CKR_OK && i < a->count; i++) {
        if (a->there[i].handle != CK_INVALID_HANDLE)
            rv = SCK_P11(&use->conn, C_DestroyObject, use->session, a->there[i].handle);
    }
    return rv;
}

enum sck_code
sck_token_anchor_read(struct sck_token *token, struct sck_buf *out, struct sck_err *err)
{
    struct anchor_args a;
    enum sck_code rc = sck_token_run(token, SCK_NEED_BARE, false, read_op, &a, "reading the token's anchor", err);
    if (rc != SCK_OK)
        return rc;
    const struct anchor *best = newest(&a);
    if (best == NULL && a.count > 0)
        return sck_fail(err, SCK_E_INTEGRITY, "the anchor on token %s was changed: run `scopekey reconcile`",
                        token->conf.label);
    if (best != NULL)
        sck_buf_put(out, best->data, best->len);
    return sck_buf_check(out, "the token's anchor", err);
}

enum sck_code
sck_token_anchor_write(struct sck_token *token, const void *data, size_t len, struct sck_err *err)
{
    struct anchor_args a = {.data = data, .len = len};
    struct sck_write w;
    if (len > ANCHOR_MAX)
        return sck_fail(err, SCK_E_USAGE, "the token's anchor holds at most %d bytes, not %zu", ANCHOR_MAX, len);
    enum sck_code rc = sck_write_begin(&token->conf, &w, err);
    if (rc == SCK_OK)
        rc = sck_token_run(token, SCK_NEED_BARE, false, create_op, &a, "writing the token's anchor", err);
    sck_fault_point("token-anchor-written");
    if (rc == SCK_OK)
        rc = sck_write_sync(&w, err);
    if (rc == SCK_OK)
        rc = sck_token_run(token, SCK_NEED_BARE, false, trim_op, &a, "writing the token's anchor", err);
    sck_write_end(&w);
    return rc;
}
