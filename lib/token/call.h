/* SPDX-License-Identifier: MIT */
/*
 * The one way into a PKCS#11 module:
 *
 *     CK_RV rv = SCK_P11(conn, C_Sign, session, in, in_len, out, &out_len);
 *
 * The call is made inside the fork gate, with no other lock held by the caller, and not at all when the process is
 * exiting (SCK_RV_EXITING) or when the module was initialised anew since `conn` was made: handles of an older
 * initialisation may since name other keys (CKR_SESSION_HANDLE_INVALID).
 */
#ifndef SCK_TOKEN_CALL_H
#define SCK_TOKEN_CALL_H

#include "lib/token/module.h"
#include "lib/token/rv.h"

struct sck_conn {
    struct sck_module *module;
    CK_FUNCTION_LIST *fns;
    unsigned long generation;
    CK_RV refused;      /* why the last call was not made */
};

static inline struct sck_conn
sck_conn_of(struct sck_module *m, unsigned long generation)
{
    return (struct sck_conn){m, m->fns, generation, CKR_OK};
}

bool sck_call_enter(struct sck_conn *c);
CK_RV sck_call_leave(CK_RV rv);

#define SCK_P11(conn, fn, ...) \
    (sck_call_enter(conn) ? sck_call_leave((conn)->fns->fn(__VA_ARGS__)) : (conn)->refused)

#endif
