#!/bin/bash
# SPDX-License-Identifier: MIT
# The same commands with keeper azure, against the fake or the emulator of SCOPEKEY_TEST_AZURE_URL (docs/keepers.md).
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/azure.sh
. "$src/tests/lib/azure.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
dir=$(mktemp -d)
trap 'kill "${daemon:-}" 2>/dev/null; azure_stop; rm -rf "$dir"' EXIT
azure_start "$dir/azure"
mkdir "$dir/work"
cd "$dir/work" || exit 1
# An emulator is logged in to as the environment says.
login=()
[ -n "${SCOPEKEY_TEST_AZURE_URL:-}" ] ||
  login=(--azure-authority "$azure_url" --azure-tenant-id "$azure_tenant" --azure-client-id data-client
    --azure-client-secret-file ../azure/data.secret --azure-admin-client-id admin-client
    --azure-admin-client-secret-file ../azure/admin.secret)
commands azure --keeper azure --azure-url "$azure_url" --azure-ca-file "$azure_ca" "${login[@]}"
tap_end
