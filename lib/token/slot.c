/* SPDX-License-Identifier: MIT */
/* Tokens are found by label and serial number each time: slot numbers change at every initialisation. */
#include "lib/token/session.h"

#include <stdlib.h>
#include <string.h>

void
sck_padded_text(const unsigned char *field, size_t len, char *out, size_t cap)
{
    while (len > 0 && (field[len - 1] == ' ' || field[len - 1] == 0))
        len--;
    size_t n = len < cap - 1 ? len : cap - 1;
    memcpy(out, field, n);
    out[n] = 0;
}

bool
sck_padded_equal(const unsigned char *field, size_t len, const char *text)
{
    char plain[65];
    sck_padded_text(field, len, plain, sizeof plain);
    return strcmp(plain, text) == 0;
}

static CK_RV
list_slots(struct sck_conn *c, CK_SLOT_ID **out, CK_ULONG *count)
{
    CK_RV rv;
    *out = NULL;
    do {
        free(*out);
        *out = NULL;
        rv = SCK_P11(c, C_GetSlotList, CK_TRUE, NULL, count);
        if (rv != CKR_OK || *count == 0)
            return rv;
        *out = calloc(*count, sizeof **out);
        if (*out == NULL)
            return CKR_HOST_MEMORY;
        rv = SCK_P11(c, C_GetSlotList, CK_TRUE, *out, count);
    } while (rv == CKR_BUFFER_TOO_SMALL);
    return rv;
}

static void
describe(struct sck_buf *there, const CK_TOKEN_INFO *info)
{
    char label[33], serial[17];
    sck_padded_text(info->label, sizeof info->label, label, sizeof label);
    sck_padded_text(info->serialNumber, sizeof info->serialNumber, serial, sizeof serial);
    sck_buf_printf(there, "%s\"%s\" (serial %s)", there->len > 0 ? ", " : "", label, serial);
}

static enum sck_code
fail_absent(const struct sck_token_conf *conf, unsigned found, struct sck_buf *there, struct sck_err *err)
{
    if (found > 1)
        return sck_fail(err, SCK_E_TOKEN, "%u tokens have the label \"%s\": set the serial number too; there are: %s",
                        found, conf->label, sck_buf_str(there));
    return sck_fail(err, SCK_E_TOKEN, "no token \"%s\"%s%s: connect it or correct the label; there %s%s", conf->label,
                    conf->serial == NULL ? "" : " with serial number ", conf->serial == NULL ? "" : conf->serial,
                    there->len == 0 ? "is none" : "are: ", sck_buf_str(there));
}

enum sck_code
sck_slot_find(const struct sck_token_conf *conf, struct sck_conn *c, CK_SLOT_ID *slot, CK_TOKEN_INFO *info,
              bool *absent, struct sck_err *err)
{
    CK_SLOT_ID *slots = NULL;
    CK_ULONG count = 0;
    unsigned found = 0;
    struct sck_buf there;
    enum sck_code rc = SCK_OK;
    *absent = false;
    sck_buf_init(&there, 400);
    CK_RV rv = list_slots(c, &slots, &count);
    if (rv != CKR_OK) {
        rc = sck_fail_rv(err, rv, "listing the slots of %s", conf->module_path);
        goto out;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO one;
        memset(&one, 0, sizeof one);
        rv = SCK_P11(c, C_GetTokenInfo, slots[i], &one);
        if (sck_rv_lost(rv) == SCK_LOST_MODULE) {
            rc = sck_fail_rv(err, rv, "reading the tokens of %s", conf->module_path);
            goto out;
        }
        if (rv != CKR_OK || (one.flags & CKF_TOKEN_INITIALIZED) == 0)
            continue;
        describe(&there, &one);
        if (!sck_padded_equal(one.label, sizeof one.label, conf->label) ||
            (conf->serial != NULL && !sck_padded_equal(one.serialNumber, sizeof one.serialNumber, conf->serial)))
            continue;
        found++;
        *slot = slots[i];
        *info = one;
    }
    if (found != 1) {
        *absent = found == 0;
        rc = fail_absent(conf, found, &there, err);
    }
out:
    sck_buf_clear(&there);
    free(slots);
    return rc;
}
