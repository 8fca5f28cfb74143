/* SPDX-License-Identifier: MIT */
#include "lib/base/log.h"

#include "lib/base/bytes.h"
#include "lib/base/clock.h"
#include "lib/base/text.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192

static struct {
    atomic_int fd;
    atomic_int level;
    atomic_int format;
} out = {2, SCK_LOG_WARNING, SCK_LOG_TEXT};

static const char *const level_names[] = {"debug", "info", "warning", "error", "critical"};

void
sck_log_setup(int fd, enum sck_log_level level, enum sck_log_format format)
{
    atomic_store(&out.fd, fd);
    atomic_store(&out.level, (int)level);
    atomic_store(&out.format, (int)format);
}

enum sck_log_level
sck_log_level(void)
{
    return (enum sck_log_level)atomic_load(&out.level);
}

bool
sck_log_level_parse(const char *text, enum sck_log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcasecmp(text, level_names[i]) == 0) {
            *level = (enum sck_log_level)i;
            return true;
        }
    }
    return false;
}

/* JSON string (RFC 8259 section 7); bytes that are no UTF-8 become U+FFFD. */
static void
put_json_string(struct sck_buf *line, const char *text)
{
    size_t len = strlen(text);
    sck_buf_put_u8(line, '"');
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c == '"' || c == '\\')
            sck_buf_printf(line, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            sck_buf_printf(line, "\\u%04x", c);
        else
            sck_buf_put_u8(line, c);
    }
    sck_buf_put_u8(line, '"');
}

static void
format_json(struct sck_buf *line, const char *when, enum sck_log_level level, const char *logger,
            const char *message, const struct sck_log_field *fields, size_t count)
{
    sck_buf_printf(line, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"logger\":\"%s\",\"message\":", when,
                   level_names[level], logger);
    put_json_string(line, message);
    for (size_t i = 0; i < count; i++) {
        sck_buf_printf(line, ",\"%s\":", fields[i].name);
        if (fields[i].text != NULL)
            put_json_string(line, fields[i].text);
        else
            sck_buf_printf(line, "%lld", (long long)fields[i].number);
    }
    sck_buf_put_str(line, "}\n");
}

static void
format_text(struct sck_buf *line, const char *when, enum sck_log_level level, const char *logger,
            const char *message, const struct sck_log_field *fields, size_t count)
{
    sck_buf_printf(line, "%s %s %s: ", when, level_names[level], logger);
    sck_text_escape(message, strlen(message), line);
    for (size_t i = 0; i < count; i++) {
        sck_buf_printf(line, " %s=", fields[i].name);
        if (fields[i].text != NULL)
            sck_text_escape(fields[i].text, strlen(fields[i].text), line);
        else
            sck_buf_printf(line, "%lld", (long long)fields[i].number);
    }
    sck_buf_put_str(line, "\n");
}

void
sck_log_fields(enum sck_log_level level, const char *logger, const char *message,
               const struct sck_log_field *fields, size_t count)
{
    if ((int)level < atomic_load(&out.level))
        return;
    int saved = errno;
    char when[SCK_TIME_TEXT];
    sck_time_format(sck_now_s(sck_clock_system()), when);
    struct sck_buf line;
    sck_buf_init(&line, LINE_MAX_BYTES);
    if (atomic_load(&out.format) == SCK_LOG_JSON)
        format_json(&line, when, level, logger, message, fields, count);
    else
        format_text(&line, when, level, logger, message, fields, count);
    /* One write per line, so that lines of several threads and processes do not mix. */
    if (!line.failed && write(atomic_load(&out.fd), line.data, line.len) < 0) {
        /* There is nowhere left to report to. */
    }
    sck_buf_clear(&line);
    errno = saved;
}

void
sck_log(enum sck_log_level level, const char *logger, const char *fmt, ...)
{
    if ((int)level < atomic_load(&out.level))
        return;
    int saved = errno;
    char message[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    errno = saved;
    sck_log_fields(level, logger, message, NULL, 0);
}
