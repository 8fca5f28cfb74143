/* SPDX-License-Identifier: MIT */
#include "vault/http/auth_method.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    bool logs_in;
} methods[] = {
    [SCK_AUTH_TOKEN] = {"token", false},
    [SCK_AUTH_AGENT] = {"agent", false},
    [SCK_AUTH_APPROLE] = {"approle", true},
    [SCK_AUTH_KUBERNETES] = {"kubernetes", true},
    [SCK_AUTH_JWT] = {"jwt", true},
    [SCK_AUTH_CERT] = {"cert", true},
};
enum { METHODS = sizeof methods / sizeof methods[0] };

bool
sck_auth_method_parse(const char *word, enum sck_auth_method *method)
{
    for (size_t i = 0; i < METHODS; i++) {
        if (strcmp(methods[i].name, word) == 0) {
            *method = (enum sck_auth_method)i;
            return true;
        }
    }
    return false;
}

const char *
sck_auth_method_name(enum sck_auth_method method)
{
    return methods[method].name;
}

bool
sck_auth_method_logs_in(enum sck_auth_method method)
{
    return methods[method].logs_in;
}

bool
sck_auth_is_printable(const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++) {
        if (p[i] <= 0x20 || p[i] >= 0x7F)
            return false;
    }
    return len > 0;
}

/* A member of a login's body. */
struct member {
    const char *name;
    const void *value;
    size_t len;
};

/* Write `len` bytes as the inside of a JSON string; only counts when `out` is NULL. */
static size_t
put_escaped(uint8_t *out, const uint8_t *value, size_t len)
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        char text[8];
        int n = 1;
        text[0] = (char)value[i];
        if (value[i] == '"' || value[i] == '\\')
            n = snprintf(text, sizeof text, "\\%c", value[i]);
        else if (value[i] < 0x20)
            n = snprintf(text, sizeof text, "\\u%04x", value[i]);
        if (out != NULL)
            memcpy(out + used, text, (size_t)n);
        used += (size_t)n;
        sck_wipe(text, sizeof text);
    }
    return used;
}

static size_t
put_raw(uint8_t *out, const char *text)
{
    size_t len = strlen(text);
    if (out != NULL)
        memcpy(out, text, len);
    return len;
}

/* An object of strings; only counts when `out` is NULL. */
static size_t
put_object(uint8_t *out, const struct member *members, size_t count)
{
    size_t used = put_raw(out, "{");
    for (size_t i = 0; i < count; i++) {
        used += put_raw(out != NULL ? out + used : NULL, i > 0 ? ",\"" : "\"");
        used += put_raw(out != NULL ? out + used : NULL, members[i].name);
        used += put_raw(out != NULL ? out + used : NULL, "\":\"");
        used += put_escaped(out != NULL ? out + used : NULL, members[i].value, members[i].len);
        used += put_raw(out != NULL ? out + used : NULL, "\"");
    }
    return used + put_raw(out != NULL ? out + used : NULL, "}");
}

static void
add(struct member *members, size_t *count, const char *name, const void *value, size_t len)
{
    if (len > 0)
        members[(*count)++] = (struct member){name, value, len};
}

enum sck_code
sck_auth_login_body(enum sck_auth_method method, const char *role, const struct sck_secret *role_id,
                    const struct sck_secret *proof, struct sck_secret **body, struct sck_err *err)
{
    struct member members[2];
    size_t count = 0;
    *body = NULL;
    switch (method) {
    case SCK_AUTH_APPROLE:
        add(members, &count, "role_id", role_id->data, role_id->len);
        if (proof != NULL)
            add(members, &count, "secret_id", proof->data, proof->len);
        break;
    case SCK_AUTH_KUBERNETES:
    case SCK_AUTH_JWT:
        add(members, &count, "role", role, strlen(role));
        add(members, &count, "jwt", proof->data, proof->len);
        break;
    case SCK_AUTH_CERT:
        add(members, &count, "name", role, strlen(role));
        break;
    case SCK_AUTH_TOKEN:
    case SCK_AUTH_AGENT:
        return sck_fail(err, SCK_E_INTERNAL, "keeper vault: there is no login by %s", methods[method].name);
    }
    size_t len = put_object(NULL, members, count);
    if (len > SCK_SECRET_MAX)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: what the login would send is over 1 MiB");
    enum sck_code rc = sck_secret_new(len, body, err);
    if (rc == SCK_OK)
        (void)put_object((*body)->data, members, count);
    return rc;
}

void
sck_auth_grant_clear(struct sck_auth_grant *grant)
{
    sck_secret_free(&grant->token);
    *grant = (struct sck_auth_grant){.token = NULL};
}

enum sck_code
sck_auth_json_secret(struct sck_json value, const char *what, struct sck_secret **out, struct sck_err *err)
{
    *out = NULL;
    if (value.kind != SCK_JSON_STRING || !sck_auth_is_printable(value.at, value.len) ||
        memchr(value.at, '\\', value.len) != NULL)
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: the answer lacks %s: is url a Vault or OpenBao?", what);
    return sck_secret_from(value.at, value.len, out, err);
}

enum sck_code
sck_auth_grant_parse(struct sck_json answer, bool token, struct sck_auth_grant *grant, struct sck_err *err)
{
    struct sck_json auth = sck_json_get(answer, "auth");
    uint64_t uses = 0;
    *grant = (struct sck_auth_grant){.token = NULL};
    if (auth.kind == SCK_JSON_OBJECT && sck_json_get(auth, "mfa_requirement").kind == SCK_JSON_OBJECT)
        return sck_fail(err, SCK_E_CREDENTIAL, "keeper vault: the login asks for a second factor, which a service has "
                        "not: take the MFA requirement off its role");
    if (auth.kind != SCK_JSON_OBJECT ||
        !sck_json_u64(sck_json_get(auth, "lease_duration"), UINT32_MAX, &grant->lease_s))
        return sck_fail(err, SCK_E_CONFIG, "keeper vault: the answer lacks auth.lease_duration: is url a Vault or "
                        "OpenBao?");
    grant->renewable = sck_json_get(auth, "renewable").kind == SCK_JSON_TRUE;
    grant->batch = sck_json_is(sck_json_get(auth, "token_type"), "batch");
    grant->counted = sck_json_u64(sck_json_get(auth, "num_uses"), UINT32_MAX, &uses) && uses > 0;
    return token ? sck_auth_json_secret(sck_json_get(auth, "client_token"), "auth.client_token", &grant->token, err)
                 : SCK_OK;
}
