/* SPDX-License-Identifier: MIT */
/* Rotating KEKs, moving wrapped DEKs to the newest version or to another keeper, and the end of old versions. */
#ifndef SCK_SERVICE_REWRAP_H
#define SCK_SERVICE_REWRAP_H

#include "lib/service/service.h"

/*
 * Make a new version of a KEK: of a subject, of a client, or (scope kind file, whatever id) of the files.  New DEKs are
 * wrapped under it from now on; older ones open as before.  A run that was interrupted left either nothing or a version
 * at the keeper that the next run takes.  SCK_E_NOT_FOUND, SCK_E_ERASED.  SCK_E_BUSY: another process rotated it
 * meanwhile.  SCK_E_CONNECT, ...
 */
SCK_MUST_CHECK enum sck_code sck_kek_rotate(struct sck_service *service, const struct sck_scope *scope,
                                            struct sck_owner_info *out, struct sck_err *err);

/* One version of a KEK, at one keeper. */
struct sck_kek_info {
    uint32_t serial;
    enum sck_keeper_kind keeper;
    uint32_t version;
    char name[128];
    const char *state;          /* "creating", "current", "retired" or "destroyed" */
    int64_t created_s;
    int64_t wraps;              /* reserved in steps */
    int64_t messages;           /* DEKs handed out, reserved in steps */
    int64_t blobs;              /* wrapped DEKs in the catalog that are under it */
};
typedef enum sck_code (*sck_kek_fn)(void *arg, const struct sck_kek_info *kek, struct sck_err *err);
/* Every version an owner has or had, newest first, with its wrapped DEKs counted (a walk over all of the owner's). */
SCK_MUST_CHECK enum sck_code sck_kek_each(struct sck_service *service, const struct sck_scope *scope, sck_kek_fn fn,
                                          void *arg, struct sck_err *err);

#define SCK_REWRAP_UNDER_MAX 32
/* How far a run is, and at its end what it did. */
struct sck_rewrap_report {
    int64_t total;              /* rows there are, wrapped DEKs or not; 0: not known */
    int64_t owners;             /* done */
    int64_t seen;               /* wrapped DEKs looked at */
    int64_t stale;              /* of these, under another version or keeper (dry run: to be moved) */
    int64_t moved;
    int64_t failed;             /* DEKs and rows that could not be moved; each was told to `problem` */
    int64_t retired;            /* KEK versions that open nothing any more */
    int64_t kept;               /* old versions kept, because something needs them */
    /* Dry run: what is under which version, over all owners. */
    struct {
        enum sck_keeper_kind keeper;
        uint32_t version;
        int64_t blobs;
    } under[SCK_REWRAP_UNDER_MAX];
    size_t under_count;
    int64_t under_others;       /* versions for which there was no room */
};
typedef void (*sck_rewrap_progress_fn)(void *arg, const struct sck_rewrap_report *so_far);

struct sck_rewrap {
    const struct sck_scope *scope;      /* one owner, as sck_kek_rotate(); NULL: all inside the wall */
    int64_t rate;                       /* DEKs a second at most; 0: as fast as it goes */
    bool dry_run;                       /* count only */
    bool retire;                        /* then end versions that nothing in the catalog is under */
    bool discard_messages;              /* ... also those under which DEKs were handed out: what they sealed is lost */
    sck_rewrap_progress_fn progress;    /* or NULL: called now and then */
    sck_progress_fn problem;            /* or NULL: one line per DEK or row that could not be moved */
    void *arg;
};
/*
 * Move wrapped DEKs to the current version of their KEK: inside the keeper where it can (no DEK in clear), in locked
 * memory else.  Contexts stay as they are.  Each page is committed: a run that was cut goes on where it was when it is
 * run again, and several may run at once.  SCK_OK also when single DEKs failed (report->failed).  SCK_E_CONNECT and
 * other failures of keeper, token or catalog end the run; the report says how far it came.
 */
SCK_MUST_CHECK enum sck_code sck_rewrap_run(struct sck_service *service, const struct sck_rewrap *how,
                                            struct sck_rewrap_report *report, struct sck_err *err);

struct sck_migrate {
    enum sck_keeper_kind from;
    enum sck_keeper_kind to;
    bool keep_source;                   /* leave the KEKs at `from`, recorded as former homes that erasure reaches */
    struct sck_rewrap work;             /* rate, dry_run, discard_messages, progress, problem, arg */
};
/*
 * Move all KEKs' DEKs from one keeper to another: for each owner a KEK is made there, every wrapped DEK is wrapped under
 * it (in locked memory) and opened again for comparison before it is stored, and the source's KEK is destroyed when
 * nothing needs it.  At the end, when nothing failed, `keeper =` of the configuration is set to `to` (*switched).
 * Interrupted at any point it is run again.  SCK_E_CONFIG: a keeper that is not configured.
 */
SCK_MUST_CHECK enum sck_code sck_migrate_run(struct sck_service *service, const struct sck_migrate *how,
                                             struct sck_rewrap_report *report, bool *switched,
                                             struct sck_err *err);

#endif
