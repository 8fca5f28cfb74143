/* SPDX-License-Identifier: MIT */
/*
 * Log lines for people (text) or collectors (JSON).  A line never holds a secret, a PIN, plaintext or a
 * plain subject id; callers pass keyed names.  Control bytes are escaped.
 */
#ifndef SCK_BASE_LOG_H
#define SCK_BASE_LOG_H

#include "lib/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum sck_log_level {
    SCK_LOG_DEBUG,
    SCK_LOG_INFO,
    SCK_LOG_WARNING,
    SCK_LOG_ERROR,
    SCK_LOG_CRITICAL
};

enum sck_log_format { SCK_LOG_TEXT, SCK_LOG_JSON };

/* A named value beside the message; `text` NULL means the number. */
struct sck_log_field {
    const char *name;   /* [a-z_]+ */
    const char *text;
    int64_t number;
};

/* Where lines go (a descriptor that stays open, default 2), from which level (default WARNING), and how (default text). */
void sck_log_setup(int fd, enum sck_log_level level, enum sck_log_format format);
enum sck_log_level sck_log_level(void);
/* Level by its documented name in any case ("DEBUG" ... "CRITICAL"); false when unknown. */
bool sck_log_level_parse(const char *text, enum sck_log_level *out);

/* Write one line; `logger` is a dotted room name such as "rest.encrypt".  errno is preserved. */
void sck_log(enum sck_log_level level, const char *logger, const char *fmt, ...) SCK_PRINTF(3, 4);
/* The same with named values. */
void sck_log_fields(enum sck_log_level level, const char *logger, const char *message,
                    const struct sck_log_field *fields, size_t count);

#endif
