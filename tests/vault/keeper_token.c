/* SPDX-License-Identifier: MIT */
/* Keeper `token` over a token made of software: names, bindings, the cache of loaded KEKs, threads, forks. */
#include "tests/lib/forkgate.h"
#include "vault/keeper.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A record is nonce ‖ GCM(epoch key, KEK) with the AAD the keeper gives; a handle is the KEK itself. */
static const uint8_t epoch_key[32] = {7};

struct soft_token {
    atomic_int loads, releases;
    enum sck_code load_fails;       /* the fault to play, or SCK_OK */
    void (*in_load)(void *arg);     /* called while loading */
    void *in_load_arg;
};

static enum sck_code
soft_make(void *arg, const void *aad, size_t aad_len, struct sck_buf *record, struct sck_err *err)
{
    uint8_t kek[32], out[12 + 32 + 16];
    (void)arg;
    enum sck_code rc = sck_random(kek, sizeof kek, err);
    if (rc == SCK_OK)
        rc = sck_random(out, 12, err);
    if (rc == SCK_OK)
        rc = sck_gcm_seal(epoch_key, out, aad, aad_len, kek, sizeof kek, out + 12, err);
    if (rc == SCK_OK)
        sck_buf_put(record, out, sizeof out);
    return rc;
}

static enum sck_code
soft_load(void *arg, const void *aad, size_t aad_len, const uint8_t *record, size_t record_len, void **key,
          struct sck_err *err)
{
    struct soft_token *t = arg;
    atomic_fetch_add(&t->loads, 1);
    if (t->in_load != NULL)
        t->in_load(t->in_load_arg);
    if (t->load_fails != SCK_OK)
        return sck_fail(err, t->load_fails, "played");
    uint8_t *kek = malloc(32 + sizeof t);
    assert_non_null(kek);
    if (record_len != 60 || sck_gcm_open(epoch_key, record, aad, aad_len, record + 12, 48, kek, NULL) != SCK_OK) {
        free(kek);
        return sck_fail(err, SCK_E_INTEGRITY, "the KEK's record was changed");
    }
    memcpy(kek + 32, &t, sizeof t);
    *key = kek;
    return SCK_OK;
}

static enum sck_code
soft_seal(void *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *plain, size_t len,
          uint8_t *out, struct sck_err *err)
{
    return sck_gcm_seal(key, nonce, aad, aad_len, plain, len, out, err);
}

static enum sck_code
soft_open(void *key, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, const uint8_t *sealed, size_t len,
          uint8_t *out, struct sck_err *err)
{
    return sck_gcm_open(key, nonce, aad, aad_len, sealed, len, out, err);
}

static void
soft_release(void *key)
{
    struct soft_token *t;
    memcpy(&t, (uint8_t *)key + 32, sizeof t);
    atomic_fetch_add(&t->releases, 1);
    free(key);
}

static struct sck_keeper *
keeper_new(struct soft_token *t, size_t cached)
{
    struct sck_keeper *k = NULL;
    struct sck_err err = SCK_ERR_INIT;
    const struct sck_keeper_token_fns fns = {t, soft_make, soft_load, soft_seal, soft_open, soft_release};
    assert_int_equal(sck_keeper_token_open(&fns, cached, &k, &err), SCK_OK);
    return k;
}

static struct sck_kek_made
make(struct sck_keeper *k, const char *name, uint32_t generation)
{
    struct sck_kek_made made;
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(k->ops->create(k, name, generation, &made, &err), SCK_OK);
    assert_int_equal(made.version, 1);
    assert_string_equal(made.mount, "");
    assert_string_equal(made.name_space, "");
    return made;
}

static struct sck_kek
kek_of(const char *name, const struct sck_kek_made *made)
{
    return (struct sck_kek){.name = name, .generation = 1, .version = 1, .mount = "", .name_space = "",
                            .record = sck_buf_bytes(&made->record)};
}

static struct sck_secret *
payload_new(void)
{
    struct sck_secret *s = NULL;
    assert_int_equal(sck_secret_new(SCK_PAYLOAD_LEN, &s, NULL), SCK_OK);
    for (size_t i = 0; i < s->len; i++)
        s->data[i] = (uint8_t)(i * 3);
    return s;
}

static void
wraps_and_unwraps(void **state)
{
    (void)state;
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct sck_kek_made made = make(k, "sk--alice", 1);
    struct sck_kek kek = kek_of("sk--alice", &made);
    struct sck_secret *payload = payload_new(), *back = NULL;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    assert_int_equal(k->ops->kind, SCK_KEEPER_TOKEN);
    assert_string_equal(k->ops->name, "token");
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_OK);
    assert_int_equal(version, 1);
    assert_int_equal(blob.len, 100);
    assert_int_equal(k->ops->unwrap(k, &kek, 1, blob.data, blob.len, &back, &err), SCK_OK);
    assert_memory_equal(back->data, payload->data, SCK_PAYLOAD_LEN);
    assert_int_equal(t.loads, 1);

    /* The definition, computed by hand: nonce ‖ GCM(KEK, payload, "wdek/v1" ‖ name ‖ u32 version). */
    uint8_t want_kek[32], plain[72];
    uint8_t record_aad[] = "kek/v1sk--alice\0\0\0\1", blob_aad[] = "wdek/v1sk--alice\0\0\0\1";
    assert_int_equal(sck_gcm_open(epoch_key, made.record.data, record_aad, sizeof record_aad - 1,
                                  made.record.data + 12, 48, want_kek, NULL), SCK_OK);
    assert_int_equal(sck_gcm_open(want_kek, blob.data, blob_aad, sizeof blob_aad - 1, blob.data + 12, 88, plain,
                                  NULL), SCK_OK);
    assert_memory_equal(plain, payload->data, 72);
    sck_secret_free(&payload);
    sck_secret_free(&back);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    k->ops->close(k);
    assert_int_equal(t.releases, 1);
}

static void
refuses_every_change(void **state)
{
    (void)state;
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct sck_kek_made made = make(k, "sk--alice", 1), other = make(k, "sk--bob", 1);
    struct sck_kek kek = kek_of("sk--alice", &made), bob = kek_of("sk--bob", &other);
    struct sck_secret *payload = payload_new(), *back = NULL;
    struct sck_err err = SCK_ERR_INIT;
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_OK);
    for (size_t i = 0; i < blob.len; i++) {
        blob.data[i] ^= 1;
        assert_int_equal(k->ops->unwrap(k, &kek, 1, blob.data, blob.len, &back, NULL), SCK_E_AUTHENTIC);
        assert_null(back);
        blob.data[i] ^= 1;
    }
    assert_int_equal(k->ops->unwrap(k, &kek, 2, blob.data, blob.len, &back, NULL), SCK_E_AUTHENTIC);
    assert_int_equal(k->ops->unwrap(k, &bob, 1, blob.data, blob.len, &back, NULL), SCK_E_AUTHENTIC);
    for (size_t len = 0; len < blob.len; len++) {
        struct sck_err e = SCK_ERR_INIT;
        char want[80];
        (void)snprintf(want, sizeof want, "keeper token: a wrapped DEK has 100 bytes, not %zu", len);
        assert_int_equal(k->ops->unwrap(k, &kek, 1, blob.data, len, &back, &e), SCK_E_AUTHENTIC);
        assert_string_equal(e.message, want);
    }
    payload->len = 71;
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_USAGE);
    assert_string_equal(err.message, "keeper token: a payload has 72 bytes, not 71");
    assert_int_equal(version, 0);
    assert_int_equal(blob.len, 100);
    payload->len = 72;

    /* A record under another name, another generation, or changed. */
    k->ops->forget(k, NULL);
    kek.record = sck_buf_bytes(&other.record);
    assert_int_equal(k->ops->unwrap(k, &kek, 1, blob.data, blob.len, &back, NULL), SCK_E_INTEGRITY);
    kek.record = sck_buf_bytes(&made.record);
    kek.generation = 2;
    assert_int_equal(k->ops->unwrap(k, &kek, 1, blob.data, blob.len, &back, NULL), SCK_E_INTEGRITY);
    kek.generation = 1;
    assert_int_equal(k->ops->unwrap(k, &kek, 1, blob.data, blob.len, &back, NULL), SCK_OK);
    sck_secret_free(&back);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    sck_buf_clear(&other.record);
    k->ops->close(k);
    assert_int_equal(t.releases, 3);
}

static void
refuses_illegal_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-a", "a-", "A", "a/b", "a.b", "a_b", "../x", "a b", "a%2Fb", "\xC3\xBC"};
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct sck_kek_made made = make(k, "sk--alice", 1);
    struct sck_secret *payload = payload_new(), *back = NULL;
    struct sck_buf blob;
    uint32_t version;
    const uint8_t zeros[100] = {0};
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sck_kek_made none;
        struct sck_erase_proof proof;
        struct sck_err err = SCK_ERR_INIT;
        struct sck_kek kek = kek_of(bad[i], &made);
        assert_int_equal(k->ops->create(k, bad[i], 1, &none, &err), SCK_E_USAGE);
        assert_string_equal(err.message,
                            "keeper token: a KEK name must be 1 to 120 of a-z, 0-9 and inner hyphens");
        assert_int_equal(none.record.len, 0);
        assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, NULL), SCK_E_USAGE);
        assert_int_equal(k->ops->unwrap(k, &kek, 1, zeros, sizeof zeros, &back, NULL), SCK_E_USAGE);
        assert_int_equal(k->ops->erase(k, &kek, 1, NULL, 0, &proof, NULL), SCK_E_USAGE);
    }
    assert_int_equal(t.loads, 0);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    k->ops->close(k);
}

static void
passes_errors_of_the_token_through(void **state)
{
    (void)state;
    static const enum sck_code codes[] = {SCK_E_ERASED, SCK_E_INTEGRITY, SCK_E_TOKEN, SCK_E_BUSY, SCK_E_CREDENTIAL};
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct sck_kek_made made = make(k, "sk--alice", 1);
    struct sck_kek kek = kek_of("sk--alice", &made);
    struct sck_secret *payload = payload_new();
    struct sck_buf blob;
    uint32_t version;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct sck_err err = SCK_ERR_INIT;
        t.load_fails = codes[i];
        assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, &err), codes[i]);
        assert_string_equal(err.message, "played");
        assert_int_equal(blob.len, 0);
    }
    t.load_fails = SCK_OK;
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, NULL), SCK_OK);
    assert_int_equal(t.loads, 6);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    k->ops->close(k);
}

static void
keeps_the_last_used(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 3);
    struct sck_kek_made made[4];
    struct sck_secret *payload = payload_new();
    struct sck_buf blob;
    uint32_t version;
    sck_buf_init(&blob, 100000);
    for (size_t i = 0; i < 4; i++)
        made[i] = make(k, names[i], 1);
    static const struct { size_t use; int loads; int releases; } steps[] = {
        {0, 1, 0}, {1, 2, 0}, {2, 3, 0}, {0, 3, 0},
        {3, 4, 1},      /* b goes: it is the oldest */
        {0, 4, 1}, {2, 4, 1}, {3, 4, 1},
        {1, 5, 2},      /* a goes */
        {0, 6, 3},      /* c goes */
        {3, 6, 3},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct sck_kek kek = kek_of(names[steps[i].use], &made[steps[i].use]);
        assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, NULL), SCK_OK);
        assert_int_equal(t.loads, steps[i].loads);
        assert_int_equal(t.releases, steps[i].releases);
    }
    k->ops->forget(k, "d");
    assert_int_equal(t.releases, 4);
    k->ops->forget(k, "nobody");
    assert_int_equal(t.releases, 4);
    k->ops->forget(k, NULL);
    assert_int_equal(t.releases, 6);
    for (size_t i = 0; i < 4; i++)
        sck_buf_clear(&made[i].record);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    k->ops->close(k);
    assert_int_equal(t.releases, 6);
}

static void
erase_forgets_and_claims_no_more(void **state)
{
    (void)state;
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct sck_kek_made made = make(k, "sk--alice", 1);
    struct sck_kek kek = kek_of("sk--alice", &made);
    struct sck_secret *payload = payload_new();
    struct sck_erase_proof proof;
    struct sck_buf blob;
    uint32_t version;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, NULL), SCK_OK);
    assert_int_equal(k->ops->erase(k, &kek, 1, blob.data, blob.len, &proof, NULL), SCK_OK);
    assert_int_equal(t.releases, 1);
    assert_int_equal(proof.how, SCK_ERASURE_SCHEDULED);
    assert_int_equal(proof.effective_s, 0);
    assert_false(proof.read_says_gone);
    assert_false(proof.canary_refused);
    assert_string_equal(proof.node, "");
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    k->ops->close(k);
}

struct forgetter {
    struct sck_keeper *keeper;
    bool done;
};

static void
forget_once(void *arg)
{
    struct forgetter *f = arg;
    if (!f->done)
        f->keeper->ops->forget(f->keeper, "sk--alice");
    f->done = true;
}

/* An erasure while the same KEK is being loaded: the handle serves that one call and is not kept. */
static void
a_load_overtaken_by_forget_is_not_kept(void **state)
{
    (void)state;
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct forgetter f = {k, false};
    struct sck_kek_made made = make(k, "sk--alice", 1);
    struct sck_kek kek = kek_of("sk--alice", &made);
    struct sck_secret *payload = payload_new();
    struct sck_buf blob;
    uint32_t version;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    t.in_load = forget_once;
    t.in_load_arg = &f;
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, NULL), SCK_OK);
    assert_int_equal(t.releases, 1);
    assert_int_equal(k->ops->wrap(k, &kek, payload, &blob, &version, NULL), SCK_OK);
    assert_int_equal(t.loads, 2);
    assert_int_equal(t.releases, 1);
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    sck_buf_clear(&made.record);
    k->ops->close(k);
}

struct worker {
    struct sck_keeper *keeper;
    const struct sck_kek_made *made;
    const struct sck_secret *payload;
    unsigned seed;
    int failures;
};

static void *
work(void *arg)
{
    static const char *const names[] = {"k0", "k1", "k2", "k3", "k4", "k5"};
    struct worker *w = arg;
    for (unsigned i = 0; i < 400; i++) {
        size_t n = (w->seed * 7919U + i * 31U) % 6;
        struct sck_kek kek = kek_of(names[n], &w->made[n]);
        struct sck_secret *back = NULL;
        struct sck_buf blob;
        uint32_t version = 0;
        forkgate_work();
        sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
        if (w->keeper->ops->wrap(w->keeper, &kek, w->payload, &blob, &version, NULL) != SCK_OK ||
            w->keeper->ops->unwrap(w->keeper, &kek, 1, blob.data, blob.len, &back, NULL) != SCK_OK ||
            memcmp(back->data, w->payload->data, SCK_PAYLOAD_LEN) != 0)
            w->failures++;
        if (i % 50 == 0)
            w->keeper->ops->forget(w->keeper, i % 100 == 0 ? names[n] : NULL);
        sck_secret_free(&back);
        sck_buf_clear(&blob);
        forkgate_rest();
    }
    return NULL;
}

static void
threads_share_a_small_cache(void **state)
{
    (void)state;
    static const char *const names[] = {"k0", "k1", "k2", "k3", "k4", "k5"};
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 4);
    struct sck_kek_made made[6];
    struct sck_secret *payload = payload_new();
    struct worker workers[8];
    pthread_t threads[8];
    for (size_t i = 0; i < 6; i++)
        made[i] = make(k, names[i], 1);
    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){k, made, payload, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    /* Children are made while the threads work: each finds the locks free. */
    for (int i = 0; i < 20; i++) {
        forkgate_close();
        pid_t child = fork();
        forkgate_open(child);
        assert_true(child >= 0);
        if (child == 0) {
            struct worker own = {k, made, payload, 99, 0};
            (void)work(&own);
            _exit(own.failures == 0 ? 0 : 1);
        }
        int status = -1;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].failures, 0);
    }
    for (size_t i = 0; i < 6; i++)
        sck_buf_clear(&made[i].record);
    sck_secret_free(&payload);
    k->ops->close(k);
    assert_int_equal(t.loads, t.releases);
}

static int reports;

static void
count_report(void *arg, const char *what, const char *cure)
{
    (void)arg;
    assert_string_equal(what, "keeper token: a KEK was made, used and dropped");
    assert_null(cure);
    reports++;
}

static void
probe_uses_a_kek(void **state)
{
    (void)state;
    struct soft_token t = {0};
    struct sck_keeper *k = keeper_new(&t, 0);
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(k->ops->probe(k, count_report, NULL, &err), SCK_OK);
    assert_int_equal(reports, 1);
    assert_int_equal(t.loads, 1);
    assert_int_equal(t.releases, 1);
    t.load_fails = SCK_E_TOKEN;
    assert_int_equal(k->ops->probe(k, count_report, NULL, &err), SCK_E_TOKEN);
    assert_string_equal(err.message, "played");
    assert_int_equal(reports, 1);
    k->ops->close(k);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wraps_and_unwraps),
        cmocka_unit_test(refuses_every_change),
        cmocka_unit_test(refuses_illegal_names),
        cmocka_unit_test(passes_errors_of_the_token_through),
        cmocka_unit_test(keeps_the_last_used),
        cmocka_unit_test(erase_forgets_and_claims_no_more),
        cmocka_unit_test(a_load_overtaken_by_forget_is_not_kept),
        cmocka_unit_test(threads_share_a_small_cache),
        cmocka_unit_test(probe_uses_a_kek),
    };
    return cmocka_run_group_tests_name("vault/keeper_token", tests, NULL, NULL);
}
