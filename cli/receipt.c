/* SPDX-License-Identifier: MIT */
#include "cli/receipt.h"

#include "lib/base/crypto.h"
#include "lib/base/file.h"
#include "lib/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum sck_code
sck_cli_receipt_parse(const uint8_t *data, size_t len, json_t **out, struct sck_err *err)
{
    json_error_t why;
    json_t *receipt = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, &why);
    if (receipt == NULL)
        return sck_fail(err, SCK_E_AUTHENTIC, "the receipt is no JSON: line %d: %s", why.line, why.text);
    if (!json_is_string(json_object_get(receipt, "signature"))) {
        json_decref(receipt);
        return sck_fail(err, SCK_E_AUTHENTIC, "this is no receipt: it has no \"signature\"");
    }
    *out = receipt;
    return SCK_OK;
}

enum sck_code
sck_cli_receipt_read(const char *path, json_t **out, struct sck_err *err)
{
    struct sck_buf text;
    sck_buf_init(&text, SCK_RECEIPT_MAX);
    enum sck_code code = sck_file_read(path, SCK_RECEIPT_MAX, &text, err);
    if (code == SCK_E_NOT_FOUND) {
        /* A missing file is input, not a missing key. */
        sck_err_clear(err);
        code = sck_fail(err, SCK_E_IO, "read %s: there is no such file", path);
    }
    if (code == SCK_OK)
        code = sck_cli_receipt_parse(text.data, text.len, out, err);
    if (code == SCK_E_AUTHENTIC)
        sck_err_prefix(err, "%s", path);
    sck_buf_clear(&text);
    return code;
}

/* Whether the receipt says that this key signed it. */
static bool
is_named(const json_t *receipt, const uint8_t *spki, size_t spki_len)
{
    uint8_t hash[SCK_SHA256_LEN];
    char hex[2 * SCK_SHA256_LEN + 1];
    struct sck_err none = SCK_ERR_INIT;
    const char *named = json_string_value(json_object_get(receipt, "key_sha256"));
    if (named == NULL || sck_sha256(spki, spki_len, hash, &none) != SCK_OK)
        return false;
    sck_hex_format(hash, sizeof hash, hex);
    return strcmp(named, hex) == 0;
}

enum sck_code
sck_cli_receipt_verify(const json_t *receipt, const uint8_t *spki, size_t spki_len, struct sck_err *err)
{
    struct sck_buf signature;
    enum sck_code code;
    const json_t *encoded = json_object_get(receipt, "signature");
    json_t *signed_part = json_copy((json_t *)(uintptr_t)receipt);
    char *text = NULL;
    sck_buf_init(&signature, 1024);
    if (signed_part != NULL && json_object_del(signed_part, "signature") == 0)
        text = json_dumps(signed_part, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        code = sck_fail(err, SCK_E_MEMORY, "verify the receipt: out of memory");
    else if (!sck_base64_parse(json_string_value(encoded), json_string_length(encoded), &signature))
        code = sck_fail(err, SCK_E_AUTHENTIC, "the receipt's signature is no base64");
    else if (!is_named(receipt, spki, spki_len))
        code = sck_fail(err, SCK_E_AUTHENTIC,
                        "the receipt was signed by another key: its \"key_sha256\" is not this one's");
    else
        code = sck_ecdsa_verify(spki, spki_len, (const uint8_t *)text, strlen(text), signature.data, signature.len,
                                err);
    sck_buf_clear(&signature);
    json_decref(signed_part);
    free(text);
    return code;
}

static void
show_value(const char *name, const json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)printf("  %-18s %s\n", name, json_is_string(value) ? json_string_value(value) : text != NULL ? text : "?");
    free(text);
}

/* One line for each item of a list, and for each member of an object inside. */
void
sck_cli_receipt_show(const json_t *receipt)
{
    const char *name, *inner_name;
    json_t *value, *inner;
    size_t index;
    json_object_foreach((json_t *)(uintptr_t)receipt, name, value) {
        if (json_is_array(value)) {
            json_array_foreach(value, index, inner)
                show_value(name, inner);
        } else if (json_is_object(value)) {
            json_object_foreach(value, inner_name, inner)
                show_value(inner_name, inner);
        } else {
            show_value(name, value);
        }
    }
}

/* "STATE/receipts/ID.json", allocated; NULL when out of memory. */
static char *
stored_path(const struct sck_cli *cli, const json_t *receipt)
{
    const char *id = json_string_value(json_object_get(receipt, "id"));
    struct sck_buf name;
    sck_buf_init(&name, 256);
    sck_buf_printf(&name, "receipts/%s.json", id != NULL ? id : "");
    char *path = sck_path_join(sck_service_conf(cli->service)->state_dir, sck_buf_str(&name));
    sck_buf_clear(&name);
    return path;
}

enum sck_code
sck_cli_receipt_print(const struct sck_cli *cli, const char *name, const struct sck_buf *text, struct sck_err *err)
{
    json_t *receipt = NULL;
    enum sck_code code = sck_cli_receipt_parse(text->data, text->len, &receipt, err);
    if (code != SCK_OK)
        return code;
    char *path = stored_path(cli, receipt);
    if (path == NULL)
        code = sck_fail(err, SCK_E_MEMORY, "print the receipt: out of memory");
    else if (cli->globals.json)
        code = sck_cli_print_json(
            stdout, json_pack("{s:s, s:s, s:O}", "erased", name, "receipt_path", path, "receipt", receipt), err);
    else if (!cli->globals.quiet) {
        (void)printf("erased %s for good\n", name);
        sck_cli_receipt_show(receipt);
        (void)printf("receipt: %s\n", path);
    }
    json_decref(receipt);
    free(path);
    return code;
}
