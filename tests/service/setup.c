/* SPDX-License-Identifier: MIT */
/* Making a set-up, its configuration, and doctor. */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/base/file.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static enum sck_code
init_with(const struct sck_setup *setup, struct sck_err *err)
{
    char *path = NULL;
    enum sck_code rc = sck_setup_init(setup, NULL, NULL, &path, err);
    free(path);
    return rc;
}

static void
bad_pin_files_are_refused(void **state)
{
    (void)state;
    struct home h;
    char text[700];
    home_begin(&h);
    struct sck_setup setup = {.home = h.home, .pin_file = h.pin_file};
    assert_int_equal(chmod(h.pin_file, 0644), 0);
    (void)snprintf(text, sizeof text, "PIN file %s can be read by others (mode 0644): run chmod 600 on it", h.pin_file);
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_CONFIG, text);
    setup.pin_file = home_path(&h, "none");
    (void)snprintf(text, sizeof text, "cannot open PIN file %s: No such file or directory", setup.pin_file);
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_NOT_FOUND, text);
    setup.pin_file = home_file(&h, "short", "123\n", 4);
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_USAGE, "the PIN is shorter than 4 characters: choose a longer one");
    setup.pin_file = home_file(&h, "empty", "\n", 1);
    (void)snprintf(text, sizeof text, "PIN file %s is empty: put the secret on its first line", setup.pin_file);
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_CONFIG, text);
    setup.pin_file = h.dir;
    (void)snprintf(text, sizeof text, "PIN file %s is not a regular file", h.dir);
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_CONFIG, text);
    setup.pin_file = NULL;
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_USAGE, "init needs a PIN: give --pin-file FILE (made with mode 0600)");
    assert_int_equal(access(h.home, F_OK), -1);
    home_remove(&h);
}

static void
a_second_init_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct home h;
    char text[700];
    struct sck_buf before = {0};
    struct sck_buf after = {0};
    home_make(&h);
    const struct sck_setup setup = {.home = h.home, .pin_file = h.pin_file};
    EXPECT_OK(sck_file_read(h.conf, 65536, &before, &err));
    (void)snprintf(text, sizeof text,
                   "there is a set-up in %s already: choose another directory (SCOPEKEY_HOME)", h.home);
    EXPECT_FAIL(init_with(&setup, &err), SCK_E_EXISTS, text);
    EXPECT_OK(sck_file_read(h.conf, 65536, &after, &err));
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    sck_buf_clear(&before);
    sck_buf_clear(&after);
    home_remove(&h);
}

static void
of_two_inits_at_once_one_wins(void **state)
{
    (void)state;
    struct home h;
    pid_t child[2];
    int good = 0;
    home_begin(&h);
    const struct sck_setup setup = {.home = h.home, .pin_file = h.pin_file};
    for (size_t i = 0; i < 2; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            struct sck_err err = SCK_ERR_INIT;
            enum sck_code rc = init_with(&setup, &err);
            _exit(rc == SCK_OK ? 0 : rc == SCK_E_BUSY || rc == SCK_E_EXISTS ? 1 : 2);
        }
    }
    for (size_t i = 0; i < 2; i++) {
        int status = 0;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
        good += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(good, 1);
    home_remove(&h);
}

#ifdef SCK_FAULT_POINTS
static void
a_killed_init_is_finished_by_the_next(void **state)
{
    (void)state;
    static const char *const points[] = {"init.token", "init.provisioned", "init.catalog", "provision.claimed",
                                         "provision.made"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct home h;
        home_begin(&h);
        const struct sck_setup setup = {.home = h.home, .pin_file = h.pin_file};
        pid_t child = fork();
        if (child == 0) {
            struct sck_err err = SCK_ERR_INIT;
            (void)setenv("SCOPEKEY_FAULT_POINT", points[i], 1);
            (void)!init_with(&setup, &err);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(access(h.conf, F_OK), -1);
        EXPECT_OK(init_with(&setup, &err));
        struct sck_service *s = home_open(&h, NULL);
        EXPECT_OK(sck_service_start(s, &err));
        sck_service_close(&s);
        home_remove(&h);
    }
}
#endif

/* The configuration with one more line, or with one line replaced. */
static void
conf_with(const struct home *h, const char *section, const char *line)
{
    struct sck_buf conf = {0};
    struct sck_buf out;
    char head[64];
    EXPECT_OK(sck_file_read(h->conf, 65536, &conf, &err));
    sck_buf_init(&out, 65536);
    sck_buf_put(&out, conf.data, conf.len);
    (void)snprintf(head, sizeof head, "\n[%s]\n", section);
    sck_buf_put_str(&out, head);
    sck_buf_put_str(&out, line);
    sck_buf_put_str(&out, "\n");
    EXPECT_OK(sck_file_replace(home_path(h, "d/test.conf"), out.data, out.len, 0600, &err));
    sck_buf_clear(&conf);
    sck_buf_clear(&out);
}

static void
conf_refused(const struct home *h, const char *section, const char *line, const char *want)
{
    char text[800];
    struct sck_conf *conf = NULL;
    conf_with(h, section, line);
    const char *path = home_path(h, "d/test.conf");
    (void)snprintf(text, sizeof text, "%s%s", path, want);
    EXPECT_FAIL(sck_conf_load(path, false, &conf, &err), SCK_E_CONFIG, text);
    assert_null(conf);
}

static void
a_wrong_configuration_refuses_to_start(void **state)
{
    (void)state;
    struct home h;
    home_make(&h);
    conf_refused(&h, "scopekey", "colour = red", ": unknown key \"colour\" in section [scopekey]: see scopekey.conf(5)");
    conf_refused(&h, "paint", "colour = red", ": unknown section [paint]: see scopekey.conf(5)");
    conf_refused(&h, "rest", "port = 65536", ", [rest] port: \"65536\" is not a whole number from 0 to 65535");
    conf_refused(&h, "rest", "port = 08000", ", [rest] port: \"08000\" is not a whole number from 0 to 65535");
    conf_refused(&h, "token", "insecure_master = yes",
                 ", [token] insecure_master: \"yes\" is neither true nor false");
    conf_refused(&h, "scopekey", "keeper = cloud", ", [scopekey] keeper: \"cloud\" is none of token|vault|azure|local");
    conf_refused(&h, "scopekey", "keeper = vault", ": keeper = vault needs url and token_file in [keeper vault]");
    conf_refused(&h, "scopekey", "keeper = vault\n[keeper vault]\nurl = https://v",
                 ": keeper = vault needs url and token_file in [keeper vault]");
    conf_refused(&h, "scopekey", "key_prefix = Big",
                 ": [scopekey] key_prefix \"Big\": use a-z, then up to 23 of a-z and 0-9");
    conf_refused(&h, "scopekey", "catalog_id = 12",
                 ", [scopekey] catalog_id: \"12\" is no UUID; take the one that `scopekey init` wrote");
    home_remove(&h);
}

/* What each way to a token needs and has no use for. */
static void
a_wrong_way_to_a_token_refuses_to_start(void **state)
{
    (void)state;
    static const struct { const char *lines, *want; } cases[] = {
        {"token_file = a\ntoken_fd = 3", "auth = token needs exactly one of token_file, token_fd or token_credential"},
        {"token_file = a\nrole_id = r", "auth = token has no use for role_id"},
        {"token_file = a\nauth_mount = m\njwt_file = j", "auth = token has no use for auth_mount and jwt_file"},
        {"auth = agent", "auth = agent needs token_file"},
        {"auth = agent\ntoken_fd = 3", "auth = agent has no use for token_fd"},
        {"auth = approle", "auth = approle needs exactly one of role_id or role_id_file"},
        {"auth = approle\nrole_id = r\nrole_id_file = f", "auth = approle needs exactly one of role_id or role_id_file"},
        {"auth = approle\nrole_id = r\nsecret_id_wrapped = true",
         "auth = approle with secret_id_wrapped needs auth_role and secret_id_file"},
        {"auth = kubernetes", "auth = kubernetes needs auth_role"},
        {"auth = jwt", "auth = jwt needs jwt_file"},
        {"auth = jwt\njwt_file = j\nsecret_id_file = s", "auth = jwt has no use for secret_id_file"},
        {"auth = cert", "auth = cert needs client_cert_file and client_key_file"},
        {"auth = cert\nclient_cert_file = c", "auth = cert needs client_key_file"},
        {"token_file = a\nclient_key_file = k",
         "auth = token with one half of a client certificate needs client_cert_file"},
        {"token_file = a\nadmin_auth = approle", "admin_auth = approle needs exactly one of admin_role_id or admin_role_id_file"},
        {"token_file = a\nadmin_auth = cert", "admin_auth = cert needs admin_client_cert_file and admin_client_key_file"},
        {"token_file = a\nadmin_role_id = r", "admin_auth = token has no use for admin_role_id"},
        {"token_file = a\nadmin_auth_namespace = n",
         "admin_auth = token needs exactly one of admin_token_file, admin_token_fd or admin_token_credential"},
    };
    char line[512], want[512];
    struct home h;
    home_make(&h);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(line, sizeof line, "keeper = vault\n[keeper vault]\nurl = https://v\n%s", cases[i].lines);
        (void)snprintf(want, sizeof want, ", [keeper vault]: %s", cases[i].want);
        conf_refused(&h, "scopekey", line, want);
    }
    conf_refused(&h, "keeper vault", "auth = aws", ", [keeper vault] auth: \"aws\" is none of "
                 "token|agent|approle|kubernetes|jwt|cert");
    home_remove(&h);
}

static void
vault_takes_its_variables(void **state)
{
    (void)state;
    struct home h;
    struct sck_conf *conf = NULL;
    home_make(&h);
    conf_with(&h, "scopekey", "keeper = vault");
    const char *path = home_path(&h, "d/test.conf");
    (void)setenv("VAULT_ADDR", "https://a", 1);
    (void)setenv("VAULT_TOKEN", "s.x", 1);
    (void)setenv("VAULT_SKIP_VERIFY", "1", 1);
    (void)setenv("BAO_NAMESPACE", "team", 1);
    (void)setenv("VAULT_NAMESPACE", "other", 1);
    (void)setenv("BAO_CACERT", "/ca.pem", 1);
    (void)setenv("VAULT_CLIENT_CERT", "/c.pem", 1);
    (void)setenv("BAO_CLIENT_KEY", "/k.pem", 1);
    EXPECT_OK(sck_conf_load(path, true, &conf, &err));
    assert_string_equal(conf->vault_url, "https://a");
    assert_string_equal(conf->vault_namespace, "team");
    assert_string_equal(conf->vault_ca_file, "/ca.pem");
    assert_string_equal(conf->vault_data.client_cert_file, "/c.pem");
    assert_string_equal(conf->vault_data.client_key_file, "/k.pem");
    assert_true(conf->vault_insecure_skip_verify);
    assert_string_equal(sck_conf_vault_token_env(conf), "VAULT_TOKEN");
    sck_conf_free(&conf);
    (void)setenv("BAO_TOKEN", "s.y", 1);
    (void)setenv("BAO_SKIP_VERIFY", "0", 1);
    EXPECT_OK(sck_conf_load(path, true, &conf, &err));
    assert_string_equal(sck_conf_vault_token_env(conf), "BAO_TOKEN");
    assert_false(conf->vault_insecure_skip_verify);
    sck_conf_free(&conf);
    /* Inside other people's processes they count for nothing. */
    char want[512];
    (void)snprintf(want, sizeof want, "%s: keeper = vault needs url and token_file in [keeper vault]", path);
    EXPECT_FAIL(sck_conf_load(path, false, &conf, &err), SCK_E_CONFIG, want);
    static const char *const names[] = {"VAULT_ADDR", "VAULT_TOKEN", "VAULT_SKIP_VERIFY", "BAO_NAMESPACE",
                                        "VAULT_NAMESPACE", "BAO_CACERT", "VAULT_CLIENT_CERT", "BAO_CLIENT_KEY",
                                        "BAO_TOKEN", "BAO_SKIP_VERIFY"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unsetenv(names[i]);
    home_remove(&h);
}

static void
keeper_local_is_refused_in_production(void **state)
{
    (void)state;
    struct home h;
    char *path = NULL;
    home_begin(&h);
    struct sck_setup setup = {.home = h.home, .pin_file = h.pin_file, .keeper = "local", .environment = "production"};
    EXPECT_FAIL(sck_setup_init(&setup, NULL, NULL, &path, &err), SCK_E_CONFIG,
                "keeper local is for development: choose keeper token, vault or azure for environment production");
    assert_int_equal(access(h.home, F_OK), -1);
    setup.environment = "development";
    EXPECT_OK(sck_setup_init(&setup, NULL, NULL, &path, &err));
    free(path);
    struct sck_buf conf = {0};
    EXPECT_OK(sck_file_read(h.conf, 65536, &conf, &err));
    const char was[] = "environment = \"development\"", now[] = "environment = \"production\" ";
    char *at = memmem(conf.data, conf.len, was, sizeof was - 1);
    assert_non_null(at);
    memcpy(at, now, sizeof was - 1);
    struct sck_conf *loaded = NULL;
    char want[800];
    EXPECT_OK(sck_file_replace(h.conf, conf.data, conf.len, 0600, &err));
    sck_buf_clear(&conf);
    (void)snprintf(want, sizeof want, "%s: keeper = local is for development, and environment is production: choose keeper "
                   "token, vault or azure", h.conf);
    EXPECT_FAIL(sck_conf_load(h.conf, false, &loaded, &err), SCK_E_CONFIG, want);
    home_remove(&h);
}

static void
variables_win_over_the_file(void **state)
{
    (void)state;
    struct home h;
    struct sck_conf *conf = NULL;
    home_make(&h);
    (void)setenv("PORT", "9001", 1);
    (void)setenv("ENCRYPTION_CHUNK_SIZE_MB", "5", 1);
    EXPECT_OK(sck_conf_load(h.conf, true, &conf, &err));
    assert_int_equal(conf->rest_port, 9001);
    assert_int_equal(conf->files_chunk_bytes, 5 * 1024 * 1024);
    sck_conf_free(&conf);
    EXPECT_OK(sck_conf_load(h.conf, false, &conf, &err));
    assert_int_equal(conf->rest_port, 8000);
    assert_int_equal(conf->files_chunk_bytes, 262144);
    sck_conf_free(&conf);
    (void)unsetenv("PORT");
    (void)setenv("KEY_VAULT_MODE", "LOCAL", 1);
    (void)setenv("KEY_VAULT_LOCAL_PATH", "elsewhere", 1);
    EXPECT_OK(sck_conf_load(h.conf, true, &conf, &err));
    assert_string_equal(conf->keeper, "local");
    assert_string_equal(conf->local_path, home_path(&h, "d/elsewhere"));
    sck_conf_free(&conf);
    (void)unsetenv("KEY_VAULT_MODE");
    (void)unsetenv("KEY_VAULT_LOCAL_PATH");
    (void)setenv("PORT", "70000", 1);
    EXPECT_FAIL(sck_conf_load(h.conf, true, &conf, &err), SCK_E_CONFIG,
                "environment variable PORT: \"70000\" is not a whole number from 0 to 65535");
    (void)unsetenv("PORT");
    (void)setenv("ENCRYPTION_CHUNK_SIZE_MB", "65", 1);
    EXPECT_FAIL(sck_conf_load(h.conf, true, &conf, &err), SCK_E_CONFIG,
                "environment variable ENCRYPTION_CHUNK_SIZE_MB: \"65\" is not a whole number from 1 to 64");
    (void)unsetenv("ENCRYPTION_CHUNK_SIZE_MB");
    home_remove(&h);
}

struct findings {
    size_t good;
    size_t bad;
    char first[512];
};

static void
note(void *arg, const char *area, const char *what, const char *cure)
{
    struct findings *f = arg;
    if (cure == NULL) {
        f->good++;
    } else if (f->bad++ == 0) {
        (void)snprintf(f->first, sizeof f->first, "%s: %s", area, what);
    }
}

static enum sck_code
examine(const struct home *h, struct findings *f)
{
    const struct sck_open how = {.conf_path = h->conf};
    struct sck_err err = SCK_ERR_INIT;
    *f = (struct findings){0};
    return sck_doctor(&how, note, f, &err);
}

static void
doctor_names_each_problem(void **state)
{
    (void)state;
    struct home h;
    struct findings f;
    char path[512];
    home_make(&h);
    assert_int_equal(examine(&h, &f), SCK_OK);
    assert_int_equal(f.bad, 0);
    assert_true(f.good > 10);
    (void)snprintf(path, sizeof path, "%s/catalog.db", h.home);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(examine(&h, &f), SCK_E_CONFIG);
    assert_non_null(strstr(f.first, "catalog.db has mode 0644"));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chmod(h.pin_file, 0640), 0);
    assert_int_equal(examine(&h, &f), SCK_E_CONFIG);
    assert_non_null(strstr(f.first, "pin.txt has mode 0640"));
    assert_int_equal(chmod(h.pin_file, 0600), 0);
    (void)snprintf(path, sizeof path, "%s/catalog.pem", h.home);
    assert_int_equal(rename(path, home_path(&h, "away")), 0);
    assert_int_equal(examine(&h, &f), SCK_E_INTEGRITY);
    assert_string_equal(f.first, "catalog: catalog.pem is not the token's catalog key");
    home_remove(&h);
}

static void
the_pin_may_come_from_a_descriptor(void **state)
{
    (void)state;
    struct home h;
    char line[64];
    int ends[2];
    home_make(&h);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "73512846\n", 9), 9);
    assert_int_equal(close(ends[1]), 0);
    (void)snprintf(line, sizeof line, "pin_file =\npin_fd = %d", ends[0]);
    conf_with(&h, "token", line);
    const struct sck_open how = {.conf_path = home_path(&h, "d/test.conf")};
    struct sck_service *s = NULL;
    EXPECT_OK(sck_service_open(&how, &s, &err));
    EXPECT_OK(sck_service_start(s, &err));
    sck_service_close(&s);
    (void)close(ends[0]);
    home_remove(&h);
}

static enum sck_code
give_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    int *asked = arg;
    (*asked)++;
    return again ? sck_fail(err, SCK_E_CREDENTIAL, "asked again") : sck_secret_from("73512846", 8, pin, err);
}

static void
the_application_is_asked_before_the_terminal(void **state)
{
    (void)state;
    struct home h;
    int asked = 0;
    home_make(&h);
    conf_with(&h, "token", "pin_file =\npin_prompt = true");
    const struct sck_open how = {
        .conf_path = home_path(&h, "d/test.conf"), .ask_pin = give_pin, .ask_pin_arg = &asked};
    struct sck_service *s = NULL;
    EXPECT_OK(sck_service_open(&how, &s, &err));
    EXPECT_OK(sck_service_start(s, &err));
    assert_int_equal(asked, 1);
    sck_service_close(&s);
    home_remove(&h);
}

static void
a_wrong_pin_is_a_credential_error(void **state)
{
    (void)state;
    struct home h;
    home_make(&h);
    (void)home_file(&h, "pin.txt", "00000000\n", 9);
    struct sck_service *s = home_open(&h, NULL);
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_service_start(s, &err), SCK_E_CREDENTIAL);
    sck_service_close(&s);
    home_remove(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_pin_files_are_refused),
        cmocka_unit_test(a_second_init_is_refused_and_changes_nothing),
        cmocka_unit_test(of_two_inits_at_once_one_wins),
#ifdef SCK_FAULT_POINTS
        cmocka_unit_test(a_killed_init_is_finished_by_the_next),
#endif
        cmocka_unit_test(a_wrong_configuration_refuses_to_start),
        cmocka_unit_test(a_wrong_way_to_a_token_refuses_to_start),
        cmocka_unit_test(vault_takes_its_variables),
        cmocka_unit_test(keeper_local_is_refused_in_production),
        cmocka_unit_test(variables_win_over_the_file),
        cmocka_unit_test(doctor_names_each_problem),
        cmocka_unit_test(the_pin_may_come_from_a_descriptor),
        cmocka_unit_test(the_application_is_asked_before_the_terminal),
        cmocka_unit_test(a_wrong_pin_is_a_credential_error),
    };
    return cmocka_run_group_tests_name("service/setup", tests, NULL, NULL);
}
