#!/bin/bash
# SPDX-License-Identifier: MIT
# Keeper azure at its edges, by the real command line against the fake: limits, lost answers, refused and foreign
# challenges, every kind of credential, purge protection, Managed HSM.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/azure.sh
. "$src/tests/lib/azure.sh"
build=$PWD
export PATH=$build/cli:$PATH OPENSSL_MODULES=$build/.libs SCOPEKEY_PLUGINS=$build/vault/.libs
unset SCOPEKEY_CONF LOG_LEVEL LOG_FORMAT SCOPEKEY_TEST_AZURE_URL
unset "${!KEY_VAULT_@}" "${!AZURE_@}" "${!IDENTITY_@}"
dir=$(mktemp -d)
trap 'azure_stop; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
azure_start az
(umask 077 && echo 12345678 >pin.txt)
echo 'something to keep' >f
export SCOPEKEY_HOME=$dir/d

# init_at HOME ARGUMENT...: a set-up whose retries are quick.
init_at() {
  local home=$1
  shift
  SCOPEKEY_HOME=$home scopekey init --quiet --pin-file pin.txt --keeper azure --azure-url "$azure_url" \
    --azure-ca-file "$azure_ca" "$@" >init.log 2>&1 || azure_die "init: $(tail -n 1 init.log)"
  sed -i 's/^\[keeper azure\]$/&\nretry_backoff_ms = 20\nkey_bits = 2048/' "$home/scopekey.conf"
}

# refuses NAME STATUS MESSAGE COMMAND...: MESSAGE is a pattern for the last line of what is said.
refuses() {
  local name=$1 status=$2 message=$3 said got=0
  shift 3
  said=$("$@" 2>&1 >/dev/null </dev/null | tail -n 1; exit "${PIPESTATUS[0]}") || got=$?
  is "$name: exit status" "$got" "$status"
  matches "$name: message" "$said" "$message"
}

# calls OP...: how often the vault was asked for each, as "OP=COUNT".
calls() {
  local op out=''
  for op in "$@"; do
    out+="$op=$(azure_log "[.[] | select(.path | test(\"$op\"))] | length") "
  done
  echo "${out% }"
}

opens() { holds "$1" bash -c 'scopekey decrypt f.sk -o - 2>err.log | cmp - f'; }
unset_rules() { azure_set '{"rules": []}'; }
rule() { azure_set "{\"rules\": [$1]}"; azure_clear_log; }

two_clients=(--azure-tenant-id "$azure_tenant" --azure-client-id data-client
  --azure-client-secret-file az/data.secret --azure-admin-client-id admin-client
  --azure-admin-client-secret-file az/admin.secret)
init_at d "${two_clients[@]}" --azure-authority "$azure_url"

# ---- rights ----
holds "doctor finds nothing" scopekey doctor
azure_set '{"rights": {"data-client": ["get", "list", "wrapKey", "unwrapKey", "create"]}}'
refuses "a data client that may create is found" 9 '.*' scopekey doctor
matches "doctor says which right is too much" "$(scopekey doctor | grep PROBLEM)" \
  'PROBLEM keeper: keeper azure: the data client may create keys, which is the admin client.s work'
azure_set '{"rights": {"data-client": ["get", "list", "wrapKey"]}}'
matches "doctor says which right is missing" "$(scopekey doctor | grep PROBLEM)" \
  'PROBLEM keeper: keeper azure: the data client may not unwrapKey keys'
azure_set '{"rights": {"data-client": ["get", "list", "wrapKey", "unwrapKey"]}, "recovery_level": "Recoverable"}'
matches "doctor says that a retention is too long" "$(scopekey doctor | grep PROBLEM)" \
  'PROBLEM keeper: keeper azure: a deleted KEK stays recoverable for 90 days \(Recoverable\): receipts say scheduled'
azure_set '{"recoverable_days": 30}'
holds "a retention of 30 days is no problem" scopekey doctor
azure_set '{"recovery_level": "Recoverable+Purgeable", "recoverable_days": 90}'

# ---- files, and what is asked for them ----
azure_clear_log
holds "encrypt" scopekey encrypt --subject alice f -o f.sk
is "wrapping asks for nothing but the public key" "$(calls /create wrapkey 'keys/[^/]*$')" '/create=1 wrapkey=0 keys/[^/]*$=2'
azure_clear_log
opens "decrypt"
is "unwrapping is one call, of the pinned version" "$(azure_log '[.[] | select(.path | test("unwrapkey")) | .path] |
  map(test("^/keys/[a-z0-9-]+/[0-9a-f]{32}/unwrapkey$"))')" '[true]'
is "one login is enough" "$(calls oauth2)" oauth2=1
matches "tags name nobody" "$(azure_keys '[.keys[][].tags | keys] | unique | tostring')" '"\[\[\\"scopekey\\"\]\]"'
is "KEKs wrap and unwrap and do nothing else" "$(azure_keys '[.keys[][].key_ops] | unique | tostring')" \
  '"[[\"wrapKey\",\"unwrapKey\"]]"'

# ---- rotation ----
holds "rotate" scopekey rotate subject/alice --quiet
opens "what was wrapped before opens"
holds "rewrap, and end what is older" scopekey rewrap --subject alice --retire --yes
opens "what was moved opens"
is "the older version is disabled, the newer is not" \
  "$(azure_keys ".keys[\"$(scopekey subject name alice)\"] | map(.enabled) | tostring")" '"[false,true]"'
holds "keeper test goes through all of it" scopekey keeper test
matches "keeper status says where" "$(scopekey keeper status | sed -n 's/^ *where *//p')" "$azure_url"

# ---- limits and failures ----
rule '{"path": "unwrapkey", "times": 1, "do": "status", "status": 429, "headers": {"Retry-After": "1"},
  "body": {"error": {"code": "Throttled", "message": "too many"}}}'
opens "a throttled call is repeated"
is "once, after the wait" "$(calls unwrapkey)" unwrapkey=2
rule '{"path": "unwrapkey", "times": 99, "do": "status", "status": 429, "body": {"error": {"code": "Throttled"}}}'
refuses "throttled for good" 5 "scopekey: .*: the vault's limits are reached: try again later, or spread the load over \
more vaults; 4 attempts" scopekey decrypt f.sk -o g
is "tried four times" "$(calls unwrapkey)" unwrapkey=4
rule '{"path": "unwrapkey", "times": 2, "do": "status", "status": 503}'
opens "a server that fails twice is asked again"
rule '{"path": "unwrapkey", "times": 1, "do": "drop_after"}'
opens "an answer that breaks off is asked for again"
rule '{"path": "unwrapkey", "times": 99, "do": "status", "status": 403, "body": {"error": {"code": "Forbidden",
  "message": "x", "innererror": {"code": "KeyDisabled"}}}}'
refuses "a disabled version" 4 'scopekey: .*: this version of the KEK is disabled: enable it' scopekey decrypt f.sk -o g
is "a denial is not repeated" "$(calls unwrapkey)" unwrapkey=1
rule '{"path": "unwrapkey", "times": 99, "do": "status", "status": 404, "body": {"page": "not found"}}'
refuses "a stranger's 404 is no missing KEK" 10 'scopekey: .*: the server knows no such path: is url a Key Vault\?' \
  scopekey decrypt f.sk -o g

# ---- tokens ----
rule '{"path": "unwrapkey", "times": 1, "do": "status", "status": 401}'
opens "a refused token is replaced"
is "by one login" "$(calls oauth2 unwrapkey)" 'oauth2=2 unwrapkey=2'
rule '{"path": "unwrapkey", "times": 99, "do": "status", "status": 401}'
refuses "a token that is always refused" 5 'scopekey: .*: the vault refuses the token: is tenant_id the vault.s\?.*' \
  scopekey decrypt f.sk -o g
is "there is no login loop" "$(calls oauth2 unwrapkey)" 'oauth2=2 unwrapkey=2'
unset_rules
cp -p az/data.secret kept.secret
echo wrong >az/data.secret
refuses "a wrong secret" 5 "scopekey: .*the client's secret, certificate or assertion is refused: put a new one in its \
place .invalid_client: AADSTS7000215.*" scopekey decrypt f.sk -o g
cp -p kept.secret az/data.secret
for how in authorization_uri scope; do
  azure_set "{\"challenge\": \"$how\"}"
  opens "a challenge spelled with $how"
done
azure_set '{"challenge": "authorization", "challenge_resource": "https://vault.azure.net"}'
azure_clear_log
refuses "a challenge for another resource" 10 "scopekey: .*: it wants a token for another resource, so none is sent: is \
url the vault's own address\\?" scopekey decrypt f.sk -o g
is "no token is asked for or sent" "$(azure_log '[.[] | select(.authorized or (.path | test("oauth2")))] | length')" 0
azure_set '{"challenge_resource": "", "challenge_tenant": "99999999-2222-3333-4444-555555555555"}'
azure_clear_log
refuses "a vault of another tenant" 10 \
  'scopekey: .*: it belongs to tenant 99999999-2222-3333-4444-555555555555: correct tenant_id' scopekey decrypt f.sk -o g
is "again no token is asked for" "$(calls oauth2)" oauth2=0
azure_set '{"challenge_tenant": "", "challenge": "none"}'
refuses "a server that asks for no token" 10 'scopekey: .*: the server asks for no token: is url a Key Vault\?' \
  scopekey decrypt f.sk -o g
azure_set '{"challenge": "authorization"}'

# ---- making KEKs ----
versions_of() { azure_keys ".keys[\"$(scopekey subject name "$1")\"] | length"; }
rule '{"path": "/create", "times": 1, "do": "drop_after"}'
holds "a creation whose answer is lost succeeds" scopekey subject create lost
is "and was sent once" "$(calls /create)" /create=1
is "and left one version" "$(versions_of lost)" 1
rule '{"path": "/create", "times": 1, "do": "drop_before"}'
refuses "a creation that got lost itself" 5 'scopekey: .*the connection broke, so that nobody knows whether it was done: '\
'run the same command again.*' scopekey subject create gone
is "is not sent again" "$(calls /create)" /create=1
holds "the same command makes it" scopekey subject create gone
is "with one version" "$(versions_of gone)" 1
rule '{"path": "/create", "times": 1, "do": "status", "status": 500}'
holds "a creation that failed at the server is sent again" scopekey subject create failed
is "after a look" "$(calls /create)" /create=2
rule '{"path": "/create", "times": 1, "do": "status", "status": 429, "headers": {"Retry-After": "1"}}'
holds "a throttled creation is sent again" scopekey subject create throttled
unset_rules
name=$(scopekey subject name held)
token=$(curl -sS --noproxy '*' --cacert "$azure_ca" "$azure_url/$azure_tenant/oauth2/v2.0/token" \
  -d grant_type=client_credentials -d client_id=admin-client --data-urlencode "client_secret@az/admin.secret" \
  --data-urlencode "scope=$azure_url/.default" | jq -r '.access_token // empty')
[ -n "$token" ] || token=$(curl -sS --noproxy '*' --cacert "$azure_ca" "$azure_url/$azure_tenant/oauth2/v2.0/token" \
  -d grant_type=client_credentials -d client_id=admin-client -d "client_secret=$(cat az/admin.secret)" \
  --data-urlencode "scope=$azure_url/.default" | jq -r .access_token)
as_admin() {
  curl -sS --noproxy '*' --cacert "$azure_ca" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
    -X "$1" "$azure_url/$2?api-version=7.4" "${@:3}"
}
as_admin POST "keys/$name/create" -d '{"kty":"RSA","key_ops":["wrapKey","unwrapKey"]}' >made.json
as_admin DELETE "keys/$name" >deleted.json
sleep 0.3
refuses "a name that a deleted key holds" 4 'scopekey: .*: the name is held by a deleted key that can still be recovered: '\
'purge it, or wait until the vault purges it' scopekey subject create held
as_admin DELETE "deletedkeys/$name"
sleep 0.2
holds "it works once that is purged" scopekey subject create held

# ---- erasing ----
receipt_of() { jq -r "$2" "$(scopekey erase "subject/$1" --yes | sed -n 's/^receipt: //p')"; }
lost=$(scopekey subject name lost)
is "a purged KEK: complete" "$(receipt_of lost .status)" complete
is "nothing of it is left" "$(azure_keys ".keys[\"$lost\"], .deleted" | tr '\n' ' ')" 'null [] '
azure_set '{"recovery_level": "Recoverable", "recoverable_days": 90}'
receipt=$(receipt_of gone 'tostring' 2>err.log)
matches "purge protection and 90 days: a warning" "$(cat err.log)" \
  '.*the vault keeps what is deleted recoverable for 90 days: erasures end only then, and the law may give you one month'
is "purge protection: scheduled" "$(jq -r .status <<<"$receipt")" scheduled
date=$(jq -r .effective_at <<<"$receipt")
is "with the vault's date, 90 days ahead" "$((($(date -d "$date" +%s) - $(date +%s) + 43200) / 86400))" 90
is "the key is deleted" "$(azure_keys .deleted | jq length)" 1
azure_set '{"recovery_level": "CustomizedRecoverable+Purgeable", "recoverable_days": 7,
  "rights": {"admin-client": ["get", "list", "create", "update", "delete"]}}'
receipt=$(receipt_of failed 'tostring' 2>err.log)
matches "no right to purge: said" "$(cat err.log)" '.*KEK [a-z0-9-]+ is deleted but not purged: Forbidden/AccessDenied.*'
is "no right to purge: scheduled" "$(jq -r .status <<<"$receipt")" scheduled
is "with its date" "$((($(date -d "$(jq -r .effective_at <<<"$receipt")" +%s) - $(date +%s) + 43200) / 86400))" 7
azure_set '{"rights": {"admin-client": ["get", "list", "create", "update", "purge"]}}'
refuses "no right to delete is an error" 10 'scopekey: .*: the client has no right to do this: give it the permission of '\
'docs/keepers.md .Forbidden/AccessDenied.*' scopekey erase subject/throttled --yes
azure_set '{"rights": {"admin-client": ["get", "list", "create", "update", "delete", "purge", "rotate"]},
  "recovery_level": "Recoverable+Purgeable", "recoverable_days": 90, "delete_ms": 1500}'
is "and goes on when the right is there" "$(receipt_of throttled .status)" complete
sed -i 's/^retry_backoff_ms = 20$/&\ndelete_wait_ms = 300/' d/scopekey.conf
azure_set '{"delete_ms": 8000}'
refuses "a deletion that takes longer than we wait" 7 \
  'scopekey: .*: the vault is still deleting it: run the same command again' scopekey erase subject/held --yes
sed -i '/^delete_wait_ms/d' d/scopekey.conf
is "the same command completes it" "$(receipt_of held .status)" complete
azure_set '{"delete_ms": 100}'

# ---- other credentials ----
# as_client HOME CREDENTIAL LINE...: the same set-up with other lines in [keeper azure].
as_client() {
  local out=d/$1.conf line
  grep -v -E '^(client|admin_client|tenant|credential|certificate|federated)[a-z_]* =' d/scopekey.conf >"$out"
  for line in "${@:2}"; do
    sed -i "s|^\\[keeper azure\\]\$|&\n$line|" "$out"
  done
  echo "$PWD/$out"
}
with() { SCOPEKEY_CONF=$1 opens "$2"; }
with "$(as_client cert 'client_id = certificate-client' "tenant_id = $azure_tenant" "certificate_file = $PWD/az/client.pem" \
  "certificate_key_file = $PWD/az/client.key")" "a certificate's assertion"
openssl genrsa -out other.key 2048 2>/dev/null
chmod 600 other.key
export SCOPEKEY_CONF
SCOPEKEY_CONF=$(as_client cert2 'client_id = certificate-client' "tenant_id = $azure_tenant" \
  "certificate_file = $PWD/az/client.pem" "certificate_key_file = $PWD/other.key")
refuses "a key of another certificate" 10 'scopekey: .*: certificate_key_file .*/other.key is not the key of certificate_file' \
  scopekey decrypt f.sk -o g
SCOPEKEY_CONF=$(as_client plain)
AZURE_TENANT_ID=$azure_tenant AZURE_CLIENT_ID=federated-client AZURE_FEDERATED_TOKEN_FILE=$PWD/az/federated.tok \
  AZURE_AUTHORITY_HOST=$azure_url/ opens "workload identity, all of it from the environment"
AZURE_POD_IDENTITY_AUTHORITY_HOST=$azure_http opens "the machine's managed identity"
azure_clear_log
IDENTITY_ENDPOINT=$azure_http/msi/token IDENTITY_HEADER=header-of-the-app opens "App Service's managed identity"
is "asked at its endpoint" "$(calls /msi/token /metadata)" '/msi/token=1 /metadata=0'
IDENTITY_ENDPOINT=$azure_http/msi/token IDENTITY_HEADER=wrong refuses "a wrong identity header" 5 \
  'scopekey: .*no token is given: does this machine have the managed identity, and is client_id it\?.*' \
  scopekey decrypt f.sk -o g
IDENTITY_ENDPOINT=http://example.org/msi IDENTITY_HEADER=x refuses "an identity endpoint over plain http elsewhere" 10 \
  'scopekey: .*keeper azure: http:// is for a server on this machine alone: use https://' scopekey decrypt f.sk -o g
KEY_VAULT_TENANT_ID=$azure_tenant KEY_VAULT_CLIENT_ID=data-client KEY_VAULT_CLIENT_SECRET=$(cat az/data.secret) \
  opens "the documented variables"
matches "with a warning about the secret" "$(cat err.log)" \
  '.*the client secret is in the environment \(KEY_VAULT_CLIENT_SECRET\).*'
KEY_VAULT_CLIENT_SECRET=x refuses "a tenant that is missing is named" 10 \
  'scopekey: keeper azure: set tenant_id \(or KEY_VAULT_TENANT_ID\) in \[keeper azure\]' scopekey decrypt f.sk -o g
KEY_VAULT_URL=http://127.0.0.1:1 refuses "plain http needs leave" 10 'scopekey: keeper azure: url is http://: use https://, '\
'or for a server on this machine set insecure_http = true' scopekey decrypt f.sk -o g
KEY_VAULT_URL='' SCOPEKEY_CONF=$(grep -v '^url =' d/plain.conf >d/no.conf; echo "$PWD/d/no.conf") \
  refuses "a url that is missing is named" 10 \
  'scopekey: .*/no.conf: keeper = azure needs url in \[keeper azure\], or KEY_VAULT_URL' scopekey decrypt f.sk -o g
grep -v '^keeper =' d/plain.conf >d/mode.conf
KEY_VAULT_MODE=azure SCOPEKEY_CONF=$PWD/d/mode.conf AZURE_POD_IDENTITY_AUTHORITY_HOST=$azure_http \
  holds "KEY_VAULT_MODE chooses the keeper of new KEKs" scopekey subject create by-mode
SCOPEKEY_CONF=$PWD/d/scopekey.conf
is "so that the vault has it" "$(versions_of by-mode)" 1
KEY_VAULT_ENABLED=false holds "KEY_VAULT_ENABLED = false is keeper token" scopekey subject create by-token
is "so that the vault has nothing of it" "$(versions_of by-token)" 0
KEY_VAULT_ENABLED=maybe refuses "and has two values" 10 \
  'scopekey: environment variable KEY_VAULT_ENABLED: "maybe" is neither true nor false' scopekey subject create x
unset SCOPEKEY_CONF

# ---- what must not be written down ----
empty "no secret and no token is in what was said and logged" "$(LOG_LEVEL=debug scopekey decrypt f.sk -o - 2>&1 |
  grep -a -E 'data~secret|fake\.[A-Za-z0-9_-]{20}|Bearer')"
azure_stop

# ---- Managed HSM ----
azure_start hsm --hsm
export SCOPEKEY_HOME=$dir/h
init_at h "${two_clients[@]/az\//hsm/}" --azure-authority "$azure_url" --azure-key-type oct-hsm
holds "oct-HSM: encrypt" scopekey encrypt --subject alice f -o f2.sk --force
mv f2.sk f.sk
azure_clear_log
opens "oct-HSM: decrypt"
is "by the vault alone" "$(calls unwrapkey)" unwrapkey=1
is "with an AES key" "$(azure_keys '[.keys[][].kty] | unique | tostring')" '"[\"oct-HSM\"]"'
is "oct-HSM: erase" "$(receipt_of alice .status)" complete
holds "oct-HSM: doctor" scopekey doctor
sed -i 's/^key_type = .*/key_type = "rsa-hsm"/' h/scopekey.conf
holds "RSA-HSM: encrypt" scopekey encrypt --subject bob f -o f.sk --force
opens "RSA-HSM: decrypt"
tap_end
