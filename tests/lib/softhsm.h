/* SPDX-License-Identifier: MIT */
/* A real SoftHSM token in a folder of its own, for tests.  Everything here stops the test when it fails. */
#ifndef TESTS_LIB_SOFTHSM_H
#define TESTS_LIB_SOFTHSM_H

#include "lib/token/token.h"

#define SOFTHSM_PIN "1234-user"
#define SOFTHSM_SO_PIN "1234-officer"

struct softhsm {
    char folder[64];            /* temporary, removed by softhsm_end() */
    char module_path[256];
    char module_env[128];
    char lock_path[96];
    char store_dir[96];
    char counts_path[96];       /* of the spy */
    char faults_path[96];
    unsigned faults_written;
    const char *label;
    char pin[32];               /* what the callback gives */
    unsigned pin_asked;
    unsigned pin_again;
    struct sck_token_conf conf; /* ready to use */
};

/* Where SoftHSM is installed; stops the program when it is not. */
const char *softhsm_module(void);
/* Make the folder, softhsm2.conf and one token called "scopekey test". */
void softhsm_start(struct softhsm *h);
/* Make the folder and softhsm2.conf only. */
void softhsm_start_empty(struct softhsm *h);
/* Remove the folder. */
void softhsm_end(struct softhsm *h);
/* Use the token that is in another's folder already; softhsm_end() is the other's. */
void softhsm_attach(struct softhsm *h, const char *folder);
/* Put the spy (tests/lib/spy.h) between us and SoftHSM.  Before the token is opened. */
void softhsm_spy(struct softhsm *h);
/* What the spy does wrong from the next call on: lines of its fault file, "" for nothing. */
void softhsm_fault(struct softhsm *h, const char *lines);
/* The PIN callback; arg is the struct softhsm. */
enum sck_code softhsm_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err);
/* A token with all own keys, logged in. */
struct sck_token *softhsm_open(struct softhsm *h);
/* The same, provisioned before. */
struct sck_token *softhsm_provisioned(struct softhsm *h);

#endif
