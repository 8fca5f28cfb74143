#!/bin/bash
# SPDX-License-Identifier: MIT
# The same commands with keeper vault, against a real OpenBao.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
openbao_install
dir=$(mktemp -d)
trap 'kill "${daemon:-}" 2>/dev/null; openbao_stop_all; rm -rf "$dir"' EXIT
openbao_dev "$dir/openbao"
openbao_mount transit
openbao_tokens transit "$dir"
mkdir "$dir/work"
cd "$dir/work" || exit 1
cp "$dir/data.tok" "$dir/admin.tok" .
commands vault --keeper vault --vault-addr "$openbao_url" --vault-token-file data.tok \
  --vault-admin-token-file admin.tok --vault-mount transit --insecure-http
tap_end
