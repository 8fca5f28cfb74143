/* SPDX-License-Identifier: MIT */
/*
 * Out of memory at every allocation that libscopekey itself makes: each operation is run again and again, with the
 * first, second, third ... allocation failing, until none fails (in steps where there are many).  It must say so, crash nowhere, and work afterwards.
 * The token module and the libraries below have their own ways to fail and are left alone.
 */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/service/filecrypt.h"

#include <link.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static uintptr_t ours_from;
static uintptr_t ours_to;
static long fail_at;        /* 0: none; 1: the next one of ours */
static bool failed;

static bool
fails(const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (fail_at == 0 || at < ours_from || at >= ours_to || --fail_at > 0)
        return false;
    failed = true;
    return true;
}

void *
malloc(size_t n)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t m)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, m);
}

void *
realloc(void *p, size_t n)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(p, n);
}

static int
find_library(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (strstr(info->dlpi_name, "libscopekey") == NULL)
        return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0) {
            ours_from = info->dlpi_addr + p->p_vaddr;
            ours_to = ours_from + p->p_memsz;
        }
    }
    return 1;
}

static struct home home;

/* One operation from an open service; `n` makes names unique. */
typedef enum sck_code (*operation)(struct sck_service *s, long n, struct sck_err *err);

static struct sck_scope alice;

static enum sck_code
create(struct sck_service *s, long n, struct sck_err *err)
{
    char name[32];
    struct sck_key_info info;
    const struct sck_key_spec spec = {.alg = SCK_ALG_EC_P256};
    (void)snprintf(name, sizeof name, "k%ld", n);
    return sck_key_create(s, &alice, name, &spec, &info, err);
}

static enum sck_code
create_resident(struct sck_service *s, long n, struct sck_err *err)
{
    char name[32];
    struct sck_key_info info;
    const struct sck_key_spec spec = {.alg = SCK_ALG_ED25519};
    (void)snprintf(name, sizeof name, "ed%ld", n);
    return sck_key_create(s, &alice, name, &spec, &info, err);
}

static enum sck_code
use(struct sck_service *s, long n, struct sck_err *err)
{
    uint8_t nonce[12];
    uint8_t sealed[4 + 16];
    struct sck_key_info info;
    struct sck_ukey *key = NULL;
    (void)n;
    struct sck_uri uri = uri_of("scopekey:subject/alice/data");
    enum sck_code rc = sck_key_find(s, &uri, &info, err);
    if (rc == SCK_OK)
        rc = sck_ukey_open(s, &info, &key, err);
    if (rc == SCK_OK)
        rc = sck_ukey_gcm_seal(key, nonce, NULL, 0, (const uint8_t *)"data", 4, sealed, err);
    sck_ukey_unref(&key);
    return rc;
}

static enum sck_code
rotate(struct sck_service *s, long n, struct sck_err *err)
{
    struct sck_key_info info;
    (void)n;
    struct sck_uri uri = uri_of("scopekey:subject/alice/data");
    enum sck_code rc = sck_key_find(s, &uri, &info, err);
    return rc == SCK_OK ? sck_key_rotate(s, &info, &info, err) : rc;
}

static enum sck_code
encrypt_and_decrypt(struct sck_service *s, long n, struct sck_err *err)
{
    char name[32];
    struct sck_file_info info;
    (void)snprintf(name, sizeof name, "f%ld.sk", n);
    const char *in = home_path(&home, "f");
    const char *out = home_path(&home, name);
    const struct sck_encrypt_opts e = {.io = {.in = in, .out = out}, .subject = &alice, .preserve = true};
    enum sck_code rc = sck_file_encrypt(s, &e, &info, err);
    if (rc != SCK_OK) {
        /* Whole or not there. */
        struct sck_err look = SCK_ERR_INIT;
        if (access(out, F_OK) == 0)
            assert_int_equal(sck_file_info(s, out, &info, &look), SCK_OK);
        return rc;
    }
    const struct sck_decrypt_opts d = {.io = {.in = out, .out = home_path(&home, "back"), .force = true}};
    return sck_file_decrypt(s, &d, &info, err);
}

static enum sck_code
list(struct sck_service *s, long n, struct sck_err *err)
{
    struct sck_owner_info owner;
    (void)n;
    return sck_owner_find(s, &alice, &owner, err);
}

static enum sck_code
erase(struct sck_service *s, long n, struct sck_err *err)
{
    char name[32];
    struct sck_owner_info owner;
    struct sck_buf receipt;
    (void)snprintf(name, sizeof name, "subject/eve%ld", n);
    struct sck_scope eve = scope_of(name);
    sck_buf_init(&receipt, 65536);
    enum sck_code rc = sck_owner_create(s, &eve, true, &owner, err);
    if (rc == SCK_OK)
        rc = sck_erase(s, &eve, NULL, NULL, &receipt, err);
    sck_buf_clear(&receipt);
    return rc;
}

static enum sck_code
resume(struct sck_service *s, long n, struct sck_err *err)
{
    (void)n;
    return sck_resume(s, err);
}

static void
run(const char *what, operation op)
{
    long n = 1;
    /* The first allocations one by one, then in steps: most of the later ones repeat themselves row by row. */
    for (;; n += n < 150 ? 1 : 17) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_service *s = NULL;
        const struct sck_open how = {.conf_path = home.conf, .auto_provision = true};
        failed = false;
        fail_at = n;
        enum sck_code rc = sck_service_open(&how, &s, &err);
        if (rc == SCK_OK)
            rc = op(s, n, &err);
        sck_service_close(&s);
        bool hit = failed;
        fail_at = 0;
        if (!hit) {
            if (rc != SCK_OK)
                print_error("%s: %s\n", what, err.message);
            assert_int_equal(rc, SCK_OK);
            break;
        }
        /* Some allocations are for what can be done without; most fail the operation, and it says why. */
        if (rc != SCK_OK)
            assert_string_not_equal(err.message, "");
    }
    print_message("%s: about %ld allocations\n", what, n - 1);
    assert_true(n > 10);
}

static void opening_and_listing(void **state) { (void)state; run("list", list); }
static void creating(void **state) { (void)state; run("create", create); }
static void creating_resident_keys(void **state) { (void)state; run("create resident", create_resident); }
static void using(void **state) { (void)state; run("use", use); }
static void rotating(void **state) { (void)state; run("rotate", rotate); }
static void files(void **state) { (void)state; run("files", encrypt_and_decrypt); }
static void erasing(void **state) { (void)state; run("erase", erase); }
static void resuming(void **state) { (void)state; run("resume", resume); }

static int
set_up(void **state)
{
    (void)state;
    (void)dl_iterate_phdr(find_library, NULL);
    assert_true(ours_to > ours_from);
    home_make(&home);
    alice = scope_of("subject/alice");
    (void)home_file(&home, "f", "contents", 8);
    struct sck_service *s = home_open(&home, NULL);
    struct sck_key_info info;
    const struct sck_key_spec spec = {.alg = SCK_ALG_AES_256};
    EXPECT_OK(sck_key_create(s, &alice, "data", &spec, &info, &err));
    sck_service_close(&s);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    home_remove(&home);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_and_listing), cmocka_unit_test(creating), cmocka_unit_test(creating_resident_keys),
        cmocka_unit_test(using),               cmocka_unit_test(rotating), cmocka_unit_test(files),
        cmocka_unit_test(erasing),             cmocka_unit_test(resuming),
    };
    return cmocka_run_group_tests_name("service/oom", tests, set_up, tear_down);
}
