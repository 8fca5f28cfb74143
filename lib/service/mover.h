/* SPDX-License-Identifier: MIT */
/* Inside lib/service: moving the wrapped DEKs of one owner, which rewrap and migrate share. */
#ifndef SCK_SERVICE_MOVER_H
#define SCK_SERVICE_MOVER_H

#include "lib/service/blob.h"
#include "lib/service/kek.h"
#include "lib/service/rewrap.h"

/* Wrapped DEKs that go to a keeper and into a transaction together. */
enum { SCK_MOVER_PAGE = 128 };

struct sck_mover {
    struct sck_engine *engine;
    struct sck_catalog *catalog;
    const struct sck_rewrap *how;
    struct sck_rewrap_report *report;
    bool verify;                        /* open what was wrapped, and compare, before it is stored */
    int64_t started_us;
    /* Of the owner that is worked on. */
    struct sck_owner_rec owner;
    struct sck_kek_rec kek;             /* the current one: where to */
    struct sck_keeper *keeper;
    bool moved_on;                      /* another KEK became current: begin again */
    int64_t raced;                      /* rows that changed meanwhile: look again */
    struct sck_blob pending[SCK_MOVER_PAGE];
    size_t count;
};

SCK_MUST_CHECK enum sck_code sck_mover_new(struct sck_engine *engine, struct sck_catalog *catalog,
                                           const struct sck_rewrap *how, struct sck_rewrap_report *report,
                                           struct sck_mover **out, struct sck_err *err);
void sck_mover_free(struct sck_mover **mover);
/*
 * Move all of one owner's wrapped DEKs to its current KEK.  An owner that was erased meanwhile is SCK_OK.  *clean: none
 * failed.
 */
SCK_MUST_CHECK enum sck_code sck_mover_owner(struct sck_mover *mover, int64_t owner_id, bool *clean,
                                             struct sck_err *err);
/* Tell of something that could not be done, and count it. */
void sck_mover_problem(struct sck_mover *mover, const char *fmt, ...) SCK_PRINTF(2, 3);
void sck_mover_progress(struct sck_mover *mover);
/* Whether this code says something of one DEK alone; others end a run. */
bool sck_mover_is_single(enum sck_code code);

/* Rows that may hold a wrapped DEK, in the whole catalog. */
SCK_MUST_CHECK enum sck_code sck_rows_total(struct sck_catalog *catalog, int64_t *total, struct sck_err *err);

/* ---- lib/service/retire.c ---- */
/* End every version and former home of the owner that nothing needs. */
SCK_MUST_CHECK enum sck_code sck_mover_retire(struct sck_mover *mover, int64_t owner_id, struct sck_err *err);
/* All rows of an owner, newest first, with their blobs counted; *bad rows could not be counted.  free() and clear. */
struct sck_kek_rows {
    struct sck_kek_rec *rows;
    int64_t *blobs;
    size_t count;
    int64_t bad;                        /* rows that were changed by someone else: what is under them is not known */
};
SCK_MUST_CHECK enum sck_code sck_kek_rows_read(struct sck_catalog *catalog, int64_t owner_id,
                                               struct sck_kek_rows *out, struct sck_err *err);
void sck_kek_rows_clear(struct sck_kek_rows *rows);

#endif
