/* SPDX-License-Identifier: MIT */
#include "cli/receipt.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "lib/base/crypto.h"

struct values {
    const char *key;
};

static const struct sck_option options[] = {
    {'k', "key", SCK_OPTION_FILE, offsetof(struct values, key), "FILE",
     "public half of the receipt key, PEM, as exported by init", NULL, 0, 0},
    {0},
};

static enum sck_code
spki_read(const char *path, uint8_t **spki, size_t *len, struct sck_err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return sck_fail_errno(err, SCK_E_IO, errno, "read %s", path);
    EVP_PKEY *key = PEM_read_PUBKEY_ex(file, NULL, NULL, NULL, sck_libctx(), NULL);
    (void)fclose(file);
    int n = key != NULL ? i2d_PUBKEY(key, spki) : -1;
    EVP_PKEY_free(key);
    if (n <= 0)
        return sck_fail(err, SCK_E_USAGE, "%s: no public key in PEM form", path);
    *len = (size_t)n;
    return SCK_OK;
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    json_t *receipt = NULL;
    uint8_t *spki = NULL;
    size_t len = 0;
    enum sck_code code = SCK_OK;
    if (v->key == NULL)
        code = sck_fail(err, SCK_E_USAGE, "receipt verify: name the receipt key's public half with --key FILE");
    if (code == SCK_OK)
        code = sck_cli_receipt_read(operands[0], &receipt, err);
    if (code == SCK_OK)
        code = spki_read(v->key, &spki, &len, err);
    if (code == SCK_OK)
        code = sck_cli_receipt_verify(receipt, spki, len, err);
    if (code == SCK_OK && cli->globals.json)
        code = sck_cli_print_json(stdout, json_pack("{s:b, s:O}", "valid", 1, "receipt", receipt), err);
    else if (code == SCK_OK && !cli->globals.quiet) {
        (void)printf("valid: signed by the key in %s\n", v->key);
        sck_cli_receipt_show(receipt);
    }
    json_decref(receipt);
    OPENSSL_free(spki);
    return code;
}

const struct sck_command sck_cmd_receipt_verify = {
    .name = "receipt verify",
    .summary = "check the signature of an erasure receipt, offline",
    .operands = "FILE --key PUB",
    .examples = "scopekey receipt verify receipt.json --key receipt.pem\n",
    .details = "Needs no set-up, no token and no network. Exits 3 when the receipt was altered or signed by another "
               "key.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
