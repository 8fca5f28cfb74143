/* SPDX-License-Identifier: MIT */
#include "tests/service/people.h"

#include "lib/service/filecrypt.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct sck_key_info
people_key(struct sck_service *svc, const char *subject, const char *name, enum sck_alg alg, enum sck_protection protection)
{
    struct sck_scope scope = scope_of(subject);
    struct sck_key_spec spec = {.alg = alg, .protection = protection};
    struct sck_key_info info;
    EXPECT_OK(sck_key_create(svc, &scope, name, &spec, &info, &err));
    return info;
}

static void
seal(struct sck_service *svc, const struct sck_key_info *info, uint8_t nonce[12], uint8_t sealed[21])
{
    struct sck_ukey *key = NULL;
    EXPECT_OK(sck_ukey_open(svc, info, &key, &err));
    EXPECT_OK(sck_ukey_gcm_seal(key, nonce, NULL, 0, (const uint8_t *)"hello", 5, sealed, &err));
    sck_ukey_unref(&key);
}

struct belongings
people_provide(const struct home *home, struct sck_service *svc, const char *subject)
{
    static unsigned turn;
    struct belongings b = {.subject = subject};
    struct sck_file_info info;
    struct sck_scope scope = scope_of(subject);
    char plain[32];
    b.sign = people_key(svc, subject, "sign", SCK_ALG_EC_P256, 0);
    b.gcm = people_key(svc, subject, "gcm", SCK_ALG_AES_256, 0);
    b.envelope = people_key(svc, subject, "bulk", SCK_ALG_AES_256, SCK_PROTECTION_ENVELOPE);
    seal(svc, &b.gcm, b.nonce[0], b.sealed[0]);
    seal(svc, &b.envelope, b.nonce[1], b.sealed[1]);
    (void)snprintf(b.file, sizeof b.file, "%s/f%u.sk", home->dir, turn);
    (void)snprintf(plain, sizeof plain, "f%u", turn++);
    const char *in = home_file(home, plain, "some text", 9);
    const struct sck_encrypt_opts opts = {.io = {.in = in, .out = b.file}, .subject = &scope};
    EXPECT_OK(sck_file_encrypt(svc, &opts, &info, &err));
    return b;
}

void
people_check_gcm(struct sck_service *svc, const struct sck_key_info *info, const uint8_t nonce[12], const uint8_t sealed[21])
{
    struct sck_ukey *key = NULL;
    uint8_t plain[5];
    EXPECT_OK(sck_ukey_open(svc, info, &key, &err));
    EXPECT_OK(sck_ukey_gcm_open(key, nonce, NULL, 0, sealed, 21, plain, &err));
    assert_memory_equal(plain, "hello", 5);
    sck_ukey_unref(&key);
}

void
people_check(const struct home *home, struct sck_service *svc, const struct belongings *b)
{
    struct sck_ukey *key = NULL;
    struct sck_file_info info;
    uint8_t sig[128];
    size_t len = 0;
    const uint8_t digest[32] = {7};
    const struct sck_decrypt_opts opts = {.io = {.in = b->file, .out = home_path(home, "out"), .force = true}};
    sck_ukey_cache_drop(svc->engine, 0);
    EXPECT_OK(sck_ukey_open(svc, &b->sign, &key, &err));
    EXPECT_OK(sck_ukey_sign(key, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &len, &err));
    sck_ukey_unref(&key);
    people_check_gcm(svc, &b->gcm, b->nonce[0], b->sealed[0]);
    people_check_gcm(svc, &b->envelope, b->nonce[1], b->sealed[1]);
    EXPECT_OK(sck_file_decrypt(svc, &opts, &info, &err));
}

static enum sck_code
note_version(void *arg, const struct sck_kek_info *kek, struct sck_err *err)
{
    struct versions *v = arg;
    (void)err;
    assert_true(v->count < 16);
    v->at[v->count++] = *kek;
    return SCK_OK;
}

struct versions
people_versions(struct sck_service *svc, const char *subject)
{
    struct versions v = {0};
    struct sck_scope scope = scope_of(subject);
    EXPECT_OK(sck_kek_each(svc, &scope, note_version, &v, &err));
    return v;
}

bool
people_killed_at(const struct home *home, const char *point, void (*work)(struct sck_service *s))
{
    pid_t child = fork();
    if (child == 0) {
        (void)setenv("SCOPEKEY_FAULT_POINT", point, 1);
        struct sck_service *s = home_open(home, NULL);
        work(s);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}
