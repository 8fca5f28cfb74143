/* SPDX-License-Identifier: MIT */
/* What the key managers have in common; keymgmt_<kind>.c adds names and parameter lists. */
#ifndef SCK_PROVIDER_KEYMGMT_H
#define SCK_PROVIDER_KEYMGMT_H

#include "provider/pkey.h"

OSSL_FUNC_keymgmt_free_fn sck_keymgmt_free;
OSSL_FUNC_keymgmt_load_fn sck_keymgmt_load;
OSSL_FUNC_keymgmt_get_params_fn sck_keymgmt_get_params;
OSSL_FUNC_keymgmt_set_params_fn sck_keymgmt_set_params;
OSSL_FUNC_keymgmt_has_fn sck_keymgmt_has;
OSSL_FUNC_keymgmt_validate_fn sck_keymgmt_validate;
OSSL_FUNC_keymgmt_match_fn sck_keymgmt_match;
OSSL_FUNC_keymgmt_import_fn sck_keymgmt_import;
OSSL_FUNC_keymgmt_export_fn sck_keymgmt_export;
OSSL_FUNC_keymgmt_dup_fn sck_keymgmt_dup;
OSSL_FUNC_keymgmt_gen_set_template_fn sck_keymgmt_gen_set_template;
OSSL_FUNC_keymgmt_gen_set_params_fn sck_keymgmt_gen_set_params;
OSSL_FUNC_keymgmt_gen_fn sck_keymgmt_gen;
OSSL_FUNC_keymgmt_gen_cleanup_fn sck_keymgmt_gen_cleanup;

/* gen_init of one kind. */
void *sck_keymgmt_gen_begin(struct sck_prov *prov, enum sck_kind kind, int selection, const OSSL_PARAM params[]);

#endif
