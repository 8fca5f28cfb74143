#!/bin/bash
# SPDX-License-Identifier: MIT
# scopekeyd on a real set-up, from the build tree: SoftHSM, SQLite, the provider, raw sockets and curl.
set -euo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export PYTHONDONTWRITEBYTECODE=1 OPENSSL_MODULES=$build/.libs
python3 "$src/tests/rest/raw.py" "$build/rest/scopekeyd" "$build/cli/scopekey" "$dir"
