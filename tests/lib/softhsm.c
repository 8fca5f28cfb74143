/* SPDX-License-Identifier: MIT */
#include "tests/lib/softhsm.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
stop(const char *what, const struct sck_err *err)
{
    fprintf(stderr, "not possible: %s%s%s\n", what, err == NULL ? "" : ": ", err == NULL ? "" : err->message);
    abort();
}

const char *
softhsm_module(void)
{
    static const char *const places[] = {
        "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0)
            return places[i];
    }
    stop("SoftHSM is not installed (libsofthsm2.so)", NULL);
    return NULL;
}

enum sck_code
softhsm_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    struct softhsm *h = arg;
    h->pin_asked++;
    h->pin_again += again ? 1 : 0;
    if (again)
        return sck_fail(err, SCK_E_CREDENTIAL, "there is no other PIN");
    return sck_secret_from(h->pin, strlen(h->pin), pin, err);
}

void
softhsm_attach(struct softhsm *h, const char *folder)
{
    memset(h, 0, sizeof *h);
    (void)snprintf(h->folder, sizeof h->folder, "%s", folder);
    (void)snprintf(h->store_dir, sizeof h->store_dir, "%s/tokens", h->folder);
    (void)snprintf(h->lock_path, sizeof h->lock_path, "%s/lock", h->folder);
    (void)snprintf(h->counts_path, sizeof h->counts_path, "%s/counts", h->folder);
    (void)snprintf(h->faults_path, sizeof h->faults_path, "%s/faults", h->folder);
    (void)snprintf(h->module_env, sizeof h->module_env, "SOFTHSM2_CONF=%s/softhsm2.conf", h->folder);
    (void)snprintf(h->module_path, sizeof h->module_path, "%s", softhsm_module());
    h->label = "scopekey test";
    (void)snprintf(h->pin, sizeof h->pin, "%s", SOFTHSM_PIN);
    h->conf = (struct sck_token_conf){
        .module_path = h->module_path,
        .module_env = h->module_env,
        .label = h->label,
        .setup_id = "set-up of tests",
        .lock_path = h->lock_path,
        .store_dir = h->store_dir,
        .pin = softhsm_pin,
        .pin_arg = h,
    };
}

void
softhsm_start_empty(struct softhsm *h)
{
    char path[160], folder[] = "/tmp/scopekey-test-XXXXXX";
    if (mkdtemp(folder) == NULL)
        stop("mkdtemp", NULL);
    softhsm_attach(h, folder);
    (void)snprintf(path, sizeof path, "%s/softhsm2.conf", h->folder);
    FILE *f = fopen(path, "w");
    if (f == NULL || mkdir(h->store_dir, 0700) != 0)
        stop("softhsm2.conf", NULL);
    fprintf(f, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
               "library.reset_on_fork = true\n", h->store_dir);
    fclose(f);
}

void
softhsm_spy(struct softhsm *h)
{
    (void)snprintf(h->module_path, sizeof h->module_path, "%s", TESTS_SPY_MODULE);
    if (setenv("SPY_MODULE", softhsm_module(), 1) != 0 || setenv("SPY_COUNTS", h->counts_path, 1) != 0 ||
        setenv("SPY_FAULTS", h->faults_path, 1) != 0 || unsetenv("SPY_DELAY_US") != 0 ||
        unsetenv("SPY_MAX_SESSIONS") != 0)
        stop("setenv", NULL);
    softhsm_fault(h, "");
}

void
softhsm_fault(struct softhsm *h, const char *lines)
{
    char fresh[128];
    (void)snprintf(fresh, sizeof fresh, "%s.new", h->faults_path);
    FILE *f = fopen(fresh, "w");
    if (f == NULL)
        stop("the fault file", NULL);
    /* The clock of files is coarse: the size tells one version from the next, too. */
    for (unsigned i = 0; i <= h->faults_written % 512; i++)
        fputc('\n', f);
    h->faults_written++;
    fputs(lines, f);
    if (fclose(f) != 0 || rename(fresh, h->faults_path) != 0)
        stop("the fault file", NULL);
}

void
softhsm_start(struct softhsm *h)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_secret *so_pin = NULL, *pin = NULL;
    softhsm_start_empty(h);
    if (sck_secret_from(SOFTHSM_SO_PIN, strlen(SOFTHSM_SO_PIN), &so_pin, &err) != SCK_OK ||
        sck_secret_from(SOFTHSM_PIN, strlen(SOFTHSM_PIN), &pin, &err) != SCK_OK ||
        sck_token_make(&h->conf, so_pin, pin, &err) != SCK_OK)
        stop("making a token", &err);
    sck_secret_free(&so_pin);
    sck_secret_free(&pin);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

void
softhsm_end(struct softhsm *h)
{
    (void)nftw(h->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

struct sck_token *
softhsm_open(struct softhsm *h)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_token *t = NULL;
    if (sck_token_new(&h->conf, &t, &err) != SCK_OK || sck_token_login(t, &err) != SCK_OK)
        stop("opening the token", &err);
    return t;
}

struct sck_token *
softhsm_provisioned(struct softhsm *h)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_token *t = NULL;
    if (sck_token_new(&h->conf, &t, &err) != SCK_OK || sck_token_provision(t, NULL, NULL, &err) != SCK_OK)
        stop("making own keys", &err);
    return t;
}
