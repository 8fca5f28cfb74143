/* SPDX-License-Identifier: MIT */
/* Looking at keepers, trying one out, and bringing keys of other programs into keeper local. */
#ifndef SCK_SERVICE_KEEPERS_H
#define SCK_SERVICE_KEEPERS_H

#include "lib/service/service.h"

/* One keeper of a set-up.  What is not known or does not apply is "" or -1. */
struct sck_keeper_info {
    enum sck_keeper_kind kind;
    bool is_current;            /* new KEKs are made here */
    enum sck_code code;         /* SCK_OK: it answers and wraps */
    char problem[SCK_ERR_MESSAGE_MAX];
    char where[768];
    char version[64];
    int sealed;                 /* 0 no, 1 yes */
    int64_t token_ttl_s;        /* what is left of its data credential */
    int64_t admin_ttl_s;        /* and of the one that makes and destroys KEKs */
    char breaker[16];           /* "closed", "open" or "half-open" */
    int64_t latency_us;         /* of wrapping one DEK */
    bool erases_at_once;        /* else erasure is scheduled */
    bool rewraps_blind;         /* rewraps without showing the DEK */
    int64_t keks;               /* living owners whose current KEK is here */
    int64_t former;             /* KEKs of living owners that they had here before */
    int64_t blobs;              /* wrapped DEKs in the catalog that are under KEKs here; -1: not counted */
};
typedef enum sck_code (*sck_keeper_fn)(void *arg, const struct sck_keeper_info *keeper, struct sck_err *err);
/*
 * The configured keeper, and every other one that still holds a KEK.  Makes one request or two to each; one that does
 * not answer is told like the others.  Walks all owners; with `count_blobs` all their keys and files, too.
 */
SCK_MUST_CHECK enum sck_code sck_keeper_each(struct sck_service *service, bool count_blobs, sck_keeper_fn fn, void *arg,
                                             struct sck_err *err);

/* One step of a trial: what was done and how long it took; `problem` NULL when it went well. */
typedef void (*sck_keeper_step_fn)(void *arg, const char *step, int64_t duration_us, const char *problem);
/*
 * Make a throw-away KEK at the configured keeper, use it in every way, erase it, and see that it is gone.  It is erased
 * whatever fails; its name begins with the prefix and "-trial-".  The first failure's code and message.
 */
SCK_MUST_CHECK enum sck_code sck_keeper_try(struct sck_service *service, sck_keeper_step_fn step, void *arg,
                                            struct sck_err *err);

/* sck_keeper_local_import() of this set-up's keeper local. */
SCK_MUST_CHECK enum sck_code sck_keeper_import(struct sck_service *service, const char *file, size_t *imported,
                                               size_t *known, struct sck_err *err);

#endif
