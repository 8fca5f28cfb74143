#!/bin/bash
# SPDX-License-Identifier: MIT
# Includes go down only, as the picture in ARCHITECTURE.md says, and lib/core is pure.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
cd "$src" || exit 1

# room: what it may include besides itself (a folder, or one header).
rooms='
lib/base
lib/core      lib/base
lib/token     lib/base lib/core
lib/catalog   lib/base lib/core
vault         lib/base lib/core
vault/http    lib/base lib/core vault
vault/azure   lib/base lib/core vault
lib/service   lib/base lib/core lib/token lib/catalog vault
lib/api       lib/base lib/core lib/service include
provider      lib/base lib/core lib/service include
pkcs11        lib/base lib/core lib/service include
rest          lib/base lib/core lib/service include
cli           lib/base lib/core lib/service include lib/token/pin.h rest/rest.h
include
'

while read -r room allowed; do
  [ -n "$room" ] || continue
  [ -d "$room" ] || continue
  pattern="$room/"
  for a in $allowed; do
    case $a in *.h) pattern="$pattern|$a\"" ;; *) pattern="$pattern|$a/" ;; esac
  done
  empty "$room includes only: ${allowed:-itself}" "$(find "$room" -name '*.[ch]' -print0 |
    xargs -0 -r grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' /dev/null |
    grep -vE "\"($pattern)" | grep -vE '"config\.h"')"
  empty "$room names its own headers from the top" "$(find "$room" -name '*.[ch]' -print0 |
    xargs -0 -r grep -nE '#[[:space:]]*include[[:space:]]*<(lib|vault|provider|pkcs11|rest|cli)/' /dev/null)"
done <<<"$rooms"

empty "lib/core includes no header of descriptors, clock, threads or environment" "$(
  grep -nE '#include <(time|unistd|fcntl|pthread|signal|dlfcn|sys/.*|threads|stdatomic)\.h>' lib/core/*.[ch])"
empty "lib/core calls nothing impure" "$(
  grep -nE '\b(getenv|secure_getenv|time|clock_gettime|rand|random|sck_random|RAND_bytes|open|f?open|f?printf|f?puts|f?read|f?write|sck_log[a-z_]*)\(' \
    lib/core/*.c | grep -v '^[^:]*:[0-9]*: \*')"
archive=$build/lib/core/.libs/libcore.a
if [ -f "$archive" ]; then
  # Constants that hold addresses (.data.rel.ro) are made read-only by the loader.
  empty "lib/core has no variables that change" "$(objdump -t "$archive" 2>/dev/null |
    awk 'NF > 2 && $(NF - 2) ~ /^\.(data|bss|tdata|tbss)/ && $(NF - 2) !~ /^\.data\.rel\.ro/ && $NF !~ /^\./ { print $NF " in " $(NF - 2) }')"
else
  fail "lib/core has no variables that change" "$archive is not built"
fi
empty "product code has no test hooks" "$(
  grep -rnE '#[[:space:]]*if(def)?.*\b(TEST|TESTING|UNIT_TEST)' lib vault provider pkcs11 rest cli --include='*.[ch]')"
tap_end
