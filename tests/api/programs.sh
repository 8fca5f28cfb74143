#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of others: C99 and C++11, found by pkg-config, linked against the library, run.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
export PKG_CONFIG_PATH=$build/lib
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
make_var() { sed -n "s/^$1 = //p" "$build/Makefile"; }
read -ra cc <<<"$(make_var CC)"
# Sanitizers of this build.
read -ra extra <<<"$(make_var CFLAGS)"
sanitize=()
for flag in "${extra[@]}" ; do case $flag in -fsanitize=*) sanitize+=("$flag") ;; esac; done
read -ra flags <<<"$(pkg-config --cflags --libs scopekey)"
strict=(-pedantic-errors -Wall -Wextra -Werror)
cd "$dir" || exit 1

is "pkg-config knows the version" "$(pkg-config --modversion scopekey)" "$(make_var PACKAGE_VERSION)"
for name in libdir includedir; do
  is "the installed scopekey.pc has $name" \
    "$(PKG_CONFIG_DISABLE_UNINSTALLED=1 pkg-config --variable=$name scopekey | grep -c '^/')" 1
done
holds "user.c is C99" "${cc[@]}" -std=c99 -D_POSIX_C_SOURCE=200809L "${strict[@]}" "${sanitize[@]}" -o user-c99 "$src/tests/api/user.c" "${flags[@]}"
holds "user.c is C++11" g++ -x c++ -std=c++11 "${strict[@]}" "${sanitize[@]}" -o user-cxx "$src/tests/api/user.c" -x none "${flags[@]}"
holds "examples/materials.c is C99" "${cc[@]}" -std=c99 "${strict[@]}" "${sanitize[@]}" -o materials "$src/examples/materials.c" "${flags[@]}"
# The page's example is a program.
awk '/^\.Bd -literal/ { on = 1; next } /^\.Ed/ { on = 0 } on' "$src/man/scopekey.h.3" | sed 's/\\e/\\/g' >page.c
holds "the manual's example is C99" "${cc[@]}" -std=c99 "${strict[@]}" "${sanitize[@]}" -o page page.c "${flags[@]}"

export LD_LIBRARY_PATH=$build/lib/.libs SCOPEKEY_HOME=$PWD/d
(umask 077 && printf '%s\n' "$pin" >pin.txt)
is "without a set-up" "$(./user-c99)" "open: configuration: there is no set-up in $PWD/d: run \`scopekey init\` or correct SCOPEKEY_HOME"
scopekey init --pin-file pin.txt >/dev/null 2>&1
want='opened hello
10 callbacks, 10 materials'
is "the C99 program" "$(./user-c99)" "$want"
is "the C++ program" "$(./user-cxx)" "$want"
is "the manual's example" "$(./page >out && echo "done $(wc -c <out)")" "done 0"

echo 'a letter' | ./materials seal bob >letter.sealed
is "materials.c seals and opens" "$(./materials open bob <letter.sealed)" "a letter"
is "for nobody else" "$(./materials open alice <letter.sealed 2>&1)" \
  "materials: the encryption context is of another subject"
scopekey erase subject/bob --yes >/dev/null 2>&1
is "and not after an erasure" "$(./materials open bob <letter.sealed 2>&1)" "materials: subject/bob was erased"
is "nor are new ones sealed" "$(echo x | ./materials seal bob 2>&1)" \
  "materials: subject/bob was erased: \`scopekey subject create --again\` starts anew"
is "what is no message" "$(echo 'a letter' | ./materials open alice 2>&1)" "materials: sealed message: it is none of Scopekey"
tap_end
