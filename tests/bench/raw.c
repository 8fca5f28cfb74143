/* SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"

#include <dlfcn.h>
#include <string.h>

void
bench_raw_open(struct bench_raw *raw, const char *module)
{
    CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
    CK_SLOT_ID slots[16];
    CK_ULONG count = 16;
    CK_TOKEN_INFO info;
    void *at = dlopen(module, RTLD_NOW);
    if (at == NULL)
        bench_die(module, dlerror());
    *(void **)&get = dlsym(at, "C_GetFunctionList");
    if (get == NULL || get(&raw->fns) != CKR_OK || raw->fns->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
        bench_die(module, "is no module in use");
    for (CK_ULONG i = 0; i < count; i++) {
        if (raw->fns->C_GetTokenInfo(slots[i], &info) != CKR_OK || memcmp(info.label, "scopekey ", 9) != 0)
            continue;
        CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
        if (raw->fns->C_OpenSession(slots[i], flags, NULL, NULL, &raw->session) == CKR_OK)
            return;
    }
    bench_die(module, "has no token called scopekey");
}
