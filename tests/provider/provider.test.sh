#!/bin/bash
# SPDX-License-Identifier: MIT
# The provider in the unmodified openssl command, before and after default.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset SCOPEKEY_CONF SCOPEKEY_PIN OPENSSL_CONF
export SCOPEKEY_HOME=$work/d OPENSSL_MODULES=$build/.libs
scopekey=$build/cli/scopekey
orders=("-provider scopekey -provider default" "-provider default -provider scopekey")
alice=scopekey:subject/alice

umask 077
echo 471100 >pin.txt
echo "a message" >f
holds "init" "$scopekey" init --pin-file pin.txt
for key in tls:ec-p256 rsa:rsa-2048 ed:ed25519 data:aes-256; do
  holds "make ${key#*:}" "$scopekey" key create "$alice/${key%:*}" --algorithm "${key#*:}"
done
holds "make a key of carol" "$scopekey" key create scopekey:subject/carol/tls --algorithm ec-p256
holds "make a key of bob" "$scopekey" key create scopekey:subject/bob/tls --algorithm ec-p256

# ours ARGS...: openssl in the order of providers that is tried now.
order=
ours() {
  local command=$1
  shift
  # shellcheck disable=SC2086
  openssl "$command" $order "$@"
}

digest() { if [ "$1" = ed ]; then echo ""; else echo "-digest sha256"; fi; }

certify() { # KEY
  holds "$order: req -x509, $1" ours req -x509 -new -subj /CN=alice -days 30 -key "$alice/$1" -out "c.$1.pem"
  is "$order: verify, $1" "$(openssl verify -CAfile "c.$1.pem" "c.$1.pem" 2>&1)" "c.$1.pem: OK"
}

sign() { # KEY
  local options
  read -ra options <<<"$(digest "$1")"
  holds "$order: pkey -pubout, $1" ours pkey -pubout -in "$alice/$1" -out "pub.$1.pem"
  is "$order: the same public key as key show says, $1" "$(cat "pub.$1.pem")" \
    "$("$scopekey" key show "$alice/$1" | sed -n '/BEGIN/,/END/p')"
  holds "$order: pkeyutl -sign -rawin, $1" ours pkeyutl -sign -rawin "${options[@]}" -inkey "$alice/$1" -in f -out s
  is "$order: pkeyutl -verify, $1" "$(openssl pkeyutl -verify -rawin "${options[@]}" -pubin -inkey "pub.$1.pem" \
    -in f -sigfile s 2>&1)" "Signature Verified Successfully"
  is "$order: pkeyutl -verify by the provider, $1" "$(ours pkeyutl -verify -rawin "${options[@]}" \
    -inkey "$alice/$1" -in f -sigfile s 2>&1)" "Signature Verified Successfully"
}

sign_digest() { # KEY
  for md in sha256 sha512; do
    holds "$order: dgst -$md -sign, $1" ours dgst "-$md" -sign "$alice/$1" -out s f
    is "$order: dgst -$md -verify, $1" "$(openssl dgst "-$md" -verify "pub.$1.pem" -signature s f)" "Verified OK"
    is "$order: dgst -$md -prverify, $1" "$(ours dgst "-$md" -prverify "$alice/$1" -signature s f)" "Verified OK"
  done
  holds "$order: cms -sign, $1" ours cms -sign -nodetach -signer "c.$1.pem" -inkey "$alice/$1" -in f \
    -outform DER -out f.cms
  is "$order: cms -verify, $1" "$(openssl cms -verify -inform DER -in f.cms -CAfile "c.$1.pem" -out g 2>&1
    tr -d '\r' <g)" $'CMS Verification successful\na message'
}

pss() {
  holds "$order: PSS, salt as long as the digest" ours dgst -sha256 -sigopt rsa_padding_mode:pss \
    -sign "$alice/rsa" -out s f
  is "$order: verify it" "$(openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 \
    -verify pub.rsa.pem -signature s f)" "Verified OK"
  holds "$order: PSS, longest salt" ours dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:max \
    -sign "$alice/rsa" -out s f
  is "$order: verify that" "$(openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:222 \
    -verify pub.rsa.pem -signature s f)" "Verified OK"
  holds "$order: a certificate signed with PSS" ours req -x509 -new -subj /CN=alice -days 30 -key "$alice/rsa" \
    -sigopt rsa_padding_mode:pss -sha384 -out cp.pem
  is "$order: which verifies" "$(openssl verify -CAfile cp.pem cp.pem 2>&1)" "cp.pem: OK"
  holds "$order: cms with PSS" ours cms -sign -nodetach -signer c.rsa.pem -inkey "$alice/rsa" \
    -keyopt rsa_padding_mode:pss -in f -outform DER -out f.cms
  is "$order: which verifies too" "$(openssl cms -verify -inform DER -in f.cms -CAfile c.rsa.pem -out g 2>&1
    tr -d '\r' <g)" $'CMS Verification successful\na message'
}

# serve KEY CERT: start s_server; sets `server` and `port`.
serve() {
  : >server.log
  # shellcheck disable=SC2086
  openssl s_server -accept 127.0.0.1:0 -naccept 1 -www $order -key "$1" -cert "$2" >server.log 2>&1 &
  server=$!
  port=
  while [ -z "$port" ] && kill -0 "$server" 2>/dev/null; do
    port=$(sed -n 's/^ACCEPT.*:\([0-9]*\)$/\1/p' server.log)
    [ -n "$port" ] || sleep 0.05
  done
}

handshake() { # NAME CERT S_CLIENT-OPTIONS...
  local name=$1 cert=$2 status=0 said
  shift 2
  said=$(printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect "127.0.0.1:$port" -CAfile "$cert" \
    -verify_return_error -quiet "$@" 2>client.log | head -n 1 | tr -d '\r')
  wait "$server" || status=$?
  if [ "$said" = "HTTP/1.0 200 ok" ] && [ "$status" -eq 0 ]; then
    pass "$name"
  else
    fail "$name" "client: $said $(cat client.log) server ($status): $(cat server.log)"
  fi
}

tls() { # KEY
  for version in -tls1_2 -tls1_3; do
    for group in P-256 X25519:P-256 P-384; do
      [ "$1$version$group" = "tls-tls1_2P-384" ] && continue
      serve "$alice/$1" "c.$1.pem"
      handshake "$order: TLS $version $group, $1" "c.$1.pem" "$version" -groups "$group"
    done
  done
}

software() {
  # shellcheck disable=SC2086
  for kind in "RSA -pkeyopt rsa_keygen_bits:2048" "EC -pkeyopt ec_paramgen_curve:P-256" ED25519 X25519; do
    holds "$order: software key, $kind" ours genpkey -out soft.pem -algorithm $kind
  done
  holds "$order: software EC key" ours ecparam -name secp384r1 -genkey -noout -out soft.pem
  holds "$order: its self-signed certificate" ours req -x509 -new -subj /CN=soft -days 30 -key soft.pem -out soft.c.pem
  holds "$order: its signature" ours dgst -sha384 -sign soft.pem -out s f
  holds "$order: its public key" ours pkey -in soft.pem -pubout -out soft.pub.pem
  is "$order: verified" "$(ours dgst -sha384 -verify soft.pub.pem -signature s f)" "Verified OK"
  serve soft.pem soft.c.pem
  handshake "$order: TLS with a software key" soft.c.pem -tls1_3 -groups P-256
  holds "$order: software RSA key" ours genrsa -out soft.pem 2048
  holds "$order: its signature" ours dgst -sha256 -sign soft.pem -out s f
  holds "$order: read by a legacy command" ours rsa -in soft.pem -noout -check
  holds "$order: cms encryption to a token key's kind" ours cms -encrypt -recip soft.c.pem -in f -outform DER -out e.cms
}

listing() {
  is "$order: storeutl lists a scope" "$(ours storeutl "$alice" 2>&1)" "0: Pkey
1: Pkey
2: Pkey
3: Name: $alice/data
aes-256, usage gcm
Total found: 4"
  is "$order: storeutl -noout of one key" "$(ours storeutl -noout "$alice/tls" 2>&1)" "0: Pkey
Total found: 1"
  is "$order: type=public gives a public key" "$(ours storeutl "$alice/tls?type=public" 2>&1)" "0: Public key
$(cat pub.tls.pem)
Total found: 1"
  is "$order: type=private of a scope" "$(ours storeutl -noout "$alice?type=private" 2>&1)" "0: Pkey
1: Pkey
2: Pkey
Total found: 3"
  is "$order: type=secret of a scope" "$(ours storeutl "$alice?type=secret" 2>&1)" "0: Name: $alice/data
aes-256, usage gcm
Total found: 1"
  is "$order: description" "$(ours pkey -noout -text -in "$alice/tls" | sed -n '1,2p;$p')" \
    "Scopekey private key, in the token: $alice/tls?version=1
Public-Key: (256 bit)
NIST CURVE: P-256"
  is "$order: pkey -check" "$(ours pkey -noout -check -in "$alice/rsa" 2>&1)" "Key is valid"
}

for order in "${orders[@]}"; do
  for key in tls rsa ed; do
    certify "$key"
    sign "$key"
    [ "$key" = ed ] || sign_digest "$key"
    tls "$key"
  done
  pss
  listing
  software
done

# The provider alone: its own encoder writes the public key.
is "public key without default" "$(openssl pkey -provider scopekey -pubout -in "$alice/ed")" "$(cat pub.ed.pem)"
is "public key without default, DER" "$(openssl pkey -provider scopekey -pubout -outform DER -in "$alice/tls" |
  base64 -w 0)" "$(sed '/-----/d' pub.tls.pem | tr -d '\n')"
is "property query: software keys served by us" "$(openssl genpkey -provider scopekey -provider default \
  -propquery '?provider=scopekey' -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>&1 | head -n 1)" \
  "-----BEGIN PRIVATE KEY-----"
openssl genpkey -algorithm RSA -out soft.pem 2>/dev/null
openssl pkey -in soft.pem -pubout -out soft.pub.pem
holds "property query: software RSA signature" openssl dgst -sha256 -provider scopekey -provider default \
  -propquery '?provider=scopekey' -sign soft.pem -out s f
is "which verifies" "$(openssl dgst -sha256 -verify soft.pub.pem -signature s f)" "Verified OK"

# refused NAME URI STATUS REASON-AND-MESSAGE: `openssl pkey` fails, and our error is the last line.
order=${orders[0]}
refused() {
  local name=$1 status=0 text
  text=$(ours pkey -noout -in "$2" 2>&1) || status=$?
  is "$name: exit status" "$status" 1
  is "$name" "$(sed -n 's/^.*:scopekey:[a-z_]*:\(.*\):[^:]*provider\/[a-z_]*\.c:[0-9]*:/\1 | /p' <<<"$text")" "$3"
}
usage="invalid argument: correct the call or the key URI"
refused "unknown key" "$alice/none" \
  "key not found: see scopekey key list | there is no key $alice/none: see \`scopekey key list\`"
refused "unknown subject" scopekey:subject/dave/tls \
  "key not found: see scopekey key list | there is no key scopekey:subject/dave/tls: see \`scopekey key list\`"
refused "malformed URI" scopekey:alice "$usage | $(
  "$scopekey" key show scopekey:alice 2>&1 | sed 's/^scopekey: //')"
refused "unknown attribute" "$alice/tls?color=red" \
  "$usage | key URI: unknown attribute \"color\": there are version, type and pin-source"
refused "unknown version" "$alice/tls?version=7" \
  "key not found: see scopekey key list | key $("$scopekey" key show --json "$alice/tls" |
    sed 's/.*"key_id":"\([^"]*\)".*/\1/') has no version 7"
refused "symmetric key" "$alice/data" "not supported for this key | $("$scopekey" key show --json "$alice/data" |
  sed 's/.*"key_id":"\([^"]*\)".*/\1/') is a symmetric key, which OSSL_STORE cannot hold: name it to the cipher \
SCOPEKEY-AES-256-GCM by the parameter uri"
refused "several keys" "$alice" \
  "$usage | the URI names a scope with 3 key pairs: add a key's name (ed, rsa, tls)"
SCOPEKEY_HOME=$work/nowhere refused "no set-up" "$alice/tls" "configuration or set-up is wrong: run scopekey doctor | \
there is no set-up in $work/nowhere: run \`scopekey init\` or correct SCOPEKEY_HOME"
is "private half is not written: exit status" "$(ours pkey -in "$alice/tls" >out.txt 2>&1; echo $?)" 1
is "private half is not written" "$(grep -c PRIVATE out.txt)" 0

# A section of openssl.cnf: configuration file and wall.
cat >openssl.cnf <<END
openssl_conf = openssl_init
[openssl_init]
providers = providers
[providers]
default = default_provider
scopekey = scopekey_provider
[default_provider]
activate = 1
[scopekey_provider]
activate = 1
config = $work/d/scopekey.conf
scopes = subject/alice
END
order=
wall() { SCOPEKEY_HOME=$work/nowhere OPENSSL_CONF=$work/openssl.cnf "$@"; }
is "section: our key" "$(wall ours pkey -pubout -in "$alice/tls" 2>&1)" "$(cat pub.tls.pem)"
wall refused "section: a key outside scopes" scopekey:subject/bob/tls \
  "not permitted | scope subject/bob is outside the allowed scopes of this process"
wall refused "section: an unknown key outside scopes" scopekey:subject/nobody/tls \
  "not permitted | scope subject/nobody is outside the allowed scopes of this process"
is "section: software keys" "$(wall openssl genpkey -algorithm ED25519 2>&1 | head -n 1)" "-----BEGIN PRIVATE KEY-----"

# Configured, not used: nothing of the set-up is looked at.
is "unused: openssl version" "$(wall strace -f -e trace=openat,connect -o trace.txt openssl version >/dev/null 2>&1
  grep -cE 'scopekey\.conf|softhsm|catalog' trace.txt)" 0
is "unused: openssl list" "$(wall strace -f -e trace=openat -o trace.txt openssl list -public-key-algorithms \
  >/dev/null 2>&1; grep -cE 'scopekey\.conf|softhsm|catalog' trace.txt)" 0
is "public key: the token is not opened" "$(wall strace -f -e trace=openat -o trace.txt openssl pkey -pubin -pubout \
  -in "$alice/tls?type=public" 2>/dev/null; grep -c softhsm trace.txt)" "$(cat pub.tls.pem)
0"

# PINs.
order=${orders[0]}
echo 999999 >wrong.txt
sed 's|^pin_file.*|pin_file = '"$work"'/wrong.txt|' d/scopekey.conf >d/wrong.conf
sed '/^pin_file/d' d/scopekey.conf >d/ask.conf
text=$(SCOPEKEY_CONF=$work/d/wrong.conf ours dgst -sha256 -sign "$alice/tls" -out s f 2>&1)
is "wrong PIN: exit status" "$?" 1
is "wrong PIN" "$(sed -n 's/^.*:scopekey:[a-z_]*:\(.*\):[^:]*provider\/[a-z_]*\.c:[0-9]*:/\1 | /p' <<<"$text")" \
  "PIN or credential refused | logging in to token scopekey: CKR_PIN_INCORRECT (0xA0): correct the PIN"
is "wrong PIN: the public key is there" "$(SCOPEKEY_CONF=$work/d/wrong.conf ours pkey -pubout -in "$alice/tls")" \
  "$(cat pub.tls.pem)"
holds "PIN of the application (-passin)" env SCOPEKEY_CONF="$work/d/ask.conf" openssl dgst -provider scopekey \
  -provider default -sha256 -passin file:pin.txt -sign "$alice/tls" -out s f
is "which signed" "$(openssl dgst -sha256 -verify pub.tls.pem -signature s f)" "Verified OK"
holds "PIN of the URI (pin-source)" env SCOPEKEY_CONF="$work/d/ask.conf" openssl dgst -provider scopekey \
  -provider default -sha256 -sign "$alice/tls?pin-source=$work/pin.txt" -out s f

# A key of carol is erased with her.
holds "erase" "$scopekey" erase subject/carol --yes
refused "erased subject" scopekey:subject/carol/tls "erased | subject/carol was erased"
refused "erased subject, whole scope" scopekey:subject/carol "erased | subject/carol was erased"
holds "others live on" ours dgst -sha256 -sign "$alice/tls" -out s f

# Exit status 0 and a good signature, every time.
bad=0
for ((i = 0; i < ${SCOPEKEY_TEST_RUNS:-100}; i++)); do
  ours pkeyutl -sign -rawin -digest sha256 -inkey "$alice/tls" -in f -out s 2>>runs.txt || bad=$((bad + 1))
done
is "pkeyutl -sign, ${SCOPEKEY_TEST_RUNS:-100} times: failures" "$bad" 0
tap_end
