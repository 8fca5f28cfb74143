/* SPDX-License-Identifier: MIT */
#include "rest/problem.h"

#include <stddef.h>

struct sck_problem
sck_problem_of(enum sck_code code)
{
    const char *word = sck_code_name(code);
    switch (code) {
    case SCK_E_USAGE:
        return (struct sck_problem){400, "validation_error", "The request is not valid", 0};
    case SCK_E_AUTHENTIC:
        return (struct sck_problem){400, word, "The data could not be decrypted", 0};
    case SCK_E_CONTEXT:
        return (struct sck_problem){400, word, "The encryption context does not belong to this data", 0};
    case SCK_E_UNSUPPORTED:
        return (struct sck_problem){400, word, "This set-up cannot do that", 0};
    case SCK_E_DENIED:
        return (struct sck_problem){403, word, "The client is not allowed to do that", 0};
    case SCK_E_NOT_FOUND:
        return (struct sck_problem){404, word, "There is no such key", 0};
    case SCK_E_EXISTS:
        return (struct sck_problem){409, word, "It exists already", 0};
    case SCK_E_STATE:
        return (struct sck_problem){409, word, "The key may not be used for that now", 0};
    case SCK_E_ERASED:
        return (struct sck_problem){410, word, "It was erased", 0};
    case SCK_E_CREDENTIAL:
        return (struct sck_problem){502, word, "The token or keeper refused the daemon's credential", 30};
    case SCK_E_TOKEN:
        return (struct sck_problem){503, word, "The token is not available", 5};
    case SCK_E_CONNECT:
        return (struct sck_problem){503, word, "The keeper or database is out of reach", 5};
    case SCK_E_IO:
        return (struct sck_problem){503, word, "The daemon could not read or write its records", 5};
    case SCK_E_MEMORY:
        return (struct sck_problem){503, word, "The daemon is out of memory", 5};
    case SCK_E_BUSY:
        return (struct sck_problem){504, word, "No token session or lock became free in time", 1};
    case SCK_E_CANCELLED:
        return (struct sck_problem){503, word, "The daemon gave the work up", 1};
    case SCK_E_CONFIG:
        return (struct sck_problem){500, word, "The daemon is not set up correctly", 0};
    case SCK_E_INTEGRITY:
        return (struct sck_problem){500, word, "A stored record was changed and is refused", 0};
    case SCK_OK:
    case SCK_E_INTERNAL:
        break;
    }
    return (struct sck_problem){500, "internal", "The daemon made a mistake", 0};
}

const char *
sck_problem_title(unsigned status)
{
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {
        {400, "Validation Error"},
        {401, "Authentication Error"},
        {403, "Permission Error"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Payload Too Large"},
        {415, "Unsupported Media Type"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Error"},
        {502, "Keeper Error"},
        {503, "Service Unavailable"},
        {504, "Keeper Timeout"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
        if (titles[i].status == status)
            return titles[i].title;
    }
    return "Error";
}
