#!/bin/bash
# SPDX-License-Identifier: MIT
# Each module exports what its host looks for, and nothing else.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"

# exports FILE REGEX: every exported symbol matches, and there is at least one.
exports() {
  local file=$1 allowed=$2 all
  if [ ! -f "$file" ]; then
    fail "$file exports only $allowed" "it is not built"
    return
  fi
  # Version nodes of the linker script are absolute symbols.
  all=$(nm -D --defined-only "$file" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }')
  if [ -z "$all" ]; then
    fail "$file exports only $allowed" "it exports nothing"
    return
  fi
  empty "$file exports only $allowed" "$(grep -vxE "$allowed" <<<"$all")"
}

exports lib/.libs/libscopekey.so 'scopekey_[a-z0-9_]+|sck_[a-z0-9_]+'
exports .libs/scopekey.so 'OSSL_provider_init'
exports .libs/scopekey-pkcs11.so 'C_GetFunctionList|C_GetInterfaceList|C_GetInterface|scopekey_pkcs11_marker'
exports vault/.libs/keeper-http.so 'scopekey_keeper_plugin'

if [ -f "$src/include/scopekey.h" ]; then
  empty "every function of scopekey.h is exported" "$(
    grep -oE '\bscopekey_[a-z0-9_]+\(' "$src/include/scopekey.h" | tr -d '(' | sort -u |
      comm -23 - <(nm -D --defined-only lib/.libs/libscopekey.so | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u))"
fi
# A program's own function by such a name would be called in the library's place.
for program in cli/.libs/scopekey rest/.libs/scopekeyd .libs/scopekey.so .libs/scopekey-pkcs11.so vault/.libs/keeper-http.so; do
  holds "$program is built" test -f "$program"
  empty "$program defines nothing that libscopekey exports" "$(
    comm -12 <(nm --defined-only "$program" | awk '$2 == "T" { print $3 }' | sort -u) \
      <(nm -D --defined-only lib/.libs/libscopekey.so | awk '{ sub(/@.*/, "", $3); print $3 }' | sort -u))"
done
for module in .libs/scopekey.so .libs/scopekey-pkcs11.so; do
  holds "$module is never unloaded" grep -q NODELETE <(readelf -d "$module" 2>/dev/null)
  empty "$module loads neither libcurl nor libpq" "$(ldd "$module" 2>/dev/null | grep -E 'libcurl|libpq')"
done
tap_end
