/* SPDX-License-Identifier: MIT */
/* Looking at everything a set-up consists of: what is wrong, and the cure. */
#include "lib/service/doctor.h"
#include "lib/service/erase.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct exam {
    sck_finding_fn finding;
    void *arg;
    const char *area;
    enum sck_code first;    /* the first problem's code */
};

static void
report(struct exam *x, enum sck_code code, const char *what, const char *cure)
{
    if (cure != NULL && x->first == SCK_OK)
        x->first = code;
    x->finding(x->arg, x->area, what, cure);
}

/* A failed step is a finding; its message says what to do next. */
static bool
step(struct exam *x, enum sck_code code, struct sck_err *err, const char *well)
{
    if (code == SCK_OK)
        report(x, code, well, NULL);
    else
        report(x, code, err->message[0] != '\0' ? err->message : sck_code_name(code), "see the message");
    sck_err_clear(err);
    return code == SCK_OK;
}

static void
from_room(void *arg, const char *what, const char *cure)
{
    report(arg, SCK_E_CONFIG, what, cure);
}

static void
catalog_problem(void *arg, const char *problem)
{
    report(arg, SCK_E_INTEGRITY, problem, "restore the catalog from a backup");
}

static void
check_mode(struct exam *x, const char *path, mode_t allowed, const char *what)
{
    struct stat st;
    char line[640];
    if (path == NULL || path[0] == '\0')
        return;
    if (stat(path, &st) != 0) {
        (void)snprintf(line, sizeof line, "%s %s cannot be examined: %s", what, path, strerror(errno));
        report(x, SCK_E_CONFIG, line, "put it in place or correct scopekey.conf");
        return;
    }
    bool owned = st.st_uid == geteuid() || st.st_uid == 0;
    if (owned && (st.st_mode & 0777 & ~allowed) == 0) {
        (void)snprintf(line, sizeof line, "%s %s has mode %04o", what, path, (unsigned)(st.st_mode & 0777));
        report(x, SCK_OK, line, NULL);
        return;
    }
    char cure[128];
    (void)snprintf(line, sizeof line, "%s %s has mode %04o and owner %u", what, path, (unsigned)(st.st_mode & 07777),
                   (unsigned)st.st_uid);
    (void)snprintf(cure, sizeof cure, "make it your own and run chmod %04o on it", (unsigned)allowed);
    report(x, SCK_E_CONFIG, line, cure);
}

static void
check_permissions(struct exam *x, const struct sck_conf *conf)
{
    char path[4096];
    x->area = "permissions";
    check_mode(x, conf->home, 0755, "directory");
    check_mode(x, conf->path, 0644, "configuration");
    check_mode(x, conf->catalog, 0600, "catalog");
    check_mode(x, conf->pin_file, 0600, "PIN file");
    const struct sck_conf_vault_auth *vault[] = {&conf->vault_data, &conf->vault_admin};
    for (size_t i = 0; i < 2; i++) {
        check_mode(x, vault[i]->token_file, 0600, i == 0 ? "Vault token file" : "Vault admin token file");
        check_mode(x, vault[i]->secret_id_file, 0600, "Vault secret id file");
        check_mode(x, vault[i]->client_key_file, 0600, "Vault client key");
    }
    if (strcmp(conf->keeper, "local") == 0)
        check_mode(x, conf->local_path, 0700, "folder of keeper local");
    check_mode(x, conf->local_passphrase_file, 0600, "passphrase file");
    check_mode(x, conf->azure_client_secret_file, 0600, "Azure client secret file");
    check_mode(x, conf->azure_certificate_key_file, 0600, "Azure certificate key file");
    check_mode(x, conf->azure_admin_client_secret_file, 0600, "Azure admin client secret file");
    check_mode(x, conf->azure_admin_certificate_key_file, 0600, "Azure admin certificate key file");
    check_mode(x, conf->store_dir, 0700, "token directory");
    (void)snprintf(path, sizeof path, "%s/run/epoch", conf->state_dir);
    check_mode(x, path, 0644, "erasure epoch word");
}

static bool
same_public(struct sck_engine *engine, enum sck_system_key which, const char *name, struct sck_err *err)
{
    struct sck_buf token;
    struct sck_buf file;
    sck_buf_init(&token, SCK_SPKI_MAX);
    sck_buf_init(&file, SCK_SPKI_MAX);
    char *path = sck_engine_path(engine, name);
    bool same = path != NULL && sck_token_system_public(engine->token, which, &token, err) == SCK_OK &&
                sck_pem_read_spki(path, &file, err) == SCK_OK &&
                sck_bytes_equal(token.data, token.len, file.data, file.len);
    free(path);
    sck_buf_clear(&token);
    sck_buf_clear(&file);
    return same;
}

static void
check_catalog(struct exam *x, struct sck_engine *engine)
{
    struct sck_catalog *catalog = NULL;
    struct sck_setup_rec setup = {.id = 1};
    struct sck_err err = SCK_ERR_INIT;
    x->area = "catalog";
    if (!step(x, sck_engine_catalog(engine, &catalog, &err), &err, "the catalog opens"))
        return;
    if (step(x, sck_catalog_get(catalog, SCK_BY_SETUP, &setup, &err), &err, "its set-up row is authentic") &&
        strcmp(setup.environment, engine->conf->environment) != 0)
        report(x, SCK_E_CONFIG, "the catalog belongs to another environment than the configuration says",
               "set [scopekey] environment to what it was at init");
    if (!same_public(engine, SCK_SYS_CATALOG, "catalog.pem", &err))
        report(x, SCK_E_INTEGRITY, "catalog.pem is not the token's catalog key", "restore it, or run init anew");
    else
        report(x, SCK_OK, "catalog.pem is the token's catalog key", NULL);
    sck_err_clear(&err);
    if (sck_catalog_verify(catalog, catalog_problem, x, &err) == SCK_OK)
        report(x, SCK_OK, "every row is authentic", NULL);
    else if (err.code != SCK_E_INTEGRITY)
        step(x, err.code, &err, "");
    sck_err_clear(&err);
    x->area = "erasure";
    if (step(x, sck_anchor_check(engine, catalog, &err), &err, "the catalog is not older than the token's anchor"))
        sck_doctor_erasure(engine, catalog, from_room, x);
}

static void
check_keeper(struct exam *x, struct sck_engine *engine)
{
    struct sck_keeper *keeper = NULL;
    struct sck_err err = SCK_ERR_INIT;
    x->area = "keeper";
    if (!step(x, sck_engine_keeper(engine, sck_engine_keeper_kind(engine), &keeper, &err), &err, "the keeper is configured"))
        return;
    enum sck_code rc = keeper->ops->probe(keeper, from_room, x, &err);
    if (rc != SCK_OK && x->first == SCK_OK)
        step(x, rc, &err, "");
}

enum sck_code
sck_doctor(const struct sck_open *how, sck_finding_fn finding, void *arg, struct sck_err *err)
{
    struct exam x = {finding, arg, "configuration", SCK_OK};
    struct sck_service *service = NULL;
    struct sck_err why = SCK_ERR_INIT;
    if (!step(&x, sck_service_open(how, &service, &why), &why, "the configuration is valid"))
        return sck_fail(err, x.first, "the configuration cannot be used");
    struct sck_engine *engine = service->engine;
    check_permissions(&x, engine->conf);
    x.area = "token";
    if (step(&x, sck_engine_login(engine, &why), &why, "the token is there and takes the PIN")) {
        enum sck_code rc = sck_token_verify(engine->token, from_room, &x, &why);
        if (rc != SCK_OK && x.first == SCK_OK)
            step(&x, rc, &why, "");
        sck_err_clear(&why);
        check_catalog(&x, engine);
        check_keeper(&x, engine);
    }
    sck_service_close(&service);
    return x.first == SCK_OK ? SCK_OK : sck_fail(err, x.first, "there are problems");
}

enum sck_code
sck_service_start(struct sck_service *service, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_setup_rec setup = {.id = 1};
    enum sck_code rc = sck_engine_login(service->engine, err);
    if (rc == SCK_OK)
        rc = sck_engine_catalog(service->engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_catalog_get(catalog, SCK_BY_SETUP, &setup, err);
    if (rc == SCK_OK && strcmp(setup.environment, service->engine->conf->environment) != 0)
        rc = sck_fail(err, SCK_E_CONFIG, "%s: [scopekey] environment is %s, the catalog was made for %s",
                      service->engine->conf->path, service->engine->conf->environment, setup.environment);
    return rc;
}

enum sck_code
sck_service_ping(struct sck_service *service, int64_t *latency_us, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_catalog *catalog = NULL;
    struct sck_scope files = {.kind = SCK_SCOPE_FILE};
    struct sck_owner_rec owner = {0};
    struct sck_kek_rec kek = {0};
    struct sck_keeper *keeper = NULL;
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    uint32_t version = 0;
    int64_t from = sck_monotonic_us(engine->clock);
    sck_buf_init(&blob, SCK_KEEPER_BLOB_MAX);
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_owner_get(engine, &files, false, &owner, &kek, err);
    if (rc == SCK_OK)
        rc = sck_engine_keeper(engine, (enum sck_keeper_kind)kek.keeper, &keeper, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(SCK_PAYLOAD_LEN, &payload, err);
    if (rc == SCK_OK) {
        /* A payload of zeros, wrapped and thrown away: the whole way through token, catalog and keeper. */
        const struct sck_kek ref = sck_kek_from_rec(&kek);
        rc = keeper->ops->wrap(keeper, &ref, payload, &blob, &version, err);
    }
    *latency_us = sck_monotonic_us(engine->clock) - from;
    sck_secret_free(&payload);
    sck_record_clear(SCK_TABLE_KEKS, &kek);
    sck_buf_clear(&blob);
    return rc;
}

enum sck_code
sck_service_pin_check(struct sck_service *service, const struct sck_secret *pin, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_secret *configured = NULL;
    if (!sck_engine_can_login(engine))
        return sck_fail(err, SCK_E_NOT_FOUND, "no PIN source is configured");
    enum sck_code rc = sck_pin_from_sources(&engine->pins, false, &configured, err);
    if (rc != SCK_OK)
        return rc;
    /* Both are brought to one length, so that the time tells nothing but that. */
    uint8_t a[SCK_SHA256_LEN];
    uint8_t b[SCK_SHA256_LEN];
    rc = sck_sha256(configured->data, configured->len, a, err);
    if (rc == SCK_OK)
        rc = sck_sha256(pin->data, pin->len, b, err);
    if (rc == SCK_OK && !sck_ct_equal(a, b, sizeof a))
        rc = sck_fail(err, SCK_E_CREDENTIAL, "this is not the token's PIN");
    sck_wipe(a, sizeof a);
    sck_wipe(b, sizeof b);
    sck_secret_free(&configured);
    return rc;
}
