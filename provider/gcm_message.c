/* SPDX-License-Identifier: MIT */
#include "provider/gcm.h"

#include <stdlib.h>
#include <string.h>

int
sck_gcm_refuse(const struct sck_gcm *g, enum sck_code code, const char *text)
{
    struct sck_err err = SCK_ERR_INIT;
    (void)sck_fail(&err, code, "%s", text);
    SCK_RAISE(g->prov, &err);
    return 0;
}

int
sck_gcm_check(const struct sck_gcm *g, enum sck_code rc, const struct sck_err *err)
{
    if (rc != SCK_OK)
        SCK_RAISE(g->prov, err);
    return rc == SCK_OK;
}

static enum sck_code
open_key(struct sck_gcm *g, struct sck_err *err)
{
    struct sck_service *service = NULL;
    if (g->info == NULL)
        return sck_fail(err, SCK_E_USAGE, "no key: set the parameter uri");
    if (g->ukey != NULL)
        return SCK_OK;
    enum sck_code rc = sck_prov_service(g->prov, &service, err);
    if (rc == SCK_OK)
        rc = sck_ukey_open(service, g->info, &g->ukey, err);
    return rc;
}

static enum sck_code
seal_into(struct sck_gcm *g, const unsigned char *in, size_t len, uint8_t *sealed, struct sck_err *err)
{
    bool own_nonce = g->info->usage == SCK_USAGE_GCM;
    if (own_nonce && g->has_nonce)
        return sck_fail(err, SCK_E_USAGE, "a key of usage gcm makes its own nonces: give none and read updated-iv");
    if (!own_nonce && !g->has_nonce)
        return sck_fail(err, SCK_E_USAGE, "a key of usage gcm-caller-iv needs a nonce for each message");
    /* Whatever happens, the caller's nonce counts as used. */
    g->has_nonce = false;
    return own_nonce ? sck_ukey_gcm_seal(g->ukey, g->nonce, g->aad.data, g->aad.len, in, len, sealed, err)
                     : sck_ukey_gcm_seal_iv(g->ukey, g->nonce, g->aad.data, g->aad.len, in, len, sealed, err);
}

int
sck_gcm_message_seal(struct sck_gcm *g, const unsigned char *in, size_t len, unsigned char *out)
{
    struct sck_err err = SCK_ERR_INIT;
    sck_queue_keep();
    uint8_t *sealed = malloc(len + SCK_GCM_TAG_LEN);
    enum sck_code rc = sealed == NULL ? sck_fail(&err, SCK_E_MEMORY, "out of memory") : open_key(g, &err);
    if (rc == SCK_OK)
        rc = seal_into(g, in, len, sealed, &err);
    if (rc == SCK_OK) {
        if (len > 0)
            memcpy(out, sealed, len);
        memcpy(g->tag, sealed + len, sizeof g->tag);
        g->has_tag = g->nonce_known = g->done = true;
        g->version = sck_ukey_info(g->ukey)->version;
    }
    free(sealed);
    sck_queue_restore();
    return sck_gcm_check(g, rc, &err);
}

/* The URI named no version: the message may be of an older one. */
static enum sck_code
open_older(struct sck_gcm *g, const uint8_t *sealed, size_t len, unsigned char *out, struct sck_err *err)
{
    struct sck_service *service = NULL;
    enum sck_code rc = sck_prov_service(g->prov, &service, err);
    struct sck_key_info *info = malloc(sizeof *info);
    if (rc == SCK_OK && info == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    uint32_t version = g->info->version;
    bool opened = false;
    while (rc == SCK_OK && !opened && --version > 0) {
        struct sck_err one = SCK_ERR_INIT;
        struct sck_ukey *ukey = NULL;
        enum sck_code step = sck_key_find_by_id(service, g->info->id, version, info, &one);
        if (step == SCK_OK)
            step = sck_ukey_open(service, info, &ukey, &one);
        if (step == SCK_OK)
            step = sck_ukey_gcm_open(ukey, g->nonce, g->aad.data, g->aad.len, sealed, len, out, &one);
        sck_ukey_unref(&ukey);
        opened = step == SCK_OK;
        if (!opened && step != SCK_E_AUTHENTIC && step != SCK_E_NOT_FOUND && step != SCK_E_ERASED) {
            *err = one;
            rc = step;
        }
    }
    g->version = version;
    free(info);
    if (rc == SCK_OK && !opened)
        rc = sck_fail(err, SCK_E_AUTHENTIC, "the message was altered, or not made with any version of this key");
    return rc;
}

int
sck_gcm_message_open(struct sck_gcm *g, const unsigned char *in, size_t len, unsigned char *out)
{
    struct sck_err err = SCK_ERR_INIT;
    uint8_t nothing;
    sck_queue_keep();
    enum sck_code rc = open_key(g, &err);
    if (rc == SCK_OK && !g->has_nonce)
        rc = sck_fail(&err, SCK_E_USAGE, "decryption needs the nonce that the message was made with");
    uint8_t *sealed = rc == SCK_OK ? malloc(len + SCK_GCM_TAG_LEN) : NULL;
    if (rc == SCK_OK && sealed == NULL)
        rc = sck_fail(&err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK) {
        if (len > 0)
            memcpy(sealed, in, len);
        memcpy(sealed + len, g->tag, sizeof g->tag);
        unsigned char *to = len > 0 ? out : &nothing;
        g->version = g->info->version;
        rc = sck_ukey_gcm_open(g->ukey, g->nonce, g->aad.data, g->aad.len, sealed, len + SCK_GCM_TAG_LEN, to, &err);
        if (rc == SCK_E_AUTHENTIC && g->uri.version == 0 && g->info->version > 1) {
            sck_err_clear(&err);
            rc = open_older(g, sealed, len + SCK_GCM_TAG_LEN, to, &err);
        }
    }
    free(sealed);
    sck_queue_restore();
    g->done = rc == SCK_OK;
    return sck_gcm_check(g, rc, &err);
}
