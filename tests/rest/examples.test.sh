#!/bin/bash
# SPDX-License-Identifier: MIT
# The examples of scopekeyd(8), pasted as they stand but for the port.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
export PATH=$PWD/cli:$PWD/rest:$PATH OPENSSL_MODULES=$PWD/.libs
unset SCOPEKEY_HOME SCOPEKEY_CONF API_KEY LOG_LEVEL LOG_FORMAT HOST
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT
awk '/^\.Sh/ { part = $2 } part == "EXAMPLES" && /^\.Ed/ { on = 0 } on; part == "EXAMPLES" && /^\.Bd/ { on = 1 }' \
  "$src/man/scopekeyd.8" | sed -e 's/\\e/\\/g' -e "s/localhost:8000/localhost:$PORT/" >"$dir/pasted.sh"
printf 'kill $!\nwait $!\necho "exit status $?"\n' >>"$dir/pasted.sh"
is "there are examples" "$(grep -c '^scopekeyd' "$dir/pasted.sh")" 1
out=$(cd "$dir" && bash pasted.sh 2>log)
is "the examples end in the plaintext" "$(sed -n 's/.*"plaintext":"\([^"]*\)".*/\1/p' <<<"$out")" "Hello, World!"
is "the daemon ended well" "$(tail -n 1 <<<"$out")" "exit status 0"
tap_end
