/* SPDX-License-Identifier: MIT */
/*
 * scopekey.conf: one INI file (config(5ssl) syntax), one typed table of keys.  An unknown section or key, or a value out
 * of range, is SCK_E_CONFIG with file, section and remedy.  The environment variables of the documented services win over
 * the file (and are ignored under AT_SECURE).  docs and man/scopekey.conf.5 are checked against the same table.
 */
#ifndef SCK_SERVICE_CONF_H
#define SCK_SERVICE_CONF_H

#include "lib/base/bytes.h"
#include "lib/base/log.h"
#include "lib/core/dek.h"

/* How keeper vault gets one of its two tokens: [keeper vault], the second with `admin_` before each key. */
struct sck_conf_vault_auth {
    char *auth;                 /* token, agent, approle, kubernetes, jwt, cert */
    char *auth_mount;
    char *auth_role;
    char *auth_namespace;
    char *token_file;
    int64_t token_fd;           /* 0: none */
    char *token_credential;
    char *role_id;
    char *role_id_file;
    char *secret_id_file;
    bool secret_id_wrapped;
    char *jwt_file;
    char *client_cert_file;
    char *client_key_file;
};

/* All strings are owned by the struct and never NULL ("" when not set); paths are absolute. */
struct sck_conf {
    char *path;                 /* of the file itself */
    bool from_env;              /* the documented environment variables count */
    char *home;                 /* directory of the file; relative paths start here */
    /* [scopekey] */
    uint8_t catalog_id[16];
    char *environment;          /* development, staging, production */
    char *state_dir;
    char *catalog;              /* SQLite file */
    char *keeper;               /* token, vault or azure */
    char *key_prefix;           /* of KEK names */
    bool keyed_names;
    char *scopes;               /* wall; "" none */
    bool auto_provision;
    bool require_mlock;
    int64_t envelope_ttl_s;
    int64_t key_cache;          /* open keys kept per process */
    int64_t retire_epoch_days;  /* the backups' horizon: an old epoch key lives so long after a confirmed backup */
    /* [token] */
    char *module;
    char *module_env;
    char *label;
    char *serial;
    char *pin_file;
    char *pin_credential;
    int64_t pin_fd;             /* 0: none */
    bool pin_prompt;
    char *store_dir;
    int64_t max_sessions;
    int64_t session_wait_ms;
    bool insecure_master;
    /* [keeper vault] */
    char *vault_url;
    char *vault_mount;
    char *vault_namespace;
    struct sck_conf_vault_auth vault_data, vault_admin;
    char *vault_ca_file;
    bool vault_insecure_http;
    bool vault_insecure_skip_verify;
    int64_t vault_connect_timeout_ms;
    int64_t vault_request_timeout_ms;
    int64_t vault_deadline_ms;
    int64_t vault_max_retries;
    int64_t vault_retry_backoff_ms;
    char *vault_retry_jitter;   /* 0.25 or full */
    char *vault_nodes;
    char *vault_http2;          /* off or on */
    int64_t vault_max_connections;
    /* [keeper azure] */
    char *azure_url;
    char *azure_credential;         /* auto, secret, certificate, federated, managed */
    char *azure_tenant_id;
    char *azure_client_id;
    char *azure_client_secret_file;
    char *azure_certificate_file;
    char *azure_certificate_key_file;
    char *azure_federated_token_file;
    char *azure_admin_client_id;
    char *azure_admin_client_secret_file;
    char *azure_admin_certificate_file;
    char *azure_admin_certificate_key_file;
    char *azure_authority;
    char *azure_identity_endpoint;
    char *azure_metadata;
    char *azure_ca_file;
    bool azure_insecure_http;
    char *azure_key_type;           /* rsa, rsa-hsm, oct-hsm */
    int64_t azure_key_bits;
    bool azure_purge;
    int64_t azure_connect_timeout_ms;
    int64_t azure_request_timeout_ms;
    int64_t azure_deadline_ms;
    int64_t azure_delete_wait_ms;
    int64_t azure_max_retries;
    int64_t azure_retry_backoff_ms;
    /* [keeper local] */
    char *local_path;           /* folder of secrets.json */
    char *local_root;           /* token or passphrase */
    char *local_passphrase_file;
    int64_t local_passphrase_fd;    /* 0: none */
    bool local_passphrase_prompt;
    int64_t local_backups;
    /* [files] */
    bool files_enabled;         /* ENCRYPTION_ENABLED */
    int64_t files_rotation_days;
    int64_t files_chunk_bytes;
    /* [materials] */
    bool dek_cache;
    int64_t dek_cache_ttl_s;    /* from when it was opened */
    int64_t dek_cache_uses;     /* of one DEK */
    int64_t dek_cache_entries;
    int64_t dek_cache_bytes;    /* what the entries may take together */
    int64_t threads;            /* of a context of scopekey.h, for asynchronous requests */
    /* [rest] */
    char *rest_host;
    int64_t rest_port;
    char *rest_api_key_file;
    int64_t rest_threads;
    int64_t rest_max_body;
    bool rest_insecure_plaintext;
    /* [metrics] */
    bool metrics_enabled;       /* GET /metrics of the daemon */
    /* [client default] scopes */
    char *client_scopes;        /* patterns the API client `default` may use besides its own scope; "" none */
    /* [log] */
    enum sck_log_level log_level;
    enum sck_log_format log_format;
};

/*
 * Where the configuration is: `given`, else $SCOPEKEY_CONF, $SCOPEKEY_HOME/scopekey.conf, the user's
 * $XDG_STATE_HOME/scopekey/scopekey.conf (~/.local/state), SYSCONFDIR/scopekey/scopekey.conf.  Under AT_SECURE only
 * `given` and the last.  Allocated; free().  SCK_E_CONFIG when there is none: says to run `scopekey init`.
 */
SCK_MUST_CHECK enum sck_code sck_conf_find(const char *given, char **path, struct sck_err *err);
/* The directory `scopekey init` makes a set-up in when none is named: $SCOPEKEY_HOME or the user's state directory. */
SCK_MUST_CHECK enum sck_code sck_conf_default_home(char **home, struct sck_err *err);
/*
 * Load `path`.  `use_env`: the documented environment variables win over the file (our own programs; never inside
 * other people's processes), unless AT_SECURE is set.
 */
SCK_MUST_CHECK enum sck_code sck_conf_load(const char *path, bool use_env, struct sck_conf **out,
                                           struct sck_err *err);
void sck_conf_free(struct sck_conf **conf);
/*
 * Set one key of a file to a plain word, atomically, and leave every other line as it is.  SCK_E_CONFIG says what to set
 * by hand: the file is somebody else's, or has no such section.
 */
SCK_MUST_CHECK enum sck_code sck_conf_set(const char *path, const char *section, const char *key, const char *value,
                                          struct sck_err *err);

/* What the rows of [keeper vault] cannot say one by one.  SCK_E_CONFIG. */
SCK_MUST_CHECK enum sck_code sck_conf_check_vault(const struct sck_conf *conf, struct sck_err *err);
/* The environment variable that gives the data token here, or NULL.  Borrowed. */
const char *sck_conf_vault_token_env(const struct sck_conf *conf);

/* What the rows of [keeper azure] cannot say one by one.  SCK_E_CONFIG. */
SCK_MUST_CHECK enum sck_code sck_conf_check_azure(const struct sck_conf *conf, struct sck_err *err);

/* The table itself, for man pages, `--help` and tests. */
enum sck_conf_type { SCK_CONF_TEXT, SCK_CONF_PATH, SCK_CONF_BOOL, SCK_CONF_INT, SCK_CONF_WORD, SCK_CONF_UUID };
struct sck_conf_key {
    const char *section;
    const char *key;
    enum sck_conf_type type;
    const char *env;            /* documented environment variable, or NULL; BAO_X wins over VAULT_X, KEY_VAULT_X over AZURE_X */
    const char *fallback;       /* default as text; "" none */
    int64_t min, max;           /* SCK_CONF_INT */
    const char *words;          /* SCK_CONF_WORD: "a|b|c" */
    int64_t env_scale;          /* what the variable's number is multiplied by (MiB against bytes); 0 means 1 */
    size_t offset;              /* in struct sck_conf */
};
/* By index from 0; NULL behind the last. */
const struct sck_conf_key *sck_conf_key_at(size_t index);

#endif
