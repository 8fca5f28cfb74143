#!/bin/bash
# SPDX-License-Identifier: MIT
# Keeper `vault` against real OpenBao servers.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"

tmp=$(mktemp -d)
trap 'openbao_stop_all; rm -rf "$tmp"' EXIT
unset URL MOUNT KEK_MOUNT NAMESPACE TOKEN_FILE ADMIN_TOKEN_FILE CA_FILE INSECURE_HTTP INSECURE_SKIP_VERIFY MAX_RETRIES LOG
export INSECURE_HTTP=1
openbao_install
# A proxy of the environment must not come between.
export http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1

live() { tests/vault/vault_live vault/.libs/keeper-http.so "$@" 2>>"$tmp/log"; }
wrapped() { live wrap "$1" | cut -d' ' -f2; }
at() { echo "at $URL: "; }

openbao_dev "$tmp/dev"
openbao_mount scopekey
openbao_mount team/keys
openbao_mount notes kv
openbao_tokens scopekey "$tmp/tok"
openbao_tokens team/keys "$tmp/tok2"
export URL=$openbao_url MOUNT=scopekey TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok
denied="the token's policy does not allow it, or there is no such mount: correct mount or the policy"
bad="the token is invalid, expired or revoked: put a new one into its file"

# ---- set-up and what doctor asks ----
matches "before prepare, probe says that encrypting may make keys" "$(live probe)" "well: keeper vault: server [0-9.]+ is unsealed
well: keeper vault: the data token may encrypt and decrypt, and create nothing
well: keeper vault: the data token ends in 3[56][0-9]{2} s and can be renewed
well: keeper vault: the admin token may create, configure and delete keys, and open nothing
well: keeper vault: the admin token ends in 3[56][0-9]{2} s and can be renewed
ILL: keeper vault: encrypting may make keys: an erased KEK could come back -> write disable_upsert=true to <mount>/config/keys"
is "prepare" "$(live prepare)" ""
is "prepare set disable_upsert" "$(openbao_cli read -field=disable_upsert scopekey/config/keys)" true
is "prepare again" "$(live prepare)" ""
is "then probe finds nothing ill" "$(live probe | grep -c '^well:') $(live probe | grep -c '^ILL')" "6 0"
(umask 077 && echo root >"$tmp/root.tok")
matches "a root token as data token is ill" "$(TOKEN_FILE=$tmp/root.tok live probe | grep ILL)" \
  "ILL: keeper vault: the data token is a root token -> make a token with the policy of docs/keepers.md"
matches "so is one that may create" "$(
  openbao_policy scopekey data | sed 's|encrypt/+".*|encrypt/+" { capabilities = ["create", "update"] }|' |
    openbao_cli policy write wide - >/dev/null
  (umask 077 && openbao_cli token create -policy=wide -no-default-policy -field=token >"$tmp/wide.tok")
  TOKEN_FILE=$tmp/wide.tok live probe | grep ILL)" \
  'ILL: keeper vault: the data token may create keys by encrypting: an erased KEK could come back -> take "create" on encrypt/\+ out of its policy'
is "a data token as admin token is ill" "$(ADMIN_TOKEN_FILE=$tmp/tok/data.tok live probe | grep ILL)" \
  "ILL: keeper vault: the admin token lacks read on keys/+, update on keys/+, delete on keys/+, update on keys/+/config, update on keys/+/rotate, update on keys/+/trim -> correct mount, or add it to its policy (docs/keepers.md)
ILL: keeper vault: the admin token has rights that are not its own: on encrypt/+, decrypt/+, rewrap/+ -> take that out of its policy (docs/keepers.md)"
is "an admin token as data token is ill" "$(TOKEN_FILE=$tmp/tok/admin.tok live probe | grep ILL)" \
  "ILL: keeper vault: the data token lacks update on encrypt/+, update on decrypt/+, update on rewrap/+ -> correct mount, or add it to its policy (docs/keepers.md)
ILL: keeper vault: the data token has rights that are not its own: on keys/+, keys/+/config, keys/+/rotate, keys/+/trim -> take that out of its policy (docs/keepers.md)"
# life NAME WANT OPTION...: what is said of the end of a token.
life() {
  (umask 077 && openbao_cli token create -policy=sk-data-scopekey -no-default-policy -field=token "${@:3}" >"$tmp/life.tok")
  matches "$1" "$(TOKEN_FILE=$tmp/life.tok live probe | sed -n '3,4p' | grep -v ' admin ')" "$2"
}
life "a short lease is ill" "ILL: keeper vault: the data token ends in (30|29) s and can be renewed -> give it a lease \\(token_ttl, or period\\) of an hour: an outage that is longer ends it" -ttl=30s
life "a given token that will end is ill" "ILL: keeper vault: the data token ends in 3[56][0-9]{2} s and cannot be renewed -> make one with a period, or let Scopekey log in \\(auth in scopekey.conf\\)" -ttl=1h -renewable=false
life "so is one for a number of uses" "ILL: keeper vault: the data token is good for a number of uses only -> set token_num_uses to 0
well: keeper vault: the data token ends in 3[56][0-9]{2} s and can be renewed" -ttl=1h -use-limit=50

# ---- a life of a KEK ----
is "create" "$(live create sk--alice)" "created version 1 at scopekey"
is "create says whether it is there" "$(live create sk--alice)" "already_exists: keeper vault: KEK sk--alice is there already"
is "the key is what it must be" "$(openbao_cli read -format=json scopekey/keys/sk--alice |
  jq -r '.data | "\(.type) \(.derived) \(.exportable) \(.allow_plaintext_backup) \(.deletion_allowed)"')" \
  "aes256-gcm96 false false false true"
blob=$(wrapped sk--alice)
matches "wrap gives transit's text" "$blob" 'vault:v1:[A-Za-z0-9+/]{134}=='
is "unwrap gives the payload back" "$(live unwrap sk--alice 1 "$blob")" same
is "each wrap is another" "$([ "$blob" != "$(wrapped sk--alice)" ] && echo other)" other
is "an altered one is refused" "$(live unwrap sk--alice 1 "${blob:0:40}AAAA${blob:44}")" \
  "decryption_failed: keeper vault, unwrap of KEK sk--alice $(at)the wrapped DEK was altered or is not of this KEK"
is "a cut one is refused" "$(live unwrap sk--alice 1 "${blob:0:21}")" \
  "decryption_failed: keeper vault, unwrap of KEK sk--alice $(at)the wrapped DEK was altered or is not of this KEK"
is "one of another version is refused before it is sent" "$(live unwrap sk--alice 2 "$blob")" \
  "decryption_failed: keeper vault: this is no ciphertext of transit under version 2"
for text in '' vault:v1: vault:v01:AAAA 'vault:v1:AA"A' vault:v1:AAAA%0a xault:v1:AAAA vault:v1; do
  is "no ciphertext: '$text'" "$(live unwrap sk--alice 1 "$text")" \
    "decryption_failed: keeper vault: this is no ciphertext of transit under version 1"
done
live create sk--bob >/dev/null
is "another subject's KEK does not open it" "$(live unwrap sk--bob 1 "$blob")" \
  "decryption_failed: keeper vault, unwrap of KEK sk--bob $(at)the wrapped DEK was altered or is not of this KEK"
openbao_cli write -f scopekey/keys/sk--bob/rotate >/dev/null
matches "after a rotation, wrap uses the new version" "$(live wrap sk--bob)" '2 vault:v2:[A-Za-z0-9+/=]+'
short=$(openbao_cli write -field=ciphertext scopekey/encrypt/sk--alice plaintext="$(echo -n short | base64)")
is "what is no payload is not given out" "$(live unwrap sk--alice 1 "$short")" \
  "decryption_failed: keeper vault, unwrap of KEK sk--alice: what came out is no payload of Scopekey"
is "parent and children share nothing" "$(live fork sk--alice | tail -n 1)" "failed children: 0"
is "64 threads wrap at once" "$(live storm sk--alice 64 500)" "wrapped some, missing none, other 0"

# ---- erasure ----
is "erase is verified" "$(live erase sk--alice 1 "$blob")" "immediate gone=1 canary_refused=1 node=$URL"
is "then wrap finds no KEK" "$(live wrap sk--alice)" \
  "key_not_found: keeper vault, wrap of KEK sk--alice $(at)no such KEK"
is "and unwrap finds none" "$(live unwrap sk--alice 1 "$blob")" \
  "key_not_found: keeper vault, unwrap of KEK sk--alice $(at)no such KEK"
is "64 threads encrypting for a second do not bring it back" "$(live storm sk--alice 64 1000)" \
  "wrapped none, missing some, other 0"
is "nor does a token that may create, as prepare forbade it" "$(TOKEN_FILE=$tmp/wide.tok live wrap sk--alice)" \
  "key_not_found: keeper vault, wrap of KEK sk--alice $(at)no such KEK"
is "the server has no such key" "$(openbao_cli list -format=json scopekey/keys | jq -r 'index("sk--alice")')" null
is "erase again" "$(live erase sk--alice 1 "$blob")" "immediate gone=1 canary_refused=1 node=$URL"
is "erase without a canary" "$(live erase sk--alice 1)" "immediate gone=1 canary_refused=1 node=$URL"
openbao_cli write -f scopekey/keys/sk--alice >/dev/null
is "a key made again under the name does not open the old data" "$(live unwrap sk--alice 1 "$blob")" \
  "decryption_failed: keeper vault, unwrap of KEK sk--alice $(at)the wrapped DEK was altered or is not of this KEK"
is "and is erased again, though made undeletable" "$(live erase sk--alice 1 "$blob")" \
  "immediate gone=1 canary_refused=1 node=$URL"
live create sk--soft >/dev/null
soft=$(wrapped sk--soft)
openbao_cli delete scopekey/keys/sk--soft/soft-delete >/dev/null
is "soft-deleted is not erased: wrap" "$(live wrap sk--soft)" \
  "wrong_state: keeper vault, wrap of KEK sk--soft $(at)the KEK is soft-deleted at the keeper: restore it there, or erase the subject"
is "soft-deleted is not erased: unwrap" "$(live unwrap sk--soft 1 "$soft")" \
  "wrong_state: keeper vault, unwrap of KEK sk--soft $(at)the KEK is soft-deleted at the keeper: restore it there, or erase the subject"
is "a soft-deleted KEK is erased" "$(live erase sk--soft 1 "$soft")" "immediate gone=1 canary_refused=1 node=$URL"
openbao_cli write -f scopekey/keys/sk--old >/dev/null
old=$(wrapped sk--old)
openbao_cli write -f scopekey/keys/sk--old/rotate >/dev/null
openbao_cli write scopekey/keys/sk--old/config min_decryption_version=2 >/dev/null
is "a version put out of use is named" "$(live unwrap sk--old 1 "$old")" \
  "wrong_state: keeper vault, unwrap of KEK sk--old $(at)this version of the KEK may no longer decrypt: lower its min_decryption_version"
openbao_cli write scopekey/keys/sk--rsa type=rsa-2048 >/dev/null
is "a key of another kind counts as there" "$(live create sk--rsa)" \
  "wrong_state: keeper vault: KEK sk--rsa is no plain aes256-gcm96 key: someone else made it"
openbao_cli write scopekey/keys/sk--export exportable=true >/dev/null
is "so does one that can be exported" "$(live create sk--export)" \
  "wrong_state: keeper vault: KEK sk--export can be exported or backed up in clear: erase its owner"

# ---- names, mounts, namespaces ----
for name in '' a/rotate ../x a%2frotate 'a b' A a. -a a- a@b "$(printf 'a%.0s' {1..121})"; do
  for op in "create" "wrap"; do
    is "$op refuses the name '${name:0:20}'" "$(live "$op" "$name")" \
      "invalid_argument: keeper vault: a KEK name must be 1 to 120 of a-z, 0-9 and inner hyphens"
  done
done
for mount in '' / /a a/ a//b ../sys 'a b' a.b 'a?b' "$(printf 'a%.0s' {1..128})"; do
  is "mount '${mount:0:20}' is refused" "$(MOUNT=$mount live open)" \
    "configuration: keeper vault: mount must be segments of A-Z, a-z, 0-9, _ and - with single slashes between them"
done
is "a mount in a record is checked too" "$(KEK_MOUNT=../sys live wrap sk--bob)" \
  "integrity: keeper vault: the record of KEK sk--bob names an impossible mount or namespace"
export MOUNT=team/keys TOKEN_FILE=$tmp/tok2/data.tok ADMIN_TOKEN_FILE=$tmp/tok2/admin.tok
is "a mount with a slash: prepare" "$(live prepare)" ""
is "a mount with a slash: create" "$(live create sk--carol)" "created version 1 at team/keys"
carol=$(wrapped sk--carol)
is "a mount with a slash: unwrap" "$(live unwrap sk--carol 1 "$carol")" same
is "the record's mount counts, not the configured one" "$(MOUNT=scopekey KEK_MOUNT=team/keys live unwrap sk--carol 1 "$carol")" same
is "tokens of one mount do nothing at another" "$(MOUNT=scopekey live wrap sk--bob)" \
  "configuration: keeper vault, wrap of KEK sk--bob $(at)$denied"
is "a mount with a slash: erase" "$(live erase sk--carol 1 "$carol")" "immediate gone=1 canary_refused=1 node=$URL"
export MOUNT=nowhere TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok
is "no such mount: wrap" "$(live wrap sk--bob)" "configuration: keeper vault, wrap of KEK sk--bob $(at)$denied"
is "no such mount: create" "$(live create sk--bob)" "configuration: keeper vault, read of KEK sk--bob $(at)$denied"
is "no such mount: prepare" "$(live prepare)" \
  "configuration: keeper vault, mount $(at)no such mount, or the token has no right on it: correct mount or the policy"
is "no such mount is not erased" "$(live erase sk--bob 1)" \
  "configuration: keeper vault, mount $(at)no such mount, or the token has no right on it: correct mount or the policy"
is "no such mount, with a root token" "$(TOKEN_FILE=$tmp/root.tok live wrap sk--bob)" \
  "configuration: keeper vault, wrap of KEK sk--bob $(at)no such mount: correct mount, or enable transit there"
export MOUNT=notes TOKEN_FILE=$tmp/root.tok ADMIN_TOKEN_FILE=$tmp/root.tok
is "an engine that is no transit is not prepared" "$(live prepare)" \
  "configuration: keeper vault: mount notes is no transit engine: correct mount, or enable transit there"
is "nor is anything erased in it" "$(live erase sk--bob 1)" \
  "configuration: keeper vault: mount notes is no transit engine: correct mount, or enable transit there"
openbao_cli namespace create teams >/dev/null
BAO_NAMESPACE=teams openbao_cli secrets enable -path=scopekey transit >/dev/null
export MOUNT=scopekey NAMESPACE=teams
is "a namespace: prepare" "$(live prepare)" ""
is "a namespace: create" "$(live create sk--dave)" "created version 1 at scopekey"
dave=$(wrapped sk--dave)
is "a namespace: unwrap" "$(live unwrap sk--dave 1 "$dave")" same
is "the key is in the namespace alone" "$(NAMESPACE='' live unwrap sk--dave 1 "$dave")" \
  "key_not_found: keeper vault, unwrap of KEK sk--dave $(at)no such KEK"
is "a namespace: erase" "$(live erase sk--dave 1 "$dave")" "immediate gone=1 canary_refused=1 node=$URL"
is "no such namespace" "$(NAMESPACE=nobody live wrap sk--dave)" \
  "configuration: keeper vault, wrap of KEK sk--dave $(at)no such namespace: correct namespace"
is "an impossible namespace" "$(NAMESPACE=../x live open)" \
  "configuration: keeper vault: namespace must be segments of A-Z, a-z, 0-9, _ and - with single slashes between them"
unset NAMESPACE

# ---- tokens ----
export TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok
(umask 077 && echo s.bogus >"$tmp/bogus.tok" && openbao_cli token create -policy=sk-data-scopekey -no-default-policy \
  -ttl=1s -field=token >"$tmp/expired.tok" && printf 'two\nlines\n' >"$tmp/two.tok" && : >"$tmp/empty.tok")
while openbao_cli token lookup "$(cat "$tmp/expired.tok")" >/dev/null 2>&1; do sleep 0.1; done
is "an invalid token" "$(TOKEN_FILE=$tmp/bogus.tok live wrap sk--bob)" \
  "authentication: keeper vault, wrap of KEK sk--bob $(at)$bad"
is "an expired token" "$(TOKEN_FILE=$tmp/expired.tok live unwrap sk--bob 1 vault:v1:AAAA)" \
  "authentication: keeper vault, unwrap of KEK sk--bob $(at)$bad"
is "an invalid admin token" "$(ADMIN_TOKEN_FILE=$tmp/bogus.tok live create sk--eve)" \
  "authentication: keeper vault, read of KEK sk--eve $(at)$bad"
is "an invalid admin token erases nothing" "$(ADMIN_TOKEN_FILE=$tmp/bogus.tok live erase sk--bob 1)" \
  "authentication: keeper vault, mount $(at)$bad"
is "the admin token may not wrap" "$(TOKEN_FILE=$tmp/tok/admin.tok live wrap sk--bob)" \
  "configuration: keeper vault, wrap of KEK sk--bob $(at)$denied"
is "the data token may not create" "$(ADMIN_TOKEN_FILE=$tmp/tok/data.tok live create sk--eve)" \
  "configuration: keeper vault, read of KEK sk--eve $(at)$denied"
is "the data token may not erase" "$(ADMIN_TOKEN_FILE=$tmp/tok/data.tok live erase sk--bob 1)" \
  "configuration: keeper vault, config of KEK sk--bob $(at)$denied"
is "no admin token" "$(unset ADMIN_TOKEN_FILE && live create sk--eve)" \
  "configuration: keeper vault: the admin token is needed for this: set admin_token_file"
is "no data token" "$(unset TOKEN_FILE && live wrap sk--bob)" \
  "configuration: keeper vault: the data token is needed for this: set token_file"
is "a missing token file" "$(TOKEN_FILE=$tmp/none.tok live wrap sk--bob)" \
  "configuration: keeper vault: cannot open the data token $tmp/none.tok: No such file or directory"
cp "$tmp/tok/data.tok" "$tmp/open.tok" && chmod 644 "$tmp/open.tok"
is "a token that others can read" "$(TOKEN_FILE=$tmp/open.tok live wrap sk--bob)" \
  "configuration: keeper vault: the data token $tmp/open.tok can be read by others (mode 0644): run chmod 600 on it"
is "two lines are no token" "$(TOKEN_FILE=$tmp/two.tok live wrap sk--bob)" \
  "configuration: keeper vault: the data token $tmp/two.tok holds more than a token: put the token alone on one line"
is "an empty file is no token" "$(TOKEN_FILE=$tmp/empty.tok live wrap sk--bob)" \
  "configuration: keeper vault: the data token $tmp/empty.tok is empty: put the secret on its first line"

# ---- addresses ----
while IFS='|' read -r url want; do
  is "url '$url'" "$(URL=$url live open)" "$want"
done <<'URLS'
http://localhost:8200|open
http://127.0.0.1|open
http://127.9.8.7:1|open
http://[::1]:8200|open
https://vault.example:8200|open
https://vault.example/|open
http://192.0.2.1:8200|configuration: keeper vault: http:// is for a server on this machine alone: use https://
http://127.0.0.1.example:8200|configuration: keeper vault: http:// is for a server on this machine alone: use https://
http://localhost.example|configuration: keeper vault: http:// is for a server on this machine alone: use https://
ftp://127.0.0.1|configuration: keeper vault: url must begin with https://
https://user@vault.example|configuration: keeper vault: url is malformed: write https://host:port
https://vault.example/v1|configuration: keeper vault: url must be scheme, host and port alone
https://vault.example/?a=b|configuration: keeper vault: url must be scheme, host and port alone
https://vault.example/#a|configuration: keeper vault: url must be scheme, host and port alone
https://vault.example:99999|configuration: keeper vault: url is malformed: write https://host:port
vault.example|configuration: keeper vault: url is malformed: write https://host:port
|configuration: keeper vault: url is malformed: write https://host:port
URLS
is "http:// is refused unless allowed" "$(unset INSECURE_HTTP && live open)" \
  "configuration: keeper vault: url is http://: use https://, or for a server on this machine set insecure_http = true"
is "11 retries are too many" "$(MAX_RETRIES=11 live open)" "configuration: keeper vault: max_retries must be at most 10"

# ---- a server with TLS that is sealed, stopped and started ----
openbao_durable "$tmp/durable"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok3"
export URL=$openbao_url TOKEN_FILE=$tmp/tok3/data.tok ADMIN_TOKEN_FILE=$tmp/tok3/admin.tok CA_FILE=$tmp/durable/ca.pem
unset INSECURE_HTTP
is "TLS with a CA of its own: prepare" "$(live prepare)" ""
is "TLS with a CA of its own: create" "$(live create sk--alice)" "created version 1 at scopekey"
blob=$(wrapped sk--alice)
is "TLS with a CA of its own: unwrap" "$(live unwrap sk--alice 1 "$blob")" same
is "forks over TLS" "$(live fork sk--alice | tail -n 1)" "failed children: 0"
untrusted="the server's certificate is refused: set ca_file to the CA that signed it, and url to a name in it"
: >"$tmp/log"
is "an unknown CA is refused" "$(unset CA_FILE && LOG=1 live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice $(at)$untrusted (SSL certificate problem: unable to get local issuer certificate)"
is "and not tried again" "$(grep -c 'op=wrap' "$tmp/log")" 1
openbao_certificates "$(mkdir -p "$tmp/other" && echo "$tmp/other")"
matches "another CA is refused" "$(CA_FILE=$tmp/other/ca.pem live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice $(at)$untrusted \\(SSL certificate problem: .*\\)"
matches "the name is checked" "$(URL=https://localhost:${URL##*:} live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice at https://localhost:${URL##*:}: $untrusted \\(SSL: no alternative certificate subject name matches target host ?name 'localhost'\\)"
is "a missing CA file is named a set-up fault" "$(CA_FILE=$tmp/none.pem live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice $(at)the request cannot be made: check ca_file and url (Problem with the SSL CA cert (path? access rights?))"
is "verification ends only when told so" "$(unset CA_FILE && INSECURE_SKIP_VERIFY=1 live unwrap sk--alice 1 "$blob")" same
openbao_seal || fail "the server is sealed"
sealed="the server is sealed: unseal it"
is "sealed: wrap" "$(live wrap sk--alice)" "connectivity: keeper vault, wrap of KEK sk--alice $(at)$sealed"
is "sealed: unwrap" "$(live unwrap sk--alice 1 "$blob")" "connectivity: keeper vault, unwrap of KEK sk--alice $(at)$sealed"
is "sealed: create" "$(live create sk--bob)" "connectivity: keeper vault, read of KEK sk--bob $(at)$sealed"
is "sealed is not erased" "$(live erase sk--alice 1 "$blob")" "connectivity: keeper vault, mount $(at)$sealed"
is "sealed: probe" "$(live probe)" "connectivity: keeper vault at $URL: the server is sealed: unseal it"
openbao_unseal || fail "the server is unsealed"
is "unsealed: all is as before" "$(live unwrap sk--alice 1 "$blob")" same
openbao_stop
# libcurl 7 and 8 have words of their own for it.
words="Couldn't connect to server"
[ "$(curl --version | sed -n '1s/^curl \([0-9]*\)\..*/\1/p')" -lt 8 ] || words="Could not connect to server"
gone="the server cannot be reached: start it or correct url ($words)"
is "stopped: wrap, after four attempts" "$(live wrap sk--alice)" \
  "connectivity: keeper vault, wrap of KEK sk--alice $(at)$gone; 4 attempts"
is "stopped, without retries" "$(MAX_RETRIES=0 live wrap sk--alice)" \
  "connectivity: keeper vault, wrap of KEK sk--alice $(at)$gone"
is "stopped is not erased" "$(MAX_RETRIES=0 live erase sk--alice 1 "$blob")" "connectivity: keeper vault, mount $(at)$gone"
openbao_start || fail "the server starts again"
is "started and sealed" "$(live wrap sk--alice)" "connectivity: keeper vault, wrap of KEK sk--alice $(at)$sealed"
openbao_unseal || fail "the server is unsealed again"
is "started and unsealed: all is as before" "$(live unwrap sk--alice 1 "$blob")" same
: >"$tmp/log"
is "erase over TLS" "$(LOG=1 live erase sk--alice 1 "$blob")" "immediate gone=1 canary_refused=1 node=$URL"
is "one log line for each request" "$(grep -oE 'op=[a-z]+ outcome=[a-z]+ attempt=[0-9]+' "$tmp/log")" \
  "op=mount outcome=ok attempt=1
op=config outcome=ok attempt=1
op=delete outcome=ok attempt=1
op=leader outcome=ok attempt=1
op=read outcome=missing attempt=1
op=unwrap outcome=missing attempt=1"

# ---- secrets ----
: >"$tmp/log"
live create sk--logged >/dev/null
blob=$(LOG=1 wrapped sk--logged)
LOG=1 live unwrap sk--logged 1 "$blob" >/dev/null
LOG=1 TOKEN_FILE=$tmp/bogus.tok live wrap sk--logged >/dev/null
payload=$(for i in $(seq 255 -1 184); do printf '\\x%02x' "$i"; done)
payload=$(printf '%b' "$payload" | base64 -w0)
matches "a log line has what it needs" "$(grep 'op=wrap outcome=ok' "$tmp/log")" \
  '[0-9TZ:-]+ info vault.client: keeper call keeper=vault op=wrap outcome=ok attempt=1 duration_us=[0-9]+ kek=sk--logged status=200 call_id=[0-9a-f]{16} keeper_request_id=[0-9a-f-]{36} node=https?://[0-9.:]+'
is "the test would find a payload" "$(openbao_cli write -field=plaintext scopekey/decrypt/sk--logged ciphertext="$blob")" "$payload"
empty "no token, payload or ciphertext in the log" "$(
  grep -F -e "$(cat "$tmp/tok3/data.tok")" -e "$(cat "$tmp/tok3/admin.tok")" -e s.bogus -e "${payload:0:24}" -e "${blob:9:24}" "$tmp/log")"
tap_end
