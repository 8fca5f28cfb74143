/* SPDX-License-Identifier: MIT */
/* Keeper `local`: the JSON file, its backups, who may read it, crashes, and keys of other programs' plain files. */
#include "tests/lib/expect.h"
#include "tests/lib/forkgate.h"

#include "lib/base/file.h"
#include "lib/base/text.h"
#include "vault/keeper.h"

#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[256], folder[300], file[320];
static const char *passphrase = "correct horse";
static uint8_t token_key[32] = {9};

static enum sck_code
soft_hmac(void *arg, const void *data, size_t len, uint8_t out[32], struct sck_err *err)
{
    return sck_hmac_sha256(arg, 32, data, len, out, err);
}

static enum sck_code
say_passphrase(const void *arg, bool confirm, struct sck_secret **out, struct sck_err *err)
{
    const char *const *text = arg;
    (void)confirm;
    return sck_secret_from(*text, strlen(*text), out, err);
}

static struct sck_keeper_local_conf
conf_of(enum sck_local_root root)
{
    return (struct sck_keeper_local_conf){.path = folder, .environment = "development", .root = root, .backups = 3,
                                          .scrypt_log2_n = 14, .hmac = soft_hmac, .hmac_arg = token_key,
                                          .passphrase = say_passphrase, .passphrase_arg = &passphrase};
}

static struct sck_keeper *
open_by(enum sck_local_root root)
{
    struct sck_keeper *k = NULL;
    const struct sck_keeper_local_conf conf = conf_of(root);
    EXPECT_OK(sck_keeper_local_open(&conf, &k, &err));
    return k;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int
set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct sck_keeper *k = NULL;
    (void)snprintf(top, sizeof top, "%s/scopekey-local-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(top));
    (void)snprintf(folder, sizeof folder, "%s/secrets", top);
    (void)snprintf(file, sizeof file, "%s/secrets.json", folder);
    passphrase = "correct horse";
    k = open_by(SCK_LOCAL_BY_TOKEN);
    EXPECT_OK(sck_keeper_local_prepare(k, &err));
    *state = k;
    return 0;
}

static int
tear_down(void **state)
{
    struct sck_keeper *k = *state;
    if (k != NULL)
        k->ops->close(k);
    (void)nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static struct sck_kek
kek_named(const char *name)
{
    return (struct sck_kek){.name = name, .generation = 1, .version = 1, .mount = "", .name_space = ""};
}

static void
make(struct sck_keeper *k, const char *name)
{
    struct sck_kek_made made;
    EXPECT_OK(k->ops->create(k, name, 1, &made, &err));
    assert_int_equal(made.version, 1);
    sck_buf_clear(&made.record);
}

struct wrapped {
    uint8_t blob[128];
    size_t len;
    uint32_t version;
};

static struct wrapped
wrap(struct sck_keeper *k, const char *name, uint8_t byte)
{
    struct wrapped w = {.len = 0};
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    const struct sck_kek kek = kek_named(name);
    sck_buf_init(&blob, sizeof w.blob);
    EXPECT_OK(sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err));
    memset(payload->data, byte, payload->len);
    EXPECT_OK(k->ops->wrap(k, &kek, payload, &blob, &w.version, &err));
    memcpy(w.blob, blob.data, blob.len);
    w.len = blob.len;
    sck_buf_clear(&blob);
    sck_secret_free(&payload);
    return w;
}

static enum sck_code
unwrap(struct sck_keeper *k, const char *name, const struct wrapped *w, uint8_t byte, struct sck_err *err)
{
    struct sck_secret *payload = NULL;
    const struct sck_kek kek = kek_named(name);
    enum sck_code rc = k->ops->unwrap(k, &kek, w->version, w->blob, w->len, &payload, err);
    if (rc == SCK_OK) {
        for (size_t i = 0; i < payload->len; i++)
            assert_int_equal(payload->data[i], byte);
    } else {
        assert_null(payload);
    }
    sck_secret_free(&payload);
    return rc;
}

static void
read_text(const char *path, struct sck_buf *out)
{
    EXPECT_OK(sck_file_read(path, 1 << 20, out, &err));
}

static bool
file_holds(const char *path, const char *text)
{
    struct sck_buf bytes = {0};
    read_text(path, &bytes);
    bool holds = memmem(bytes.data, bytes.len, text, strlen(text)) != NULL;
    sck_buf_clear(&bytes);
    return holds;
}

/* The first `from` in a file becomes `to`. */
static void
edit_text(const char *path, const char *from, const char *to)
{
    struct sck_buf bytes = {0}, out;
    read_text(path, &bytes);
    const uint8_t *at = memmem(bytes.data, bytes.len, from, strlen(from));
    assert_non_null(at);
    size_t before = (size_t)(at - bytes.data);
    sck_buf_init(&out, 1 << 20);
    sck_buf_put(&out, bytes.data, before);
    sck_buf_put_str(&out, to);
    sck_buf_put(&out, at + strlen(from), bytes.len - before - strlen(from));
    EXPECT_OK(sck_file_replace(path, out.data, out.len, 0600, &err));
    sck_buf_clear(&out);
    sck_buf_clear(&bytes);
}

static const char *
backup(unsigned number)
{
    static char paths[2][360];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    (void)snprintf(path, sizeof paths[0], "%s.bak.%u", file, number);
    return path;
}

static void
keks_wrap_and_open_after_a_restart(void **state)
{
    struct sck_keeper *k = *state;
    assert_int_equal(k->ops->kind, SCK_KEEPER_LOCAL);
    assert_int_equal(k->ops->erasure, SCK_ERASURE_IMMEDIATE);
    make(k, "sk--k--alice");
    make(k, "sk--k--bob");
    struct wrapped w = wrap(k, "sk--k--alice", 5);
    assert_int_equal(w.len, 100);
    assert_int_equal(w.version, 1);
    k->ops->close(k);
    k = *state = open_by(SCK_LOCAL_BY_TOKEN);
    EXPECT_OK(unwrap(k, "sk--k--alice", &w, 5, &err));
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(unwrap(k, "sk--k--bob", &w, 5, &why), SCK_E_AUTHENTIC);
    for (size_t i = 0; i < w.len; i++) {
        struct wrapped bad = w;
        bad.blob[i] ^= 1;
        assert_int_equal(unwrap(k, "sk--k--alice", &bad, 5, NULL), SCK_E_AUTHENTIC);
    }
    EXPECT_FAIL(unwrap(k, "sk--k--carol", &w, 5, &err), SCK_E_NOT_FOUND, "keeper local: no such KEK: sk--k--carol");
    struct sck_kek_made made;
    EXPECT_FAIL(k->ops->create(k, "sk--k--bob", 1, &made, &err), SCK_E_EXISTS,
                "keeper local: KEK sk--k--bob is there already");
    EXPECT_FAIL(k->ops->create(k, "scopekey.store", 1, &made, &err), SCK_E_USAGE,
                "keeper local: a KEK name must be 1 to 120 of a-z, 0-9 and inner hyphens");
    EXPECT_FAIL(k->ops->create(k, "../x", 1, &made, &err), SCK_E_USAGE,
                "keeper local: a KEK name must be 1 to 120 of a-z, 0-9 and inner hyphens");
}

static void
the_file_is_closed_to_others_and_holds_no_key_in_clear(void **state)
{
    struct sck_keeper *k = *state;
    struct stat st;
    char want[512];
    make(k, "sk--k--alice");
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(backup(1), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    struct sck_secret *payload = NULL;
    EXPECT_OK(sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err));
    struct sck_buf blob;
    uint32_t version = 0;
    const struct sck_kek kek = kek_named("sk--k--alice");
    sck_buf_init(&blob, 128);

    assert_int_equal(chmod(file, 0640), 0);
    (void)snprintf(want, sizeof want, "keeper local: %s is open to others (mode 0640): run chmod 0600 on it", file);
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_CONFIG, want);
    assert_int_equal(chmod(file, 0600), 0);

    assert_int_equal(chmod(folder, 0755), 0);
    (void)snprintf(want, sizeof want, "keeper local: %s is open to others (mode 0755): run chmod 0700 on it", folder);
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_CONFIG, want);
    assert_int_equal(chmod(folder, 0700), 0);

    char moved[340];
    (void)snprintf(moved, sizeof moved, "%s/moved", top);
    assert_int_equal(rename(file, moved), 0);
    assert_int_equal(symlink(moved, file), 0);
    (void)snprintf(want, sizeof want, "keeper local: %s is a symbolic link: put the file itself there", file);
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_CONFIG, want);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkfifo(file, 0600), 0);
    (void)snprintf(want, sizeof want, "keeper local: %s is not a regular file", file);
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_CONFIG, want);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rename(moved, file), 0);

    (void)snprintf(moved, sizeof moved, "%s/folder", top);
    assert_int_equal(rename(folder, moved), 0);
    assert_int_equal(symlink(moved, folder), 0);
    (void)snprintf(want, sizeof want, "keeper local: %s is no folder that can be opened (symbolic links are refused): "
                   "Not a directory", folder);
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_CONFIG, want);
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(rename(moved, folder), 0);
    EXPECT_OK(k->ops->wrap(k, &kek, payload, &blob, &version, &err));
    sck_buf_clear(&blob);
    sck_secret_free(&payload);
}

static void
another_users_file_is_refused(void **state)
{
    struct sck_keeper *k = *state;
    char want[512];
    uint32_t version = 0;
    make(k, "sk--k--alice");
    /* Only root can give a file away; everybody else is another user than the file's anyway. */
    if (chown(file, 12345, (gid_t)-1) != 0)
        return;
    const struct sck_kek kek = kek_named("sk--k--alice");
    (void)snprintf(want, sizeof want, "keeper local: %s belongs to another user: make it your own (chown)", file);
    EXPECT_FAIL(k->ops->newest(k, &kek, &version, &err), SCK_E_CONFIG, want);
}

static void
a_file_that_is_gone_is_never_an_erasure(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_erase_proof proof;
    char want[512], moved[340];
    make(k, "sk--k--alice");
    struct wrapped w = wrap(k, "sk--k--alice", 5);
    const struct sck_kek kek = kek_named("sk--k--alice");
    (void)snprintf(moved, sizeof moved, "%s/moved", top);
    assert_int_equal(rename(file, moved), 0);
    (void)snprintf(want, sizeof want, "keeper local: %s is not there: restore it from its newest backup", file);
    EXPECT_FAIL(k->ops->erase(k, &kek, 1, w.blob, w.len, &proof, &err), SCK_E_CONFIG, want);
    assert_false(proof.read_says_gone);
    EXPECT_FAIL(unwrap(k, "sk--k--alice", &w, 5, &err), SCK_E_CONFIG, want);
    /* Nor is a new one made where there is a backup of the old. */
    EXPECT_FAIL(sck_keeper_local_prepare(k, &err), SCK_E_CONFIG, want);
    assert_int_equal(rename(moved, file), 0);
    assert_int_equal(rename(folder, moved), 0);
    (void)snprintf(want, sizeof want, "keeper local: folder %s is not there: mount or restore it, or correct [keeper local] "
                   "path", folder);
    EXPECT_FAIL(k->ops->erase(k, &kek, 1, w.blob, w.len, &proof, &err), SCK_E_CONFIG, want);
    assert_false(proof.read_says_gone);
    assert_int_equal(rename(moved, folder), 0);
    EXPECT_OK(unwrap(k, "sk--k--alice", &w, 5, &err));
}

static void
an_erased_kek_is_in_no_backup(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_erase_proof proof;
    static const char *const names[] = {"sk--k--alice", "sk--k--bob", "sk--k--carol", "sk--k--dora", "sk--k--eve"};
    for (size_t i = 0; i < 5; i++)
        make(k, names[i]);
    assert_int_equal(access(backup(3), F_OK), 0);
    assert_int_equal(access(backup(4), F_OK), -1);
    /* One that somebody kept beyond what is configured. */
    assert_int_equal(link(backup(1), backup(17)), 0);
    struct wrapped w = wrap(k, "sk--k--bob", 6), d = wrap(k, "sk--k--dora", 7);
    const struct sck_kek bob = kek_named("sk--k--bob");
    assert_true(file_holds(backup(3), "sk--k--bob"));
    assert_true(file_holds(backup(17), "sk--k--bob"));
    EXPECT_OK(k->ops->erase(k, &bob, 1, w.blob, w.len, &proof, &err));
    assert_int_equal(proof.how, SCK_ERASURE_IMMEDIATE);
    assert_true(proof.read_says_gone);
    assert_true(proof.canary_refused);
    assert_string_equal(proof.node, file);
    assert_false(file_holds(file, "sk--k--bob"));
    assert_false(file_holds(backup(1), "sk--k--bob"));
    assert_false(file_holds(backup(2), "sk--k--bob"));
    assert_false(file_holds(backup(3), "sk--k--bob"));
    assert_false(file_holds(backup(17), "sk--k--bob"));
    assert_true(file_holds(backup(3), "sk--k--alice"));
    EXPECT_FAIL(unwrap(k, "sk--k--bob", &w, 6, &err), SCK_E_NOT_FOUND, "keeper local: no such KEK: sk--k--bob");
    EXPECT_OK(unwrap(k, "sk--k--dora", &d, 7, &err));
    /* Again, and one that never was: gone is gone, and without a canary less is proved. */
    EXPECT_OK(k->ops->erase(k, &bob, 1, NULL, 0, &proof, &err));
    assert_true(proof.read_says_gone);
    assert_false(proof.canary_refused);

    /* A backup that cannot be read may hold it. */
    char want[640];
    EXPECT_OK(sck_file_replace(backup(2), "{", 1, 0600, &err));
    const struct sck_kek dora = kek_named("sk--k--dora");
    (void)snprintf(want, sizeof want, "a backup may still hold the KEK, and cannot be read (remove it, and try again): keeper "
                   "local: %s is no JSON object (line 1): restore it from its newest backup", backup(2));
    EXPECT_FAIL(k->ops->erase(k, &dora, 1, d.blob, d.len, &proof, &err), SCK_E_INTEGRITY, want);
    assert_false(proof.read_says_gone);
    assert_int_equal(unlink(backup(2)), 0);
    EXPECT_OK(k->ops->erase(k, &dora, 1, d.blob, d.len, &proof, &err));
    assert_true(proof.canary_refused);
}

static void
another_process_sees_an_erasure_at_once(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_keeper *other = open_by(SCK_LOCAL_BY_TOKEN);
    struct sck_erase_proof proof;
    make(k, "sk--k--alice");
    struct wrapped w = wrap(other, "sk--k--alice", 5);
    const struct sck_kek alice = kek_named("sk--k--alice");
    EXPECT_OK(k->ops->erase(k, &alice, 1, w.blob, w.len, &proof, &err));
    EXPECT_FAIL(unwrap(other, "sk--k--alice", &w, 5, &err), SCK_E_NOT_FOUND, "keeper local: no such KEK: sk--k--alice");
    other->ops->close(other);
}

static void
versions_rotate_and_retire(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_kek_made made;
    uint32_t version = 0;
    const struct sck_kek kek = kek_named("sk--k--alice");
    make(k, "sk--k--alice");
    struct wrapped one = wrap(k, "sk--k--alice", 1);
    EXPECT_OK(k->ops->rotate(k, &kek, &made, &err));
    assert_int_equal(made.version, 2);
    struct wrapped two = wrap(k, "sk--k--alice", 2);
    EXPECT_OK(k->ops->rotate(k, &kek, &made, &err));
    EXPECT_OK(k->ops->newest(k, &kek, &version, &err));
    assert_int_equal(version, 3);
    struct wrapped three = wrap(k, "sk--k--alice", 3);
    assert_int_equal(two.version, 2);
    assert_int_equal(three.version, 3);
    EXPECT_OK(unwrap(k, "sk--k--alice", &one, 1, &err));
    struct wrapped swapped = one;
    swapped.version = 2;
    assert_int_equal(unwrap(k, "sk--k--alice", &swapped, 1, NULL), SCK_E_AUTHENTIC);

    struct sck_keeper_item items[2] = {{.blob = {one.blob, one.len}, .version = 1},
                                       {.blob = {two.blob, two.len}, .version = 1}};
    struct sck_keeper_work work = {.what = SCK_KEEPER_REWRAP, .kek = &kek, .items = items, .count = 2};
    sck_buf_init(&items[0].out, 128);
    sck_buf_init(&items[1].out, 128);
    assert_int_equal(k->ops->run(k, &work), SCK_E_AUTHENTIC);
    assert_int_equal(items[0].code, SCK_OK);
    assert_int_equal(items[0].version, 3);
    assert_int_equal(items[1].code, SCK_E_AUTHENTIC);
    assert_int_equal(items[1].out.len, 0);
    struct wrapped again = {.len = items[0].out.len, .version = 3};
    memcpy(again.blob, items[0].out.data, again.len);
    EXPECT_OK(unwrap(k, "sk--k--alice", &again, 1, &err));
    sck_buf_clear(&items[0].out);
    sck_buf_clear(&items[1].out);

    EXPECT_OK(k->ops->retire(k, &kek, 3, &err));
    EXPECT_FAIL(unwrap(k, "sk--k--alice", &two, 2, &err), SCK_E_AUTHENTIC,
                "keeper local: KEK sk--k--alice has no version 2");
    EXPECT_OK(unwrap(k, "sk--k--alice", &again, 1, &err));
    EXPECT_FAIL(k->ops->retire(k, &kek, 4, &err), SCK_E_USAGE,
                "keeper local: the newest version of KEK sk--k--alice is 3: it cannot be retired");
    /* Backups that knew only what was retired know nothing of it now. */
    for (unsigned n = 1; n <= 3; n++)
        assert_false(file_holds(backup(n), "sk--k--alice"));
}

static void
what_a_person_writes_into_the_file_is_honoured(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_kek_made made;
    const struct sck_kek kek = kek_named("sk--k--alice");
    struct sck_secret *payload = NULL;
    struct sck_buf blob;
    uint32_t version = 0;
    sck_buf_init(&blob, 128);
    EXPECT_OK(sck_secret_new(SCK_PAYLOAD_LEN, &payload, &err));
    make(k, "sk--k--alice");
    struct wrapped w = wrap(k, "sk--k--alice", 1);
    edit_text(file, "sk--k--alice\": {", "sk--k--alice\": { \"note\": {\"by\": [1, \"me\"]},");
    /* The head's comes first and stays. */
    edit_text(file, "\"expires_on\": null,\n    \"generation\"", "\"expires_on\": \"2020-01-01T00:00:00Z\",\n    \"generation\"");
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_STATE,
                "keeper local: KEK sk--k--alice has expired: it opens, and wraps nothing new until it is rotated");
    EXPECT_OK(unwrap(k, "sk--k--alice", &w, 1, &err));
    EXPECT_OK(k->ops->rotate(k, &kek, &made, &err));
    EXPECT_OK(k->ops->wrap(k, &kek, payload, &blob, &version, &err));
    assert_int_equal(version, 2);
    assert_true(file_holds(file, "\"note\": {"));
    edit_text(file, "\"content_type\": \"application/vnd.scopekey.kek\",\n    \"enabled\": true",
              "\"content_type\": \"application/vnd.scopekey.kek\",\n    \"enabled\": false");
    EXPECT_FAIL(k->ops->wrap(k, &kek, payload, &blob, &version, &err), SCK_E_STATE,
                "keeper local: KEK sk--k--alice is disabled: set \"enabled\" to true in secrets.json");
    EXPECT_FAIL(unwrap(k, "sk--k--alice", &w, 1, &err), SCK_E_STATE,
                "keeper local: KEK sk--k--alice is disabled: set \"enabled\" to true in secrets.json");
    /* Disabled or not, it can be erased. */
    struct sck_erase_proof proof;
    EXPECT_OK(k->ops->erase(k, &kek, 1, w.blob, w.len, &proof, &err));
    assert_true(proof.canary_refused);
    sck_buf_clear(&blob);
    sck_secret_free(&payload);
}

/* `text` with its "@" replaced. */
static const char *
about(const char *text, const char *path)
{
    static char out[800];
    const char *at = strchr(text, '@');
    (void)snprintf(out, sizeof out, "%.*s%s%s", (int)(at - text), text, path, at + 1);
    return out;
}

static void
damaged_and_foreign_files_are_refused(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_kek_made made;
    struct sck_buf good = {0};
    make(k, "sk--k--alice");
    read_text(file, &good);
    static const struct {
        const char *from, *to;
        enum sck_code code;
        const char *message;    /* @: the file */
    } cases[] = {
        {"{", "[", SCK_E_CONFIG, "keeper local: @ is no JSON object (line 2): restore it from its newest backup"},
        {"application/vnd.scopekey.store", "x", SCK_E_CONFIG,
         "keeper local: @ is no Scopekey store: name another folder in [keeper local] path, and read a plain file in with "
         "`scopekey keeper import`"},
        {"\"format\": 1", "\"format\": 2", SCK_E_CONFIG,
         "keeper local: @ was written by a newer Scopekey (format 2)"},
        {"\"format\": 1", "\"format\": \"1\"", SCK_E_INTEGRITY,
         "keeper local: @: entry \"scopekey.store\" is damaged: restore the file from its newest backup"},
        {"\"root\": \"token\"", "\"root\": \"nobody\"", SCK_E_INTEGRITY,
         "keeper local: @: entry \"scopekey.store\" is damaged: restore the file from its newest backup"},
        {"\"root\": \"token\"", "\"root\": \"passphrase\", \"kdf\": \"scrypt\", \"log2_n\": 40, \"r\": 8, \"p\": 1",
         SCK_E_INTEGRITY,
         "keeper local: @: entry \"scopekey.store\" is damaged: restore the file from its newest backup"},
        {"application/vnd.scopekey.kek", "application/octet-stream", SCK_E_CONFIG,
         "keeper local: @: entry \"sk--k--alice\" is not wrapped: take it out, and read the plain file in with `scopekey "
         "keeper import`"},
        {"\"generation\": 1", "\"generation\": 0", SCK_E_INTEGRITY,
         "keeper local: @: entry \"sk--k--alice\": its generation is missing or malformed: restore the file from its newest "
         "backup"},
        {"\"older\": []", "\"older\": [{}]", SCK_E_INTEGRITY,
         "keeper local: @: entry \"sk--k--alice\": its older is missing or malformed: restore the file from its newest "
         "backup"},
        {"\"older\": []", "\"older\": {}", SCK_E_INTEGRITY,
         "keeper local: @: entry \"sk--k--alice\": its older is missing or malformed: restore the file from its newest "
         "backup"},
        {"sk--k--alice", "SK-alice", SCK_E_INTEGRITY,
         "keeper local: @: entry \"SK-alice\": its name is missing or malformed: restore the file from its newest backup"},
        {"\"older\": []", "\"older\": [], \"enabled\": true", SCK_E_CONFIG, NULL},
        {"\"older\": []", "\"older\": [], \"enabled\": 1", SCK_E_CONFIG, NULL},
    };
    const struct sck_kek kek = kek_named("sk--k--alice");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sck_err why = SCK_ERR_INIT;
        uint32_t version = 0;
        struct sck_erase_proof proof;
        edit_text(file, cases[i].from, cases[i].to);
        assert_int_equal(k->ops->newest(k, &kek, &version, &why), cases[i].code);
        if (cases[i].message != NULL)
            assert_string_equal(why.message, about(cases[i].message, file));
        assert_int_equal(k->ops->erase(k, &kek, 1, NULL, 0, &proof, NULL), cases[i].code);
        assert_int_equal(k->ops->create(k, "sk--k--x", 1, &made, NULL), cases[i].code);
        EXPECT_OK(sck_file_replace(file, good.data, good.len, 0600, &err));
    }
    /* Cut anywhere: never half a file. */
    for (size_t len = 0; len < good.len - 2; len += 7) {
        uint32_t version = 0;
        EXPECT_OK(sck_file_replace(file, good.data, len, 0600, &err));
        assert_int_equal(k->ops->newest(k, &kek, &version, NULL), SCK_E_CONFIG);
    }
    EXPECT_OK(sck_file_replace(file, good.data, good.len, 0600, &err));
    sck_buf_clear(&good);
}

/* Sealed values are bound to their file, name, version and kind. */
static void
swapped_values_are_refused(void **state)
{
    struct sck_keeper *k = *state;
    char want[640];
    struct sck_buf text = {0};
    make(k, "sk--k--alice");
    make(k, "sk--k--bob");
    struct wrapped w = wrap(k, "sk--k--alice", 1);
    read_text(file, &text);
    char *alice = memmem(text.data, text.len, "sk--k--alice", 12);
    char *bob = memmem(text.data, text.len, "sk--k--bob", 10);
    char *a = strstr(alice, "\"value\": \"") + 10, *b = strstr(bob, "\"value\": \"") + 10;
    for (size_t i = 0; i < 80; i++) {
        char t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
    EXPECT_OK(sck_file_replace(file, text.data, text.len, 0600, &err));
    sck_buf_clear(&text);
    (void)snprintf(want, sizeof want, "keeper local: version 1 of KEK sk--k--alice was altered in %s: restore the file from its "
                   "newest backup", file);
    EXPECT_FAIL(unwrap(k, "sk--k--alice", &w, 1, &err), SCK_E_INTEGRITY, want);
}

static void
the_root_opens_by_its_holder_alone(void **state)
{
    struct sck_keeper *k = *state;
    struct sck_keeper_local_conf conf = conf_of(SCK_LOCAL_BY_TOKEN);
    struct sck_keeper *other = NULL;
    uint8_t foreign[32] = {1};
    make(k, "sk--k--alice");
    struct wrapped w = wrap(k, "sk--k--alice", 1);
    conf.hmac_arg = foreign;
    EXPECT_OK(sck_keeper_local_open(&conf, &other, &err));
    EXPECT_FAIL(unwrap(other, "sk--k--alice", &w, 1, &err), SCK_E_INTEGRITY,
                "keeper local: the store's root was altered, or belongs to another token");
    other->ops->close(other);
    other = open_by(SCK_LOCAL_BY_PASSPHRASE);
    EXPECT_FAIL(unwrap(other, "sk--k--alice", &w, 1, &err), SCK_E_CONFIG,
                "keeper local: the file's root is held by a token: set [keeper local] root to that");
    other->ops->close(other);
    k->ops->close(k);

    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    k = *state = open_by(SCK_LOCAL_BY_PASSPHRASE);
    EXPECT_OK(sck_keeper_local_prepare(k, &err));
    EXPECT_OK(sck_keeper_local_prepare(k, &err));
    make(k, "sk--k--alice");
    w = wrap(k, "sk--k--alice", 2);
    other = open_by(SCK_LOCAL_BY_PASSPHRASE);
    passphrase = "correct horsf";
    EXPECT_FAIL(unwrap(other, "sk--k--alice", &w, 2, &err), SCK_E_CREDENTIAL,
                "keeper local: this is not the store's passphrase");
    passphrase = "correct horse";
    EXPECT_OK(unwrap(other, "sk--k--alice", &w, 2, &err));
    assert_true(file_holds(file, "\"log2_n\": 14"));
    other->ops->close(other);
}

static void
production_is_refused(void **state)
{
    struct sck_keeper_local_conf conf = conf_of(SCK_LOCAL_BY_TOKEN);
    struct sck_keeper *k = NULL;
    (void)state;
    conf.environment = "production";
    EXPECT_FAIL(sck_keeper_local_open(&conf, &k, &err), SCK_E_CONFIG,
                "keeper local is for development and holds no KEK in environment production: choose keeper token, vault or "
                "azure");
    assert_null(k);
}

/* ---- other programs' plain files ---- */

static const char plain_name[] = "plain.json";

static const char *
plain(const char *text)
{
    static char path[340];
    (void)snprintf(path, sizeof path, "%s/%s", top, plain_name);
    EXPECT_OK(sck_file_replace(path, text, strlen(text), 0644, &err));
    return path;
}

#define B64 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define HEX "0102030405060708090a0B0C0d0e0f101112131415161718191a1b1c1d1e1f20"

static void
plain_keys_are_imported(void **state)
{
    struct sck_keeper *k = *state;
    size_t imported = 0, known = 0;
    struct sck_buf before = {0}, after = {0};
    make(k, "sk--k--alice");
    const char *path = plain("{ \"file-123\": {\"value\": \"" B64 "\", \"content_type\": \"application/octet-stream\","
                             " \"enabled\": true, \"created_on\": \"2024-01-01T00:00:00Z\","
                             " \"expires_on\": \"2024-01-31T10:00:00.25+00:00\"},\n"
                             " \"file-9\": {\"value\": \"" HEX "\", \"enabled\": false, \"expires_on\": null}}");
    read_text(path, &before);
    EXPECT_OK(sck_keeper_local_import(k, path, &imported, &known, &err));
    assert_int_equal(imported, 2);
    assert_int_equal(known, 0);
    read_text(path, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    sck_buf_clear(&before);
    sck_buf_clear(&after);
    assert_false(file_holds(file, "AQIDBAUGBwgJ"));
    assert_false(file_holds(file, "0102030405"));
    assert_true(file_holds(file, "\"created_on\": \"2024-01-01T00:00:00Z\""));
    assert_true(file_holds(file, "\"expires_on\": \"2024-01-31T10:00:00Z\""));
    assert_true(file_holds(file, "\"imported_content_type\": \"application/octet-stream\""));
    /* Again: nothing new, and nothing written. */
    struct stat was, is;
    assert_int_equal(stat(file, &was), 0);
    EXPECT_OK(sck_keeper_local_import(k, path, &imported, &known, &err));
    assert_int_equal(imported, 0);
    assert_int_equal(known, 2);
    assert_int_equal(stat(file, &is), 0);
    assert_int_equal(was.st_ino, is.st_ino);
    /* An imported key is no KEK, even where its name could be one. */
    const struct sck_kek kek = kek_named("file-123");
    uint32_t version = 0;
    EXPECT_FAIL(k->ops->newest(k, &kek, &version, &err), SCK_E_NOT_FOUND, "keeper local: no such KEK: file-123");
}

static void
bad_plain_files_import_nothing(void **state)
{
    struct sck_keeper *k = *state;
    static const struct {
        const char *text;
        enum sck_code code;
        const char *message;
    } cases[] = {
        {"[]", SCK_E_CONFIG, "@ is no JSON object of keys"},
        {"{\"a\": {\"value\": \"" B64 "\"}", SCK_E_CONFIG, "@ is no JSON object of keys"},
        {"{\"a\": \"" B64 "\"}", SCK_E_CONFIG, "@: entry \"a\": it is no object with a \"value\""},
        {"{\"a\": {\"value\": \"AQID\"}}", SCK_E_CONFIG,
         "@: entry \"a\": its value is neither the base64 nor the hex of 32 bytes"},
        {"{\"a\": {\"value\": \"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB=\"}}", SCK_E_CONFIG,
         "@: entry \"a\": its value is neither the base64 nor the hex of 32 bytes"},
        {"{\"a\": {}}", SCK_E_CONFIG, "@: entry \"a\": its value is neither the base64 nor the hex of 32 bytes"},
        {"{\"a\": {\"value\": \"" B64 "\", \"value\": \"" B64 "\"}}", SCK_E_CONFIG,
         "@: entry \"a\": it has a member twice, or one besides value, content_type, enabled, created_on and expires_on"},
        {"{\"a\": {\"value\": \"" B64 "\", \"tags\": {}}}", SCK_E_CONFIG,
         "@: entry \"a\": it has a member twice, or one besides value, content_type, enabled, created_on and expires_on"},
        {"{\"a\": {\"value\": \"" B64 "\", \"enabled\": 1}}", SCK_E_CONFIG,
         "@: entry \"a\": enabled is neither true nor false"},
        {"{\"a\": {\"value\": \"" B64 "\", \"created_on\": \"yesterday, or the day before\"}}", SCK_E_CONFIG,
         "@: entry \"a\": created_on is no date in UTC"},
        {"{\"a\": {\"value\": \"" B64 "\", \"expires_on\": \"2024-01-01T00:00:00+02:00\"}}", SCK_E_CONFIG,
         "@: entry \"a\": expires_on is neither a date in UTC nor null"},
        {"{\"a\\u0000b\": {\"value\": \"" B64 "\"}}", SCK_E_CONFIG,
         "@: entry \"a\\x5cu0000b\": its name is empty, longer than 255 bytes, or has escapes or control characters"},
        {"{\"\": {\"value\": \"" B64 "\"}}", SCK_E_CONFIG,
         "@: entry \"\": its name is empty, longer than 255 bytes, or has escapes or control characters"},
        {"{\"scopekey.store\": {\"value\": \"" B64 "\"}}", SCK_E_CONFIG,
         "@: entry \"scopekey.store\": the store itself has that name: rename the entry"},
        {"{\"good\": {\"value\": \"" HEX "\"}, \"sk--k--alice\": {\"value\": \"" B64 "\"}}", SCK_E_EXISTS,
         "@: entry \"sk--k--alice\": the store has another key of that name"},
        {"{\"good\": {\"value\": \"" HEX "\"}, \"good\": {\"value\": \"AAAABAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"}}",
         SCK_E_EXISTS, "@: entry \"good\": the store has another key of that name"},
    };
    struct sck_buf before = {0}, after = {0};
    size_t imported = 0, known = 0;
    char want[640];
    make(k, "sk--k--alice");
    read_text(file, &before);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = plain(cases[i].text);
        EXPECT_FAIL(sck_keeper_local_import(k, path, &imported, &known, &err), cases[i].code,
                    about(cases[i].message, path));
        read_text(file, &after);
        assert_int_equal(before.len, after.len);
        assert_memory_equal(before.data, after.data, after.len);
        sck_buf_clear(&after);
    }
    sck_buf_clear(&before);
    (void)snprintf(want, sizeof want, "cannot open %s/none: No such file or directory", top);
    char none[340];
    (void)snprintf(none, sizeof none, "%s/none", top);
    EXPECT_FAIL(sck_keeper_local_import(k, none, &imported, &known, &err), SCK_E_NOT_FOUND, want);
}

/* ---- threads, processes, crashes ---- */

struct thread_arg {
    struct sck_keeper *k;
    unsigned number;
};

static void *
make_and_use(void *arg)
{
    const struct thread_arg *t = arg;
    for (unsigned i = 0; i < 8; i++) {
        char name[32];
        struct sck_erase_proof proof;
        (void)snprintf(name, sizeof name, "sk--k--t%u-%u", t->number, i);
        forkgate_work();
        make(t->k, name);
        struct wrapped w = wrap(t->k, name, (uint8_t)i);
        EXPECT_OK(unwrap(t->k, name, &w, (uint8_t)i, &err));
        if (i % 2 == 0) {
            const struct sck_kek kek = kek_named(name);
            EXPECT_OK(t->k->ops->erase(t->k, &kek, w.version, w.blob, w.len, &proof, &err));
        }
        forkgate_rest();
    }
    return NULL;
}

static void
threads_and_processes_lose_nothing(void **state)
{
    struct sck_keeper *k = *state;
    pthread_t threads[4];
    struct thread_arg args[5];
    pid_t child = fork();
    if (child == 0) {
        args[4] = (struct thread_arg){k, 9};
        (void)make_and_use(&args[4]);
        _exit(0);
    }
    for (unsigned i = 0; i < 4; i++) {
        args[i] = (struct thread_arg){k, i};
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_use, &args[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    static const unsigned makers[] = {0, 1, 2, 3, 9};
    for (size_t i = 0; i < 5; i++) {
        for (unsigned n = 0; n < 8; n++) {
            char name[32];
            (void)snprintf(name, sizeof name, "sk--k--t%u-%u\"", makers[i], n);
            assert_int_equal(file_holds(file, name), n % 2 == 1);
        }
    }
}

#ifdef SCK_FAULT_POINTS
static void
killed_at(const char *point, void (*work)(void))
{
    pid_t child = fork();
    if (child == 0) {
        (void)setenv("SCOPEKEY_FAULT_POINT", point, 1);
        work();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
make_zoe(void)
{
    struct sck_kek_made made;
    struct sck_keeper *k = open_by(SCK_LOCAL_BY_TOKEN);
    (void)!k->ops->create(k, "sk--k--zoe", 1, &made, NULL);
}

static void
erase_yan(void)
{
    struct sck_erase_proof proof;
    struct sck_keeper *k = open_by(SCK_LOCAL_BY_TOKEN);
    const struct sck_kek yan = kek_named("sk--k--yan");
    (void)!k->ops->erase(k, &yan, 1, NULL, 0, &proof, NULL);
}

static void
a_killed_change_is_whole_or_not_there(void **state)
{
    struct sck_keeper *k = *state;
    static const char *const points[] = {"local.written", "local.backup", "local.renamed"};
    struct sck_erase_proof proof;
    const struct sck_kek zoe = kek_named("sk--k--zoe");
    make(k, "sk--k--yan");
    struct wrapped w = wrap(k, "sk--k--yan", 1);
    for (size_t i = 0; i < 3; i++) {
        uint32_t version = 0;
        killed_at(points[i], make_zoe);
        assert_int_equal(k->ops->newest(k, &zoe, &version, NULL), i == 2 ? SCK_OK : SCK_E_NOT_FOUND);
        EXPECT_OK(unwrap(k, "sk--k--yan", &w, 1, &err));
        if (i < 2)
            make(k, "sk--k--zoe");
        EXPECT_OK(k->ops->erase(k, &zoe, 1, NULL, 0, &proof, &err));
    }
    /* What a killed writer left beside the file holds KEKs too. */
    char temp[340];
    (void)snprintf(temp, sizeof temp, "%s.tmp", file);
    killed_at("local.written", make_zoe);
    assert_true(file_holds(temp, "sk--k--yan"));
    killed_at("local.renamed", erase_yan);
    assert_false(file_holds(file, "sk--k--yan"));
    assert_true(file_holds(backup(1), "sk--k--yan"));
    assert_int_equal(access(temp, F_OK), -1);
    killed_at("local.purged", erase_yan);
    const struct sck_kek yan = kek_named("sk--k--yan");
    EXPECT_OK(k->ops->erase(k, &yan, 1, w.blob, w.len, &proof, &err));
    assert_true(proof.canary_refused);
    for (unsigned n = 1; n <= 3; n++)
        assert_false(access(backup(n), F_OK) == 0 && file_holds(backup(n), "sk--k--yan"));
}
#endif

#define LOCAL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL_TEST(keks_wrap_and_open_after_a_restart),
        LOCAL_TEST(the_file_is_closed_to_others_and_holds_no_key_in_clear),
        LOCAL_TEST(another_users_file_is_refused),
        LOCAL_TEST(a_file_that_is_gone_is_never_an_erasure),
        LOCAL_TEST(an_erased_kek_is_in_no_backup),
        LOCAL_TEST(another_process_sees_an_erasure_at_once),
        LOCAL_TEST(versions_rotate_and_retire),
        LOCAL_TEST(what_a_person_writes_into_the_file_is_honoured),
        LOCAL_TEST(damaged_and_foreign_files_are_refused),
        LOCAL_TEST(swapped_values_are_refused),
        LOCAL_TEST(the_root_opens_by_its_holder_alone),
        LOCAL_TEST(production_is_refused),
        LOCAL_TEST(plain_keys_are_imported),
        LOCAL_TEST(bad_plain_files_import_nothing),
        LOCAL_TEST(threads_and_processes_lose_nothing),
#ifdef SCK_FAULT_POINTS
        LOCAL_TEST(a_killed_change_is_whole_or_not_there),
#endif
    };
    return cmocka_run_group_tests_name("vault/keeper_local", tests, NULL, NULL);
}
