#!/bin/bash
# SPDX-License-Identifier: MIT
# Epochs, backups and restorations by the commands alone, and receipts checked without a set-up.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
make_setup token
mkdir safe
uuid='[0-9a-f]{8}-[0-9a-f-]{27}'
when='[0-9-]{10}T[0-9:]{8}Z'

scopekey key create scopekey:subject/alice/tls --algorithm ec-p256 --quiet
scopekey key create scopekey:subject/bob/tls --algorithm ec-p256 --quiet
echo "a letter" >letter
scopekey encrypt letter -o alice.sk -s alice --quiet
scopekey encrypt letter -o bob.sk -s bob --quiet

for bad in '' '--status' 'subject/alice --epoch' 'subject/alice --retire'; do
  # shellcheck disable=SC2086
  refuses "rotate $bad" 1 "rotate: name a scope or \`files\`, or give --epoch (and then --status or --retire)" \
    scopekey rotate $bad
done
refuses "status and retire" 1 "rotate: --status and --retire exclude each other" scopekey rotate --epoch --status --retire
says "the status of a new set-up" 0 "epoch 1 +current +since $when +[0-9]+ records sealed" '' scopekey rotate --epoch --status
says "no backups" 0 '' '' scopekey backup list
refuses "an id that is none" 1 "\"x\" is no backup's id: see \`scopekey backup list\`" scopekey backup confirm x
refuses "an unknown backup" 4 "there is no backup 018f3c1e-7b2a-7c3d-8e4f-0123456789ab: see \`scopekey backup list\`" \
  scopekey backup forget 018f3c1e-7b2a-7c3d-8e4f-0123456789ab
refuses "no such directory" 2 "cannot write a backup to nowhere/x.db: No such file or directory" \
  scopekey backup create nowhere/x.db

says "a backup" 0 "$uuid  made +$when  epoch 1 +0 erasures  DIR/safe/first\.db
  not confirmed: copy it where it is to stay, then .scopekey backup confirm $uuid.
  destroy it by $when; from then on it may open nothing any more" '' scopekey backup create safe/first.db
refuses "over another" 2 'DIR/safe/first.db is there already: choose another name' scopekey backup create safe/first.db
is "its file is private" "$(stat -c %a safe/first.db)" 600
is "the copy is whole without a log" "$(sqlite3 safe/first.db 'PRAGMA journal_mode' 2>/dev/null)" delete

erased=$(scopekey erase subject/alice --yes --json | jq -c '[.receipt.status, .receipt.epoch, .receipt.keks[0].keeper]')
is "an erasure waits for the epoch" "$erased" '["scheduled",1,"token"]'
says "rotate the epoch" 0 "epoch key 2 made; new KEKs are under it
3 KEK records moved to epoch 2
epoch 1 +waiting +since $when +[0-9]+ records sealed
 +waits for a confirmed backup made since: run .scopekey backup create., then .scopekey backup confirm.
epoch 2 +current +since $when +3 records sealed" '' scopekey rotate --epoch
id=$(scopekey backup create safe --json | jq -r .id)
file=$(scopekey backup list --json | jq -r 'select(.id == "'"$id"'").path')
matches "a backup in a directory has the time in its name" "${file##*/}" 'scopekey-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.db'
mkdir offsite
mv "$file" "$file.json" offsite/
refuses "a copy that is not there" 4 "there is no manifest DIR/${file#"$PWD/"}.json: it was written beside the copy" \
  scopekey backup confirm "$id"
is "confirmed where it lies" "$(scopekey backup confirm "$id" "offsite/${file##*/}" --json | jq -r .state)" confirmed
says "not before the horizon" 0 "epoch 1 +waiting +since $when +[0-9]+ records sealed
 +its key may be destroyed from $when on
epoch 2 .*" '' scopekey rotate --epoch --retire
echo 'retire_epoch_days = 0' | sed -i '/^\[scopekey\]/r /dev/stdin' d/scopekey.conf
says "refresh destroys what is due" 0 'epoch key 1 destroyed: copies of the catalog that need it open nothing any more
1 erasures are complete now' '' scopekey receipt refresh
scopekey erase subject/alice --yes --json | jq .receipt >receipt.json
is "the receipt is complete" "$(jq -r '[.status, .replaces.status] | join(" ")' receipt.json)" "complete scheduled"
cp d/receipt.pem key.pem
says "and verifies without a set-up" 0 'valid: signed by the key in key\.pem'$'\n''.*' '' \
  env SCOPEKEY_HOME=/nowhere scopekey receipt verify receipt.json --key key.pem
says "doctor is content" 0 '(ok [^'$'\n'']+'$'\n'')+all well' '' scopekey doctor

old=$(jq -r .sha256 safe/first.db.json)
is "the manifest tells the sum" "$(sha256sum safe/first.db | cut -d' ' -f1)" "$old"
refuses "restore asks" 1 'restore safe/first.db: cannot be undone: confirm on a terminal, or give --yes' \
  scopekey restore safe/first.db
says "restore the newer one" 0 'restored from offsite/.*; the old catalog is DIR/d/catalog\.db\.before-'"$when"'
0 erasures replayed, 0 of them of something that was there again
0 KEK records moved to epoch 2
0 GCM keys got a new version
reconciled: the catalog may start' '' scopekey restore "offsite/${file##*/}" --yes
is "the copy in use knows itself" "$(scopekey backup list --json | jq -r 'select(.id == "'"$id"'").state')" made
says "bob's letter opens" 0 "" '' scopekey decrypt bob.sk -o bob.out --quiet
is "and is as it was" "$(cat bob.out)" "a letter"
says "alice's does not" 8 '' 'scopekey: the key of file '"$(scopekey info alice.sk --json | jq -r .file_id)"' was erased: nobody can read it any more' \
  scopekey decrypt alice.sk -o alice.out
rm -f d/catalog.db.before-*
sed -i 's/"tombstones": 0/"tombstones": 7/' safe/first.db.json
refuses "a manifest that was edited" 3 "safe/first.db.json was altered: its MAC is not the token's" \
  scopekey restore safe/first.db --yes
says "reconcile may be run at any time" 0 '0 erasures replayed.*reconciled: the catalog may start' '' scopekey reconcile
tap_end
