/* SPDX-License-Identifier: MIT */
#include "tests/pkcs11/fixture.h"

#include "lib/base/file.h"
#include "lib/service/setup.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

CK_FUNCTION_LIST *F;

static char dir[] = "/tmp/scopekey-pkcs11-XXXXXX";
static char home[64], conf[96], pin_file[64];

const char *
fx_home(void)
{
    return home;
}
const char *
fx_conf(void)
{
    return conf;
}

static void
finish_child(enum sck_code code, const struct sck_err *err)
{
    if (code != SCK_OK)
        (void)fprintf(stderr, "child: %s: %s\n", sck_code_name(code), err->message);
    _exit(code == SCK_OK ? 0 : 1);
}

static bool
child_is_well(pid_t pid)
{
    int status = 0;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void fx_child(enum sck_code (*fn)(struct sck_service *service, struct sck_err *err))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_service *service = NULL;
        struct sck_open how = {.conf_path = conf, .auto_provision = true};
        enum sck_code code = sck_service_open(&how, &service, &err);
        if (code == SCK_OK)
            code = fn(service, &err);
        sck_service_close(&service);
        finish_child(code, &err);
    }
    assert_true(child_is_well(pid));
}

static enum sck_code
make_keys(struct sck_service *service, struct sck_err *err)
{
    static const struct {
        const char *subject, *name;
        enum sck_alg alg;
        enum sck_usage usage;
    } keys[] = {
        {"alice", "tls", SCK_ALG_EC_P256, 0},
        {"alice", "p384", SCK_ALG_EC_P384, 0},
        {"alice", "p521", SCK_ALG_EC_P521, 0},
        {"alice", "rsa", SCK_ALG_RSA_2048, 0},
        {"alice", "dec", SCK_ALG_RSA_2048, SCK_USAGE_DECRYPT},
        {"alice", "any", SCK_ALG_RSA_2048, SCK_USAGE_ANY},
        {"alice", "ed", SCK_ALG_ED25519, 0},
        {"alice", "data", SCK_ALG_AES_256, 0},
        {"alice", "iv", SCK_ALG_AES_256, SCK_USAGE_GCM_CALLER_IV},
        {"bob", "tls", SCK_ALG_EC_P256, 0},
    };
    enum sck_code code = SCK_OK;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && code == SCK_OK; i++) {
        struct sck_scope scope;
        struct sck_key_info info;
        struct sck_key_spec spec = {.alg = keys[i].alg, .usage = keys[i].usage};
        code = sck_scope_make(SCK_SCOPE_SUBJECT, keys[i].subject, strlen(keys[i].subject), &scope, err);
        if (code == SCK_OK)
            code = sck_key_create(service, &scope, keys[i].name, &spec, &info, err);
    }
    return code;
}

static void
make_set_up(void)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_setup setup = {.home = home, .pin_file = pin_file};
    char *path = NULL;
    enum sck_code code = sck_setup_init(&setup, NULL, NULL, &path, &err);
    free(path);
    finish_child(code, &err);
}

static int
load(void)
{
    void *module = dlopen(SCK_TEST_MODULE, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        (void)fprintf(stderr, "%s\n", dlerror());
        return -1;
    }
    CK_C_GetFunctionList get;
    *(void **)(void *)&get = dlsym(module, "C_GetFunctionList");
    return get != NULL && get(&F) == CKR_OK ? 0 : -1;
}

int
fx_start(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(home, sizeof home, "%s/home", dir);
    (void)snprintf(conf, sizeof conf, "%s/scopekey.conf", home);
    (void)snprintf(pin_file, sizeof pin_file, "%s/pin.txt", dir);
    struct sck_err err = SCK_ERR_INIT;
    if (sck_file_create(pin_file, FX_PIN "\n", PIN_LEN + 1, 0600, &err) != SCK_OK ||
        setenv("SCOPEKEY_HOME", home, 1) != 0 || unsetenv("SCOPEKEY_CONF") != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        make_set_up();
    if (!child_is_well(pid))
        return -1;
    fx_child(make_keys);
    return load();
}

int
fx_stop(void **state)
{
    (void)state;
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

int
fx_init(void **state)
{
    (void)state;
    return F->C_Initialize(NULL) == CKR_OK ? 0 : -1;
}

int
fx_fini(void **state)
{
    (void)state;
    return F->C_Finalize(NULL) == CKR_OK ? 0 : -1;
}

CK_SESSION_HANDLE
fx_session(bool login)
{
    CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
    assert_rv(F->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
    if (login) {
        CK_RV rv = F->C_Login(session, CKU_USER, PIN, PIN_LEN);
        assert_true(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN);
    }
    return session;
}

size_t
fx_find_all(CK_SESSION_HANDLE session, CK_ATTRIBUTE *templ, CK_ULONG count, CK_OBJECT_HANDLE *out, size_t room)
{
    size_t all = 0;
    CK_ULONG got = 0;
    assert_rv(F->C_FindObjectsInit(session, templ, count), CKR_OK);
    do {
        assert_rv(F->C_FindObjects(session, out + all, room - all < 3 ? room - all : 3, &got), CKR_OK);
        all += got;
    } while (got != 0 && all < room);
    assert_rv(F->C_FindObjectsFinal(session), CKR_OK);
    return all;
}

CK_OBJECT_HANDLE
fx_find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class_, const char *label)
{
    CK_ATTRIBUTE templ[] = {{CKA_CLASS, &class_, sizeof class_},
                            {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CK_OBJECT_HANDLE found[2] = {CK_INVALID_HANDLE, CK_INVALID_HANDLE};
    size_t n = fx_find_all(session, templ, 2, found, 2);
    assert_true(n <= 1);
    return found[0];
}

size_t
fx_attr(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *out, size_t room)
{
    CK_ATTRIBUTE a = {type, out, room};
    assert_rv(F->C_GetAttributeValue(session, object, &a, 1), CKR_OK);
    return a.ulValueLen;
}
