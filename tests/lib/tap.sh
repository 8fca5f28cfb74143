# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# One line per check for shell tests: `ok - name` or `not ok - name`.  To be sourced; end with `tap_end`.

tap_passed=0
tap_failed=0

pass() {
  tap_passed=$((tap_passed + 1))
  echo "ok - $*"
}

# fail NAME [DETAIL]: the detail is shown as comment lines.
fail() {
  tap_failed=$((tap_failed + 1))
  echo "not ok - $1"
  [ $# -lt 2 ] || printf '# %s\n' "${2//$'\n'/$'\n'# }"
}

# is NAME ACTUAL EXPECTED
is() {
  if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got:      $2"$'\n'"expected: $3"; fi
}

# empty NAME TEXT: the text says what is wrong.
empty() {
  if [ -z "$2" ]; then pass "$1"; else fail "$1" "$2"; fi
}

# matches NAME ACTUAL REGEX (extended, the whole text)
matches() {
  if [[ $2 =~ ^($3)$ ]]; then pass "$1"; else fail "$1" "got:      $2"$'\n'"expected: $3"; fi
}

# holds NAME COMMAND...: the command succeeds.
holds() {
  local name=$1 out status=0
  shift
  out=$("$@" 2>&1) || status=$?
  if [ "$status" -eq 0 ]; then pass "$name"; else fail "$name" "exit status $status: $*"$'\n'"$out"; fi
}

tap_end() {
  echo "# $tap_passed passed, $tap_failed failed"
  [ "$tap_failed" -eq 0 ] && [ "$tap_passed" -gt 0 ]
  exit
}
