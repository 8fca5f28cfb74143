/* SPDX-License-Identifier: MIT */
/*
 * Erasure at the keeper and its proof.  Nothing is believed from one answer: a key/value engine answers a deleted
 * key's 404 just as transit does, and a standby may lag behind.
 */
#include "vault/http/transit.h"
#include "vault/http/url.h"

#include <stdio.h>
#include <string.h>

/* A ciphertext for whoever gives none: a living key says that it is malformed, a missing one that it is missing. */
static const char made_up[] = "vault:v1:AAAA";

static enum sck_code find_leader(struct sck_vault *v, char leader[SCK_VAULT_URL_MAX], struct sck_err *err);

/*
 * A standby may redirect a deletion to the active node, although it forwards everything else: the redirection is not
 * followed, the cluster is asked which node that is, and it is asked by itself.
 */
static enum sck_code
delete_key(const struct sck_transit *t, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    char leader[SCK_VAULT_URL_MAX];
    struct sck_answer r;
    (void)snprintf(path, sizeof path, "%s/keys/%s", t->mount, t->name);
    struct sck_vault_call call = sck_transit_call(t, SCK_OP_DELETE, "DELETE", path);
    call.token = &t->v->admin;
    enum sck_code rc = sck_vault_ask(t->v, &call, &r, err);
    if (rc == SCK_OK && r.reply.status >= 300 && r.reply.status <= 399 && find_leader(t->v, leader, NULL) == SCK_OK &&
        strcmp(leader, r.url) != 0) {
        sck_answer_clear(&r);
        call.url = leader;
        rc = sck_vault_ask(t->v, &call, &r, err);
    }
    /* "Not found" is what a repeated deletion hears whose first answer was lost. */
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK && r.row->verdict != SCK_SAYS_MISSING)
        rc = sck_vault_refused(t->v, &call, &r, err);
    sck_answer_clear(&r);
    return rc;
}

/* What a node says that still has the key: the active one is contradicting itself, another one may be behind. */
static enum sck_code
still_there(const struct sck_transit *t, const char *url, bool active, const char *what, const char *maker,
            struct sck_err *err)
{
    if (!active)
        return sck_fail(err, SCK_E_BUSY, "keeper vault, erase of KEK %s at %s: %s: this node is behind, the erasure is "
                        "pending until it agrees", t->name, url, what);
    return sck_fail(err, SCK_E_STATE, "keeper vault, erase of KEK %s at %s: %s: find who makes %s, take that right away, "
                    "and erase again", t->name, url, what, maker);
}

/* One node says that the key is gone: by reading it, and by not opening what was wrapped under it. */
static enum sck_code
verify_at(const struct sck_transit *t, const char *url, bool active, const uint8_t *canary, size_t canary_len,
          struct sck_erase_node *out, struct sck_err *err)
{
    enum sck_verdict verdict = SCK_SAYS_NOTHING;
    uint32_t version;
    bool missing = false;
    *out = (struct sck_erase_node){.read_says_gone = false};
    (void)snprintf(out->url, sizeof out->url, "%s", url);
    enum sck_code rc = sck_transit_read(t, url, &missing, &version, err);
    if (rc == SCK_OK && !missing)
        rc = still_there(t, url, active, "it is there again after its deletion", "it", err);
    if (rc != SCK_OK)
        return rc;
    out->read_says_gone = true;
    rc = sck_transit_try(t, url, canary, canary_len, &verdict, err);
    if (rc == SCK_OK && verdict != SCK_SAYS_MISSING)
        rc = still_there(t, url, active, "a wrapped DEK is still answered for", "the key", err);
    out->canary_refused = rc == SCK_OK;
    return rc;
}

/* The active node's address. */
static enum sck_code
find_leader(struct sck_vault *v, char leader[SCK_VAULT_URL_MAX], struct sck_err *err)
{
    char text[SCK_VAULT_URL_MAX];
    const struct sck_vault_call call = {.op = SCK_OP_LEADER, .method = "GET", .path = "sys/leader", .name_space = ""};
    struct sck_answer r;
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
    (void)snprintf(leader, SCK_VAULT_URL_MAX, "%s", r.url[0] != '\0' ? r.url : v->url);
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK)
        rc = sck_vault_refused(v, &call, &r, err);
    if (rc == SCK_OK && sck_json_get(r.json, "ha_enabled").kind == SCK_JSON_TRUE &&
        sck_json_get(r.json, "is_self").kind != SCK_JSON_TRUE) {
        bool given = sck_json_text(sck_json_get(r.json, "leader_address"), text, sizeof text) && text[0] != '\0';
        if (!given || sck_vault_url_parse(text, v->insecure_http, leader, NULL) != SCK_OK)
            rc = sck_fail(err, SCK_E_CONNECT, "keeper vault: the cluster names no active node that can be asked: try "
                          "again later, or set url to the active node");
    } else if (rc == SCK_OK && sck_json_get(r.json, "ha_enabled").kind == SCK_JSON_NONE) {
        rc = sck_vault_strange(&call, "ha_enabled", err);
    }
    sck_answer_clear(&r);
    return rc;
}

/*
 * The active node first, then every other one that is configured, each by itself: a 404 counts only where the mount is
 * a transit engine.  All are asked, so that the receipt or the failure is about as many as can be.
 */
static enum sck_code
verify_everywhere(const struct sck_transit *t, const uint8_t *canary, size_t canary_len, struct sck_erase_proof *proof,
                  struct sck_err *err)
{
    struct sck_vault *v = t->v;
    const char *urls[SCK_ERASE_NODES_MAX];
    char leader[SCK_VAULT_URL_MAX];
    size_t count = 1;
    enum sck_code rc = find_leader(v, leader, err);
    if (rc != SCK_OK)
        return rc;
    urls[0] = leader;
    for (size_t i = 0; i < v->remote.node_count && count < SCK_ERASE_NODES_MAX; i++) {
        if (strcmp(v->remote.nodes[i], leader) != 0)
            urls[count++] = v->remote.nodes[i];
    }
    (void)snprintf(proof->node, sizeof proof->node, "%s", leader);
    proof->read_says_gone = proof->canary_refused = true;
    for (size_t i = 0; i < count; i++) {
        struct sck_erase_node *node = &proof->nodes[proof->node_count++];
        struct sck_err why = SCK_ERR_INIT;
        enum sck_code one = SCK_OK;
        (void)snprintf(node->url, sizeof node->url, "%s", urls[i]);
        if (count > 1)
            one = sck_transit_check_mount(v, urls[i], t->mount, t->name_space, &v->admin, &why);
        if (one == SCK_OK)
            one = verify_at(t, urls[i], i == 0, canary, canary_len, node, &why);
        proof->read_says_gone = proof->read_says_gone && node->read_says_gone;
        proof->canary_refused = proof->canary_refused && node->canary_refused;
        if (one != SCK_OK && rc == SCK_OK)
            rc = sck_fail(err, one, "%s", why.message);
        /* What the active node denies need not be asked of others. */
        if (one != SCK_OK && i == 0)
            break;
    }
    return rc;
}

enum sck_code
sck_transit_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *canary,
                  size_t canary_len, struct sck_erase_proof *proof, struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    struct sck_transit t;
    bool missing = false;
    (void)version;
    memset(proof, 0, sizeof *proof);
    proof->how = SCK_ERASURE_IMMEDIATE;
    if (canary_len == 0) {
        canary = (const uint8_t *)made_up;
        canary_len = sizeof made_up - 1;
    }
    enum sck_code rc = sck_transit_aim(v, kek->name, kek->mount, kek->name_space, &t, err);
    if (rc == SCK_OK)
        rc = sck_transit_check_mount(v, NULL, t.mount, t.name_space, &v->admin, err);
    if (rc == SCK_OK)
        rc = sck_transit_allow_deletion(&t, &missing, err);
    if (rc == SCK_OK && !missing)
        rc = delete_key(&t, err);
    return rc == SCK_OK ? verify_everywhere(&t, canary, canary_len, proof, err) : rc;
}
