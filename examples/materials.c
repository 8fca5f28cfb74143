/* SPDX-License-Identifier: MIT */
/*
 * Encrypts standard input for a person, or decrypts it again:
 *   cc materials.c $(pkg-config --cflags --libs scopekey) -o materials
 *   ./materials seal alice <letter >letter.sealed && ./materials open alice <letter.sealed
 * After `scopekey erase subject/alice` no copy of letter.sealed opens any more.
 */
#include <scopekey.h>

#include <stdio.h>
#include <string.h>

static int
say(const struct scopekey_error *error)
{
    fprintf(stderr, "materials: %s\n", scopekey_error_message(error));
    return 1;
}

int
main(int argc, char **argv)
{
    static unsigned char in[SCOPEKEY_MESSAGE_MAX];
    struct scopekey *sk = NULL;
    struct scopekey_secret *plain = NULL;
    struct scopekey_error *error = scopekey_error_new();
    void *message = NULL;
    size_t length = fread(in, 1, sizeof in, stdin);
    int sealing = argc == 3 && strcmp(argv[1], "seal") == 0;
    int failed = 0;

    if (argc != 3 || error == NULL) {
        fprintf(stderr, "usage: materials seal|open SUBJECT <in >out\n");
        return 2;
    }
    if (scopekey_open(NULL, &sk, error) != SCOPEKEY_OK)
        failed = say(error);
    else if (sealing && (scopekey_subject_ensure(sk, argv[2], NULL, error) != SCOPEKEY_OK ||
                         scopekey_message_seal(sk, argv[2], in, length, NULL, 0, NULL, &message, &length, error) !=
                             SCOPEKEY_OK))
        failed = say(error);
    else if (!sealing && scopekey_message_open(sk, argv[2], in, length, NULL, 0, NULL, &plain, error) != SCOPEKEY_OK)
        failed = say(error);
    else if (sealing)
        failed = fwrite(message, 1, length, stdout) != length;
    else
        failed = fwrite(scopekey_secret_data(plain), 1, scopekey_secret_length(plain), stdout) !=
                 scopekey_secret_length(plain);
    scopekey_free(message);
    scopekey_secret_free(&plain);
    scopekey_close(&sk);
    scopekey_error_free(&error);
    return failed;
}
