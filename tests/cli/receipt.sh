#!/bin/bash
# SPDX-License-Identifier: MIT
# Receipts are checked offline, by the rule of docs/formats.md and nothing else: here openssl and jq write them.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export SCOPEKEY_HOME=$PWD/none

new_key() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" && openssl pkey -in "$1.key" -pubout -out "$1.pub"
}

# sign NAME KEY: the object on standard input with its signature, as NAME.json.
sign() {
  local hash signature
  hash=$(openssl pkey -pubin -in "$2.pub" -outform DER | sha256sum | cut -d' ' -f1)
  jq -cS --arg h "$hash" '. + {key_sha256: $h}' | tr -d '\n' >covered
  signature=$(openssl dgst -sha256 -sign "$2.key" covered | base64 -w0)
  jq --arg s "$signature" '. + {signature: $s}' covered >"$1.json"
}

new_key ours
new_key other
echo '{"type":"scopekey-erasure-receipt/v1","id":"x","status":"complete","b":["ü",1,true,null],"a":{"z":1,"y":2}}' |
  sign good ours
says "a good receipt" 0 'valid: signed by the key in ours\.pub'$'\n''.*' '' scopekey receipt verify good.json --key ours.pub
is "as JSON" "$(scopekey receipt verify good.json --key ours.pub --json | jq -cS .)" \
  "$(jq -cS '{valid: true, receipt: .}' good.json)"
is "its members may come in any order" "$(jq -S . good.json >sorted.json
  scopekey receipt verify sorted.json --key ours.pub --json | jq .valid)" true
says "show prints it" 0 'good\.json \(signature not checked: .scopekey receipt verify.\)'$'\n''.*' '' \
  scopekey receipt show good.json
is "show prints JSON" "$(scopekey receipt show good.json --json | jq -cS .)" "$(jq -cS . good.json)"

refuses "another key" 3 "the receipt was signed by another key: its \"key_sha256\" is not this one's" \
  scopekey receipt verify good.json --key other.pub
jq --arg h "$(openssl pkey -pubin -in other.pub -outform DER | sha256sum | cut -d' ' -f1)" '.key_sha256 = $h' good.json >a.json
refuses "another key that it was made to name" 3 "the signature does not verify" \
  scopekey receipt verify a.json --key other.pub
jq '.status = "scheduled"' good.json >b.json
refuses "a changed member" 3 "the signature does not verify" scopekey receipt verify b.json --key ours.pub
jq '.extra = 1' good.json >c.json
refuses "an added member" 3 "the signature does not verify" scopekey receipt verify c.json --key ours.pub
jq 'del(.b)' good.json >d.json
refuses "a member that is gone" 3 "the signature does not verify" scopekey receipt verify d.json --key ours.pub
jq '.signature = "AAAA*"' good.json >e.json
refuses "a signature that is no base64" 3 "the receipt's signature is no base64" \
  scopekey receipt verify e.json --key ours.pub
jq 'del(.signature)' good.json >f.json
refuses "no signature" 3 "f.json: this is no receipt: it has no \"signature\"" scopekey receipt verify f.json --key ours.pub
sed 's/^{/{"status":"complete",/' good.json >g.json
refuses "a member given twice" 3 "g.json: the receipt is no JSON: line 14: duplicate object key near '\"status\"'" \
  scopekey receipt verify g.json --key ours.pub
refuses "no file" 2 "read nope: there is no such file" scopekey receipt verify nope --key ours.pub
refuses "no key file" 2 "read nope: No such file or directory" scopekey receipt verify good.json --key nope
refuses "a key file without a key" 1 "good.json: no public key in PEM form" scopekey receipt verify good.json --key good.json
refuses "no key and no set-up" 10 "receipt verify without --key: there is no set-up in DIR/none: run \`scopekey init\` or \
correct SCOPEKEY_HOME" scopekey receipt verify good.json
tap_end
