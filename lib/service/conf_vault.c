/* SPDX-License-Identifier: MIT */
/* What [keeper vault] must and must not hold for each way to a token. */
#include "lib/service/conf.h"

#include <stdlib.h>
#include <string.h>

/* Keys as bits, in the order of keys[]. */
enum {
    KEY_MOUNT = 1U << 0,
    KEY_ROLE = 1U << 1,
    KEY_NAMESPACE = 1U << 2,
    KEY_TOKEN_FILE = 1U << 3,
    KEY_TOKEN_FD = 1U << 4,
    KEY_TOKEN_CREDENTIAL = 1U << 5,
    KEY_ROLE_ID = 1U << 6,
    KEY_ROLE_ID_FILE = 1U << 7,
    KEY_SECRET_ID_FILE = 1U << 8,
    KEY_WRAPPED = 1U << 9,
    KEY_JWT_FILE = 1U << 10,
    KEY_CERT = 1U << 11,
    KEY_CERT_KEY = 1U << 12
};
static const char *const keys[] = {
    "auth_mount", "auth_role", "auth_namespace", "token_file", "token_fd", "token_credential", "role_id",
    "role_id_file", "secret_id_file", "secret_id_wrapped", "jwt_file", "client_cert_file", "client_key_file",
};
enum {
    KEYS = sizeof keys / sizeof keys[0],
    TLS = KEY_CERT | KEY_CERT_KEY,
    LOGIN = KEY_MOUNT | KEY_ROLE | KEY_NAMESPACE
};

static const struct rule {
    const char *auth;
    unsigned one_of;            /* exactly one of these is needed; 0: none */
    unsigned needed, allowed;
} rules[] = {
    {"token", KEY_TOKEN_FILE | KEY_TOKEN_FD | KEY_TOKEN_CREDENTIAL, 0, KEY_NAMESPACE | TLS},
    {"agent", 0, KEY_TOKEN_FILE, TLS},
    {"approle", KEY_ROLE_ID | KEY_ROLE_ID_FILE, 0, LOGIN | KEY_SECRET_ID_FILE | KEY_WRAPPED | TLS},
    {"kubernetes", 0, KEY_ROLE, LOGIN | KEY_JWT_FILE | TLS},
    {"jwt", 0, KEY_JWT_FILE, LOGIN | TLS},
    {"cert", 0, TLS, LOGIN},
};

static unsigned
keys_set(const struct sck_conf_vault_auth *a)
{
    const bool set[KEYS] = {
        a->auth_mount[0] != '\0',     a->auth_role[0] != '\0',     a->auth_namespace[0] != '\0',
        a->token_file[0] != '\0',     a->token_fd != 0,            a->token_credential[0] != '\0',
        a->role_id[0] != '\0',        a->role_id_file[0] != '\0',  a->secret_id_file[0] != '\0',
        a->secret_id_wrapped,         a->jwt_file[0] != '\0',      a->client_cert_file[0] != '\0',
        a->client_key_file[0] != '\0',
    };
    unsigned bits = 0;
    for (size_t i = 0; i < KEYS; i++)
        bits |= set[i] ? 1U << i : 0;
    return bits;
}

/* "a, b and c" of the keys in `bits`. */
static void
list_keys(unsigned bits, const char *prefix, const char *last, struct sck_buf *out)
{
    for (size_t i = 0; i < KEYS; i++) {
        if ((bits & 1U << i) == 0)
            continue;
        bits &= ~(1U << i);
        if (out->len > 0)
            sck_buf_put_str(out, bits != 0 ? ", " : last);
        sck_buf_printf(out, "%s%s", prefix, keys[i]);
    }
}

static enum sck_code
refuse(const struct sck_conf *conf, const char *prefix, const char *auth, unsigned bits, const char *why,
       struct sck_err *err)
{
    struct sck_buf list;
    sck_buf_init(&list, 512);
    list_keys(bits, prefix, strstr(why, "one of") != NULL ? " or " : " and ", &list);
    enum sck_code rc = sck_fail(err, SCK_E_CONFIG, "%s, [keeper vault]: %sauth = %s %s %s", conf->path, prefix, auth, why,
                                sck_buf_str(&list));
    sck_buf_clear(&list);
    return rc;
}

static enum sck_code
check_auth(const struct sck_conf *conf, const struct sck_conf_vault_auth *a, const char *prefix, unsigned inherited,
           struct sck_err *err)
{
    unsigned set = keys_set(a), have = set | inherited;
    const struct rule *r = rules;
    while (strcmp(r->auth, a->auth) != 0)
        r++;
    unsigned picked = set & r->one_of;
    unsigned foreign = set & ~(r->one_of | r->needed | r->allowed);
    if (foreign != 0)
        return refuse(conf, prefix, a->auth, foreign, "has no use for", err);
    if ((have & r->needed) != r->needed)
        return refuse(conf, prefix, a->auth, r->needed & ~have, "needs", err);
    if (r->one_of != 0 && (picked == 0 || (picked & (picked - 1)) != 0))
        return refuse(conf, prefix, a->auth, r->one_of, "needs exactly one of", err);
    if ((set & TLS) != 0 && (set & TLS) != TLS)
        return refuse(conf, prefix, a->auth, TLS & ~set, "with one half of a client certificate needs", err);
    if (a->secret_id_wrapped && (set & (KEY_ROLE | KEY_SECRET_ID_FILE)) != (KEY_ROLE | KEY_SECRET_ID_FILE))
        return refuse(conf, prefix, a->auth, (KEY_ROLE | KEY_SECRET_ID_FILE) & ~set, "with secret_id_wrapped needs",
                      err);
    return SCK_OK;
}

/* Whether the admin section says anything at all. */
static bool
has_admin(const struct sck_conf *conf)
{
    return strcmp(conf->vault_admin.auth, "token") != 0 || keys_set(&conf->vault_admin) != 0;
}

enum sck_code
sck_conf_check_vault(const struct sck_conf *conf, struct sck_err *err)
{
    const struct sck_conf_vault_auth *data = &conf->vault_data;
    bool env = sck_conf_vault_token_env(conf) != NULL;
    unsigned tls = keys_set(data) & TLS;
    bool nothing = strcmp(data->auth, "token") == 0 && (keys_set(data) & rules[0].one_of) == 0;
    if (conf->vault_url[0] == '\0' || (nothing && !env))
        return sck_fail(err, SCK_E_CONFIG, "%s: keeper = vault needs url and token_file in [keeper vault]", conf->path);
    enum sck_code rc = env && nothing ? SCK_OK : check_auth(conf, data, "", 0, err);
    if (rc == SCK_OK && has_admin(conf))
        rc = check_auth(conf, &conf->vault_admin, "admin_", tls, err);
    return rc;
}

const char *
sck_conf_vault_token_env(const struct sck_conf *conf)
{
    static const char *const names[] = {"BAO_TOKEN", "VAULT_TOKEN"};
    for (size_t i = 0; conf->from_env && i < sizeof names / sizeof names[0]; i++) {
        const char *value = secure_getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return names[i];
    }
    return NULL;
}
