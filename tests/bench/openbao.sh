#!/bin/bash
# SPDX-License-Identifier: MIT
# openbao.sh DIR: a real OpenBao in memory with a transit mount `scopekey`, a KEK `sk--bench` and a data token without the
# default policy in DIR/data.tok.  Prints its URL, and stops it at the end of standard input.
set -uo pipefail
# shellcheck source=tests/lib/openbao.sh
. "$(dirname "$0")/../lib/openbao.sh"
openbao_install
openbao_dev "$1/server"
openbao_mount scopekey
openbao_tokens scopekey "$1"
openbao_cli write -f scopekey/keys/sk--bench >/dev/null || openbao_die "cannot make the KEK"
echo "$openbao_url"
cat >/dev/null
