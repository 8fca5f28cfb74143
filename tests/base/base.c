/* SPDX-License-Identifier: MIT */
/* lib/base: errors, buffers, secrets, texts, files, locks. */
#include "tests/lib/expect.h"

#include "lib/base/bytes.h"
#include "lib/base/crypto.h"
#include "lib/base/file.h"
#include "lib/base/process.h"
#include "lib/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static const char *
path_of(const char *name)
{
    static char path[2][128];
    static unsigned turn;
    char *p = path[turn++ % 2];
    (void)snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void
the_first_cause_wins(void **state)
{
    (void)state;
    struct sck_err err = SCK_ERR_INIT;
    assert_int_equal(sck_fail(&err, SCK_E_BUSY, "first %d", 1), SCK_E_BUSY);
    assert_int_equal(sck_fail(&err, SCK_E_IO, "second"), SCK_E_BUSY);
    assert_string_equal(err.message, "first 1");
    sck_err_prefix(&err, "while %s", "testing");
    assert_string_equal(err.message, "while testing: first 1");
    sck_err_clear(&err);
    errno = EPERM;
    assert_int_equal(sck_fail_errno(&err, SCK_E_IO, ENOENT, "cannot open x"), SCK_E_IO);
    assert_string_equal(err.message, "cannot open x: No such file or directory");
    assert_int_equal(err.sys_errno, ENOENT);
    assert_int_equal(errno, EPERM);
    /* A message longer than the record is cut, never written past it. */
    char text[2 * SCK_ERR_MESSAGE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    sck_err_clear(&err);
    (void)sck_fail(&err, SCK_E_IO, "%s", text);
    sck_err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), SCK_ERR_MESSAGE_MAX - 1);
}

static void
a_buffer_stops_at_its_maximum(void **state)
{
    (void)state;
    struct sck_buf buf;
    sck_buf_init(&buf, 4);
    sck_buf_put(&buf, "abc", 3);
    assert_string_equal(sck_buf_str(&buf), "abc");
    sck_buf_put(&buf, "de", 2);
    assert_true(buf.failed);
    assert_int_equal(buf.len, 3);
    sck_buf_put(&buf, "d", 1);
    assert_int_equal(buf.len, 3);
    EXPECT_FAIL(sck_buf_check(&buf, "the thing", &err), SCK_E_USAGE, "the thing is larger than 4 bytes");
    sck_buf_reset(&buf);
    sck_buf_printf(&buf, "%d", 1234);
    EXPECT_OK(sck_buf_check(&buf, "the thing", &err));
    sck_buf_clear(&buf);
    struct sck_reader r = sck_reader_from("\x01\x02\x03", 3);
    assert_int_equal(sck_read_u16(&r), 0x0102);
    assert_int_equal(sck_read_u32(&r), 0);
    assert_true(r.failed);
    assert_false(sck_reader_is_done(&r));
}

/* Kilobytes of locked memory; the sanitizers make mlock(2) do nothing, so there it is what was asked for. */
static long
locked_kib(void)
{
    enum { ASKED_FOR = 1024 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    const bool real = false;
#else
    const bool real = true;
#endif
    if (!real)
        return ASKED_FOR;
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "VmLck: %ld", &kib) == 1)
            break;
    }
    if (f != NULL)
        (void)fclose(f);
    return kib;
}

static void
secrets_are_locked_here_and_in_a_child(void **state)
{
    (void)state;
    struct sck_secret *small = NULL;
    struct sck_secret *large = NULL;
    EXPECT_OK(sck_secret_from("secret", 6, &small, &err));
    EXPECT_OK(sck_secret_new(100000, &large, &err));
    assert_memory_equal(small->data, "secret", 6);
    assert_true(locked_kib() >= 64 + 97);
    pid_t child = fork();
    if (child == 0)
        _exit(memcmp(small->data, "secret", 6) == 0 && locked_kib() >= 64 ? 0 : 1);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* Wiped before it is given to somebody else. */
    const uint8_t *was = small->data;
    sck_secret_free(&small);
    assert_null(small);
    EXPECT_OK(sck_secret_new(6, &small, &err));
    assert_ptr_equal(small->data, was);
    assert_memory_equal(small->data, "\0\0\0\0\0\0", 6);
    sck_secret_free(&small);
    sck_secret_free(&large);
    EXPECT_FAIL(sck_secret_new(0, &small, &err), SCK_E_INTERNAL, "a secret of 0 bytes was asked for");
}

static void
texts_have_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } base64[] = {{"", true},       {"QQ==", true},   {"QQ", true},     {"QR==", false}, {"QQ=", false}, {"Q", false},
                  {"QUI=", true},   {"QUJ=", false},  {"QUJD", true},   {"QU JD", false}, {"+/+/", true}, {"-_-_", true},
                  {"+_+_", false},  {"QQ==QQ==", false}, {"====", false}, {"QUJD\n", false}};
    for (size_t i = 0; i < sizeof base64 / sizeof base64[0]; i++) {
        struct sck_buf out;
        sck_buf_init(&out, 64);
        if (sck_base64_parse(base64[i].text, strlen(base64[i].text), &out) != base64[i].good)
            fail_msg("base64 \"%s\"", base64[i].text);
        sck_buf_clear(&out);
    }
    static const char *const bad_times[] = {"2023-02-29T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z",
                                            "2024-01-01 00:00:00Z", "2024-01-01T00:00:00z", "1969-12-31T23:59:59Z",
                                            "2024-13-01T00:00:00Z", "2024-1-01T00:00:00Z",  "2024-04-31T00:00:00Z"};
    int64_t when = 0;
    for (size_t i = 0; i < sizeof bad_times / sizeof bad_times[0]; i++)
        assert_false(sck_time_parse(bad_times[i], strlen(bad_times[i]), &when));
    assert_true(sck_time_parse("2024-02-29T12:34:56Z", 20, &when));
    assert_int_equal(when, 1709210096);
    char text[SCK_TIME_TEXT];
    sck_time_format(253402300799, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    static const uint8_t overlong[] = {0xC0, 0xAF};
    static const uint8_t surrogate[] = {0xED, 0xA0, 0x80};
    assert_false(sck_utf8_is_clean(overlong, sizeof overlong));
    assert_false(sck_utf8_is_clean(surrogate, sizeof surrogate));
    assert_false(sck_utf8_is_clean((const uint8_t *)"a\tb", 3));
    assert_true(sck_utf8_is_clean((const uint8_t *)"gr\xC3\xBCn", 5));
}

static void
files_are_whole_or_not_there(void **state)
{
    (void)state;
    struct sck_buf read = {0};
    struct stat st;
    char want[256];
    EXPECT_OK(sck_file_create(path_of("a"), "one", 3, 0640, &err));
    (void)snprintf(want, sizeof want, "cannot create %s: File exists", path_of("a"));
    EXPECT_FAIL(sck_file_create(path_of("a"), "two", 3, 0640, &err), SCK_E_EXISTS, want);
    EXPECT_OK(sck_file_replace(path_of("a"), "two", 3, 0600, &err));
    assert_int_equal(stat(path_of("a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    EXPECT_OK(sck_file_append(path_of("a"), "+", 1, 0600, &err));
    EXPECT_OK(sck_file_read(path_of("a"), 4, &read, &err));
    assert_memory_equal(read.data, "two+", 4);
    sck_buf_clear(&read);
    (void)snprintf(want, sizeof want, "%s is larger than 3 bytes", path_of("a"));
    EXPECT_FAIL(sck_file_read(path_of("a"), 3, &read, &err), SCK_E_USAGE, want);
    (void)snprintf(want, sizeof want, "cannot open %s: No such file or directory", path_of("none"));
    EXPECT_FAIL(sck_file_read(path_of("none"), 3, &read, &err), SCK_E_NOT_FOUND, want);
    (void)snprintf(want, sizeof want, "cannot make directory %s: Not a directory", path_of("a"));
    EXPECT_FAIL(sck_dir_make(path_of("a"), 0700, &err), SCK_E_IO, want);
}

static void
a_lock_is_held_against_other_opens(void **state)
{
    (void)state;
    int first = -1;
    int second = -1;
    char want[256];
    EXPECT_OK(sck_lock_acquire(path_of("lock"), 0, &first, &err));
    (void)snprintf(want, sizeof want, "another process holds %s: try again when it is done", path_of("lock"));
    EXPECT_FAIL(sck_lock_acquire(path_of("lock"), 20, &second, &err), SCK_E_BUSY, want);
    assert_int_equal(second, -1);
    sck_lock_release(&first);
    EXPECT_OK(sck_lock_acquire(path_of("lock"), 0, &second, &err));
    sck_lock_release(&second);
}

static void
known_answers_of_the_primitives(void **state)
{
    (void)state;
    uint8_t out[64];
    uint8_t want[64];
    /* FIPS 180-4 example "abc"; RFC 4231 test case 2; RFC 5869 test case 1; RFC 3720 B.4 (32 zero bytes). */
    EXPECT_OK(sck_sha256("abc", 3, out, &err));
    assert_true(sck_hex_parse("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 64, want, 32));
    assert_memory_equal(out, want, 32);
    EXPECT_OK(sck_hmac_sha256((const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28, out, &err));
    assert_true(sck_hex_parse("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", 64, want, 32));
    assert_memory_equal(out, want, 32);
    static const uint8_t ikm[22] = {11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11};
    static const uint8_t salt[13] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t info[10] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9};
    EXPECT_OK(sck_hkdf_sha256(ikm, sizeof ikm, salt, sizeof salt, info, sizeof info, out, 42, &err));
    assert_true(sck_hex_parse("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", 84,
                              want, 42));
    assert_memory_equal(out, want, 42);
    static const uint8_t zeros[32];
    assert_int_equal(sck_crc32c(zeros, sizeof zeros), 0x8A9136AA);
    uint8_t sealed[5 + 16];
    EXPECT_OK(sck_gcm_seal(zeros, zeros, NULL, 0, (const uint8_t *)"hello", 5, sealed, &err));
    EXPECT_OK(sck_gcm_open(zeros, zeros, NULL, 0, sealed, sizeof sealed, out, &err));
    assert_memory_equal(out, "hello", 5);
    sealed[20] ^= 1;
    EXPECT_FAIL(sck_gcm_open(zeros, zeros, NULL, 0, sealed, sizeof sealed, out, &err), SCK_E_AUTHENTIC,
                "the data was altered or sealed with another key");
    assert_memory_equal(out, "\0\0\0\0\0", 5);
}

static int
set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/scopekey-base-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int
tear_down(void **state)
{
    (void)state;
    (void)unlink(path_of("a"));
    (void)unlink(path_of("lock"));
    return rmdir(dir);
}

static void
a_program_of_ours_leaves_no_core(void **state)
{
    (void)state;
    struct rlimit limit;
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        sck_process_harden();
        _exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 &&
                      limit.rlim_max == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_cause_wins),
        cmocka_unit_test(a_buffer_stops_at_its_maximum),
        cmocka_unit_test(secrets_are_locked_here_and_in_a_child),
        cmocka_unit_test(texts_have_one_spelling),
        cmocka_unit_test(files_are_whole_or_not_there),
        cmocka_unit_test(a_lock_is_held_against_other_opens),
        cmocka_unit_test(known_answers_of_the_primitives),
        cmocka_unit_test(a_program_of_ours_leaves_no_core),
    };
    return cmocka_run_group_tests_name("base", tests, set_up, tear_down);
}
