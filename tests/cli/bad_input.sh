#!/bin/bash
# SPDX-License-Identifier: MIT
# What the command line refuses: exit status and message, word for word, and nothing half-written.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/cli/commands.sh
. "$src/tests/cli/commands.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export SCOPEKEY_HOME=$PWD/d
long=$(printf 'a%.0s' {1..256})
scopes='it does not begin with "subject/", "file/", "client/" or "system/"'

no_setup() {
  refuses "no set-up" 10 "there is no set-up in DIR/d: run \`scopekey init\` or correct SCOPEKEY_HOME" scopekey key list
  says "doctor without a set-up" 9 \
    'PROBLEM configuration: there is no set-up in DIR/d: run .scopekey init. or correct SCOPEKEY_HOME.*1 problem' '' \
    scopekey doctor
  refuses "--home elsewhere" 10 "cannot read configuration x/scopekey.conf: No such file or directory" \
    scopekey --home x key list
  refuses "--config elsewhere" 10 "--config x: No such file or directory" scopekey key list --config x
  refuses "both of them" 1 "--home and --config exclude each other: the configuration file says where the rest is" \
    scopekey key list --config x --home y
  says "errors as JSON" 10 '' \
    '{"error":"--config x: No such file or directory","code":"configuration","exit":10}' \
    scopekey --json key list --config x
  refuses "no command" 1 "which command? \`scopekey --help\` lists them" scopekey
  refuses "a group alone" 1 "key: which command? \`scopekey key --help\` lists them" scopekey key
  refuses "help for nothing" 1 "help: there is no command \"wombat\": \`scopekey --help\` lists them" scopekey help wombat
  refuses "another shell" 1 "completion: \"fish\" is unknown: choose bash or zsh" scopekey completion fish
}

bad_init() {
  (umask 077 && echo "$pin" >pin.txt && : >empty.txt && echo "$pin" >open.txt)
  chmod 644 open.txt
  refuses "no PIN file and no terminal" 5 "no terminal to ask for the PIN: set a PIN file: No such device or address" \
    setsid -w scopekey init
  refuses "a PIN file that others can read" 10 "PIN file open.txt can be read by others (mode 0644): run chmod 600 on it" \
    scopekey init --pin-file open.txt
  refuses "an empty PIN file" 10 "PIN file empty.txt is empty: put the secret on its first line" \
    scopekey init --pin-file empty.txt
  refuses "no such module" 10 "PKCS#11 module /nope.so cannot be loaded: /nope.so: cannot open shared object file: No such \
file or directory: correct the path" scopekey init --pin-file pin.txt --module /nope.so
  refuses "keeper vault without a server" 1 \
    "keeper vault needs --vault-addr, --vault-token-file and --vault-admin-token-file" \
    scopekey init --pin-file pin.txt --keeper vault
  refuses "keeper azure without a vault" 1 "keeper azure needs --azure-url, or KEY_VAULT_URL" \
    scopekey init --pin-file pin.txt --keeper azure
  refuses "a keeper that is not there" 1 "--keeper: \"paper\" is unknown: choose one of token, vault, azure, local" \
    scopekey init --pin-file pin.txt --keeper paper
  refuses "init with --config" 1 "init writes its own configuration: name its directory with --home" \
    scopekey init --pin-file pin.txt --config pin.txt
  refuses "our own module as the token" 10 "$(scopekey init --home own --pin-file pin.txt --module "$module" 2>&1 |
    sed 's/^scopekey: //')" scopekey init --home own --pin-file pin.txt --module "$module"
  empty "none of them left a configuration" "$(ls d/scopekey.conf own/scopekey.conf 2>/dev/null)"
}

two_inits() {
  local first second
  scopekey init --home two --pin-file pin.txt >one.out 2>&1 &
  first=$!
  scopekey init --home two --pin-file pin.txt >two.out 2>&1 &
  second=$!
  wait $first
  first=$?
  wait $second
  second=$?
  # The slower one is told that the other runs, or that it has ended.
  matches "of two inits at once one succeeds" "$first $second" '0 [27]|[27] 0'
  holds "and what it made is sound" scopekey --home two doctor --quiet
}

bad_uris() {
  local name uri message
  while IFS='|' read -r name uri message; do
    refuses "$name" 1 "key URI: $message" scopekey key create "${uri//LONG/$long}"
    refuses "$name, shown" 1 "key URI: $message" scopekey key show "${uri//LONG/$long}"
  done <<END
no path|scopekey:|scope: $scopes
no scope|scopekey:alice|scope: $scopes
unknown scope|scopekey:wombat/alice/x|scope: $scopes
empty id|scopekey:subject/|scope: the id is empty
too many parts|scopekey:subject/a/b/c|the path has more than three parts: inside an id "/" is written %2F
dots as id|scopekey:subject/../tls|scope: the id may not be "." or ".."
escaped dots|scopekey:subject/%2E%2E/tls|scope: the id: byte 1: this character is written as it is, not escaped
dots as name|scopekey:subject/alice/..|a key name is 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit
a letter escaped|scopekey:subject/%61lice/tls|scope: the id: byte 1: this character is written as it is, not escaped
lower-case hex|scopekey:subject/a%2fb/tls|scope: the id: byte 2: hex digits are written in upper case
control character|scopekey:subject/%01/tls|scope: the id is not UTF-8 without control characters
broken UTF-8|scopekey:subject/%C3/tls|scope: the id is not UTF-8 without control characters
256 bytes|scopekey:subject/LONG/tls|scope: the id has more than 255 bytes
a file without UUID|scopekey:file/x/y|scope: the id of a file is a UUID in lower case
unknown attribute|scopekey:subject/alice/tls?wombat=1|unknown attribute "wombat": there are version, type and pin-source
version 0|scopekey:subject/alice/tls?version=0|version is a number from 1 to 4294967295 without leading zeros
attribute twice|scopekey:subject/alice/tls?type=private&type=public|attribute type is given twice
semicolon|scopekey:subject/alice/tls;version=1|";" has no meaning: attributes follow "?", with "&" between them
END
  refuses "attributes of a new key" 1 "key create: the URI of a new key has no attributes" \
    scopekey key create 'scopekey:subject/alice/tls?version=1'
  refuses "a usage that does not fit" 1 "key create: a key of algorithm ec-p256 has no usage gcm" \
    scopekey key create subject/alice/x -a ec-p256 -u gcm
  refuses "a key in no scope of a person" 1 "\"scopekey:client/x\" is no subject: write subject/ and its id" \
    scopekey subject create scopekey:client/x
  empty "nothing was made" "$(scopekey key list)"
}

bad_keys() {
  holds "a key" scopekey key create subject/alice/tls -a ec-p256
  holds "another" scopekey key create subject/alice/data
  refuses "no such key" 4 "there is no key scopekey:subject/alice/nope: see \`scopekey key list\`" \
    scopekey key show subject/alice/nope
  refuses "no such version" 4 "key $(scopekey key show subject/alice/tls --json | jq -r .key_id) has no version 7" \
    scopekey key show 'subject/alice/tls?version=7'
  refuses "no such subject" 4 "subject/bob is not provisioned: run \`scopekey subject create bob\` (or set \
auto_provision)" scopekey subject show bob
  refuses "an ambiguous URI names the candidates" 1 "scopekey:subject/alice names 2 keys (data, tls): add a key's name" \
    scopekey key show subject/alice
  refuses "a subject that is there" 2 "subject/alice is there already" scopekey subject create alice
  holds "disable" scopekey key disable subject/alice/tls
  matches "openssl may not use it" "$(openssl pkeyutl -sign -rawin -digest sha256 "${providers[@]}" \
    -inkey scopekey:subject/alice/tls -in pin.txt -out s 2>&1 | grep -o 'key keypair-[0-9a-v]* is disabled:.*')" \
    'key keypair-[0-9a-v]+ is disabled: .scopekey key enable. allows it again'
  holds "enable" scopekey key enable subject/alice/tls
  holds "openssl may" openssl pkeyutl -sign -rawin -digest sha256 "${providers[@]}" -inkey scopekey:subject/alice/tls \
    -in pin.txt -out s
  refuses "destroy asks" 1 "key destroy subject/alice/tls: cannot be undone: confirm on a terminal, or give --yes" \
    scopekey key destroy subject/alice/tls
  holds "destroy" scopekey key destroy subject/alice/tls --yes
  refuses "a destroyed key" 8 "key scopekey:subject/alice/tls was destroyed" scopekey key show subject/alice/tls
  refuses "erase nobody" 4 "there is nothing of subject/nobody" scopekey erase subject/nobody --yes
  refuses "erase the system" 1 "erase: system scopes are Scopekey's own and are not erased" scopekey erase system/mac --yes
  refuses "erase no file" 2 "cannot open nope: No such file or directory" scopekey erase nope --yes
}

# refused_file NAME STATUS MESSAGE FILE
refused_file() {
  refuses "$1" "$2" "$3" scopekey decrypt "$4" -o out
  empty "$1: nothing was written" "$(ls out .out* out.* 2>/dev/null)"
}

# altered OFFSET: f.sk with one bit changed there, as x.sk.
altered() {
  local byte
  byte=$(od -An -tu1 -j "$1" -N 1 f.sk)
  cp f.sk x.sk
  # shellcheck disable=SC2059
  printf "\\x$(printf %02x $((byte ^ 1)))" | dd of=x.sk bs=1 seek="$1" conv=notrunc 2>/dev/null
}

bad_files() {
  local size at
  head -c 10000 /dev/urandom >f
  holds "encrypt in chunks of 4 KiB" scopekey encrypt -s alice f -o f.sk --chunk 4K
  refuses "no input" 2 "cannot open nope: No such file or directory" scopekey encrypt -s alice nope -o x.sk
  refuses "output is input" 1 "f is input and output at once: give another name with -o" scopekey encrypt -s alice f -o f
  refuses "a directory" 1 ". is a directory: name a file" scopekey encrypt -s alice . -o x.sk
  refuses "no such directory" 2 "cannot write into directory nodir: No such file or directory" \
    scopekey encrypt -s alice f -o nodir/x.sk
  refuses "no output" 1 "encrypt: say where to write: -o FILE, or -o - for standard output" scopekey encrypt -s alice f
  refuses "an id of 256 bytes" 1 "scope: the id has more than 255 bytes" scopekey encrypt -s "$long" f -o x.sk
  refuses "a chunk that is too small" 1 "--chunk: \"100\" is no size (bytes, or with K or M) from 4096 to 67108864" \
    scopekey encrypt -s alice f -o x.sk --chunk 100
  refused_file "no Scopekey file" 3 "file header: not a Scopekey file" f
  : >empty.sk
  refused_file "an empty file" 3 "empty.sk is not a Scopekey file, or cut off in its header" empty.sk
  size=$(stat -c %s f.sk)
  # Every 97th byte altered, and the file cut at every 97th: each is refused with status 3, and no output.
  local wrong=''
  for ((at = 0; at < size; at += 97)); do
    altered $at
    scopekey decrypt x.sk -o out 2>/dev/null
    [ $? -eq 3 ] || wrong+=" $at:altered"
    head -c $at f.sk >x.sk
    scopekey decrypt x.sk -o out 2>/dev/null
    [ $? -eq 3 ] || wrong+=" $at:cut"
    [ ! -e out ] || wrong+=" $at:output"
  done
  empty "altered or cut anywhere" "$wrong"
  # With another id it is another file, of which the catalog knows nothing.
  altered 20
  refused_file "another file id" 4 "$(scopekey decrypt x.sk -o out 2>&1 | sed 's/^scopekey: //')" x.sk
  head -c -1 f.sk >x.sk
  refused_file "without its last byte" 3 \
    "x.sk was altered or cut off: encrypted file: segment 2 is not where it belongs, or cut" x.sk
  (cat f.sk && echo) >x.sk
  refused_file "with a byte more" 3 "$(scopekey decrypt x.sk -o out 2>&1 | sed 's/^scopekey: //')" x.sk
  holds "and the file itself is good" scopekey decrypt f.sk -o g
  holds "to the last byte" cmp f g
}

bad_pin() {
  cp d/scopekey.conf good.conf
  (umask 077 && echo 987654321987 >wrong.txt)
  sed -i "s#/pin.txt#/wrong.txt#" d/scopekey.conf
  refuses "a wrong PIN" 5 "logging in to token scopekey: CKR_PIN_INCORRECT (0xA0): correct the PIN" \
    scopekey key create subject/alice/y
  says "doctor says so" 9 '.*PROBLEM token: logging in to token scopekey: CKR_PIN_INCORRECT \(0xA0\): correct the PIN.*' '' \
    scopekey doctor
  chmod 644 wrong.txt
  refuses "a PIN file that others can read" 10 \
    "PIN file DIR/wrong.txt can be read by others (mode 0644): run chmod 600 on it" scopekey key create subject/alice/y
  rm wrong.txt
  refuses "no PIN file" 5 "the PIN file DIR/wrong.txt is not there: make it (mode 0600) or correct pin_file" \
    scopekey key create subject/alice/y
  cp good.conf d/scopekey.conf
}

bad_conf() {
  printf '[token]\nwombat = 1\n' >>d/scopekey.conf
  refuses "an unknown key" 10 "DIR/d/scopekey.conf: unknown key \"wombat\" in section [token]: see scopekey.conf(5)" \
    scopekey key list
  cp good.conf d/scopekey.conf
  printf '[scopekey]\nenvelope_ttl_s = 0\n' >>d/scopekey.conf
  refuses "a value out of range" 10 \
    "DIR/d/scopekey.conf, [scopekey] envelope_ttl_s: \"0\" is not a whole number from 1 to 3600" scopekey key list
  cp good.conf d/scopekey.conf
  mv d/tokens tokens.away
  mkdir -m 700 d/tokens
  refuses "a token that is not there" 5 "no token \"scopekey\": connect it or correct the label; there is none" \
    scopekey key create subject/alice/y
  rmdir d/tokens
  mv tokens.away d/tokens
  refuses "a daemon without an API key" 10 "no API client is configured, so nobody could call this daemon: make a key by \
\`(umask 077; openssl rand -hex 32 > api.key)\` and start with --api-key-file api.key, or set api_key_file in [rest] of \
scopekey.conf" scopekey serve --port 65536
  holds "all is well again" scopekey doctor --quiet
}

bad_catalog() {
  local table column columns wrong=''
  cp d/catalog.db good.db
  sqlite3 d/catalog.db 'PRAGMA user_version = 99'
  refuses "a catalog of a newer schema" 10 \
    "catalog DIR/d/catalog.db has schema 99 but this program knows schemas up to 3 only: use a newer Scopekey" \
    scopekey key list
  restore_catalog
  # Every column of every row of every table, changed by hand.
  holds "another file" scopekey encrypt -s alice f -o f2.sk
  holds "there is a tombstone and a receipt" scopekey erase "file/$(scopekey info f.sk --json | jq -r .file_id)" --yes
  cp d/catalog.db good.db
  for table in $(sqlite3 good.db "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"); do
    columns=$(sqlite3 good.db "SELECT name FROM pragma_table_info('$table')")
    [ "$(sqlite3 good.db "SELECT count(*) FROM $table")" -gt 0 ] || continue
    for column in $columns; do
      sqlite3 d/catalog.db "PRAGMA foreign_keys = OFF; UPDATE $table SET $column = CASE typeof($column)
        WHEN 'integer' THEN $column + 1 WHEN 'text' THEN $column || 'x' WHEN 'null' THEN 'x' ELSE CAST($column || x'00' AS BLOB) END
        WHERE rowid = (SELECT max(rowid) FROM $table)" || wrong+=" $table.$column:sql"
      [ "$(sqlite3 d/catalog.db ".dump $table" | cmp -s - <(sqlite3 good.db ".dump $table"); echo $?)" = 1 ] ||
        wrong+=" $table.$column:unchanged"
      scopekey doctor --quiet >doctor.out 2>&1
      [ $? -eq 9 ] || wrong+=" $table.$column"
      restore_catalog
    done
  done
  empty "doctor notices each changed column" "$wrong"
  sqlite3 d/catalog.db "UPDATE keys SET usage = usage + 1 WHERE name = 'data'"
  refuses "a changed key is refused" 11 \
    "a key's row in the catalog was changed (its signature does not verify): restore the catalog from a backup" \
    scopekey key show subject/alice/data
  restore_catalog
  holds "all is well again" scopekey doctor --quiet
}

restore_catalog() {
  rm -f d/catalog.db-wal d/catalog.db-shm
  cp good.db d/catalog.db
}

# Needs a mount namespace: as root, or in a user namespace.
bad_disk() {
  local as=(unshare --mount)
  [ "$(id -u)" -eq 0 ] || as=(unshare --mount --map-root-user)
  # Below a chroot "/" is no mount of its own, whose propagation could be changed.
  "${as[@]}" true 2>/dev/null || as+=(--propagation unchanged)
  head -c 300000 /dev/zero >big
  mkdir full
  # shellcheck disable=SC2016
  says "a full disk" 2 'left: ' 'scopekey: cannot write full/x.sk: No space left on device' "${as[@]}" bash -c '
    mount -t tmpfs -o size=64k none full && scopekey encrypt -s alice big -o full/x.sk
    status=$?
    left=$(ls -A full)
    umount full
    echo "left: $left"
    exit $status'
  # shellcheck disable=SC2016
  says "a read-only disk" 2 'left: ' 'scopekey: cannot write into directory full: Read-only file system' "${as[@]}" bash -c '
    mount -t tmpfs -o ro none full && scopekey encrypt -s alice big -o full/x.sk
    status=$?
    left=$(ls -A full)
    umount full
    echo "left: $left"
    exit $status'
  # shellcheck disable=SC2016
  says "standard output on a full disk" 2 '' '{"error":"write to standard output: No space left on device","code":"io","exit":2}' \
    bash -c 'scopekey key list --json >/dev/full'
}

no_setup
bad_init
two_inits
holds "a set-up" scopekey init --pin-file pin.txt
bad_uris
bad_keys
bad_files
bad_pin
bad_conf
bad_catalog
bad_disk
tap_end
