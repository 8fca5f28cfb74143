/* SPDX-License-Identifier: MIT */
/* The calls of scopekey.h that ask for a subject's keys: each blocking and asynchronous. */
#include "lib/api/api.h"

#include <string.h>

/* Everything that must be there is there; a length of 0 needs no bytes. */
static bool
args_are_whole(const struct sck_api_args *args)
{
    const struct sck_bytes *all[] = {&args->wrapped, &args->context, &args->data, &args->aad};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i]->data == NULL && all[i]->len > 0)
            return false;
    }
    bool opens = args->op == SCK_API_DECRYPTION_KEYS || args->op == SCK_API_REWRAP;
    bool data = args->op == SCK_API_MESSAGE_SEAL || args->op == SCK_API_MESSAGE_OPEN;
    return args->subject != NULL && (!opens || (args->wrapped.data != NULL && args->context.data != NULL)) &&
           (!data || args->data.data != NULL);
}

static enum scopekey_code
run(const char *function, struct scopekey *scopekey, const struct sck_api_args *args, bool whole,
    struct scopekey_request **out, struct scopekey_error *error)
{
    sck_api_begin(error);
    if (scopekey == NULL || !whole || !args_are_whole(args))
        return sck_api_null(error, function);
    return sck_request_run(scopekey, args, out, error);
}

static enum scopekey_code
begin(const char *function, struct scopekey *scopekey, const struct sck_api_args *args, scopekey_done_fn done,
      void *arg, struct scopekey_request **out, struct scopekey_error *error)
{
    sck_api_begin(error);
    if (out != NULL)
        *out = NULL;
    if (scopekey == NULL || out == NULL || !args_are_whole(args))
        return sck_api_null(error, function);
    return sck_request_begin(scopekey, args, done, arg, out, error);
}

/* The bytes of a request that succeeded, which is freed. */
static enum scopekey_code
take_bytes(struct scopekey_request *r, void **out, size_t *length, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    enum sck_code rc = sck_api_steal(&r->bytes, out, length, &err);
    sck_request_unref(&r);
    return rc == SCK_OK ? SCOPEKEY_OK : sck_api_fail(error, rc, &err);
}

/* ---- encryption and decryption materials ---- */

enum scopekey_code
scopekey_encryption_keys_for(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                             struct scopekey_material **out, struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    const struct sck_api_args args = {.op = SCK_API_ENCRYPTION_KEYS, .subject = subject, .call = call};
    if (out != NULL)
        *out = NULL;
    enum scopekey_code code = run(__func__, scopekey, &args, out != NULL, &r, error);
    if (code == SCOPEKEY_OK)
        *out = scopekey_request_take_material(r);
    sck_request_unref(&r);
    return code;
}

enum scopekey_code
scopekey_encryption_keys_for_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                                   scopekey_done_fn done, void *arg, struct scopekey_request **out,
                                   struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_ENCRYPTION_KEYS, .subject = subject, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

static struct sck_api_args
wrapped_args(enum sck_api_op op, const char *subject, const void *wrapped, size_t wrapped_length, const void *context,
             size_t context_length, const struct scopekey_call *call)
{
    return (struct sck_api_args){.op = op,
                                 .subject = subject,
                                 .wrapped = {wrapped, wrapped_length},
                                 .context = {context, context_length},
                                 .call = call};
}

enum scopekey_code
scopekey_decryption_keys_for(struct scopekey *scopekey, const char *subject, const void *wrapped,
                             size_t wrapped_length, const void *context, size_t context_length,
                             const struct scopekey_call *call, struct scopekey_aead **out,
                             struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    const struct sck_api_args args =
        wrapped_args(SCK_API_DECRYPTION_KEYS, subject, wrapped, wrapped_length, context, context_length, call);
    if (out != NULL)
        *out = NULL;
    enum scopekey_code code = run(__func__, scopekey, &args, out != NULL, &r, error);
    if (code == SCOPEKEY_OK)
        *out = scopekey_request_take_aead(r);
    sck_request_unref(&r);
    return code;
}

enum scopekey_code
scopekey_decryption_keys_for_async(struct scopekey *scopekey, const char *subject, const void *wrapped,
                                   size_t wrapped_length, const void *context, size_t context_length,
                                   const struct scopekey_call *call, scopekey_done_fn done, void *arg,
                                   struct scopekey_request **out, struct scopekey_error *error)
{
    const struct sck_api_args args =
        wrapped_args(SCK_API_DECRYPTION_KEYS, subject, wrapped, wrapped_length, context, context_length, call);
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

enum scopekey_code
scopekey_rewrap(struct scopekey *scopekey, const char *subject, const void *wrapped, size_t wrapped_length,
                const void *context, size_t context_length, const struct scopekey_call *call, void **out,
                size_t *out_length, struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    const struct sck_api_args args =
        wrapped_args(SCK_API_REWRAP, subject, wrapped, wrapped_length, context, context_length, call);
    if (out != NULL)
        *out = NULL;
    enum scopekey_code code = run(__func__, scopekey, &args, out != NULL && out_length != NULL, &r, error);
    return code == SCOPEKEY_OK ? take_bytes(r, out, out_length, error) : code;
}

enum scopekey_code
scopekey_rewrap_async(struct scopekey *scopekey, const char *subject, const void *wrapped, size_t wrapped_length,
                      const void *context, size_t context_length, const struct scopekey_call *call,
                      scopekey_done_fn done, void *arg, struct scopekey_request **out, struct scopekey_error *error)
{
    const struct sck_api_args args =
        wrapped_args(SCK_API_REWRAP, subject, wrapped, wrapped_length, context, context_length, call);
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

/* ---- short data ---- */

enum scopekey_code
scopekey_message_seal(struct scopekey *scopekey, const char *subject, const void *plain, size_t length,
                      const void *aad, size_t aad_length, const struct scopekey_call *call, void **out,
                      size_t *out_length, struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    const struct sck_api_args args = {.op = SCK_API_MESSAGE_SEAL, .subject = subject, .data = {plain, length},
                                      .aad = {aad, aad_length}, .call = call};
    if (out != NULL)
        *out = NULL;
    enum scopekey_code code = run(__func__, scopekey, &args, out != NULL && out_length != NULL, &r, error);
    return code == SCOPEKEY_OK ? take_bytes(r, out, out_length, error) : code;
}

enum scopekey_code
scopekey_message_seal_async(struct scopekey *scopekey, const char *subject, const void *plain, size_t length,
                            const void *aad, size_t aad_length, const struct scopekey_call *call,
                            scopekey_done_fn done, void *arg, struct scopekey_request **out,
                            struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_MESSAGE_SEAL, .subject = subject, .data = {plain, length},
                                      .aad = {aad, aad_length}, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

enum scopekey_code
scopekey_message_open(struct scopekey *scopekey, const char *subject, const void *message, size_t length,
                      const void *aad, size_t aad_length, const struct scopekey_call *call,
                      struct scopekey_secret **out, struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    const struct sck_api_args args = {.op = SCK_API_MESSAGE_OPEN, .subject = subject, .data = {message, length},
                                      .aad = {aad, aad_length}, .call = call};
    if (out != NULL)
        *out = NULL;
    enum scopekey_code code = run(__func__, scopekey, &args, out != NULL, &r, error);
    if (code == SCOPEKEY_OK)
        *out = scopekey_request_take_secret(r);
    sck_request_unref(&r);
    return code;
}

enum scopekey_code
scopekey_message_open_async(struct scopekey *scopekey, const char *subject, const void *message, size_t length,
                            const void *aad, size_t aad_length, const struct scopekey_call *call,
                            scopekey_done_fn done, void *arg, struct scopekey_request **out,
                            struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_MESSAGE_OPEN, .subject = subject, .data = {message, length},
                                      .aad = {aad, aad_length}, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

/* ---- subjects ---- */

enum scopekey_code
scopekey_subject_ensure(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                        struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    const struct sck_api_args args = {.op = SCK_API_ENSURE, .subject = subject, .call = call};
    enum scopekey_code code = run(__func__, scopekey, &args, true, &r, error);
    sck_request_unref(&r);
    return code;
}

enum scopekey_code
scopekey_subject_ensure_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                              scopekey_done_fn done, void *arg, struct scopekey_request **out,
                              struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_ENSURE, .subject = subject, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

static enum scopekey_code
run_for_number(const char *function, struct scopekey *scopekey, const struct sck_api_args *args, uint64_t *number,
               struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    if (number != NULL)
        *number = 0;
    enum scopekey_code code = run(function, scopekey, args, true, &r, error);
    if (code == SCOPEKEY_OK && number != NULL)
        *number = r->number;
    sck_request_unref(&r);
    return code;
}

enum scopekey_code
scopekey_subject_rotate(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                        uint64_t *version, struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_ROTATE, .subject = subject, .call = call};
    return run_for_number(__func__, scopekey, &args, version, error);
}

enum scopekey_code
scopekey_subject_rotate_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                              scopekey_done_fn done, void *arg, struct scopekey_request **out,
                              struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_ROTATE, .subject = subject, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

enum scopekey_code
scopekey_subject_rewrap(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                        uint64_t *moved, struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_SUBJECT_REWRAP, .subject = subject, .call = call};
    return run_for_number(__func__, scopekey, &args, moved, error);
}

enum scopekey_code
scopekey_subject_rewrap_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                              scopekey_done_fn done, void *arg, struct scopekey_request **out,
                              struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_SUBJECT_REWRAP, .subject = subject, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

enum scopekey_code
scopekey_subject_erase(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                       char **receipt, struct scopekey_error *error)
{
    struct scopekey_request *r = NULL;
    void *bytes = NULL;
    const struct sck_api_args args = {.op = SCK_API_ERASE, .subject = subject, .call = call};
    if (receipt != NULL)
        *receipt = NULL;
    enum scopekey_code code = run(__func__, scopekey, &args, true, &r, error);
    if (code == SCOPEKEY_OK && receipt != NULL) {
        code = take_bytes(r, &bytes, NULL, error);
        *receipt = bytes;
        return code;
    }
    sck_request_unref(&r);
    return code;
}

enum scopekey_code
scopekey_subject_erase_async(struct scopekey *scopekey, const char *subject, const struct scopekey_call *call,
                             scopekey_done_fn done, void *arg, struct scopekey_request **out,
                             struct scopekey_error *error)
{
    const struct sck_api_args args = {.op = SCK_API_ERASE, .subject = subject, .call = call};
    return begin(__func__, scopekey, &args, done, arg, out, error);
}

/* ---- what became of a request ---- */

int
scopekey_request_is_over(const struct scopekey_request *request)
{
    return request != NULL && sck_pool_is_over(&request->scopekey->pool, request);
}

enum scopekey_code
scopekey_request_result(const struct scopekey_request *request, struct scopekey_error *error)
{
    struct sck_err err = SCK_ERR_INIT;
    sck_api_begin(error);
    if (request == NULL)
        return sck_api_null(error, "scopekey_request_result");
    if (!sck_pool_is_over(&request->scopekey->pool, request)) {
        enum sck_code rc = sck_fail(&err, SCK_E_STATE, "the request is still under way");
        return sck_api_fail(error, rc, &err);
    }
    return request->code == SCK_OK ? SCOPEKEY_OK : sck_api_fail(error, request->code, &request->err);
}

/* Results may be touched once it is over; a request of a blocking call never was in the pool. */
static bool
has_results(const struct scopekey_request *request)
{
    return request != NULL && (request->job.wake == NULL || sck_pool_is_over(&request->scopekey->pool, request));
}

struct scopekey_material *
scopekey_request_take_material(struct scopekey_request *request)
{
    if (!has_results(request))
        return NULL;
    struct scopekey_material *material = request->material;
    request->material = NULL;
    return material;
}

struct scopekey_aead *
scopekey_request_take_aead(struct scopekey_request *request)
{
    if (!has_results(request))
        return NULL;
    struct scopekey_aead *aead = request->aead;
    request->aead = NULL;
    return aead;
}

struct scopekey_secret *
scopekey_request_take_secret(struct scopekey_request *request)
{
    if (!has_results(request))
        return NULL;
    struct scopekey_secret *secret = sck_api_secret(request->secret);
    request->secret = NULL;
    return secret;
}

void *
scopekey_request_take_bytes(struct scopekey_request *request, size_t *length)
{
    struct sck_err err = SCK_ERR_INIT;
    void *bytes = NULL;
    size_t len = 0;
    if (has_results(request) && request->bytes.len > 0 && request->code == SCK_OK &&
        sck_api_steal(&request->bytes, &bytes, &len, &err) != SCK_OK)
        len = 0;
    if (length != NULL)
        *length = len;
    return bytes;
}

uint64_t
scopekey_request_number(struct scopekey_request *request)
{
    return has_results(request) ? request->number : 0;
}

void
scopekey_request_cancel(struct scopekey_request *request)
{
    if (request != NULL)
        sck_pool_cancel(&request->scopekey->pool, request);
}

void
scopekey_request_free(struct scopekey_request **request)
{
    if (request == NULL || *request == NULL)
        return;
    struct scopekey_request *r = *request;
    *request = NULL;
    sck_pool_release(&r->scopekey->pool, r);
}
