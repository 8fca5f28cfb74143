#!/bin/bash
# SPDX-License-Identifier: MIT
# What is asked on a terminal: PINs, which are never shown, and whether to destroy.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export SCOPEKEY_HOME=$PWD/d
pty=$src/tests/lib/terminal.py

# asks NAME STATUS LAST-LINE ANSWER... -- COMMAND...
asks() {
  local name=$1 status=$2 last=$3 out got=0
  shift 3
  out=$("$pty" "$@") || got=$?
  is "$name: exit status" "$got" "$status"
  is "$name: what it says last" "$(tail -n 1 <<<"${out//"$PWD"/DIR}")" "$last"
  case $out in *2468135*) fail "$name: the PIN is not shown" "$out" ;; *) pass "$name: the PIN is not shown" ;; esac
}

asks "two PINs that differ" 1 "scopekey: the two PINs differ: nothing was made" 2468135 2468136 -- scopekey init
asks "init without a PIN file" 0 "ready: DIR/d/scopekey.conf" 2468135 2468135 -- scopekey init
empty "the PIN is nowhere in the set-up" "$(grep -rl 2468135 d)"
asks "a key" 0 "-----END PUBLIC KEY-----" 2468135 -- scopekey key create subject/alice/tls -a ec-p256
asks "a wrong PIN" 5 "Wrong PIN. PIN of the Scopekey token: scopekey: logging in to token scopekey: CKR_PIN_INCORRECT (0xA0): correct the PIN" 11111 -- \
  scopekey key create subject/alice/x
is "listing asks for nothing" "$(scopekey key list --json </dev/null | jq -r .uri)" scopekey:subject/alice/tls
refuses "without a terminal there is no PIN" 5 "$(setsid -w scopekey key create subject/alice/x 2>&1 </dev/null |
  sed 's/^scopekey: //')" setsid -w scopekey key create subject/alice/x

echo secret >f
asks "ciphertext to a terminal" 1 "$("$pty" 2468135 -- scopekey encrypt -s alice f -o - | tail -n 1)" 2468135 -- \
  scopekey encrypt -s alice f -o -
asks "destroy, not confirmed" 1 "scopekey: key destroy subject/alice/tls: not confirmed, nothing was changed" yes -- \
  scopekey key destroy subject/alice/tls
is "it is still there" "$(scopekey key list --json </dev/null | jq -r .uri)" scopekey:subject/alice/tls
asks "erase, not confirmed" 1 "scopekey: erase subject/alice: not confirmed, nothing was changed" y -- \
  scopekey erase subject/alice
is "she is still there" "$(scopekey key list --json </dev/null | jq -r .uri)" scopekey:subject/alice/tls
out=$("$pty" subject/alice 2468135 -- scopekey erase subject/alice)
is "erase, confirmed" $? 0
matches "it prints the receipt's path" "$(tail -n 1 <<<"$out")" "receipt: .*/d/receipts/[0-9a-f-]*\.json"
is "nothing is left" "$(scopekey key list --json </dev/null)" ''
tap_end
