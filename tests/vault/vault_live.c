/* SPDX-License-Identifier: MIT */
/*
 * Keeper `vault` through its plug-in, one command a run, for openbao.test.sh:
 *   vault_live PLUGIN open | prepare | probe | create NAME | wrap NAME | unwrap NAME VERSION BLOB |
 *              erase NAME VERSION [BLOB] | storm NAME THREADS MS | fork NAME
 * The configuration comes from the environment: see live.h.
 * Prints what came out, or "<code>: <message>" and exits 1.
 */
#include "lib/base/clock.h"
#include "tests/vault/live.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct sck_keeper_plugin *plugin;
static struct sck_keeper *keeper;
static struct sck_err err = SCK_ERR_INIT;

static enum sck_code
do_create(const char *name)
{
    struct sck_kek_made made;
    enum sck_code rc = keeper->ops->create(keeper, name, 1, &made, &err);
    if (rc == SCK_OK)
        printf("created version %u at %s\n", (unsigned)made.version, made.mount);
    sck_buf_clear(&made.record);
    return rc;
}

static enum sck_code
do_wrap(const char *name)
{
    struct sck_kek kek = live_kek(name);
    struct sck_secret *payload = live_payload();
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = keeper->ops->wrap(keeper, &kek, payload, &blob, &version, &err);
    if (rc == SCK_OK)
        printf("%u %s\n", (unsigned)version, sck_buf_str(&blob));
    sck_secret_free(&payload);
    sck_buf_clear(&blob);
    return rc;
}

static enum sck_code
do_unwrap(const char *name, const char *version, const char *blob)
{
    struct sck_kek kek = live_kek(name);
    struct sck_secret *want = live_payload(), *got = NULL;
    enum sck_code rc = keeper->ops->unwrap(keeper, &kek, (uint32_t)atoi(version), (const uint8_t *)blob, strlen(blob),
                                           &got, &err);
    if (rc == SCK_OK)
        puts(got->len == want->len && sck_ct_equal(got->data, want->data, want->len) ? "same" : "DIFFERENT");
    sck_secret_free(&want);
    sck_secret_free(&got);
    return rc;
}

static enum sck_code
do_erase(const char *name, const char *version, const char *blob)
{
    struct sck_kek kek = live_kek(name);
    struct sck_erase_proof proof;
    enum sck_code rc = keeper->ops->erase(keeper, &kek, (uint32_t)atoi(version), (const uint8_t *)blob, strlen(blob),
                                          &proof, &err);
    if (rc == SCK_OK || proof.read_says_gone || proof.canary_refused)
        printf("%s gone=%d canary_refused=%d node=%s\n", proof.how == SCK_ERASURE_IMMEDIATE ? "immediate" : "scheduled",
               proof.read_says_gone, proof.canary_refused, proof.node);
    return rc;
}

struct storm {
    const char *name;
    int64_t until_us;
    atomic_int wrapped, missing, other;
};

static void *
storm_thread(void *arg)
{
    struct storm *s = arg;
    struct sck_kek kek = live_kek(s->name);
    struct sck_secret *payload = NULL;
    if (sck_secret_new(SCK_PAYLOAD_LEN, &payload, NULL) != SCK_OK)
        return NULL;
    while (sck_monotonic_us(sck_clock_system()) < s->until_us) {
        struct sck_err e = SCK_ERR_INIT;
        struct sck_buf blob;
        uint32_t version;
        sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
        enum sck_code rc = keeper->ops->wrap(keeper, &kek, payload, &blob, &version, &e);
        atomic_fetch_add(rc == SCK_OK ? &s->wrapped : rc == SCK_E_NOT_FOUND ? &s->missing : &s->other, 1);
        if (rc != SCK_OK && rc != SCK_E_NOT_FOUND)
            fprintf(stderr, "%s\n", e.message);
        sck_buf_clear(&blob);
    }
    sck_secret_free(&payload);
    return NULL;
}

static enum sck_code
do_storm(const char *name, const char *threads, const char *ms)
{
    struct storm s = {.name = name, .until_us = sck_monotonic_us(sck_clock_system()) + atoll(ms) * 1000};
    pthread_t ids[64];
    size_t count = (size_t)atoi(threads);
    if (count > 64)
        count = 64;
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&ids[i], NULL, storm_thread, &s) != 0)
            abort();
    }
    for (size_t i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    printf("wrapped %s, missing %s, other %d\n", s.wrapped > 0 ? "some" : "none", s.missing > 0 ? "some" : "none",
           (int)s.other);
    return SCK_OK;
}

/* Parent and children use the keeper in turn and at once, over connections that were made before the forks. */
static enum sck_code
do_fork(const char *name)
{
    int failed = 0;
    enum sck_code rc = do_wrap(name);
    for (int i = 0; rc == SCK_OK && i < 8; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            for (int n = 0; n < 5; n++)
                failed += do_wrap(name) != SCK_OK;
            keeper->ops->close(keeper);
            _exit(failed == 0 ? 0 : 1);
        }
        rc = do_wrap(name);
        int status = -1;
        if (waitpid(child, &status, 0) != child || status != 0)
            failed++;
        if (rc == SCK_OK)
            rc = do_wrap(name);
    }
    if (rc == SCK_OK)
        printf("failed children: %d\n", failed);
    return rc;
}

static void
print_report(void *arg, const char *what, const char *cure)
{
    (void)arg;
    printf("%s %s%s%s\n", cure == NULL ? "well:" : "ILL:", what, cure == NULL ? "" : " -> ", cure == NULL ? "" : cure);
}

static enum sck_code
run(int argc, char **argv)
{
    const char *command = argv[2], *name = argc > 3 ? argv[3] : "";
    if (strcmp(command, "open") == 0)
        return puts("open") < 0 ? SCK_E_IO : SCK_OK;
    if (strcmp(command, "prepare") == 0)
        return plugin->vault_prepare(keeper, &err);
    if (strcmp(command, "probe") == 0)
        return keeper->ops->probe(keeper, print_report, NULL, &err);
    if (strcmp(command, "create") == 0)
        return do_create(name);
    if (strcmp(command, "wrap") == 0)
        return do_wrap(name);
    if (strcmp(command, "fork") == 0)
        return do_fork(name);
    if (strcmp(command, "erase") == 0 && argc > 4)
        return do_erase(name, argv[4], argc > 5 ? argv[5] : "");
    if (strcmp(command, "unwrap") == 0 && argc > 5)
        return do_unwrap(name, argv[4], argv[5]);
    if (strcmp(command, "storm") == 0 && argc > 5)
        return do_storm(name, argv[4], argv[5]);
    return sck_fail(&err, SCK_E_USAGE, "no such command");
}

int
main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    plugin = live_plugin(argv[1]);
    enum sck_code rc = live_open(plugin, &keeper, &err);
    if (rc == SCK_OK) {
        rc = run(argc, argv);
        keeper->ops->close(keeper);
    }
    if (rc != SCK_OK)
        printf("%s: %s\n", sck_code_name(rc), err.message);
    return rc == SCK_OK ? 0 : 1;
}
