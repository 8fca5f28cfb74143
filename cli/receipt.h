/* SPDX-License-Identifier: MIT */
/*
 * Receipts of erasure: a JSON object whose member "signature" is the base64 of a DER ECDSA P-256 signature with
 * SHA-256 over the compact JSON, members sorted by name, of all its other members; "key_sha256" is the hash of the
 * key's SubjectPublicKeyInfo.
 */
#ifndef SCK_CLI_RECEIPT_H
#define SCK_CLI_RECEIPT_H

#include "cli/cli.h"

#define SCK_RECEIPT_MAX (1024U * 1024U)     /* bytes */

/* Parse a receipt.  SCK_E_AUTHENTIC when it is no JSON object with text "signature".  json_decref(). */
SCK_MUST_CHECK enum sck_code sck_cli_receipt_parse(const uint8_t *data, size_t len, json_t **out, struct sck_err *err);
/* Read one from a file. */
SCK_MUST_CHECK enum sck_code sck_cli_receipt_read(const char *path, json_t **out, struct sck_err *err);
/* SCK_E_AUTHENTIC when it names another key than the one with this SubjectPublicKeyInfo, or is not signed by it. */
SCK_MUST_CHECK enum sck_code sck_cli_receipt_verify(const json_t *receipt, const uint8_t *spki, size_t spki_len,
                                                struct sck_err *err);
/* A receipt's members for people, one line each. */
void sck_cli_receipt_show(const json_t *receipt);
/* What `erase` says at its end. */
SCK_MUST_CHECK enum sck_code sck_cli_receipt_print(const struct sck_cli *cli, const char *name,
                                                   const struct sck_buf *receipt, struct sck_err *err);

#endif
