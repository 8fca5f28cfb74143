/* SPDX-License-Identifier: MIT */
/* Login: a wrong PIN is sent once per process, and none on the last try. */
#include "lib/token/session.h"

#include "lib/base/file.h"
#include "lib/token/store.h"

#include <string.h>

enum { PIN_ROUNDS = 3 };

/* What the token says of its PIN before we send one. */
static enum sck_code
check_flags(const struct sck_token *t, struct sck_conn *c, CK_SLOT_ID slot, CK_FLAGS *flags, struct sck_err *err)
{
    CK_TOKEN_INFO info;
    memset(&info, 0, sizeof info);
    int lock = -1;
    sck_login_lock(&t->conf, &lock);
    CK_RV rv = SCK_P11(c, C_GetTokenInfo, slot, &info);
    sck_lock_release(&lock);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "reading token %s", t->conf.label);
    *flags = info.flags;
    if ((info.flags & CKF_USER_PIN_LOCKED) != 0)
        return sck_fail(err, SCK_E_CREDENTIAL,
                        "the user PIN of token %s is locked: unlock it with the SO PIN and the token's own tool",
                        t->conf.label);
    if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
        return sck_fail(err, SCK_E_CREDENTIAL,
                        "token %s has one PIN try left, which is not risked: log in once with the token's own tool, "
                        "then try again",
                        t->conf.label);
    if ((info.flags & CKF_USER_PIN_INITIALIZED) == 0)
        return sck_fail(err, SCK_E_CREDENTIAL,
                        "token %s has no user PIN yet: set one with the SO PIN and the token's own tool",
                        t->conf.label);
    return SCK_OK;
}

static enum sck_code
send_pin(struct sck_token *t, struct sck_conn *c, CK_SESSION_HANDLE session, struct sck_secret *pin, bool *refused,
         struct sck_err *err)
{
    int lock = -1;
    sck_login_lock(&t->conf, &lock);
    CK_RV rv = pin == NULL ? SCK_P11(c, C_Login, session, CKU_USER, NULL, 0)
                           : SCK_P11(c, C_Login, session, CKU_USER, pin->data, (CK_ULONG)pin->len);
    sck_lock_release(&lock);
    *refused = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE;
    if (*refused && pin != NULL)
        sck_pin_remember_refused(t->pin_id, pin->data, pin->len);
    if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
        return SCK_OK;
    return sck_fail_rv(err, rv, "logging in to token %s", t->conf.label);
}

static enum sck_code
fail_known_wrong(const struct sck_token *t, struct sck_err *err)
{
    return sck_fail(err, SCK_E_CREDENTIAL,
                    "the PIN given for token %s was refused before and is not sent again: correct it and start the "
                    "program anew",
                    t->conf.label);
}

/* Keep the PIN that worked: a restart of the token or a fork must not ask again. */
static void
keep_pin(struct sck_token *t, struct sck_secret **pin)
{
    if (*pin == NULL || t->pin == *pin)
        return;
    sck_secret_free(&t->pin);
    t->pin = *pin;
    *pin = NULL;
}

static unsigned
forks_of(struct sck_token *t)
{
    pthread_mutex_lock(&t->lock);
    unsigned forks = t->forks;
    pthread_mutex_unlock(&t->lock);
    return forks;
}

/* A child that was born in the callback and came back from it: nothing is open here, but the PIN is good. */
static enum sck_code
ask(struct sck_token *t, bool again, struct sck_secret **asked, struct sck_err *err)
{
    unsigned forks = forks_of(t);
    enum sck_code rc = t->conf.pin(t->conf.pin_arg, again, asked, err);
    if (rc != SCK_OK || forks_of(t) == forks)
        return rc;
    keep_pin(t, asked);
    return sck_fail(err, SCK_E_STATE, "the process was forked while the PIN was asked for");
}

enum sck_code
sck_login(struct sck_token *t, struct sck_conn *c, CK_SLOT_ID slot, CK_SESSION_HANDLE session, bool *logged_in,
          struct sck_err *err)
{
    struct sck_secret *asked = NULL;
    struct sck_err last = SCK_ERR_INIT;
    enum sck_code rc = SCK_OK;
    bool refused = true;
    CK_FLAGS flags = 0;
    *logged_in = false;
    for (int round = 0; round < PIN_ROUNDS && refused; round++) {
        rc = check_flags(t, c, slot, &flags, &last);
        if (rc != SCK_OK)
            break;
        struct sck_err none = SCK_ERR_INIT;
        bool again = round > 0;
        sck_secret_free(&asked);
        if (t->pin == NULL || again)
            rc = ask(t, again, &asked, again ? &none : &last);
        /* No other PIN is to be had: what was wrong with the one before is the better message. */
        if (rc != SCK_OK)
            break;
        const struct sck_secret *pin = asked != NULL ? asked : again ? NULL : t->pin;
        if (pin != NULL && sck_pin_is_refused(t->pin_id, pin->data, pin->len)) {
            rc = fail_known_wrong(t, &last);
            continue;
        }
        if (pin == NULL && (flags & CKF_PROTECTED_AUTHENTICATION_PATH) == 0) {
            rc = sck_fail(&last, SCK_E_CREDENTIAL, "no PIN was given for token %s: set a PIN source", t->conf.label);
            break;
        }
        sck_err_clear(&last);
        rc = send_pin(t, c, session, asked != NULL ? asked : again ? NULL : t->pin, &refused, &last);
    }
    if (rc == SCK_OK) {
        *logged_in = true;
        keep_pin(t, &asked);
    } else if (err != NULL && err->code == SCK_OK) {
        *err = last;
    }
    sck_secret_free(&asked);
    return rc == SCK_OK ? SCK_OK : last.code;
}
