#!/bin/bash
# SPDX-License-Identifier: MIT
# Each header compiles alone and twice; the public one as C99 and C++ too.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
make_var() { sed -n "s/^$1 = //p" "$build/Makefile"; }
read -ra cc <<<"$(make_var CC)"
read -ra flags <<<"$(make_var CRYPTO_CFLAGS) $(make_var P11KIT_CFLAGS) $(make_var JANSSON_CFLAGS) $(make_var MHD_CFLAGS) \
$(make_var SQLITE_CFLAGS) $(make_var CURL_CFLAGS)"
cd "$src" || exit 1

while IFS= read -r header; do
  holds "$header compiles alone" "${cc[@]}" -x c -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I. -I"$build" \
    -include "$build/config.h" "${flags[@]}" - <<<"#include \"$header\""$'\n'"#include \"$header\""
done < <(find lib vault provider pkcs11 rest cli include -name '*.h' | sort)

while IFS= read -r header; do
  holds "$header is C99" "${cc[@]}" -x c -std=c99 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -Iinclude - \
    <<<"#include \"$header\""
  holds "$header is C++" "${cc[@]}" -x c++ -std=c++11 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -Iinclude - \
    <<<"#include \"$header\""
done < <(find include -name '*.h' | sort)
tap_end
