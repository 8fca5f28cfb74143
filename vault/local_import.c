/* SPDX-License-Identifier: MIT */
/* Reading in the documented plain file: its keys lie in locked memory alone, from the disk to the sealed value. */
#include "vault/keeper_local.h"

#include "lib/base/clock.h"
#include "lib/base/text.h"
#include "vault/http/json.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { B64_LEN = 44, HEX_LEN = 64, SHOWN_LEN = 80 };

struct import {
    struct sck_local *k;
    const char *file;
    struct sck_json all;
    json_t *doc;
    struct sck_secret *root;
    struct sck_local_head head;
    size_t imported, known;
};

static enum sck_code
read_plain(const char *file, struct sck_secret **out, struct sck_err *err)
{
    struct stat st;
    size_t used = 0;
    enum sck_code rc = SCK_OK;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return sck_fail_errno(err, errno == ENOENT ? SCK_E_NOT_FOUND : SCK_E_IO, errno, "cannot open %s", file);
    if (fstat(fd, &st) != 0)
        rc = sck_fail_errno(err, SCK_E_IO, errno, "cannot examine %s", file);
    else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > (off_t)SCK_SECRET_MAX)
        rc = sck_fail(err, SCK_E_CONFIG, "%s is no regular file of 1 byte to 1 MiB: split it", file);
    else
        rc = sck_secret_new((size_t)st.st_size, out, err);
    while (rc == SCK_OK && used < (*out)->len) {
        ssize_t n = read(fd, (*out)->data + used, (*out)->len - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            rc = sck_fail_errno(err, SCK_E_IO, n < 0 ? errno : EIO, "cannot read %s", file);
        else
            used += (size_t)n;
    }
    (void)close(fd);
    if (rc != SCK_OK)
        sck_secret_free(out);
    return rc;
}

/* An entry's name for messages. */
static void
shown(struct sck_json name, char out[SHOWN_LEN])
{
    struct sck_buf text;
    sck_buf_init(&text, 8192);
    sck_text_escape(name.at, name.len < SHOWN_LEN ? name.len : SHOWN_LEN, &text);
    (void)strncpy(out, sck_buf_str(&text), SHOWN_LEN - 1);
    out[SHOWN_LEN - 1] = '\0';
    sck_buf_clear(&text);
}

static enum sck_code
wrong(const struct import *im, struct sck_json name, const char *what, struct sck_err *err)
{
    char text[SHOWN_LEN];
    shown(name, text);
    return sck_fail(err, SCK_E_CONFIG, "%s: entry \"%s\": %s", im->file, text, what);
}

static int
hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
hex_key(struct sck_json value, uint8_t *out)
{
    for (size_t i = 0; i < SCK_LOCAL_KEY_LEN; i++) {
        int high = hex_digit((uint8_t)value.at[2 * i]), low = hex_digit((uint8_t)value.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* 32 bytes as base64 with padding or as hex, into a new secret; *ok false for anything else. */
static enum sck_code
key_of(struct sck_json value, struct sck_secret **out, bool *ok, struct sck_err *err)
{
    struct sck_secret *work = NULL;
    *ok = false;
    enum sck_code rc = sck_secret_new(SCK_LOCAL_KEY_LEN + 1, out, err);
    if (rc == SCK_OK)
        rc = sck_secret_new(B64_LEN + 1, &work, err);
    if (rc == SCK_OK && value.kind == SCK_JSON_STRING && value.len == HEX_LEN) {
        *ok = hex_key(value, (*out)->data);
    } else if (rc == SCK_OK && value.kind == SCK_JSON_STRING && value.len == B64_LEN) {
        /* Decoded and encoded again: one spelling alone is taken. */
        *ok = EVP_DecodeBlock((*out)->data, (const unsigned char *)value.at, B64_LEN) == SCK_LOCAL_KEY_LEN + 1 &&
              EVP_EncodeBlock(work->data, (*out)->data, SCK_LOCAL_KEY_LEN) == B64_LEN &&
              sck_ct_equal(work->data, value.at, B64_LEN);
    }
    sck_secret_free(&work);
    if (rc == SCK_OK)
        (*out)->len = SCK_LOCAL_KEY_LEN;
    if (!*ok)
        sck_secret_free(out);
    return rc;
}

/* A date as we write it, or with a fraction or +00:00 behind the seconds, as other programs do; null is `none`. */
static bool
date_of(struct sck_json value, int64_t none, int64_t *out)
{
    char text[SCK_TIME_TEXT];
    *out = none;
    if (value.kind == SCK_JSON_NONE || value.kind == SCK_JSON_NULL)
        return true;
    if (value.kind != SCK_JSON_STRING || value.len < 20)
        return false;
    const char *p = value.at + 19, *end = value.at + value.len;
    if (*p == '.') {
        const char *digits = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == digits)
            return false;
    }
    if (!(end - p == 1 && *p == 'Z') && !(end - p == 6 && memcmp(p, "+00:00", 6) == 0))
        return false;
    memcpy(text, value.at, 19);
    memcpy(text + 19, "Z", 2);
    return sck_time_parse(text, 20, out);
}

/* Everything of an entry but its value. */
static enum sck_code
read_entry(const struct import *im, struct sck_json name, struct sck_json o, struct sck_local_plain *out,
           struct sck_json *value, struct sck_err *err)
{
    static const char *const known[] = {"value", "content_type", "enabled", "created_on", "expires_on"};
    struct sck_json member, ignored, type = sck_json_get(o, "content_type"), enabled = sck_json_get(o, "enabled");
    size_t at = 0;
    unsigned seen = 0;
    memset(out, 0, sizeof *out);
    if (name.len == 0 || name.len > SCK_LOCAL_NAME_MAX || memchr(name.at, '\\', name.len) != NULL ||
        !sck_utf8_is_clean((const uint8_t *)name.at, name.len))
        return wrong(im, name, "its name is empty, longer than 255 bytes, or has escapes or control characters", err);
    memcpy(out->name, name.at, name.len);
    if (o.kind != SCK_JSON_OBJECT)
        return wrong(im, name, "it is no object with a \"value\"", err);
    while (sck_json_member(o, &at, &member, &ignored)) {
        size_t i = 0;
        while (i < sizeof known / sizeof known[0] && !sck_json_is(member, known[i]))
            i++;
        if (i == sizeof known / sizeof known[0] || (seen & 1U << i) != 0)
            return wrong(im, name, "it has a member twice, or one besides value, content_type, enabled, created_on and "
                         "expires_on", err);
        seen |= 1U << i;
    }
    *value = sck_json_get(o, "value");
    out->enabled = enabled.kind == SCK_JSON_NONE || enabled.kind == SCK_JSON_TRUE;
    if (!out->enabled && enabled.kind != SCK_JSON_FALSE)
        return wrong(im, name, "enabled is neither true nor false", err);
    if (!date_of(sck_json_get(o, "created_on"), sck_now_s(sck_clock_system()), &out->created_s))
        return wrong(im, name, "created_on is no date in UTC", err);
    if (!date_of(sck_json_get(o, "expires_on"), 0, &out->expires_s))
        return wrong(im, name, "expires_on is neither a date in UTC nor null", err);
    if (type.kind != SCK_JSON_NONE && (type.kind != SCK_JSON_STRING || type.len >= sizeof out->content_type))
        return wrong(im, name, "content_type is no text of at most 127 bytes", err);
    if (!sck_json_text(type, out->content_type, sizeof out->content_type))
        memcpy(out->content_type, "application/octet-stream", sizeof "application/octet-stream");
    return SCK_OK;
}

/* Whether what is in the store under this name is this very key. */
static enum sck_code
compare(struct import *im, struct sck_json name, const struct sck_local_bind *bind, const struct sck_local_entry *there,
        const struct sck_secret *key, struct sck_err *err)
{
    struct sck_secret *old = NULL;
    struct sck_err why = SCK_ERR_INIT;
    char text[SHOWN_LEN];
    bool same = there->kind == SCK_LOCAL_IMPORTED &&
                sck_local_unseal(im->root, bind, there->sealed, &old, &why) == SCK_OK &&
                sck_ct_equal(old->data, key->data, SCK_LOCAL_KEY_LEN);
    sck_secret_free(&old);
    im->known += same;
    shown(name, text);
    return same ? SCK_OK : sck_fail(err, SCK_E_EXISTS, "%s: entry \"%s\": the store has another key of that name", im->file,
                                    text);
}

static enum sck_code
import_one(struct import *im, struct sck_json name, struct sck_json o, struct sck_err *err)
{
    struct sck_local_plain plain;
    struct sck_local_entry there;
    struct sck_json value = {SCK_JSON_NONE, NULL, 0};
    struct sck_secret *key = NULL;
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
    bool ok = false;
    const struct sck_local_bind bind = {im->head.id, SCK_LOCAL_IMPORTED, plain.name, 0, 1};
    enum sck_code rc = read_entry(im, name, o, &plain, &value, err);
    if (rc == SCK_OK)
        rc = key_of(value, &key, &ok, err);
    if (rc == SCK_OK && !ok)
        rc = wrong(im, name, "its value is neither the base64 nor the hex of 32 bytes", err);
    if (rc != SCK_OK)
        return rc;
    if (json_object_get(im->doc, plain.name) == NULL) {
        rc = sck_local_seal(im->root, &bind, key, sealed, err);
        if (rc == SCK_OK)
            rc = sck_local_doc_add_plain(im->doc, &plain, sealed, err);
        im->imported += rc == SCK_OK;
    } else if (sck_local_doc_find(im->doc, plain.name, 0, &there)) {
        rc = compare(im, name, &bind, &there, key, err);
    } else {
        rc = wrong(im, name, "the store itself has that name: rename the entry", err);
    }
    sck_secret_free(&key);
    return rc;
}

static enum sck_code
import_all(struct import *im, struct sck_err *err)
{
    struct sck_json name, value;
    enum sck_code rc = SCK_OK;
    size_t at = 0;
    im->imported = im->known = 0;
    while (rc == SCK_OK && sck_json_member(im->all, &at, &name, &value))
        rc = import_one(im, name, value, err);
    return rc;
}

enum sck_code
sck_keeper_local_import(struct sck_keeper *keeper, const char *file, size_t *imported, size_t *known, struct sck_err *err)
{
    struct import im = {.k = sck_local_of(keeper), .file = file};
    struct sck_local_edit edit = {&im.k->store, -1, -1, NULL};
    struct sck_secret *text = NULL;
    json_t *again = NULL;
    enum sck_code rc = read_plain(file, &text, err);
    if (rc != SCK_OK)
        return rc;
    im.all = sck_json_parse((const char *)text->data, text->len);
    if (im.all.kind != SCK_JSON_OBJECT)
        rc = sck_fail(err, SCK_E_CONFIG, "%s is no JSON object of keys", file);
    if (rc == SCK_OK)
        rc = sck_local_edit_begin(&im.k->store, &edit, err);
    if (rc == SCK_OK)
        rc = sck_local_root_get(im.k, edit.doc, &im.root, err);
    if (rc == SCK_OK) {
        sck_local_doc_head(edit.doc, &im.head);
        im.doc = edit.doc;
        rc = import_all(&im, err);
    }
    *imported = im.imported;
    *known = im.known;
    if (rc == SCK_OK && im.imported > 0)
        rc = sck_local_edit_commit(&edit, err);
    /* Read back before anybody is told that the plain file may go. */
    if (rc == SCK_OK)
        rc = sck_local_store_read(&im.k->store, NULL, &again, err);
    im.doc = again;
    if (rc == SCK_OK)
        rc = import_all(&im, err);
    if (rc == SCK_OK && im.imported > 0)
        rc = sck_fail(err, SCK_E_INTEGRITY, "keeper local: imported keys are not in %s", im.k->store.path);
    sck_local_edit_end(&edit);
    json_decref(again);
    sck_secret_free(&im.root);
    sck_secret_free(&text);
    return rc;
}
