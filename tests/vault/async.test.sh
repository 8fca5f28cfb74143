#!/bin/bash
# SPDX-License-Identifier: MIT
# Asynchronous work and batches of keeper `vault` against real OpenBao servers.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"

tmp=$(mktemp -d)
trap 'openbao_stop_all; rm -rf "$tmp"' EXIT
unset URL MOUNT KEK_MOUNT NAMESPACE TOKEN_FILE ADMIN_TOKEN_FILE CA_FILE INSECURE_HTTP INSECURE_SKIP_VERIFY MAX_RETRIES LOG \
  NODES MAX_CONNECTIONS HTTP2 DEADLINE_MS REQUEST_TIMEOUT_MS RETRY_BACKOFF_MS
export INSECURE_HTTP=1
openbao_install

async() { tests/vault/vault_async vault/.libs/keeper-http.so "$@" 2>"$tmp/log" || cat "$tmp/log"; }
live() { tests/vault/vault_live vault/.libs/keeper-http.so "$@" 2>>"$tmp/log"; }

openbao_dev "$tmp/dev"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export URL=$openbao_url MOUNT=scopekey TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok
live create sk--a >/dev/null

is "1000 in flight, half of them cancelled: each is done once" "$(async flight sk--a 1000)" \
  "1000 done, 0 not once, half or less cancelled, 0 other, 0 wrong"
is "the same over two connections" "$(MAX_CONNECTIONS=2 async flight sk--a 300)" \
  "300 done, 0 not once, half or less cancelled, 0 other, 0 wrong"
is "children have their own" "$(async fork sk--a)" "failed children: 0; 300 ok, 0 not once, 0 wrong"
is "closing ends what flies" "$(async close sk--a 500)" "0 left, 0 not once, 500 done, 0 wrong"
is "nothing grows" "$(async grow sk--a "${GROW:-10000}")" "descriptors +0, memory +0, 0 other, 0 wrong"
sed -n 's/^# /# /p' "$tmp/log"

# ---- batches ----
at="at $URL: the wrapped DEK was altered or is not of this KEK"
for count in 1 2 127 128 129 300; do
  bad=$((count / 2)) good=$((count - count / 2))
  verdict="decryption_failed keeper vault"
  [ "$bad" -gt 0 ] && half="$verdict, unwrap of KEK sk--a $at" again="$verdict, rewrap of KEK sk--a $at" || half="ok " again="ok "
  is "a batch of $count" "$(async batch sk--a "$count")" "wrap: $count good, 0 opened, ok 
unwrap: $count good, $count opened, ok 
half of them altered: $good good, $good opened, $half
rewrap of these: $good good, 0 opened, $again"
done
openbao_cli write -f scopekey/keys/sk--a/rotate >/dev/null
matches "after a rotation too" "$(async batch sk--a 10 | tail -n 1)" "rewrap of these: 5 good, 0 opened, decryption_failed .*"
is "a batch for no KEK" "$(live erase sk--a 2 >/dev/null; async batch sk--a 4)" \
  "keeper vault, wrap of KEK sk--a at $URL: no such KEK"

# ---- a server that takes little at once ----
openbao_stop_all
openbao_pids=()
openbao_listener='max_request_json_strings = 50'
openbao_durable "$tmp/durable"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export URL=$openbao_http_url
live create sk--a >/dev/null
is "batches are halved until the server takes them" "$(async batch sk--a 200)" "wrap: 200 good, 0 opened, ok 
unwrap: 200 good, 200 opened, ok 
half of them altered: 100 good, 100 opened, decryption_failed keeper vault, unwrap of KEK sk--a at $URL: the wrapped DEK was altered or is not of this KEK
rewrap of these: 100 good, 0 opened, decryption_failed keeper vault, rewrap of KEK sk--a at $URL: the wrapped DEK was altered or is not of this KEK"

# ---- TLS, and HTTP/2 ----
export URL=$openbao_url CA_FILE=$tmp/durable/ca.pem
is "over TLS" "$(async flight sk--a 300)" "300 done, 0 not once, half or less cancelled, 0 other, 0 wrong"
is "over HTTP/2" "$(HTTP2=1 async flight sk--a 300)" "300 done, 0 not once, half or less cancelled, 0 other, 0 wrong"
is "children, over TLS" "$(async fork sk--a)" "failed children: 0; 300 ok, 0 not once, 0 wrong"

# ---- a server that comes and goes ----
async storm sk--a 4000 >"$tmp/storm" &
storm=$!
sleep 0.5
openbao_stop
openbao_start
openbao_unseal
wait "$storm"
is "a restart under load: all succeed, or fail for want of a server" "$(cat "$tmp/storm")" \
  "ok some, connectivity some, 0 other, 0 wrong"
# As much time as a part of them needs, on any machine.
for ms in 20 50 150 500 1500; do
  late=$(MAX_CONNECTIONS=1 async late sk--a 4000 "$ms")
  [[ $late == "ok none"* ]] || break
done
is "what is still queued at its deadline ends then" "$late" \
  "ok some, connectivity some, 0 other; in time
keeper vault, wrap of KEK sk--a at $URL: the server did not answer in time: try again later"

tap_end
