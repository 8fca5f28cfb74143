/* SPDX-License-Identifier: MIT */
/* PKCS#11 as <p11-kit/pkcs11.h> declares it (2.40), and what of 3.0 that header lacks on Debian 12. */
#ifndef SCK_PKCS11_PKCS11_V3_H
#define SCK_PKCS11_PKCS11_V3_H

#include <p11-kit/pkcs11.h>

/* The header's own spelling helpers that it forgets to take back. */
#undef source_data
#undef source_data_len
#undef shared_data
#undef shared_data_len
#undef public_data
#undef public_data_len
#undef string_data
#undef string_data_len
#undef data_params
#undef iv_ptr
#undef iv_len
#undef iv_bits
#undef aad_ptr
#undef aad_len
#undef tag_bits
#undef counter_bits
#undef hash_alg
#undef s_len

/* PKCS#11 3.0 section 4.4.1: a string that names the object for good. */
#ifndef CKA_UNIQUE_ID
#define CKA_UNIQUE_ID 0x4UL
#endif

#endif
