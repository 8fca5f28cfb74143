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

static enum sck_code
delete_key(const struct sck_transit *t, struct sck_err *err)
{
    char path[SCK_VAULT_PATH_MAX];
    struct sck_answer r;
    (void)snprintf(path, sizeof path, "%s/keys/%s", t->mount, t->name);
    struct sck_vault_call call = sck_transit_call(t, SCK_OP_DELETE, "DELETE", path);
    call.token = &t->v->admin;
    enum sck_code rc = sck_vault_ask(t->v, &call, &r, err);
    /* "Not found" is what a repeated deletion hears whose first answer was lost. */
    if (rc == SCK_OK && r.row->verdict != SCK_SAYS_OK && r.row->verdict != SCK_SAYS_MISSING)
        rc = sck_vault_refused(t->v, &call, &r, err);
    sck_answer_clear(&r);
    return rc;
}

/* One node says that the key is gone: by reading it, and by not opening what was wrapped under it. */
static enum sck_code
verify_at(const struct sck_transit *t, const char *url, const uint8_t *canary, size_t canary_len,
          struct sck_erase_proof *proof, struct sck_err *err)
{
    const char *node = url != NULL ? url : t->v->url;
    enum sck_verdict verdict = SCK_SAYS_NOTHING;
    uint32_t version;
    bool missing = false;
    proof->read_says_gone = proof->canary_refused = false;
    enum sck_code rc = sck_transit_read(t, url, &missing, &version, err);
    if (rc == SCK_OK && !missing)
        rc = sck_fail(err, SCK_E_STATE, "keeper vault, erase of KEK %s at %s: it is there again after its deletion: "
                      "find who makes it, take that right away, and erase again", t->name, node);
    if (rc != SCK_OK)
        return rc;
    proof->read_says_gone = true;
    rc = sck_transit_try(t, url, canary, canary_len, &verdict, err);
    if (rc == SCK_OK && verdict != SCK_SAYS_MISSING)
        rc = sck_fail(err, SCK_E_STATE, "keeper vault, erase of KEK %s at %s: a wrapped DEK is still answered for: "
                      "find who makes the key, take that right away, and erase again", t->name, node);
    proof->canary_refused = rc == SCK_OK;
    (void)snprintf(proof->node, sizeof proof->node, "%s", node);
    return rc;
}

/* The active node's address, or "" when it is the one that answers. */
static enum sck_code
find_leader(struct sck_vault *v, char leader[SCK_VAULT_URL_MAX], struct sck_err *err)
{
    char text[SCK_VAULT_URL_MAX];
    const struct sck_vault_call call = {.op = SCK_OP_LEADER, .method = "GET", .path = "sys/leader", .name_space = ""};
    struct sck_answer r;
    leader[0] = '\0';
    enum sck_code rc = sck_vault_ask(v, &call, &r, err);
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

enum sck_code
sck_transit_erase(struct sck_keeper *keeper, const struct sck_kek *kek, uint32_t version, const uint8_t *canary,
                  size_t canary_len, struct sck_erase_proof *proof, struct sck_err *err)
{
    struct sck_vault *v = sck_vault_of(keeper);
    char leader[SCK_VAULT_URL_MAX];
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
        rc = sck_transit_check_mount(v, t.mount, t.name_space, &v->admin, err);
    if (rc == SCK_OK)
        rc = sck_transit_allow_deletion(&t, &missing, err);
    if (rc == SCK_OK && !missing)
        rc = delete_key(&t, err);
    if (rc == SCK_OK)
        rc = find_leader(v, leader, err);
    if (rc == SCK_OK && leader[0] != '\0')
        rc = verify_at(&t, leader, canary, canary_len, proof, err);
    if (rc == SCK_OK)
        rc = verify_at(&t, NULL, canary, canary_len, proof, err);
    if (rc == SCK_OK && leader[0] != '\0')
        (void)snprintf(proof->node, sizeof proof->node, "%s", leader);
    return rc;
}
