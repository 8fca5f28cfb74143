#!/bin/bash
# SPDX-License-Identifier: MIT
# The C interface: what the header declares is what the library exports and what the manual describes.  In the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
cd "$src" || exit 1
read -ra cc <<<"$(sed -n 's/^CC = //p' "$build/Makefile")"
code=$("${cc[@]}" -w -fpreprocessed -dD -E -P include/scopekey.h)
header=$(grep -oE '\bscopekey_[a-z0-9_]+\(' <<<"$code" | tr -d '(' | sort)
exported=$(nm -D --defined-only "$build/lib/.libs/libscopekey.so" | sed -nE 's/.* T (scopekey_[a-z0-9_]+)@@SCOPEKEY_0\.1$/\1/p' | sort)
manual=$(sed -n 's/^\.Fo //p' man/*.3 | sort)
[ "$(wc -l <<<"$header")" -gt 40 ] || fail "the header is read" "$header"
is "every function is exported under SCOPEKEY_0.1, and no other symbol" "$exported" "$header"
is "every function is in one manual page, and no other" "$manual" "$header"
is "every function is marked SCOPEKEY_API" "$(grep -cE '^SCOPEKEY_API ' include/scopekey.h)" "$(wc -l <<<"$header")"
is "nothing else of scopekey_ is exported" \
  "$(nm -D --defined-only "$build/lib/.libs/libscopekey.so" | grep -E ' scopekey_' | grep -cv '@@SCOPEKEY_0\.1$')" 0
while IFS= read -r name; do
  if [ -f "man/$name.3" ]; then
    page=man/$name.3
    holds "$name has its page" grep -qx "\.Fo $name" "$page"
  else
    page=$build/man/$name.3
    holds "$name has a link to the page it is in" grep -qx "\.Fo $name" "man/$(sed -n 's/^\.so man3\///p' "$page")"
  fi
done <<<"$header"
# Prototypes in the manual are the header's.
text=$(tr -s ' \n' ' ' <<<"$code")
while IFS=$'\t' read -r name prototype; do
  grep -qF "$prototype" <<<"$text" || fail "the manual's prototype of $name" "$prototype"
done < <(awk '/^\.Ft / { type = $0; sub(/^\.Ft "?/, "", type); sub(/"$/, "", type) }
  /^\.Fo / { name = $2; args = "" }
  /^\.Fa "/ && name != "" { a = $0; sub(/^\.Fa "/, "", a); sub(/"$/, "", a); args = args (args == "" ? "" : ", ") a }
  /^\.Fc/ { sep = substr(type, length(type)) == "*" ? "" : " "; print name "\t" type sep name "(" args ");"; name = "" }' man/*.3)
pass "prototypes were compared"

# Every series that the code makes is in docs/metrics.md, and no other.
empty "the metrics in the code are those of docs/metrics.md" "$(comm -3 \
  <(grep -rhoE '"scopekey_[a-z0-9_]+"' lib vault rest --include='*.c' | tr -d '"' | sort -u |
    grep -vxFf <(printf '%s\nscopekey_keeper_plugin\nscopekey_pkcs11_marker\n' "$header")) \
  <(grep -oE '^\| .scopekey_[a-z0-9_]+.' docs/metrics.md | tr -cd 'a-z0-9_\n' | sort -u))"
tap_end
