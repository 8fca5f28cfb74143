/* SPDX-License-Identifier: MIT */
#include "pkcs11/login.h"

#include "pkcs11/module.h"
#include "pkcs11/rv.h"

#include <string.h>

enum { PIN_MAX = 255 };

/*
 * `accepted` is the PIN that the token took, kept (in locked memory) for the life of the process: lib/token stays logged
 * in over C_Logout, C_Finalize and fork, and what a client types later is then compared with it.
 * `turn` makes logins take turns; it is no lock that the PIN callback or a fork could meet.
 */
static struct {
    bool turn;
    struct sck_secret *typed;
    struct sck_secret *accepted;
    bool asked;
    CK_ULONG last_login;
} pins;

/* The room is made before the lock is taken: under it, no other lock is ever taken. */
enum sck_code
sck_p11_ask_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    (void)arg;
    if (again)
        return sck_fail(err, SCK_E_CREDENTIAL, "the PIN given to C_Login was refused: correct it");
    struct sck_secret *copy = NULL;
    enum sck_code code = sck_secret_new(PIN_MAX, &copy, err);
    if (code != SCK_OK)
        return code;
    sck_p11_lock();
    const struct sck_secret *from = pins.typed != NULL ? pins.typed : pins.accepted;
    pins.asked = pins.asked || pins.typed != NULL;
    copy->len = from != NULL ? from->len : 0;
    if (from != NULL)
        memcpy(copy->data, from->data, from->len);
    sck_p11_unlock();
    if (from == NULL) {
        sck_secret_free(&copy);
        return sck_fail(err, SCK_E_CREDENTIAL, "no PIN: call C_Login first, or set pin_file");
    }
    *pin = copy;
    return SCK_OK;
}

static void
turn_take(struct sck_secret *typed)
{
    sck_p11_lock();
    while (pins.turn)
        sck_p11_wait();
    pins.turn = true;
    pins.typed = typed;
    pins.asked = false;
    sck_p11_unlock();
}

/* With the PIN accepted by the token, keep it; in any case the next login may start. */
static void
turn_give(bool keep, struct sck_secret **typed)
{
    sck_p11_lock();
    struct sck_secret *old = *typed;
    if (keep) {
        old = pins.accepted;
        pins.accepted = *typed;
    }
    *typed = NULL;
    pins.typed = NULL;
    pins.turn = false;
    sck_p11_wake();
    sck_p11_unlock();
    sck_secret_free(&old);
}

/* No configured source: the token decides, or, when it is logged in already, the PIN that it took. */
static enum sck_code
ask_token(struct sck_service *service, const struct sck_secret *typed, bool *took, struct sck_err *err)
{
    enum sck_code code = sck_service_start(service, err);
    sck_p11_lock();
    bool asked = pins.asked;
    const struct sck_secret *accepted = pins.accepted;
    sck_p11_unlock();
    *took = code == SCK_OK && asked;
    if (code != SCK_OK || asked)
        return code;
    if (accepted == NULL)
        return sck_fail(err, SCK_E_CONFIG,
                        "login: the token was logged in before, with a PIN that is not known here");
    if (accepted->len != typed->len || !sck_ct_equal(accepted->data, typed->data, typed->len))
        return sck_fail(err, SCK_E_CREDENTIAL, "login: wrong PIN");
    return SCK_OK;
}

static CK_RV
verify(struct sck_p11_call *call, const unsigned char *pin, unsigned long pin_len)
{
    struct sck_service *service = call->app->service;
    struct sck_secret *typed = NULL;
    bool took = false;
    enum sck_code code = sck_secret_from(pin, pin_len, &typed, &call->err);
    if (code != SCK_OK)
        return sck_p11_rv(code, SCK_P11_LOGIN, &call->err);
    turn_take(typed);
    code = sck_service_pin_check(service, typed, &call->err);
    if (code == SCK_OK) {
        code = sck_service_start(service, &call->err);
    } else if (code == SCK_E_NOT_FOUND) {
        sck_err_clear(&call->err);
        code = ask_token(service, typed, &took, &call->err);
    }
    turn_give(took, &typed);
    return sck_p11_rv(code, SCK_P11_LOGIN, &call->err);
}

/* There is no security officer here: keys and PINs are administered with the `scopekey` command. */
static CK_RV
user_check(const struct sck_p11_call *call, CK_USER_TYPE user)
{
    if (user == CKU_CONTEXT_SPECIFIC)
        return CKR_OPERATION_NOT_INITIALIZED;
    if (user != CKU_USER)
        return CKR_USER_TYPE_INVALID;
    return call->login != 0 ? CKR_USER_ALREADY_LOGGED_IN : CKR_OK;
}

static CK_RV
login(struct sck_p11_call *call, CK_USER_TYPE user, const unsigned char *pin, unsigned long pin_len)
{
    CK_RV rv = user_check(call, user);
    if (rv != CKR_OK)
        return rv;
    if (pin == NULL)
        return CKR_ARGUMENTS_BAD;
    if (pin_len == 0 || pin_len > PIN_MAX)
        return CKR_PIN_INCORRECT;
    rv = verify(call, pin, pin_len);
    if (rv != CKR_OK)
        return rv;
    sck_p11_lock();
    if (call->app->login != 0)
        rv = CKR_USER_ALREADY_LOGGED_IN;
    else if (call->session->closed)
        rv = CKR_SESSION_CLOSED;
    else
        call->app->login = ++pins.last_login;
    sck_p11_unlock();
    return rv;
}

CK_RV
C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user_type, unsigned char *pin, unsigned long pin_len)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    return sck_p11_end(&call, login(&call, user_type, pin, pin_len));
}

CK_RV
C_Logout(CK_SESSION_HANDLE session)
{
    struct sck_p11_call call;
    CK_RV rv = sck_p11_begin(&call, session);
    if (rv != CKR_OK)
        return rv;
    sck_p11_lock();
    if (call.app->login == 0)
        rv = CKR_USER_NOT_LOGGED_IN;
    call.app->login = 0;
    sck_p11_objects_logout(&call.app->objects);
    sck_p11_unlock();
    return sck_p11_end(&call, rv);
}
