/* SPDX-License-Identifier: MIT */
/* How Azure Key Vault writes things: base64url, key identifiers, challenges, the hosts that belong together.  Pure. */
#ifndef SCK_VAULT_AZURE_WIRE_H
#define SCK_VAULT_AZURE_WIRE_H

#include "vault/http/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCK_AZURE_VERSION_LEN 32                /* of a key version: lower-case hex */
#define SCK_B64URL_LEN(len) (((len) * 4 + 2) / 3)

/* base64url without padding (RFC 4648 section 5): SCK_B64URL_LEN(len) characters, no NUL. */
void sck_b64url_encode(const uint8_t *data, size_t len, char *out);
/* Strictly the opposite, at most `cap` bytes; false for padding, other characters and bits behind the last byte. */
bool sck_b64url_decode(const char *text, size_t text_len, uint8_t *out, size_t cap, size_t *out_len);

/* True for SCK_AZURE_VERSION_LEN lower-case hex digits. */
bool sck_azure_version_is_legal(const char *text, size_t len);
/*
 * The version in the key identifier "https://HOST/keys/NAME/VERSION" of this vault and this key; false for any other.
 * `vault` is the vault's URL without a slash at its end; host names compare without case.
 */
bool sck_azure_kid_version(struct sck_json kid, const char *vault, const char *name,
                           char version[SCK_AZURE_VERSION_LEN + 1]);

/* What a vault says to whoever brings no token (RFC 6750 section 3 with Azure's parameters). */
struct sck_azure_challenge {
    char tenant[64];        /* last segment of authorization or authorization_uri, or "" */
    char resource[256];     /* of resource, or of scope without "/.default"; no slash at its end */
};
/* False unless it is a Bearer challenge that names a resource once and is well-formed. */
bool sck_azure_challenge_parse(const char *header, struct sck_azure_challenge *out);
/*
 * Whether a token for `resource` may go to `vault`: the resource is the vault's own address, or the domain that the
 * vault's name is in (https://vault.azure.net for https://NAME.vault.azure.net).  Otherwise a vault that somebody else
 * set up could ask for a token that is good elsewhere.
 */
bool sck_azure_resource_fits(const char *vault, const char *resource);

#endif
