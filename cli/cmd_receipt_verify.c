/* SPDX-License-Identifier: MIT */
#include "cli/receipt.h"

#include "lib/base/crypto.h"
#include "lib/base/file.h"

#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct values {
    const char *key;
};

static const struct sck_option options[] = {
    {'k', "key", SCK_OPTION_FILE, offsetof(struct values, key), "FILE",
     "public half of the receipt key, PEM; default receipt.pem of the set-up", NULL, 0, 0},
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

/* The file that --key names, or what init exported; allocated. */
static enum sck_code
key_path(struct sck_cli *cli, const char *given, char **path, struct sck_err *err)
{
    if (given == NULL) {
        enum sck_code code = sck_cli_open(cli, err);
        if (code != SCK_OK) {
            sck_err_prefix(err, "receipt verify without --key");
            return code;
        }
        *path = sck_path_join(sck_service_conf(cli->service)->state_dir, "receipt.pem");
    } else {
        *path = strdup(given);
    }
    return *path != NULL ? SCK_OK : sck_fail(err, SCK_E_MEMORY, "receipt verify: out of memory");
}

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)count;
    const struct values *v = values;
    json_t *receipt = NULL;
    uint8_t *spki = NULL;
    char *path = NULL;
    size_t len = 0;
    enum sck_code code = sck_cli_receipt_read(operands[0], &receipt, err);
    if (code == SCK_OK)
        code = key_path(cli, v->key, &path, err);
    if (code == SCK_OK)
        code = spki_read(path, &spki, &len, err);
    if (code == SCK_OK)
        code = sck_cli_receipt_verify(receipt, spki, len, err);
    if (code == SCK_OK && cli->globals.json)
        code = sck_cli_print_json(stdout, json_pack("{s:b, s:O}", "valid", 1, "receipt", receipt), err);
    else if (code == SCK_OK && !cli->globals.quiet) {
        (void)printf("valid: signed by the key in %s\n", path);
        sck_cli_receipt_show(receipt);
    }
    json_decref(receipt);
    OPENSSL_free(spki);
    free(path);
    return code;
}

const struct sck_command sck_cmd_receipt_verify = {
    .name = "receipt verify",
    .summary = "check the signature of an erasure receipt, offline",
    .operands = "FILE",
    .examples = "scopekey receipt verify receipt.json --key receipt.pem\n",
    .details = "With --key it needs no set-up, no token and no network. Exits 3 when the receipt was "
               "altered or signed by another key.\n",
    .operand = SCK_OPERAND_FILE,
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
