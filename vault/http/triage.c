/* SPDX-License-Identifier: MIT */
#include "vault/http/triage.h"

#include <string.h>

static bool
matches(const struct sck_triage *row, const char *text)
{
    switch (row->match) {
    case SCK_MATCH_ANY:         return true;
    case SCK_MATCH_HAS:         return text != NULL && strstr(text, row->text) != NULL;
    case SCK_MATCH_IS:          return text != NULL && strcmp(text, row->text) == 0;
    case SCK_MATCH_EMPTY:       return text != NULL && text[0] == '\0';
    case SCK_MATCH_NO_ERRORS:   return text == NULL;
    }
    return false;
}

const struct sck_triage *
sck_triage_find(const struct sck_triage *rows, size_t count, enum sck_net net, long status, unsigned op,
                const char *text)
{
    const struct sck_triage *last = &rows[count - 1];
    if (net != SCK_NET_ANSWER)
        status = 0;
    for (const struct sck_triage *row = rows; row < last; row++) {
        if (row->net == net && status >= row->from && status <= row->to &&
            (row->ops == 0 || (row->ops & op) != 0) && matches(row, text))
            return row;
    }
    return last;
}
