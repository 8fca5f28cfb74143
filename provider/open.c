/* SPDX-License-Identifier: MIT */
/* The service behind the provider, opened by the first key that is used; and who is asked for the PIN. */
#include "provider/provider.h"

#include "lib/base/file.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define PIN_MAX 512

static _Thread_local const struct sck_asker *asker;

const struct sck_asker *
sck_asker_set(const struct sck_asker *next)
{
    const struct sck_asker *before = asker;
    asker = next;
    return before;
}

void
sck_queue_keep(void)
{
    ERR_set_mark();
}

void
sck_queue_restore(void)
{
    ERR_pop_to_mark();
}

static enum sck_code
ask_application(struct sck_secret **pin, struct sck_err *err)
{
    struct sck_secret *s = NULL;
    enum sck_code rc = sck_secret_new(PIN_MAX, &s, err);
    if (rc != SCK_OK)
        return rc;
    char info[] = "Scopekey token PIN";
    size_t len = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PASSPHRASE_PARAM_INFO, info, 0),
        OSSL_PARAM_construct_end(),
    };
    if (!asker->fn((char *)s->data, s->cap, &len, params, asker->arg) || len == 0 || len > s->cap) {
        sck_secret_free(&s);
        return sck_fail(err, SCK_E_CREDENTIAL, "no PIN was given: set pin_file in scopekey.conf, or enter the PIN");
    }
    rc = sck_secret_from(s->data, len, pin, err);
    sck_secret_free(&s);
    return rc;
}

static enum sck_code
ask_pin(void *arg, bool again, struct sck_secret **pin, struct sck_err *err)
{
    (void)arg;
    /* The same source would give the same wrong PIN, and a token counts the tries. */
    if (again)
        return sck_fail(err, SCK_E_CREDENTIAL, "the token refused the PIN: correct it and start the program again");
    if (asker != NULL && asker->pin_source != NULL && asker->pin_source[0] != '\0') {
        const char *path = strncmp(asker->pin_source, "file:", 5) == 0 ? asker->pin_source + 5 : asker->pin_source;
        return sck_file_read_secret(path, "PIN file (pin-source)", pin, err);
    }
    if (asker == NULL || asker->fn == NULL)
        return sck_fail(err, SCK_E_CREDENTIAL,
                        "the token needs a PIN and nobody can be asked: set pin_file in scopekey.conf");
    return ask_application(pin, err);
}

enum sck_code
sck_prov_service(struct sck_prov *prov, struct sck_service **out, struct sck_err *err)
{
    struct sck_service *service = atomic_load_explicit(&prov->service, memory_order_acquire);
    if (service == NULL) {
        struct sck_open how = {.conf_path = prov->conf_path, .scopes = prov->scopes, .ask_pin = ask_pin};
        enum sck_code rc = sck_service_open(&how, &service, err);
        if (rc != SCK_OK)
            return rc;
        struct sck_service *other = NULL;
        if (!atomic_compare_exchange_strong(&prov->service, &other, service)) {
            sck_service_close(&service);
            service = other;
        }
    }
    *out = service;
    return SCK_OK;
}

bool
sck_prov_must_ask(struct sck_service *service)
{
    const struct sck_conf *conf = sck_service_conf(service);
    return conf->pin_file[0] == '\0' && conf->pin_credential[0] == '\0' && !conf->pin_prompt &&
           secure_getenv("SCOPEKEY_PIN") == NULL;
}
