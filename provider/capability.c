/* SPDX-License-Identifier: MIT */
/*
 * TLS groups.  libssl 3.0 uses a group only if the provider that offers it also owns the key manager that is found for
 * it: with the property query ?provider=scopekey that is ours (for software keys too), so ours must offer them.
 * Elsewhere default's key manager is found and these entries are not used.
 */
#include "provider/provider.h"

#include <openssl/ssl.h>
#include <string.h>

#define GROUPS 6

static struct group {
    char name[12];
    char internal[12];
    char algorithm[3];
    unsigned id; /* RFC 8446 section 4.2.7 */
    unsigned bits;
} groups[GROUPS] = {
    {"secp256r1", "prime256v1", "EC", 23, 128}, {"P-256", "prime256v1", "EC", 23, 128},
    {"secp384r1", "secp384r1", "EC", 24, 192},  {"P-384", "secp384r1", "EC", 24, 192},
    {"secp521r1", "secp521r1", "EC", 25, 256},  {"P-521", "secp521r1", "EC", 25, 256},
};

int
sck_get_capabilities(void *provctx, const char *capability, OSSL_CALLBACK *cb, void *arg)
{
    (void)provctx;
    int min_tls = TLS1_VERSION, min_dtls = DTLS1_VERSION, no_max = 0;
    if (strcmp(capability, "TLS-GROUP") != 0)
        return 1;
    for (size_t i = 0; i < GROUPS; i++) {
        struct group g = groups[i];
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME, g.name, sizeof g.name),
            OSSL_PARAM_construct_utf8_string(OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, g.internal, sizeof g.internal),
            OSSL_PARAM_construct_utf8_string(OSSL_CAPABILITY_TLS_GROUP_ALG, g.algorithm, sizeof g.algorithm),
            OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_ID, &g.id),
            OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, &g.bits),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, &min_tls),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, &no_max),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, &min_dtls),
            OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, &no_max),
            OSSL_PARAM_construct_end(),
        };
        if (!cb(params, arg))
            return 0;
    }
    return 1;
}
