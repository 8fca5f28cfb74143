/* SPDX-License-Identifier: MIT */
/* What [keeper azure] must hold; what each credential needs, keeper azure itself knows. */
#include "lib/service/conf.h"

#include <string.h>

enum sck_code
sck_conf_check_azure(const struct sck_conf *conf, struct sck_err *err)
{
    if (conf->azure_url[0] == '\0')
        return sck_fail(err, SCK_E_CONFIG, "%s: keeper = azure needs url in [keeper azure], or KEY_VAULT_URL", conf->path);
    if (conf->azure_key_bits != 2048 && conf->azure_key_bits != 3072 && conf->azure_key_bits != 4096)
        return sck_fail(err, SCK_E_CONFIG, "%s, [keeper azure] key_bits: \"%lld\" is none of 2048, 3072 and 4096",
                        conf->path, (long long)conf->azure_key_bits);
    if (conf->azure_admin_client_id[0] == '\0' &&
        (conf->azure_admin_client_secret_file[0] != '\0' || conf->azure_admin_certificate_file[0] != '\0' ||
         conf->azure_admin_certificate_key_file[0] != '\0'))
        return sck_fail(err, SCK_E_CONFIG, "%s: [keeper azure] has a credential for the admin client, and no "
                        "admin_client_id", conf->path);
    return SCK_OK;
}
