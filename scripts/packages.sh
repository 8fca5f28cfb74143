# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Debian packages, for the scripts beside this file.  To be sourced.

# To build and run Scopekey.
# shellcheck disable=SC2034
BUILD_PACKAGES=(gcc make autoconf automake libtool pkg-config libssl-dev libp11-kit-dev libjansson-dev libsqlite3-dev
  libcurl4-openssl-dev libmicrohttpd-dev softhsm2 openssl)
# What the demonstration uses besides.
# shellcheck disable=SC2034
DEMO_PACKAGES=(curl jq opensc)
# What the tests use besides.
# shellcheck disable=SC2034
TEST_PACKAGES=(g++ valgrind libcmocka-dev gnutls-bin p11-kit curl jq opensc python3 python3-venv shellcheck mandoc zsh git
  sqlite3 procps strace bash-completion)

# What the long runs use besides.
# shellcheck disable=SC2034
LONG_PACKAGES=(debootstrap clang libclang-rt-dev)

# install_packages NAME...: those that are missing, with apt-get; only root can.
install_packages() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing; install them as root, or run this script as root: ${missing[*]}" >&2
    return 1
  fi
  echo "Installing Debian packages: ${missing[*]}"
  DEBIAN_FRONTEND=noninteractive apt-get -q update &&
    DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}"
}
