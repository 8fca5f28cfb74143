/* SPDX-License-Identifier: MIT */
/*
 * Making a set-up.  scopekey.conf comes last, by one rename: without it there is no set-up, and a second `init` goes on
 * where the first stopped (the id of the set-up is kept in `setup-id` for that).
 */
#include "lib/service/setup_work.h"

#include "lib/base/fault.h"
#include "lib/base/file.h"
#include "lib/base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const softhsm_places[] = {
    "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so"};

static void
say(const struct sck_setup_work *w, const char *line)
{
    if (w->progress != NULL)
        w->progress(w->arg, line);
}

static void
say_finding(void *arg, const char *what, const char *cure)
{
    const struct sck_setup_work *w = arg;
    (void)cure;
    say(w, what);
}

static void
path_in(const struct sck_setup_work *w, const char *name, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 64, w->home, name);
}

static enum sck_code
make_home(struct sck_setup_work *w, struct sck_err *err)
{
    static const struct {
        const char *name;
        mode_t mode;
    } dirs[] = {{"tokens", 0700}, {"run", 0755}, {"receipts", 0700}};
    char *given = NULL;
    char path[PATH_MAX];
    enum sck_code rc = SCK_OK;
    if (w->how->home != NULL)
        given = strdup(w->how->home);
    else
        rc = sck_conf_default_home(&given, err);
    if (rc == SCK_OK && given == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_dir_make(given, 0700, err);
    if (rc == SCK_OK && (realpath(given, w->home) == NULL || strlen(w->home) > PATH_MAX - 128))
        rc = sck_fail_errno(err, SCK_E_IO, errno != 0 ? errno : ENAMETOOLONG, "cannot use directory %s", given);
    for (size_t i = 0; rc == SCK_OK && i < sizeof dirs / sizeof dirs[0]; i++) {
        path_in(w, dirs[i].name, path);
        rc = sck_dir_make(path, dirs[i].mode, err);
        if (rc == SCK_OK && chmod(path, dirs[i].mode) != 0)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot set the mode of %s", path);
    }
    free(given);
    return rc;
}

/* The set-up's id, made once. */
static enum sck_code
load_id(struct sck_setup_work *w, struct sck_err *err)
{
    char path[PATH_MAX];
    char text[SCK_UUID_TEXT];
    uint8_t random[SCK_UUID_RANDOM];
    struct sck_buf read = {0};
    struct sck_err look = SCK_ERR_INIT;
    path_in(w, "setup-id", path);
    enum sck_code rc = sck_file_read(path, 64, &read, &look);
    if (rc == SCK_OK) {
        if (read.len != 36 || !sck_uuid_parse((const char *)read.data, 36, w->id))
            rc = sck_fail(err, SCK_E_CONFIG, "%s is damaged: remove the unfinished set-up and run init again", path);
        sck_buf_clear(&read);
        return rc;
    }
    if (rc != SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_random(random, sizeof random, err);
    if (rc != SCK_OK)
        return rc;
    sck_uuid7(sck_now_ms(sck_clock_system()), random, w->id);
    sck_uuid_format(w->id, text);
    return sck_file_create(path, text, 36, 0600, err);
}

static enum sck_code
load_pin(struct sck_setup_work *w, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    if (w->how->pin_file != NULL) {
        rc = sck_file_read_secret(w->how->pin_file, "PIN file", &w->pin, err);
        if (rc == SCK_OK && realpath(w->how->pin_file, w->pin_file) == NULL)
            rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot resolve PIN file %s", w->how->pin_file);
    } else if (w->how->ask_pin != NULL) {
        rc = w->how->ask_pin(w->how->ask_pin_arg, false, &w->pin, err);
    } else {
        rc = sck_fail(err, SCK_E_USAGE, "init needs a PIN: give --pin-file FILE (made with mode 0600)");
    }
    if (rc == SCK_OK && w->pin->len < 4)
        rc = sck_fail(err, SCK_E_USAGE, "the PIN is shorter than 4 characters: choose a longer one");
    return rc;
}

static enum sck_code
choose_module(struct sck_setup_work *w, struct sck_err *err)
{
    w->own_token = w->how->token_label == NULL && w->how->token_serial == NULL;
    w->label = w->how->token_label != NULL ? w->how->token_label : "scopekey";
    w->module = w->how->module;
    for (size_t i = 0; w->module == NULL && i < sizeof softhsm_places / sizeof softhsm_places[0]; i++) {
        if (access(softhsm_places[i], R_OK) == 0)
            w->module = softhsm_places[i];
    }
    if (w->module == NULL)
        return sck_fail(err, SCK_E_CONFIG, "SoftHSM is not installed: install the package softhsm2, or name a "
                                           "PKCS#11 module with --module");
    if (w->module[0] != '/')
        return sck_fail(err, SCK_E_USAGE, "--module %s: give an absolute path", w->module);
    return SCK_OK;
}

/* A random SO PIN beside the PIN file; kept from an unfinished run. */
static enum sck_code
so_pin(struct sck_setup_work *w, struct sck_secret **out, struct sck_err *err)
{
    char path[PATH_MAX + 16];
    uint8_t random[20];
    char text[64];
    struct sck_err look = SCK_ERR_INIT;
    char beside[PATH_MAX];
    path_in(w, "pin", beside);
    (void)snprintf(path, sizeof path, "%s.so", w->pin_file[0] != '\0' ? w->pin_file : beside);
    enum sck_code rc = sck_file_read_secret(path, "SO PIN file", out, &look);
    if (rc == SCK_OK)
        return rc;
    if (rc != SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "%s", look.message);
    rc = sck_random(random, sizeof random, err);
    if (rc != SCK_OK)
        return rc;
    sck_base32hex_format(random, sizeof random, text);
    rc = sck_file_create(path, text, strlen(text), 0600, err);
    if (rc == SCK_OK)
        rc = sck_secret_from(text, strlen(text), out, err);
    sck_wipe(text, sizeof text);
    sck_wipe(random, sizeof random);
    return rc;
}

static enum sck_code
make_softhsm_token(struct sck_setup_work *w, struct sck_err *err)
{
    char conf_path[PATH_MAX];
    char tokens[PATH_MAX];
    char lock[PATH_MAX];
    char env[PATH_MAX + 32];
    struct sck_buf text;
    struct sck_secret *so = NULL;
    struct sck_err why = SCK_ERR_INIT;
    path_in(w, "softhsm2.conf", conf_path);
    path_in(w, "tokens", tokens);
    path_in(w, "run/token.lock", lock);
    (void)snprintf(env, sizeof env, "SOFTHSM2_CONF=%s", conf_path);
    sck_buf_init(&text, 8192);
    sck_buf_printf(&text,
                   "directories.tokendir = %s\nobjectstore.backend = file\nobjectstore.umask = 0077\n"
                   "log.level = ERROR\nslots.removable = false\nlibrary.reset_on_fork = true\n",
                   tokens);
    enum sck_code rc = sck_file_replace(conf_path, text.data, text.len, 0600, err);
    sck_buf_clear(&text);
    if (rc == SCK_OK)
        rc = so_pin(w, &so, err);
    if (rc == SCK_OK) {
        struct sck_token_conf conf = {.module_path = w->module, .module_env = env, .label = w->label,
                                      .lock_path = lock, .store_dir = tokens};
        memcpy(conf.setup_id, w->id, sizeof conf.setup_id);
        rc = sck_token_make(&conf, so, w->pin, &why);
        if (rc == SCK_E_EXISTS)
            rc = SCK_OK;
        else if (rc != SCK_OK)
            rc = sck_fail(err, rc, "%s", why.message);
    }
    sck_secret_free(&so);
    return rc;
}

static enum sck_code
export_public(struct sck_engine *engine, enum sck_system_key which, const char *name, struct sck_err *err)
{
    struct sck_buf spki;
    struct sck_buf pem;
    sck_buf_init(&spki, SCK_SPKI_MAX);
    sck_buf_init(&pem, 4096);
    enum sck_code rc = sck_token_system_public(engine->token, which, &spki, err);
    if (rc == SCK_OK) {
        sck_pem_format_spki(spki.data, spki.len, &pem);
        char *path = sck_engine_path(engine, name);
        rc = path != NULL ? sck_file_replace(path, pem.data, pem.len, 0644, err)
                          : sck_fail(err, SCK_E_MEMORY, "out of memory");
        free(path);
    }
    sck_buf_clear(&spki);
    sck_buf_clear(&pem);
    return rc;
}

/* sck_row_key_fn for the one time when there is no engine with a catalog yet. */
static enum sck_code
first_row_key(void *arg, struct sck_secret **row_key, struct sck_err *err)
{
    struct sck_engine *engine = arg;
    struct sck_buf input;
    sck_buf_init(&input, 64);
    sck_row_key_input(engine->conf->catalog_id, &input);
    enum sck_code rc = sck_secret_new(32, row_key, err);
    if (rc == SCK_OK)
        rc = sck_token_hmac(engine->token, SCK_SYS_MAC, input.data, input.len, (*row_key)->data, err);
    if (rc != SCK_OK)
        sck_secret_free(row_key);
    sck_buf_clear(&input);
    return rc;
}

static enum sck_code
make_catalog(struct sck_engine *engine, struct sck_err *err)
{
    struct sck_setup_rec setup = {.id = 1, .created_s = sck_now_s(engine->clock), .generation = 1};
    struct sck_catalog_conf conf = {.path = engine->conf->catalog, .row_key = first_row_key, .row_key_arg = engine};
    struct sck_err why = SCK_ERR_INIT;
    memcpy(setup.catalog_id, engine->conf->catalog_id, sizeof setup.catalog_id);
    memcpy(conf.catalog_id, engine->conf->catalog_id, sizeof conf.catalog_id);
    (void)strncpy(setup.environment, engine->conf->environment, sizeof setup.environment - 1);
    enum sck_code rc = sck_catalog_create(&conf, &setup, &why);
    if (rc == SCK_OK || rc == SCK_E_EXISTS)
        return SCK_OK;
    return sck_fail(err, rc, "%s", why.message);
}

/* Everything that needs token, catalog and keeper; each part can be repeated. */
static enum sck_code
populate(struct sck_setup_work *w, struct sck_service *service, struct sck_err *err)
{
    struct sck_engine *engine = service->engine;
    struct sck_keeper *keeper = NULL;
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sck_token_provision(engine->token, say_finding, w, err);
    sck_fault_point("init.provisioned");
    if (rc == SCK_OK)
        rc = export_public(engine, SCK_SYS_CATALOG, "catalog.pem", err);
    if (rc == SCK_OK)
        rc = export_public(engine, SCK_SYS_RECEIPT, "receipt.pem", err);
    if (rc == SCK_OK)
        rc = make_catalog(engine, err);
    sck_fault_point("init.catalog");
    if (rc == SCK_OK)
        rc = sck_engine_keeper(engine, sck_engine_keeper_kind(engine), &keeper, err);
    if (rc == SCK_OK)
        rc = sck_prepare_keeper(keeper, err);
    if (rc != SCK_OK)
        return rc;
    say(w, "catalog made");
    rc = sck_owner_provision(engine, SCK_OWNER_FILES, "", 0, false, &why);
    if (rc == SCK_OK || rc == SCK_E_EXISTS) {
        sck_err_clear(&why);
        rc = sck_owner_provision(engine, SCK_OWNER_CLIENT, "default", 7, false, &why);
    }
    if (rc != SCK_OK && rc != SCK_E_EXISTS)
        return sck_fail(err, rc, "%s", why.message);
    say(w, "KEKs of files and of client/default made");
    return SCK_OK;
}

static enum sck_code
finish(struct sck_setup_work *w, char **path, struct sck_err *err)
{
    char partial[PATH_MAX];
    char final[PATH_MAX];
    char epoch[PATH_MAX];
    struct sck_service *service = NULL;
    path_in(w, "scopekey.conf.partial", partial);
    path_in(w, "scopekey.conf", final);
    path_in(w, "run/epoch", epoch);
    enum sck_code rc = sck_epoch_create(epoch, err);
    if (rc == SCK_OK)
        rc = sck_setup_write_conf(w, partial, err);
    const struct sck_open how = {.conf_path = partial, .use_env = true, .ask_pin = w->how->ask_pin,
                                 .ask_pin_arg = w->how->ask_pin_arg};
    if (rc == SCK_OK)
        rc = sck_service_open(&how, &service, err);
    if (rc == SCK_OK)
        rc = populate(w, service, err);
    sck_service_close(&service);
    if (rc != SCK_OK)
        return rc;
    if (rename(partial, final) != 0)
        return sck_fail_errno(err, SCK_E_IO, errno, "cannot write %s", final);
    rc = sck_file_sync_parent(final, err);
    if (rc == SCK_OK) {
        *path = strdup(final);
        if (*path == NULL)
            rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    }
    return rc;
}

/* A token file, or a method that logs in. */
static bool
has_way(const struct sck_setup_vault_auth *a)
{
    return a->token_file != NULL || (a->method != NULL && strcmp(a->method, "token") != 0);
}

enum sck_code
sck_setup_init(const struct sck_setup *setup, sck_progress_fn progress, void *arg, char **path, struct sck_err *err)
{
    struct sck_setup_work w = {.how = setup, .progress = progress, .arg = arg};
    char there[PATH_MAX];
    char lock_path[PATH_MAX];
    int lock = -1;
    *path = NULL;
    bool vault = setup->keeper != NULL && strcmp(setup->keeper, "vault") == 0;
    if (vault && (setup->vault_url == NULL || !has_way(&setup->vault_data) || !has_way(&setup->vault_admin)))
        return sck_fail(err, SCK_E_USAGE, "keeper vault needs --vault-addr, --vault-token-file and "
                                          "--vault-admin-token-file");
    if (setup->keeper != NULL && strcmp(setup->keeper, "azure") == 0 && setup->azure.url == NULL &&
        secure_getenv("KEY_VAULT_URL") == NULL)
        return sck_fail(err, SCK_E_USAGE, "keeper azure needs --azure-url, or KEY_VAULT_URL");
    if (setup->keeper != NULL && strcmp(setup->keeper, "local") == 0 && setup->environment != NULL &&
        strcmp(setup->environment, "production") == 0)
        return sck_fail(err, SCK_E_CONFIG, "keeper local is for development: choose keeper token, vault or azure for "
                        "environment production");
    enum sck_code rc = load_pin(&w, err);
    if (rc == SCK_OK)
        rc = choose_module(&w, err);
    if (rc == SCK_OK)
        rc = make_home(&w, err);
    if (rc != SCK_OK)
        goto out;
    path_in(&w, "run/init.lock", lock_path);
    path_in(&w, "scopekey.conf", there);
    rc = sck_lock_acquire(lock_path, 0, &lock, err);
    if (rc == SCK_E_BUSY)
        sck_err_prefix(err, "another `scopekey init` is at work in %s", w.home);
    if (rc == SCK_OK && access(there, F_OK) == 0)
        rc = sck_fail(err, SCK_E_EXISTS, "there is a set-up in %s already: choose another directory (SCOPEKEY_HOME)",
                      w.home);
    if (rc == SCK_OK)
        rc = load_id(&w, err);
    if (rc == SCK_OK && w.own_token)
        rc = make_softhsm_token(&w, err);
    sck_fault_point("init.token");
    if (rc == SCK_OK)
        rc = finish(&w, path, err);
out:
    sck_lock_release(&lock);
    sck_secret_free(&w.pin);
    return rc;
}
