/* SPDX-License-Identifier: MIT */
#include "lib/service/engine.h"

#include "lib/base/clock.h"
#include "lib/base/exit.h"
#include "lib/base/file.h"
#include "lib/base/fork.h"
#include "lib/base/log.h"
#include "lib/service/dek_cache.h"

#include <stdlib.h>
#include <string.h>

/* All engines of the process, so that doors share them and forks find their locks free. */
static struct {
    pthread_mutex_t lock;
    struct sck_engine *first;
} engines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void
fork_prepare(void)
{
    pthread_mutex_lock(&engines.lock);
    for (struct sck_engine *e = engines.first; e != NULL; e = e->next)
        pthread_mutex_lock(&e->lock);
    for (struct sck_engine *e = engines.first; e != NULL; e = e->next)
        sck_dek_cache_lock(e->deks);
}

static void
fork_release(void)
{
    for (struct sck_engine *e = engines.first; e != NULL; e = e->next) {
        sck_dek_cache_unlock(e->deks);
        pthread_mutex_unlock(&e->lock);
    }
    pthread_mutex_unlock(&engines.lock);
}

static void
fork_child(void)
{
    for (struct sck_engine *e = engines.first; e != NULL; e = e->next) {
        sck_dek_cache_unlock_in_child(e->deks);
        pthread_mutex_unlock(&e->lock);
    }
    pthread_mutex_unlock(&engines.lock);
}

static void
register_fork(void)
{
    (void)sck_fork_register(SCK_FORK_SERVICE, fork_prepare, fork_release, fork_child);
}

char *
sck_engine_path(const struct sck_engine *engine, const char *name)
{
    return sck_path_join(engine->conf->state_dir, name);
}

/* sck_pin_fn: the configured sources first, then whoever opened the door, and the terminal when there is neither. */
static enum sck_code
get_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    struct sck_engine *engine = arg;
    if (!sck_engine_can_login(engine) && engine->ask_pin != NULL)
        return engine->ask_pin(engine->ask_pin_arg, again, pin, err);
    return sck_pin_from_sources(&engine->pins, again, pin, err);
}

bool
sck_engine_can_login(const struct sck_engine *engine)
{
    return engine->pins.file != NULL || engine->pins.fd >= 0 || engine->pins.credential != NULL || engine->pins.env != NULL;
}

static const char *
or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void
engine_free(struct sck_engine *e)
{
    sck_dek_cache_free(&e->deks);
    sck_ukey_cache_free(&e->cache);
    for (size_t i = 0; i < sizeof e->keepers / sizeof e->keepers[0]; i++) {
        if (e->keepers[i] != NULL)
            e->keepers[i]->ops->close(e->keepers[i]);
    }
    sck_catalog_close(&e->catalog);
    sck_token_free(&e->token);
    sck_buf_clear(&e->catalog_spki);
    sck_epoch_unmap(e);
    sck_conf_free(&e->conf);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static enum sck_code
engine_new(const struct sck_open *how, struct sck_conf *conf, struct sck_engine **out, struct sck_err *err)
{
    struct sck_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return sck_fail(err, SCK_E_MEMORY, "out of memory");
    pthread_mutex_init(&e->lock, NULL);
    e->refs = 1;
    e->conf = conf;
    e->clock = sck_clock_system();
    e->pins = (struct sck_pin_sources){.file = or_null(conf->pin_file),
                                       .fd = conf->pin_fd > 0 ? (int)conf->pin_fd : -1,
                                       .credential = or_null(conf->pin_credential),
                                       .prompt = conf->pin_prompt,
                                       .prompt_text = "PIN of the Scopekey token"};
    if (secure_getenv("SCOPEKEY_PIN") != NULL)
        e->pins.env = "SCOPEKEY_PIN";
    e->ask_pin = how->ask_pin;
    e->ask_pin_arg = how->ask_pin_arg;
    sck_buf_init(&e->catalog_spki, SCK_SPKI_MAX);
    sck_secret_require_lock(conf->require_mlock);
    e->cache = sck_ukey_cache_new((size_t)conf->key_cache);
    e->deks = sck_dek_cache_new(e);
    char *lock_path = sck_engine_path(e, "run/token.lock");
    enum sck_code rc = SCK_OK;
    if (e->cache == NULL || e->deks == NULL || lock_path == NULL)
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
    if (rc == SCK_OK)
        rc = sck_open_token(conf, lock_path, get_pin, e, &e->token, err);
    free(lock_path);
    if (rc != SCK_OK) {
        e->conf = NULL;
        engine_free(e);
        return rc;
    }
    *out = e;
    return SCK_OK;
}

/* The engine of this configuration file with one reference more, or NULL; `fresh` becomes it when there is none. */
static struct sck_engine *
engine_share(const struct sck_open *how, const char *path, struct sck_engine *fresh)
{
    pthread_mutex_lock(&engines.lock);
    struct sck_engine *e = engines.first;
    while (e != NULL && strcmp(e->conf->path, path) != 0)
        e = e->next;
    if (e != NULL) {
        e->refs++;
        if (e->ask_pin == NULL) {
            e->ask_pin = how->ask_pin;
            e->ask_pin_arg = how->ask_pin_arg;
        }
    } else if (fresh != NULL) {
        e = fresh;
        e->next = engines.first;
        engines.first = e;
    }
    pthread_mutex_unlock(&engines.lock);
    return e;
}

/* Share the engine of the same configuration file, or make one.  Takes `conf` when it succeeds. */
static enum sck_code
engine_acquire(const struct sck_open *how, struct sck_conf *conf, struct sck_engine **out, struct sck_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sck_engine *fresh = NULL;
    pthread_once(&once, register_fork);
    *out = engine_share(how, conf->path, NULL);
    if (*out != NULL) {
        sck_conf_free(&conf);
        return SCK_OK;
    }
    enum sck_code rc = engine_new(how, conf, &fresh, err);
    if (rc != SCK_OK)
        return rc;
    *out = engine_share(how, conf->path, fresh);
    if (*out != fresh)
        engine_free(fresh);
    return SCK_OK;
}

static void
engine_release(struct sck_engine *e)
{
    bool last;
    /* From an exit handler after ours: the threads of its caches and keepers sleep, with all that they use. */
    if (sck_exit_is_under_way())
        return;
    pthread_mutex_lock(&engines.lock);
    last = --e->refs == 0;
    for (struct sck_engine **at = &engines.first; last && *at != NULL; at = &(*at)->next) {
        if (*at == e) {
            *at = e->next;
            break;
        }
    }
    pthread_mutex_unlock(&engines.lock);
    if (last)
        engine_free(e);
}

enum sck_code
sck_service_open(const struct sck_open *how, struct sck_service **out, struct sck_err *err)
{
    char *path = NULL;
    struct sck_conf *conf = NULL;
    struct sck_service *s = NULL;
    *out = NULL;
    enum sck_code rc = sck_conf_find(how->conf_path, &path, err);
    if (rc == SCK_OK)
        rc = sck_conf_load(path, how->use_env, &conf, err);
    if (rc == SCK_OK && how->scopes != NULL)
        rc = sck_scope_patterns_check(how->scopes, err);
    if (rc != SCK_OK)
        goto out;
    s = calloc(1, sizeof *s);
    const char *scopes = how->scopes != NULL ? how->scopes : or_null(conf->scopes);
    if (s == NULL || (scopes != NULL && (s->scopes = strdup(scopes)) == NULL)) {
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
        goto out;
    }
    s->auto_provision = how->auto_provision || conf->auto_provision;
    rc = engine_acquire(how, conf, &s->engine, err);
    if (rc == SCK_OK)
        conf = NULL;
out:
    if (rc == SCK_OK)
        *out = s;
    else if (s != NULL) {
        free(s->scopes);
        free(s);
    }
    sck_conf_free(&conf);
    free(path);
    return rc;
}

void
sck_service_close(struct sck_service **service)
{
    struct sck_service *s = *service;
    if (s == NULL)
        return;
    engine_release(s->engine);
    free(s->scopes);
    free(s);
    *service = NULL;
}

const struct sck_conf *
sck_service_conf(const struct sck_service *service)
{
    return service->engine->conf;
}

/* sck_row_key_fn: HMAC of the token's `mac` key over the catalog id (docs/formats.md). */
static enum sck_code
get_row_key(void *arg, struct sck_secret **row_key, struct sck_err *err)
{
    struct sck_engine *engine = arg;
    struct sck_buf input;
    struct sck_secret *key = NULL;
    sck_buf_init(&input, 64);
    sck_row_key_input(engine->conf->catalog_id, &input);
    enum sck_code rc = sck_buf_check(&input, "row key", err);
    if (rc == SCK_OK)
        rc = sck_secret_new(32, &key, err);
    if (rc == SCK_OK)
        rc = sck_token_hmac(engine->token, SCK_SYS_MAC, input.data, input.len, key->data, err);
    sck_buf_clear(&input);
    if (rc != SCK_OK) {
        sck_secret_free(&key);
        return rc;
    }
    atomic_store(&engine->logged_in, true);
    *row_key = key;
    return SCK_OK;
}

enum sck_code
sck_engine_catalog(struct sck_engine *engine, struct sck_catalog **out, struct sck_err *err)
{
    pthread_mutex_lock(&engine->lock);
    *out = engine->catalog;
    pthread_mutex_unlock(&engine->lock);
    if (*out != NULL)
        return SCK_OK;
    struct sck_catalog_conf conf = {
        .path = engine->conf->catalog, .row_key = get_row_key, .row_key_arg = engine};
    memcpy(conf.catalog_id, engine->conf->catalog_id, sizeof conf.catalog_id);
    struct sck_catalog *mine = NULL;
    enum sck_code rc = sck_catalog_open(&conf, &mine, err);
    if (rc != SCK_OK)
        return rc;
    pthread_mutex_lock(&engine->lock);
    if (engine->catalog == NULL) {
        engine->catalog = mine;
        mine = NULL;
    }
    *out = engine->catalog;
    pthread_mutex_unlock(&engine->lock);
    sck_catalog_close(&mine);
    return SCK_OK;
}

enum sck_keeper_kind
sck_engine_keeper_kind(const struct sck_engine *engine)
{
    static const enum sck_keeper_kind kinds[] = {SCK_KEEPER_TOKEN, SCK_KEEPER_VAULT, SCK_KEEPER_AZURE,
                                                 SCK_KEEPER_LOCAL};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(engine->conf->keeper, sck_keeper_kind_name(kinds[i])) == 0)
            return kinds[i];
    }
    return SCK_KEEPER_TOKEN;
}

enum sck_code
sck_engine_keeper(struct sck_engine *engine, enum sck_keeper_kind kind, struct sck_keeper **out, struct sck_err *err)
{
    struct sck_keeper **slot = &engine->keepers[kind];
    pthread_mutex_lock(&engine->lock);
    *out = *slot;
    pthread_mutex_unlock(&engine->lock);
    if (*out != NULL)
        return SCK_OK;
    struct sck_keeper *mine = NULL;
    enum sck_code rc = sck_open_keeper(engine->conf, kind, engine->token, &mine, err);
    if (rc != SCK_OK)
        return rc;
    pthread_mutex_lock(&engine->lock);
    if (*slot == NULL) {
        *slot = mine;
        mine = NULL;
    }
    *out = *slot;
    pthread_mutex_unlock(&engine->lock);
    if (mine != NULL)
        mine->ops->close(mine);
    return SCK_OK;
}

enum sck_code
sck_engine_login(struct sck_engine *engine, struct sck_err *err)
{
    enum sck_code rc = sck_token_login(engine->token, err);
    if (rc == SCK_OK)
        atomic_store(&engine->logged_in, true);
    return rc;
}
