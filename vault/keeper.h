/* SPDX-License-Identifier: MIT */
/*
 * Keepers: where KEKs live.  One table of functions; the caller never asks which one it is.
 * Every function may be called from any thread and blocks at most for the keeper's deadline.
 */
#ifndef SCK_VAULT_KEEPER_H
#define SCK_VAULT_KEEPER_H

#include "lib/base/bytes.h"
#include "lib/base/secret.h"
#include "lib/core/dek.h"

/* A KEK as the catalog's row describes it.  Strings and records are borrowed from the caller. */
struct sck_kek {
    const char *name;           /* at the keeper; legal by sck_kek_name_is_legal() */
    uint32_t generation;
    uint32_t version;           /* newest version */
    const char *mount;          /* keeper vault, or "" */
    const char *name_space;     /* keeper vault, or "" */
    struct sck_bytes record;    /* keeper token: layer 4; others empty */
};

/* What create made; stored in the row. */
struct sck_kek_made {
    uint32_t version;           /* 1 */
    char mount[128];
    char name_space[256];
    struct sck_buf record;      /* made with sck_buf_init() by create; the caller clears it */
};

enum sck_erasure { SCK_ERASURE_IMMEDIATE = 1, SCK_ERASURE_SCHEDULED = 2 };

/* What one node of the keeper said after an erasure. */
struct sck_erase_node {
    char url[256];
    bool read_says_gone;
    bool canary_refused;
};
enum { SCK_ERASE_NODES_MAX = 16 };

/* What an erasure achieved at the keeper, for the receipt.  The flags are what every node that was asked agrees on. */
struct sck_erase_proof {
    enum sck_erasure how;
    int64_t effective_s;        /* when scheduled: seconds since 1970, 0 if not known */
    bool read_says_gone;        /* the keeper itself says that the key is gone */
    bool canary_refused;        /* a DEK wrapped under it before no longer opens */
    char node[256];             /* the active node, which said so */
    struct sck_erase_node nodes[SCK_ERASE_NODES_MAX];   /* every node that was asked; keepers with one place: none */
    size_t node_count;
};

/* One DEK of a piece of work.  What goes in is borrowed; what comes out is the caller's. */
struct sck_keeper_item {
    const struct sck_secret *payload;   /* in, wrap: 72 bytes */
    struct sck_bytes blob;              /* in, unwrap and rewrap */
    uint32_t version;                   /* in, unwrap and rewrap: of the KEK; out, wrap and rewrap */
    struct sck_buf out;                 /* out, wrap and rewrap: made with sck_buf_init() by the caller */
    struct sck_secret *opened;          /* out, unwrap: a new secret */
    enum sck_code code;                 /* how this item went; its message is in the work's err if it is the first bad one */
};

enum sck_keeper_do { SCK_KEEPER_WRAP = 1, SCK_KEEPER_UNWRAP, SCK_KEEPER_REWRAP };

/*
 * Work on any number of DEKs under one KEK.  Large work is split to the keeper's limits; good items of a half-failed
 * batch are kept.  Zero-fill, then fill in the upper half.
 */
struct sck_keeper_work {
    enum sck_keeper_do what;
    const struct sck_kek *kek;
    struct sck_keeper_item *items;
    size_t count;
    int64_t deadline_us;                /* by the monotonic clock; 0: the keeper's own */
    /* Asynchronous work alone: called exactly once, on a thread of the keeper's, which it must not block. */
    void (*done)(struct sck_keeper_work *work);
    void *arg;
    /* Out: SCK_OK when every item is, else the first bad item's code and message. */
    enum sck_code code;
    struct sck_err err;
    void *state;                        /* the keeper's, while under way */
};

/* How a keeper does now, for `scopekey keeper status`.  What is not known or does not apply is "" or -1. */
struct sck_keeper_status {
    char where[768];            /* URL and mount, path of the file, ... */
    char version[64];           /* of the server or the format */
    int sealed;                 /* 0 no, 1 yes */
    int64_t token_ttl_s;        /* what is left of the data credential, seconds */
    int64_t admin_ttl_s;        /* the same of the admin credential */
    char breaker[16];           /* "closed", "open" or "half-open" */
};

struct sck_keeper;

struct sck_keeper_ops {
    enum sck_keeper_kind kind;
    const char *name;           /* "token", "vault", ... */
    enum sck_erasure erasure;
    bool rewraps_blind;         /* rewrap happens inside the keeper */
    bool versions_are_records;  /* rotate gives a new record, which is a catalog row of its own (token, local) */

    /*
     * Make the KEK `name`.  SCK_E_EXISTS when it is there already, SCK_E_CREDENTIAL, SCK_E_CONNECT, SCK_E_CONFIG
     * (missing mount or right), SCK_E_TOKEN.
     */
    enum sck_code (*create)(struct sck_keeper *keeper, const char *name, uint32_t generation,
                            struct sck_kek_made *made, struct sck_err *err);
    /* Wrap a 72-byte payload: appends the keeper's blob and sets the KEK version it is under.  SCK_E_NOT_FOUND: no such KEK. */
    enum sck_code (*wrap)(struct sck_keeper *keeper, const struct sck_kek *kek, const struct sck_secret *payload,
                          struct sck_buf *blob, uint32_t *version, struct sck_err *err);
    /* The opposite, into a new secret.  SCK_E_AUTHENTIC: altered or under another KEK.  SCK_E_NOT_FOUND: no such KEK. */
    enum sck_code (*unwrap)(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version,
                            const uint8_t *blob, size_t blob_len, struct sck_secret **payload,
                            struct sck_err *err);
    /*
     * Do work and wait for it.  The same codes as wrap and unwrap, an item each; rewrap moves a blob to the newest
     * version (versions_are_records: `kek` is the new version's record, `item.blob` was opened by the caller: not here).
     */
    enum sck_code (*run)(struct sck_keeper *keeper, struct sck_keeper_work *work);
    /*
     * Begin work and return at once; NULL when the keeper has no asynchronous side (the caller uses a thread and run).
     * Anything but SCK_OK: not begun, done is not called.
     */
    enum sck_code (*submit)(struct sck_keeper *keeper, struct sck_keeper_work *work);
    /* Ask that submitted work end soon: done is still called once, with SCK_E_CANCELLED unless it was over already. */
    void (*cancel)(struct sck_keeper *keeper, struct sck_keeper_work *work);
    /*
     * Make a new version; wrap uses it from now on, the older ones still open.  made->version is the new one; with
     * versions_are_records made->record too, of version kek->version + 1, and no older one need be there any more.
     * Not repeated by itself when an answer is lost: the newest version is read before and after.  SCK_E_NOT_FOUND.
     */
    enum sck_code (*rotate)(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made,
                            struct sck_err *err);
    /* Newest version there is now (after a rotation whose answer was lost).  SCK_E_NOT_FOUND. */
    enum sck_code (*newest)(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version,
                            struct sck_err *err);
    /* Versions below `oldest` shall open nothing any more (vault: min_decryption_version and trim). */
    enum sck_code (*retire)(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest,
                            struct sck_err *err);
    /*
     * Destroy the KEK and all its versions, then verify; `canary` is a blob wrapped under it before.  One that is gone
     * already is SCK_OK.  Told apart from a missing mount or right (SCK_E_CONFIG, SCK_E_CREDENTIAL) and a sealed or
     * absent server (SCK_E_CONNECT): these are never reported as erased.
     */
    enum sck_code (*erase)(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version,
                           const uint8_t *canary, size_t canary_len, struct sck_erase_proof *proof,
                           struct sck_err *err);
    /* Is it there, may we do what we must, may we do more than we should: one report per finding, `cure` NULL when well. */
    enum sck_code (*probe)(struct sck_keeper *keeper, void (*report)(void *arg, const char *what, const char *cure),
                           void *arg, struct sck_err *err);
    /*
     * Look once, without repeating anything; `out` was filled with "" and -1.  On failure it holds what is known
     * nevertheless.  NULL: there is nothing to say.
     */
    enum sck_code (*status)(struct sck_keeper *keeper, struct sck_keeper_status *out, struct sck_err *err);
    /* Forget cached handles of a KEK (or of all: NULL). */
    void (*forget)(struct sck_keeper *keeper, const char *name);
    /* End calls, wipe credentials, free. */
    void (*close)(struct sck_keeper *keeper);
};

struct sck_keeper {
    const struct sck_keeper_ops *ops;
};

/* For keepers without batches, `run`: one item after the other by wrap and unwrap; rewrap is both, in locked memory. */
SCK_MUST_CHECK enum sck_code sck_keeper_run_each(struct sck_keeper *keeper, struct sck_keeper_work *work);

/*
 * ---- keeper token: AES-GCM in the HSM.  What it needs of the token comes in as functions (lib/service/open.c). ----
 * A KEK is erased by destroying its record, which is the caller's catalog row: erase here forgets the handle and
 * proves no more than that (SCK_ERASURE_SCHEDULED: until the epoch key that covered the record is destroyed).
 * Errors of the token's functions pass through: SCK_E_INTEGRITY and SCK_E_ERASED from `load` above all.
 */
struct sck_keeper_token_fns {
    void *arg;
    /* Append a new KEK's record, bound to `aad`. */
    enum sck_code (*make)(void *arg, const void *aad, size_t aad_len, struct sck_buf *record, struct sck_err *err);
    /* Load a record; *key is released with `release`. */
    enum sck_code (*load)(void *arg, const void *aad, size_t aad_len, const uint8_t *record, size_t record_len,
                          void **key, struct sck_err *err);
    enum sck_code (*seal)(void *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                          const uint8_t *plain, size_t len, uint8_t *out, struct sck_err *err);
    enum sck_code (*open)(void *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
                          const uint8_t *sealed, size_t len, uint8_t *out, struct sck_err *err);
    /* Let go of what `load` gave.  No lock is held during this or any other of these calls. */
    void (*release)(void *key);
};
/* `fns` is copied.  Keeps at most `cached` loaded KEKs (0 means 256). */
SCK_MUST_CHECK enum sck_code sck_keeper_token_open(const struct sck_keeper_token_fns *fns, size_t cached,
                                                   struct sck_keeper **out, struct sck_err *err);

/*
 * ---- keeper local: a JSON file for development, values wrapped under a root key (docs/keepers.md) ----
 * The root is sealed under what the token or a passphrase gives; both come in as functions (lib/service/open.c).
 */
enum sck_local_root { SCK_LOCAL_BY_TOKEN = 1, SCK_LOCAL_BY_PASSPHRASE = 2 };
struct sck_keeper_local_conf {
    const char *path;               /* folder of secrets.json; made by sck_keeper_local_prepare() */
    const char *environment;        /* "production" is refused */
    enum sck_local_root root;       /* what the file must say, too */
    unsigned backups;               /* kept at each change; 0 to 100 */
    unsigned scrypt_log2_n;         /* when the file is made; 14 to 20, 0 means 17 (128 MiB) */
    /* HMAC-SHA-256 by a key of the token that is used for nothing else beginning with the same label. */
    enum sck_code (*hmac)(void *arg, const void *data, size_t len, uint8_t out[32], struct sck_err *err);
    void *hmac_arg;
    /* The passphrase, a new secret.  `confirm`: a person chooses it now and is asked a second time. */
    enum sck_code (*passphrase)(const void *arg, bool confirm, struct sck_secret **out, struct sck_err *err);
    const void *passphrase_arg;
};
/* Nothing is read before it is needed.  SCK_E_CONFIG: environment production, or a path that is too long. */
SCK_MUST_CHECK enum sck_code sck_keeper_local_open(const struct sck_keeper_local_conf *conf, struct sck_keeper **out,
                                                   struct sck_err *err);
/* Make folder and file unless they are there. */
SCK_MUST_CHECK enum sck_code sck_keeper_local_prepare(struct sck_keeper *keeper, struct sck_err *err);
/*
 * Read in another program's plain file: an object of {"value", "content_type", "enabled", "created_on", "expires_on"},
 * values base64 or hex of 32 bytes.  All or nothing; keys that are there with the same value are left alone.  The plain
 * file is not touched.  SCK_E_CONFIG: not such a file, names the entry; SCK_E_EXISTS: another key of that name.
 */
SCK_MUST_CHECK enum sck_code sck_keeper_local_import(struct sck_keeper *keeper, const char *file, size_t *imported,
                                                     size_t *known, struct sck_err *err);

/* ---- keeper vault: HashiCorp Vault or OpenBao transit, in the plug-in keeper-http.so ---- */
/*
 * A way to a token beside its file.  NULL, "" and 0 are "not set" throughout.  Where several sources of one thing are
 * set the order is variable, descriptor, systemd credential, file.
 */
struct sck_keeper_vault_auth {
    const char *method;             /* "token" (not set), "agent", "approle", "kubernetes", "jwt", "cert" */
    const char *mount;              /* of the method; not set: its name */
    const char *role;               /* role's name; cert: the certificate's name, not set: any that fits */
    const char *name_space;         /* of the mount; not set: the keeper's; "root": none */
    const char *token_env;          /* name of a variable */
    int token_fd;
    const char *token_credential;
    const char *role_id, *role_id_file;
    const char *secret_id_file;
    bool secret_id_wrapped;         /* that file holds a wrapping token; needs `role` */
    const char *jwt_file;           /* kubernetes, not set: where pods have it */
    const char *client_cert_file, *client_key_file; /* PEM; admin, not set: the data token's */
};

struct sck_keeper_vault_conf {
    const char *url;                /* https://..., or http:// to loopback with insecure_http */
    const char *mount;              /* "transit"; may hold slashes */
    const char *name_space;         /* or "" */
    const char *token_file;         /* data token: encrypt, decrypt, rewrap */
    const char *admin_token_file;   /* creates, configures, deletes; NULL where nothing is created or erased */
    struct sck_keeper_vault_auth auth, admin_auth;
    const char *nodes;              /* more URLs of the same cluster, separated by spaces; or NULL */
    const char *ca_file;            /* or NULL: the system's */
    bool insecure_http;
    bool insecure_skip_verify;
    int64_t connect_timeout_ms;     /* 0 means 2000 */
    int64_t request_timeout_ms;     /* 0 means 5000 */
    int64_t deadline_ms;            /* whole call with retries; 0 means 30000 */
    unsigned max_retries;           /* 0 to 10 */
    int64_t retry_backoff_ms;       /* 0 means 100 */
    bool full_jitter;               /* waits are anything from 0 on, instead of ±25 % */
    bool http2;                     /* over TLS, when the server offers it */
    size_t max_connections;         /* of asynchronous work; 0 means 32 */
};
/* No request is made.  SCK_E_CONFIG: malformed URL, http:// without insecure_http or not to loopback, bad mount. */
typedef enum sck_code (*sck_keeper_vault_open_fn)(const struct sck_keeper_vault_conf *conf,
                                                  struct sck_keeper **out, struct sck_err *err);
/*
 * `init` with the admin token: mount is there and is transit, set disable_upsert.  SCK_E_CONFIG otherwise.
 */
typedef enum sck_code (*sck_keeper_vault_prepare_fn)(struct sck_keeper *keeper, struct sck_err *err);

/* ---- keeper azure: Azure Key Vault or Managed HSM, in the same plug-in ---- */
enum sck_azure_credential {
    SCK_AZURE_AUTO,         /* the first of the others for which there is a setting, else MANAGED */
    SCK_AZURE_SECRET,       /* a client's secret */
    SCK_AZURE_CERTIFICATE,  /* an assertion signed with a certificate's key */
    SCK_AZURE_FEDERATED,    /* a token of another issuer, from a file (workload identity) */
    SCK_AZURE_MANAGED       /* the identity of this machine, service or application */
};
/* One identity; strings may be NULL. */
struct sck_azure_identity {
    enum sck_azure_credential credential;
    const char *client_id;
    const char *secret_file;
    const struct sck_secret *secret;    /* borrowed during open; the file wins */
    const char *certificate_file;       /* PEM */
    const char *certificate_key_file;   /* PEM, RSA, no passphrase */
    const char *federated_token_file;
};
struct sck_keeper_azure_conf {
    const char *url;                    /* https://NAME.vault.azure.net or https://NAME.managedhsm.azure.net */
    const char *tenant_id;              /* not needed with MANAGED */
    const char *authority;              /* https://login.microsoftonline.com */
    const char *identity_endpoint;      /* of App Service, or NULL */
    const struct sck_secret *identity_header;   /* what that endpoint wants to see, or NULL; borrowed during open */
    const char *metadata;               /* of the machine: http://169.254.169.254 */
    struct sck_azure_identity data;     /* reads and unwraps */
    struct sck_azure_identity admin;    /* creates, rotates, disables, deletes, purges; client_id NULL: `data` does */
    const char *ca_file;                /* or NULL: the system's */
    bool insecure_http;
    const char *key_type;               /* "RSA", "RSA-HSM" or "oct-HSM" */
    int64_t key_bits;                   /* of RSA: 2048, 3072 or 4096 */
    bool purge;                         /* purge what was deleted, where the vault lets us */
    int64_t connect_timeout_ms;         /* 0 means 2000 */
    int64_t request_timeout_ms;         /* 0 means 10000 */
    int64_t deadline_ms;                /* whole call with retries; 0 means 30000 */
    int64_t delete_wait_ms;             /* how long an erasure waits for the vault's own work */
    unsigned max_retries;               /* 0 to 10 */
    int64_t retry_backoff_ms;           /* 0 means 500 */
    /*
     * HMAC-SHA-256 under the token's `mac` key: what tells our wrapped DEKs from those that anybody can make who has a
     * public wrapping key.  Called without a lock held.
     */
    enum sck_code (*mac)(void *arg, const void *data, size_t len, uint8_t out[SCK_SHA256_LEN], struct sck_err *err);
    void *mac_arg;
};
/* No request is made.  SCK_E_CONFIG: a malformed URL, http:// where it must not be, a setting that is missing. */
typedef enum sck_code (*sck_keeper_azure_open_fn)(const struct sck_keeper_azure_conf *conf,
                                                  struct sck_keeper **out, struct sck_err *err);

/* The plug-in's one exported symbol is a `const struct sck_keeper_plugin scopekey_keeper_plugin`. */
#define SCK_KEEPER_PLUGIN_VERSION 3
struct sck_keeper_plugin {
    unsigned version;
    sck_keeper_vault_open_fn vault_open;
    sck_keeper_vault_prepare_fn vault_prepare;
    sck_keeper_azure_open_fn azure_open;
};

#endif
