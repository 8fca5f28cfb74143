#!/bin/bash
# SPDX-License-Identifier: MIT
# The commands that must work as they stand, with keeper token.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
dir=$(mktemp -d)
trap 'kill "${daemon:-}" 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
commands token
tap_end
