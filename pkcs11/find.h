/* SPDX-License-Identifier: MIT */
/* A search in progress: a few objects waiting to be fetched, and where the walk over the keys stands. */
#ifndef SCK_PKCS11_FIND_H
#define SCK_PKCS11_FIND_H

struct sck_p11_find;

/* Sets *find to NULL.  NULL-safe. */
void sck_p11_find_free(struct sck_p11_find **find);

#endif
