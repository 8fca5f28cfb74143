#!/bin/bash
# SPDX-License-Identifier: MIT
# What a machine can see of how Scopekey is written.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
cd "$src" || exit 1

# The files of the source tree, without what was built.
if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
  mapfile -t files < <(git -c safe.directory='*' ls-files --cached --others --exclude-standard)
else
  mapfile -t files < <(find . -type f -not -path './build*' -not -path './demo/*' -not -path './m4/l*' \
    -not -path './build-aux/*' -not -path './autom4te.cache/*' -not -name 'configure' -not -name 'aclocal.m4' -not -name 'Makefile.in' \
    -not -name 'config.h.in' | sed 's|^\./||')
fi
existing=()
for f in "${files[@]}"; do [ -f "$f" ] && existing+=("$f"); done
list() { printf '%s\n' "${existing[@]}" | grep -E "$1" | grep -vE "${2:-^\$}"; }
mapfile -t code < <(list '\.[ch]$')
mapfile -t sources < <(list '\.([ch]|sh|awk|inc|py|map|[1-9])$|Makefile\.am$|configure\.ac$' '^build-aux/|\.map$')
mapfile -t texts < <(list '\.([ch]|sh|awk|inc|py|md|ac|am|in|map|conf|example|[1-9])$|^\.ci/run$' \
  '^(config\.h\.in|Makefile\.in)$')

empty "every source names its licence" "$(
  for f in "${sources[@]}"; do head -n 2 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f"; done)"
# This file alone spells the words that it looks for.
empty "nothing waits to be finished" "$(
  printf '%s\n' "${sources[@]}" | grep -v '^tests/check/style\.sh$' |
    xargs -r grep -nE '\b(TODO|FIXME|XXX|HACK)\b')"
empty "no path that exists on one machine only" "$(
  printf '%s\n' "${texts[@]}" | grep -v '^tests/check/style\.sh$' | xargs -r grep -nE '(^|[^A-Za-z0-9_./$}-])/(work|tmp/dev|farm)/')"
empty "no trailing white space" "$(grep -nE '[[:space:]]+$' "${code[@]}" /dev/null | cut -c1-100)"
empty "no tabs in C" "$(grep -nP '\t' "${code[@]}" /dev/null | cut -c1-100)"
empty "no line of C over 150 columns" "$(awk 'length($0) > 150 { print FILENAME ":" FNR ": " length($0) }' "${code[@]}")"
empty "no code that was commented out" "$(
  grep -nE '^[[:space:]]*//.*;[[:space:]]*$|^#if 0' "${code[@]}" /dev/null)"
empty "no macro returns or jumps" "$(
  # shellcheck disable=SC2016
  printf '%s\n' "${code[@]}" | grep -v '^tests/' | xargs -r awk '
    /^#[[:space:]]*define/ { on = 1 }
    on && /(\<return\>|\<goto\>)/ { print FILENAME ":" FNR ": " $0 }
    !/\\$/ { on = 0 }')"

# A report, not a verdict: tables may be long.
awk 'length($0) > 120 { print "# " FILENAME ":" FNR ": " length($0) " columns" }' "${code[@]}"
awk 'FNR == 1 { if (lines > 400) print "# " prev ": " lines " lines"; prev = FILENAME }
  { lines = FNR }
  /^\{[[:space:]]*$/ { start = FNR }
  /^\}/ { if (start && FNR - start > 60) print "# " FILENAME ":" start ": a function of " FNR - start " lines"; start = 0 }
  END { if (lines > 400) print "# " prev ": " lines " lines" }' "${code[@]}"
tap_end
