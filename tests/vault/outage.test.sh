#!/bin/bash
# SPDX-License-Identifier: MIT
# Keeper `vault` under load while its server is sealed, killed, restarted, limited and slow: what is asked succeeds or
# fails as "connectivity" within its deadline, the outage is not made worse, and all goes on without a restart of ours.
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
unset MAX_RETRIES RETRY_BACKOFF_MS REQUEST_TIMEOUT_MS
openbao_install
openbao_durable "$tmp/durable"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok CA_FILE=$tmp/durable/ca.pem MOUNT=scopekey
export URL=$openbao_url DEADLINE_MS=2000
tests/vault/vault_live vault/.libs/keeper-http.so create sk--alice >/dev/null
fault_proxy "$tmp/proxy" "$openbao_url" --ca "$tmp/durable/ca.pem" --tls "$tmp/durable/srv.pem" "$tmp/durable/srv.key"
URL=$fault_url

coproc LOAD { exec tests/vault/vault_load vault/.libs/keeper-http.so load sk--alice 16 2>"$tmp/load.log"; }
# shellcheck disable=SC2153
load_pid=$LOAD_PID

# since: what happened since the last time: $ok, $connectivity, $asked; complains about everything else.
since() {
  local line
  echo >&"${LOAD[1]}"
  read -r line <&"${LOAD[0]}" || line="ok 0 connectivity 0 other 99 wrong 99 late 99"
  read -r _ ok _ connectivity _ other _ wrong _ late <<<"$line"
  asked=$((ok + connectivity + other + wrong))
  [ "$other$wrong$late" = 000 ] || fail "nothing but success and connectivity" "$line"$'\n'"$(grep -v ' warning vault.client: ' "$tmp/load.log" | tail -n 3)"
}

# until_ok, until_down: go on until calls succeed, or fail, and none does otherwise any more.
until_ok() {
  for _ in $(seq 600); do
    sleep 0.1
    since
    [ "$ok" -eq 0 ] || [ "$connectivity" -ne 0 ] || return 0
  done
  fail "calls succeed again"
}
until_down() {
  for _ in $(seq 600); do
    sleep 0.1
    since
    [ "$connectivity" -eq 0 ] || [ "$ok" -ne 0 ] || return 0
  done
  fail "calls fail as connectivity"
}

# outage NAME [RULES]: while it lasts, at most 1.1 requests for each call (16 calls may be under way).
outage() {
  until_down
  since
  fault_rules "${2:-[]}"
  sleep 1
  cp "$fault_dir/record" "$tmp/record"
  since
  local requests
  requests=$(grep -vc '"connection"' "$tmp/record")
  is "$1: every call fails as connectivity" "$ok" 0
  if [ "$asked" -gt 0 ] && [ $((requests * 10)) -le $(((asked + 16) * 11)) ]; then
    pass "$1: at most 1.1 requests for each call"
  else
    fail "$1: at most 1.1 requests for each call" "$requests requests for $asked calls"
  fi
  echo "# $1: $requests requests for $asked calls in a second"
}

until_ok
pass "under load all is well"
openbao_seal || fail "the server is sealed"
outage sealed
openbao_unseal || fail "the server is unsealed"
until_ok
pass "unsealed: all goes on"

kill -9 "$openbao_pid"
wait "$openbao_pid" 2>/dev/null
outage killed
openbao_start || fail "the server starts again"
outage "started and sealed"
openbao_unseal || fail "the server is unsealed again"
until_ok
pass "restarted and unsealed: all goes on"

openbao_stop
openbao_start || fail "the server starts a third time"
openbao_unseal || fail "the server is unsealed a third time"
until_ok
pass "after an orderly restart all goes on"

rule='[{"do":"answer","status":503,"text":"busy"}]'
fault_rules "$rule"
outage "503 for everything" "$rule"
rule='[{"do":"reset"}]'
fault_rules "$rule"
outage "every connection is reset" "$rule"
rule='[{"do":"answer","status":429,"headers":{"Retry-After":"1"}}]'
fault_rules "$rule"
outage "429 for everything" "$rule"
fault_rules '[]'
until_ok
pass "all goes on after that"

fault_rules '[{"do":"delay","ms":50,"times":200}]'
since
until_ok
pass "a slow server is no outage"

end_load() {
  eval "exec ${LOAD[1]}>&-"
  wait "$load_pid"
  is "$1: the process ends well" $? 0
  empty "$1: and said nothing" "$(grep -v ' warning vault.client: ' "$tmp/load.log")"
}
end_load "one node"

# ---- the active node of a cluster gives up ----
openbao_stop
openbao_raft "$tmp/raft"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export CA_FILE=$tmp/raft/ca.pem URL=$openbao_url
tests/vault/vault_live vault/.libs/keeper-http.so create sk--alice >/dev/null
coproc LOAD { exec tests/vault/vault_load vault/.libs/keeper-http.so load sk--alice 16 2>"$tmp/load.log"; }
# shellcheck disable=SC2153
load_pid=$LOAD_PID
until_ok
pass "a cluster under load"
openbao_step_down || fail "the node steps down"
for _ in $(seq 30); do
  sleep 0.1
  since
done
until_ok
pass "after it stepped down all goes on"
end_load "a cluster"
empty "the proxy itself did not fail" "$(cat "$tmp/proxy/log")"
tap_end
