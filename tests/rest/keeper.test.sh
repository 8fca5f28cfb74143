#!/bin/bash
# SPDX-License-Identifier: MIT
# scopekeyd while its keeper, a real OpenBao, is sealed, gone and back: the right answers meanwhile, and no restart.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
export OPENSSL_MODULES=$build/.libs SCOPEKEY_PLUGINS=$build/vault/.libs
unset SCOPEKEY_CONF API_KEY LOG_LEVEL LOG_FORMAT HOST PORT
openbao_install
dir=$(mktemp -d)
trap 'kill "${daemon:-}" 2>/dev/null; openbao_stop_all; rm -rf "$dir"' EXIT
openbao_durable "$dir/openbao"
openbao_mount transit
openbao_tokens transit "$dir"
cd "$dir" || exit 1
export SCOPEKEY_HOME=$dir/d
(umask 077 && echo 12345678 >pin.txt && openssl rand -hex 32 >api.key)
(umask 077 && printf 'header = "X-API-Key: %s"\n' "$(cat api.key)" >curl.conf)
holds "a set-up with keeper vault" "$build/cli/scopekey" init --pin-file pin.txt --keeper vault \
  --vault-addr "$openbao_http_url" --vault-token-file data.tok --vault-admin-token-file admin.tok \
  --vault-mount transit --insecure-http
printf '\n[keeper vault]\nmax_retries = 0\ndeadline_ms = 3000\n' >>d/scopekey.conf

start() {
  "$build/rest/scopekeyd" --port 0 --api-key-file api.key 2>log >/dev/null </dev/null &
  daemon=$!
  until port=$(sed -n 's/^scopekeyd: ready on .*:\([0-9]*\)$/\1/p' log) && [ -n "$port" ]; do
    kill -0 "$daemon" 2>/dev/null || return 1
    sleep 0.05
  done
}

# kms PATH JSON: the reply in reply.json, its headers in head, its status printed.
kms() {
  curl -sS --noproxy '*' -K curl.conf -H 'Content-Type: application/json' -o reply.json -D head -w '%{http_code}' \
    "http://127.0.0.1:$port/api/kms/$1" -d "$2"
}

get() { curl -sS --noproxy '*' -K curl.conf -o reply.json -w '%{http_code}' "http://127.0.0.1:$port$1"; }

# becomes NAME PATH STATUS: a probe changes to this status.
becomes() {
  until [ "$(get "$2")" = "$3" ]; do sleep 0.1; done
  pass "$1"
}

down() {
  is "$1: a new key is refused" "$(kms generate_key '')" 503
  is "$1: why" "$(jq -r '[.error, .code, .detail] | join("; ")' reply.json)" \
    "Service Unavailable; connectivity; The keeper or database is out of reach"
  is "$1: when to try again" "$(sed -n 's/^Retry-After: \([0-9]*\)\r$/\1/p' head)" 5
  is "$1: an open key goes on" "$(kms encrypt "$text")" 200
  becomes "$1: unhealthy" /health 503
  is "$1: says so" "$(jq -r '[.status, .backend_status] | join(" ")' reply.json)" "unhealthy unhealthy"
  is "$1: not ready" "$(get /health/ready)" 503
  is "$1: alive" "$(get /health/live)" 200
}

down_without() {
  becomes "$1: unhealthy" /health 503
  is "$1: a closed key is refused" "$(kms decrypt "$sealed")" 503
  is "$1: alive" "$(get /health/live)" 200
}

up() {
  becomes "$1: healthy" /health 200
  is "$1: ready" "$(get /health/ready)" 200
  is "$1: a new key" "$(kms generate_key '')" 200
  is "$1: the old key" "$(kms decrypt "$sealed")" 200
}

start || {
  fail "the daemon starts" "$(cat log)"
  tap_end
}
pass "the daemon starts"
is "a key" "$(kms generate_key '')" 200
key=$(jq -r .key_id reply.json)
text=$(jq -nc --arg k "$key" '{key_id: $k, plaintext: "Hello, World!"}')
is "encrypts" "$(kms encrypt "$text")" 200
sealed=$(jq -c '{key_id, ciphertext, nonce}' reply.json)
becomes "healthy" /health 200
holds "OpenBao is sealed" openbao_seal
down "sealed"
holds "OpenBao is unsealed" openbao_unseal
up "unsealed"
openbao_stop
down "gone"
if openbao_start && openbao_unseal; then pass "OpenBao is back"; else fail "OpenBao is back"; fi
up "back"
kill "$daemon"
wait "$daemon"
is "SIGTERM ends it with 0" $? 0
openbao_stop
# Token and catalog are there: it starts, and says by its probes that something is missing.
if start; then pass "starts without its keeper"; else fail "starts without its keeper" "$(cat log)"; fi
down_without "started without its keeper"
kill "$daemon"
wait "$daemon"
is "SIGTERM ends it too" $? 0
empty "no credential in the log" "$(grep -F -e "$(cat data.tok)" -e "$(cat admin.tok)" -e "$(cat api.key)" log)"
tap_end
