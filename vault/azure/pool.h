/* SPDX-License-Identifier: MIT */
/*
 * Work on many DEKs at once.  A vault has no batches and answers a few hundred unwraps a second at most, and what
 * surrounds a request (the token's HMAC, RSA) blocks or computes: threads that make one blocking request each do it as
 * well as anything could.  They are started when they are needed, at most SCK_AZURE_THREADS.
 */
#ifndef SCK_VAULT_AZURE_POOL_H
#define SCK_VAULT_AZURE_POOL_H

#include "vault/keeper.h"

#define SCK_AZURE_THREADS 16

struct sck_azure_pool;

/* Starts no thread.  SCK_E_MEMORY. */
SCK_MUST_CHECK enum sck_code sck_azure_pool_new(struct sck_azure_pool **out, struct sck_err *err);
/* Cancel what is under way, wait for it, end the threads.  NULL-safe. */
void sck_azure_pool_free(struct sck_azure_pool **pool);

/* Of struct sck_keeper_ops. */
enum sck_code sck_azure_run(struct sck_keeper *keeper, struct sck_keeper_work *work);
enum sck_code sck_azure_submit(struct sck_keeper *keeper, struct sck_keeper_work *work);
void sck_azure_cancel(struct sck_keeper *keeper, struct sck_keeper_work *work);

#endif
