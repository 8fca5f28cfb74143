/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over the files of its corpus, and over every prefix of each. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

enum { INPUT_MAX = 65536 };

static long
replay(const char *dir, const char *name)
{
    static uint8_t data[INPUT_MAX];
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    size_t len = fread(data, 1, sizeof data, f);
    (void)fclose(f);
    for (size_t n = 0; n <= len; n++) {
        /* A copy of exactly this length, so that a sanitizer sees one byte too far. */
        uint8_t *copy = malloc(n > 0 ? n : 1);
        if (copy == NULL)
            exit(1);
        memcpy(copy, data, n);
        (void)LLVMFuzzerTestOneInput(copy, n);
        free(copy);
    }
    return 1;
}

int
main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : SCK_FUZZ_CORPUS;
    long count = 0;
    DIR *d = opendir(dir);
    if (d == NULL) {
        perror(dir);
        return 1;
    }
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.')
            count += replay(dir, e->d_name);
    }
    (void)closedir(d);
    if (count == 0) {
        (void)fprintf(stderr, "%s: the corpus is empty\n", dir);
        return 1;
    }
    (void)printf("ok - %s: %ld inputs and their prefixes\n", dir, count);
    return 0;
}
