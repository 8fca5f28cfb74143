/* SPDX-License-Identifier: MIT */
/* Where encrypted and decrypted files go: outputs are whole or not there, and nothing else changes. */
#include "tests/service/sealed.h"

#include "lib/service/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void
write_text(const char *name, const char *text)
{
    sealed_write(name, (const uint8_t *)text, strlen(text));
}

static void
expect_text(const char *name, const char *text)
{
    struct sck_buf bytes = sealed_read(name);
    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.len);
    sck_buf_clear(&bytes);
}

static mode_t
mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(stat(home_path(&sealed_home, name), &st), 0);
    return st.st_mode & 07777;
}

static void
drop(const char *name)
{
    (void)unlink(home_path(&sealed_home, name));
}

static void
an_output_that_exists_is_kept_unless_forced(void **state)
{
    (void)state;
    (void)sealed_plain("p", 5000);
    write_text("taken", "precious");
    EXPECT_FAIL(sealed_encrypt("p", "taken", &err), SCK_E_EXISTS,
                sealed_text("%s exists: choose another name or use --force", "taken"));
    expect_text("taken", "precious");
    struct sck_encrypt_opts force = {.io = {.force = true, .sync = true}};
    EXPECT_OK(sealed_encrypt_with(force, "p", "taken", &err));
    EXPECT_OK(sealed_decrypt("taken", "out", &err));
    sealed_expect_same("p", "out");
    write_text("kept", "precious");
    EXPECT_FAIL(sealed_decrypt("taken", "kept", &err), SCK_E_EXISTS,
                sealed_text("%s exists: choose another name or use --force", "kept"));
    expect_text("kept", "precious");
    const struct sck_decrypt_opts over = {.io = {.force = true, .sync = true}};
    EXPECT_OK(sealed_decrypt_with(over, "taken", "kept", &err));
    sealed_expect_same("p", "kept");
    /* A failure under --force leaves the old output as it was. */
    write_text("kept", "precious");
    struct sck_buf sealed = sealed_read("taken");
    sealed_write("cut", sealed.data, sealed.len - 1);
    sck_buf_clear(&sealed);
    struct sck_err why = SCK_ERR_INIT;
    assert_int_equal(sealed_decrypt_with(over, "cut", "kept", &why), SCK_E_AUTHENTIC);
    expect_text("kept", "precious");
    drop("out");
}

static void
links_as_outputs(void **state)
{
    (void)state;
    (void)sealed_plain("p", 10);
    write_text("target", "precious");
    assert_int_equal(symlink("target", home_path(&sealed_home, "link")), 0);
    assert_int_equal(symlink("nowhere", home_path(&sealed_home, "dangling")), 0);
    EXPECT_FAIL(sealed_encrypt("p", "link", &err), SCK_E_EXISTS,
                sealed_text("%s exists: choose another name or use --force", "link"));
    EXPECT_FAIL(sealed_encrypt("p", "dangling", &err), SCK_E_EXISTS,
                sealed_text("%s exists: choose another name or use --force", "dangling"));
    struct sck_encrypt_opts force = {.io = {.force = true}};
    EXPECT_OK(sealed_encrypt_with(force, "p", "link", &err));
    EXPECT_OK(sealed_encrypt_with(force, "p", "dangling", &err));
    expect_text("target", "precious");
    assert_false(sealed_is_there("nowhere"));
    EXPECT_OK(sealed_decrypt("link", "out", &err));
    sealed_expect_same("p", "out");
    drop("out");
    drop("link");
    drop("dangling");
}

static void
input_and_output_must_differ(void **state)
{
    (void)state;
    static const char *const names[] = {"p", "hard", "soft", "./p", NULL};
    const struct sck_encrypt_opts force = {.io = {.force = true}};
    const struct sck_decrypt_opts back = {.io = {.force = true}};
    (void)sealed_plain("p", 100);
    assert_int_equal(link(home_path(&sealed_home, "p"), home_path(&sealed_home, "hard")), 0);
    assert_int_equal(symlink("p", home_path(&sealed_home, "soft")), 0);
    for (size_t i = 0; names[i] != NULL; i++) {
        const char *want = sealed_text("%s is input and output at once: give another name with -o", names[i]);
        EXPECT_FAIL(sealed_encrypt_with(force, "p", names[i], &err), SCK_E_USAGE, want);
        EXPECT_FAIL(sealed_encrypt("p", names[i], &err), SCK_E_USAGE, want);
    }
    (void)sealed_plain("same", 100);
    sealed_expect_same("p", "same");
    EXPECT_OK(sealed_encrypt("p", "p.sk", &err));
    EXPECT_FAIL(sealed_decrypt_with(back, "p.sk", "p.sk", &err), SCK_E_USAGE,
                sealed_text("%s is input and output at once: give another name with -o", "p.sk"));
    /* Standard output appended to what is read. */
    int saved = dup(STDOUT_FILENO);
    (void)fflush(stdout);
    int fd = open(home_path(&sealed_home, "p"), O_WRONLY | O_APPEND);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    struct sck_err why = SCK_ERR_INIT;
    enum sck_code rc = sealed_encrypt("p", "-", &why);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    (void)close(saved);
    (void)close(fd);
    assert_int_equal(rc, SCK_E_USAGE);
    assert_string_equal(why.message, "standard output is the input itself: write to another file");
    sealed_expect_same("p", "same");
    drop("hard");
    drop("soft");
}

static void
things_that_are_no_files_are_refused(void **state)
{
    (void)state;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)sealed_plain("p", 10);
    assert_int_equal(mkdir(home_path(&sealed_home, "dir"), 0700), 0);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", home_path(&sealed_home, "socket"));
    int sock = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(sock, (struct sockaddr *)&at, sizeof at), 0);
    const struct sck_encrypt_opts force = {.io = {.force = true}};
    EXPECT_FAIL(sealed_encrypt("dir", "x", &err), SCK_E_USAGE, sealed_text("%s is a directory: name a file", "dir"));
    EXPECT_FAIL(sealed_encrypt("socket", "x", &err), SCK_E_USAGE,
                sealed_text("%s is neither a file nor a pipe: name a file", "socket"));
    EXPECT_FAIL(sealed_encrypt("/dev/null", "x", &err), SCK_E_USAGE,
                "/dev/null is neither a file nor a pipe: name a file");
    EXPECT_FAIL(sealed_decrypt("/dev/zero", "x", &err), SCK_E_USAGE,
                "/dev/zero is neither a file nor a pipe: name a file");
    EXPECT_FAIL(sealed_encrypt("none", "x", &err), SCK_E_IO,
                sealed_text("cannot open %s: No such file or directory", "none"));
    EXPECT_FAIL(sealed_encrypt("p", "dir", &err), SCK_E_USAGE,
                sealed_text("%s is a directory: give a file name with -o", "dir"));
    EXPECT_FAIL(sealed_encrypt("p", "new/", &err), SCK_E_USAGE,
                sealed_text("%s is a directory: give a file name with -o", "new/"));
    EXPECT_FAIL(sealed_encrypt_with(force, "p", "socket", &err), SCK_E_USAGE,
                sealed_text("%s is no regular file and is not replaced", "socket"));
    EXPECT_FAIL(sealed_encrypt("p", "nodir/x", &err), SCK_E_IO,
                sealed_text("cannot write into directory %s: No such file or directory", "nodir"));
    struct sck_err why = SCK_ERR_INIT;
    struct sck_file_info info;
    const struct sck_encrypt_opts empty = {.io = {.in = home_path(&sealed_home, "p"), .out = ""}};
    assert_int_equal(sck_file_encrypt(sealed_svc, &empty, &info, &why), SCK_E_USAGE);
    assert_string_equal(why.message, "the output has an empty name: give a file name with -o");
    assert_false(sealed_is_there("x"));
    (void)close(sock);
    drop("socket");
    (void)rmdir(home_path(&sealed_home, "dir"));
}

static void
names_are_any_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"new\nline", "\xff\xfe not UTF-8 \x80", "-", " ", "a'b\"c"};
    (void)sealed_plain("p", 4097);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char in[64];
        char out[64];
        (void)snprintf(in, sizeof in, "./%s", names[i]);
        (void)snprintf(out, sizeof out, "./%s.sk", names[i]);
        (void)sealed_plain(in, 4097);
        EXPECT_OK(sealed_encrypt_with((struct sck_encrypt_opts){.preserve = true}, in, out, &err));
        EXPECT_OK(sealed_decrypt(out, "out", &err));
        sealed_expect_same("p", "out");
        drop("out");
        drop(in);
        drop(out);
    }
}

/* A directory that this process may not write into, whoever it is. */
static void
set_override(bool on)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    assert_int_equal(syscall(SYS_capget, &head, data), 0);
    unsigned bit = 1U << CAP_DAC_OVERRIDE;
    data[0].effective = on ? data[0].effective | (data[0].permitted & bit) : data[0].effective & ~bit;
    assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static void
a_read_only_directory_is_told(void **state)
{
    (void)state;
    (void)sealed_plain("p", 10);
    assert_int_equal(mkdir(home_path(&sealed_home, "ro"), 0700), 0);
    write_text("ro/old", "precious");
    assert_int_equal(chmod(home_path(&sealed_home, "ro"), 0500), 0);
    set_override(false);
    const struct sck_encrypt_opts force = {.io = {.force = true}};
    EXPECT_FAIL(sealed_encrypt("p", "ro/new", &err), SCK_E_IO,
                sealed_text("cannot write into directory %s: Permission denied", "ro"));
    EXPECT_FAIL(sealed_encrypt_with(force, "p", "ro/old", &err), SCK_E_IO,
                sealed_text("cannot write into directory %s: Permission denied", "ro"));
    set_override(true);
    assert_int_equal(chmod(home_path(&sealed_home, "ro"), 0700), 0);
    expect_text("ro/old", "precious");
    drop("ro/old");
    assert_int_equal(rmdir(home_path(&sealed_home, "ro")), 0);
}

static void
count_row(int64_t *count)
{
    struct sck_catalog *catalog = NULL;
    EXPECT_OK(sck_engine_catalog(sealed_svc->engine, &catalog, &err));
    EXPECT_OK(sck_catalog_count(catalog, SCK_TABLE_FILES, count, &err));
}

static void
a_file_too_large_for_its_place_leaves_the_old_one(void **state)
{
    (void)state;
    struct rlimit before;
    int64_t rows = 0;
    int64_t rows_after = 0;
    (void)sealed_plain("big", 24 << 20);
    write_text("old.sk", "precious");
    count_row(&rows);
    size_t names = sealed_names();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {20 << 20, before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct sck_err forced_err = SCK_ERR_INIT;
    struct sck_err plain_err = SCK_ERR_INIT;
    const struct sck_encrypt_opts force = {.io = {.force = true, .sync = true}};
    enum sck_code forced = sealed_encrypt_with(force, "big", "old.sk", &forced_err);
    enum sck_code plain = sealed_encrypt("big", "new.sk", &plain_err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(forced, SCK_E_IO);
    assert_string_equal(forced_err.message, sealed_text("cannot write %s: File too large", "old.sk"));
    assert_int_equal(plain, SCK_E_IO);
    assert_string_equal(plain_err.message, sealed_text("cannot write %s: File too large", "new.sk"));
    expect_text("old.sk", "precious");
    assert_false(sealed_is_there("new.sk"));
    assert_int_equal(sealed_names(), names);
    count_row(&rows_after);
    assert_int_equal(rows_after, rows);
}

/* Where a file system can be mounted: one that is full. */
static void
a_full_file_system_leaves_the_old_output(void **state)
{
    (void)state;
    const char *at = home_path(&sealed_home, "small");
    (void)sealed_plain("big", 2 << 20);
    assert_int_equal(mkdir(at, 0700), 0);
    if (mount("none", at, "tmpfs", 0, "size=1m") != 0) {
        print_message("tmpfs cannot be mounted here (%s): RLIMIT_FSIZE stands for a full disk\n", strerror(errno));
        assert_int_equal(rmdir(at), 0);
        return;
    }
    write_text("small/old", "precious");
    EXPECT_OK(sealed_encrypt("big", "big.sk", &err));
    const struct sck_encrypt_opts force = {.io = {.force = true}};
    EXPECT_FAIL(sealed_encrypt_with(force, "big", "small/old", &err), SCK_E_IO,
                sealed_text("cannot write %s: No space left on device", "small/old"));
    EXPECT_FAIL(sealed_decrypt("big.sk", "small/new", &err), SCK_E_IO,
                sealed_text("cannot write %s: No space left on device", "small/new"));
    expect_text("small/old", "precious");
    assert_false(sealed_is_there("small/new"));
    assert_int_equal(umount2(home_path(&sealed_home, "small"), MNT_DETACH), 0);
    assert_int_equal(rmdir(home_path(&sealed_home, "small")), 0);
    drop("big.sk");
}

static void
plaintext_is_private_whatever_the_umask(void **state)
{
    (void)state;
    (void)sealed_plain("p", 10);
    mode_t before = umask(0);
    EXPECT_OK(sealed_encrypt("p", "m0.sk", &err));
    EXPECT_OK(sealed_decrypt("m0.sk", "m0", &err));
    (void)umask(027);
    EXPECT_OK(sealed_encrypt("p", "m27.sk", &err));
    (void)umask(before);
    assert_int_equal(mode_of("m0.sk"), 0666);
    assert_int_equal(mode_of("m27.sk"), 0640);
    assert_int_equal(mode_of("m0"), 0600);
}

static void
mode_and_time_are_preserved_on_request(void **state)
{
    (void)state;
    static const struct timespec times[] = {{1600000000, 123456789}, {-86400, 5}, {0, 0}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct stat st;
        const struct timespec both[2] = {times[i], times[i]};
        const char *path = sealed_plain("kept", 10);
        assert_int_equal(chmod(path, 0754), 0);
        assert_int_equal(utimensat(AT_FDCWD, path, both, 0), 0);
        EXPECT_OK(sealed_encrypt_with((struct sck_encrypt_opts){.preserve = true}, "kept", "kept.sk", &err));
        EXPECT_OK(sealed_decrypt_with((struct sck_decrypt_opts){.preserve = true}, "kept.sk", "back", &err));
        assert_int_equal(mode_of("back"), 0754);
        assert_int_equal(stat(home_path(&sealed_home, "back"), &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, times[i].tv_sec);
        assert_int_equal(st.st_mtim.tv_nsec, times[i].tv_nsec);
        EXPECT_OK(sealed_decrypt("kept.sk", "plain", &err));
        assert_int_equal(mode_of("plain"), 0600);
        drop("kept.sk");
        drop("back");
        drop("plain");
    }
}

/* Feed standard input from `in` and catch standard output in `out`, both through real pipes, in a child. */
static enum sck_code
through_pipes(bool encrypting, const char *in, const char *out)
{
    char command[2048];
    int feed[2];
    (void)snprintf(command, sizeof command, "cat >'%s'", home_path(&sealed_home, out));
    assert_int_equal(pipe(feed), 0);
    pid_t feeder = fork();
    if (feeder == 0) {
        (void)dup2(feed[1], STDOUT_FILENO);
        (void)close(feed[0]);
        (void)close(feed[1]);
        (void)execlp("cat", "cat", home_path(&sealed_home, in), (char *)NULL);
        _exit(127);
    }
    (void)close(feed[1]);
    (void)fflush(stdout);
    FILE *sink = popen(command, "w");
    int saved[2] = {dup(STDIN_FILENO), dup(STDOUT_FILENO)};
    assert_int_equal(dup2(feed[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(dup2(fileno(sink), STDOUT_FILENO), STDOUT_FILENO);
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = encrypting ? sealed_encrypt("-", "-", &err) : sealed_decrypt("-", "-", &err);
    assert_int_equal(dup2(saved[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(dup2(saved[1], STDOUT_FILENO), STDOUT_FILENO);
    (void)close(saved[0]);
    (void)close(saved[1]);
    (void)close(feed[0]);
    (void)pclose(sink);
    (void)waitpid(feeder, NULL, 0);
    if (rc != SCK_OK)
        print_error("%s\n", err.message);
    return rc;
}

static void
pipes_carry_every_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 65536, 1000001};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        (void)sealed_plain("p", sizes[i]);
        assert_int_equal(through_pipes(true, "p", "piped.sk"), SCK_OK);
        assert_int_equal(through_pipes(false, "piped.sk", "piped"), SCK_OK);
        sealed_expect_same("p", "piped");
        EXPECT_OK(sealed_decrypt("piped.sk", "filed", &err));
        sealed_expect_same("p", "filed");
        drop("filed");
    }
}

static void
closed_standard_descriptors_do_no_harm(void **state)
{
    (void)state;
    (void)sealed_plain("p", 5000);
    pid_t child = fork();
    if (child == 0) {
        struct sck_err err = SCK_ERR_INIT;
        (void)close(STDIN_FILENO);
        (void)close(STDOUT_FILENO);
        enum sck_code rc = sealed_encrypt("p", "closed.sk", &err);
        (void)!write(STDOUT_FILENO, "noise", 5);
        _exit(rc == SCK_OK ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    EXPECT_OK(sealed_decrypt("closed.sk", "closed", &err));
    sealed_expect_same("p", "closed");
}

/* Somebody writes into the file while it is being read. */
static void
a_changing_input_is_refused(void **state)
{
    (void)state;
    struct sck_err err = SCK_ERR_INIT;
    const char *path = sealed_plain("moving", 48 << 20);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY | O_APPEND);
        /* Until the parent has had enough. */
        while (write(fd, "x", 1) == 1)
            (void)usleep(200);
        _exit(0);
    }
    enum sck_code rc = sealed_encrypt("moving", "moving.sk", &err);
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    assert_int_equal(rc, SCK_E_IO);
    assert_string_equal(err.message, sealed_text("%s was changed while it was read: try again", "moving"));
    assert_false(sealed_is_there("moving.sk"));
    drop("moving");
}

static void
encryption_may_be_switched_off(void **state)
{
    (void)state;
    struct sck_err why = SCK_ERR_INIT;
    struct sck_service *on = sealed_svc;
    (void)sealed_plain("p", 10);
    EXPECT_OK(sealed_encrypt("p", "off.sk", &err));
    sck_service_close(&on);
    assert_int_equal(setenv("ENCRYPTION_ENABLED", "false", 1), 0);
    const struct sck_open how = {.conf_path = sealed_home.conf, .use_env = true, .auto_provision = true};
    assert_int_equal(sck_service_open(&how, &sealed_svc, &why), SCK_OK);
    assert_int_equal(unsetenv("ENCRYPTION_ENABLED"), 0);
    EXPECT_FAIL(sealed_encrypt("p", "none.sk", &err), SCK_E_STATE,
                "encryption is switched off (ENCRYPTION_ENABLED or [files] enabled = false)");
    assert_false(sealed_is_there("none.sk"));
    EXPECT_OK(sealed_decrypt("off.sk", "off", &err));
    sck_service_close(&sealed_svc);
    sealed_svc = home_open(&sealed_home, NULL);
}

/* Peak memory of a child that encrypts and decrypts `name`, in KiB. */
static long
peak_of(const char *name)
{
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct sck_err err = SCK_ERR_INIT;
        const struct sck_encrypt_opts opts = {.io = {.force = true}};
        const struct sck_decrypt_opts back = {.io = {.force = true}};
        bool good = sealed_encrypt_with(opts, name, "peak.sk", &err) == SCK_OK &&
                    sealed_decrypt_with(back, "peak.sk", "peak", &err) == SCK_OK;
        _exit(good ? 0 : 1);
    }
    int status = 0;
    struct rusage usage;
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_int_equal(status, 0);
    return usage.ru_maxrss;
}

static void
memory_does_not_grow_with_the_file(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    long most_kib = 64 << 10;   /* what the sanitizer remembers of freed memory */
#else
    long most_kib = 4 << 10;
#endif
    int fd = open(home_path(&sealed_home, "sparse"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(ftruncate(fd, 200 << 20), 0);
    (void)close(fd);
    (void)sealed_plain("empty", 0);
    long small = peak_of("empty");
    long large = peak_of("sparse");
    print_message("peak %ld KiB for an empty file, %ld KiB for 200 MiB\n", small, large);
    assert_true(large - small <= most_kib);
    drop("sparse");
    drop("peak");
    drop("peak.sk");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_that_exists_is_kept_unless_forced),
        cmocka_unit_test(links_as_outputs),
        cmocka_unit_test(input_and_output_must_differ),
        cmocka_unit_test(things_that_are_no_files_are_refused),
        cmocka_unit_test(names_are_any_bytes),
        cmocka_unit_test(a_read_only_directory_is_told),
        cmocka_unit_test(a_file_too_large_for_its_place_leaves_the_old_one),
        cmocka_unit_test(a_full_file_system_leaves_the_old_output),
        cmocka_unit_test(plaintext_is_private_whatever_the_umask),
        cmocka_unit_test(mode_and_time_are_preserved_on_request),
        cmocka_unit_test(pipes_carry_every_size),
        cmocka_unit_test(closed_standard_descriptors_do_no_harm),
        cmocka_unit_test(a_changing_input_is_refused),
        cmocka_unit_test(encryption_may_be_switched_off),
        cmocka_unit_test(memory_does_not_grow_with_the_file),
    };
    return cmocka_run_group_tests(tests, sealed_set_up, sealed_tear_down);
}
