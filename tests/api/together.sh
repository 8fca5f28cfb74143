#!/bin/bash
# SPDX-License-Identifier: MIT
# A thousand requests for one cold DEK at a time cost a real server one call.  Runs in the build folder.
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
# shellcheck disable=SC2034,SC2154
openbao_config=$openbao_audit
openbao_durable "$tmp/durable"
openbao_mount keys
openbao_tokens keys "$tmp/tok"
cd "$tmp" || exit 1
export SCOPEKEY_HOME=$tmp/d
(umask 077 && echo 12345678 >pin.txt)
holds "init" scopekey init --pin-file pin.txt --keeper vault --vault-addr "$openbao_url" --vault-mount keys \
  --vault-token-file "$tmp/tok/data.tok" \
  --vault-admin-token-file "$tmp/tok/admin.tok" --vault-ca-file "$tmp/durable/ca.pem"
is "a thousand ask, and sixteen threads besides" \
  "$(timeout 60 "$build/tests/api/together" alice 1000 "$openbao_pid" 2>>log)" "1016 of 1016"
is "the server was asked once" "$(openbao_count "keys/decrypt/$(scopekey subject name alice)")" 1
tap_end
