/* SPDX-License-Identifier: MIT */
/*
 * A real set-up (SoftHSM, SQLite, keeper token) in a directory of its own, and the module loaded as any program loads it.
 * All that the module's own API cannot do (making keys, erasing) happens in child processes, as it does in life.
 */
#ifndef SCK_TESTS_PKCS11_FIXTURE_H
#define SCK_TESTS_PKCS11_FIXTURE_H

#include "lib/service/service.h"
#include "pkcs11/pkcs11_v3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FX_PIN "correct horse 1"

/* The module's functions; set by fx_start(). */
extern CK_FUNCTION_LIST *F;

#define assert_rv(call, expected) assert_int_equal((call), (expected))
#define PIN ((unsigned char *)(uintptr_t)FX_PIN)
#define PIN_LEN (sizeof FX_PIN - 1)

/* cmocka group fixtures: make the set-up with the keys below, load the module (not initialised); take it all away. */
int fx_start(void **state);
int fx_stop(void **state);
/* Per test: C_Initialize; C_Finalize. */
int fx_init(void **state);
int fx_fini(void **state);

/*
 * Keys of the set-up: subject/alice/ tls (ec-p256), p384, p521, rsa (rsa-2048, sign), dec (rsa-2048, decrypt), any
 * (rsa-2048, any), ed (ed25519), data (aes-256, gcm), iv (aes-256, gcm-caller-iv); subject/bob/tls (ec-p256).
 */

/* Run `fn` in a child process with the set-up open; the child's failure fails the test. */
void fx_child(enum sck_code (*fn)(struct sck_service *service, struct sck_err *err));
/* Directory of the set-up, and the configuration in it. */
const char *fx_home(void);
const char *fx_conf(void);

/* A new session; with `login` logged in when nobody is. */
CK_SESSION_HANDLE fx_session(bool login);
/* The one object of a class and label, or CK_INVALID_HANDLE; more than one fails the test. */
CK_OBJECT_HANDLE fx_find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class_, const char *label);
/* All objects that match. */
size_t
fx_find_all(CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count, CK_OBJECT_HANDLE *out, size_t room);
/* An attribute's value in `out`; its length. */
size_t fx_attr(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *out, size_t room);

#endif
