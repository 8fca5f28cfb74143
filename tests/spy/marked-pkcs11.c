/* SPDX-License-Identifier: MIT */
/* A module that has the mark of Scopekey's own; it must be refused before anything in it is called. */
#include <p11-kit/pkcs11.h>
#include <stdlib.h>

extern const int scopekey_pkcs11_marker;
__attribute__((visibility("default"))) const int scopekey_pkcs11_marker = 1;

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    (void)list;
    abort();
}
