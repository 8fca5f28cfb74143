/* SPDX-License-Identifier: MIT */
/* Epochs, backups and restorations: the erased stay erased, the living open, and a crash anywhere is gone on from. */
#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/base/crypto.h"
#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/service/kekepoch.h"

#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct home home;
static struct sck_service *svc;

static int
set_up(void **state)
{
    (void)state;
    home_make(&home);
    svc = home_open(&home, NULL);
    assert_int_equal(mkdir(home_path(&home, "b"), 0700), 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sck_service_close(&svc);
    home_remove(&home);
    return 0;
}

static void
reopen(void)
{
    sck_service_close(&svc);
    svc = home_open(&home, NULL);
}

static struct sck_key_info
make(const char *subject, const char *name, enum sck_alg alg)
{
    struct sck_scope scope = scope_of(subject);
    struct sck_key_spec spec = {.alg = alg};
    struct sck_key_info info;
    EXPECT_OK(sck_key_create(svc, &scope, name, &spec, &info, &err));
    return info;
}

static enum sck_code
use(const struct sck_key_info *key, struct sck_err *err)
{
    struct sck_ukey *open = NULL;
    uint8_t digest[32] = {1}, sig[128];
    size_t len = 0;
    enum sck_code rc = sck_ukey_open(svc, key, &open, err);
    if (rc == SCK_OK)
        rc = sck_ukey_sign(open, SCK_SIGN_ECDSA, NULL, digest, 32, sig, sizeof sig, &len, err);
    sck_ukey_unref(&open);
    return rc;
}

static json_t *
erase(const char *subject)
{
    struct sck_scope scope = scope_of(subject);
    struct sck_buf receipt;
    sck_buf_init(&receipt, 65536);
    EXPECT_OK(sck_erase(svc, &scope, NULL, NULL, &receipt, &err));
    json_t *o = json_loadb((const char *)receipt.data, receipt.len, 0, NULL);
    assert_non_null(o);
    sck_buf_clear(&receipt);
    return o;
}

static void
expect_signed(const json_t *receipt)
{
    struct sck_buf sig, spki;
    json_t *o = json_deep_copy(receipt);
    char *b64 = strdup(json_string_value(json_object_get(o, "signature")));
    sck_buf_init(&sig, 256);
    sck_buf_init(&spki, 1024);
    assert_true(sck_base64_parse(b64, strlen(b64), &sig));
    json_object_del(o, "signature");
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    EXPECT_OK(sck_pem_read_spki(home_path(&home, "d/receipt.pem"), &spki, &err));
    EXPECT_OK(sck_ecdsa_verify(spki.data, spki.len, (const uint8_t *)text, strlen(text), sig.data, sig.len, &err));
    free(text);
    free(b64);
    json_decref(o);
    sck_buf_clear(&sig);
    sck_buf_clear(&spki);
}

static const char *
text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

struct seen {
    char text[512];
};

static enum sck_code
see_epoch(void *arg, const struct sck_epoch_info *e, struct sck_err *err)
{
    struct seen *seen = arg;
    (void)err;
    (void)snprintf(seen->text + strlen(seen->text), sizeof seen->text - strlen(seen->text), "%u %s%s; ", e->number,
                   e->state, e->due_s != 0 ? " due" : e->awaited[0] != '\0' ? " awaits" : "");
    return SCK_OK;
}

static void
expect_epochs(const char *want)
{
    struct seen seen = {""};
    EXPECT_OK(sck_epoch_each(svc, see_epoch, &seen, &err));
    assert_string_equal(seen.text, want);
}

static struct sck_backup_info
back_up(bool confirm)
{
    struct sck_backup_info info;
    EXPECT_OK(sck_backup_make(svc, home_path(&home, "b"), &info, &err));
    assert_string_equal(info.state, "made");
    if (confirm) {
        EXPECT_OK(sck_backup_confirm(svc, info.id, NULL, &info, &err));
        assert_string_equal(info.state, "confirmed");
    }
    return info;
}

static void
rotate(void)
{
    EXPECT_OK(sck_epoch_rotate(svc, NULL, NULL, &err));
}

static void
retire_at_once(void)
{
    svc->engine->conf->retire_epoch_days = 0;
    EXPECT_OK(sck_epoch_retire(svc, NULL, NULL, &err));
}

/* Close, put the copy in place, open again. */
static void
restore(const char *file)
{
    char aside[4096];
    struct stat st;
    reopen();
    EXPECT_OK(sck_restore(svc, file, aside, &err));
    assert_int_equal(stat(aside, &st), 0);
    assert_int_equal(unlink(aside), 0);
    reopen();
}

/* ---- epochs ---- */

static void
what_an_epoch_waits_for(void **state)
{
    (void)state;
    struct sck_key_info bob = make("subject/bob", "tls", SCK_ALG_EC_P256);
    expect_epochs("1 current; ");
    rotate();
    expect_epochs("1 waiting awaits; 2 current; ");
    EXPECT_OK(use(&bob, &err));
    /* A copy that was not read back, and one made before the rotation, do not count. */
    struct sck_backup_info copy = back_up(false);
    assert_int_equal(copy.epoch, 2);
    expect_epochs("1 waiting awaits; 2 current; ");
    EXPECT_OK(sck_backup_confirm(svc, copy.id, NULL, &copy, &err));
    expect_epochs("1 waiting due; 2 current; ");
    /* The horizon is not over. */
    EXPECT_OK(sck_epoch_retire(svc, NULL, NULL, &err));
    expect_epochs("1 waiting due; 2 current; ");
    EXPECT_OK(sck_backup_forget(svc, copy.id, &err));
    expect_epochs("1 waiting awaits; 2 current; ");
    retire_at_once();
    expect_epochs("1 waiting awaits; 2 current; ");
    (void)back_up(true);
    retire_at_once();
    expect_epochs("2 current; ");
    reopen();
    EXPECT_OK(use(&bob, &err));
    EXPECT_OK(sck_token_verify(svc->engine->token, NULL, NULL, &err));
}

static void
a_scheduled_erasure_becomes_complete(void **state)
{
    (void)state;
    struct sck_key_info bob = make("subject/bob", "tls2", SCK_ALG_EC_P256);
    (void)make("subject/alice", "tls", SCK_ALG_EC_P256);
    json_t *first = erase("subject/alice");
    assert_string_equal(text_of(first, "status"), "scheduled");
    assert_int_equal(json_integer_value(json_object_get(first, "epoch")), 2);
    assert_string_equal(text_of(json_array_get(json_object_get(first, "keks"), 0), "keeper"), "token");
    expect_signed(first);
    rotate();
    (void)back_up(true);
    json_t *same = erase("subject/alice");
    assert_string_equal(text_of(same, "id"), text_of(first, "id"));
    retire_at_once();
    expect_epochs("3 current; ");
    json_t *last = erase("subject/alice");
    assert_string_equal(text_of(last, "status"), "complete");
    assert_null(json_object_get(last, "effective_when"));
    const json_t *before = json_object_get(last, "replaces");
    assert_string_equal(text_of(before, "id"), text_of(first, "id"));
    assert_string_equal(text_of(before, "status"), "scheduled");
    expect_signed(last);
    char name[128];
    struct stat st;
    (void)snprintf(name, sizeof name, "d/receipts/%s.json", text_of(last, "id"));
    assert_int_equal(stat(home_path(&home, name), &st), 0);
    EXPECT_OK(use(&bob, &err));
    json_decref(first);
    json_decref(same);
    json_decref(last);
}

static void
a_record_of_before_is_not_stored(void **state)
{
    (void)state;
    struct sck_catalog *catalog = NULL;
    struct sck_kek_rec kek = {.owner_id = 1, .serial = 99, .keeper = SCK_KEEPER_TOKEN};
    bool stale = true;
    EXPECT_OK(sck_engine_catalog(svc->engine, &catalog, &err));
    sck_buf_init(&kek.record, 256);
    EXPECT_OK(sck_token_kek_make(svc->engine->token, "n", 1, &kek.record, &err));
    EXPECT_OK(sck_epoch_is_stale(catalog, &kek, &stale, &err));
    assert_false(stale);
    rotate();
    EXPECT_OK(sck_epoch_is_stale(catalog, &kek, &stale, &err));
    assert_true(stale);
    EXPECT_OK(sck_catalog_begin(catalog, &err));
    EXPECT_FAIL(sck_epoch_admit(svc->engine, catalog, &kek, &err), SCK_E_BUSY,
                "the epoch was rotated meanwhile: try again");
    sck_catalog_rollback(catalog);
    sck_buf_clear(&kek.record);
}

static void
an_epoch_key_seals_so_many_records(void **state)
{
    (void)state;
    struct sck_catalog *catalog = NULL;
    struct sck_scope carol = scope_of("subject/carol");
    struct sck_owner_info info;
    EXPECT_OK(sck_engine_catalog(svc->engine, &catalog, &err));
    struct sck_epoch_rec epoch = {.number = 4};
    EXPECT_OK(sck_catalog_get(catalog, SCK_BY_EPOCH, &epoch, &err));
    /* The record that was just refused was counted by nobody. */
    int64_t before = epoch.messages;
    EXPECT_OK(sck_owner_create(svc, &carol, false, &info, &err));
    EXPECT_OK(sck_catalog_get(catalog, SCK_BY_EPOCH, &epoch, &err));
    assert_int_equal(epoch.messages, before + 1);
    epoch.messages = INT64_C(1) << 32;
    EXPECT_OK(sck_catalog_update(catalog, SCK_TABLE_EPOCHS, &epoch, &err));
    carol = scope_of("subject/carla");
    EXPECT_FAIL(sck_owner_create(svc, &carol, false, &info, &err), SCK_E_STATE,
                "epoch key 4 has sealed 2^32 records, the limit of GCM: run `scopekey rotate --epoch`");
    rotate();
    EXPECT_OK(sck_owner_create(svc, &carol, false, &info, &err));
}

/* Subjects are made by two processes while a third rotates: none is left under an epoch that can be destroyed. */
static void
provisioning_meets_rotation(void **state)
{
    (void)state;
    pid_t pids[2];
    char text[64];
    struct sck_owner_info info;
    for (int p = 0; p < 2; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            struct sck_service *s = home_open(&home, NULL);
            for (int i = 0; i < 25; i++) {
                struct sck_err err = SCK_ERR_INIT;
                (void)snprintf(text, sizeof text, "subject/p%d-%d", p, i);
                struct sck_scope scope = scope_of(text);
                if (sck_owner_create(s, &scope, false, &info, &err) != SCK_OK) {
                    fprintf(stderr, "%s: %s\n", text, err.message);
                    _exit(1);
                }
            }
            _exit(0);
        }
    }
    for (int i = 0; i < 3; i++)
        rotate();
    for (int p = 0; p < 2; p++) {
        int status = 1;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
    (void)back_up(true);
    retire_at_once();
    expect_epochs("8 current; ");
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < 25; i += 6) {
            (void)snprintf(text, sizeof text, "subject/p%d-%d", p, i);
            struct sck_key_info key = make(text, "k", SCK_ALG_EC_P256);
            EXPECT_OK(use(&key, &err));
        }
    }
}

/* ---- backups ---- */

static enum sck_code
count_backup(void *arg, const struct sck_backup_info *b, struct sck_err *err)
{
    (void)b;
    (void)err;
    ++*(int *)arg;
    return SCK_OK;
}

static int
backups(void)
{
    int count = 0;
    EXPECT_OK(sck_backup_each(svc, count_backup, &count, &err));
    return count;
}

static void
what_is_no_good_copy_is_not_confirmed(void **state)
{
    (void)state;
    char text[5000], json[4200], other[4200];
    struct sck_buf bytes = {0};
    struct sck_backup_info info, out;
    const char *name = home_path(&home, "mine.db");
    EXPECT_OK(sck_backup_make(svc, name, &info, &err));
    assert_string_equal(strrchr(info.path, '/'), "/mine.db");
    struct stat st;
    assert_int_equal(stat(info.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, info.size);
    (void)snprintf(text, sizeof text, "%s is there already: choose another name", info.path);
    EXPECT_FAIL(sck_backup_make(svc, info.path, &out, &err), SCK_E_EXISTS, text);
    (void)snprintf(json, sizeof json, "%s.json", info.path);
    EXPECT_OK(sck_file_read(info.path, 64 << 20, &bytes, &err));
    bytes.data[bytes.len - 1] ^= 1;
    (void)snprintf(other, sizeof other, "%s", home_file(&home, "mine.db", bytes.data, bytes.len));
    (void)snprintf(text, sizeof text, "%s is not what was copied: it was altered or cut", info.path);
    EXPECT_FAIL(sck_backup_confirm(svc, info.id, NULL, &out, &err), SCK_E_AUTHENTIC, text);
    bytes.data[bytes.len - 1] ^= 1;
    (void)home_file(&home, "mine.db", bytes.data, bytes.len - 4096);
    EXPECT_FAIL(sck_backup_confirm(svc, info.id, NULL, &out, &err), SCK_E_AUTHENTIC, text);
    /* Somewhere else, and whole. */
    (void)home_file(&home, "moved.db", bytes.data, bytes.len);
    sck_buf_clear(&bytes);
    EXPECT_OK(sck_file_read(json, 65536, &bytes, &err));
    (void)snprintf(other, sizeof other, "%s", home_file(&home, "moved.db.json", bytes.data, bytes.len));
    EXPECT_OK(sck_backup_confirm(svc, info.id, home_path(&home, "moved.db"), &out, &err));
    /* A manifest that somebody edited. */
    char *at = strstr(sck_buf_str(&bytes), "\"epoch\": ");
    assert_non_null(at);
    at[9] = '9';
    (void)home_file(&home, "moved.db.json", bytes.data, bytes.len);
    (void)snprintf(text, sizeof text, "%s was altered: its MAC is not the token's", other);
    EXPECT_FAIL(sck_backup_confirm(svc, info.id, home_path(&home, "moved.db"), &out, &err), SCK_E_AUTHENTIC, text);
    (void)unlink(other);
    (void)snprintf(text, sizeof text, "there is no manifest %s: it was written beside the copy", other);
    EXPECT_FAIL(sck_backup_confirm(svc, info.id, home_path(&home, "moved.db"), &out, &err), SCK_E_NOT_FOUND, text);
    /* Of another backup. */
    struct sck_backup_info second = back_up(false);
    (void)snprintf(text, sizeof text, "%s is another backup", second.path);
    EXPECT_FAIL(sck_backup_confirm(svc, info.id, second.path, &out, &err), SCK_E_USAGE, text);
    uint8_t nobody[16] = {0};
    EXPECT_FAIL(sck_backup_forget(svc, nobody, &err), SCK_E_NOT_FOUND,
                "there is no backup 00000000-0000-0000-0000-000000000000: see `scopekey backup list`");
    int before = backups();
    EXPECT_OK(sck_backup_forget(svc, info.id, &err));
    assert_int_equal(backups(), before - 1);
    sck_buf_clear(&bytes);
}

/* ---- restorations ---- */

static void
within_the_horizon_the_living_open_and_the_erased_do_not(void **state)
{
    (void)state;
    struct sck_key_info bob = make("subject/bob", "h", SCK_ALG_EC_P256);
    struct sck_key_info dora = make("subject/dora", "h", SCK_ALG_EC_P256);
    struct sck_key_info gcm = make("subject/bob", "g", SCK_ALG_AES_256);
    struct sck_backup_info copy = back_up(true);
    struct sck_key_info later = make("subject/later", "h", SCK_ALG_EC_P256);
    json_decref(erase("subject/dora"));
    json_decref(erase("subject/later"));
    rotate();
    restore(copy.path);
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(sck_resume(svc, &why), SCK_E_INTEGRITY);
    assert_non_null(strstr(why.message, "the catalog was set back to before an erasure"));
    sck_err_clear(&why);
    assert_int_equal(use(&dora, &why), SCK_E_INTEGRITY);
    sck_err_clear(&why);
    assert_int_equal(use(&bob, &why), SCK_E_INTEGRITY);
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    EXPECT_OK(sck_resume(svc, &err));
    EXPECT_OK(use(&bob, &err));
    struct sck_scope scope = scope_of("subject/dora");
    struct sck_owner_info info;
    EXPECT_FAIL(sck_owner_find(svc, &scope, &info, &err), SCK_E_ERASED, "subject/dora was erased");
    sck_err_clear(&why);
    assert_int_equal(use(&dora, &why), SCK_E_ERASED);
    scope = scope_of("subject/later");
    EXPECT_FAIL(sck_owner_find(svc, &scope, &info, &err), SCK_E_ERASED, "subject/later was erased");
    sck_err_clear(&why);
    assert_int_not_equal(use(&later, &why), SCK_OK);
    /* Their receipts are known again, as they were. */
    json_t *o = erase("subject/later");
    assert_string_equal(text_of(o, "status"), "scheduled");
    expect_signed(o);
    json_decref(o);
    /* GCM keys go on under a new version. */
    struct sck_uri uri = uri_of("scopekey:subject/bob/g");
    struct sck_key_info now;
    EXPECT_OK(sck_key_find(svc, &uri, &now, &err));
    assert_int_equal(now.current_version, gcm.current_version + 1);
    /* Again: nothing more to do. */
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    EXPECT_OK(sck_key_find(svc, &uri, &now, &err));
    assert_int_equal(now.current_version, gcm.current_version + 1);
    expect_epochs("8 waiting awaits; 9 current; ");
}

static void
a_copy_in_place_without_an_erasure_since_is_noticed_too(void **state)
{
    (void)state;
    struct sck_key_info bob = make("subject/bob", "i", SCK_ALG_EC_P256);
    struct sck_backup_info copy = back_up(false);
    restore(copy.path);
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(use(&bob, &why), SCK_E_INTEGRITY);
    assert_non_null(strstr(why.message, "the catalog is an older copy (generation "));
    assert_non_null(strstr(why.message, "): run `scopekey reconcile`"));
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    EXPECT_OK(use(&bob, &err));
    /* What the copy knew of itself was that it was being made; it is whole. */
    EXPECT_OK(sck_backup_confirm(svc, copy.id, NULL, &copy, &err));
}

static void
behind_the_horizon_nothing_opens(void **state)
{
    (void)state;
    struct sck_key_info bob = make("subject/bob", "j", SCK_ALG_EC_P256);
    struct sck_key_info fay = make("subject/fay", "j", SCK_ALG_EC_P256);
    struct sck_backup_info old = back_up(true);
    json_decref(erase("subject/fay"));
    rotate();
    struct sck_backup_info fresh = back_up(true);
    retire_at_once();
    expect_epochs("10 current; ");
    json_t *o = erase("subject/fay");
    assert_string_equal(text_of(o, "status"), "complete");
    json_decref(o);
    restore(old.path);
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(use(&fay, &why), SCK_E_ERASED);
    sck_err_clear(&why);
    assert_int_equal(use(&bob, &why), SCK_E_ERASED);
    assert_non_null(strstr(why.message, "whose key was destroyed"));
    o = erase("subject/fay");
    assert_string_equal(text_of(o, "status"), "complete");
    json_decref(o);
    restore(fresh.path);
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    EXPECT_OK(use(&bob, &err));
    sck_err_clear(&why);
    assert_int_equal(use(&fay, &why), SCK_E_ERASED);
}

static void
a_log_that_lost_lines_is_not_replayed(void **state)
{
    (void)state;
    struct sck_buf log = {0};
    (void)make("subject/gus", "k", SCK_ALG_EC_P256);
    struct sck_backup_info copy = back_up(false);
    json_decref(erase("subject/gus"));
    EXPECT_OK(sck_file_read(home_path(&home, "d/receipts/erasures.log"), 1 << 20, &log, &err));
    size_t lines = 0;
    for (size_t i = 0; i < log.len; i++)
        lines += log.data[i] == '\n';
    (void)home_file(&home, "d/receipts/erasures.log", log.data, log.len - 20);
    restore(copy.path);
    char text[160];
    (void)snprintf(text, sizeof text,
                   "the erasure log knows %zu erasures, the token %zu: put receipts/erasures.log back whole", lines - 1,
                   lines);
    EXPECT_FAIL(sck_reconcile(svc, NULL, NULL, &err), SCK_E_INTEGRITY, text);
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(sck_resume(svc, &why), SCK_E_INTEGRITY);
    (void)home_file(&home, "d/receipts/erasures.log", log.data, log.len);
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    sck_buf_clear(&log);
}

static void
what_cannot_be_restored(void **state)
{
    (void)state;
    char aside[4096], text[5000];
    struct sck_backup_info copy = back_up(false);
    EXPECT_FAIL(sck_restore(svc, copy.path, aside, &err), SCK_E_STATE, "this process uses the catalog already");
    /* Another process has it open. */
    int ready[2], done[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(done), 0);
    reopen();
    pid_t pid = fork();
    if (pid == 0) {
        char c;
        struct sck_service *s = home_open(&home, NULL);
        struct sck_err e = SCK_ERR_INIT;
        int code = sck_service_start(s, &e) == SCK_OK ? 0 : 1;
        (void)!write(ready[1], "x", 1);
        (void)!read(done[0], &c, 1);
        _exit(code);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void)snprintf(text, sizeof text, "catalog %s is in use: stop every process that uses it, and repeat",
                   svc->engine->conf->catalog);
    EXPECT_FAIL(sck_restore(svc, copy.path, aside, &err), SCK_E_BUSY, text);
    assert_int_equal(write(done[1], "x", 1), 1);
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)snprintf(text, sizeof text, "there is no manifest %s.json: it was written beside the copy",
                   home_path(&home, "none.db"));
    EXPECT_FAIL(sck_restore(svc, home_path(&home, "none.db"), aside, &err), SCK_E_NOT_FOUND, text);
    struct sck_buf bytes = {0};
    EXPECT_OK(sck_file_read(copy.path, 64 << 20, &bytes, &err));
    bytes.data[5000] ^= 1;
    EXPECT_OK(sck_file_replace(copy.path, bytes.data, bytes.len, 0600, &err));
    sck_buf_clear(&bytes);
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(sck_restore(svc, copy.path, aside, &why), SCK_E_AUTHENTIC);
    assert_int_equal(access(home_path(&home, "d/catalog.db.restore"), F_OK), -1);
    reopen();
    EXPECT_OK(sck_resume(svc, &err));
}

#ifdef SCK_FAULT_POINTS
/* Run `work` in a child that is killed at `point`; true when it was. */
static bool
killed_at(const char *point, void (*work)(struct sck_service *s))
{
    pid_t child = fork();
    if (child == 0) {
        (void)setenv("SCOPEKEY_FAULT_POINT", point, 1);
        struct sck_service *s = home_open(&home, NULL);
        s->engine->conf->retire_epoch_days = 0;
        work(s);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void
rotate_once(struct sck_service *s)
{
    struct sck_err err = SCK_ERR_INIT;
    if (sck_epoch_rotate(s, NULL, NULL, &err) != SCK_OK)
        fprintf(stderr, "child: %s\n", err.message);
}

static uint32_t
current(void)
{
    struct sck_catalog *catalog = NULL;
    struct sck_epochs epochs;
    EXPECT_OK(sck_engine_catalog(svc->engine, &catalog, &err));
    EXPECT_OK(sck_epochs_load(catalog, &epochs, &err));
    return epochs.current;
}

static void
a_killed_rotation_is_gone_on_with(void **state)
{
    (void)state;
    static const char *const points[] = {"epoch.claimed",   "token-epoch-made", "token-epoch-tried", "epoch.made",
                                         "epoch.current",   "epoch.resealed",   "epoch.page",        "epoch.moved"};
    struct sck_key_info bob = make("subject/bob", "kill", SCK_ALG_EC_P256);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        uint32_t before = current();
        sck_service_close(&svc);
        assert_true(killed_at(points[i], rotate_once));
        svc = home_open(&home, NULL);
        EXPECT_OK(use(&bob, &err));
        bool moved = strcmp(points[i], "epoch.moved") == 0;
        if (!moved)
            rotate();
        assert_int_equal(current(), before + 1);
        EXPECT_OK(use(&bob, &err));
        EXPECT_OK(sck_token_verify(svc->engine->token, NULL, NULL, &err));
    }
}

static void
a_killed_retirement_is_gone_on_with(void **state)
{
    (void)state;
    static const char *const points[] = {"epoch.destroying", "token-epoch-destroyed", "epoch.destroyed",
                                         "receipt.written"};
    char text[64];
    struct sck_key_info bob = make("subject/bob", "kill2", SCK_ALG_EC_P256);
    (void)back_up(true);
    retire_at_once();
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        (void)snprintf(text, sizeof text, "subject/r%zu", i);
        (void)make(text, "k", SCK_ALG_AES_256);
        json_decref(erase(text));
        svc->engine->conf->retire_epoch_days = 30;
        rotate();
        (void)back_up(true);
        sck_service_close(&svc);
        assert_true(killed_at(points[i], rotate_once));
        svc = home_open(&home, NULL);
        svc->engine->conf->retire_epoch_days = 0;
        EXPECT_OK(sck_resume(svc, &err));
        struct seen seen = {""};
        EXPECT_OK(sck_epoch_each(svc, see_epoch, &seen, &err));
        assert_null(strstr(seen.text, "destroying"));
        (void)snprintf(text, sizeof text, "subject/r%zu", i);
        json_t *o = erase(text);
        assert_string_equal(text_of(o, "status"), "complete");
        expect_signed(o);
        json_decref(o);
        EXPECT_OK(use(&bob, &err));
    }
}

static void
back_up_once(struct sck_service *s)
{
    struct sck_backup_info info;
    struct sck_err err = SCK_ERR_INIT;
    if (sck_backup_make(s, home_path(&home, "killed.db"), &info, &err) != SCK_OK)
        fprintf(stderr, "child: %s\n", err.message);
}

static void
a_killed_backup_is_whole_or_forgotten(void **state)
{
    (void)state;
    static const char *const points[] = {"backup.registered", "backup.copied", "backup.manifest", "backup.placed",
                                         "backup.made"};
    static const char *const names[] = {"killed.db", "killed.db.json", "killed.db.part"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        int before = backups();
        bool whole = i >= 3;
        sck_service_close(&svc);
        assert_true(killed_at(points[i], back_up_once));
        svc = home_open(&home, NULL);
        /* The next backup says what came of it. */
        struct sck_backup_info next = back_up(false);
        assert_int_equal(backups(), before + 1 + whole);
        EXPECT_OK(sck_backup_forget(svc, next.id, &err));
        for (size_t j = 0; j < 3; j++) {
            bool there = access(home_path(&home, names[j]), F_OK) == 0;
            assert_int_equal(there, whole && j < 2);
            (void)unlink(home_path(&home, names[j]));
        }
        EXPECT_OK(sck_resume(svc, &err));
    }
}

static char to_restore[4200];

static void
restore_once(struct sck_service *s)
{
    char aside[4096];
    struct sck_err err = SCK_ERR_INIT;
    if (sck_restore(s, to_restore, aside, &err) != SCK_OK)
        fprintf(stderr, "child: %s\n", err.message);
}

static void
reconcile_once(struct sck_service *s)
{
    struct sck_err err = SCK_ERR_INIT;
    if (sck_reconcile(s, NULL, NULL, &err) != SCK_OK)
        fprintf(stderr, "child: %s\n", err.message);
}

static void
a_killed_restoration_leaves_one_catalog(void **state)
{
    (void)state;
    static const char *const points[] = {"restore.copied", "restore.aside", "restore.placed"};
    static const char *const later[] = {"reconcile.receipts", "reconcile.replayed", "reconcile.renewed"};
    struct sck_key_info bob = make("subject/bob", "kill3", SCK_ALG_EC_P256);
    struct sck_key_info ivy = make("subject/ivy", "k", SCK_ALG_EC_P256);
    struct sck_backup_info copy = back_up(false);
    json_decref(erase("subject/ivy"));
    (void)snprintf(to_restore, sizeof to_restore, "%s", copy.path);
    struct sck_err why = SCK_ERR_INIT;
    for (size_t i = 0; i < 2; i++) {
        sck_service_close(&svc);
        assert_true(killed_at(points[i], restore_once));
        svc = home_open(&home, NULL);
        EXPECT_OK(use(&bob, &err));
        /* What was put aside has the time of its second in its name. */
        (void)sleep(1);
    }
    sck_service_close(&svc);
    assert_true(killed_at(points[2], restore_once));
    for (size_t i = 0; i < 3; i++) {
        svc = home_open(&home, NULL);
        sck_err_clear(&why);
        assert_int_equal(use(&bob, &why), SCK_E_INTEGRITY);
        sck_service_close(&svc);
        assert_true(killed_at(later[i], reconcile_once));
    }
    svc = home_open(&home, NULL);
    EXPECT_OK(sck_reconcile(svc, NULL, NULL, &err));
    EXPECT_OK(use(&bob, &err));
    sck_err_clear(&why);
    assert_int_equal(use(&ivy, &why), SCK_E_ERASED);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_epoch_waits_for),
        cmocka_unit_test(a_scheduled_erasure_becomes_complete),
        cmocka_unit_test(a_record_of_before_is_not_stored),
        cmocka_unit_test(an_epoch_key_seals_so_many_records),
        cmocka_unit_test(provisioning_meets_rotation),
        cmocka_unit_test(what_is_no_good_copy_is_not_confirmed),
        cmocka_unit_test(within_the_horizon_the_living_open_and_the_erased_do_not),
        cmocka_unit_test(a_copy_in_place_without_an_erasure_since_is_noticed_too),
        cmocka_unit_test(behind_the_horizon_nothing_opens),
        cmocka_unit_test(a_log_that_lost_lines_is_not_replayed),
        cmocka_unit_test(what_cannot_be_restored),
#ifdef SCK_FAULT_POINTS
        cmocka_unit_test(a_killed_rotation_is_gone_on_with),
        cmocka_unit_test(a_killed_retirement_is_gone_on_with),
        cmocka_unit_test(a_killed_backup_is_whole_or_forgotten),
        cmocka_unit_test(a_killed_restoration_leaves_one_catalog),
#endif
    };
    return cmocka_run_group_tests_name("service/epochs", tests, set_up, tear_down);
}
