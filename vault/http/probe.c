/* SPDX-License-Identifier: MIT */
/* What `init` makes sure of and `doctor` reports: the server, the mount, and what each token may and may not do. */
#include "vault/http/probe.h"

#include "vault/http/transit.h"

#include <stdio.h>
#include <string.h>

enum sck_code
sck_transit_check_mount(struct sck_vault *v, const char *url, const char *mount, const char *name_space,
                        struct sck_credential *token, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r;
    (void)snprintf(path, sizeof path, "sys/internal/ui/mounts/%s", mount);
    const struct sck_vault_call call = {.op = SCK_OP_MOUNT, .method = "GET", .path = path,
                                        .name_space = name_space, .url = url, .token = token};
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(v, &call, &r, err);
    else if (rc == SCK_OK) {
        char type[32], at[160];
        struct sck_json data = sck_json_get(r.json, "data");
        size_t len = strlen(mount);
        if (!sck_json_text(sck_json_get(data, "type"), type, sizeof type) ||
            !sck_json_text(sck_json_get(data, "path"), at, sizeof at))
            rc = sck_vault_strange(&call, "the mount's type and path", err);
        else if (strcmp(type, "transit") != 0 || strncmp(at, mount, len) != 0 || strcmp(at + len, "/") != 0)
            rc = sck_fail(err, SCK_E_CONFIG, "keeper vault: mount %s is no transit engine: correct mount, or enable "
                          "transit there", mount);
    }
    sck_answer_clear(&r);
    return rc;
}

/* Whether transit refuses to make keys on encrypt; sets it first when asked to. */
static enum sck_code
upsert_disabled(struct sck_vault *v, bool set, bool *disabled, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r = {.gave_up = ""};
    struct sck_secret *body = NULL;
    (void)snprintf(path, sizeof path, "%s/config/keys", v->mount);
    struct sck_vault_call call = {.op = SCK_OP_UPSERT, .method = set ? "POST" : "GET", .path = path,
                                  .name_space = v->name_space, .token = &v->admin};
    enum sck_code rc = set ? sck_transit_body("{\"disable_upsert\":true}", &body, err) : SCK_OK;
    call.body = body;
    if (rc == SCK_OK)
        rc = sck_vault_ask(v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(v, &call, &r, err);
    else if (rc == SCK_OK)
        *disabled = sck_json_get(sck_json_get(r.json, "data"), "disable_upsert").kind == SCK_JSON_TRUE;
    sck_answer_clear(&r);
    sck_secret_free(&body);
    return rc;
}

enum sck_code
sck_transit_prepare(struct sck_keeper *keeper, struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    bool disabled = false;
    enum sck_code rc = sck_transit_check_mount(v, NULL, v->mount, v->name_space, &v->admin, err);
    if (rc == SCK_OK)
        rc = upsert_disabled(v, true, &disabled, err);
    /* Some versions answer 204: what counts is what is read back. */
    if (rc == SCK_OK && !disabled)
        rc = upsert_disabled(v, false, &disabled, err);
    if (rc == SCK_OK && !disabled)
        rc = sck_fail(err, SCK_E_CONFIG,
                      "keeper vault: the server does not keep disable_upsert: an erased key could be made again; "
                      "use OpenBao 2.4 or Vault 1.12, or newer");
    return rc;
}

/* sys/health answers every state with a status of its own (and 429 for a standby that works). */
static enum sck_code
probe_health(struct sck_vault *v, const struct sck_probe_report *report, struct sck_err *err)
{
    char version[32], what[128];
    struct sck_answer r;
    const struct sck_vault_call call = {.op = SCK_OP_HEALTH, .method = "GET", .path = "sys/health", .name_space = ""};
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(v, &call, &r, err);
    else if (rc == SCK_OK && sck_json_get(r.json, "initialized").kind == SCK_JSON_NONE)
        rc = sck_vault_strange(&call, "initialized", err);
    else if (rc == SCK_OK && sck_json_get(r.json, "initialized").kind != SCK_JSON_TRUE)
        rc = sck_fail(err, SCK_E_CONFIG, "keeper vault at %s: the server is not initialised: run its operator init",
                      v->url);
    else if (rc == SCK_OK && sck_json_get(r.json, "sealed").kind == SCK_JSON_TRUE)
        rc = sck_fail(err, SCK_E_CONNECT, "keeper vault at %s: the server is sealed: unseal it", v->url);
    if (rc == SCK_OK) {
        (void)sck_json_text(sck_json_get(r.json, "version"), version, sizeof version);
        bool standby = sck_json_get(r.json, "standby").kind == SCK_JSON_TRUE;
        (void)snprintf(what, sizeof what, "keeper vault: server %s is unsealed%s", version,
                       standby ? ", a standby" : "");
        report->fn(report->arg, what, NULL);
    }
    sck_answer_clear(&r);
    return rc;
}

static enum sck_code
probe_upsert(struct sck_vault *v, const struct sck_probe_report *report, struct sck_err *err)
{
    bool disabled = false;
    enum sck_code rc = upsert_disabled(v, false, &disabled, err);
    if (rc == SCK_OK)
        report->fn(report->arg, disabled ? "keeper vault: encrypting makes no keys (disable_upsert)"
                                         : "keeper vault: encrypting may make keys: an erased KEK could come back",
                   disabled ? NULL : "write disable_upsert=true to <mount>/config/keys");
    return rc;
}

enum sck_code
sck_transit_probe(struct sck_keeper *keeper, void (*fn)(void *arg, const char *what, const char *cure), void *arg,
                  struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    const struct sck_probe_report report = {fn, arg};
    enum sck_code rc = probe_health(v, &report, err);
    if (rc == SCK_OK)
        rc = sck_transit_check_mount(v, NULL, v->mount, v->name_space, &v->data, err);
    if (rc == SCK_OK)
        rc = sck_probe_data_token(v, &report, err);
    if (rc == SCK_OK && v->admin.usable)
        rc = sck_probe_admin_token(v, &report, err);
    if (rc == SCK_OK && v->admin.usable)
        rc = probe_upsert(v, &report, err);
    return rc;
}
