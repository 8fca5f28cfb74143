/* SPDX-License-Identifier: MIT */
#include "tests/lib/home.h"

#include "lib/base/file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
die(const char *what, const struct sck_err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->message);
    abort();
}

void
home_begin(struct home *h)
{
    struct sck_err err = SCK_ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(h->dir, sizeof h->dir, "%s/scopekey-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(h->dir) == NULL) {
        perror("mkdtemp");
        abort();
    }
    (void)snprintf(h->home, sizeof h->home, "%s/d", h->dir);
    (void)snprintf(h->conf, sizeof h->conf, "%s/d/scopekey.conf", h->dir);
    (void)snprintf(h->pin_file, sizeof h->pin_file, "%s/pin.txt", h->dir);
    if (sck_file_create(h->pin_file, "73512846\n", 9, 0600, &err) != SCK_OK)
        die("PIN file", &err);
}

void
home_make(struct home *h)
{
    struct sck_err err = SCK_ERR_INIT;
    char *path = NULL;
    home_begin(h);
    const struct sck_setup setup = {.home = h->home, .pin_file = h->pin_file};
    if (sck_setup_init(&setup, NULL, NULL, &path, &err) != SCK_OK)
        die("init", &err);
    free(path);
}

struct sck_service *
home_open(const struct home *h, const char *scopes)
{
    struct sck_err err = SCK_ERR_INIT;
    struct sck_service *service = NULL;
    const struct sck_open how = {.conf_path = h->conf, .scopes = scopes, .auto_provision = true};
    if (sck_service_open(&how, &service, &err) != SCK_OK)
        die("open", &err);
    return service;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void
home_remove(struct home *h)
{
    (void)nftw(h->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *
home_path(const struct home *h, const char *name)
{
    static char paths[4][512];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", h->dir, name);
    return path;
}

const char *
home_file(const struct home *h, const char *name, const void *data, size_t len)
{
    struct sck_err err = SCK_ERR_INIT;
    const char *path = home_path(h, name);
    if (sck_file_replace(path, data, len, 0600, &err) != SCK_OK)
        die(name, &err);
    return path;
}

struct sck_uri
uri_of(const char *text)
{
    struct sck_uri uri;
    struct sck_err err = SCK_ERR_INIT;
    if (sck_uri_parse(text, strlen(text), &uri, &err) != SCK_OK)
        die(text, &err);
    return uri;
}

struct sck_scope
scope_of(const char *text)
{
    struct sck_scope scope;
    struct sck_err err = SCK_ERR_INIT;
    if (sck_scope_parse(text, strlen(text), &scope, &err) != SCK_OK)
        die(text, &err);
    return scope;
}
