#!/bin/bash
# SPDX-License-Identifier: MIT
# The examples are compiled, and do what they say.
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
(umask 077 && printf '%s\n' "$pin" >pin.txt)
scopekey init --pin-file pin.txt >/dev/null 2>&1
scopekey key create scopekey:subject/alice/tls --algorithm ec-p256 --json | jq -r .public_key >pub.pem
echo 'the message' >message
"$build/examples/sign" scopekey:subject/alice/tls <message >message.sig
is "sign.c signs" "$(openssl dgst -sha256 -verify pub.pem -signature message.sig message)" "Verified OK"
"$build/examples/sign" scopekey:subject/alice/none <message >none.sig 2>none.err
is "sign.c says that there is no such key" "$?" 1
empty "and signs nothing" "$(cat none.sig)"
tap_end
