/* SPDX-License-Identifier: MIT */
#include "tests/provider/fixture.h"

#include "lib/base/file.h"
#include "lib/service/setup.h"

#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/x509.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/scopekey-provider-XXXXXX";
static char home[64], pin_file[64];
static pid_t maker;

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

void
fx_child(enum sck_code (*fn)(struct sck_service *service, struct sck_err *err))
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sck_err err = SCK_ERR_INIT;
        struct sck_service *service = NULL;
        struct sck_open how = {.auto_provision = true};
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
        {"alice", "rsa", SCK_ALG_RSA_2048, 0},
        {"alice", "dec", SCK_ALG_RSA_2048, SCK_USAGE_DECRYPT},
        {"alice", "ed", SCK_ALG_ED25519, 0},
        {"alice", "data", SCK_ALG_AES_256, 0},
        {"alice", "iv", SCK_ALG_AES_256, SCK_USAGE_GCM_CALLER_IV},
        {"alice", "cmac", SCK_ALG_AES_256, SCK_USAGE_CMAC},
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

int
fx_start(void **state)
{
    (void)state;
    static const char pin[] = "471100\n";
    struct sck_err err = SCK_ERR_INIT;
    maker = getpid();
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(home, sizeof home, "%s/home", dir);
    (void)snprintf(pin_file, sizeof pin_file, "%s/pin.txt", dir);
    if (sck_file_create(pin_file, pin, sizeof pin - 1, 0600, &err) != SCK_OK ||
        setenv("SCOPEKEY_HOME", home, 1) != 0 || unsetenv("SCOPEKEY_CONF") != 0 || unsetenv("OPENSSL_CONF") != 0 ||
        setenv("OPENSSL_MODULES", SCK_TEST_MODULES, 1) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        make_set_up();
    if (!child_is_well(pid))
        return -1;
    fx_child(make_keys);
    return 0;
}

int
fx_stop(void **state)
{
    (void)state;
    char command[96];
    /* A child that failed comes by here too. */
    if (getpid() != maker)
        _exit(1);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

void
fx_app_default(struct fx_app *app, bool ours_first)
{
    app->providers[0] = OSSL_PROVIDER_load(app->ctx, ours_first ? "scopekey" : "default");
    app->providers[1] = OSSL_PROVIDER_load(app->ctx, ours_first ? "default" : "scopekey");
    if (app->providers[0] == NULL || app->providers[1] == NULL)
        ERR_print_errors_fp(stderr);
    assert_non_null(app->providers[0]);
    assert_non_null(app->providers[1]);
}

void
fx_app_new(struct fx_app *app, bool ours_first)
{
    app->ctx = OSSL_LIB_CTX_new();
    assert_non_null(app->ctx);
    fx_app_default(app, ours_first);
}

void
fx_app_free(struct fx_app *app)
{
    assert_int_equal(OSSL_PROVIDER_unload(app->providers[1]), 1);
    assert_int_equal(OSSL_PROVIDER_unload(app->providers[0]), 1);
    OSSL_LIB_CTX_free(app->ctx);
    app->ctx = NULL;
}

EVP_PKEY *
fx_try_load(OSSL_LIB_CTX *ctx, const char *uri)
{
    EVP_PKEY *key = NULL;
    OSSL_STORE_CTX *store = OSSL_STORE_open_ex(uri, ctx, NULL, NULL, NULL, NULL, NULL, NULL);
    while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
        OSSL_STORE_INFO *info = OSSL_STORE_load(store);
        if (info == NULL)
            break;
        if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
            key = OSSL_STORE_INFO_get1_PKEY(info);
        else if (OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PUBKEY)
            key = OSSL_STORE_INFO_get1_PUBKEY(info);
        OSSL_STORE_INFO_free(info);
    }
    OSSL_STORE_close(store);
    return key;
}

EVP_PKEY *
fx_load(OSSL_LIB_CTX *ctx, const char *uri)
{
    EVP_PKEY *key = fx_try_load(ctx, uri);
    if (key == NULL)
        ERR_print_errors_fp(stderr);
    assert_non_null(key);
    /* OSSL_STORE_open tries "file" first and may leave its errors. */
    ERR_clear_error();
    return key;
}

EVP_PKEY *
fx_public(OSSL_LIB_CTX *ctx, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    assert_true(len > 0);
    const unsigned char *p = der;
    EVP_PKEY *pub = d2i_PUBKEY_ex(NULL, &p, len, ctx, NULL);
    assert_non_null(pub);
    assert_string_equal(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(pub)), "default");
    OPENSSL_free(der);
    return pub;
}

bool
fx_sign_and_verify(OSSL_LIB_CTX *ctx, EVP_PKEY *key, EVP_PKEY *pub, const char *md, size_t len)
{
    unsigned char sig[1024];
    size_t sig_len = sizeof sig;
    unsigned char *data = malloc(len + 1);
    assert_non_null(data);
    memset(data, 'm', len + 1);
    EVP_MD_CTX *s = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
    bool ok = EVP_DigestSignInit_ex(s, NULL, md, ctx, NULL, key, NULL) == 1 &&
              EVP_DigestSign(s, sig, &sig_len, data, len) == 1 &&
              EVP_DigestVerifyInit_ex(v, NULL, md, ctx, NULL, pub, NULL) == 1 &&
              EVP_DigestVerify(v, sig, sig_len, data, len) == 1;
    EVP_MD_CTX_free(s);
    EVP_MD_CTX_free(v);
    free(data);
    return ok;
}

void
fx_expect_error(const char *reason, const char *message)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long e;
    char last[1024] = "";
    unsigned long last_e = 0;
    /* The newest one of ours: OpenSSL 3.5 puts an error of its own behind it. */
    while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        const char *lib = ERR_lib_error_string(e);
        if (lib == NULL || strcmp(lib, "scopekey") != 0)
            continue;
        last_e = e;
        (void)snprintf(last, sizeof last, "%s", data);
    }
    assert_true(last_e != 0);
    assert_non_null(ERR_reason_error_string(last_e));
    assert_string_equal(last, message);
    assert_string_equal(ERR_reason_error_string(last_e), reason);
}

void
fx_expect_no_error(void)
{
    unsigned long e = ERR_peek_error();
    if (e != 0)
        ERR_print_errors_fp(stderr);
    assert_int_equal(e, 0);
}
