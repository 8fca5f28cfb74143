/* SPDX-License-Identifier: MIT */
/* Using a new token key once, before anybody depends on it. */
#ifndef SCK_TOKEN_TRIAL_H
#define SCK_TOKEN_TRIAL_H

#include "lib/token/own.h"

/* Keys that are made once and wrapped by every master of their family. */
struct sck_trial {
    CK_OBJECT_HANDLE unborn[SCK_FAMILY_EDWARDS + 1];
};

/* Close the use's session and open another in its place. */
CK_RV sck_session_refresh(struct sck_use *use);
/* Find the own key by its label and use it.  SCK_E_TOKEN when it does not work. */
SCK_MUST_CHECK enum sck_code sck_trial_own(struct sck_use *use, const struct sck_own_spec *spec,
                                           CK_MECHANISM_TYPE mechanism, struct sck_trial *trial,
                                           struct sck_err *err);
/* Destroy the keys of the trial. */
void sck_trial_end(struct sck_use *use, struct sck_trial *trial);

#endif
