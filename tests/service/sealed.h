/* SPDX-License-Identifier: MIT */
/* What the tests of file encryption share: one set-up, files by name in its directory, and how a directory looks. */
#ifndef TESTS_SERVICE_SEALED_H
#define TESTS_SERVICE_SEALED_H

#include "tests/lib/expect.h"
#include "tests/lib/home.h"

#include "lib/service/filecrypt.h"

extern struct home sealed_home;
extern struct sck_service *sealed_svc;

int sealed_set_up(void **state);
/* Fails when a temporary is left anywhere in the directory. */
int sealed_tear_down(void **state);

/* A file of `len` bytes that look random and depend on `len`; gives its path (buffers of home_path()). */
const char *sealed_plain(const char *name, size_t len);
/* All bytes of a file.  Clear. */
struct sck_buf sealed_read(const char *name);
void sealed_write(const char *name, const uint8_t *data, size_t len);
bool sealed_is_there(const char *name);
void sealed_expect_same(const char *a, const char *b);
/* How many names the directory holds. */
size_t sealed_names(void);

/* By names in the directory ("-" stays as it is); for subject alice, or as `opts` say. */
enum sck_code sealed_encrypt(const char *in, const char *out, struct sck_err *err);
enum sck_code sealed_encrypt_with(struct sck_encrypt_opts opts, const char *in, const char *out, struct sck_err *err);
enum sck_code sealed_decrypt(const char *in, const char *out, struct sck_err *err);
enum sck_code sealed_decrypt_with(struct sck_decrypt_opts opts, const char *in, const char *out, struct sck_err *err);
/* The message that names `name` of the directory where `fmt` has its first %s, and then what follows. */
const char *sealed_text(const char *fmt, const char *name);

#endif
