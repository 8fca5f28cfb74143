#!/bin/bash
# SPDX-License-Identifier: MIT
# The bash completion, asked as bash asks it, over a set-up with subjects and keys.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
export PATH=$PWD/cli:$PATH SCOPEKEY_PLUGINS=$PWD/vault/.libs
# shellcheck source=cli/completion/bash/scopekey
. "$src/cli/completion/bash/scopekey"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export SCOPEKEY_HOME=$PWD/d
(umask 077 && echo 135791357 >pin.txt)
holds "a set-up" scopekey init --pin-file pin.txt
holds "a key of alice" scopekey key create subject/alice/tls --algorithm ec-p256
holds "a subject with a space" scopekey subject create 'bob b'
compopt() { :; }

# completes LINE-WORD... EXPECTED: the last word is the one under the cursor.
completes() {
  local expected=${!#}
  COMP_WORDS=("${@:1:$#-1}")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _scopekey
  is "complete: ${COMP_WORDS[*]}" "${COMPREPLY[*]}" "$expected"
}

completes scopekey '' 'init doctor key subject encrypt decrypt info erase rotate rewrap keeper receipt backup restore reconcile serve config completion help version'
completes scopekey e 'encrypt erase'
completes scopekey key '' 'create list show rotate disable enable destroy'
completes scopekey --json key s 'show'
completes scopekey --home d key cr 'create'
completes scopekey key create --alg '--algorithm'
completes scopekey key create -a ec 'ec-p256 ec-p384 ec-p521'
completes scopekey key create --algorithm = ed 'ed25519'
completes scopekey key create x --usage g 'gcm gcm-caller-iv'
completes scopekey key show '' 'subject/alice/tls'
completes scopekey key create sub 'subject/alice subject/bob%20b'
completes scopekey erase subject/b 'subject/bob%20b'
completes scopekey encrypt --subject '' 'alice subject/bob%20b'
completes scopekey encrypt -o d/scopekey.c 'd/scopekey.conf'
completes scopekey subject show al 'alice'
completes scopekey help key '' 'create list show rotate disable enable destroy'
completes scopekey completion z 'zsh'
completes scopekey doctor --v '--verbose --version'
completes scopekey doctor '' ''

# Asking for names never asks for a PIN and never complains.
rm pin.txt
is "names need no PIN" "$(scopekey __names keys 2>&1 </dev/null)" 'subject/alice/tls'
rm -r d
is "no set-up, no names, no message" "$(scopekey __names keys 2>&1)" ''
tap_end
