/* SPDX-License-Identifier: MIT */
/* What `init` makes sure of and `doctor` reports: the server, the mount, and what each token may and may not do. */
#include "vault/http/transit.h"

#include <stdio.h>
#include <string.h>

/* A key that is never made: rights are asked about it. */
static const char probe_name[] = "scopekey-probe";

struct report {
    void (*fn)(void *arg, const char *what, const char *cure);
    void *arg;
};

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
probe_health(struct sck_vault *v, const struct report *report, struct sck_err *err)
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

static bool
holds(struct sck_json list, const char *word)
{
    struct sck_json item;
    for (size_t i = 0; (item = sck_json_item(list, i)).kind != SCK_JSON_NONE; i++) {
        if (sck_json_is(item, word))
            return true;
    }
    return false;
}

/* sys/capabilities-self about four paths of a key that is not there; *asked false when the token may not ask. */
static enum sck_code
capabilities(struct sck_vault *v, struct sck_credential *token, struct sck_answer *r, bool *asked,
             struct sck_err *err)
{
    struct sck_buf json;
    struct sck_secret *body = NULL;
    struct sck_vault_call call = {.op = SCK_OP_CAPABILITIES, .method = "POST", .path = "sys/capabilities-self",
                                  .name_space = v->name_space, .token = token};
    sck_buf_init(&json, 4096);
    sck_buf_printf(&json, "{\"paths\":[\"%s/encrypt/%s\",\"%s/decrypt/%s\",\"%s/keys/%s\",\"%s/keys/%s/config\"]}",
                   v->mount, probe_name, v->mount, probe_name, v->mount, probe_name, v->mount, probe_name);
    enum sck_code rc = sck_transit_body(sck_buf_str(&json), &body, err);
    call.body = body;
    *r = (struct sck_answer){.gave_up = ""};
    if (rc == SCK_OK)
        rc = sck_vault_ask(v, &call, r, err);
    *asked = rc == SCK_OK && r->row->verdict == SCK_SAYS_OK;
    if (rc == SCK_OK && !*asked && r->row->verdict != SCK_SAYS_POLICY)
        rc = sck_vault_refused(v, &call, r, err);
    sck_secret_free(&body);
    sck_buf_clear(&json);
    return rc;
}

/* What the token may do on `<mount>/<middle>/scopekey-probe<end>`. */
static struct sck_json
rights_on(struct sck_vault *v, const struct sck_answer *r, const char *middle, const char *end)
{
    char path[SCK_VAULT_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s/%s%s", v->mount, middle, probe_name, end);
    return sck_json_get(sck_json_get(r->json, "data"), path);
}

static enum sck_code
probe_data_token(struct sck_vault *v, const struct report *report, struct sck_err *err)
{
    struct sck_answer r;
    bool asked = false;
    enum sck_code rc = capabilities(v, &v->data, &r, &asked, err);
    if (rc != SCK_OK)
        goto out;
    struct sck_json encrypt = rights_on(v, &r, "encrypt", ""), decrypt = rights_on(v, &r, "decrypt", "");
    struct sck_json keys = rights_on(v, &r, "keys", "");
    if (!asked)
        report->fn(report->arg, "keeper vault: the data token may not ask what it may do",
                   "give its policy: path \"sys/capabilities-self\" { capabilities = [\"update\"] }");
    else if (holds(encrypt, "root"))
        report->fn(report->arg, "keeper vault: the data token is a root token",
                   "make a token with the data policy of docs/keepers.md");
    else if (holds(encrypt, "create"))
        report->fn(report->arg,
                   "keeper vault: the data token may create keys by encrypting: an erased KEK could come back",
                   "take \"create\" on encrypt/+ out of its policy");
    else if (!holds(encrypt, "update") || !holds(decrypt, "update"))
        report->fn(report->arg, "keeper vault: the data token may not encrypt and decrypt at this mount",
                   "correct mount, or give its policy \"update\" on encrypt/+ and decrypt/+");
    else if (!holds(keys, "deny"))
        report->fn(report->arg, "keeper vault: the data token has rights on keys/+",
                   "take keys/+ out of its policy: that is the admin token's work");
    else
        report->fn(report->arg, "keeper vault: the data token may encrypt and decrypt, and create nothing", NULL);
out:
    sck_answer_clear(&r);
    return rc;
}

static enum sck_code
probe_admin_token(struct sck_vault *v, const struct report *report, struct sck_err *err)
{
    struct sck_answer r;
    bool asked = false, disabled = false;
    enum sck_code rc = capabilities(v, &v->admin, &r, &asked, err);
    if (rc != SCK_OK)
        goto out;
    struct sck_json keys = rights_on(v, &r, "keys", ""), config = rights_on(v, &r, "keys", "/config");
    bool root = holds(keys, "root");
    bool may = root || (holds(keys, "read") && holds(keys, "update") && holds(keys, "delete") &&
                        holds(config, "update"));
    if (!asked)
        report->fn(report->arg, "keeper vault: the admin token may not ask what it may do, so that is not proven",
                   NULL);
    else if (!may)
        report->fn(report->arg, "keeper vault: the admin token may not create, configure and delete keys",
                   "give its policy the admin lines of docs/keepers.md");
    else
        report->fn(report->arg, "keeper vault: the admin token may create, configure and delete keys", NULL);
    rc = upsert_disabled(v, false, &disabled, err);
    if (rc == SCK_OK)
        report->fn(report->arg, disabled ? "keeper vault: encrypting makes no keys (disable_upsert)"
                                         : "keeper vault: encrypting may make keys: an erased KEK could come back",
                   disabled ? NULL : "write disable_upsert=true to <mount>/config/keys");
out:
    sck_answer_clear(&r);
    return rc;
}

enum sck_code
sck_transit_probe(struct sck_keeper *keeper, void (*fn)(void *arg, const char *what, const char *cure), void *arg,
                  struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    const struct report report = {fn, arg};
    enum sck_code rc = probe_health(v, &report, err);
    if (rc == SCK_OK)
        rc = sck_transit_check_mount(v, NULL, v->mount, v->name_space, &v->data, err);
    if (rc == SCK_OK)
        rc = probe_data_token(v, &report, err);
    if (rc == SCK_OK && v->admin.usable)
        rc = probe_admin_token(v, &report, err);
    return rc;
}
