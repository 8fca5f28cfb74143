/* SPDX-License-Identifier: MIT */
/*
 * The C library as a program uses it, on the set-up of SCOPEKEY_HOME, for api.test.sh and leaks.test.sh:
 *   api_live names          subjects whose ids naive KEK names confuse; one is erased
 *   api_live storm SUBJECT  64 threads encrypt for a subject while it is erased, and for 3 s after that
 *   api_live swaps          wrapped DEKs and contexts of one subject under another, altered, spelled otherwise
 *   api_live give SUBJECT   a wrapped DEK and its context as two words of hexadecimal
 *   api_live foreign SUBJECT HEX CONTEXT-HEX
 *                           a wrapped DEK of somewhere else
 *   api_live many COUNT     requests in flight, every second cancelled; then operations until nothing grows any more
 *   api_live pause SUBJECT  seal and open, free, print "freed", wait for a line, close, print "closed", wait for another
 */
#include <scopekey.h>

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct scopekey *sk;
static struct scopekey_error *error;

static void
must(enum scopekey_code code, const char *what)
{
    if (code == SCOPEKEY_OK)
        return;
    printf("%s: %s: %s\n", what, scopekey_code_name(code), scopekey_error_message(error));
    exit(1);
}

/* ---- names ---- */

static int
do_names(void)
{
    static const char *const ids[] = {
        "user.1", "user@1", "user_1", "USER.1", "user.1.", "user.1..", ".user.1", "user%2e1", "user%2E1", "user 1", "user-1",
        "user/1", "user:1", "user+1", "user;1", "user=1", "user-2e1", "user..1", "user.1/rotate", "../user.1", "subject/user.1",
        "files", "default", "\xC3\xBC", "\xC3\xA9", "u", "user.1?x", "user.1#x", "user\\1", "user%001", "%2e%2e%2fuser.1",
    };
    enum { COUNT = sizeof ids / sizeof ids[0] };
    void *messages[COUNT];
    size_t lengths[COUNT];
    int opened = 0;
    for (size_t i = 0; i < COUNT; i++) {
        must(scopekey_subject_ensure(sk, ids[i], NULL, error), ids[i]);
        must(scopekey_message_seal(sk, ids[i], ids[i], strlen(ids[i]), NULL, 0, NULL, &messages[i], &lengths[i], error), ids[i]);
    }
    must(scopekey_subject_erase(sk, ids[0], NULL, NULL, error), "erase");
    for (size_t i = 0; i < COUNT; i++) {
        struct scopekey_secret *plain = NULL;
        enum scopekey_code code = scopekey_message_open(sk, ids[i], messages[i], lengths[i], NULL, 0, NULL, &plain, error);
        int same = code == SCOPEKEY_OK && scopekey_secret_length(plain) == strlen(ids[i]) &&
                   memcmp(scopekey_secret_data(plain), ids[i], strlen(ids[i])) == 0;
        opened += same;
        if (!same)
            printf("%s: %s\n", ids[i], scopekey_code_name(code));
        scopekey_secret_free(&plain);
        scopekey_free(messages[i]);
    }
    printf("%d of %d open\n", opened, (int)COUNT);
    return 0;
}

/* ---- storm ---- */

static struct {
    const char *subject;
    atomic_int erased;                  /* the erasure has returned */
    atomic_int stop;
    atomic_int codes[2][32];            /* of calls that began before it returned, and after */
} storm;

static void *
storm_thread(void *arg)
{
    struct scopekey_error *own = scopekey_error_new();
    (void)arg;
    while (!atomic_load(&storm.stop)) {
        void *message = NULL;
        size_t length = 0;
        int after = atomic_load(&storm.erased);
        enum scopekey_code code = scopekey_message_seal(sk, storm.subject, "text", 4, NULL, 0, NULL, &message, &length, own);
        atomic_fetch_add(&storm.codes[after][code], 1);
        scopekey_free(message);
    }
    scopekey_error_free(&own);
    return NULL;
}

static int
do_storm(const char *subject)
{
    static const char *const when[] = {"before", "after"};
    pthread_t threads[64];
    storm.subject = subject;
    must(scopekey_subject_ensure(sk, subject, NULL, error), subject);
    for (size_t i = 0; i < 64; i++) {
        if (pthread_create(&threads[i], NULL, storm_thread, NULL) != 0)
            abort();
    }
    while (atomic_load(&storm.codes[0][SCOPEKEY_OK]) < 200)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    must(scopekey_subject_erase(sk, subject, NULL, NULL, error), "erase");
    atomic_store(&storm.erased, 1);
    nanosleep(&(struct timespec){3, 0}, NULL);
    atomic_store(&storm.stop, 1);
    for (size_t i = 0; i < 64; i++)
        pthread_join(threads[i], NULL);
    for (int after = 0; after < 2; after++) {
        printf("%s:", when[after]);
        for (int code = 0; code < 32; code++) {
            if (storm.codes[after][code] > 0)
                printf(" %s", scopekey_code_name((enum scopekey_code)code));
        }
        printf("\n");
    }
    fprintf(stderr, "%d calls after the erasure\n", storm.codes[1][SCOPEKEY_E_ERASED]);
    return 0;
}

/* ---- swaps ---- */

static void
try_open(const char *what, const char *subject, const void *wrapped, size_t wrapped_length, const void *context,
         size_t context_length)
{
    struct scopekey_aead *aead = NULL;
    enum scopekey_code code = scopekey_decryption_keys_for(sk, subject, wrapped, wrapped_length, context, context_length,
                                                           NULL, &aead, error);
    printf("%s: %s\n", what, scopekey_code_name(code));
    if ((code == SCOPEKEY_OK) != (aead != NULL))
        printf("%s: a key came out\n", what);
    scopekey_aead_free(&aead);
}

/* `from` in the context's text becomes `to`, both of which occur; then it is tried. */
static void
try_text(const char *what, const char *subject, const void *wrapped, size_t wrapped_length, const char *text,
         const char *from, const char *to)
{
    char changed[4096];
    void *context = NULL;
    size_t length = 0;
    const char *at = strstr(text, from);
    if (at == NULL || strlen(text) + strlen(to) >= sizeof changed) {
        printf("%s: %s does not occur\n", what, from);
        return;
    }
    memcpy(changed, text, (size_t)(at - text));
    (void)stpcpy(stpcpy(changed + (at - text), to), at + strlen(from));
    enum scopekey_code code = scopekey_context_parse(changed, strlen(changed), &context, &length, error);
    if (code == SCOPEKEY_OK)
        try_open(what, subject, wrapped, wrapped_length, context, length);
    else
        printf("%s: not read: %s\n", what, scopekey_code_name(code));
    scopekey_free(context);
}

static int
do_swaps(void)
{
    struct scopekey_material *alice = NULL, *bob = NULL;
    static const struct scopekey_pair pairs[] = {{"x_order", "a;b=c%/"}};
    struct scopekey_call call = SCOPEKEY_CALL_INIT;
    size_t wrapped_length = 0, context_length = 0, bobs_length = 0, bobs_context_length = 0;
    char *text = NULL;
    call.pairs = pairs;
    call.pair_count = 1;
    must(scopekey_subject_ensure(sk, "swap.alice", NULL, error), "ensure");
    must(scopekey_subject_ensure(sk, "swap.bob", NULL, error), "ensure");
    must(scopekey_encryption_keys_for(sk, "swap.alice", &call, &alice, error), "encryption_keys_for");
    must(scopekey_encryption_keys_for(sk, "swap.bob", NULL, &bob, error), "encryption_keys_for");
    const uint8_t *wrapped = scopekey_material_wrapped(alice, &wrapped_length);
    const uint8_t *context = scopekey_material_context(alice, &context_length);
    const uint8_t *bobs = scopekey_material_wrapped(bob, &bobs_length);
    const uint8_t *bobs_context = scopekey_material_context(bob, &bobs_context_length);
    must(scopekey_context_format(context, context_length, &text, error), "format");
    try_open("as it was", "swap.alice", wrapped, wrapped_length, context, context_length);
    try_open("alice's under bob", "swap.bob", wrapped, wrapped_length, context, context_length);
    try_open("alice's under bob with bob's context", "swap.bob", wrapped, wrapped_length, bobs_context, bobs_context_length);
    try_open("bob's under alice with alice's context", "swap.alice", bobs, bobs_length, context, context_length);
    try_open("alice's with bob's context", "swap.alice", wrapped, wrapped_length, bobs_context, bobs_context_length);
    try_text("another time", "swap.alice", wrapped, wrapped_length, text, "timestamp=20", "timestamp=21");
    try_text("another purpose", "swap.alice", wrapped, wrapped_length, text, "purpose=message", "purpose=file");
    try_text("another generation", "swap.alice", wrapped, wrapped_length, text, "generation=1", "generation=2");
    try_text("another environment", "swap.alice", wrapped, wrapped_length, text, "env=development", "env=production");
    try_text("another format", "swap.alice", wrapped, wrapped_length, text, "version=1", "version=2");
    try_text("another subject", "swap.alice", wrapped, wrapped_length, text, "swap.alice", "swap.bob");
    try_text("bob in alice's context, as bob", "swap.bob", wrapped, wrapped_length, text, "swap.alice", "swap.bob");
    try_text("another pair", "swap.alice", wrapped, wrapped_length, text, "x_order=a", "x_order=b");
    try_text("a delimiter unencoded", "swap.alice", wrapped, wrapped_length, text, "a%3Bb", "a;b");
    try_text("small hexadecimal", "swap.alice", wrapped, wrapped_length, text, "a%3Bb", "a%3bb");
    try_text("a pair twice", "swap.alice", wrapped, wrapped_length, text, ";x_order=", ";x_order=a;x_order=");
    try_text("NUL", "swap.alice", wrapped, wrapped_length, text, "a%3Bb", "a%00b");
    try_text("no UTF-8", "swap.alice", wrapped, wrapped_length, text, "a%3Bb", "a%FFb");
    uint8_t copy[4096];
    static const struct { const char *what; size_t at; } bytes[] = {
        {"format of the wrapped DEK", 0}, {"keeper", 1}, {"generation", 5}, {"KEK version", 9}, {"length", 11}, {"blob", 40},
    };
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        memcpy(copy, wrapped, wrapped_length);
        copy[bytes[i].at] ^= 1;
        try_open(bytes[i].what, "swap.alice", copy, wrapped_length, context, context_length);
    }
    try_open("cut", "swap.alice", wrapped, wrapped_length - 1, context, context_length);
    try_open("empty", "swap.alice", wrapped, 0, context, context_length);
    try_open("context cut", "swap.alice", wrapped, wrapped_length, context, context_length - 1);
    scopekey_free(text);
    scopekey_material_free(&alice);
    scopekey_material_free(&bob);
    return 0;
}

/* ---- foreign ---- */

static size_t
from_hex(const char *text, uint8_t *out, size_t size)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len && i < size; i++) {
        unsigned byte = 0;
        if (sscanf(text + i * 2, "%2x", &byte) != 1)
            return 0;
        out[i] = (uint8_t)byte;
    }
    return len < size ? len : size;
}

static void
print_hex(const uint8_t *data, size_t length, char end)
{
    for (size_t i = 0; i < length; i++)
        printf("%02x", (unsigned)data[i]);
    putchar(end);
}

static int
do_give(const char *subject)
{
    struct scopekey_material *material = NULL;
    size_t wrapped_length = 0, context_length = 0;
    must(scopekey_subject_ensure(sk, subject, NULL, error), subject);
    must(scopekey_encryption_keys_for(sk, subject, NULL, &material, error), "encryption_keys_for");
    const uint8_t *wrapped = scopekey_material_wrapped(material, &wrapped_length);
    const uint8_t *context = scopekey_material_context(material, &context_length);
    print_hex(wrapped, wrapped_length, ' ');
    print_hex(context, context_length, '\n');
    scopekey_material_free(&material);
    return 0;
}

static int
do_foreign(const char *subject, const char *wrapped_hex, const char *context_hex)
{
    uint8_t wrapped[4096], context[8192];
    size_t wrapped_length = from_hex(wrapped_hex, wrapped, sizeof wrapped);
    size_t context_length = from_hex(context_hex, context, sizeof context);
    try_open("foreign", subject, wrapped, wrapped_length, context, context_length);
    return 0;
}

/* ---- many ---- */

enum { CONNECTIONS_MAX = 64 };      /* far below the requests that are under way */

static atomic_int over;

static void
count_done(void *arg, struct scopekey_request *request)
{
    (void)arg;
    (void)request;
    atomic_fetch_add(&over, 1);
}

static size_t
descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count;
}

static long
resident_kib(void)
{
    long pages = 0, unused = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%ld %ld", &unused, &pages) != 2)
        abort();
    fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* `count` unwraps and wraps under way at once, every second cancelled at once; codes are counted. */
static void
many_round(size_t count, const struct scopekey_material *material, int codes[32])
{
    size_t wrapped_length = 0, context_length = 0;
    const uint8_t *wrapped = scopekey_material_wrapped(material, &wrapped_length);
    const uint8_t *context = scopekey_material_context(material, &context_length);
    struct scopekey_request **requests = calloc(count, sizeof(struct scopekey_request *));
    if (requests == NULL)
        abort();
    atomic_store(&over, 0);
    for (size_t i = 0; i < count; i++) {
        if (i % 4 < 2)
            must(scopekey_encryption_keys_for_async(sk, "many", NULL, count_done, NULL, &requests[i], error), "begin");
        else
            must(scopekey_decryption_keys_for_async(sk, "many", wrapped, wrapped_length, context, context_length, NULL,
                                                    count_done, NULL, &requests[i], error), "begin");
        if (i % 2 == 1)
            scopekey_request_cancel(requests[i]);
    }
    while (atomic_load(&over) < (int)count)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    for (size_t i = 0; i < count; i++) {
        enum scopekey_code code = scopekey_request_result(requests[i], error);
        struct scopekey_material *made = scopekey_request_take_material(requests[i]);
        struct scopekey_aead *aead = scopekey_request_take_aead(requests[i]);
        codes[code]++;
        if ((code == SCOPEKEY_OK) != (made != NULL || aead != NULL))
            printf("request %zu: a result does not fit its code\n", i);
        if (i % 2 == 0 && code != SCOPEKEY_OK)
            printf("request %zu: %s: %s\n", i, scopekey_code_name(code), scopekey_error_message(error));
        scopekey_material_free(&made);
        scopekey_aead_free(&aead);
        scopekey_request_free(&requests[i]);
    }
    free(requests);
}

static int
do_many(size_t count)
{
    struct scopekey_material *material = NULL;
    int codes[32] = {0};
    size_t rounds = 10;
    must(scopekey_subject_ensure(sk, "many", NULL, error), "ensure");
    must(scopekey_encryption_keys_for(sk, "many", NULL, &material, error), "encryption_keys_for");
    many_round(count, material, codes);
    many_round(count, material, codes);
    size_t fds = descriptors();
    long kib = resident_kib();
    for (size_t i = 0; i < rounds; i++)
        many_round(count, material, codes);
    long grown = resident_kib() - kib;
    size_t fds_after = descriptors();
    for (int code = 0; code < 32; code++) {
        if (codes[code] > 0 && code != SCOPEKEY_OK && code != SCOPEKEY_E_CANCELLED)
            printf("%d %s\n", codes[code], scopekey_code_name((enum scopekey_code)code));
    }
    printf("%s, %s\n", codes[SCOPEKEY_OK] >= (int)((rounds + 2) * count / 2) ? "all done" : "SOME LOST",
           codes[SCOPEKEY_E_CANCELLED] > 0 ? "some cancelled" : "NONE CANCELLED");
    /* How many connections there are depends on the moment; there is a bound to them. */
    printf("descriptors %s, memory %s\n", fds_after <= CONNECTIONS_MAX + 32 ? "bounded" : "GREW",
           grown < 4096 ? "bounded" : "GREW");
    fprintf(stderr, "%d done, %d cancelled; descriptors %zu, then %zu; memory grew by %ld KiB\n", codes[SCOPEKEY_OK],
            codes[SCOPEKEY_E_CANCELLED], fds, fds_after, grown);
    scopekey_material_free(&material);
    return 0;
}

/* ---- pause ---- */

static void
pause_here(const char *where)
{
    char line[16];
    puts(where);
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL)
        exit(2);
}

/* The plaintext is counted up from what no file and no argument holds. */
static int
do_pause(const char *subject)
{
    must(scopekey_subject_ensure(sk, subject, NULL, error), "ensure");
    for (int n = 0; n < 20; n++) {
        void *message = NULL;
        size_t length = 0;
        struct scopekey_secret *plain = NULL;
        uint8_t text[48];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (uint8_t)(200 - 3 * i);
        must(scopekey_message_seal(sk, subject, text, sizeof text, NULL, 0, NULL, &message, &length, error), "seal");
        explicit_bzero(text, sizeof text);
        must(scopekey_message_open(sk, subject, message, length, NULL, 0, NULL, &plain, error), "open");
        if (scopekey_secret_length(plain) != sizeof text || scopekey_secret_data(plain)[1] != 197)
            abort();
        scopekey_secret_free(&plain);
        scopekey_free(message);
    }
    pause_here("freed");
    scopekey_close(&sk);
    pause_here("closed");
    return 0;
}

int
main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    int status = 2;
    error = scopekey_error_new();
    must(scopekey_open(NULL, &sk, error), "open");
    if (strcmp(command, "names") == 0)
        status = do_names();
    else if (strcmp(command, "storm") == 0 && argc > 2)
        status = do_storm(argv[2]);
    else if (strcmp(command, "swaps") == 0)
        status = do_swaps();
    else if (strcmp(command, "give") == 0 && argc > 2)
        status = do_give(argv[2]);
    else if (strcmp(command, "foreign") == 0 && argc > 4)
        status = do_foreign(argv[2], argv[3], argv[4]);
    else if (strcmp(command, "many") == 0 && argc > 2)
        status = do_many((size_t)atoi(argv[2]));
    else if (strcmp(command, "pause") == 0 && argc > 2)
        status = do_pause(argv[2]);
    scopekey_close(&sk);
    scopekey_error_free(&error);
    return status;
}
