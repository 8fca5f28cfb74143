/* SPDX-License-Identifier: MIT */
/* The vectors of tests/core/vectors/formats.txt are what the code computes, and what the documents print. */
#include "tests/lib/expect.h"

#include "lib/base/file.h"
#include "lib/base/text.h"
#include "lib/core/container.h"
#include "lib/core/context.h"
#include "lib/core/floe.h"
#include "lib/core/kekname.h"
#include "lib/core/pairs.h"
#include "lib/core/row.h"
#include "lib/core/message.h"
#include "lib/core/seal.h"
#include "lib/core/uri.h"
#include "lib/core/uuid.h"

#include <ctype.h>

#define VECTORS_MAX 64
#define SUBJECT "alice@example.com"

static struct {
    struct sck_buf file;
    size_t count;
    struct vector {
        const char *name;
        const char *value;
        bool seen;
    } all[VECTORS_MAX];
    struct sck_buf formats_md;
    struct sck_buf file_format_md;
} g;

/* Inputs that docs/formats.md gives, and what later vectors build on. */
static struct {
    uint8_t dek[32], kek[32], mac_key[32], name_key[32];
    uint8_t uuid[16];
    char key_id[SCK_KEY_ID_MAX + 1];
    char kek_name[SCK_KEK_NAME_MAX + 1];
    struct sck_buf context;
    uint8_t context_hash[SCK_SHA256_LEN];
} in;

static void
count_up(uint8_t *out, size_t len, unsigned first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

/* A document without its white space. */
static void
read_squeezed(const char *path, struct sck_buf *out)
{
    sck_buf_init(out, 1U << 20);
    EXPECT_OK(sck_file_read(path, 1U << 20, out, &err));
    size_t n = 0;
    for (size_t i = 0; i < out->len; i++) {
        if (!isspace(out->data[i]))
            out->data[n++] = out->data[i];
    }
    out->len = n;
    (void)sck_buf_str(out);
}

static int
set_up(void **state)
{
    (void)state;
    sck_buf_init(&g.file, 1U << 20);
    EXPECT_OK(sck_file_read(TESTS_CORE_DIR "/vectors/formats.txt", 1U << 20, &g.file, &err));
    (void)sck_buf_str(&g.file);
    char *rest = (char *)g.file.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *space = strchr(line, ' ');
        if (line[0] == '#' || line[0] == '\0')
            continue;
        assert_non_null(space);
        assert_true(g.count < VECTORS_MAX);
        *space = '\0';
        g.all[g.count++] = (struct vector){line, space + 1, false};
    }
    read_squeezed(TESTS_CORE_DIR "/../../docs/formats.md", &g.formats_md);
    read_squeezed(TESTS_CORE_DIR "/../../docs/file-format.md", &g.file_format_md);
    count_up(in.dek, 32, 0x00);
    count_up(in.kek, 32, 0x40);
    count_up(in.mac_key, 32, 0x60);
    count_up(in.name_key, 32, 0xA0);
    sck_buf_init(&in.context, SCK_CONTEXT_BYTES_MAX);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sck_buf_clear(&g.file);
    sck_buf_clear(&g.formats_md);
    sck_buf_clear(&g.file_format_md);
    sck_buf_clear(&in.context);
    return 0;
}

static void
expect_text(const char *name, const char *value)
{
    for (size_t i = 0; i < g.count; i++) {
        if (strcmp(g.all[i].name, name) != 0)
            continue;
        g.all[i].seen = true;
        assert_string_equal(g.all[i].value, value);
        return;
    }
    fail_msg("formats.txt has no %s", name);
}

static void
expect_hex(const char *name, const uint8_t *data, size_t len)
{
    char *hex = malloc(2 * len + 1);
    assert_non_null(hex);
    sck_hex_format(data, len, hex);
    expect_text(name, hex);
    free(hex);
}

static void
expect_buf(const char *name, struct sck_buf *buf)
{
    assert_false(buf->failed);
    expect_hex(name, buf->data, buf->len);
}

static void
ids_and_uris(void **state)
{
    (void)state;
    static const uint8_t random[SCK_UUID_RANDOM] = {0x13, 0x9b, 0x2e, 0xa5, 0x96, 0x6c, 0x26, 0xf8, 0xad, 0x91};
    struct sck_uri uri;
    struct sck_buf buf;
    char pair_id[SCK_KEY_ID_MAX + 1];
    sck_uuid7(INT64_C(0x0190163d8694), random, in.uuid);
    expect_hex("uuid7", in.uuid, 16);
    sck_key_id_format(in.uuid, false, in.key_id);
    expect_text("key_id", in.key_id);
    sck_key_id_format(in.uuid, true, pair_id);
    expect_text("keypair_id", pair_id);
    memset(&uri, 0, sizeof uri);
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, SUBJECT, strlen(SUBJECT), &uri.scope, &err));
    memcpy(uri.name, "tls", 4);
    uri.version = 2;
    uri.type = SCK_TYPE_PRIVATE;
    sck_buf_init(&buf, 1024);
    sck_uri_format(&uri, &buf);
    expect_text("uri", sck_buf_str(&buf));
    sck_buf_reset(&buf);
    sck_label_format(&uri.scope, uri.name, &buf);
    expect_text("label", sck_buf_str(&buf));
    sck_buf_clear(&buf);
}

static void
contexts(void **state)
{
    (void)state;
    static const char tenant[] = "blue; gr\xC3\xBCn";
    struct sck_context ctx;
    struct sck_buf text;
    sck_context_init(&ctx);
    EXPECT_OK(sck_scope_make(SCK_SCOPE_SUBJECT, SUBJECT, strlen(SUBJECT), &ctx.scope, &err));
    ctx.generation = 1;
    ctx.purpose = SCK_PURPOSE_MESSAGE;
    memcpy(ctx.id, in.uuid, 16);
    assert_true(sck_time_parse("2025-06-14T12:30:00Z", 20, &ctx.created_s));
    memcpy(ctx.env, "production", 11);
    EXPECT_OK(sck_context_add(&ctx, "x_tenant", tenant, strlen(tenant), &err));
    EXPECT_OK(sck_context_encode(&ctx, &in.context, &err));
    expect_buf("context", &in.context);
    EXPECT_OK(sck_context_hash(&ctx, in.context_hash, &err));
    expect_hex("context_hash", in.context_hash, sizeof in.context_hash);
    sck_buf_init(&text, 1024);
    EXPECT_OK(sck_context_format(&ctx, &text, &err));
    expect_text("context_text", sck_buf_str(&text));
    sck_buf_clear(&text);
    sck_context_clear(&ctx);
}

static void
expect_plain_name(const char *vector, enum sck_owner_kind kind, uint32_t generation, const char *id)
{
    char name[SCK_KEK_NAME_MAX + 1];
    EXPECT_OK(sck_kek_name_plain("sk", kind, generation, id, strlen(id), name, &err));
    expect_text(vector, name);
}

static void
expect_hmac(const char *vector, const uint8_t key[32], const struct sck_buf *input, uint8_t mac[SCK_SHA256_LEN])
{
    EXPECT_OK(sck_hmac_sha256(key, 32, input->data, input->len, mac, &err));
    if (vector != NULL)
        expect_hex(vector, mac, SCK_SHA256_LEN);
}

static void
names_and_tombstones(void **state)
{
    (void)state;
    struct sck_buf input;
    uint8_t mac[SCK_SHA256_LEN];
    sck_buf_init(&input, 512);
    sck_kek_name_input(SCK_OWNER_SUBJECT, 1, SUBJECT, strlen(SUBJECT), &input);
    expect_buf("kek_name_input", &input);
    expect_hmac(NULL, in.name_key, &input, mac);
    EXPECT_OK(sck_kek_name_keyed("sk", mac, in.kek_name, &err));
    expect_text("kek_name_keyed", in.kek_name);
    expect_plain_name("kek_name_direct", SCK_OWNER_SUBJECT, 1, SUBJECT);
    expect_plain_name("kek_name_hashed", SCK_OWNER_SUBJECT, 2, SUBJECT);
    expect_plain_name("kek_name_client", SCK_OWNER_CLIENT, 1, "default");
    expect_plain_name("kek_name_files", SCK_OWNER_FILES, 1, "");
    sck_buf_reset(&input);
    sck_tomb_input(SCK_OWNER_SUBJECT, 1, SUBJECT, strlen(SUBJECT), &input);
    expect_buf("tomb_input", &input);
    expect_hmac("tomb_hash", in.name_key, &input, mac);
    sck_buf_reset(&input);
    sck_tomb_input(SCK_TOMB_KEY_ID, 1, in.key_id, strlen(in.key_id), &input);
    expect_hmac("tomb_key_id", in.name_key, &input, mac);
    sck_buf_clear(&input);
}

static void
expect_wrapped(const char *vector, const struct sck_wrapped *w)
{
    struct sck_buf buf;
    sck_buf_init(&buf, SCK_WRAPPED_MAX);
    EXPECT_OK(sck_wrapped_encode(w, &buf, &err));
    expect_buf(vector, &buf);
    sck_buf_clear(&buf);
}

/* "wdek/v1" ‖ KEK name ‖ u32 version */
static void
put_wdek_input(uint32_t version, struct sck_buf *out)
{
    sck_buf_init(out, 512);
    sck_buf_put_str(out, "wdek/v1");
    sck_buf_put_str(out, in.kek_name);
    sck_buf_put_u32(out, version);
}

static void
wrapped_deks(void **state)
{
    (void)state;
    uint8_t payload[SCK_PAYLOAD_LEN];
    struct sck_buf input;
    sck_payload_encode(in.dek, in.context_hash, payload);
    expect_hex("payload", payload, sizeof payload);

    struct sck_wrapped token = {.keeper = SCK_KEEPER_TOKEN, .generation = 1, .kek_version = 2, .blob_len = 100};
    put_wdek_input(2, &input);
    expect_buf("wdek_aad", &input);
    count_up(token.blob, SCK_GCM_NONCE_LEN, 0xC0);
    EXPECT_OK(sck_gcm_seal(in.kek, token.blob, input.data, input.len, payload, sizeof payload,
                           token.blob + SCK_GCM_NONCE_LEN, &err));
    expect_wrapped("wrapped_token", &token);
    sck_buf_clear(&input);

    static const char vault_blob[] = "vault:v3:AAECAwQFBgcICQoLDA0ODw==";
    struct sck_wrapped vault = {.keeper = SCK_KEEPER_VAULT, .generation = 1, .kek_version = 3};
    vault.blob_len = strlen(vault_blob);
    memcpy(vault.blob, vault_blob, vault.blob_len);
    expect_wrapped("wrapped_vault", &vault);

    static const char azure_version[] = "78deebed173b48e48f55abf87ed4cf71";
    struct sck_wrapped azure = {.keeper = SCK_KEEPER_AZURE, .generation = 1, .kek_version = 4};
    memcpy(azure.blob, azure_version, sizeof azure_version);
    count_up(azure.blob + sizeof azure_version, 32, 0xE0);
    azure.blob_len = sizeof azure_version + 32;
    put_wdek_input(4, &input);
    sck_buf_put(&input, azure.blob, azure.blob_len);
    expect_buf("wdek_mac_input", &input);
    expect_hmac(NULL, in.mac_key, &input, azure.blob + azure.blob_len);
    azure.blob_len += SCK_SHA256_LEN;
    expect_wrapped("wrapped_azure", &azure);
    sck_buf_clear(&input);
}

static void
short_seal(void **state)
{
    (void)state;
    static const char label[] = "scopekey-seal/v1";
    static const char plain[] = "layer 1 of a key";
    uint8_t salt[SCK_SEAL_SALT_LEN];
    uint8_t info[16 + SCK_SHA256_LEN];
    uint8_t okm[76];
    struct sck_secret *dek = NULL;
    struct sck_buf sealed;
    count_up(salt, sizeof salt, 0x80);
    memcpy(info, label, 16);
    memcpy(info + 16, in.context_hash, SCK_SHA256_LEN);
    EXPECT_OK(sck_hkdf_sha256(in.dek, 32, salt, 32, info, sizeof info, okm, sizeof okm, &err));
    expect_hex("seal_okm", okm, sizeof okm);
    EXPECT_OK(sck_secret_from(in.dek, 32, &dek, &err));
    sck_buf_init(&sealed, 1024);
    EXPECT_OK(
        sck_seal(dek, salt, in.context.data, in.context.len, (const uint8_t *)plain, strlen(plain), &sealed, &err));
    expect_buf("seal", &sealed);
    sck_buf_clear(&sealed);
    sck_secret_free(&dek);
}

static void
sealed_message(void **state)
{
    (void)state;
    static const char blob[] = "vault:v3:AAECAwQFBgcICQoLDA0ODw==";
    uint8_t salt[SCK_SEAL_SALT_LEN];
    struct sck_wrapped w = {.keeper = SCK_KEEPER_VAULT, .generation = 1, .kek_version = 3, .blob_len = sizeof blob - 1};
    struct sck_secret *dek = NULL;
    struct sck_message back;
    struct sck_buf wrapped;
    struct sck_buf aad;
    struct sck_buf message;
    count_up(salt, sizeof salt, 0x80);
    memcpy(w.blob, blob, w.blob_len);
    sck_buf_init(&wrapped, SCK_WRAPPED_MAX);
    sck_buf_init(&aad, 1024);
    sck_buf_init(&message, 4096);
    EXPECT_OK(sck_wrapped_encode(&w, &wrapped, &err));
    EXPECT_OK(sck_secret_from(in.dek, 32, &dek, &err));
    sck_buf_put(&aad, in.context.data, in.context.len);
    sck_buf_put_str(&aad, "letter 7");
    const struct sck_message parts = {.context = sck_buf_bytes(&in.context), .wrapped = sck_buf_bytes(&wrapped)};
    sck_message_put_head(&parts, &message);
    EXPECT_OK(sck_seal(dek, salt, aad.data, aad.len, (const uint8_t *)"Dear Alice,", 11, &message, &err));
    expect_buf("message", &message);
    EXPECT_OK(sck_message_decode(message.data, message.len, &back, &err));
    assert_int_equal(back.context.len, in.context.len);
    assert_int_equal(back.wrapped.len, wrapped.len);
    assert_int_equal(back.seal.len, 11 + SCK_SEAL_OVERHEAD);
    for (size_t len = 0; len < 5; len++)
        EXPECT_FAIL(sck_message_decode(message.data, len, &back, &err), SCK_E_AUTHENTIC,
                    "sealed message: it is none of Scopekey");
    for (size_t len = 5; len <= message.len - back.seal.len; len++)
        EXPECT_FAIL(sck_message_decode(message.data, len, &back, &err), SCK_E_AUTHENTIC,
                    "sealed message: it is cut short");
    sck_buf_clear(&message);
    sck_buf_clear(&aad);
    sck_buf_clear(&wrapped);
    sck_secret_free(&dek);
}

static void
catalog_row(void **state)
{
    (void)state;
    static const char *const names[] = {"id", "name", "version", "offset", "expires"};
    const struct sck_value values[] = {
        {SCK_VALUE_BLOB, 0, in.uuid, 16}, {SCK_VALUE_TEXT, 0, (const uint8_t *)"tls", 3},
        {SCK_VALUE_INT, 2, NULL, 0},      {SCK_VALUE_INT, -1, NULL, 0},
        {SCK_VALUE_NULL, 0, NULL, 0},
    };
    uint8_t catalog_id[16];
    uint8_t row_key[SCK_SHA256_LEN];
    uint8_t mac[SCK_SHA256_LEN];
    struct sck_buf buf;
    struct sck_secret *key = NULL;
    for (size_t i = 0; i < 16; i++)
        catalog_id[i] = (uint8_t)(15 - i);
    sck_buf_init(&buf, 1024);
    sck_row_key_input(catalog_id, &buf);
    expect_buf("row_key_input", &buf);
    expect_hmac("row_key", in.mac_key, &buf, row_key);
    sck_buf_reset(&buf);
    sck_row_encode("keys", catalog_id, names, values, 5, &buf);
    expect_buf("row", &buf);
    EXPECT_OK(sck_secret_from(row_key, sizeof row_key, &key, &err));
    EXPECT_OK(sck_row_mac(key, "keys", catalog_id, names, values, 5, mac, &err));
    expect_hex("row_mac", mac, sizeof mac);
    sck_buf_clear(&buf);
    sck_secret_free(&key);
}

static void
rest_ciphertext(void **state)
{
    (void)state;
    const struct sck_pair tenant = {{(const uint8_t *)"tenant", 6}, {(const uint8_t *)"blue", 4}};
    static const uint8_t covered[] = "\0Hello, World!";
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    struct sck_buf context;
    struct sck_buf aad;
    struct sck_buf blob;
    sck_buf_init(&context, 256);
    sck_buf_init(&aad, 256);
    sck_buf_init(&blob, 256);
    EXPECT_OK(sck_pairs_encode(&tenant, 1, &context, &err));
    expect_buf("rest_context", &context);
    sck_buf_put_str(&aad, "scopekey-rest/v1");
    sck_buf_put_u16(&aad, (uint16_t)strlen(in.key_id));
    sck_buf_put_str(&aad, in.key_id);
    sck_buf_put_u32(&aad, 2);
    sck_buf_put(&aad, context.data, context.len);
    expect_buf("rest_aad", &aad);
    count_up(nonce, sizeof nonce, 0x30);
    sck_buf_put_u8(&blob, 1);
    sck_buf_put_u32(&blob, 2);
    sck_buf_put(&blob, nonce, sizeof nonce);
    EXPECT_OK(sck_gcm_seal(in.dek, nonce, aad.data, aad.len, covered, sizeof covered - 1,
                           sck_buf_grow(&blob, sizeof covered - 1 + SCK_GCM_TAG_LEN), &err));
    expect_buf("rest_blob", &blob);
    sck_buf_clear(&context);
    sck_buf_clear(&aad);
    sck_buf_clear(&blob);
}

static void
expect_segment_key(const char *vector, const uint8_t message_key[48], const uint8_t *header, uint64_t first,
                   const struct sck_buf *aad)
{
    uint8_t segment_key[32];
    struct sck_buf info;
    sck_buf_init(&info, 1024);
    sck_buf_put(&info, header, 42);
    sck_buf_put_str(&info, "DEK:");
    sck_buf_put_u64(&info, first);
    sck_buf_put(&info, aad->data, aad->len);
    EXPECT_OK(sck_hkdf_expand_sha384(message_key, 48, info.data, info.len, segment_key, 32, &err));
    expect_hex(vector, segment_key, sizeof segment_key);
    sck_buf_clear(&info);
}

static void
file_keys(const struct sck_buf *aad, const uint8_t header[SCK_FLOE_HEADER_LEN])
{
    uint8_t message_key[48];
    struct sck_buf info;
    sck_buf_init(&info, 1024);
    sck_buf_put(&info, header, 42);
    sck_buf_put_str(&info, "MESSAGE_KEY:");
    sck_buf_put(&info, aad->data, aad->len);
    EXPECT_OK(sck_hkdf_expand_sha384(in.dek, 32, info.data, info.len, message_key, 48, &err));
    expect_hex("file_message_key", message_key, sizeof message_key);
    expect_segment_key("file_segment_key", message_key, header, 0, aad);
    expect_segment_key("file_far_key", message_key, header, 1U << 20, aad);
    sck_buf_clear(&info);
}

static void
small_file(void **state)
{
    (void)state;
    static const uint8_t plain[] = "Hello, Scopekey. This is a small file.\r\n";
    static const uint8_t mode[4] = {0, 0, 1, 0xA4};
    uint8_t dek_id[16];
    uint8_t iv[SCK_FLOE_IV_LEN];
    uint8_t nonce[SCK_GCM_NONCE_LEN];
    uint8_t header[SCK_FLOE_HEADER_LEN];
    uint8_t segment[64];
    struct sck_container c;
    struct sck_floe *floe = NULL;
    struct sck_secret *dek = NULL;
    struct sck_buf buf;
    sck_buf_init(&buf, 1024);
    count_up(dek_id, sizeof dek_id, 0x20);
    count_up(iv, sizeof iv, 0xD0);
    sck_meta_put(&buf, SCK_META_MODE, mode, sizeof mode);
    sck_meta_put(&buf, SCK_META_NAME, "hello.txt", 9);
    sck_container_init(&c, in.uuid, dek_id, buf.data, buf.len);
    sck_buf_reset(&buf);
    EXPECT_OK(sck_container_encode(&c, &buf, &err));
    expect_buf("file_head", &buf);
    sck_buf_reset(&buf);
    sck_container_aad(&c, &buf);
    expect_buf("file_aad", &buf);
    EXPECT_OK(sck_secret_from(in.dek, 32, &dek, &err));
    EXPECT_OK(sck_floe_encrypt_new(dek, buf.data, buf.len, 64, iv, header, &floe, &err));
    expect_hex("file_floe_header", header, sizeof header);
    file_keys(&buf, header);
    count_up(nonce, sizeof nonce, 0x00);
    EXPECT_OK(sck_floe_seal_segment(floe, 0, false, nonce, plain, 32, segment, &err));
    expect_hex("file_segment_0", segment, 64);
    count_up(nonce, sizeof nonce, 0x10);
    EXPECT_OK(sck_floe_seal_segment(floe, 1, true, nonce, plain + 32, 8, segment, &err));
    expect_hex("file_segment_1", segment, 40);
    count_up(nonce, sizeof nonce, 0x20);
    EXPECT_OK(sck_floe_seal_segment(floe, (1U << 20) + 1, false, nonce, plain, 32, segment, &err));
    expect_hex("file_far_segment", segment, 64);
    sck_floe_free(&floe);
    sck_secret_free(&dek);
    sck_buf_clear(&buf);
}

/* Every vector was computed above, and stands in its document. */
static void
documents_print_every_vector(void **state)
{
    (void)state;
    assert_true(g.count > 30);
    for (size_t i = 0; i < g.count; i++) {
        struct sck_buf *doc = strncmp(g.all[i].name, "file_", 5) == 0 ? &g.file_format_md : &g.formats_md;
        if (!g.all[i].seen)
            fail_msg("nothing computes %s", g.all[i].name);
        /* Between backquotes, for some vectors are parts of others. */
        struct sck_buf quoted;
        sck_buf_init(&quoted, 4096);
        sck_buf_printf(&quoted, "`%s`", g.all[i].value);
        bool is_there = !quoted.failed && strstr(sck_buf_str(doc), sck_buf_str(&quoted)) != NULL;
        sck_buf_clear(&quoted);
        if (!is_there)
            fail_msg("the document lacks %s or prints it otherwise", g.all[i].name);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_and_uris),
        cmocka_unit_test(contexts),
        cmocka_unit_test(names_and_tombstones),
        cmocka_unit_test(wrapped_deks),
        cmocka_unit_test(short_seal),
        cmocka_unit_test(sealed_message),
        cmocka_unit_test(catalog_row),
        cmocka_unit_test(rest_ciphertext),
        cmocka_unit_test(small_file),
        cmocka_unit_test(documents_print_every_vector),
    };
    return cmocka_run_group_tests_name("core/vectors", tests, set_up, tear_down);
}
