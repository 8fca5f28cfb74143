# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# A Key Vault for shell tests.  To be sourced; needs python3, openssl, curl, jq.
#
#   azure_start DIR [--hsm]     the fake (tests/lib/azure_fake.py), or the emulator of SCOPEKEY_TEST_AZURE_URL; sets
#                               $azure_url, $azure_ca, $azure_http (identity endpoints, plain) and for the fake
#                               DIR/data.secret, admin.secret, client.pem, client.key, federated.tok; clients data-client,
#                               admin-client, certificate-client, federated-client and managed, tenant $azure_tenant
#   azure_set JSON              how the fake behaves from now on
#   azure_log [FILTER]          its requests so far, through jq; azure_clear_log forgets them
#   azure_keys [FILTER]         the keys it has
# Everything that was started is stopped by azure_stop.

azure_pid=''
azure_tenant=11111111-2222-3333-4444-555555555555

azure_die() {
  echo "Bail out! $*" >&2
  exit 1
}

azure_stop() {
  [ -z "$azure_pid" ] || kill "$azure_pid" 2>/dev/null
  [ -z "$azure_pid" ] || wait "$azure_pid" 2>/dev/null
  azure_pid=''
}

azure_certificates() {
  local dir=$1
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -out "$dir/ca.pem" \
      -days 30 -subj '/CN=Scopekey test CA' -addext 'basicConstraints=critical,CA:TRUE' &&
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/srv.key" -out "$dir/srv.csr" \
        -subj '/CN=Scopekey test vault' &&
      openssl x509 -req -in "$dir/srv.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
        -out "$dir/srv.pem" -extfile <(echo 'subjectAltName=IP:127.0.0.1') &&
      openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/client.key" -out "$dir/client.pem" -days 30 \
        -subj '/CN=certificate-client'
  } >"$dir/openssl.log" 2>&1 || azure_die "no certificates: $(tail -n 3 "$dir/openssl.log")"
}

azure_start() {
  local dir=$1 fake i
  shift
  mkdir -p "$dir" && dir=$(cd "$dir" && pwd)
  if [ -n "${SCOPEKEY_TEST_AZURE_URL:-}" ]; then
    azure_url=$SCOPEKEY_TEST_AZURE_URL
    azure_ca=$SCOPEKEY_TEST_AZURE_CA
    return
  fi
  fake=$(dirname "${BASH_SOURCE[0]}")/azure_fake.py
  (umask 077 && azure_certificates "$dir") || exit 1
  (
    umask 077
    printf 'data~secret+1/%%&=\n' >"$dir/data.secret"
    printf 'admin.secret-2\n' >"$dir/admin.secret"
    printf 'a-token-of-another-issuer\n' >"$dir/federated.tok"
  )
  jq -n --arg tenant "$azure_tenant" --arg data "$(cat "$dir/data.secret")" --arg admin "$(cat "$dir/admin.secret")" \
    --arg cert "$dir/client.pem" --arg federated "$(cat "$dir/federated.tok")" '{$tenant, identity_header: "header-of-the-app",
    clients: {"data-client": {secret: $data, rights: ["get", "list", "wrapKey", "unwrapKey"]},
      "admin-client": {secret: $admin, rights: ["get", "list", "create", "update", "delete", "purge", "rotate"]},
      "certificate-client": {certificate: $cert}, "federated-client": {$federated}, "managed": {}}}' >"$dir/clients.json"
  rm -f "$dir/ready"
  python3 "$fake" --cert "$dir/srv.pem" --key "$dir/srv.key" --clients "$dir/clients.json" --ready "$dir/ready" "$@" \
    >"$dir/fake.log" 2>&1 </dev/null &
  azure_pid=$!
  for ((i = 0; i < 300; i++)); do
    [ ! -e "$dir/ready" ] || break
    kill -0 "$azure_pid" 2>/dev/null || break
    sleep 0.1
  done
  [ -e "$dir/ready" ] || azure_die "the fake does not start: $(tail -n 3 "$dir/fake.log")"
  azure_url=https://127.0.0.1:$(jq .https "$dir/ready")
  azure_http=http://127.0.0.1:$(jq .http "$dir/ready")
  azure_ca=$dir/ca.pem
}

azure_ask() { curl -sS --noproxy '*' "$azure_http/_fake/$1" "${@:2}"; }
azure_set() { [ "$(azure_ask set -d "$1")" = '{}' ] || azure_die "the fake does not take $1"; }
azure_log() { azure_ask log | jq -c "${1:-.[]}"; }
azure_clear_log() { azure_ask clear-log -d '' >/dev/null; }
azure_keys() { azure_ask keys | jq -c "${1:-.}"; }
