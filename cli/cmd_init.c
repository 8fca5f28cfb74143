/* SPDX-License-Identifier: MIT */
#include "cli/cli.h"

#include "lib/service/setup.h"

#include <stdio.h>
#include <stdlib.h>

struct values {
    const char *pin_file;
    const char *environment;
    const char *module;
    const char *token_label;
    const char *token_serial;
    const char *keeper;
    const char *key_prefix;
    const char *vault_addr;
    const char *vault_mount;
    const char *vault_namespace;
    struct sck_setup_vault_auth vault_data, vault_admin;
    const char *vault_ca_file;
    struct sck_setup_azure azure;
    const char *local_path;
    const char *local_passphrase_file;
    bool insecure_http;
    bool insecure_master;
};

static const struct sck_option options[] = {
    {'p', "pin-file", SCK_OPTION_FILE, offsetof(struct values, pin_file), "FILE",
     "file with the user PIN, 0600; its absolute path is recorded (otherwise asked on the terminal)", NULL, 0, 0},
    {'e', "environment", SCK_OPTION_WORD, offsetof(struct values, environment), "NAME",
     "part of every encryption context; default development", sck_words_environment, 0, 0},
    {'m', "module", SCK_OPTION_FILE, offsetof(struct values, module), "FILE",
     "PKCS#11 module of the token; default SoftHSM", NULL, 0, 0},
    {'\0', "token-label", SCK_OPTION_TEXT, offsetof(struct values, token_label), "LABEL",
     "use this initialised token; default a new SoftHSM token inside the set-up", NULL, 0, 0},
    {'\0', "token-serial", SCK_OPTION_TEXT, offsetof(struct values, token_serial), "SERIAL",
     "and this serial number, where two tokens share a label", NULL, 0, 0},
    {'k', "keeper", SCK_OPTION_WORD, offsetof(struct values, keeper), "KEEPER", "where KEKs live; default token",
     sck_words_keeper, 0, 0},
    {'\0', "key-prefix", SCK_OPTION_TEXT, offsetof(struct values, key_prefix), "WORD",
     "beginning of the KEKs' names at the keeper; default scopekey", NULL, 0, 0},
    {'\0', "vault-addr", SCK_OPTION_TEXT, offsetof(struct values, vault_addr), "URL",
     "keeper vault: address of Vault or OpenBao", NULL, 0, 0},
    {'\0', "vault-mount", SCK_OPTION_TEXT, offsetof(struct values, vault_mount), "PATH",
     "keeper vault: mount of the transit engine; default transit", NULL, 0, 0},
    {'\0', "vault-namespace", SCK_OPTION_TEXT, offsetof(struct values, vault_namespace), "PATH",
     "keeper vault: namespace", NULL, 0, 0},
    {'\0', "vault-token-file", SCK_OPTION_FILE, offsetof(struct values, vault_data.token_file),
     "FILE", "keeper vault: file with the data token, which may only encrypt, decrypt and rewrap", NULL, 0, 0},
    {'\0', "vault-auth", SCK_OPTION_WORD, offsetof(struct values, vault_data.method),
     "METHOD", "keeper vault: how the data token is had; default token", sck_words_vault_auth, 0, 0},
    {'\0', "vault-auth-mount", SCK_OPTION_TEXT, offsetof(struct values, vault_data.mount),
     "PATH", "keeper vault: where that method is mounted; default its name", NULL, 0, 0},
    {'\0', "vault-auth-role", SCK_OPTION_TEXT, offsetof(struct values, vault_data.role),
     "NAME", "keeper vault: role to log in to", NULL, 0, 0},
    {'\0', "vault-role-id", SCK_OPTION_TEXT, offsetof(struct values, vault_data.role_id),
     "ID", "keeper vault, AppRole: the role id", NULL, 0, 0},
    {'\0', "vault-secret-id-file", SCK_OPTION_FILE, offsetof(struct values, vault_data.secret_id_file),
     "FILE", "keeper vault, AppRole: file with the secret id, 0600", NULL, 0, 0},
    {'\0', "vault-jwt-file", SCK_OPTION_FILE, offsetof(struct values, vault_data.jwt_file),
     "FILE", "keeper vault, JWT and Kubernetes: file with the JWT", NULL, 0, 0},
    {'\0', "vault-client-cert-file", SCK_OPTION_FILE, offsetof(struct values, vault_data.client_cert_file),
     "FILE", "keeper vault: client certificate in PEM", NULL, 0, 0},
    {'\0', "vault-client-key-file", SCK_OPTION_FILE, offsetof(struct values, vault_data.client_key_file),
     "FILE", "keeper vault: its private key in PEM, 0600", NULL, 0, 0},
    {'\0', "vault-admin-token-file", SCK_OPTION_FILE, offsetof(struct values, vault_admin.token_file),
     "FILE", "keeper vault: file with the admin token, which makes and deletes KEKs", NULL, 0, 0},
    {'\0', "vault-admin-auth", SCK_OPTION_WORD, offsetof(struct values, vault_admin.method),
     "METHOD", "keeper vault: how the admin token is had; default token", sck_words_vault_auth, 0, 0},
    {'\0', "vault-admin-auth-mount", SCK_OPTION_TEXT, offsetof(struct values, vault_admin.mount),
     "PATH", "keeper vault: where that method is mounted; default its name", NULL, 0, 0},
    {'\0', "vault-admin-auth-role", SCK_OPTION_TEXT, offsetof(struct values, vault_admin.role),
     "NAME", "keeper vault: role to log in to", NULL, 0, 0},
    {'\0', "vault-admin-role-id", SCK_OPTION_TEXT, offsetof(struct values, vault_admin.role_id),
     "ID", "keeper vault, AppRole: the role id", NULL, 0, 0},
    {'\0', "vault-admin-secret-id-file", SCK_OPTION_FILE, offsetof(struct values, vault_admin.secret_id_file),
     "FILE", "keeper vault, AppRole: file with the secret id, 0600", NULL, 0, 0},
    {'\0', "vault-admin-jwt-file", SCK_OPTION_FILE, offsetof(struct values, vault_admin.jwt_file),
     "FILE", "keeper vault, JWT and Kubernetes: file with the JWT", NULL, 0, 0},
    {'\0', "vault-admin-client-cert-file", SCK_OPTION_FILE, offsetof(struct values, vault_admin.client_cert_file),
     "FILE", "keeper vault: client certificate in PEM; default the data token's", NULL, 0, 0},
    {'\0', "vault-admin-client-key-file", SCK_OPTION_FILE, offsetof(struct values, vault_admin.client_key_file),
     "FILE", "keeper vault: its private key in PEM, 0600", NULL, 0, 0},
    {'\0', "vault-ca-file", SCK_OPTION_FILE, offsetof(struct values, vault_ca_file), "FILE",
     "keeper vault: CA certificates that are trusted instead of the system's", NULL, 0, 0},
    {'\0', "azure-url", SCK_OPTION_TEXT, offsetof(struct values, azure.url),
     "URL", "keeper azure: address of the Key Vault or Managed HSM", NULL, 0, 0},
    {'\0', "azure-credential", SCK_OPTION_WORD, offsetof(struct values, azure.credential),
     "KIND", "keeper azure: how to log in; default auto", sck_words_azure_credential, 0, 0},
    {'\0', "azure-tenant-id", SCK_OPTION_TEXT, offsetof(struct values, azure.tenant_id),
     "ID", "keeper azure: tenant of the vault", NULL, 0, 0},
    {'\0', "azure-client-id", SCK_OPTION_TEXT, offsetof(struct values, azure.client_id),
     "ID", "keeper azure: client (application) that reads and unwraps", NULL, 0, 0},
    {'\0', "azure-client-secret-file", SCK_OPTION_FILE, offsetof(struct values, azure.client_secret_file),
     "FILE", "keeper azure: file with its secret, 0600", NULL, 0, 0},
    {'\0', "azure-certificate-file", SCK_OPTION_FILE, offsetof(struct values, azure.certificate_file),
     "FILE", "keeper azure: or its certificate in PEM", NULL, 0, 0},
    {'\0', "azure-certificate-key-file", SCK_OPTION_FILE, offsetof(struct values, azure.certificate_key_file),
     "FILE", "keeper azure: and the certificate's RSA key in PEM, 0600", NULL, 0, 0},
    {'\0', "azure-federated-token-file", SCK_OPTION_FILE, offsetof(struct values, azure.federated_token_file),
     "FILE", "keeper azure: or a token of another issuer (workload identity)", NULL, 0, 0},
    {'\0', "azure-admin-client-id", SCK_OPTION_TEXT, offsetof(struct values, azure.admin_client_id),
     "ID", "keeper azure: another client that creates, deletes and purges; default the same", NULL, 0, 0},
    {'\0', "azure-admin-client-secret-file", SCK_OPTION_FILE, offsetof(struct values, azure.admin_client_secret_file),
     "FILE", "keeper azure: file with its secret, 0600", NULL, 0, 0},
    {'\0', "azure-admin-certificate-file", SCK_OPTION_FILE, offsetof(struct values, azure.admin_certificate_file),
     "FILE", "keeper azure: or its certificate in PEM", NULL, 0, 0},
    {'\0', "azure-admin-certificate-key-file", SCK_OPTION_FILE, offsetof(struct values, azure.admin_certificate_key_file),
     "FILE", "keeper azure: and the certificate's RSA key in PEM, 0600", NULL, 0, 0},
    {'\0', "azure-authority", SCK_OPTION_TEXT, offsetof(struct values, azure.authority),
     "URL", "keeper azure: where tokens come from; default https://login.microsoftonline.com", NULL, 0, 0},
    {'\0', "azure-key-type", SCK_OPTION_WORD, offsetof(struct values, azure.key_type),
     "TYPE", "keeper azure: kind of KEKs; default rsa", sck_words_azure_key_type, 0, 0},
    {'\0', "azure-ca-file", SCK_OPTION_FILE, offsetof(struct values, azure.ca_file),
     "FILE", "keeper azure: CA certificates that are trusted instead of the system's", NULL, 0, 0},
    {'\0', "local-path", SCK_OPTION_DIR, offsetof(struct values, local_path), "DIR",
     "keeper local: folder of its file; default secrets inside the set-up", NULL, 0, 0},
    {'\0', "local-passphrase-file", SCK_OPTION_FILE, offsetof(struct values, local_passphrase_file), "FILE",
     "keeper local: file with the passphrase that holds its root, 0600; default the token holds it", NULL, 0, 0},
    {'\0', "insecure-http", SCK_OPTION_FLAG, offsetof(struct values, insecure_http), NULL,
     "keepers vault and azure: allow an http:// address", NULL, 0, 0},
    {'\0', "insecure-master", SCK_OPTION_FLAG, offsetof(struct values, insecure_master), NULL,
     "take a token that does not enforce the masters' templates (docs/tokens.md says what is lost)", NULL, 0, 0},
    {0},
};

static enum sck_code
run(struct sck_cli *cli, const void *values, char *const *operands, size_t count, struct sck_err *err)
{
    (void)operands;
    (void)count;
    const struct values *v = values;
    if (cli->globals.config != NULL)
        return sck_fail(err, SCK_E_USAGE, "init writes its own configuration: name its directory with --home");
    struct sck_pin_answer answer = {.is_new = v->token_label == NULL};
    const struct sck_setup setup = {
        .home = cli->globals.home,
        .pin_file = v->pin_file,
        .environment = v->environment,
        .module = v->module,
        .token_label = v->token_label,
        .token_serial = v->token_serial,
        .keeper = v->keeper,
        .key_prefix = v->key_prefix,
        .vault_url = v->vault_addr,
        .vault_mount = v->vault_mount,
        .vault_namespace = v->vault_namespace,
        .vault_data = v->vault_data,
        .vault_admin = v->vault_admin,
        .vault_ca_file = v->vault_ca_file,
        .azure = v->azure,
        .local_path = v->local_path,
        .local_passphrase_file = v->local_passphrase_file,
        .insecure_http = v->insecure_http,
        .insecure_master = v->insecure_master,
        .ask_pin = sck_cli_ask_once,
        .ask_pin_arg = &answer,
    };
    char *path = NULL;
    enum sck_code code = sck_setup_init(&setup, sck_cli_progress, cli, &path, err);
    sck_secret_free(&answer.pin);
    if (code == SCK_OK && cli->globals.json)
        code = sck_cli_print_json(stdout,
                                  json_pack("{s:s, s:s, s:s}", "config", path, "keeper",
                                            v->keeper != NULL ? v->keeper : "token", "environment",
                                            v->environment != NULL ? v->environment : "development"),
                                  err);
    else if (code == SCK_OK && !cli->globals.quiet)
        (void)printf("ready: %s\n", path);
    free(path);
    return code;
}

const struct sck_command sck_cmd_init = {
    .name = "init",
    .summary = "make a set-up: token, masters, catalog, configuration",
    .operands = "",
    .examples = "scopekey init --pin-file pin.txt\n"
                "scopekey init --home ./d --pin-file pin.txt\n"
                "scopekey init --pin-file pin.txt --keeper vault --vault-addr https://vault:8200 --vault-token-file "
                "data.tok --vault-admin-token-file admin.tok\n"
                "scopekey init --pin-file pin.txt --keeper vault --vault-addr https://vault:8200 --vault-auth approle "
                "--vault-role-id 3f1c --vault-secret-id-file secret-id --vault-admin-token-file admin.tok\n"
                "scopekey init --pin-file pin.txt --keeper local\n",
    .details = "Without --home the set-up is made in $SCOPEKEY_HOME, or in the user's state directory. A run that was "
               "interrupted is continued by the next one. A token on which a master could be misused is refused.\n",
    .options = options,
    .values_size = sizeof(struct values),
    .run = run,
};
