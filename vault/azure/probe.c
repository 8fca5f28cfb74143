/* SPDX-License-Identifier: MIT */
/*
 * What `doctor` reports.  Azure tells nobody what it may do, so each right is tried on a key that is not there: a
 * client without the right is refused before the vault looks for the key.
 */
#include "vault/azure/azure.h"

#include <stdio.h>
#include <string.h>

struct report {
    struct sck_azure *a;
    void (*fn)(void *arg, const char *what, const char *cure);
    void *arg;
};

/* A right and the request that shows it. */
struct trial {
    const char *right;
    enum sck_azure_op op;
    const char *method;
    const char *path; /* around the key's name */
    const char *rest;
    const char *body;
};

#define NO_VERSION "00000000000000000000000000000000"
#define NO_VALUE "{\"alg\":\"RSA-OAEP-256\",\"value\":\"AAAA\"}"

static const struct trial trials[] = {
    {"get", SCK_AZ_READ, "GET", "/keys/", "", NULL},
    {"list", SCK_AZ_VERSIONS, "GET", "/keys/", "/versions", NULL},
    {"wrapKey", SCK_AZ_WRAP, "POST", "/keys/", "/" NO_VERSION "/wrapkey", NO_VALUE},
    {"unwrapKey", SCK_AZ_UNWRAP, "POST", "/keys/", "/" NO_VERSION "/unwrapkey", NO_VALUE},
    /* No vault makes a key of a type that does not exist. */
    {"create", SCK_AZ_CREATE, "POST", "/keys/", "/create", "{\"kty\":\"none\"}"},
    {"rotate", SCK_AZ_ROTATE, "POST", "/keys/", "/rotate", "{}"},
    {"update", SCK_AZ_UPDATE, "PATCH", "/keys/", "", "{\"attributes\":{\"enabled\":false}}"},
    {"delete", SCK_AZ_DELETE, "DELETE", "/keys/", "", NULL},
    {"purge", SCK_AZ_PURGE, "DELETE", "/deletedkeys/", "", NULL},
};
enum { TRIALS = sizeof trials / sizeof trials[0] };
enum { GET = 1, LIST = 2, WRAP = 4, UNWRAP = 8, CREATE = 16, ROTATE = 32, UPDATE = 64, DELETE = 128, PURGE = 256 };

static enum sck_code
try_right(struct sck_azure *a, const struct trial *t, struct sck_azure_login *login, const char *name, bool *has,
          struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_secret *body = NULL;
    struct sck_call call = {.op = 0};
    enum sck_code rc = SCK_OK;
    (void)snprintf(path, sizeof path, "%s%s%s?" SCK_AZURE_API, t->path, name, t->rest);
    if (t->body != NULL)
        rc = sck_secret_from(t->body, strlen(t->body), &body, err);
    const struct sck_azure_ask ask = {.op = t->op, .method = t->method, .path = path, .login = login, .body = body};
    if (rc == SCK_OK)
        rc = sck_azure_send(a, &ask, &call, err);
    if (rc == SCK_OK) {
        enum sck_verdict verdict = call.answer.row->verdict;
        bool told = verdict == SCK_SAYS_OK || verdict == SCK_SAYS_MISSING || verdict == SCK_SAYS_MALFORMED ||
                    verdict == SCK_SAYS_ALTERED || verdict == SCK_SAYS_UNDELETABLE;
        *has = told;
        if (!told && verdict != SCK_SAYS_POLICY)
            rc = sck_call_refused(&call, err);
    }
    sck_call_clear(&call);
    sck_secret_free(&body);
    return rc;
}

static enum sck_code
rights_of(struct sck_azure *a, struct sck_azure_login *login, unsigned *rights, struct sck_err *err)
{
    uint8_t random[8];
    char name[40] = "scopekey-probe-";
    *rights = 0;
    enum sck_code rc = sck_random(random, sizeof random, err);
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(name + 15 + 2 * i, 3, "%02x", random[i]);
    for (size_t i = 0; rc == SCK_OK && i < TRIALS; i++) {
        bool has = false;
        rc = try_right(a, &trials[i], login, name, &has, err);
        if (has)
            *rights |= 1U << i;
    }
    return rc;
}

/* The names of the rights in `set`, as "get, list". */
static void
name_rights(unsigned set, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < TRIALS; i++) {
        if ((set & 1U << i) != 0 && used < cap)
            used += (size_t)snprintf(out + used, cap - used, "%s%s", used > 0 ? ", " : "", trials[i].right);
    }
}

static void
report_rights(const struct report *r, const char *who, unsigned rights, unsigned needed, unsigned unwanted)
{
    char what[256], list[128], cure[256];
    if ((needed & ~rights) != 0) {
        name_rights(needed & ~rights, list, sizeof list);
        (void)snprintf(what, sizeof what, "keeper azure: %s may not %s keys", who, list);
        (void)snprintf(cure, sizeof cure, "give it the key permissions %s", list);
        r->fn(r->arg, what, cure);
    } else if ((unwanted & rights) != 0) {
        name_rights(unwanted & rights, list, sizeof list);
        (void)snprintf(what, sizeof what, "keeper azure: %s may %s keys, which is the admin client's work", who,
                       list);
        (void)snprintf(cure, sizeof cure, "take the key permissions %s away from it", list);
        r->fn(r->arg, what, cure);
    } else {
        name_rights(rights, list, sizeof list);
        (void)snprintf(what, sizeof what, "keeper azure: %s may %s keys", who, list);
        r->fn(r->arg, what, NULL);
    }
}

/* What becomes of a deleted key, from any key that is there. */
static enum sck_code
report_recovery(const struct report *r, struct sck_azure_login *login, bool may_purge, struct sck_err *err)
{
    struct sck_azure *a = r->a;
    char level[64], what[256];
    uint64_t days = 0;
    struct sck_call call;
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_LIST, .method = "GET", .path = "/keys?" SCK_AZURE_API "&maxresults=1", .login = login};
    enum sck_code rc = sck_azure_expect(a, &ask, SCK_SAYS_POLICY, &call, err);
    struct sck_json attributes =
        rc == SCK_OK ? sck_json_get(sck_json_item(sck_json_get(call.answer.json, "value"), 0), "attributes")
                     : (struct sck_json){0};
    bool told = sck_json_text(sck_json_get(attributes, "recoveryLevel"), level, sizeof level);
    bool dated = sck_json_u64(sck_json_get(attributes, "recoverableDays"), 10000, &days);
    bool purgeable = told && strstr(level, "Purgeable") != NULL && may_purge && a->purge;
    sck_call_clear(&call);
    if (rc != SCK_OK || !told)
        return rc;
    if (purgeable) {
        r->fn(r->arg, "keeper azure: deleted KEKs are purged at once: receipts say complete", NULL);
    } else {
        (void)snprintf(what, sizeof what,
                       "keeper azure: a deleted KEK stays recoverable for %u days (%s%s): receipts say "
                       "scheduled",
                       (unsigned)days, level, may_purge ? "" : ", no right to purge");
        r->fn(r->arg, what,
              dated && days > 30 ? "use a vault with a retention of at most 30 days, or one without purge "
                                   "protection and an admin client that may purge"
                                 : NULL);
    }
    return SCK_OK;
}

enum sck_code
sck_azure_probe(struct sck_keeper *keeper, void (*fn)(void *arg, const char *what, const char *cure), void *arg,
                struct sck_err *err)
{
    const struct report r = {sck_azure_of(keeper), fn, arg};
    struct sck_azure *a = r.a;
    unsigned data = 0, admin = 0;
    bool two = a->admin != &a->data, oct = strcmp(a->key_type, "oct-HSM") == 0;
    unsigned data_needs = GET | LIST | UNWRAP | (oct ? WRAP : 0U),
             admin_needs = GET | LIST | CREATE | DELETE | ROTATE | UPDATE;
    enum sck_code rc = rights_of(a, &a->data, &data, err);
    if (rc == SCK_OK && two)
        rc = rights_of(a, a->admin, &admin, err);
    if (rc != SCK_OK)
        return rc;
    if (two) {
        report_rights(&r, "the data client", data, data_needs, CREATE | ROTATE | UPDATE | DELETE | PURGE);
        report_rights(&r, "the admin client", admin, admin_needs, UNWRAP);
    } else {
        report_rights(&r, "the client", data, data_needs | admin_needs, 0);
    }
    return report_recovery(&r, a->admin, ((two ? admin : data) & PURGE) != 0, err);
}

enum sck_code
sck_azure_status(struct sck_keeper *keeper, struct sck_keeper_status *out, struct sck_err *err)
{
    struct sck_azure *a = sck_azure_of(keeper);
    struct sck_call call;
    static const char *const breaker[] = {
        [SCK_BREAKER_CLOSED] = "closed", [SCK_BREAKER_OPEN] = "open", [SCK_BREAKER_HALF_OPEN] = "half-open"};
    (void)snprintf(out->where, sizeof out->where, "%s", sck_azure_url(a));
    (void)snprintf(out->version, sizeof out->version, "keys API 7.4");
    (void)snprintf(out->breaker, sizeof out->breaker, "%s", breaker[sck_breaker_state(&a->vault.breaker)]);
    const struct sck_azure_ask ask = {.op = SCK_AZ_LIST,
                                      .method = "GET",
                                      .path = "/keys?" SCK_AZURE_API "&maxresults=1",
                                      .login = &a->data,
                                      .once = true};
    /* A client that may not list keys answers just as well. */
    enum sck_code rc = sck_azure_expect(a, &ask, SCK_SAYS_POLICY, &call, err);
    sck_call_clear(&call);
    out->token_ttl_s = sck_azure_login_left_s(&a->data);
    if (a->admin != &a->data)
        out->admin_ttl_s = sck_azure_login_left_s(a->admin);
    return rc;
}
