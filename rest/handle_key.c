/* SPDX-License-Identifier: MIT */
#include "lib/base/text.h"
#include "rest/handlers.h"
#include "rest/json.h"
#include "rest/request.h"

#include <string.h>

static const struct sck_rest_json_member members[] = {
    {"algorithm", JSON_STRING, false},
    {"subject", JSON_STRING, false},
    {"protection", JSON_STRING, false},
    {"expires_at", JSON_STRING, false},
};

static bool
text_is(struct sck_bytes text, const char *wanted)
{
    return text.len == strlen(wanted) && memcmp(text.data, wanted, text.len) == 0;
}

/* What kind of key.  SCK_E_USAGE with a message for the client. */
static enum sck_code
read_spec(const struct sck_request *req, const json_t *body, struct sck_key_spec *spec, struct sck_err *err)
{
    struct sck_bytes algorithm = sck_rest_json_text(body, "algorithm");
    struct sck_bytes protection = sck_rest_json_text(body, "protection");
    struct sck_bytes expires = sck_rest_json_text(body, "expires_at");
    *spec = (struct sck_key_spec){.alg = SCK_ALG_AES_256, .usage = SCK_USAGE_GCM, .protection = SCK_PROTECTION_TOKEN};
    if (algorithm.data != NULL && !text_is(algorithm, "AES-256-GCM"))
        return sck_fail(err, SCK_E_USAGE, "algorithm must be AES-256-GCM");
    if (protection.data != NULL && text_is(protection, "envelope"))
        spec->protection = SCK_PROTECTION_ENVELOPE;
    else if (protection.data != NULL && !text_is(protection, "token"))
        return sck_fail(err, SCK_E_USAGE, "protection must be token or envelope");
    if (expires.data == NULL)
        return SCK_OK;
    if (!sck_time_parse((const char *)expires.data, expires.len, &spec->expires_s))
        return sck_fail(err, SCK_E_USAGE, "expires_at must look like 2030-01-31T12:00:00Z");
    if (spec->expires_s <= sck_now_s(req->app->clock))
        return sck_fail(err, SCK_E_USAGE, "expires_at is in the past");
    return SCK_OK;
}

/* Whose key.  Answers and returns false when the subject is malformed or not the client's to use. */
static bool
read_scope(struct sck_request *req, const json_t *body, struct sck_scope *scope)
{
    struct sck_bytes subject = sck_rest_json_text(body, "subject");
    *scope = req->client->scope;
    if (subject.data == NULL)
        return true;
    if (sck_scope_make(SCK_SCOPE_SUBJECT, (const char *)subject.data, subject.len, scope, NULL) != SCK_OK) {
        sck_reply_invalid(req, "Invalid subject");
        return false;
    }
    if (!sck_client_may_use(req->client, scope)) {
        sck_reply_error(req, 403, "not_permitted", "The client may not name this subject");
        return false;
    }
    return true;
}

static json_t *
key_record(const struct sck_request *req, const struct sck_key_info *key)
{
    json_t *object = json_pack("{s:s, s:s}", "key_id", key->key_id, "algorithm", "AES-256-GCM");
    if (object == NULL || !sck_reply_put_time(req, object) ||
        json_object_set_new(object, "version", json_integer(key->version)) != 0 ||
        json_object_set_new(object, "state", json_string("active")) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static void
create(struct sck_request *req, const json_t *body)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_key_spec spec;
    struct sck_key_info key;
    struct sck_scope scope;
    if (read_spec(req, body, &spec, &err) != SCK_OK) {
        sck_reply_invalid(req, err.message);
        return;
    }
    if (!read_scope(req, body, &scope))
        return;
    enum sck_code rc = sck_key_create(req->app->service, &scope, "", &spec, &key, &err);
    if (rc == SCK_E_NOT_FOUND) {
        sck_reply_error(req, 404, "subject_not_found", "The subject is not provisioned");
        return;
    }
    if (rc != SCK_OK) {
        sck_reply_failed(req, &err);
        return;
    }
    memcpy(req->key_id, key.key_id, sizeof req->key_id);
    sck_reply_json(req, 200, key_record(req, &key));
}

void
sck_handle_generate_key(struct sck_request *req)
{
    struct sck_err err = SCK_ERR_INIT;
    json_t *body = NULL;
    enum sck_code rc = SCK_OK;
    req->algorithm = "AES-256-GCM";
    if (req->body != NULL)
        rc = sck_rest_json_parse(req->body->data, req->body->len, &body, &err);
    else if ((body = json_object()) == NULL)
        rc = sck_fail(&err, SCK_E_MEMORY, "no memory for a request");
    if (rc == SCK_OK)
        rc = sck_rest_json_check(body, members, sizeof members / sizeof members[0], &err);
    if (rc == SCK_E_USAGE)
        sck_reply_invalid(req, err.message);
    else if (rc != SCK_OK)
        sck_reply_failed(req, &err);
    else
        create(req, body);
    json_decref(body);
}
