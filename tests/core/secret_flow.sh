#!/bin/bash
# SPDX-License-Identifier: MIT
# No branch and no address depends on the bytes of a DEK, shown by valgrind.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
export LD_LIBRARY_PATH=$PWD/lib/.libs
program=tests/core/.libs/secret_flow
[ -x "$program" ] || program=tests/core/secret_flow
check() { valgrind --quiet --error-exitcode=99 "$program" "$@" 2>&1; }
check branch >/dev/null
is "a branch on a secret is seen" "$?" 99
is "payloads and seals are decoded without one" "$(check)" "failures: 0"
tap_end
