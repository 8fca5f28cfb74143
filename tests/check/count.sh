#!/bin/bash
# SPDX-License-Identifier: MIT
# The counter of scripts/check.sh notices every way in which a test can fail to pass.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# counts NAME RESULT LOG EXPECTED
counts() {
  printf '%b' "$3" >x.log
  is "$1" "$(awk -v results="x.log=$2" -f "$src/scripts/count.awk" x.log)" "$4"
}
run='[ RUN      ] a\n'
good='[       OK ] a\n'
counts "cmocka tests that passed" PASS "$run$good$run$good" '2 0'
counts "a cmocka test that failed" FAIL "${run}[  FAILED  ] a\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] a\n" \
  $'failed: x.log: a\n0 1'
counts "a cmocka test that crashed" FAIL "$run${good}[ RUN      ] b\n" $'failed: x.log: b\n1 1'
counts "a cmocka test that was skipped" PASS "${run}[  SKIPPED ] a\n" $'failed: x.log: a\n0 1'
counts "a fixture that failed" FAIL '[  FAILED  ] GROUP SETUP\n' $'failed: x.log: the whole program: FAIL\n0 1'
counts "lines of scripts" FAIL 'ok - one\nnot ok - two: why\nok\n' $'failed: x.log: two: why\n2 1'
counts "a script that stopped half-way" FAIL 'ok - one\n' $'failed: x.log: the whole program: FAIL\n1 1'
counts "a program without a test" PASS 'hello\n' $'failed: x.log: it passed without a test\n0 1'
counts "a program that said nothing" PASS '' $'failed: x.log: it said nothing\n0 1'
counts "a program without a result" '' 'ok - one\n' $'failed: x.log: the whole program: no result\n1 1'
printf 'ok - one\n' >y.log
printf 'ok - one\nnot ok - two\n' >z.log
is "several files" "$(awk -v results="y.log=PASS z.log=FAIL" -f "$src/scripts/count.awk" y.log z.log)" \
  $'failed: z.log: two\n2 1'
tap_end
