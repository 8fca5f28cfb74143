#!/bin/bash
# SPDX-License-Identifier: MIT
# The C library on a set-up with keeper `vault`: subjects kept apart, contexts that cannot be forged, an erasure under
# load, a catalog that others wrote to, and requests in their thousands.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
export PATH=$build/cli:$PATH OPENSSL_MODULES=$build/.libs SCOPEKEY_PLUGINS=$build/vault/.libs
unset SCOPEKEY_CONF LOG_LEVEL LOG_FORMAT

tmp=$(mktemp -d)
trap 'openbao_stop_all; rm -rf "$tmp"' EXIT
openbao_install
openbao_dev "$tmp/dev"
openbao_mount keys
openbao_tokens keys "$tmp/tok"
cd "$tmp" || exit 1
export SCOPEKEY_HOME=$tmp/d
(umask 077 && echo 12345678 >pin.txt)
echo 'a message' >f
holds "init" scopekey init --pin-file pin.txt --keeper vault --vault-addr "$openbao_url" --vault-mount keys \
  --vault-token-file tok/data.tok --vault-admin-token-file tok/admin.tok --insecure-http
api() { timeout 120 "$build/tests/vault/api_live" "$@" 2>>"$tmp/log"; }

# ---- names ----
is "what naive names confuse is kept apart, and one is erased" "$(api names)" "user.1: subject_erased
30 of 31 open"
empty "all names at the server are legal everywhere" "$(openbao_cli list -format=json keys/keys | jq -r '.[]' |
  grep -vxE 'scopekey--k--[0-9a-v]{52}')"

# ---- contexts ----
is "contexts and wrapped DEKs belong together" "$(api swaps)" "as it was: ok
alice's under bob: invalid_context
alice's under bob with bob's context: integrity
bob's under alice with alice's context: integrity
alice's with bob's context: invalid_context
another time: invalid_context
another purpose: invalid_context
another generation: invalid_context
another environment: invalid_context
another format: not read: invalid_context
another subject: invalid_context
bob in alice's context, as bob: integrity
another pair: invalid_context
a delimiter unencoded: not read: invalid_context
small hexadecimal: not read: invalid_context
a pair twice: not read: invalid_context
NUL: not read: invalid_context
no UTF-8: not read: invalid_context
format of the wrapped DEK: integrity
keeper: integrity
generation: integrity
KEK version: integrity
length: integrity
blob: integrity
cut: integrity
empty: integrity
context cut: invalid_context"

# ---- an erasure while 64 threads encrypt ----
scopekey subject create mallory >/dev/null
mallory=$(scopekey subject name mallory)
is "erased under load" "$(api storm mallory)" "before: ok subject_erased
after: subject_erased"
holds "mallory had a key" grep -qxE 'scopekey--k--[0-9a-v]{52}' <<<"$mallory"
is "the server has no such key" "$(openbao_cli list -format=json keys/keys | jq -r 'index("'"$mallory"'")')" null
is "nor does a command make one" "$(scopekey encrypt --subject mallory f -o m.sk 2>&1)" \
  "scopekey: subject/mallory was erased: \`scopekey subject create --again\` starts anew"
is "nor is there one after that" "$(openbao_cli list -format=json keys/keys | jq -r 'index("'"$mallory"'")')" null

# ---- what a thief or a writer of the catalog has ----
for who in alice bob; do
  holds "files of $who" scopekey encrypt --subject $who f -o $who.sk
  holds "a key of $who" scopekey key create scopekey:subject/$who/tls --algorithm ec-p256
done
holds "a file of nobody" scopekey encrypt f -o nobody.sk
catalog() { python3 "$src/tests/lib/catalog.py" d/catalog.db "$@"; }
for what in file key; do
  read -r wrapped true_context message_context < <(catalog take $what)
  is "the wrapped DEK of alice's $what with its context" "$(api foreign alice "$wrapped" "$true_context")" \
    "foreign: invalid_context"
  is "the same, called a message" "$(api foreign alice "$wrapped" "$message_context")" "foreign: invalid_context"
  is "the same, as bob" "$(api foreign bob "$wrapped" "$message_context")" "foreign: invalid_context"
done

# Each is refused as a changed record, by whoever reads it.
scopekey decrypt alice.sk -o - >/dev/null
cp d/catalog.db good.db
tampered() { # NAME SQL COMMAND...
  local name=$1 sql=$2 out status=0
  shift 2
  cp good.db d/catalog.db
  rm -f d/catalog.db-wal d/catalog.db-shm
  catalog run "$sql" || fail "$name: nothing was changed"
  out=$("$@" 2>&1) || status=$?
  is "$name: exit status" "$status" 11
  matches "$name: says so" "$out" 'scopekey: .*(changed|integrity|another catalog).*'
}
# The same words and exit status as the command line's.
# shellcheck disable=SC2317
sign_with_alice() {
  local out
  out=$(openssl dgst -sha256 -provider scopekey -provider default -sign scopekey:subject/alice/tls -out s f 2>&1) && return
  grep -q 'was changed by someone else' <<<"$out" || return 1
  echo "scopekey: a record was changed"
  return 11
}
holds "alice signs" sign_with_alice
alice="(SELECT id FROM owners WHERE ident = 'alice')" bob="(SELECT id FROM owners WHERE ident = 'bob')"
tampered "the wrapped DEK of bob's file in alice's row" "UPDATE file_keys SET wrapped_dek = (SELECT wrapped_dek FROM file_keys
  WHERE owner_id = $bob) WHERE owner_id = $alice" scopekey decrypt alice.sk -o -
tampered "alice's file given to bob" "UPDATE file_keys SET owner_id = $bob WHERE owner_id = $alice" \
  scopekey decrypt alice.sk -o -
tampered "the wrapped DEK of bob's key in alice's row" "UPDATE versions SET (wrapped_dek, sealed) = (SELECT wrapped_dek, sealed
  FROM versions JOIN keys ON id = key_uuid WHERE scope_id = 'bob') WHERE key_uuid = (SELECT id FROM keys WHERE scope_id = 'alice')" \
  sign_with_alice
tampered "bob's KEK as alice's" "UPDATE keks SET name = (SELECT name FROM keks WHERE owner_id = $bob) WHERE owner_id = $alice" \
  scopekey decrypt alice.sk -o -
tampered "another mount" "UPDATE keks SET mount = 'secret' WHERE owner_id = $alice" scopekey decrypt alice.sk -o -
tampered "another KEK version" "UPDATE keks SET version = 7 WHERE owner_id = $alice" scopekey encrypt --subject alice f -o x.sk
tampered "another generation" "UPDATE owners SET generation = 2 WHERE ident = 'alice'" scopekey decrypt alice.sk -o -
cp good.db d/catalog.db
rm -f d/catalog.db-wal d/catalog.db-shm
is "the true catalog opens all" "$(for file in alice bob nobody; do scopekey decrypt $file.sk -o -; done)" \
  $'a message\na message\na message'

# ---- a subject that is called like the KEK of files ----
scopekey encrypt --subject files f -o files.sk
is "a subject called files is erased" "$(scopekey erase subject/files --yes >/dev/null; echo $?)" 0
is "files without a subject still open" "$(scopekey decrypt nobody.sk -o -)" "a message"
gone="scopekey: the key of file $(scopekey info files.sk --json | jq -r .file_id) was erased: nobody can read it any more"
is "its own do not" "$(scopekey decrypt files.sk -o - 2>&1; echo $?)" "$gone
8"

# ---- requests in their thousands ----
is "1000 requests under way, every second cancelled, twelve times over" "$(api many 1000)" "all done, some cancelled
descriptors bounded, memory bounded"

# ---- what programs keep survives rotation, rewrapping and a move to another keeper, and no erasure ----
read -r wrapped context < <(api give kate)
kate=$(scopekey subject name kate)
holds "kate's KEK is rotated" scopekey rotate subject/kate
holds "all is rewrapped" scopekey rewrap --all
is "what a program kept opens" "$(api foreign kate "$wrapped" "$context")" "foreign: ok"
holds "all moves to the token" scopekey keeper migrate --from vault --to token
is "what a program kept opens still" "$(api foreign kate "$wrapped" "$context")" "foreign: ok"
is "because its KEK was kept at the server" "$(openbao_cli list -format=json keys/keys | jq -r 'index("'"$kate"'") != null')" true
holds "kate is erased" scopekey erase subject/kate --yes
is "then it opens no more" "$(api foreign kate "$wrapped" "$context")" "foreign: subject_erased"
is "and the KEK at the former keeper is gone" \
  "$(openbao_cli list -format=json keys/keys | jq -r 'index("'"$kate"'") != null')" false
is "the living moved with their files" "$(scopekey decrypt bob.sk -o -)" "a message"

grep -E '^[0-9]+ (calls|done)' log | sed 's/^/# /'
empty "and nothing else was said" "$(grep -vE '^[0-9]+ (calls|done)| warning ' log)"
tap_end
