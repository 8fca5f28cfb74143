#!/bin/bash
# SPDX-License-Identifier: MIT
# Every script passes shellcheck.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
cd "$src" || exit 1
while IFS= read -r script; do
  holds "shellcheck $script" shellcheck -x -P "$src" "$script"
done < <(find scripts tests conf docs examples .ci cli -type f \( -name '*.sh' -o -path .ci/run -o -path cli/completion/bash/scopekey \) | sort)
tap_end
