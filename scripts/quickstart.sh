#!/bin/bash
# SPDX-License-Identifier: MIT
# From a fresh clone on Debian to a working Scopekey: installs the Debian packages (as root), builds in ./build, installs
# into ./demo/inst, makes an embedded set-up in ./demo/home (a SoftHSM token, an SQLite catalog, nothing to start) and
# runs the main job with real output.  Changes nothing outside this tree but Debian packages.  Can be run again.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
# shellcheck source=scripts/packages.sh
. scripts/packages.sh
unset SCOPEKEY_CONF API_KEY

step() { printf '\n==> %s\n' "$*"; }

# Show a command as one would type it, then run it.
run() {
  printf '$'
  printf ' %s' "${@@Q}" | sed "s/'\([A-Za-z0-9_./:=@,-]*\)'/\1/g"
  printf '\n'
  "$@"
}

# refused WORD COMMAND...: run a command that has to fail, with WORD somewhere in what it says.
refused() {
  local word=$1 said status=0
  shift
  said=$(run "$@" 2>&1 </dev/null) || status=$?
  printf '%s\n' "$said"
  if [ "$status" -eq 0 ] || ! grep -qi -- "$word" <<<"$said"; then
    echo "quickstart: this should have been refused as \"$word\"" >&2
    exit 1
  fi
  echo "(refused, exit status $status)"
}

# A TCP port of the loopback on which nobody listens.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || break
  done
  echo "$port"
}

# wait_for NAME COMMAND...: until the command succeeds, half a minute at most.
wait_for() {
  local name=$1 i
  shift
  for ((i = 0; i < 300; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  echo "quickstart: $name did not come up" >&2
  exit 1
}

background=()
finish() {
  local status=$?
  for pid in "${background[@]}"; do
    kill "$pid" 2>/dev/null || continue
    wait "$pid" 2>/dev/null || true
  done
  [ "$status" -eq 0 ] || echo "quickstart: failed; what was built and made is in ./build and ./demo" >&2
  exit "$status"
}
trap finish EXIT

step "Debian packages"
install_packages "${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}"
echo "all there"

step "Build in ./build, install into ./demo/inst (logs: build/quickstart.log)"
mkdir -p build demo
inst=$top/demo/inst
{
  [ -x configure ] && [ configure -nt configure.ac ] || autoreconf -fi
  cd build
  if ! ./config.status --config 2>/dev/null | grep -qF -- "--prefix=$inst"; then
    ../configure --prefix="$inst"
  fi
  make -j"$(nproc)"
  make install
} >build/quickstart.log 2>&1 || {
  tail -n 30 "$top/build/quickstart.log"
  exit 1
}
cd "$top"
export PATH=$inst/bin:$inst/sbin:$PATH
export OPENSSL_MODULES=$inst/lib/ossl-modules
export SCOPEKEY_HOME=$top/demo/home
run scopekey --version

step "An embedded set-up in ./demo/home"
rm -rf demo/home demo/work
mkdir -p demo/work
cd demo/work
(umask 077 && od -An -N4 -tu4 /dev/urandom | tr -d ' \n' >pin.txt && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >api.key)
run scopekey init --pin-file pin.txt
# Let the API client of the daemon use the keys of alice, besides its own.
sed -i '/^\[client default\]/,$d' "$SCOPEKEY_HOME/scopekey.conf"
printf '[client default]\nscopes = subject/alice\n' >>"$SCOPEKEY_HOME/scopekey.conf"
run scopekey doctor

step "Keys for alice"
run scopekey key create scopekey:subject/alice/tls --algorithm ec-p256
run scopekey key create scopekey:subject/alice/data --algorithm aes-256
run scopekey key list

step "A self-signed certificate, by the unmodified openssl"
run openssl req -x509 -new -subj /CN=localhost -days 30 -provider scopekey -provider default \
  -key scopekey:subject/alice/tls -out alice.pem
run openssl verify -CAfile alice.pem alice.pem

step "A TLS handshake with her key in the token"
port=$(free_port)
echo "$ openssl s_server -accept 127.0.0.1:$port -cert alice.pem -key scopekey:subject/alice/tls -www &"
openssl s_server -accept "127.0.0.1:$port" -cert alice.pem -key scopekey:subject/alice/tls -www \
  -provider scopekey -provider default >s_server.log 2>&1 </dev/null &
background+=($!)
wait_for s_server grep -q ACCEPT s_server.log
run openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile alice.pem -verify_return_error -brief </dev/null

step "The same key over PKCS#11"
PIN=$(cat pin.txt)
export PIN
echo 'Signed through PKCS#11.' >message
run pkcs11-tool --module "$inst/lib/pkcs11/scopekey-pkcs11.so" --login --pin env:PIN --sign \
  --mechanism ECDSA-SHA256 --signature-format openssl --label subject/alice/tls -i message -o message.sig
openssl pkey -pubout -provider scopekey -provider default -in scopekey:subject/alice/tls -out alice.pub
run openssl dgst -sha256 -verify alice.pub -signature message.sig message

step "A file for alice"
echo 'A letter to nobody else.' >letter.txt
run scopekey encrypt --subject alice letter.txt -o letter.sk
run scopekey info letter.sk
run scopekey decrypt letter.sk -o letter.again
run cmp letter.txt letter.again

step "The REST daemon"
port=$(free_port)
echo "$ scopekey serve --port $port --api-key-file api.key &"
scopekey serve --port "$port" --api-key-file api.key >serve.log 2>&1 &
background+=($!)
# The key in a file of its own keeps it off the command line, where every user could read it.
(umask 077 && printf 'header = "X-API-Key: %s"\n' "$(cat api.key)" >curl.conf)
wait_for "scopekey serve" curl -sf "http://127.0.0.1:$port/health"
run curl -s -K curl.conf "http://127.0.0.1:$port/health"
echo
key_id=$(scopekey key show subject/alice/data --json | jq -r .key_id)
call() { run curl -sS -K curl.conf -H 'Content-Type: application/json' "http://127.0.0.1:$port/api/kms/$1" -d "$2"; }
sealed=$(call encrypt "{\"key_id\":\"$key_id\",\"plaintext\":\"Hello, World!\"}")
echo "$sealed"
sealed=$(tail -n 1 <<<"$sealed")
opened=$(call decrypt "$(jq -c '{key_id, ciphertext, nonce}' <<<"$sealed")")
echo "$opened"
opened=$(tail -n 1 <<<"$opened")
[ "$(jq -r .plaintext <<<"$opened")" = 'Hello, World!' ]

step "Erase alice"
run scopekey erase subject/alice --yes

step "Everything of hers is refused from now on"
refused erased scopekey decrypt letter.sk -o letter.third
refused erased scopekey key create scopekey:subject/alice/again
refused erased openssl pkeyutl -sign -rawin -digest sha256 -provider scopekey -provider default \
  -inkey scopekey:subject/alice/tls -in message -out message.sig2
refused erased curl -sS --fail-with-body -K curl.conf -H 'Content-Type: application/json' \
  "http://127.0.0.1:$port/api/kms/decrypt" -d "$(jq -c '{key_id, ciphertext, nonce}' <<<"$sealed")"
echo
objects=$(run pkcs11-tool --module "$inst/lib/pkcs11/scopekey-pkcs11.so" --login --pin env:PIN -O)
echo "$objects"
if grep -q alice <<<"$objects"; then
  echo "quickstart: PKCS#11 still lists keys of alice" >&2
  exit 1
fi
echo "(PKCS#11 lists nothing of hers)"

cat <<END

All of it worked.  What next:
  export PATH=$inst/bin:\$PATH OPENSSL_MODULES=$inst/lib/ossl-modules SCOPEKEY_HOME=$SCOPEKEY_HOME
  scopekey --help                  every command, with examples
  man -l man/scopekey.1            the manual
  scripts/check.sh                 all tests
  README.md                        what Scopekey promises, and what it does not
END
