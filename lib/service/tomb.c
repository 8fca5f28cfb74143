/* SPDX-License-Identifier: MIT */
#include "lib/service/engine.h"

#include <string.h>

enum sck_code
sck_tomb_hash(struct sck_engine *engine, uint8_t kind, uint32_t generation, const void *id, size_t id_len,
              uint8_t out[32], struct sck_err *err)
{
    struct sck_buf input;
    sck_buf_init(&input, 1024);
    sck_tomb_input(kind, generation, id, id_len, &input);
    enum sck_code rc = sck_buf_check(&input, "tombstone", err);
    if (rc == SCK_OK)
        rc = sck_token_hmac(engine->token, SCK_SYS_NAME, input.data, input.len, out, err);
    sck_buf_clear(&input);
    return rc;
}

enum sck_code
sck_tomb_find(struct sck_engine *engine, uint8_t kind, uint32_t generation, const void *id, size_t id_len,
              bool *found, struct sck_err *err)
{
    struct sck_catalog *catalog = NULL;
    struct sck_tomb_rec tomb = {0};
    *found = false;
    enum sck_code rc = sck_engine_catalog(engine, &catalog, err);
    if (rc == SCK_OK)
        rc = sck_tomb_hash(engine, kind, generation, id, id_len, tomb.hash, err);
    if (rc != SCK_OK)
        return rc;
    struct sck_err look = SCK_ERR_INIT;
    rc = sck_catalog_get(catalog, SCK_BY_TOMB, &tomb, &look);
    if (rc == SCK_E_NOT_FOUND)
        return SCK_OK;
    if (rc != SCK_OK)
        return sck_fail(err, rc, "%s", look.message);
    *found = true;
    return SCK_OK;
}

enum sck_code
sck_tomb_generations(struct sck_engine *engine, uint8_t kind, const void *id, size_t id_len, uint32_t *count,
                     struct sck_err *err)
{
    bool found = true;
    enum sck_code rc = SCK_OK;
    *count = 0;
    while (rc == SCK_OK && found) {
        rc = sck_tomb_find(engine, kind, *count + 1, id, id_len, &found, err);
        if (rc == SCK_OK && found)
            (*count)++;
    }
    return rc;
}

enum sck_code
sck_tomb_add(struct sck_engine *engine, struct sck_catalog *catalog, uint32_t kind, uint32_t generation,
             const uint8_t hash[32], enum sck_tomb_state state, int64_t owner_id, struct sck_err *err)
{
    struct sck_tomb_rec last = {0};
    struct sck_err look = SCK_ERR_INIT;
    enum sck_code rc = sck_catalog_get(catalog, SCK_TOMB_LAST, &last, &look);
    if (rc != SCK_OK && rc != SCK_E_NOT_FOUND)
        return sck_fail(err, rc, "%s", look.message);
    struct sck_tomb_rec tomb = {.kind = kind,
                                .generation = generation,
                                .state = state,
                                .seq = last.seq + 1,
                                .created_s = sck_now_s(engine->clock),
                                .owner_id = owner_id};
    uint8_t seq[8];
    memcpy(tomb.hash, hash, sizeof tomb.hash);
    sck_be64(seq, (uint64_t)tomb.seq);
    const struct sck_bytes parts[] = {{last.chain, sizeof last.chain}, {tomb.hash, sizeof tomb.hash}, {seq, 8}};
    rc = sck_sha256_parts(parts, 3, tomb.chain, err);
    return rc == SCK_OK ? sck_catalog_insert(catalog, SCK_TABLE_TOMBS, &tomb, err) : rc;
}
