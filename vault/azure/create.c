/* SPDX-License-Identifier: MIT */
/*
 * Making KEKs and versions.  Azure makes another version when it is asked to create a key that is there, so that a
 * request whose answer was lost is never sent again before it was looked what became of it.
 */
#include "vault/azure/azure.h"

#include "lib/base/log.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POSTS_MAX = 3, LOOKS_MAX = 3, MARK_BYTES = 16, BODY_MAX = 512 };

/* One creation: `mark` is the tag by which we know our own key. */
struct creation {
    struct sck_azure *a;
    const char *name;
    char mark[2 * MARK_BYTES + 1];
    char version[SCK_AZURE_VERSION_LEN + 1];
};

static enum sck_code
json_secret(const char *json, struct sck_secret **out, struct sck_err *err)
{
    return sck_secret_from(json, strlen(json), out, err);
}

/* Is the key there, and is it ours? */
static enum sck_code
look(struct creation *c, bool *there, bool *ours, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_call call;
    (void)snprintf(path, sizeof path, "/keys/%s?" SCK_AZURE_API, c->name);
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_READ, .method = "GET", .path = path, .kek = c->name, .login = c->a->admin};
    enum sck_code rc = sck_azure_expect(c->a, &ask, SCK_SAYS_MISSING, &call, err);
    *there = rc == SCK_OK && call.answer.row->verdict == SCK_SAYS_OK;
    *ours = *there && sck_json_is(sck_json_get(sck_json_get(call.answer.json, "tags"), "scopekey"), c->mark) &&
            sck_azure_kid_version(sck_json_get(sck_json_get(call.answer.json, "key"), "kid"), sck_azure_url(c->a),
                                  c->name, c->version);
    sck_call_clear(&call);
    return rc;
}

/* What became of the one request. */
struct posted {
    bool again; /* it was certainly not carried out */
    bool lost; /* nobody knows */
    bool over; /* and the server does nothing about it any more */
    int64_t wait_ms; /* what the server asks for before the next */
};

static enum sck_code
post(struct creation *c, struct posted *out, struct sck_err *err)
{
    char path[SCK_PATH_MAX], json[BODY_MAX];
    bool oct = strcmp(c->a->key_type, "oct-HSM") == 0;
    struct sck_secret *body = NULL;
    struct sck_call call = {.op = 0};
    (void)snprintf(path, sizeof path, "/keys/%s/create?" SCK_AZURE_API, c->name);
    (void)snprintf(json, sizeof json,
                   "{\"kty\":\"%s\",\"key_size\":%d,\"key_ops\":[\"wrapKey\",\"unwrapKey\"],"
                   "\"attributes\":{\"enabled\":true},\"tags\":{\"scopekey\":\"%s\"}}",
                   c->a->key_type, oct ? 256 : (int)c->a->key_bits, c->mark);
    enum sck_code rc = json_secret(json, &body, err);
    const struct sck_azure_ask ask = {.op = SCK_AZ_CREATE,
                                      .method = "POST",
                                      .path = path,
                                      .kek = c->name,
                                      .login = c->a->admin,
                                      .body = body,
                                      .once = true};
    *out = (struct posted){.again = false};
    if (rc == SCK_OK)
        rc = sck_azure_send(c->a, &ask, &call, err);
    if (rc == SCK_OK && call.answer.row->verdict != SCK_SAYS_OK) {
        const struct sck_triage *row = call.answer.row;
        out->lost = strcmp(row->outcome, "lost") == 0;
        out->over = call.answer.reply.net == SCK_NET_ANSWER;
        out->again = row->action == SCK_ACT_RETRY || row->action == SCK_ACT_EASE;
        out->wait_ms = call.answer.reply.retry_after_ms;
        rc = sck_call_refused(&call, err);
    } else if (rc == SCK_OK) {
        struct sck_json key = sck_json_get(call.answer.json, "key");
        if (!sck_azure_kid_version(sck_json_get(key, "kid"), sck_azure_url(c->a), c->name, c->version))
            rc = sck_call_strange(&call, "the new key's kid", err);
        sck_azure_note_retention(c->a, sck_json_get(call.answer.json, "attributes"));
    }
    sck_call_clear(&call);
    sck_secret_free(&body);
    return rc;
}

static void
sleep_ms(const struct sck_azure *a, int64_t ms)
{
    a->vault.env.clock->sleep_ms(a->vault.env.clock->arg, ms);
}

/* What became of a request without an answer: waits a little, as it may still be under way. */
static enum sck_code
look_for_lost(struct creation *c, bool *there, bool *ours, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    *there = *ours = false;
    for (int looks = 0; rc == SCK_OK && !*there && looks < LOOKS_MAX; looks++) {
        if (looks > 0)
            sleep_ms(c->a, c->a->vault.retry_backoff_ms << looks);
        rc = look(c, there, ours, err);
    }
    return rc;
}

/* Look, send, and look again whenever nobody knows. */
static enum sck_code
make(struct creation *c, struct sck_err *err)
{
    bool there = false, ours = false;
    enum sck_code rc = look(c, &there, &ours, err);
    for (unsigned posts = 1; rc == SCK_OK && !there; posts++) {
        struct sck_err why = SCK_ERR_INIT;
        struct posted p;
        rc = post(c, &p, &why);
        if (rc == SCK_OK)
            return SCK_OK;
        bool known = p.lost && look_for_lost(c, &there, &ours, NULL) == SCK_OK;
        if (known && there)
            return ours ? SCK_OK : sck_fail(err, SCK_E_EXISTS, "keeper azure: KEK %s is there already", c->name);
        int64_t wait_ms = c->a->vault.retry_backoff_ms << (posts - 1);
        wait_ms = p.wait_ms > wait_ms ? p.wait_ms : wait_ms;
        if (!(p.again || (known && p.over)) || posts == POSTS_MAX || wait_ms > c->a->vault.deadline_ms ||
            !sck_retry_budget_spend(&c->a->vault.budget))
            return sck_fail(err, rc, "%s", why.message);
        sleep_ms(c->a, wait_ms);
        rc = SCK_OK;
    }
    if (rc == SCK_OK)
        rc = sck_fail(err, SCK_E_EXISTS, "keeper azure: KEK %s is there already", c->name);
    return rc;
}

static enum sck_code
disable(struct sck_azure *a, const char *name, const char *version, struct sck_err *err)
{
    char path[SCK_PATH_MAX];
    struct sck_secret *body = NULL;
    struct sck_call call = {.op = 0};
    (void)snprintf(path, sizeof path, "/keys/%s/%s?" SCK_AZURE_API, name, version);
    enum sck_code rc = json_secret("{\"attributes\":{\"enabled\":false}}", &body, err);
    const struct sck_azure_ask ask = {
        .op = SCK_AZ_UPDATE, .method = "PATCH", .path = path, .kek = name, .login = a->admin, .body = body};
    if (rc == SCK_OK)
        rc = sck_azure_expect(a, &ask, SCK_SAYS_OK, &call, err);
    if (rc == SCK_OK && sck_json_get(sck_json_get(call.answer.json, "attributes"), "enabled").kind != SCK_JSON_FALSE)
        rc = sck_call_strange(&call, "enabled = false", err);
    sck_call_clear(&call);
    sck_secret_free(&body);
    return rc;
}

/* Two that created at the same time made two versions: the first one's counts, the other one is put out of use. */
static enum sck_code
settle(struct creation *c, struct sck_err *err)
{
    struct sck_azure_versions versions;
    enum sck_code rc = sck_azure_versions(c->a, c->name, c->a->admin, 0, &versions, err);
    if (rc != SCK_OK)
        return rc;
    if (strcmp(versions.list[0].id, c->version) != 0) {
        rc = disable(c->a, c->name, c->version, err);
        if (rc == SCK_OK)
            rc = sck_fail(err, SCK_E_EXISTS, "keeper azure: KEK %s is there already", c->name);
    }
    free(versions.list);
    return rc;
}

enum sck_code
sck_azure_create(struct sck_keeper *keeper, const char *name, uint32_t generation, struct sck_kek_made *made,
                 struct sck_err *err)
{
    struct creation c = {.a = sck_azure_of(keeper), .name = name};
    uint8_t mark[MARK_BYTES];
    (void)generation;
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, 1);
    enum sck_code rc = sck_azure_check_name(name, err);
    if (rc == SCK_OK)
        rc = sck_random(mark, sizeof mark, err);
    if (rc != SCK_OK)
        return rc;
    sck_hex_format(mark, sizeof mark, c.mark);
    rc = make(&c, err);
    if (rc == SCK_OK)
        rc = settle(&c, err);
    if (rc == SCK_OK)
        made->version = 1;
    return rc;
}

enum sck_code
sck_azure_rotate(struct sck_keeper *keeper, const struct sck_kek *kek, struct sck_kek_made *made, struct sck_err *err)
{
    struct sck_azure *a = sck_azure_of(keeper);
    char path[SCK_PATH_MAX], version[SCK_AZURE_VERSION_LEN + 1];
    struct sck_secret *empty = NULL;
    struct sck_call call = {.op = 0};
    memset(made, 0, sizeof *made);
    sck_buf_init(&made->record, 1);
    enum sck_code rc = sck_azure_check_name(kek->name, err);
    /* A request without a body that says so, or servers ask for its length. */
    if (rc == SCK_OK)
        rc = sck_secret_new(1, &empty, err);
    if (rc != SCK_OK)
        return rc;
    empty->len = 0;
    (void)snprintf(path, sizeof path, "/keys/%s/rotate?" SCK_AZURE_API, kek->name);
    const struct sck_azure_ask ask = {.op = SCK_AZ_ROTATE,
                                      .method = "POST",
                                      .path = path,
                                      .kek = kek->name,
                                      .login = a->admin,
                                      .body = empty,
                                      .once = true};
    rc = sck_azure_expect(a, &ask, SCK_SAYS_OK, &call, err);
    if (rc == SCK_OK && !sck_azure_kid_version(sck_json_get(sck_json_get(call.answer.json, "key"), "kid"),
                                               sck_azure_url(a), kek->name, version))
        rc = sck_call_strange(&call, "the new version's kid", err);
    sck_call_clear(&call);
    sck_secret_free(&empty);
    sck_azure_key_forget(a, kek->name);
    return rc == SCK_OK ? sck_azure_newest(keeper, kek, &made->version, err) : rc;
}

enum sck_code
sck_azure_newest(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t *version, struct sck_err *err)
{
    struct sck_azure *a = sck_azure_of(keeper);
    struct sck_azure_versions versions;
    *version = 0;
    enum sck_code rc = sck_azure_check_name(kek->name, err);
    if (rc == SCK_OK)
        rc = sck_azure_versions(a, kek->name, a->admin, 0, &versions, err);
    if (rc == SCK_OK) {
        *version = (uint32_t)versions.count;
        free(versions.list);
    }
    return rc;
}

enum sck_code
sck_azure_retire(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t oldest, struct sck_err *err)
{
    struct sck_azure *a = sck_azure_of(keeper);
    struct sck_azure_versions versions;
    enum sck_code rc = sck_azure_check_name(kek->name, err);
    if (rc == SCK_OK)
        rc = sck_azure_versions(a, kek->name, a->admin, 0, &versions, err);
    if (rc != SCK_OK)
        return rc;
    bool tied = oldest > 1 && oldest <= versions.count &&
                versions.list[oldest - 2].created_s == versions.list[oldest - 1].created_s;
    /* Which one is the newest the vault does say. */
    if (tied && oldest == versions.count) {
        rc = sck_azure_versions_settle(a, kek->name, &versions, err);
        tied = false;
    }
    if (rc == SCK_OK && (oldest == 0 || oldest > versions.count))
        rc = sck_fail(err, SCK_E_USAGE, "keeper azure: KEK %s has versions 1 to %zu, not %u", kek->name,
                      versions.count, (unsigned)oldest);
    else if (rc == SCK_OK && tied)
        rc = sck_fail(err, SCK_E_STATE,
                      "keeper azure: versions %u and %u of KEK %s were made in one second, and the vault "
                      "does not say which was first: rotate once more, rewrap, and retire then",
                      (unsigned)(oldest - 1), (unsigned)oldest, kek->name);
    for (uint32_t i = 0; rc == SCK_OK && i + 1 < oldest; i++) {
        if (versions.list[i].enabled)
            rc = disable(a, kek->name, versions.list[i].id, err);
    }
    free(versions.list);
    return rc;
}
