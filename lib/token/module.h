/* SPDX-License-Identifier: MIT */
/*
 * PKCS#11 modules of this process: each is loaded once and never unloaded (its exit handlers and threads need its
 * code), initialised by whoever comes first, and shared by all tokens on it.
 */
#ifndef SCK_TOKEN_MODULE_H
#define SCK_TOKEN_MODULE_H

#include "lib/token/p11.h"

#include <stdatomic.h>

struct sck_token;

struct sck_module {
    struct sck_module *next;
    char *path;
    void *handle;
    CK_FUNCTION_LIST *fns;
    atomic_ulong generation;    /* of the initialisation; changed only while no call is in flight */
    /* Under the registry lock: */
    bool busy;                  /* somebody initialises or finalises */
    bool initialised;
    bool ours;                  /* we initialised it, so we finalise it */
    bool exit_registered;
    unsigned users;             /* tokens that have it open */
    char *env;                  /* "NAME=value" it was initialised with, or NULL */
};

/*
 * Load the module at `path`, or find it loaded.  SCK_E_CONFIG: cannot be loaded, is no PKCS#11 module, is
 * p11-kit-proxy or Scopekey's own.  The result lives as long as the process.
 */
SCK_MUST_CHECK enum sck_code sck_module_load(const char *path, struct sck_module **out, struct sck_err *err);

/* Count a user; pairs with sck_module_drop(), where the last one finalises what we initialised (not during exit). */
void sck_module_use(struct sck_module *m);
void sck_module_drop(struct sck_module *m);

/*
 * Have it initialised; *generation is the initialisation that is valid now.  `env` ("NAME=value" or NULL) is set
 * around C_Initialize only and put back after it.  SCK_E_CONFIG: refused by what it says of itself, or already
 * initialised by us with another `env`.  SCK_E_TOKEN: C_Initialize failed.
 */
SCK_MUST_CHECK enum sck_code sck_module_ensure(struct sck_module *m, const char *env, unsigned long *generation,
                                               struct sck_err *err);
/* A call of `generation` found it not initialised: others finalised it. */
void sck_module_lost(struct sck_module *m, unsigned long generation);
/* A session of `generation` was closed by others, who may as well have finalised it and initialised it anew: it is not
 * ours to finalise any more. */
void sck_module_shared(struct sck_module *m, unsigned long generation);
/* Finalise, if we initialised it and nobody else uses it, so that the next ensure starts afresh.  False if not. */
bool sck_module_restart(struct sck_module *m);

/* Tokens are told of forks: join at birth, leave before death. */
void sck_registry_join(struct sck_token *token);
void sck_registry_leave(struct sck_token *token);

/* ---- wrong PINs of this process ---- */

/* Whether this PIN was refused before by the token that `id` names (a salted hash is remembered, no PIN). */
bool sck_pin_is_refused(const char *id, const uint8_t *pin, size_t len);
void sck_pin_remember_refused(const char *id, const uint8_t *pin, size_t len);

#endif
