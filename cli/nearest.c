/* SPDX-License-Identifier: MIT */
#include "cli/nearest.h"

#include <string.h>

unsigned
sck_word_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > SCK_WORD_MAX || m > SCK_WORD_MAX)
        return 99;
    unsigned d[SCK_WORD_MAX + 1][SCK_WORD_MAX + 1];
    for (size_t i = 0; i <= n; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

void
sck_nearest_offer(struct sck_nearest *n, const char *candidate)
{
    unsigned d = sck_word_distance(n->word, candidate);
    unsigned allowed = strlen(n->word) < 4 ? 1 : 2;
    if (d <= allowed && d < n->distance) {
        n->best = candidate;
        n->distance = d;
    }
}

struct sck_nearest
sck_nearest_to(const char *word)
{
    return (struct sck_nearest){word, NULL, 99};
}
