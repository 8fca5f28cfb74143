/* SPDX-License-Identifier: MIT */
/* Making a set-up: token, masters, catalog, configuration.  `scopekey init`. */
#ifndef SCK_SERVICE_SETUP_H
#define SCK_SERVICE_SETUP_H

#include "lib/service/service.h"

/* Keeper azure; NULL: the default of scopekey.conf(5). */
struct sck_setup_azure {
    const char *url;
    const char *credential;
    const char *tenant_id;
    const char *client_id;
    const char *client_secret_file;
    const char *certificate_file;
    const char *certificate_key_file;
    const char *federated_token_file;
    const char *admin_client_id;
    const char *admin_client_secret_file;
    const char *admin_certificate_file;
    const char *admin_certificate_key_file;
    const char *authority;
    const char *key_type;
    const char *ca_file;
};

/* Keeper vault: how one of its two tokens is had; NULL: not written. */
struct sck_setup_vault_auth {
    const char *method;
    const char *mount;
    const char *role;
    const char *token_file;
    const char *role_id;
    const char *secret_id_file;
    const char *jwt_file;
    const char *client_cert_file;
    const char *client_key_file;
};

struct sck_setup {
    const char *home;               /* directory to make; NULL: sck_conf_default_home() */
    const char *pin_file;           /* required unless `ask_pin`; its absolute path is recorded */
    const char *environment;        /* NULL: development */
    const char *module;             /* PKCS#11 module; NULL: SoftHSM where Debian puts it */
    const char *token_label;        /* NULL: a new SoftHSM token of our own under `home` */
    const char *token_serial;
    const char *keeper;             /* "token" (NULL), "vault", "azure" or "local" */
    const char *key_prefix;         /* NULL: scopekey */
    const char *vault_url;
    const char *vault_mount;        /* NULL: transit */
    const char *vault_namespace;
    struct sck_setup_vault_auth vault_data, vault_admin;
    const char *vault_ca_file;
    struct sck_setup_azure azure;
    const char *local_path;         /* keeper local: folder; NULL: "secrets" below `home` */
    const char *local_passphrase_file;  /* keeper local: its root is held by this; NULL: by the token */
    bool insecure_http;
    bool insecure_master;
    sck_ask_pin_fn ask_pin;
    void *ask_pin_arg;
};

/*
 * Make it all; after a crash or failure a second run goes on where the first stopped; `path` gets the configuration's
 * path (free()).  SCK_E_EXISTS when a complete set-up is there, SCK_E_BUSY when another init runs there.
 */
SCK_MUST_CHECK enum sck_code sck_setup_init(const struct sck_setup *setup, sck_progress_fn progress, void *arg,
                                            char **path, struct sck_err *err);

#endif
