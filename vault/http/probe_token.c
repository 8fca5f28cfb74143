/* SPDX-License-Identifier: MIT */
#include "vault/http/probe.h"

#include "vault/http/auth.h"
#include "vault/http/transit.h"

#include <stdio.h>
#include <string.h>

/* A key that is never made: rights are asked about it. */
static const char probe_name[] = "scopekey-probe";

enum { TEXT_MAX = 512, LEASE_LEAST_S = 60, LIFE_LEAST_S = 7 * 86400 };

/* A right on <mount>/<middle>/+<end>; for what must not be, `capability` NULL means any. */
struct right {
    const char *middle, *end, *capability;
};

static const struct right data_needs[] = {
    {"encrypt", "", "update"}, {"decrypt", "", "update"}, {"rewrap", "", "update"},
};
static const struct right data_excess[] = {
    {"keys", "", NULL}, {"keys", "/config", NULL}, {"keys", "/rotate", NULL}, {"keys", "/trim", NULL},
    {"export/encryption-key", "", NULL}, {"backup", "", NULL},
};
static const struct right admin_needs[] = {
    {"keys", "", "read"}, {"keys", "", "update"}, {"keys", "", "delete"},
    {"keys", "/config", "update"}, {"keys", "/rotate", "update"}, {"keys", "/trim", "update"},
};
static const struct right admin_excess[] = {
    {"encrypt", "", NULL}, {"decrypt", "", NULL}, {"rewrap", "", NULL},
    {"datakey/plaintext", "", NULL}, {"export/encryption-key", "", NULL}, {"backup", "", NULL},
};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* One of the two tokens. */
struct subject {
    struct sck_credential *token;
    const char *who;                    /* "the data token" */
    const struct right *needs, *excess;
    size_t need_count, excess_count;
    const char *well;                   /* what it may do, when that is as it should be */
};

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

static void
put_paths(const struct sck_vault *v, const struct right *rights, size_t count, struct sck_buf *out)
{
    for (size_t i = 0; i < count; i++)
        sck_buf_printf(out, "%s\"%s/%s/%s%s\"", i > 0 ? "," : "", v->mount, rights[i].middle, probe_name,
                       rights[i].end);
}

/* sys/capabilities-self about a key that is not there; *asked false when the token may not ask. */
static enum sck_code
capabilities(struct sck_vault *v, const struct subject *s, struct sck_answer *r, bool *asked, struct sck_err *err)
{
    struct sck_buf json;
    struct sck_secret *body = NULL;
    struct sck_vault_call call = {.op = SCK_OP_CAPABILITIES, .method = "POST", .path = "sys/capabilities-self",
                                  .name_space = v->name_space, .token = s->token};
    sck_buf_init(&json, 8192);
    sck_buf_put_str(&json, "{\"paths\":[");
    put_paths(v, s->needs, s->need_count, &json);
    sck_buf_put_str(&json, ",");
    put_paths(v, s->excess, s->excess_count, &json);
    sck_buf_put_str(&json, "]}");
    enum sck_code rc = sck_transit_body(sck_buf_str(&json), &body, err);
    call.body = body;
    if (rc == SCK_OK)
        rc = sck_vault_ask(v, &call, r, err);
    *asked = rc == SCK_OK && r->row->verdict == SCK_SAYS_OK;
    if (rc == SCK_OK && !*asked && r->row->verdict != SCK_SAYS_POLICY)
        rc = sck_vault_refused(v, &call, r, err);
    sck_secret_free(&body);
    sck_buf_clear(&json);
    return rc;
}

static struct sck_json
rights_on(const struct sck_vault *v, const struct sck_answer *r, const struct right *right)
{
    char path[SCK_VAULT_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s/%s%s", v->mount, right->middle, probe_name, right->end);
    return sck_json_get(sck_json_get(r->json, "data"), path);
}

/* Append "update on rewrap/+" and so on: what is missing, or what is too much. */
static void
list_rights(const struct sck_vault *v, const struct sck_answer *r, const struct right *rights, size_t count,
            struct sck_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        struct sck_json has = rights_on(v, r, &rights[i]);
        const char *capability = rights[i].capability;
        if (capability != NULL ? !holds(has, capability) : has.kind == SCK_JSON_ARRAY && !holds(has, "deny"))
            sck_buf_printf(out, "%s%s%s%s/+%s", out->len > 0 ? ", " : "", capability != NULL ? capability : "",
                           capability != NULL ? " on " : "", rights[i].middle, rights[i].end);
    }
}

static void
tell(const struct sck_probe_report *report, const char *who, const char *how, const char *list, const char *cure)
{
    char text[TEXT_MAX];
    (void)snprintf(text, sizeof text, "keeper vault: %s %s%s%s", who, how, list[0] != '\0' ? " " : "", list);
    report->fn(report->arg, text, cure);
}

/* What a token that may ask may do. */
static void
judge_rights(const struct sck_vault *v, const struct subject *s, const struct sck_answer *r,
             const struct sck_probe_report *report)
{
    static const struct right encrypt = {"encrypt", "", NULL};
    struct sck_buf lacks, excess;
    sck_buf_init(&lacks, TEXT_MAX);
    sck_buf_init(&excess, TEXT_MAX);
    list_rights(v, r, s->needs, s->need_count, &lacks);
    list_rights(v, r, s->excess, s->excess_count, &excess);
    bool creates = holds(rights_on(v, r, &encrypt), "create") && s->excess == data_excess;
    if (holds(rights_on(v, r, &s->needs[0]), "root")) {
        tell(report, s->who, "is a root token", "", "make a token with the policy of docs/keepers.md");
    } else {
        if (creates)
            tell(report, s->who, "may create keys by encrypting: an erased KEK could come back", "",
             "take \"create\" on encrypt/+ out of its policy");
        if (lacks.len > 0)
            tell(report, s->who, "lacks", sck_buf_str(&lacks),
             "correct mount, or add it to its policy (docs/keepers.md)");
        if (excess.len > 0)
            tell(report, s->who, "has rights that are not its own: on", sck_buf_str(&excess),
             "take that out of its policy (docs/keepers.md)");
        if (!creates && lacks.len == 0 && excess.len == 0)
            tell(report, s->who, s->well, "", NULL);
    }
    sck_buf_clear(&lacks);
    sck_buf_clear(&excess);
}

/* How long it lives. */
static void
judge_life(const struct subject *s, struct sck_json data, const struct sck_probe_report *report)
{
    const struct sck_auth *a = sck_auth_of(s->token);
    uint64_t ttl = 0, lease = 0, uses = 0;
    char text[128];
    bool renewable = sck_json_get(data, "renewable").kind == SCK_JSON_TRUE;
    bool login = sck_auth_method_logs_in(a->method), agent = a->method == SCK_AUTH_AGENT;
    bool known = sck_json_u64(sck_json_get(data, "ttl"), UINT32_MAX, &ttl);
    (void)sck_json_u64(sck_json_get(data, "creation_ttl"), UINT32_MAX, &lease);
    if (sck_json_u64(sck_json_get(data, "num_uses"), UINT32_MAX, &uses) && uses > 0)
        tell(report, s->who, "is good for a number of uses only", "", "set token_num_uses to 0");
    if (!known || ttl == 0) {
        tell(report, s->who, "does not end", "", NULL);
        return;
    }
    (void)snprintf(text, sizeof text, "ends in %llu s and can%s be renewed", (unsigned long long)ttl,
                   renewable ? "" : "not");
    if (lease > 0 && lease < LEASE_LEAST_S)
        tell(report, s->who, text, "",
             "give it a lease (token_ttl, or period) of an hour: an outage that is longer ends it");
    else if (!renewable && !login && !agent && ttl < LIFE_LEAST_S)
        tell(report, s->who, text, "", "make one with a period, or let Scopekey log in (auth in scopekey.conf)");
    else
        tell(report, s->who, text, "", NULL);
}

static enum sck_code
probe_life(struct sck_vault *v, const struct subject *s, const struct sck_probe_report *report, struct sck_err *err)
{
    struct sck_answer r = {.gave_up = ""};
    const struct sck_vault_call call = {.op = SCK_OP_LOOKUP, .method = "GET", .path = "auth/token/lookup-self",
                                        .name_space = v->name_space, .token = s->token};
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
    if (rc == SCK_OK && r.row->verdict == SCK_SAYS_POLICY)
        tell(report, s->who, "may not look itself up", "",
             "give its policy: path \"auth/token/lookup-self\" { capabilities = [\"read\"] }");
    else if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(v, &call, &r, err);
    else if (rc == SCK_OK)
        judge_life(s, sck_json_get(r.json, "data"), report);
    sck_answer_clear(&r);
    return rc;
}

static enum sck_code
probe(struct sck_vault *v, const struct subject *s, const struct sck_probe_report *report, struct sck_err *err)
{
    struct sck_answer r = {.gave_up = ""};
    bool asked = false;
    enum sck_code rc = capabilities(v, s, &r, &asked, err);
    if (rc == SCK_OK && asked)
        judge_rights(v, s, &r, report);
    else if (rc == SCK_OK)
        tell(report, s->who, "may not ask what it may do", "",
             "give its policy: path \"sys/capabilities-self\" { capabilities = [\"update\"] }");
    sck_answer_clear(&r);
    return rc == SCK_OK ? probe_life(v, s, report, err) : rc;
}

enum sck_code
sck_probe_data_token(struct sck_vault *v, const struct sck_probe_report *report, struct sck_err *err)
{
    const struct subject data = {&v->data, "the data token", data_needs, data_excess, COUNT(data_needs),
                                 COUNT(data_excess), "may encrypt and decrypt, and create nothing"};
    return probe(v, &data, report, err);
}

enum sck_code
sck_probe_admin_token(struct sck_vault *v, const struct sck_probe_report *report, struct sck_err *err)
{
    const struct subject admin = {&v->admin, "the admin token", admin_needs, admin_excess, COUNT(admin_needs),
                                  COUNT(admin_excess), "may create, configure and delete keys, and open nothing"};
    return probe(v, &admin, report, err);
}
