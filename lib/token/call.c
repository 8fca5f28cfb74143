/* SPDX-License-Identifier: MIT */
#include "lib/token/call.h"

#include "lib/token/gate.h"

bool
sck_call_enter(struct sck_conn *c)
{
    if (!sck_gate_enter()) {
        c->refused = SCK_RV_EXITING;
        return false;
    }
    if (atomic_load(&c->module->generation) != c->generation) {
        sck_gate_leave();
        c->refused = CKR_SESSION_HANDLE_INVALID;
        return false;
    }
    return true;
}

CK_RV
sck_call_leave(CK_RV rv)
{
    sck_gate_leave();
    return rv;
}
