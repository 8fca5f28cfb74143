#!/bin/bash
# SPDX-License-Identifier: MIT
# Keeper `vault` at a server with low limits: rate quotas are kept to, and batches are split to what a request may hold.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
# shellcheck source=tests/lib/fault_proxy.sh
. "$src/tests/lib/fault_proxy.sh"

tmp=$(mktemp -d)
trap 'fault_proxy_stop_all; openbao_stop_all; rm -rf "$tmp"' EXIT
unset URL MOUNT KEK_MOUNT NAMESPACE TOKEN_FILE ADMIN_TOKEN_FILE CA_FILE INSECURE_HTTP INSECURE_SKIP_VERIFY LOG
unset MAX_RETRIES RETRY_BACKOFF_MS REQUEST_TIMEOUT_MS DEADLINE_MS
openbao_install
live() { tests/vault/vault_live vault/.libs/keeper-http.so "$@" 2>>"$tmp/log"; }
batch() { tests/vault/vault_load vault/.libs/keeper-http.so batch sk--alice "$1" 2>>"$tmp/log"; }

# set_up: tokens, a key, and the proxy before the server.
set_up() {
  openbao_mount scopekey
  openbao_tokens scopekey "$tmp/tok"
  export TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok MOUNT=scopekey INSECURE_HTTP=1
  URL=$openbao_http_url live create sk--alice >/dev/null
  fault_proxy "$1" "$openbao_http_url"
  export URL=$fault_url
}

# ---- batches ----
# batched NAME COUNT MOST: wrap and unwrap so many, in at most so many requests; one of them is altered and one empty.
batched() {
  local name=$1 count=$2 most=$3 requests
  fault_rules '[]'
  matches "$name: $count DEKs" "$(batch "$count")" "wrap: ok, $count ok, $count the same
unwrap: decryption_failed, $((count - 2)) ok, 2 decryption_failed, $((count - 2)) the same; keeper vault.*"
  requests=$(fault_requests)
  if [ "$requests" -le "$most" ]; then pass "$name: $requests requests"; else fail "$name: $requests requests, at most $most"; fi
}

openbao_durable "$tmp/durable"
openbao_http_url=${openbao_http_url:?}
set_up "$tmp/proxy"
batched "a server as it comes" 200 4
batched "one batch more than full" 129 4
batched "a batch that is full" 128 2

# shellcheck disable=SC2034
for limit in "max_request_json_strings = 20" "max_request_size = 2000" "max_request_json_memory = 6000"; do
  openbao_stop
  # shellcheck disable=SC2034
  openbao_listener=$limit
  rm -rf "$tmp/limited"
  openbao_durable "$tmp/limited"
  set_up "$tmp/proxy.${limit%% *}"
  # Halved until it fits, and the smaller size is kept for what follows.
  batched "$limit" 200 140
done

# ---- rate quotas ----
quota() { openbao_cli write sys/quotas/rate-limit/q path=scopekey "$@" >/dev/null || fail "a quota"; }
openbao_stop
openbao_listener=''
openbao_dev "$tmp/dev"
openbao_http_url=$openbao_url
set_up "$tmp/proxy.quota"
for headers in true false; do
  openbao_cli write sys/quotas/config enable_rate_limit_response_headers=$headers >/dev/null || fail "quota headers"
  quota rate=2 interval=1s
  fault_rules '[]'
  for _ in 1 2 3 4 5; do RETRY_BACKOFF_MS=400 live wrap sk--alice | cut -d: -f1; done >"$tmp/results"
  is "within a quota of 2/s all succeed, headers=$headers" "$(sort "$tmp/results" | uniq -c | tr -s ' ')" " 5 1 vault"
  openbao_cli delete sys/quotas/rate-limit/q >/dev/null
done

# What the server asks for is waited for: the second request comes no earlier.
# waits NAME MILLISECONDS HEADER-VALUE
waits() {
  fault_rules "[{\"path\":\"crypt\",\"do\":\"answer\",\"status\":429,\"times\":1,\"headers\":{\"Retry-After\":\"$3\"}}]"
  matches "$1: the call succeeds" "$(live wrap sk--alice)" "1 vault:v1:.*"
  is "$1: waited for" "$(jq -rs 'map(select(.at and (.path | test("crypt")))) | "\(length) \(.[1].at - .[0].at >= '"$2"' / 1000)"' "$fault_dir/record")" \
    "2 true"
}
waits "Retry-After: 1" 1000 1
waits "Retry-After: 0 is a short wait" 75 0
waits "Retry-After with a date" 900 "$(LC_ALL=C date -u -d '+3 seconds' '+%a, %d %b %Y %H:%M:%S GMT')"
fault_rules '[{"path":"crypt","do":"answer","status":429,"headers":{"Retry-After":"20"}}]'
is "one beyond the deadline is not waited for" "$(DEADLINE_MS=2000 live wrap sk--alice)" \
  "connectivity: keeper vault, wrap of KEK sk--alice at $URL: the server's rate limit is reached: try again later, or raise the quota"
is "one beyond the deadline: one request" "$(fault_requests crypt)" 1
empty "the proxy itself did not fail" "$(cat "$tmp"/proxy*/log)"
tap_end
