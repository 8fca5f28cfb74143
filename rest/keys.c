/* SPDX-License-Identifier: MIT */
#include "rest/keys.h"

#include "rest/json.h"

#include <string.h>

bool
sck_rest_key_id(struct sck_request *req, const json_t *body)
{
    struct sck_bytes text = sck_rest_json_text(body, "key_id");
    if (text.data == NULL || !sck_key_id_is_valid((const char *)text.data, text.len)) {
        sck_reply_invalid(req, "Invalid key_id format");
        return false;
    }
    memcpy(req->key_id, text.data, text.len);
    req->key_id[text.len] = '\0';
    return true;
}

enum sck_code
sck_rest_key_find(struct sck_request *req, uint32_t version, struct sck_key_info *out, struct sck_err *err)
{
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_key_find_by_key_id(req->app->service, req->key_id, version, out, &why);
    if (rc == SCK_E_DENIED || (rc == SCK_OK && !sck_client_may_use(req->client, &out->scope)))
        return sck_fail(err, SCK_E_NOT_FOUND, "no such key");
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", why.message);
    return SCK_OK;
}
