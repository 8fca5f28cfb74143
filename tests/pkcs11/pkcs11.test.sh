#!/bin/bash
# SPDX-License-Identifier: MIT
# Real programs that load a PKCS#11 module: pkcs11-tool, p11tool, certtool, p11-kit.  Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"

build=$PWD
module=$build/.libs/scopekey-pkcs11.so
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
pin=4711-pin
export SCOPEKEY_HOME=$tmp/d
unset SCOPEKEY_CONF
cd "$tmp" || exit 1
(umask 077 && echo "$pin" >pin.txt)

scopekey() { "$build/cli/scopekey" "$@"; }
tool() { pkcs11-tool --module "$module" "$@" 2>tool.err; }
login() { tool --login --pin "$pin" "$@"; }
labels() { sed -n 's/^ *label: *//p'; }
# --id of a key of alice: pkcs11-tool of OpenSC 0.23 takes --label for reading and writing objects, but not for using keys.
id_of() { echo "--id=${ids[$1]}"; }
# pem NAME: the public half of a key of alice, as the command line shows it.
pem() { scopekey key show "scopekey:subject/alice/$1" | sed -n '/^-----BEGIN/,/^-----END/p' >"$1.pem"; }

holds "a set-up is made" scopekey init --pin-file pin.txt
while read -r name options; do
  # shellcheck disable=SC2086
  holds "key $name is made" scopekey key create "scopekey:subject/$name" $options
done <<'KEYS'
alice/tls --algorithm ec-p256
alice/rsa --algorithm rsa-2048
alice/dec --algorithm rsa-2048 --usage decrypt
alice/ed --algorithm ed25519
alice/data --algorithm aes-256
bob/tls --algorithm ec-p384
KEYS
for name in tls rsa dec ed; do pem "$name"; done
echo "a few words to sign" >f
head -c 100000 /dev/zero | tr '\0' 'x' >big

# ---- pkcs11-tool: what is there ----
is "pkcs11-tool -L lists the token" "$(tool -L | sed -n 's/^ *token label *: *//p')" Scopekey
is "pkcs11-tool -M lists the mechanisms" "$(tool -M | grep -c '^  ')" 26
is "without a login public keys are listed" "$(tool -O | labels | sort)" "subject/alice/dec
subject/alice/ed
subject/alice/rsa
subject/alice/tls
subject/bob/tls"
is "and nothing else" "$(tool -O | grep -c 'Object;')" 5
is "with a login all keys are listed" "$(login -O | labels | sort | uniq -c | awk '{ print $1, $2 }')" "1 subject/alice/data
2 subject/alice/dec
2 subject/alice/ed
2 subject/alice/rsa
2 subject/alice/tls
2 subject/bob/tls"
declare -A ids
while read -r label id; do ids[${label#subject/alice/}]=$id; done < <(
  tool -O | awk '$1 == "label:" { label = $2 } $1 == "ID:" { print label, $2 }')
is "every pair has an id of its own" "$(printf '%s\n' "${ids[@]}" | sort -u | wc -l)" 5
tool --login --pin wrong -O >out
is "a wrong PIN is refused" "$? $(grep -o 'CKR_[A-Z_]*' tool.err | head -n 1)" "1 CKR_PIN_INCORRECT"
holds "pkcs11-tool --test finds no error" login --test

# ---- pkcs11-tool: signatures that OpenSSL verifies ----
holds "ECDSA-SHA256 signs" login --sign --mechanism ECDSA-SHA256 --label subject/alice/tls -i f -o s2
is "as r and s" "$(stat -c %s s2)" 64
holds "ECDSA-SHA256 signs in OpenSSL's form" login --sign --mechanism ECDSA-SHA256 --signature-format openssl \
  --label subject/alice/tls -i f -o s
is "openssl verifies it" "$(openssl dgst -sha256 -verify tls.pem -signature s f)" "Verified OK"
holds "ECDSA-SHA256 signs in parts" login --sign --mechanism ECDSA-SHA256 --signature-format openssl \
  --label subject/alice/tls -i big -o s
is "openssl verifies the parts" "$(openssl dgst -sha256 -verify tls.pem -signature s big)" "Verified OK"
openssl dgst -sha256 -binary f >f.sha256
holds "ECDSA signs a digest" login --sign --mechanism ECDSA --signature-format openssl --label subject/alice/tls \
  -i f.sha256 -o s
is "openssl verifies the digest" "$(openssl dgst -sha256 -verify tls.pem -signature s f)" "Verified OK"
holds "RSA-PKCS signs" login --sign --mechanism RSA-PKCS "$(id_of rsa)" -i f -o s
is "openssl recovers what was signed" "$(openssl pkeyutl -verifyrecover -pubin -inkey rsa.pem -in s)" "$(cat f)"
holds "SHA256-RSA-PKCS signs" login --sign --mechanism SHA256-RSA-PKCS "$(id_of rsa)" -i f -o s
is "openssl verifies RSA" "$(openssl dgst -sha256 -verify rsa.pem -signature s f)" "Verified OK"
holds "SHA256-RSA-PKCS-PSS signs" login --sign --mechanism SHA256-RSA-PKCS-PSS "$(id_of rsa)" -i f -o s
is "openssl verifies PSS" "$(openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 \
  -verify rsa.pem -signature s f)" "Verified OK"
holds "EDDSA signs" login --sign --mechanism EDDSA "$(id_of ed)" -i f -o s
is "openssl verifies EdDSA" "$(openssl pkeyutl -verify -pubin -inkey ed.pem -rawin -in f -sigfile s)" \
  "Signature Verified Successfully"
holds "EDDSA signs in parts" login --sign --mechanism EDDSA "$(id_of ed)" -i big -o s
is "openssl verifies EdDSA of the parts" "$(openssl pkeyutl -verify -pubin -inkey ed.pem -rawin -in big -sigfile s)" \
  "Signature Verified Successfully"
login --sign --mechanism ECDSA-SHA256 "$(id_of rsa)" -i f -o s.no
is "another kind of key does not sign" "$? $(grep -o 'CKR_[A-Z_]*' tool.err | head -n 1)" "1 CKR_KEY_TYPE_INCONSISTENT"
login --sign --mechanism SHA256-RSA-PKCS "$(id_of dec)" -i f -o s.no
is "another usage does not sign" "$? $(grep -o 'CKR_[A-Z_]*' tool.err | head -n 1)" "1 CKR_KEY_FUNCTION_NOT_PERMITTED"
openssl pkeyutl -encrypt -pubin -inkey dec.pem -in f -out f.rsa
holds "RSA-PKCS decrypts" login --decrypt --mechanism RSA-PKCS "$(id_of dec)" -i f.rsa -o f.back
holds "what openssl encrypted" cmp f f.back
openssl pkeyutl -encrypt -pubin -inkey dec.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
  -in f -out f.oaep
holds "RSA-PKCS-OAEP decrypts" login --decrypt --mechanism RSA-PKCS-OAEP --hash-algorithm SHA256 \
  "$(id_of dec)" -i f.oaep -o f.back
holds "what openssl encrypted with OAEP" cmp f f.back
holds "a public key is read" tool --read-object --type pubkey --label subject/alice/rsa -o rsa.der
is "and is the one of the command line" "$(openssl pkey -pubin -inform DER -in rsa.der 2>/dev/null)" "$(cat rsa.pem)"

# ---- GnuTLS ----
p11() { GNUTLS_PIN=$pin p11tool --provider "$module" "$@" 2>p11.err; }
is "p11tool lists the token" "$(p11 --list-tokens | sed -n 's/^\tLabel: //p')" Scopekey
is "p11tool --list-all lists public keys" "$(p11 --list-all | sed -n 's/^\tLabel: //p' | sort -u | wc -l)" 5
is "p11tool --login --list-all lists every object" "$(p11 --login --list-all | grep -c '^Object ')" 11
is "p11tool --list-all says nothing else" "$(p11 --list-all >/dev/null; cat p11.err)" ""
for name in tls rsa; do
  url="pkcs11:token=Scopekey;object=subject%2Falice%2F$name;type=private"
  holds "p11tool --test-sign with alice's $name" p11 --login --test-sign "$url"
done
printf 'cn = "alice"\nexpiration_days = 2\nsigning_key\nca\n' >certificate.cfg
url="pkcs11:token=Scopekey;object=subject%2Falice%2Ftls"
holds "certtool makes a certificate" env GNUTLS_PIN="$pin" certtool --provider "$module" --generate-self-signed \
  --template certificate.cfg --load-privkey "$url;type=private" --load-pubkey "$url;type=public" --outfile c.pem
is "openssl verifies it" "$(openssl verify -CAfile c.pem c.pem)" "c.pem: OK"

# ---- the manual's examples, pasted ----
mkdir pasted
awk '/^\.Sh EXAMPLES/ { on = 1; next } /^\.Sh/ { on = 0 } on && /^\.Ed/ { code = 0 } on && code; on && /^\.Bd/ { code = 1 }' \
  "$src/man/scopekey-pkcs11.7" | sed -n 's/\\e/\\/g; /^Verified OK$/d; s/^\$ //; p' |
  sed "s|scopekey-pkcs11\.so|$module|g; s/4711/$pin/g" >pasted/commands
is "the manual has examples" "$(grep -c . pasted/commands)" 17
is "they do what the manual says" "$(cd pasted && bash -e commands 2>&1 | grep -c '^Verified OK$')" 1
is "and make a certificate" "$(openssl verify -CAfile pasted/c.pem pasted/c.pem 2>&1)" "pasted/c.pem: OK"

# ---- p11-kit ----
# p11-kit reads no user's configuration for root, so another user registers copies of the module.
chmod 755 "$tmp"
mkdir -p copy/.config/pkcs11/modules
cp -L "$build/lib/.libs/libscopekey.so.0" "$module" "$build/cli/.libs/scopekey" copy/
sed "s|^module: .*|module: $tmp/copy/scopekey-pkcs11.so|" "$build/conf/scopekey.module" \
  >copy/.config/pkcs11/modules/scopekey.module
(umask 077 && echo "$pin" >copy/pin.txt)
as_user=(env -C "$tmp/copy" HOME="$tmp/copy" XDG_CONFIG_HOME="$tmp/copy/.config" SCOPEKEY_HOME="$tmp/copy/d" LD_LIBRARY_PATH="$tmp/copy")
if [ "$(id -u)" -eq 0 ]; then
  chown -R 65534:65534 copy
  as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups "${as_user[@]}")
fi
so=$tmp/copy/scopekey-pkcs11.so
listed() { "${as_user[@]}" p11-kit list-modules 2>&1 | awk '/^[^ ]/ { on = /^(module: )?scopekey/ } on'; }
matches "without a set-up p11-kit lists a module without tokens" "$(listed | tr '\n' '|')" \
  "(scopekey: $so|module: scopekey\|    path: $so\|    uri: [^|]*)\|    library-description: Scopekey scoped keys\|[^:]*: Scopekey\|    library-version: [0-9.]+\|"
holds "that user makes a set-up" "${as_user[@]}" ./scopekey init --pin-file pin.txt
is "then p11-kit lists its token" "$(listed | sed -n 's/^ *token: //p' | sort -u)" Scopekey
matches "the file that is installed names the installed module" "$(sed -n 's/^module: //p' "$build/conf/scopekey.module")" \
  '/.*/scopekey-pkcs11\.so'

# ---- erasure, and machines without a set-up ----
scopekey erase subject/alice --yes >/dev/null
is "of an erased person nothing is listed" "$(login -O | labels | sort -u)" "subject/bob/tls"
login --sign --mechanism ECDSA-SHA256 "$(id_of tls)" -i f -o s.no
is "and nothing signs" "$? $(grep -c 'not found' tool.err) $(test -s s.no && echo written)" "1 1 "
holds "others go on" login --sign --mechanism ECDSA-SHA384 --label subject/bob/tls -i f -o s
mkdir nothing
is "without a set-up there is no token" "$(SCOPEKEY_HOME=$tmp/nothing tool -L | grep -c 'token label')" 0
is "and no complaint" "$(cat tool.err)" ""
tap_end
