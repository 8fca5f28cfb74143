/* SPDX-License-Identifier: MIT */
#include "vault/http/status.h"

#define ANSWER(from, to) SCK_NET_ANSWER, from, to
#define OPENING (SCK_OP_DECRYPT | SCK_OP_REWRAP)
#define KEYED (SCK_OP_ENCRYPT | OPENING)
#define NO_ANSWER(net) net, 0, 999, 0, SCK_MATCH_ANY, NULL

/* A 500 is asked again once, but for these, which no repetition cures. */
#define PERMANENT(text) \
    {ANSWER(500, 500), 0, SCK_MATCH_HAS, text, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused", \
     "the server cannot do this", true}

static const struct sck_triage rows[] = {
    /* the exchange failed */
    {NO_ANSWER(SCK_NET_CONNECT), SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unreachable",
     "the server cannot be reached: start it or correct url", true},
    {NO_ANSWER(SCK_NET_TIMEOUT), SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "timeout",
     "the server did not answer in time: try again later", false},
    {NO_ANSWER(SCK_NET_BROKEN), SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "broken",
     "the connection broke: try again later", true},
    {NO_ANSWER(SCK_NET_CERTIFICATE), SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "untrusted",
     "the server's certificate is refused: set ca_file to the CA that signed it, and url to a name in it", true},
    {NO_ANSWER(SCK_NET_TLS), SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "no_tls",
     "no connection by TLS 1.2 or newer can be made: is url right, and what does the server ask for?", true},
    {NO_ANSWER(SCK_NET_OVERSIZE), SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "oversize",
     "the answer is over 1 MiB: is url a Vault or OpenBao?", false},
    {NO_ANSWER(SCK_NET_SETUP), SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "setup",
     "the request cannot be made: check ca_file and url", true},

    {ANSWER(200, 599), SCK_OP_HEALTH, SCK_MATCH_NO_ERRORS, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok", "", false},
    {ANSWER(200, 299), 0, SCK_MATCH_ANY, NULL, SCK_ACT_DONE, SCK_SAYS_OK, SCK_OK, "ok", "", false},
    {ANSWER(300, 399), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "redirect",
     "the server redirects elsewhere, which is never followed: set url to the active node, or nodes to all of them", false},

    /* logins: what is refused is never asked again by itself */
    {ANSWER(403, 403), SCK_OP_LOGIN, SCK_MATCH_IS, "permission denied", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CREDENTIAL,
     "no_login", "the login is refused, or there is none: check the role, what proves it, auth_mount and auth_namespace", false},
    {ANSWER(400, 403), SCK_OP_LOGIN, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused",
     "the login is refused: check the role and what proves it", true},
    {ANSWER(500, 500), SCK_OP_LOGIN, SCK_MATCH_HAS, "failed to verify client's certificate", SCK_ACT_STOP,
     SCK_SAYS_POLICY, SCK_E_CREDENTIAL, "refused", "the client certificate is refused: renew it", true},
    {ANSWER(500, 500), SCK_OP_LOGIN, SCK_MATCH_HAS, "missing ", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CREDENTIAL,
     "refused", "the login is refused: check the role and what proves it", true},
    {ANSWER(400, 403), SCK_OP_WRAPPING, SCK_MATCH_HAS, "wrapping token", SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_CREDENTIAL,
     "spent", "the wrapping token was used, has expired or is none", false},
    {ANSWER(403, 403), SCK_OP_WRAPPING, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_CREDENTIAL, "spent",
     "the wrapping token was used, has expired or is none", false},
    {ANSWER(400, 400), SCK_OP_RENEW, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_STATE, "not_renewable",
     "the token cannot be renewed", true},

    /* 400: the caller's, the key's or the ciphertext's fault */
    {ANSWER(400, 400), KEYED, SCK_MATCH_HAS, "encryption key not found", SCK_ACT_STOP,
     SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing", "no such KEK", false},
    {ANSWER(400, 400), SCK_OP_CONFIG, SCK_MATCH_HAS, "no existing key named", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing", "no such KEK", false},
    {ANSWER(400, 400), SCK_OP_ROTATE, SCK_MATCH_HAS, "key not found", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing", "no such KEK", false},
    {ANSWER(400, 400), SCK_OP_TRIM, SCK_MATCH_HAS, "invalid key name", SCK_ACT_STOP, SCK_SAYS_MISSING,
     SCK_E_NOT_FOUND, "missing", "no such KEK", false},
    {ANSWER(400, 400), SCK_OP_DELETE, SCK_MATCH_HAS, "could not delete key; not found", SCK_ACT_STOP,
     SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing", "no such KEK", false},
    {ANSWER(400, 400), SCK_OP_DELETE, SCK_MATCH_HAS, "deletion is not allowed", SCK_ACT_STOP, SCK_SAYS_UNDELETABLE,
     SCK_E_STATE, "undeletable", "the KEK may not be deleted: someone set deletion_allowed back, try again", false},
    {ANSWER(400, 400), 0, SCK_MATCH_HAS, "soft-deleted", SCK_ACT_STOP, SCK_SAYS_SOFT_DELETED, SCK_E_STATE,
     "soft_deleted", "the KEK is soft-deleted at the keeper: restore it there, or erase the subject", false},
    {ANSWER(400, 400), OPENING, SCK_MATCH_HAS, "message authentication failed", SCK_ACT_STOP,
     SCK_SAYS_ALTERED, SCK_E_AUTHENTIC, "altered", "the wrapped DEK was altered or is not of this KEK", false},
    {ANSWER(400, 400), OPENING, SCK_MATCH_HAS, "disallowed by policy (too old)", SCK_ACT_STOP,
     SCK_SAYS_TOO_OLD, SCK_E_STATE, "too_old",
     "this version of the KEK may no longer decrypt: lower its min_decryption_version", false},
    {ANSWER(400, 400), OPENING, SCK_MATCH_HAS, "invalid ciphertext", SCK_ACT_STOP, SCK_SAYS_ALTERED,
     SCK_E_AUTHENTIC, "altered", "the wrapped DEK was altered or is not of this KEK", false},
    {ANSWER(400, 400), SCK_OP_ENCRYPT, SCK_MATCH_HAS, "encryption key version", SCK_ACT_STOP, SCK_SAYS_TOO_OLD,
     SCK_E_STATE, "too_old", "this version of the KEK may not encrypt: lower its min_encryption_version", false},
    {ANSWER(400, 400), 0, SCK_MATCH_HAS, "complexity", SCK_ACT_STOP, SCK_SAYS_TOO_LARGE, SCK_E_CONFIG, "complexity",
     "the server's limits are below one request: raise max_request_json_strings", true},
    /* So a batch is answered of which some items failed; its items are judged one by one. */
    {ANSWER(400, 400), KEYED, SCK_MATCH_NO_ERRORS, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "partial",
     "the server refuses the request: is the mount a transit engine?", true},
    {ANSWER(400, 400), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused",
     "the server refuses the request: is the mount a transit engine?", true},

    /* 401, 403: a bad token is exactly "permission denied", a policy's denial is wrapped */
    {ANSWER(403, 403), SCK_OP_MOUNT, SCK_MATCH_HAS, "preflight capability check", SCK_ACT_STOP, SCK_SAYS_POLICY,
     SCK_E_CONFIG, "denied", "no such mount, or the token has no right on it: correct mount or the policy", false},
    {ANSWER(403, 403), 0, SCK_MATCH_IS, "permission denied", SCK_ACT_TOKEN, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL,
     "bad_token", "the token is invalid, expired or revoked: put a new one into its file", false},
    {ANSWER(403, 403), 0, SCK_MATCH_HAS, "invalid token", SCK_ACT_TOKEN, SCK_SAYS_BAD_TOKEN, SCK_E_CREDENTIAL,
     "bad_token", "the token is invalid, expired or revoked: put a new one into its file", false},
    {ANSWER(403, 403), 0, SCK_MATCH_HAS, "\t* permission denied", SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG,
     "denied", "the token's policy does not allow it, or there is no such mount: correct mount or the policy", false},
    {ANSWER(401, 403), SCK_OP_LOOKUP, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied",
     "the server denies it", true},
    {ANSWER(401, 403), 0, SCK_MATCH_ANY, NULL, SCK_ACT_LOOKUP, SCK_SAYS_POLICY, SCK_E_CONFIG, "denied",
     "the server denies it", true},

    /* 404: only reading a key may say that a key is missing */
    {ANSWER(404, 404), SCK_OP_READ, SCK_MATCH_EMPTY, NULL, SCK_ACT_STOP, SCK_SAYS_MISSING, SCK_E_NOT_FOUND, "missing",
     "no such KEK", false},
    {ANSWER(404, 404), 0, SCK_MATCH_HAS, "namespace not found", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG,
     "no_namespace", "no such namespace: correct namespace", false},
    {ANSWER(404, 404), 0, SCK_MATCH_HAS, "no handler for route", SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG,
     "no_mount", "no such mount: correct mount, or enable transit there", false},
    {ANSWER(404, 404), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path",
     "the server knows no such path: is the mount a transit engine?", true},
    {ANSWER(405, 405), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_NO_MOUNT, SCK_E_CONFIG, "no_path",
     "the server knows no such path: is the mount a transit engine?", true},

    {ANSWER(412, 412), 0, SCK_MATCH_ANY, NULL, SCK_ACT_RETRY_SHORT, SCK_SAYS_NOTHING, SCK_E_CONNECT, "stale",
     "the node has not caught up: try again later", false},
    {ANSWER(413, 413), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_TOO_LARGE, SCK_E_CONFIG, "complexity",
     "the server's limits are below one request: raise max_request_size", true},
    {ANSWER(429, 429), 0, SCK_MATCH_ANY, NULL, SCK_ACT_EASE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "quota",
     "the server's rate limit is reached: try again later, or raise the quota", false},
    {ANSWER(472, 473), 0, SCK_MATCH_ANY, NULL, SCK_ACT_ELSEWHERE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "wrong_node",
     "this node does not serve requests: set url to the active node", false},
    {ANSWER(400, 499), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_MALFORMED, SCK_E_CONFIG, "refused",
     "the server refuses the request: is url a Vault or OpenBao?", true},

    PERMANENT("illegal base64"),
    PERMANENT("failed to parse batch input"),
    PERMANENT("key being too large"),
    PERMANENT("soft-deleted"),
    PERMANENT("failed to RSA decrypt"),
    PERMANENT("failed to verify client's certificate"),
    PERMANENT("invalid key size"),
    PERMANENT("existing key"),
    {ANSWER(500, 500), 0, SCK_MATCH_HAS, "local node not active", SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT,
     "failover", "the cluster has no active node: try again later", false},
    {ANSWER(500, 500), 0, SCK_MATCH_ANY, NULL, SCK_ACT_RETRY_ONCE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error",
     "the server failed: see its log", true},
    {ANSWER(501, 501), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "unsupported",
     "the server does not implement it: is url a Vault or OpenBao?", true},
    {ANSWER(502, 504), 0, SCK_MATCH_HAS, "sealed", SCK_ACT_SEALED, SCK_SAYS_SEALED, SCK_E_CONNECT, "sealed",
     "the server is sealed: unseal it", false},
    {ANSWER(502, 504), 0, SCK_MATCH_ANY, NULL, SCK_ACT_RETRY, SCK_SAYS_NOTHING, SCK_E_CONNECT, "unavailable",
     "the server is not available: try again later", false},
    {ANSWER(505, 599), 0, SCK_MATCH_ANY, NULL, SCK_ACT_RETRY_ONCE, SCK_SAYS_NOTHING, SCK_E_CONNECT, "server_error",
     "the server failed: see its log", true},
    {ANSWER(0, 999999), 0, SCK_MATCH_ANY, NULL, SCK_ACT_STOP, SCK_SAYS_NOTHING, SCK_E_CONFIG, "strange",
     "the answer is no HTTP that Vault or OpenBao sends: correct url", false},
};

const char *
sck_vault_op_name(unsigned op)
{
    switch ((enum sck_vault_op)op) {
    case SCK_OP_READ:           return "read";
    case SCK_OP_CREATE:         return "create";
    case SCK_OP_CONFIG:         return "config";
    case SCK_OP_DELETE:         return "delete";
    case SCK_OP_ENCRYPT:        return "wrap";
    case SCK_OP_DECRYPT:        return "unwrap";
    case SCK_OP_MOUNT:          return "mount";
    case SCK_OP_UPSERT:         return "upsert";
    case SCK_OP_HEALTH:         return "health";
    case SCK_OP_LEADER:         return "leader";
    case SCK_OP_LOOKUP:         return "lookup";
    case SCK_OP_LOGIN:          return "login";
    case SCK_OP_RENEW:          return "renew";
    case SCK_OP_REVOKE:         return "revoke";
    case SCK_OP_WRAPPING:       return "unwrapping";
    case SCK_OP_CAPABILITIES:   return "capabilities";
    case SCK_OP_ROTATE:         return "rotate";
    case SCK_OP_TRIM:           return "trim";
    case SCK_OP_REWRAP:         return "rewrap";
    }
    return "unknown";
}

const struct sck_triage *
sck_vault_triage(enum sck_net net, long status, unsigned op, const char *text)
{
    return sck_triage_find(rows, sizeof rows / sizeof rows[0], net, status, op, text);
}

const struct sck_triage *
sck_vault_triage_rows(size_t *count)
{
    *count = sizeof rows / sizeof rows[0];
    return rows;
}
