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
    size_t index;
    json_t *item;
    if (json_is_array(value)) {
        json_array_foreach(value, index, item)
            show_value(name, item);
        return;
    }
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)printf("  %-16s %s\n", name, json_is_string(value) ? json_string_value(value) : text != NULL ? text : "?");
    free(text);
}

void
sck_cli_receipt_show(const json_t *receipt)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)receipt, name, value)
        show_value(name, value);
}

enum sck_code
sck_cli_receipt_print(struct sck_cli *cli, const char *name, const struct sck_buf *text, struct sck_err *err)
{
    json_t *receipt = NULL;
    enum sck_code code = sck_cli_receipt_parse(text->data, text->len, &receipt, err);
    if (code != SCK_OK)
        return code;
    if (cli->globals.json) {
        code = sck_cli_print_json(stdout, json_pack("{s:s, s:O}", "erased", name, "receipt", receipt), err);
    } else if (!cli->globals.quiet) {
        (void)printf("erased %s\n", name);
        sck_cli_receipt_show(receipt);
        (void)printf("receipts are kept in %s/receipts\n", sck_service_conf(cli->service)->state_dir);
    }
    json_decref(receipt);
    return code;
}
