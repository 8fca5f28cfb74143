/* SPDX-License-Identifier: MIT */
/*
 * The JSON of keeper local's file: what is in it, and the changes made to it.  Computing only.  docs/formats.md.
 * Entries have the documented members (value, content_type, enabled, created_on, expires_on); members that are not
 * ours are kept as they are.
 */
#ifndef SCK_VAULT_LOCAL_DOC_H
#define SCK_VAULT_LOCAL_DOC_H

#include "lib/base/secret.h"
#include "vault/keeper.h"

#include <jansson.h>

#define SCK_LOCAL_KEY_LEN 32
#define SCK_LOCAL_SEALED_LEN (SCK_GCM_NONCE_LEN + SCK_LOCAL_KEY_LEN + SCK_GCM_TAG_LEN)
#define SCK_LOCAL_FILE_MAX (16U * 1024U * 1024U)    /* bytes; some 40000 KEKs */
#define SCK_LOCAL_NAME_MAX 255                      /* bytes of an entry's name */

/* What a sealed value is; part of what it is bound to: never reuse a number. */
enum sck_local_kind { SCK_LOCAL_ROOT = 1, SCK_LOCAL_KEK = 2, SCK_LOCAL_IMPORTED = 3 };

/* The entry "scopekey.store", whose name no KEK can have. */
struct sck_local_head {
    uint8_t id[16];
    enum sck_local_root root;
    uint32_t log2_n, r, p;          /* of scrypt (RFC 7914); root passphrase */
    uint8_t salt[32];
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
    int64_t created_s;
};

/* One version of one key. */
struct sck_local_entry {
    enum sck_local_kind kind;
    uint32_t generation;            /* KEKs; 0 for imported keys */
    uint32_t version, newest, oldest;
    bool enabled;
    int64_t expires_s;              /* 0: never */
    uint8_t sealed[SCK_LOCAL_SEALED_LEN];
};

/*
 * Read and check all of it; `path` is for messages.  SCK_E_CONFIG: no JSON, another program's file, or the documented
 * plain one (says to import it); SCK_E_INTEGRITY: ours, and damaged.  json_decref() the result.
 */
SCK_MUST_CHECK enum sck_code sck_local_doc_parse(const char *path, const void *text, size_t len, json_t **out,
                                                 struct sck_err *err);
/* Append its text.  SCK_E_USAGE when it would be over SCK_LOCAL_FILE_MAX, SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_local_doc_format(const json_t *doc, struct sck_buf *out, struct sck_err *err);

/* A file with a head alone.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_local_doc_new(const struct sck_local_head *head, json_t **out, struct sck_err *err);
/* Of a document that sck_local_doc_parse() took. */
void sck_local_doc_head(const json_t *doc, struct sck_local_head *out);

/* A version of an entry (0: the newest).  False when there is no such entry; out->version 0: no such version. */
bool sck_local_doc_find(const json_t *doc, const char *name, uint32_t version, struct sck_local_entry *out);
/* How many KEKs and imported keys there are. */
void sck_local_doc_count(const json_t *doc, size_t *keks, size_t *imported);

/* Add version 1 of a KEK.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_local_doc_add_kek(json_t *doc, const char *name, uint32_t generation,
                                                   const uint8_t sealed[SCK_LOCAL_SEALED_LEN], int64_t now_s,
                                                   struct sck_err *err);
/* Add a key of another program's plain file. */
struct sck_local_plain {
    char name[SCK_LOCAL_NAME_MAX + 1];
    char content_type[128];
    bool enabled;
    int64_t created_s;
    int64_t expires_s;              /* 0: never */
};
SCK_MUST_CHECK enum sck_code sck_local_doc_add_plain(json_t *doc, const struct sck_local_plain *plain,
                                                     const uint8_t sealed[SCK_LOCAL_SEALED_LEN], struct sck_err *err);
/* Add the next version of a KEK that is there; it does not expire.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_local_doc_rotate(json_t *doc, const char *name,
                                                  const uint8_t sealed[SCK_LOCAL_SEALED_LEN], int64_t now_s,
                                                  struct sck_err *err);
/* Drop versions below `oldest` / all of it.  True when something went. */
bool sck_local_doc_retire(json_t *doc, const char *name, uint32_t oldest);
bool sck_local_doc_remove(json_t *doc, const char *name);

#endif
