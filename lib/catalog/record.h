/* SPDX-License-Identifier: MIT */
/*
 * The records of the catalog.  Each struct is one table; lib/catalog/table.c says which field is which column, and
 * every column of every table is covered by the row's MAC.  Zero-fill a record before use; release the buffers of one
 * that was read with sck_record_clear().
 */
#ifndef SCK_CATALOG_RECORD_H
#define SCK_CATALOG_RECORD_H

#include "lib/base/bytes.h"

#define SCK_REC_ID_TEXT 256     /* an id of at most 255 bytes and its NUL */
#define SCK_REC_BLOB_MAX (64U * 1024U)

/* Whose KEK: subject, client or files (enum sck_owner_kind). */
enum sck_owner_state { SCK_OWNER_CREATING = 1, SCK_OWNER_ACTIVE = 2, SCK_OWNER_ERASING = 3 };
struct sck_owner_rec {
    int64_t id;                 /* given by the database */
    uint32_t kind;
    char ident[SCK_REC_ID_TEXT];/* "" for files */
    uint32_t generation;        /* from 1; one more after each erasure */
    uint32_t state;
    int64_t created_s;
    uint32_t kek_serial;        /* the current kek row of this owner */
};

/* Every version of every KEK an owner ever had, a row each: erasure destroys all of them. */
enum sck_kek_state {
    SCK_KEK_CREATING = 1,
    SCK_KEK_CURRENT = 2,
    SCK_KEK_RETIRED = 3,
    SCK_KEK_DESTROYED = 4,
    SCK_KEK_GONE = 5,           /* destroyed at a keeper that said so: an erasure need not ask it again */
    SCK_KEK_WANTED = 6          /* claimed, and not asked for: what a keeper has under its name is not ours */
};
struct sck_kek_rec {
    int64_t owner_id;
    uint32_t serial;            /* 1, 2, ... within the owner */
    uint32_t keeper;            /* enum sck_keeper_kind */
    uint32_t generation;
    uint32_t version;           /* at the keeper */
    char name[128];             /* name at the keeper, used as stored, never recomputed */
    char mount[128];            /* keeper vault */
    char name_space[256];       /* keeper vault */
    uint32_t state;
    struct sck_buf record;      /* keeper token: layer 4 */
    int64_t wraps;              /* DEKs wrapped so far, counted in steps */
    int64_t created_s;          /* of this version: also when the one before it was retired */
    int64_t messages;           /* DEKs handed out, counted in steps: what is under them is not in the catalog */
};

enum sck_key_state { SCK_KEY_CREATING = 1, SCK_KEY_ENABLED = 2, SCK_KEY_DISABLED = 3 };
struct sck_key_rec {
    uint8_t id[16];             /* UUIDv7; CKA_ID */
    uint32_t scope_kind;        /* enum sck_scope_kind */
    char scope_id[SCK_REC_ID_TEXT];
    char name[65];
    char key_id[129];           /* unique in the catalog */
    uint32_t alg;
    uint32_t usage;
    uint32_t protection;
    uint32_t residence;
    uint32_t origin;
    uint32_t state;
    uint32_t version;           /* the current one */
    int64_t owner_id;           /* whose KEK seals it; 0 for system keys */
    int64_t created_s;
    int64_t expires_s;          /* 0: never */
    struct sck_buf signature;   /* by the token's `catalog` key: the row can be trusted without a login */
};

enum sck_version_state { SCK_VERSION_ACTIVE = 1, SCK_VERSION_RETIRED = 2, SCK_VERSION_DESTROYED = 3 };
struct sck_version_rec {
    uint8_t key[16];            /* sck_key_rec.id */
    uint32_t version;           /* from 1 */
    uint32_t state;
    int64_t created_s;          /* also the creation time in the DEK's context */
    uint8_t record_id[16];      /* also the id in the DEK's context */
    struct sck_buf spki;        /* public half, DER; empty for secret keys */
    struct sck_buf sealed;      /* layer 2 around layer 1; empty when resident; envelope keys: empty */
    struct sck_buf wrapped_dek; /* layer 3 */
    int64_t gcm_reserved;       /* messages whose nonces were reserved so far */
    struct sck_buf signature;   /* by the token's `catalog` key over the public columns */
};

enum sck_tomb_state { SCK_TOMB_PENDING = 1, SCK_TOMB_DONE = 2 };
struct sck_tomb_rec {
    uint8_t hash[32];           /* docs/formats.md, tombstone hash */
    uint32_t kind;              /* 'S', 'C', 'F', 'K', 'I', 'N' */
    uint32_t generation;
    uint32_t state;
    int64_t seq;                /* 1, 2, ... over all tombstones */
    int64_t created_s;
    uint8_t chain[32];          /* SHA-256(previous chain ‖ hash ‖ u64 seq) */
    int64_t owner_id;           /* row to erase, 0 afterwards and for other kinds */
};

struct sck_receipt_rec {
    uint8_t hash[32];           /* of the tombstone it belongs to */
    uint8_t id[16];
    int64_t created_s;
    struct sck_buf json;        /* as printed */
};

enum sck_file_state { SCK_FILE_PENDING = 1, SCK_FILE_ACTIVE = 2, SCK_FILE_RETIRED = 3, SCK_FILE_DESTROYED = 4 };
struct sck_file_rec {
    int64_t id;                 /* documented column: SERIAL */
    uint8_t file_id[16];
    char key_reference[80];
    int64_t created_s;
    int64_t expires_s;          /* rotation is due then; 0: never */
    uint8_t dek_id[16];
    int64_t owner_id;
    uint32_t state;
    struct sck_buf wrapped_dek;
    uint8_t header_tag[32];
    int64_t size;               /* plaintext bytes; -1 not known yet */
    struct sck_buf path;        /* where it was written, a hint for people; may be empty */
};

/* An epoch key of the token (keeper token).  A set-up without rows has one: 1, current. */
enum sck_epoch_state {
    SCK_EPOCH_MAKING = 1,       /* its key may or may not be on the token; nothing is under it */
    SCK_EPOCH_CURRENT = 2,
    SCK_EPOCH_MOVING = 3,       /* a later one is current; records are still under this one */
    SCK_EPOCH_WAITING = 4,      /* no living record is under it; its key is there for the sake of backups */
    SCK_EPOCH_DESTROYING = 5,
    SCK_EPOCH_DESTROYED = 6
};
struct sck_epoch_rec {
    uint32_t number;            /* from 1 */
    uint32_t state;
    int64_t created_s;
    int64_t moved_s;            /* when the last living record left it; 0 */
    int64_t destroyed_s;        /* 0 */
    int64_t messages;           /* records sealed under it, counted before they are */
};

/* A copy of the catalog that was registered. */
enum sck_backup_state { SCK_BACKUP_MAKING = 1, SCK_BACKUP_MADE = 2, SCK_BACKUP_CONFIRMED = 3 };
struct sck_backup_rec {
    uint8_t id[16];
    uint32_t state;
    uint32_t epoch;             /* the oldest epoch that living records in it need */
    int64_t generation;         /* of the catalog that was copied */
    int64_t tombstones;
    int64_t created_s;
    int64_t expires_s;          /* not later it is to be destroyed; it may open nothing any more */
    int64_t confirmed_s;        /* 0: never read back */
    int64_t size;               /* bytes */
    uint8_t sha256[32];         /* of the copy */
    struct sck_buf path;        /* where it was written, a hint for people */
};

/* An erasure whose receipt says `scheduled`, and what it waits for. */
struct sck_pledge_rec {
    uint8_t hash[32];           /* of the tombstone */
    uint32_t epoch;             /* the epochs up to this one are to be destroyed; 0: none */
    int64_t effective_s;        /* the keeper's own date; 0: none */
    uint32_t serial;            /* a file: KEK rows of its owner up to this serial are to be destroyed; 0: none */
    int64_t owner_id;           /* a file's owner; 0 */
    int64_t created_s;
};

/* What this set-up is; one row. */
struct sck_setup_rec {
    int64_t id;                 /* 1 */
    uint8_t catalog_id[16];
    char environment[16];
    int64_t created_s;
    int64_t generation;         /* goes up with each erasure; compared with the token's anchor */
    int64_t tombstones;
};

#endif
