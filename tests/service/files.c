/* SPDX-License-Identifier: MIT */
/* What is in an encrypted file: sizes, an independent reader, and everything that is refused. */
#include "tests/service/sealed.h"

#include "lib/base/crypto.h"
#include "lib/base/text.h"
#include "lib/service/engine.h"
#include "lib/service/filekey.h"

#include <sys/wait.h>
#include <unistd.h>

#define HEAD 64                 /* without metadata */
#define BODY (HEAD + SCK_FLOE_HEADER_LEN)

static struct sck_file_rec
row_of(const char *name)
{
    struct sck_input in;
    struct sck_container head;
    struct sck_file_rec row;
    EXPECT_OK(sck_input_open(home_path(&sealed_home, name), &in, &err));
    EXPECT_OK(sck_head_read(&in, &head, &err));
    sck_input_close(&in);
    EXPECT_OK(sck_filekey_find(sealed_svc, &head, &row, &err));
    return row;
}

/* The DEK of a file, as the independent reader wants it. */
static void
dek_of(const char *name, char hex[65])
{
    struct sck_secret *dek = NULL;
    struct sck_file_rec row = row_of(name);
    EXPECT_OK(sck_filekey_open(sealed_svc, &row, &dek, &err));
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", dek->data[i]);
    sck_secret_free(&dek);
    sck_record_clear(SCK_TABLE_FILES, &row);
}

/* Run tests/service/read_file.py; its exit status. */
static int
read_independently(const char *sealed, const char *out)
{
    char hex[65];
    char command[2048];
    dek_of(sealed, hex);
    (void)snprintf(command, sizeof command, "echo %s | python3 '%s/read_file.py' '%s' >'%s' 2>'%s.err'", hex,
                   TESTS_SERVICE_DIR, home_path(&sealed_home, sealed), home_path(&sealed_home, out),
                   home_path(&sealed_home, out));
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
every_size_comes_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 3 * 4096, 40 * 4096 + 17};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct sck_file_info info;
        size_t segments = sizes[i] == 0 ? 1 : (sizes[i] + 4095) / 4096;
        (void)sealed_plain("p", sizes[i]);
        EXPECT_OK(sealed_encrypt("p", "p.sk", &err));
        struct sck_buf sealed = sealed_read("p.sk");
        assert_int_equal(sealed.len, BODY + sizes[i] + segments * SCK_FLOE_OVERHEAD);
        sck_buf_clear(&sealed);
        EXPECT_OK(sck_file_info(sealed_svc, home_path(&sealed_home, "p.sk"), &info, &err));
        assert_int_equal(info.plain_size, sizes[i]);
        assert_int_equal(info.chunk_bytes, 4096);
        assert_true(info.known);
        assert_false(info.erased);
        assert_string_equal(info.state, "active");
        assert_string_equal(info.owner, "subject/alice");
        assert_int_equal(info.due_s - info.created_s, 30 * 24 * 3600);
        EXPECT_OK(sealed_decrypt("p.sk", "q", &err));
        sealed_expect_same("p", "q");
        assert_int_equal(read_independently("p.sk", "r"), 0);
        sealed_expect_same("p", "r");
        (void)unlink(home_path(&sealed_home, "p.sk"));
        (void)unlink(home_path(&sealed_home, "q"));
    }
}

static void
chunks_have_bounds_and_a_default(void **state)
{
    (void)state;
    static const struct {
        int64_t bytes;
        const char *refused;
    } chunks[] = {{4095, "a chunk has 4096 bytes to 64 MiB, not 4095"},
                  {-1, "a chunk has 4096 bytes to 64 MiB, not -1"},
                  {(64 << 20) + 1, "a chunk has 4096 bytes to 64 MiB, not 67108865"},
                  {4096, NULL},
                  {64 << 20, NULL},
                  {0, NULL}};
    (void)sealed_plain("p", 300000);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        const struct sck_encrypt_opts opts = {.chunk_bytes = chunks[i].bytes};
        struct sck_file_info info;
        if (chunks[i].refused != NULL) {
            EXPECT_FAIL(sealed_encrypt_with(opts, "p", "c.sk", &err), SCK_E_USAGE, chunks[i].refused);
            assert_false(sealed_is_there("c.sk"));
            continue;
        }
        EXPECT_OK(sealed_encrypt_with(opts, "p", "c.sk", &err));
        EXPECT_OK(sck_file_info(sealed_svc, home_path(&sealed_home, "c.sk"), &info, &err));
        assert_int_equal(info.chunk_bytes, chunks[i].bytes != 0 ? chunks[i].bytes : 256 * 1024);
        assert_string_equal(info.owner, "files");
        EXPECT_OK(sealed_decrypt("c.sk", "c", &err));
        sealed_expect_same("p", "c");
        (void)unlink(home_path(&sealed_home, "c.sk"));
        (void)unlink(home_path(&sealed_home, "c"));
    }
}

/* Decrypting `bad` fails with `code`, and nothing is there afterwards that was not there before. */
static void
expect_refused(const char *bad, enum sck_code code, size_t at)
{
    struct sck_err err = SCK_ERR_INIT;
    size_t before = sealed_names();
    enum sck_code rc = sealed_decrypt(bad, "out", &err);
    if (rc != code || sealed_is_there("out") || sealed_names() != before)
        fail_msg("at %zu: %s, %s, output %s", at, sck_code_name(rc), err.message,
                 sealed_is_there("out") ? "there" : "not there");
}

/* A small file byte by byte; of a larger one the head, the header and the ends of segments, and a sample between. */
static void
flip_bytes(size_t plain_len)
{
    (void)sealed_plain("p", plain_len);
    const struct sck_encrypt_opts opts = {.io = {.force = true}, .chunk_bytes = 4096, .preserve = true};
    EXPECT_OK(sealed_encrypt_with(opts, "p", "f.sk", &err));
    struct sck_buf sealed = sealed_read("f.sk");
    for (size_t i = 0; i < sealed.len; i += i > 400 && i < 4100 ? 97 : 1) {
        bool is_id = i >= 16 && i < 48;
        sealed.data[i] ^= (uint8_t)(1U << (i % 8));
        sealed_write("bad.sk", sealed.data, sealed.len);
        expect_refused("bad.sk", is_id ? SCK_E_NOT_FOUND : SCK_E_AUTHENTIC, i);
        sealed.data[i] ^= (uint8_t)(1U << (i % 8));
    }
    sck_buf_clear(&sealed);
    EXPECT_OK(sealed_decrypt("f.sk", "f", &err));
    (void)unlink(home_path(&sealed_home, "f"));
}

static void
every_flipped_byte_is_refused(void **state)
{
    (void)state;
    flip_bytes(50);
    flip_bytes(4096 + 50);
}

static void
every_cut_of_a_small_file_is_refused(void **state)
{
    (void)state;
    (void)sealed_plain("p", 50);
    EXPECT_OK(sealed_encrypt("p", "small.sk", &err));
    struct sck_buf sealed = sealed_read("small.sk");
    for (size_t len = 0; len < sealed.len; len++) {
        sealed_write("bad.sk", sealed.data, len);
        expect_refused("bad.sk", SCK_E_AUTHENTIC, len);
    }
    sck_buf_clear(&sealed);
}

static void
every_cut_and_extension_is_refused(void **state)
{
    (void)state;
    (void)sealed_plain("p", 2 * 4096);
    EXPECT_OK(sealed_encrypt("p", "cut.sk", &err));
    struct sck_buf sealed = sealed_read("cut.sk");
    for (size_t len = 0; len < sealed.len; len += len % 4160 > 300 && len < 8200 ? 61 : 1) {
        sealed_write("bad.sk", sealed.data, len);
        expect_refused("bad.sk", SCK_E_AUTHENTIC, len);
    }
    static const size_t more[] = {1, 31, 32, 33, 4096, 4128};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        struct sck_buf longer;
        sck_buf_init(&longer, 1 << 20);
        sck_buf_put(&longer, sealed.data, sealed.len);
        (void)sck_buf_grow(&longer, more[i]);
        sealed_write("bad.sk", longer.data, longer.len);
        expect_refused("bad.sk", SCK_E_AUTHENTIC, longer.len);
        sck_buf_clear(&longer);
    }
    /* At the very end of a segment: what is left looks whole. */
    sealed_write("bad.sk", sealed.data, BODY + 4128);
    EXPECT_FAIL(sealed_decrypt("bad.sk", "out", &err), SCK_E_AUTHENTIC,
                sealed_text("%s was altered or cut off: encrypted file: segment 0 is not where it belongs, or cut",
                            "bad.sk"));
    sealed_write("bad.sk", sealed.data, 20);
    EXPECT_FAIL(sealed_decrypt("bad.sk", "out", &err), SCK_E_AUTHENTIC,
                sealed_text("%s is not a Scopekey file, or cut off in its header", "bad.sk"));
    sealed_write("bad.sk", sealed.data, 70);
    EXPECT_FAIL(sealed_decrypt("bad.sk", "out", &err), SCK_E_AUTHENTIC,
                sealed_text("%s is cut off in its header", "bad.sk"));
    sck_buf_clear(&sealed);
}

static void
segments_are_bound_to_their_place_and_file(void **state)
{
    (void)state;
    enum { SEGMENT = 4096 + SCK_FLOE_OVERHEAD, COUNT = 12 };
    uint8_t held[SEGMENT];
    (void)sealed_plain("p", COUNT * 4096);
    EXPECT_OK(sealed_encrypt("p", "one.sk", &err));
    EXPECT_OK(sealed_encrypt("p", "two.sk", &err));
    struct sck_buf one = sealed_read("one.sk");
    struct sck_buf two = sealed_read("two.sk");
    assert_int_equal(one.len, BODY + COUNT * SEGMENT);
    for (size_t a = 0; a < COUNT; a++) {
        for (size_t b = a + 1; b < COUNT; b++) {
            uint8_t *left = one.data + BODY + a * SEGMENT;
            uint8_t *right = one.data + BODY + b * SEGMENT;
            memcpy(held, left, SEGMENT);
            memcpy(left, right, SEGMENT);
            memcpy(right, held, SEGMENT);
            sealed_write("bad.sk", one.data, one.len);
            expect_refused("bad.sk", SCK_E_AUTHENTIC, a * 100 + b);
            memcpy(right, left, SEGMENT);
            memcpy(left, held, SEGMENT);
        }
        memcpy(held, one.data + BODY + a * SEGMENT, SEGMENT);
        memcpy(one.data + BODY + a * SEGMENT, two.data + BODY + a * SEGMENT, SEGMENT);
        sealed_write("bad.sk", one.data, one.len);
        expect_refused("bad.sk", SCK_E_AUTHENTIC, a);
        memcpy(one.data + BODY + a * SEGMENT, held, SEGMENT);
    }
    /* The whole body of the other file behind this one's head. */
    memcpy(one.data + HEAD, two.data + HEAD, two.len - HEAD);
    sealed_write("bad.sk", one.data, one.len);
    EXPECT_FAIL(sealed_decrypt("bad.sk", "out", &err), SCK_E_AUTHENTIC,
                sealed_text("%s was altered: this is not the header its key was made for", "bad.sk"));
    sck_buf_clear(&one);
    sck_buf_clear(&two);
}

/* Of several bad segments the first is named, whoever was quicker; on a pipe the good ones before it come out. */
static void
the_first_bad_segment_is_named(void **state)
{
    (void)state;
    enum { SEGMENT = 4096 + SCK_FLOE_OVERHEAD };
    (void)sealed_plain("p", 64 * 4096);
    EXPECT_OK(sealed_encrypt("p", "many.sk", &err));
    struct sck_buf sealed = sealed_read("many.sk");
    for (size_t i = 21; i < 64; i++)
        sealed.data[BODY + i * SEGMENT + 100] ^= 1;
    sealed_write("bad.sk", sealed.data, sealed.len);
    sck_buf_clear(&sealed);
    for (int round = 0; round < 20; round++) {
        EXPECT_FAIL(sealed_decrypt("bad.sk", "out", &err), SCK_E_AUTHENTIC,
                    sealed_text("%s was altered or cut off: encrypted file: segment 21 was altered", "bad.sk"));
        assert_false(sealed_is_there("out"));
    }
    char command[1200];
    (void)snprintf(command, sizeof command, "cat >'%s'", home_path(&sealed_home, "piped"));
    (void)fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    FILE *pipe = popen(command, "w");
    assert_non_null(pipe);
    assert_int_equal(dup2(fileno(pipe), STDOUT_FILENO), STDOUT_FILENO);
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sealed_decrypt("bad.sk", "-", &why);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    (void)close(saved);
    (void)pclose(pipe);
    assert_int_equal(rc, SCK_E_AUTHENTIC);
    struct sck_buf piped = sealed_read("piped");
    struct sck_buf plain = sealed_read("p");
    assert_int_equal(piped.len, 21 * 4096);
    assert_memory_equal(piped.data, plain.data, piped.len);
    sck_buf_clear(&piped);
    sck_buf_clear(&plain);
}

/* Change the row of a file as a rotation would. */
static void
set_state(const char *name, enum sck_file_state to)
{
    struct sck_catalog *catalog = NULL;
    struct sck_file_rec row = row_of(name);
    row.state = to;
    EXPECT_OK(sck_engine_catalog(sealed_svc->engine, &catalog, &err));
    EXPECT_OK(sck_catalog_update(catalog, SCK_TABLE_FILES, &row, &err));
    sck_record_clear(SCK_TABLE_FILES, &row);
}

static void
an_older_version_is_told_from_the_current_one(void **state)
{
    (void)state;
    struct sck_file_info info;
    (void)sealed_plain("p", 100);
    EXPECT_OK(sealed_encrypt("p", "old.sk", &err));
    set_state("old.sk", SCK_FILE_RETIRED);
    EXPECT_FAIL(sealed_decrypt("old.sk", "out", &err), SCK_E_STATE,
                sealed_text("%s is an older version, rotated since: use --allow-retired to read it", "old.sk"));
    assert_false(sealed_is_there("out"));
    EXPECT_OK(sck_file_info(sealed_svc, home_path(&sealed_home, "old.sk"), &info, &err));
    assert_string_equal(info.state, "retired");
    EXPECT_OK(sealed_decrypt_with((struct sck_decrypt_opts){.allow_retired = true}, "old.sk", "out", &err));
    sealed_expect_same("p", "out");
    set_state("old.sk", SCK_FILE_DESTROYED);
    EXPECT_FAIL(sealed_decrypt("old.sk", "none", &err), SCK_E_ERASED,
                sealed_text("%s: its key was destroyed", "old.sk"));
    set_state("old.sk", SCK_FILE_PENDING);
    EXPECT_OK(sealed_decrypt("old.sk", "pending", &err));
    (void)unlink(home_path(&sealed_home, "out"));
}

static void
without_a_row_there_is_no_key(void **state)
{
    (void)state;
    struct sck_catalog *catalog = NULL;
    struct sck_file_info info;
    char uuid[SCK_UUID_TEXT];
    char want[200];
    (void)sealed_plain("p", 100);
    EXPECT_OK(sealed_encrypt("p", "own.sk", &err));
    struct sck_file_rec row = row_of("own.sk");
    EXPECT_OK(sck_engine_catalog(sealed_svc->engine, &catalog, &err));
    EXPECT_OK(sck_catalog_delete(catalog, SCK_TABLE_FILES, &row, &err));
    sck_uuid_format(row.file_id, uuid);
    sck_record_clear(SCK_TABLE_FILES, &row);
    (void)snprintf(want, sizeof want, "the catalog has no key for file %s: is this the right set-up?", uuid);
    EXPECT_FAIL(sealed_decrypt("own.sk", "out", &err), SCK_E_NOT_FOUND, want);
    EXPECT_OK(sck_file_info(sealed_svc, home_path(&sealed_home, "own.sk"), &info, &err));
    assert_false(info.known);
    assert_false(info.erased);
    assert_string_equal(info.owner, "");
    assert_string_equal(info.state, "");
    assert_false(sealed_is_there("out"));
}

static void
the_wall_hides_files_of_others(void **state)
{
    (void)state;
    static const char *const want = "scope subject/bob is outside the allowed scopes of this process";
    struct sck_scope bob = scope_of("subject/bob");
    struct sck_file_info info;
    (void)sealed_plain("p", 100);
    EXPECT_OK(sealed_encrypt_with((struct sck_encrypt_opts){.subject = &bob}, "p", "bob.sk", &err));
    EXPECT_OK(sealed_encrypt("p", "alice.sk", &err));
    struct sck_service *open = sealed_svc;
    sealed_svc = home_open(&sealed_home, "subject/alice");
    EXPECT_FAIL(sealed_decrypt("bob.sk", "out", &err), SCK_E_DENIED, want);
    EXPECT_FAIL(sck_file_info(sealed_svc, home_path(&sealed_home, "bob.sk"), &info, &err), SCK_E_DENIED, want);
    assert_string_equal(info.owner, "");
    const struct sck_encrypt_opts for_bob = {.subject = &bob};
    EXPECT_FAIL(sealed_encrypt_with(for_bob, "p", "new.sk", &err), SCK_E_DENIED, want);
    EXPECT_OK(sealed_decrypt("alice.sk", "mine", &err));
    sck_service_close(&sealed_svc);
    sealed_svc = open;
    assert_false(sealed_is_there("out"));
    assert_false(sealed_is_there("new.sk"));
}

static void
files_of_the_erased_are_gone(void **state)
{
    (void)state;
    struct sck_scope carol = scope_of("subject/carol");
    struct sck_file_info info;
    struct sck_buf receipt;
    char uuid[SCK_UUID_TEXT];
    char want[200];
    (void)sealed_plain("p", 100);
    const struct sck_encrypt_opts for_carol = {.subject = &carol};
    EXPECT_OK(sealed_encrypt_with(for_carol, "p", "carol.sk", &err));
    sck_buf_init(&receipt, 65536);
    EXPECT_OK(sck_erase(sealed_svc, &carol, NULL, NULL, &receipt, &err));
    sck_buf_clear(&receipt);
    EXPECT_OK(sck_file_info(sealed_svc, home_path(&sealed_home, "carol.sk"), &info, &err));
    assert_true(info.erased);
    assert_string_equal(info.owner, "");
    sck_uuid_format(info.file_id, uuid);
    (void)snprintf(want, sizeof want, "the key of file %s was erased: nobody can read it any more", uuid);
    EXPECT_FAIL(sealed_decrypt("carol.sk", "out", &err), SCK_E_ERASED, want);
    EXPECT_FAIL(sealed_encrypt_with(for_carol, "p", "again.sk", &err), SCK_E_ERASED,
                "subject/carol was erased: `scopekey subject create --again` starts anew");
    assert_false(sealed_is_there("out"));
    assert_false(sealed_is_there("again.sk"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(chunks_have_bounds_and_a_default),
        cmocka_unit_test(every_flipped_byte_is_refused),
        cmocka_unit_test(every_cut_of_a_small_file_is_refused),
        cmocka_unit_test(every_cut_and_extension_is_refused),
        cmocka_unit_test(segments_are_bound_to_their_place_and_file),
        cmocka_unit_test(the_first_bad_segment_is_named),
        cmocka_unit_test(an_older_version_is_told_from_the_current_one),
        cmocka_unit_test(without_a_row_there_is_no_key),
        cmocka_unit_test(the_wall_hides_files_of_others),
        cmocka_unit_test(files_of_the_erased_are_gone),
    };
    return cmocka_run_group_tests(tests, sealed_set_up, sealed_tear_down);
}
