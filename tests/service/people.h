/* SPDX-License-Identifier: MIT */
/* People with keys and files of every kind, for tests of what may happen to their KEKs. */
#ifndef SCK_TESTS_SERVICE_PEOPLE_H
#define SCK_TESTS_SERVICE_PEOPLE_H

#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/service/engine.h"
#include "lib/service/rewrap.h"

struct belongings {
    const char *subject;
    struct sck_key_info sign;
    struct sck_key_info gcm;
    struct sck_key_info envelope;
    uint8_t nonce[2][12];
    uint8_t sealed[2][16 + 5];
    char file[300];
};

/* Make a key; protection 0: the default. */
struct sck_key_info people_key(struct sck_service *svc, const char *subject, const char *name, enum sck_alg alg,
                               enum sck_protection protection);
/* A signing key, two AES keys (one of them envelope) that sealed something, and an encrypted file. */
struct belongings people_provide(const struct home *home, struct sck_service *svc, const char *subject);
/* Everything opens, with nothing cached. */
void people_check(const struct home *home, struct sck_service *svc, const struct belongings *b);
void people_check_gcm(struct sck_service *svc, const struct sck_key_info *info, const uint8_t nonce[12],
                      const uint8_t sealed[21]);

struct versions {
    size_t count;
    struct sck_kek_info at[16];     /* newest first */
};
struct versions people_versions(struct sck_service *svc, const char *subject);

/* Run `work` in a child that is killed at `point`; true when it was. */
bool people_killed_at(const struct home *home, const char *point, void (*work)(struct sck_service *s));

#endif
