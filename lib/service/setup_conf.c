/* SPDX-License-Identifier: MIT */
/* The scopekey.conf that `init` writes. */
#include "lib/service/setup_work.h"

#include "lib/base/file.h"
#include "lib/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One "key = value" line; quoted so that NCONF takes every byte as it is (config(5ssl)). */
static void
put_line(struct sck_buf *out, const char *key, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    sck_buf_printf(out, "%s = \"", key);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            sck_buf_put_u8(out, '\\');
        sck_buf_put(out, p, 1);
    }
    sck_buf_put_str(out, "\"\n");
}

/* A path given on the command line, made absolute so that the configuration works from everywhere. */
static enum sck_code
put_path(struct sck_buf *out, const char *key, const char *path, struct sck_err *err)
{
    char full[PATH_MAX];
    if (path == NULL)
        return SCK_OK;
    if (realpath(path, full) == NULL)
        return sck_fail_errno(err, SCK_E_CONFIG, errno, "cannot use %s", path);
    put_line(out, key, full);
    return SCK_OK;
}

/* The keys of one of keeper vault's tokens: `prefix` and then their names. */
static enum sck_code
put_vault_auth(struct sck_buf *out, const char *prefix, const struct sck_setup_vault_auth *a, struct sck_err *err)
{
    const struct { const char *key, *value; bool path; } lines[] = {
        {"auth", a->method, false},
        {"auth_mount", a->mount, false},
        {"auth_role", a->role, false},
        {"token_file", a->token_file, true},
        {"role_id", a->role_id, false},
        {"secret_id_file", a->secret_id_file, true},
        {"jwt_file", a->jwt_file, true},
        {"client_cert_file", a->client_cert_file, true},
        {"client_key_file", a->client_key_file, true},
    };
    enum sck_code rc = SCK_OK;
    for (size_t i = 0; rc == SCK_OK && i < sizeof lines / sizeof lines[0]; i++) {
        char key[48];
        (void)snprintf(key, sizeof key, "%s%s", prefix, lines[i].key);
        if (lines[i].path)
            rc = put_path(out, key, lines[i].value, err);
        else
            put_line(out, key, lines[i].value);
    }
    return rc;
}

static enum sck_code
put_vault(struct sck_buf *out, const struct sck_setup *how, struct sck_err *err)
{
    sck_buf_put_str(out, "\n[keeper vault]\n");
    put_line(out, "url", how->vault_url);
    put_line(out, "mount", how->vault_mount);
    put_line(out, "namespace", how->vault_namespace);
    enum sck_code rc = put_vault_auth(out, "", &how->vault_data, err);
    if (rc == SCK_OK)
        rc = put_vault_auth(out, "admin_", &how->vault_admin, err);
    if (rc == SCK_OK)
        rc = put_path(out, "ca_file", how->vault_ca_file, err);
    if (how->insecure_http)
        put_line(out, "insecure_http", "true");
    return rc;
}

static enum sck_code
put_azure(struct sck_buf *out, const struct sck_setup *how, struct sck_err *err)
{
    const struct sck_setup_azure *a = &how->azure;
    const struct {
        const char *key, *path;
    } paths[] = {{"client_secret_file", a->client_secret_file},
                 {"certificate_file", a->certificate_file},
                 {"certificate_key_file", a->certificate_key_file},
                 {"federated_token_file", a->federated_token_file},
                 {"admin_client_secret_file", a->admin_client_secret_file},
                 {"admin_certificate_file", a->admin_certificate_file},
                 {"admin_certificate_key_file", a->admin_certificate_key_file},
                 {"ca_file", a->ca_file}};
    enum sck_code rc = SCK_OK;
    sck_buf_put_str(out, "\n[keeper azure]\n");
    put_line(out, "url", a->url);
    put_line(out, "credential", a->credential);
    put_line(out, "tenant_id", a->tenant_id);
    put_line(out, "client_id", a->client_id);
    put_line(out, "admin_client_id", a->admin_client_id);
    put_line(out, "authority", a->authority);
    put_line(out, "key_type", a->key_type);
    for (size_t i = 0; rc == SCK_OK && i < sizeof paths / sizeof paths[0]; i++)
        rc = put_path(out, paths[i].key, paths[i].path, err);
    if (how->insecure_http)
        put_line(out, "insecure_http", "true");
    return rc;
}

/* The folder need not be there yet: then it is made below the set-up or where the path says, seen from here. */
static enum sck_code
put_local(struct sck_buf *out, const struct sck_setup *how, struct sck_err *err)
{
    char here[PATH_MAX];
    char full[2 * PATH_MAX];
    sck_buf_put_str(out, "\n[keeper local]\n");
    if (how->local_path != NULL) {
        if (getcwd(here, sizeof here) == NULL)
            return sck_fail_errno(err, SCK_E_CONFIG, errno, "cannot use %s", how->local_path);
        (void)snprintf(full, sizeof full, "%s%s%s", how->local_path[0] == '/' ? "" : here,
                       how->local_path[0] == '/' ? "" : "/", how->local_path);
        put_line(out, "path", full);
    }
    if (how->local_passphrase_file == NULL)
        return SCK_OK;
    put_line(out, "root", "passphrase");
    return put_path(out, "passphrase_file", how->local_passphrase_file, err);
}

enum sck_code
sck_setup_write_conf(const struct sck_setup_work *w, const char *path, struct sck_err *err)
{
    const struct sck_setup *how = w->how;
    char id[SCK_UUID_TEXT];
    char env[PATH_MAX + 32];
    struct sck_buf out;
    enum sck_code rc = SCK_OK;
    const char *keeper = how->keeper != NULL ? how->keeper : "token";
    sck_uuid_format(w->id, id);
    sck_buf_init(&out, 65536);
    sck_buf_put_str(&out, "# Written by scopekey init; see scopekey.conf(5).  Relative paths start at this directory.\n");
    sck_buf_put_str(&out, "[scopekey]\n");
    put_line(&out, "catalog_id", id);
    put_line(&out, "environment", how->environment != NULL ? how->environment : "development");
    put_line(&out, "keeper", keeper);
    put_line(&out, "key_prefix", how->key_prefix);
    sck_buf_put_str(&out, "\n[token]\n");
    put_line(&out, "module", w->module);
    if (w->own_token) {
        (void)snprintf(env, sizeof env, "SOFTHSM2_CONF=%s/softhsm2.conf", w->home);
        put_line(&out, "module_env", env);
        put_line(&out, "store_dir", "tokens");
    }
    if (how->token_serial == NULL || how->token_label != NULL)
        put_line(&out, "label", w->label);
    put_line(&out, "serial", how->token_serial);
    put_line(&out, "pin_file", w->pin_file);
    if (w->pin_file[0] == '\0')
        put_line(&out, "pin_prompt", "true");
    if (how->insecure_master)
        put_line(&out, "insecure_master", "true");
    if (strcmp(keeper, "vault") == 0)
        rc = put_vault(&out, how, err);
    if (strcmp(keeper, "azure") == 0)
        rc = put_azure(&out, how, err);
    if (strcmp(keeper, "local") == 0)
        rc = put_local(&out, how, err);
    if (how->environment == NULL || strcmp(how->environment, "development") == 0)
        sck_buf_put_str(&out, "\n# Development only: the API client `default` may use the keys of every subject.\n"
                              "[client default]\nscopes = \"subject/*\"\n");
    if (rc == SCK_OK)
        rc = sck_buf_check(&out, "scopekey.conf", err);
    if (rc == SCK_OK)
        rc = sck_file_replace(path, out.data, out.len, 0600, err);
    sck_buf_clear(&out);
    return rc;
}
