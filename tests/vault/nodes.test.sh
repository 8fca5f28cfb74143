#!/bin/bash
# SPDX-License-Identifier: MIT
# Erasures that wait: for a node that is behind, absent, sealed, without a right or without the mount; for an active node.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
# shellcheck source=tests/lib/fault_proxy.sh
. "$src/tests/lib/fault_proxy.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
openbao_install
dir=$(mktemp -d)
trap 'fault_proxy_stop_all; openbao_stop_all; rm -rf "$dir"' EXIT
openbao_nodes "$dir/openbao"
openbao_mount transit
openbao_tokens transit "$dir"
# A second way to the same cluster, that can be made to lag.
fault_proxy "$dir/proxy" "$openbao_url"
mkdir "$dir/work"
cd "$dir/work" || exit 1
cp "$dir/data.tok" "$dir/admin.tok" .
make_setup vault --keeper vault --vault-addr "$openbao_url" --vault-token-file data.tok \
  --vault-admin-token-file admin.tok --vault-mount transit --insecure-http
printf 'nodes = "%s %s"\ndeadline_ms = 1500\nmax_retries = 1\n' "${openbao_nodes_urls[2]}" "$fault_url" |
  sed -i '/^\[keeper vault\]/r /dev/stdin' d/scopekey.conf
pending='the erasure is pending (nothing of it opens any more; the next command or start goes on): keeper vault'

# subject NAME: one with a key, and the name of its KEK in $kek.
subject() {
  scopekey key create "scopekey:subject/$1/k" --algorithm ec-p256 --quiet
  kek=$(scopekey subject name "$1")
}

# waits NAME STATUS MESSAGE: erasing the subject says so, and that nothing of it opens is so.
waits() {
  refuses "$1 waits" "$2" "$pending$3" scopekey erase "subject/$1" --yes --quiet
  says "nothing of $1 opens" 8 '' "scopekey: subject/$1 was erased" scopekey key show "subject/$1/k"
}

# completes NAME: going on ends with a receipt that every node stands behind.
completes() {
  local receipt
  says "going on with $1" 0 '' '' scopekey receipt refresh --quiet
  receipt=$(scopekey erase "subject/$1" --yes --json | jq -c '[.receipt.status, (.receipt.keks[0].verified | length),
    ([.receipt.keks[0].verified[] | .key_is_gone and .canary_refused] | all)]')
  is "the receipt of $1 names every node" "$receipt" '["complete",3,true]'
}

subject ann
is "three nodes agree" "$(scopekey erase subject/ann --yes --json |
  jq -c '[.receipt.status, [.receipt.keks[0].verified[].node] == ["'"$openbao_url"'","'"${openbao_nodes_urls[2]}"'","'"$fault_url"'"]]')" \
  '["complete",true]'

subject bob
fault_rules '[{"path":"keys/'"$kek"'$","method":"GET","do":"pass","keep":"living","times":1}]'
curl --silent --noproxy '*' -H "X-Vault-Token: $(cat admin.tok)" "$fault_url/v1/transit/keys/$kek" >/dev/null
# The standby's fault: it still shows the key as it was before it was deleted.
fault_rules '[{"path":"keys/'"$kek"'$","method":"GET","do":"replay","of":"living"}]'
waits bob 7 ", erase of KEK $kek at $fault_url: it is there again after its deletion: this node is behind, the erasure is \
pending until it agrees"
is "the active node has no such key" "$(openbao_cli read "transit/keys/$kek" 2>&1 | head -n 1)" \
  "No value found at transit/keys/$kek"
refuses "it goes on waiting" 7 "$pending, erase of KEK $kek at $fault_url: it is there again after its deletion: this node is \
behind, the erasure is pending until it agrees" scopekey erase subject/bob --yes --quiet
matches "doctor tells" "$(scopekey doctor | grep -A1 'not finished')" "PROBLEM erasure: 1 erasures are not finished: .*
        cure: run .scopekey receipt refresh., and see what it says"
fault_rules '[]'
completes bob

subject cyn
# The standby's fault: it reads the key as gone but still decrypts.
fault_rules '[{"path":"decrypt/'"$kek"'$","do":"answer","status":200,"json":{"data":{"plaintext":"AAAA"}}}]'
waits cyn 7 ", erase of KEK $kek at $fault_url: a wrapped DEK is still answered for: this node is behind, the erasure is pending \
until it agrees"
fault_rules '[]'
completes cyn

subject dan
fault_rules '[{"path":"keys/'"$kek"'$","method":"GET","do":"answer","status":403,"json":{"errors":["1 error occurred:\n\t* permission denied\n\n"]}}]'
refuses "a node that refuses the token" 10 "$pending, read of KEK $kek at $fault_url: the token's policy does not allow it, or \
there is no such mount: correct mount or the policy" scopekey erase subject/dan --yes --quiet
fault_rules '[{"path":"internal/ui/mounts","do":"answer","status":200,"json":{"data":{"type":"kv","path":"transit/"}}}]'
refuses "a node whose mount is another" 10 "$pending: mount transit is no transit engine: correct mount, or enable transit there" \
  scopekey erase subject/dan --yes --quiet
fault_rules '[{"path":"keys/'"$kek"'$","method":"GET","do":"answer","status":503,"json":{"errors":["Vault is sealed"]}}]'
refuses "a node that is sealed" 5 "$pending, read of KEK $kek at $fault_url: the server is sealed: unseal it" \
  scopekey erase subject/dan --yes --quiet
fault_rules '[]'
completes dan

subject eve
fault_rules '[{"path":".","do":"reset"}]'
status=0
message=$(scopekey erase subject/eve --yes 2>&1 >/dev/null | tail -n 1) || status=$?
is "a node that is absent: status" "$status" 5
matches "and its name" "$message" "scopekey: the erasure is pending .* at $fault_url: .*"
fault_rules '[]'
completes eve

# While the cluster has no active node the erasure waits, also when a node redirects to it; unless there was one in time.
subject fay
openbao_cli operator step-down >/dev/null
status=0
scopekey erase subject/fay --yes >/dev/null 2>&1 || status=$?
matches "while the active node steps down: status" "$status" '0|5'
holds "there is one again" openbao_nodes_active
completes fay
empty "nobody's KEK is left" "$(openbao_cli list -format=json transit/keys | jq -r '.[]' | grep -Fx "$kek")"
tap_end
