/* SPDX-License-Identifier: MIT */
#include "lib/token/module.h"

#include "lib/base/fork.h"
#include "lib/token/call.h"
#include "lib/token/gate.h"
#include "lib/token/session.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Everything that is one per process.  Lock order: gate (writing), then this lock, then a token's lock; none of
 * them is held over a token call, except the gate over C_Finalize, whose whole point it is.
 */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_once_t once;
    struct sck_module *modules;
    struct sck_token *tokens;
} reg = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void
fork_prepare(void)
{
    (void)sck_gate_write_begin(-1);
    pthread_mutex_lock(&reg.lock);
    for (struct sck_token *t = reg.tokens; t != NULL; t = t->next)
        pthread_mutex_lock(&t->lock);
}

static void
fork_parent(void)
{
    for (struct sck_token *t = reg.tokens; t != NULL; t = t->next)
        pthread_mutex_unlock(&t->lock);
    pthread_mutex_unlock(&reg.lock);
    sck_gate_write_end();
}

/* Who waited or worked in the parent is not here; what was open there is not ours. */
static void
fork_child(void)
{
    for (struct sck_token *t = reg.tokens; t != NULL; t = t->next)
        sck_token_forked(t);
    for (struct sck_module *m = reg.modules; m != NULL; m = m->next) {
        m->busy = false;
        m->initialised = false;
        m->ours = false;
        m->exit_registered = false;
        atomic_fetch_add(&m->generation, 1);
    }
    reg.changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    pthread_mutex_unlock(&reg.lock);
    sck_gate_child();
}

static void
register_fork(void)
{
    (void)sck_fork_register(SCK_FORK_TOKEN, fork_prepare, fork_parent, fork_child);
}

void
sck_registry_join(struct sck_token *token)
{
    pthread_once(&reg.once, register_fork);
    pthread_mutex_lock(&reg.lock);
    token->next = reg.tokens;
    reg.tokens = token;
    pthread_mutex_unlock(&reg.lock);
}

void
sck_registry_leave(struct sck_token *token)
{
    pthread_mutex_lock(&reg.lock);
    struct sck_token **at = &reg.tokens;
    while (*at != NULL && *at != token)
        at = &(*at)->next;
    if (*at != NULL)
        *at = token->next;
    pthread_mutex_unlock(&reg.lock);
}

/* ---- loading ---- */

static enum sck_code
fail_proxy(const char *path, struct sck_err *err)
{
    return sck_fail(err, SCK_E_CONFIG,
                    "PKCS#11 module %s is p11-kit's proxy, which loads every registered module: name the token's "
                    "own module",
                    path);
}

static enum sck_code
fail_ours(const char *path, struct sck_err *err)
{
    return sck_fail(err, SCK_E_CONFIG,
                    "PKCS#11 module %s is Scopekey's own: name the module of the token that holds the keys", path);
}

static bool
is_proxy_file(const char *path)
{
    char real[PATH_MAX];
    if (realpath(path, real) == NULL)
        return strstr(path, "p11-kit-proxy") != NULL;
    const char *name = strrchr(real, '/');
    name = name == NULL ? real : name + 1;
    return strstr(path, "p11-kit-proxy") != NULL || strncmp(name, "libp11-kit.so", 13) == 0 ||
        strncmp(name, "p11-kit-proxy", 13) == 0;
}

static enum sck_code
load_functions(struct sck_module *m, struct sck_err *err)
{
    union {
        void *object;
        CK_C_GetFunctionList fn;
    } get;
    m->handle = dlopen(m->path, RTLD_NOW | RTLD_LOCAL);
    if (m->handle == NULL)
        return sck_fail(err, SCK_E_CONFIG, "PKCS#11 module %s cannot be loaded: %s: correct the path", m->path,
                        dlerror());
    if (dlsym(m->handle, "scopekey_pkcs11_marker") != NULL)
        return fail_ours(m->path, err);
    get.object = dlsym(m->handle, "C_GetFunctionList");
    if (get.object == NULL)
        return sck_fail(err, SCK_E_CONFIG, "%s is no PKCS#11 module (no C_GetFunctionList): correct the path",
                        m->path);
    Dl_info where;
    if (dladdr(get.object, &where) != 0 && where.dli_fname != NULL && is_proxy_file(where.dli_fname))
        return fail_proxy(m->path, err);
    CK_RV rv = get.fn(&m->fns);
    if (rv != CKR_OK || m->fns == NULL)
        return sck_fail_rv_as(err, SCK_E_CONFIG, rv, "C_GetFunctionList of %s", m->path);
    return SCK_OK;
}

enum sck_code
sck_module_load(const char *path, struct sck_module **out, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    struct sck_module *m = NULL;
    *out = NULL;
    if (is_proxy_file(path))
        return fail_proxy(path, err);
    pthread_mutex_lock(&reg.lock);
    for (struct sck_module *at = reg.modules; at != NULL && *out == NULL; at = at->next)
        *out = strcmp(at->path, path) == 0 ? at : NULL;
    pthread_mutex_unlock(&reg.lock);
    if (*out != NULL)
        return SCK_OK;

    m = calloc(1, sizeof *m);
    if (m == NULL || (m->path = strdup(path)) == NULL) {
        rc = sck_fail(err, SCK_E_MEMORY, "out of memory");
        goto out;
    }
    rc = load_functions(m, err);
    if (rc != SCK_OK)
        goto out;
    /* Two paths may lead to one module, whose state is one: it must be one here, too. */
    pthread_mutex_lock(&reg.lock);
    for (struct sck_module *at = reg.modules; at != NULL && *out == NULL; at = at->next)
        *out = at->fns == m->fns ? at : NULL;
    if (*out == NULL) {
        m->next = reg.modules;
        reg.modules = m;
        *out = m;
        m = NULL;
    }
    pthread_mutex_unlock(&reg.lock);
out:
    if (m != NULL) {
        free(m->path);
        free(m);
    }
    return rc;
}

/* ---- initialising ---- */

static void
become_busy(struct sck_module *m)
{
    pthread_mutex_lock(&reg.lock);
    while (m->busy)
        pthread_cond_wait(&reg.changed, &reg.lock);
    m->busy = true;
    pthread_mutex_unlock(&reg.lock);
}

static void
stop_busy(struct sck_module *m, bool initialised, bool ours)
{
    pthread_mutex_lock(&reg.lock);
    m->busy = false;
    m->initialised = initialised;
    m->ours = ours;
    pthread_cond_broadcast(&reg.changed);
    pthread_mutex_unlock(&reg.lock);
}

static unsigned long
next_generation(struct sck_module *m)
{
    (void)sck_gate_write_begin(-1);
    unsigned long now = atomic_fetch_add(&m->generation, 1) + 1;
    sck_gate_write_end();
    return now;
}

static CK_RV
initialize_with_env(struct sck_conn *c, const char *env)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    char *name = NULL, *old = NULL;
    if (env != NULL && (name = strndup(env, strcspn(env, "="))) == NULL)
        return CKR_HOST_MEMORY;
    if (name != NULL) {
        const char *was = getenv(name);
        old = was == NULL ? NULL : strdup(was);
        (void)setenv(name, env[strlen(name)] == '=' ? env + strlen(name) + 1 : "", 1);
    }
    CK_RV rv = SCK_P11(c, C_Initialize, &args);
    if (name != NULL && old != NULL)
        (void)setenv(name, old, 1);
    else if (name != NULL)
        (void)unsetenv(name);
    free(old);
    free(name);
    return rv;
}

static enum sck_code
check_info(struct sck_conn *c, struct sck_err *err)
{
    CK_INFO info;
    memset(&info, 0, sizeof info);
    CK_RV rv = SCK_P11(c, C_GetInfo, &info);
    if (rv != CKR_OK)
        return sck_fail_rv(err, rv, "C_GetInfo of %s", c->module->path);
    if (memcmp(info.manufacturerID, "Scopekey ", 9) == 0)
        return fail_ours(c->module->path, err);
    if (memcmp(info.libraryDescription, "PKCS#11 Kit Proxy", 17) == 0)
        return fail_proxy(c->module->path, err);
    return SCK_OK;
}

static bool
same_env(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static enum sck_code
initialize(struct sck_module *m, const char *env, unsigned long *generation, struct sck_err *err)
{
    bool ours = false, first = false;
    char *env_copy = env == NULL ? NULL : strdup(env);
    struct sck_conn c = sck_conn_of(m, next_generation(m));
    /* A thread of ours may be in there when the process exits: what the module registered while it was loaded waits. */
    if (!m->exit_registered)
        (void)atexit(sck_gate_exit);
    CK_RV rv = initialize_with_env(&c, env);
    ours = rv == CKR_OK;
    bool usable = ours || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
    enum sck_code rc = usable ? check_info(&c, err) : sck_fail_rv(err, rv, "initialising PKCS#11 module %s", m->path);
    if (rc != SCK_OK && ours) {
        (void)SCK_P11(&c, C_Finalize, NULL);
        usable = ours = false;
    }
    pthread_mutex_lock(&reg.lock);
    free(m->env);
    m->env = env_copy;
    first = usable && !m->exit_registered;
    m->exit_registered = m->exit_registered || first;
    pthread_mutex_unlock(&reg.lock);
    /* Handlers run last in, first out: registered now, ours runs before the destructors that the module and the
     * libraries behind it registered while they initialised. */
    if (first)
        (void)atexit(sck_gate_exit);
    *generation = c.generation;
    stop_busy(m, usable && rc == SCK_OK, ours);
    return rc;
}

enum sck_code
sck_module_ensure(struct sck_module *m, const char *env, unsigned long *generation, struct sck_err *err)
{
    enum sck_code rc = SCK_OK;
    bool done = false;
    if (sck_gate_is_exiting())
        return sck_fail_rv(err, SCK_RV_EXITING, "initialising PKCS#11 module %s", m->path);
    pthread_mutex_lock(&reg.lock);
    while (m->busy)
        pthread_cond_wait(&reg.changed, &reg.lock);
    if (m->initialised) {
        done = true;
        *generation = atomic_load(&m->generation);
        if (m->ours && m->users > 1 && !same_env(m->env, env))
            rc = sck_fail(err, SCK_E_CONFIG,
                          "PKCS#11 module %s is in use in this process with another environment: one set-up of a "
                          "module at a time",
                          m->path);
    } else {
        m->busy = true;
    }
    pthread_mutex_unlock(&reg.lock);
    return done ? rc : initialize(m, env, generation, err);
}

void
sck_module_lost(struct sck_module *m, unsigned long generation)
{
    pthread_mutex_lock(&reg.lock);
    if (!m->busy && atomic_load(&m->generation) == generation)
        m->initialised = m->ours = false;
    pthread_mutex_unlock(&reg.lock);
}

void
sck_module_shared(struct sck_module *m, unsigned long generation)
{
    pthread_mutex_lock(&reg.lock);
    if (!m->busy && atomic_load(&m->generation) == generation)
        m->ours = false;
    pthread_mutex_unlock(&reg.lock);
}

/* `busy` is ours.  No call may be in flight, and none of the old generation may come after. */
static void
finalize(struct sck_module *m)
{
    (void)sck_gate_write_begin(-1);
    struct sck_conn c = sck_conn_of(m, atomic_load(&m->generation));
    (void)SCK_P11(&c, C_Finalize, NULL);
    atomic_fetch_add(&m->generation, 1);
    sck_gate_write_end();
    stop_busy(m, false, false);
}

bool
sck_module_restart(struct sck_module *m)
{
    become_busy(m);
    pthread_mutex_lock(&reg.lock);
    bool may = m->initialised && m->ours && m->users == 1;
    bool was = m->initialised, ours = m->ours;
    pthread_mutex_unlock(&reg.lock);
    if (may)
        finalize(m);
    else
        stop_busy(m, was, ours);
    return may;
}

void
sck_module_use(struct sck_module *m)
{
    pthread_mutex_lock(&reg.lock);
    m->users++;
    pthread_mutex_unlock(&reg.lock);
}

void
sck_module_drop(struct sck_module *m)
{
    become_busy(m);
    pthread_mutex_lock(&reg.lock);
    m->users--;
    bool last = m->users == 0 && m->initialised && m->ours && !sck_gate_is_exiting();
    bool was = m->initialised, ours = m->ours;
    pthread_mutex_unlock(&reg.lock);
    if (last)
        finalize(m);
    else
        stop_busy(m, was, ours);
}
