#!/bin/bash
# SPDX-License-Identifier: MIT
# A process may end at any time without closing anything: threads of ours that are inside TLS, a login or a renewal do not
# crash it.  Against a real server; runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
export PATH=$build/cli:$PATH OPENSSL_MODULES=$build/.libs SCOPEKEY_PLUGINS=$build/vault/.libs
unset SCOPEKEY_CONF API_KEY LOG_LEVEL LOG_FORMAT HOST PORT

tmp=$(mktemp -d)
trap 'kill -CONT "${openbao_pid:-}" 2>/dev/null; openbao_stop_all; rm -rf "$tmp"' EXIT
openbao_install
openbao_durable "$tmp/durable"
openbao_mount keys
openbao_tokens keys "$tmp/tok"
openbao_approle web sk-data-keys "$tmp/role" token_ttl=3s
cd "$tmp" || exit 1
export SCOPEKEY_HOME=$tmp/d
(umask 077 && echo 12345678 >pin.txt)
holds "init" scopekey init --pin-file pin.txt --keeper vault --vault-addr "$openbao_url" --vault-mount keys \
  --vault-auth approle --vault-role-id "$(cat role/role_id)" --vault-secret-id-file "$tmp/role/secret_id" \
  --vault-admin-token-file "$tmp/tok/admin.tok" --vault-ca-file "$tmp/durable/ca.pem"
holds "a subject" scopekey subject create alice

# leave NAME HOW BASE_MS STEP_MS: twelve processes, each waits a step longer than the one before.
leave() {
  local i pids=()
  rm -f out.*
  for i in $(seq 12); do
    { timeout 120 "$build/tests/api/leave" "$2" "$(($3 + i * $4))" >"out.$i" 2>>log; echo "status $?" >>"out.$i"; } &
    pids+=("$!")
  done
  wait "${pids[@]}"
  is "$1, $2" "$(cat out.* | sort | uniq -c | sed 's/^ *//')" "12 left by $2"$'\n'"12 status 7"
}
for how in exit return callback child close; do
  leave "requests under way" "$how" 0 25
  kill -STOP "$openbao_pid"
  leave "a login under way" "$how" 50 25
  kill -CONT "$openbao_pid"
done
for how in exit return child close; do
  leave "a renewal due" "$how" 1700 100
done
tap_end
