#!/bin/bash
# SPDX-License-Identifier: MIT
# `scopekey keeper` with each keeper: status, test, import.  Runs in the build folder, against a real OpenBao.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
export PATH=$PWD/cli:$PATH OPENSSL_MODULES=$PWD/.libs SCOPEKEY_PLUGINS=$PWD/vault/.libs
unset SCOPEKEY_CONF SCOPEKEY_PIN KEY_VAULT_MODE KEY_VAULT_LOCAL_PATH VAULT_ADDR
openbao_install
tmp=$(mktemp -d)
trap 'openbao_stop_all; rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
umask 077
echo 73512846 >pin.txt
echo 'correct horse battery staple' >pass.txt
all_steps='create wrap unwrap rotate rewrap check retire erase verify'
steps() { jq -r 'select(.ok).step' | tr '\n' ' ' | sed 's/ $//'; }
# shown FILTER: of the one keeper's status
shown() { scopekey keeper status --json | jq -rc "$1"; }

# ---- token ----
export SCOPEKEY_HOME=$tmp/token
scopekey --quiet init --pin-file pin.txt
is "token: status" "$(shown '[.keeper, .current, .ok, .problem, .sealed, .erasure, .blind_rewrap, .production_safe, .keks, .former_keks]')" \
  '["token",true,true,null,null,"scheduled",false,true,2,0]'
scopekey --quiet subject create alice
is "token: a KEK more" "$(shown .keks)" 3
is "token: test" "$(scopekey keeper test --json | steps)" "$all_steps"
is "token: a trial leaves no KEK" "$(shown .keks)" 3
matches "for people" "$(scopekey keeper status)" 'token \(new KEKs are made here\)
  where         token scopekey, records in the catalog
  latency       [0-9]+ us for wrapping one key
  erasure       scheduled
  rewrap        in locked memory of this machine
  KEKs          3, and 0 former'
is "import needs a keeper local" "$(echo '{}' >empty.json; scopekey keeper import empty.json 2>&1; echo "exit $?")" \
  "scopekey: keeper local: folder $tmp/token/secrets is not there: mount or restore it, or correct [keeper local] path
exit 10"

# ---- local, its root held by a passphrase ----
export SCOPEKEY_HOME=$tmp/local
scopekey --quiet init --pin-file pin.txt --keeper local --local-passphrase-file pass.txt
is "local: status" "$(shown '[.keeper, .ok, .where, .version, .erasure, .production_safe, .keks]')" \
  "[\"local\",true,\"$tmp/local/secrets/secrets.json\",\"format 1\",\"immediate\",false,2]"
is "local: test" "$(scopekey keeper test --json | steps)" "$all_steps"
is "local: a trial leaves no KEK, in no backup" "$(grep -l -- -trial- local/secrets/*)" ""
is "the passphrase is nowhere in the set-up" "$(grep -rl 'battery staple' local)" ""
key=$(printf '%s' 0123456789abcdef0123456789abcdef | base64)
echo "{\"file-123\":{\"value\":\"$key\",\"content_type\":\"application/octet-stream\",\"enabled\":true,\
\"created_on\":\"2024-05-01T00:00:00Z\",\"expires_on\":null}}" >plain.json
before=$(sha256sum plain.json)
is "import" "$(scopekey keeper import plain.json 2>&1)" \
  "scopekey: plain.json still holds the keys in clear: destroy it (shred -u) with its copies and backups, once nothing else reads it
1 key imported, 0 there already"
is "import again" "$(scopekey keeper import plain.json --json 2>/dev/null)" '{"imported":0,"known":1}'
is "the plain file is as it was" "$(sha256sum plain.json)" "$before"
is "the key is not in clear" "$(grep -rl "$key" local)" ""
is "no trace of it in a listing but its name" "$(jq -rc '."file-123" | del(.value)' local/secrets/secrets.json)" \
  '{"content_type":"application/vnd.scopekey.imported-key","enabled":true,"created_on":"2024-05-01T00:00:00Z","expires_on":null,"imported_content_type":"application/octet-stream"}'
echo '{"file-9":{"value":"short"}}' >bad.json
is "a bad file" "$(scopekey keeper import bad.json 2>&1; echo "exit $?")" \
  'scopekey: bad.json: entry "file-9": its value is neither the base64 nor the hex of 32 bytes
exit 10'
is "a file that is not there" "$(scopekey keeper import none.json 2>&1; echo "exit $?")" \
  'scopekey: cannot open none.json: No such file or directory
exit 4'
scopekey --quiet subject create alice
echo text >f
scopekey --quiet encrypt --subject alice -o f.sk f
is "blobs are counted when asked for" "$(shown .blobs) $(scopekey keeper status --json --blobs | jq .blobs)" "null 1"
is "a file opens" "$(scopekey --quiet decrypt -o - f.sk)" text
is "erasure is immediate" "$(scopekey erase --yes --json subject/alice | jq -r '.receipt | if type == "string" then fromjson else . end | .status')" complete
is "the erased one is gone" "$(scopekey --quiet decrypt -o - f.sk 2>/dev/null; echo "exit $?")" "exit 8"
echo wrong >pass.txt
is "another passphrase" "$(scopekey keeper status >/dev/null; echo "exit $?"; shown .problem)" "exit 5
keeper local: this is not the store's passphrase"
echo 'correct horse battery staple' >pass.txt
mv local/secrets away
is "a store that is gone" "$(scopekey keeper test 2>/dev/null; echo "exit $?")" \
  "FAILED  create  keeper local: folder $tmp/local/secrets is not there: mount or restore it, or correct [keeper local] path
exit 5"
mv away local/secrets
is "production is refused" "$(scopekey --home "$tmp/p" init --pin-file pin.txt --keeper local -e production 2>&1; echo "exit $?")" \
  "scopekey: keeper local is for development: choose keeper token, vault or azure for environment production
exit 10"

# ---- vault ----
openbao_dev "$tmp/openbao"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export SCOPEKEY_HOME=$tmp/vault
scopekey --quiet init --pin-file pin.txt --keeper vault --vault-addr "$openbao_url" --vault-mount scopekey \
  --vault-token-file tok/data.tok --vault-admin-token-file tok/admin.tok --insecure-http
is "vault: status" "$(shown '[.keeper, .ok, .where, .sealed, .erasure, .blind_rewrap, .production_safe, .keks, (.token_ttl_s > 3000), (.admin_token_ttl_s > 3000), (.version | length > 0)]')" \
  "[\"vault\",true,\"$openbao_url, mount scopekey\",false,\"immediate\",true,true,2,true,true,true]"
is "vault: test" "$(scopekey keeper test --json | steps)" "$all_steps"
keys() { openbao_cli list -format=json scopekey/keys | jq -r '.[]' | sort; }
is "vault: a trial leaves no KEK" "$(keys | grep -c -- -trial-)/$(keys | wc -l)" 0/2
# A data token that may not decrypt: the trial fails in the middle, and cleans up.
openbao_policy scopekey data | grep -v '/decrypt/' | openbao_cli policy write half - >/dev/null
openbao_cli token create -policy=half -no-default-policy -ttl=1h -field=token >half.tok
cp tok/data.tok data.tok
cp half.tok tok/data.tok
is "vault: a trial that fails in the middle" "$(scopekey keeper test --json 2>/dev/null | jq -rc '[.step, .ok]' | head -n 3 | tr '\n' ' '; echo "exit ${PIPESTATUS[0]}")" \
  '["create",true] ["wrap",true] ["unwrap",false] exit 5'
is "leaves no KEK either" "$(keys | grep -c -- -trial-)/$(keys | wc -l)" 0/2
cp data.tok tok/data.tok
is "status of a server that is gone" "$(openbao_stop; scopekey keeper status >/dev/null; echo "exit $?")" "exit 5"
tap_end
