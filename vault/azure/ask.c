/* SPDX-License-Identifier: MIT */
#include "vault/azure/azure.h"

#include "lib/base/log.h"
#include "lib/core/kekname.h"

#include <string.h>

enum { RETENTION_WARN_DAYS = 30 }; /* what GDPR article 12(3) gives for an answer */

enum sck_code
sck_azure_send(struct sck_azure *a, const struct sck_azure_ask *ask, struct sck_call *call, struct sck_err *err)
{
    *call = (struct sck_call){
        .remote = &a->vault,
        .op = ask->op,
        .method = ask->method,
        .path = ask->path,
        .kek = ask->kek,
        .body = ask->body,
        .credential = ask->login != NULL ? &ask->login->base : NULL,
        .deadline_us = ask->deadline_us,
        .once = ask->once,
    };
    sck_call_run(call);
    return call->code == SCK_OK ? SCK_OK : sck_fail(err, call->code, "%s", call->err.message);
}

enum sck_code
sck_azure_expect(struct sck_azure *a, const struct sck_azure_ask *ask, enum sck_verdict but, struct sck_call *call,
                 struct sck_err *err)
{
    enum sck_code rc = sck_azure_send(a, ask, call, err);
    if (rc == SCK_OK && call->answer.row->verdict != SCK_SAYS_OK && call->answer.row->verdict != but)
        rc = sck_call_refused(call, err);
    return rc;
}

enum sck_code
sck_azure_check_name(const char *name, struct sck_err *err)
{
    if (sck_kek_name_is_legal(name))
        return SCK_OK;
    return sck_fail(err, SCK_E_USAGE, "keeper azure: a KEK name must be 1 to %d of a-z, 0-9 and inner hyphens",
                    SCK_KEK_NAME_MAX);
}

/* A tenant given as an id must be the vault's; one given as a domain cannot be compared. */
static bool
is_other_tenant(const char *ours, const char *theirs)
{
    static const char id[] = "0123456789abcdefABCDEF-";
    return ours != NULL && strlen(ours) == 36 && strlen(theirs) == 36 && strspn(ours, id) == 36 &&
           strspn(theirs, id) == 36 && strcasecmp(ours, theirs) != 0;
}

enum sck_code
sck_azure_resource(void *arg, int64_t deadline_us, char out[SCK_URL_MAX], struct sck_err *err)
{
    struct sck_azure *a = arg;
    struct sck_azure_challenge challenge;
    struct sck_call call;
    sck_forklock_take(&a->lock);
    memcpy(out, a->resource, SCK_URL_MAX);
    sck_forklock_give(&a->lock);
    if (out[0] != '\0')
        return SCK_OK;
    const struct sck_azure_ask ask = {.op = SCK_AZ_CHALLENGE,
                                      .method = "GET",
                                      .path = "/keys?" SCK_AZURE_API "&maxresults=1",
                                      .deadline_us = deadline_us};
    enum sck_code rc = sck_azure_expect(a, &ask, SCK_SAYS_OK, &call, err);
    if (rc == SCK_OK && !sck_azure_challenge_parse(call.answer.reply.challenge, &challenge))
        rc = sck_call_strange(&call, "a Bearer challenge that names its resource", err);
    else if (rc == SCK_OK && !sck_azure_resource_fits(sck_azure_url(a), challenge.resource))
        rc = sck_fail(err, SCK_E_CONFIG,
                      "keeper azure at %s: it wants a token for another resource, so none is sent: is "
                      "url the vault's own address?",
                      sck_azure_url(a));
    else if (rc == SCK_OK && is_other_tenant(a->issuer.tenant_id, challenge.tenant))
        rc = sck_fail(err, SCK_E_CONFIG, "keeper azure at %s: it belongs to tenant %s: correct tenant_id",
                      sck_azure_url(a), challenge.tenant);
    sck_call_clear(&call);
    if (rc != SCK_OK)
        return rc;
    memcpy(out, challenge.resource, sizeof challenge.resource);
    sck_forklock_take(&a->lock);
    memcpy(a->resource, out, SCK_URL_MAX);
    sck_forklock_give(&a->lock);
    return SCK_OK;
}

void
sck_azure_note_retention(struct sck_azure *a, struct sck_json attributes)
{
    uint64_t days = 0;
    if (!sck_json_u64(sck_json_get(attributes, "recoverableDays"), 10000, &days) || days <= RETENTION_WARN_DAYS)
        return;
    char level[64];
    (void)sck_json_text(sck_json_get(attributes, "recoveryLevel"), level, sizeof level);
    /* Where purging is allowed and wanted, the retention does not matter. */
    if (a->purge && strstr(level, "Purgeable") != NULL)
        return;
    sck_forklock_take(&a->lock);
    bool warn = !a->warned_retention;
    a->warned_retention = true;
    sck_forklock_give(&a->lock);
    if (warn)
        sck_log(SCK_LOG_WARNING, "vault.azure",
                "the vault keeps what is deleted recoverable for %u days: erasures end "
                "only then, and the law may give you one month",
                (unsigned)days);
}
