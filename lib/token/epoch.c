/* SPDX-License-Identifier: MIT */
/* Epoch keys: the next one is made, an old one destroyed.  Which one is in use is the caller's to say (token.h). */
#include "lib/token/make.h"
#include "lib/token/own.h"
#include "lib/token/store.h"
#include "lib/token/trial.h"

#include "lib/base/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t
sck_epoch_number(const char *name)
{
    return strncmp(name, "epoch/", 6) == 0 ? (uint32_t)strtoul(name + 6, NULL, 10) : 0;
}

/* So that the next use searches the token again: another process may have made or destroyed one. */
static void
look_again(struct sck_token *token)
{
    pthread_mutex_lock(&token->lock);
    if (token->state == SCK_TOKEN_OPEN)
        token->bare = true;
    pthread_mutex_unlock(&token->lock);
}

static int
by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum sck_code
sck_token_epoch_list(struct sck_token *token, uint32_t list[SCK_EPOCHS_MAX], size_t *count, struct sck_err *err)
{
    *count = 0;
    look_again(token);
    enum sck_code rc = sck_token_open(token, SCK_NEED_KEYS, err);
    if (rc != SCK_OK)
        return rc;
    pthread_mutex_lock(&token->lock);
    for (unsigned i = 0; i < token->object_count && *count < SCK_EPOCHS_MAX; i++) {
        uint32_t n = sck_epoch_number(token->objects[i].name);
        if (n != 0)
            list[(*count)++] = n;
    }
    pthread_mutex_unlock(&token->lock);
    qsort(list, *count, sizeof list[0], by_number);
    return SCK_OK;
}

void
sck_token_epoch_use(struct sck_token *token, uint32_t epoch)
{
    uint32_t now = atomic_load(&token->epoch_in_use);
    while (epoch > now && !atomic_compare_exchange_weak(&token->epoch_in_use, &now, epoch))
        ;
}

struct making {
    struct sck_token *t;
    struct sck_use *use;
    struct sck_own *own;        /* what is on the token */
    struct sck_own *only;       /* of these, the objects of one name */
};

static enum sck_code
making_begin(struct making *m, struct sck_err *err)
{
    m->own = calloc(1, sizeof *m->own);
    m->only = calloc(1, sizeof *m->only);
    if (m->own == NULL || m->only == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    return sck_own_find(m->t, &m->use->conn, m->use->session, m->own, err);
}

static void
pick(struct making *m, const char *name)
{
    m->only->count = 0;
    for (unsigned i = 0; i < m->own->count; i++) {
        if (strcmp(m->own->objects[i].name, name) == 0)
            m->only->objects[m->only->count++] = m->own->objects[i];
    }
}

static enum sck_code
destroy_picked(struct making *m, const char *name, struct sck_err *err)
{
    for (unsigned i = 0; i < m->only->count; i++) {
        CK_RV rv = SCK_P11(&m->use->conn, C_DestroyObject, m->use->session, m->only->objects[i].handle);
        if (rv != CKR_OK)
            return sck_fail_rv(err, rv, "destroying own key %s on token %s", name, m->t->conf.label);
    }
    return SCK_OK;
}

static CK_RV
generate(const struct making *m, const struct sck_own_spec *spec, bool plain)
{
    static const struct sck_maker aes = {SCK_ALG_AES_256, CKM_AES_KEY_GEN, 256, NULL, 0, NULL, 0};
    struct sck_own_template t;
    CK_OBJECT_HANDLE public, key;
    sck_own_template(m->t, spec, 0, true, plain, &t);
    return sck_generate(m->use, &aes, NULL, &t.key, &public, &key);
}

/* The epochs on the token must fit: the newest is the one before, or (an earlier run was cut) the one wanted. */
static enum sck_code
check_fit(const struct making *m, uint32_t epoch, struct sck_err *err)
{
    uint32_t newest = 0, count = 0;
    for (unsigned i = 0; i < m->own->count; i++) {
        uint32_t n = sck_epoch_number(m->own->objects[i].name);
        newest = n > newest ? n : newest;
        count += n != 0 ? 1U : 0U;
    }
    if (newest != epoch && newest + 1 != epoch)
        return sck_fail(err, SCK_E_STATE, "epoch key %u cannot be made: the newest on token %s is %u", epoch,
                        m->t->conf.label, newest);
    if (newest != epoch && count >= SCK_EPOCHS_MAX)
        return sck_fail(err, SCK_E_STATE, "token %s holds %u epoch keys already: let old ones be destroyed first",
                        m->t->conf.label, count);
    return SCK_OK;
}

static enum sck_code
make_locked(struct making *m, uint32_t epoch, const struct sck_write *w, struct sck_err *err)
{
    struct sck_own_spec spec;
    struct sck_trial trial = {{CK_INVALID_HANDLE}};
    struct sck_err local = SCK_ERR_INIT;
    char name[40];
    (void)snprintf(name, sizeof name, "epoch/%u", epoch);
    (void)sck_own_spec_of(name, &spec);
    enum sck_code rc = check_fit(m, epoch, err);
    if (rc != SCK_OK)
        return rc;
    pick(m, name);
    bool present = m->only->count == 1 &&
        sck_own_verify(m->t, &m->use->conn, m->use->session, m->only, NULL, NULL, &local) == SCK_OK &&
        m->only->count == 1;
    if (!present) {
        /* Half made by a run that was cut; nothing can be under it (the caller's promise). */
        pick(m, name);
        rc = destroy_picked(m, name, err);
        CK_RV rv = rc == SCK_OK ? generate(m, &spec, false) : CKR_OK;
        if (rv != CKR_OK && m->t->conf.insecure_master && sck_rv_lost(rv) == SCK_LOST_NOTHING)
            rv = generate(m, &spec, true);
        if (rc == SCK_OK && rv != CKR_OK)
            rc = sck_fail_rv(err, rv, "making own key %s on token %s", name, m->t->conf.label);
    }
    sck_fault_point("token-epoch-made");
    if (rc == SCK_OK)
        rc = sck_write_sync(w, err);
    if (rc == SCK_OK) {
        CK_RV rv = sck_session_refresh(m->use);
        if (rv != CKR_OK)
            rc = sck_fail_rv(err, rv, "opening a fresh session on token %s", m->t->conf.label);
    }
    if (rc == SCK_OK)
        rc = sck_trial_own(m->use, &spec, 0, &trial, err);
    sck_fault_point("token-epoch-tried");
    return rc;
}

static enum sck_code
destroy_locked(struct making *m, uint32_t epoch, const struct sck_write *w, struct sck_err *err)
{
    char name[40];
    uint32_t newest = 0;
    for (unsigned i = 0; i < m->own->count; i++) {
        uint32_t n = sck_epoch_number(m->own->objects[i].name);
        newest = n > newest ? n : newest;
    }
    if (epoch >= newest)
        return sck_fail(err, SCK_E_STATE, "epoch key %u is the newest on token %s and is not destroyed", epoch,
                        m->t->conf.label);
    (void)snprintf(name, sizeof name, "epoch/%u", epoch);
    pick(m, name);
    enum sck_code rc = destroy_picked(m, name, err);
    sck_fault_point("token-epoch-destroyed");
    if (rc == SCK_OK)
        rc = sck_write_sync(w, err);
    /* Seen from a session of its own that it is gone, not believed. */
    CK_RV rv = rc == SCK_OK ? sck_session_refresh(m->use) : CKR_OK;
    if (rv != CKR_OK)
        rc = sck_fail_rv(err, rv, "opening a fresh session on token %s", m->t->conf.label);
    if (rc == SCK_OK)
        rc = sck_own_find(m->t, &m->use->conn, m->use->session, m->own, err);
    pick(m, name);
    if (rc == SCK_OK && m->only->count > 0)
        rc = sck_fail(err, SCK_E_TOKEN, "epoch key %u is still on token %s after it was destroyed", epoch,
                      m->t->conf.label);
    return rc;
}

static enum sck_code
with_token(struct sck_token *token, uint32_t epoch,
           enum sck_code (*work)(struct making *m, uint32_t epoch, const struct sck_write *w, struct sck_err *err),
           struct sck_err *err)
{
    struct sck_use use;
    struct sck_write w = {&token->conf, -1, 0};
    struct making m = {.t = token, .use = &use};
    enum sck_code rc = epoch == 0 ? sck_fail(err, SCK_E_USAGE, "epochs are numbered from 1") : SCK_OK;
    if (rc == SCK_OK)
        rc = sck_write_begin(&token->conf, &w, err);
    if (rc == SCK_OK)
        rc = sck_session_take(token, SCK_NEED_BARE, false, &use, err);
    if (rc == SCK_OK) {
        rc = making_begin(&m, err);
        if (rc == SCK_OK)
            rc = work(&m, epoch, &w, err);
        (void)sck_session_give(&use, CKR_OK);
    }
    sck_write_end(&w);
    free(m.own);
    free(m.only);
    look_again(token);
    return rc;
}

enum sck_code
sck_token_epoch_make(struct sck_token *token, uint32_t epoch, struct sck_err *err)
{
    return with_token(token, epoch, make_locked, err);
}

enum sck_code
sck_token_epoch_destroy(struct sck_token *token, uint32_t epoch, struct sck_err *err)
{
    return with_token(token, epoch, destroy_locked, err);
}
