/* SPDX-License-Identifier: MIT */
/* The word that was probably meant. */
#ifndef SCK_CLI_NEAREST_H
#define SCK_CLI_NEAREST_H

#define SCK_WORD_MAX 40     /* longest word that is compared for likeness */

/* Edits (insert, delete, replace, swap of neighbours) between two words; 99 when one is longer than SCK_WORD_MAX. */
unsigned sck_word_distance(const char *a, const char *b);

/* Keeps the candidate that is nearest to a word, if it is near enough to be meant.  Borrows all words. */
struct sck_nearest {
    const char *word;
    const char *best;       /* NULL: none was near enough */
    unsigned distance;
};

struct sck_nearest sck_nearest_to(const char *word);
void sck_nearest_offer(struct sck_nearest *n, const char *candidate);

#endif
