/* SPDX-License-Identifier: MIT */
#include "vault/azure/status.h"

#include <stdio.h>
#include <string.h>

#define ANSWER(from, to) SCK_NET_ANSWER, from, to
#define NO_ANSWER(net) net, 0, 999
#define ANY SCK_MATCH_ANY, NULL
#define HAS(text) SCK_MATCH_HAS, text
/* An error object of any kind: a proxy's page has none. */
#define AN_ERROR SCK_MATCH_HAS, ""

/* Requests that must not be sent twice: each adds a version. */
#define ADDS (SCK_AZ_CREATE | SCK_AZ_ROTATE)
#define OF_A_KEY                                                                                                      \
    (SCK_AZ_READ | SCK_AZ_VERSIONS | SCK_AZ_ROTATE | SCK_AZ_UPDATE | SCK_AZ_WRAP | SCK_AZ_UNWRAP | SCK_AZ_DELETE)
#define TOKENS (SCK_AZ_LOGIN | SCK_AZ_IDENTITY)

static const struct sck_triage rows[] = {
    /* the exchange failed */
    {NO_ANSWER(SCK_NET_CONNECT), 0, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unreachable",
     "the server cannot be reached: check the network, or correct url", true},
    {NO_ANSWER(SCK_NET_TIMEOUT), ADDS, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost",
     "no answer came in time, so that nobody knows whether it was done: run the same command again", false},
    {NO_ANSWER(SCK_NET_BROKEN), ADDS, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost",
     "the connection broke, so that nobody knows whether it was done: run the same command again", true},
    {NO_ANSWER(SCK_NET_TIMEOUT), 0, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout",
     "the server did not answer in time: try again later", false},
    {NO_ANSWER(SCK_NET_BROKEN), 0, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "broken",
     "the connection broke: try again later", true},
    {NO_ANSWER(SCK_NET_CERTIFICATE), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "untrusted",
     "the server's certificate is refused: set ca_file to the CA that signed it, and url to a name in it", true},
    {NO_ANSWER(SCK_NET_OVERSIZE), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "oversize",
     "the answer is over 1 MiB: is url a Key Vault?", false},
    {NO_ANSWER(SCK_NET_SETUP), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "setup",
     "the request cannot be made: check ca_file and url", true},

    /* asked without a token, a vault says which one it wants */
    {ANSWER(401, 401), SCK_AZ_CHALLENGE, ANY, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "challenge", "", false},
    {ANSWER(200, 299), SCK_AZ_CHALLENGE, ANY, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_challenge",
     "the server asks for no token: is url a Key Vault?", false},
    {ANSWER(200, 299), 0, ANY, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok", "", false},
    {ANSWER(300, 399), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "redirect",
     "the server redirects elsewhere, which is never followed: correct url", false},

    /* tokens */
    {ANSWER(400, 401), SCK_AZ_LOGIN, HAS("AADSTS90002"), SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_tenant",
     "there is no such tenant: correct tenant_id", false},
    {ANSWER(400, 401), SCK_AZ_LOGIN, HAS("AADSTS700024"), SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "clock",
     "the assertion is not valid at this time: set this machine's clock", false},
    {ANSWER(400, 401), SCK_AZ_LOGIN, HAS("unauthorized_client"), SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL,
     "no_client", "the tenant does not know this client: correct client_id", true},
    {ANSWER(400, 401), SCK_AZ_LOGIN, HAS("invalid_client"), SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL,
     "bad_credential", "the client's secret, certificate or assertion is refused: put a new one in its place", true},
    {ANSWER(400, 499), SCK_AZ_LOGIN, HAS("temporarily_unavailable"), SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT,
     "unavailable", "no token can be had just now: try again later", false},
    {ANSWER(404, 404), SCK_AZ_IDENTITY, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable",
     "the endpoint of managed identities is not ready: try again later, or choose another credential", true},
    {ANSWER(410, 410), SCK_AZ_IDENTITY, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable",
     "the endpoint of managed identities is not ready: try again later, or choose another credential", true},
    {ANSWER(429, 429), TOKENS, ANY, SCK_ACT_EASE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "throttled",
     "too many tokens are asked for: try again later", false},
    {ANSWER(400, 499), SCK_AZ_LOGIN, ANY, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused",
     "no token is given: check tenant_id, client_id and authority", true},
    {ANSWER(400, 499), SCK_AZ_IDENTITY, ANY, SCK_ACT_STOP, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "no_identity",
     "no token is given: does this machine have the managed identity, and is client_id it?", true},

    /* 400 */
    {ANSWER(400, 400), SCK_AZ_UNWRAP, HAS("BadParameter"), SCK_ACT_STOP, SCK_SAYS_ALTERED, SCK_E_AUTHENTIC, "altered",
     "the wrapped DEK was altered or is not of this KEK", false},
    {ANSWER(400, 400), 0, ANY, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused",
     "the vault refuses the request: does it make keys of this key_type and key_bits?", true},

    {ANSWER(401, 401), 0, ANY, SCK_ACT_TOKEN, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL, "bad_token",
     "the vault refuses the token: is tenant_id the vault's?", true},

    /* 403 */
    {ANSWER(403, 403), SCK_AZ_PURGE, HAS("/ForbiddenByPolicy"), SCK_ACT_STOP, SCK_SAYS_UNDELETABLE, SCK_E_STATE,
     "protected", "the vault has purge protection: the key goes when its retention ends", false},
    {ANSWER(403, 403), 0, HAS("/KeyDisabled"), SCK_ACT_STOP, SCK_SAYS_TOO_OLD, SCK_E_STATE, "disabled",
     "this version of the KEK is disabled: enable it", false},
    {ANSWER(403, 403), 0, HAS("/KeyOperationForbidden"), SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_STATE, "forbidden",
     "the KEK may not be used for this: someone changed its key_ops", false},
    {ANSWER(403, 403), 0, HAS("/ForbiddenByFirewall"), SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "firewall",
     "the vault's firewall refuses this machine: allow its address there", false},
    {ANSWER(403, 403), 0, HAS("/ForbiddenByConnection"), SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "firewall",
     "the vault takes connections over a private link alone: use that, or allow this network", false},
    {ANSWER(402, 403), 0, ANY, SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied",
     "the client has no right to do this: give it the permission of docs/keepers.md", true},

    /* 404: only an answer that tells an error says that a key is missing */
    {ANSWER(404, 404), SCK_AZ_DELETED | SCK_AZ_PURGE, AN_ERROR, SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_NOT_FOUND,
     "missing", "no such deleted KEK", false},
    {ANSWER(404, 404), OF_A_KEY, AN_ERROR, SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing", "no such KEK",
     false},
    {ANSWER(404, 405), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path",
     "the server knows no such path: is url a Key Vault?", true},

    /* 408 and 409 */
    {ANSWER(408, 408), ADDS, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost",
     "the server gave up, so that nobody knows whether it was done: run the same command again", false},
    {ANSWER(408, 408), 0, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout",
     "the server did not answer in time: try again later", false},
    {ANSWER(409, 409), 0, HAS("/ObjectIsDeletedButRecoverable"), SCK_ACT_STOP, SCK_SAYS_SOFT_DELETED, SCK_E_STATE,
     "soft_deleted", "the name is held by a deleted key that can still be recovered: purge it, or wait until the vault "
     "purges it", false},
    {ANSWER(409, 409), 0, HAS("/ObjectIsBeingDeleted"), SCK_ACT_STOP, SCK_SAYS_BUSY, SCK_E_BUSY, "being_deleted",
     "the key is being deleted: try again when that is over", false},
    {ANSWER(409, 409), 0, ANY, SCK_ACT_STOP, SCK_SAYS_BUSY, SCK_E_BUSY, "conflict",
     "another operation on the key is under way: try again", true},

    {ANSWER(429, 429), 0, ANY, SCK_ACT_EASE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "throttled",
     "the vault's limits are reached: try again later, or spread the load over more vaults", false},
    {ANSWER(400, 499), 0, ANY, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused",
     "the server refuses the request: is url a Key Vault?", true},

    /* 5xx */
    {ANSWER(501, 501), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "unsupported",
     "the server does not implement it: is url a Key Vault?", true},
    {ANSWER(500, 599), ADDS, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONNECT, "lost",
     "the server failed, so that nobody knows whether it was done: run the same command again", true},
    {ANSWER(500, 599), 0, ANY, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error",
     "the server failed: try again later", true},
    {ANSWER(0, 999999), 0, ANY, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange",
     "the answer is no HTTP that Azure sends: correct url", false},
};

const char *
sck_azure_op_name(unsigned op)
{
    switch ((enum sck_azure_op)op) {
    case SCK_AZ_CHALLENGE:  return "challenge";
    case SCK_AZ_READ:       return "read";
    case SCK_AZ_VERSIONS:   return "versions";
    case SCK_AZ_LIST:       return "list";
    case SCK_AZ_CREATE:     return "create";
    case SCK_AZ_ROTATE:     return "rotate";
    case SCK_AZ_UPDATE:     return "update";
    case SCK_AZ_WRAP:       return "wrap";
    case SCK_AZ_UNWRAP:     return "unwrap";
    case SCK_AZ_DELETE:     return "delete";
    case SCK_AZ_DELETED:    return "read_deleted";
    case SCK_AZ_PURGE:      return "purge";
    case SCK_AZ_LOGIN:      return "login";
    case SCK_AZ_IDENTITY:   return "identity";
    }
    return "unknown";
}

const char *
sck_azure_error_text(struct sck_json body, char *out, size_t cap)
{
    struct sck_json error = sck_json_get(body, "error"), inner = error;
    size_t used = 0;
    char part[128];
    out[0] = '\0';
    if (error.kind == SCK_JSON_STRING) {
        (void)sck_json_text(error, part, sizeof part);
        used = (size_t)snprintf(out, cap, "%s: ", part);
        inner = sck_json_get(body, "error_description");
        if (used < cap)
            (void)sck_json_text(inner, out + used, cap - used);
        return out;
    }
    if (error.kind != SCK_JSON_OBJECT)
        return NULL;
    /* Inner errors explain the outer ones; a server that nests them deeper than this is not listened to. */
    for (int depth = 0; depth < 4 && inner.kind == SCK_JSON_OBJECT && used < cap; depth++) {
        (void)sck_json_text(sck_json_get(inner, "code"), part, sizeof part);
        used += (size_t)snprintf(out + used, cap - used, "%s%s", depth > 0 ? "/" : "", part);
        inner = sck_json_get(inner, "innererror");
    }
    if (used + 2 < cap) {
        memcpy(out + used, ": ", 3);
        (void)sck_json_text(sck_json_get(error, "message"), out + used + 2, cap - used - 2);
    }
    return out;
}

const struct sck_triage *
sck_azure_triage(enum sck_net net, long status, unsigned op, const char *text)
{
    return sck_triage_find(rows, sizeof rows / sizeof rows[0], net, status, op, text);
}

const struct sck_triage *
sck_azure_triage_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}
