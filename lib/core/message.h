/* SPDX-License-Identifier: MIT */
/* Sealed messages: short data with all that opening it takes but the keeper.  Pure.  Format: docs/formats.md. */
#ifndef SCK_CORE_MESSAGE_H
#define SCK_CORE_MESSAGE_H

#include "lib/core/context.h"
#include "lib/core/seal.h"

/* Bytes of the longest one. */
#define SCK_MESSAGE_MAX (5 + 2 + SCK_CONTEXT_BYTES_MAX + 2 + SCK_WRAPPED_MAX + SCK_SEAL_OVERHEAD + SCK_SEAL_MAX)

/* The parts, borrowed.  `seal` is a short seal whose aad is the context and behind it what the caller adds. */
struct sck_message {
    struct sck_bytes context;   /* canonical */
    struct sck_bytes wrapped;
    struct sck_bytes seal;
};

/* Append what comes before the seal: "SCKM" ‖ 01 ‖ u16 length ‖ context ‖ u16 length ‖ wrapped DEK. */
void sck_message_put_head(const struct sck_message *message, struct sck_buf *out);
/*
 * Take a message apart.  SCK_E_AUTHENTIC: it is none, or cut.  Context and wrapped DEK are checked by those who
 * decode them.
 */
SCK_MUST_CHECK enum sck_code sck_message_decode(const uint8_t *data, size_t len, struct sck_message *out,
                                                struct sck_err *err);

#endif
