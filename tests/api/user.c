/* SPDX-License-Identifier: MIT */
/* A program that knows scopekey.h alone, and is C99 and C++11: materials, a message, an event loop.  Prints what it did. */
#include <scopekey.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>

static int calls;

static void
done(void *arg, struct scopekey_request *request)
{
    struct scopekey_material **m = (struct scopekey_material **)arg;
    calls++;
    *m = scopekey_request_take_material(request);
}

static int
fail(const char *what, const struct scopekey_error *error)
{
    printf("%s: %s: %s\n", what, scopekey_code_name(scopekey_error_code(error)), scopekey_error_message(error));
    return 1;
}

static int
one_after_the_other(struct scopekey *sk, struct scopekey_error *error)
{
    struct scopekey_material *m = NULL;
    struct scopekey_aead *aead = NULL;
    struct scopekey_secret *plain = NULL;
    struct scopekey_pair pair;
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    unsigned char sealed[5 + SCOPEKEY_SEAL_OVERHEAD];
    size_t wrapped_length = 0;
    size_t context_length = 0;
    size_t text_length = 0;
    char *text = NULL;
    void *context = NULL;
    pair.name = "x_kind";
    pair.value = "letter";
    call.deadline_ms = 30000;
    call.pairs = &pair;
    call.pair_count = 1;
    if (scopekey_subject_ensure(sk, "alice", NULL, error) != SCOPEKEY_OK ||
        scopekey_encryption_keys_for(sk, "alice", &call, &m, error) != SCOPEKEY_OK)
        return fail("encryption_keys_for", error);
    const unsigned char *wrapped = scopekey_material_wrapped(m, &wrapped_length);
    const unsigned char *bytes = scopekey_material_context(m, &context_length);
    if (scopekey_aead_seal(scopekey_material_aead(m), "hello", 5, NULL, 0, sealed, sizeof sealed, error) != SCOPEKEY_OK)
        return fail("seal", error);
    if (scopekey_context_format(bytes, context_length, &text, error) != SCOPEKEY_OK ||
        scopekey_context_parse(text, strlen(text), &context, &text_length, error) != SCOPEKEY_OK)
        return fail("context", error);
    if (scopekey_decryption_keys_for(sk, "alice", wrapped, wrapped_length, context, text_length, NULL, &aead, error) !=
            SCOPEKEY_OK ||
        scopekey_aead_open(aead, sealed, sizeof sealed, NULL, 0, &plain, error) != SCOPEKEY_OK)
        return fail("decryption_keys_for", error);
    printf("opened %.*s\n", (int)scopekey_secret_length(plain), (const char *)scopekey_secret_data(plain));
    scopekey_secret_free(&plain);
    scopekey_free(text);
    scopekey_free(context);
    scopekey_aead_free(&aead);
    scopekey_material_free(&m);
    return 0;
}

static int
in_an_event_loop(struct scopekey *sk, struct scopekey_error *error)
{
    struct scopekey_request *request[10];
    struct scopekey_material *m[10];
    struct pollfd ready;
    ready.fd = scopekey_descriptor(sk);
    ready.events = POLLIN;
    for (int i = 0; i < 10; i++) {
        m[i] = NULL;
        if (scopekey_encryption_keys_for_async(sk, "alice", NULL, done, &m[i], &request[i], error) != SCOPEKEY_OK)
            return fail("encryption_keys_for_async", error);
    }
    while (calls < 10 && poll(&ready, 1, 60000) == 1)
        (void)scopekey_dispatch(sk, 0);
    int made = 0;
    for (int i = 0; i < 10; i++) {
        made += m[i] != NULL;
        scopekey_request_free(&request[i]);
        scopekey_material_free(&m[i]);
    }
    printf("%d callbacks, %d materials\n", calls, made);
    return 0;
}

int
main(void)
{
    struct scopekey *sk = NULL;
    struct scopekey_options options = SCOPEKEY_OPTIONS_INIT;
    struct scopekey_error *error = scopekey_error_new();
    int rc = 0;
    options.dispatch = 1;
    if (scopekey_open(&options, &sk, error) != SCOPEKEY_OK)
        rc = fail("open", error);
    rc = rc != 0 ? rc : one_after_the_other(sk, error);
    rc = rc != 0 ? rc : in_an_event_loop(sk, error);
    scopekey_close(&sk);
    scopekey_error_free(&error);
    return rc;
}
