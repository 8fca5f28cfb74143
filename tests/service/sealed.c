/* SPDX-License-Identifier: MIT */
#include "tests/service/sealed.h"

#include "lib/base/file.h"

#include <dirent.h>
#include <unistd.h>

struct home sealed_home;
struct sck_service *sealed_svc;

int
sealed_set_up(void **state)
{
    (void)state;
    home_make(&sealed_home);
    sealed_svc = home_open(&sealed_home, NULL);
    return 0;
}

static size_t
count_names(const char *start)
{
    struct dirent *entry;
    size_t count = 0;
    DIR *dir = opendir(sealed_home.dir);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        count += strncmp(entry->d_name, start, strlen(start)) == 0;
    (void)closedir(dir);
    return count;
}

int
sealed_tear_down(void **state)
{
    (void)state;
    size_t left = count_names(".scopekey-");
    sck_service_close(&sealed_svc);
    home_remove(&sealed_home);
    return left == 0 ? 0 : -1;
}

size_t
sealed_names(void)
{
    return count_names("");
}

const char *
sealed_plain(const char *name, size_t len)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15) + len;
    uint8_t *data = malloc(len + 8);
    assert_non_null(data);
    for (size_t i = 0; i < len; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, 8);
    }
    sealed_write(name, data, len);
    free(data);
    return home_path(&sealed_home, name);
}

struct sck_buf
sealed_read(const char *name)
{
    struct sck_buf bytes = {0};
    EXPECT_OK(sck_file_read(home_path(&sealed_home, name), 256U << 20, &bytes, &err));
    return bytes;
}

void
sealed_write(const char *name, const uint8_t *data, size_t len)
{
    FILE *f = fopen(home_path(&sealed_home, name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

bool
sealed_is_there(const char *name)
{
    return access(home_path(&sealed_home, name), F_OK) == 0;
}

void
sealed_expect_same(const char *a, const char *b)
{
    struct sck_buf left = sealed_read(a);
    struct sck_buf right = sealed_read(b);
    assert_int_equal(left.len, right.len);
    if (left.len > 0)
        assert_memory_equal(left.data, right.data, left.len);
    sck_buf_clear(&left);
    sck_buf_clear(&right);
}

static const char *
path_of(const char *name)
{
    return strcmp(name, "-") == 0 || name[0] == '/' ? name : home_path(&sealed_home, name);
}

enum sck_code
sealed_encrypt_with(struct sck_encrypt_opts opts, const char *in, const char *out, struct sck_err *err)
{
    struct sck_file_info info;
    opts.io.in = path_of(in);
    opts.io.out = path_of(out);
    return sck_file_encrypt(sealed_svc, &opts, &info, err);
}

enum sck_code
sealed_encrypt(const char *in, const char *out, struct sck_err *err)
{
    struct sck_scope alice = scope_of("subject/alice");
    return sealed_encrypt_with((struct sck_encrypt_opts){.subject = &alice, .chunk_bytes = 4096}, in, out, err);
}

enum sck_code
sealed_decrypt_with(struct sck_decrypt_opts opts, const char *in, const char *out, struct sck_err *err)
{
    struct sck_file_info info;
    opts.io.in = path_of(in);
    opts.io.out = path_of(out);
    return sck_file_decrypt(sealed_svc, &opts, &info, err);
}

enum sck_code
sealed_decrypt(const char *in, const char *out, struct sck_err *err)
{
    return sealed_decrypt_with((struct sck_decrypt_opts){.allow_retired = false}, in, out, err);
}

const char *
sealed_text(const char *fmt, const char *name)
{
    static char text[1200];
    const char *at = strstr(fmt, "%s");
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - fmt), fmt, path_of(name), at + 2);
    return text;
}
