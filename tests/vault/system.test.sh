#!/bin/bash
# SPDX-License-Identifier: MIT
# Whole set-ups with keeper `vault` over HTTPS: the provider active in every program of the machine (the TLS to the server
# included), a hundred commands at once, and a catalog that somebody else wrote to.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$PWD
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
# shellcheck source=tests/lib/fault_proxy.sh
. "$src/tests/lib/fault_proxy.sh"
export PATH=$build/cli:$build/rest:$PATH OPENSSL_MODULES=$build/.libs SCOPEKEY_PLUGINS=$build/vault/.libs
unset SCOPEKEY_CONF API_KEY LOG_LEVEL LOG_FORMAT HOST PORT OPENSSL_CONF

tmp=$(mktemp -d)
trap 'kill "${daemon:-}" 2>/dev/null; fault_proxy_stop_all; openbao_stop_all; rm -rf "$tmp"' EXIT
openbao_install
openbao_durable "$tmp/durable"
openbao_mount keys
openbao_tokens keys "$tmp/tok"
cd "$tmp" || exit 1
export SCOPEKEY_HOME=$tmp/d
(umask 077 && echo 12345678 >pin.txt && openssl rand -hex 32 >api.key)
(umask 077 && printf 'header = "X-API-Key: %s"\n' "$(cat api.key)" >curl.conf)
echo 'a message' >f
fault_proxy "$tmp/proxy" "$openbao_url" --ca durable/ca.pem --tls durable/srv.pem durable/srv.key
holds "init" scopekey init --pin-file pin.txt --keeper vault --vault-addr "$fault_url" --vault-mount keys \
  --vault-token-file tok/data.tok --vault-admin-token-file tok/admin.tok --vault-ca-file durable/ca.pem
alice=scopekey:subject/alice
holds "a P-256 key" scopekey key create $alice/tls --algorithm ec-p256
holds "an RSA key" scopekey key create $alice/rsa --algorithm rsa-2048
holds "an Ed25519 key" scopekey key create $alice/ed --algorithm ed25519

# ---- the provider is active in all programs, and speaks TLS to its own keeper ----
# Its keeper's libcurl then finds it in the default library context, where TLS takes its algorithms from.
openssl_conf() { # DEFAULT-PROPERTIES FIRST SECOND
  cat >openssl.cnf <<END
openssl_conf = openssl_init
[openssl_init]
providers = providers
alg_section = algorithms
[algorithms]
default_properties = $1
[providers]
$2 = $2_provider
$3 = $3_provider
[default_provider]
activate = 1
[scopekey_provider]
activate = 1
END
}
wall() { OPENSSL_CONF=$tmp/openssl.cnf timeout 60 "$@"; }
for how in "'' default scopekey" "'' scopekey default" "?provider=scopekey scopekey default" "?provider=default scopekey default"; do
  read -r properties first second <<<"$how"
  openssl_conf "${properties//\'/}" "$first" "$second"
  for key in tls rsa; do
    holds "$how: openssl signs with $key" wall openssl pkeyutl -sign -rawin -digest sha256 -inkey $alice/$key -in f -out s
    holds "$how: openssl gives out $key" wall openssl pkey -pubout -in $alice/$key -out pub.pem
    is "$how: openssl verifies $key" "$(openssl pkeyutl -verify -rawin -digest sha256 -pubin -inkey pub.pem -in f \
      -sigfile s)" "Signature Verified Successfully"
  done
  holds "$how: the command line" wall scopekey encrypt --subject alice --force f -o f.sk
  is "$how: and back" "$(wall scopekey decrypt f.sk -o -)" "a message"
done

holds "a certificate under a key of alice" wall openssl req -x509 -new -subj /CN=localhost -days 30 -key $alice/tls \
  -addext subjectAltName=DNS:localhost -out cert.pem
holds "a provider that is active everywhere serves TLS 1.3" wall python3 - "$alice/tls" <<'PY'
import os, socket, subprocess, sys, time
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
server = subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", "cert.pem", "-key", sys.argv[1],
                           "-tls1_3", "-naccept", "20", "-quiet"], stdin=subprocess.PIPE)
plain = {k: v for k, v in os.environ.items() if k != "OPENSSL_CONF"}
done = 0
while done < 20 and server.poll() is None:
    client = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", "cert.pem",
                             "-verify_return_error", "-quiet", "-no_ign_eof"], input=b"", env=plain, check=False,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done += client.returncode == 0
    if client.returncode != 0 and done == 0:
        time.sleep(0.05)
server.stdin.close()
sys.exit(0 if done == 20 and server.wait() == 0 else 1)
PY
: >daemon.log
OPENSSL_CONF=$tmp/openssl.cnf scopekeyd --port 0 --api-key-file api.key >/dev/null 2>daemon.log </dev/null &
daemon=$!
until port=$(sed -n 's/^scopekeyd: ready on .*:\([0-9]*\)$/\1/p' daemon.log) && [ -n "$port" ]; do
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.05
done
kms() {
  curl -sS --noproxy '*' -K curl.conf -H 'Content-Type: application/json' "http://127.0.0.1:$port/api/kms/$1" -d "$2"
}
key_id=$(kms generate_key '' | jq -r .key_id)
workers=()
for n in $(seq 16); do
  kms encrypt "{\"key_id\":\"$key_id\",\"plaintext\":\"text $n\"}" | jq -c '{key_id, ciphertext, nonce}' >"sealed.$n" &
  workers+=($!)
done
wait "${workers[@]}"
for n in $(seq 16); do kms decrypt "$(cat "sealed.$n")" | jq -r .plaintext; done >opened
is "the daemon below such a provider" "$(cat opened)" "$(for n in $(seq 16); do echo "text $n"; done)"
kill "$daemon"
wait "$daemon"
is "the daemon ends well" $? 0

# ---- two processes make the KEK of one person: the slow one neither fails nor destroys what the quick one uses ----
fault_rules '[{"path":"/keys/keys/[^/]+$","method":"POST","times":1,"do":"delay","ms":1500}]'
scopekey encrypt --subject carol f -o carol.slow >slow.out 2>&1 &
slow=$!
until [ "$(fault_requests '^POST /v1/keys/keys/[^/]+$')" = 1 ]; do sleep 0.02; done
holds "the quick one encrypts" scopekey encrypt --subject carol f -o carol.quick
wait $slow
is "the slow one too" "$? $(cat slow.out)" "0 "
is "and both open" "$(scopekey decrypt carol.quick -o -; scopekey decrypt carol.slow -o -)" $'a message\na message'
# The same, the answer coming late and the key being made by both.
fault_rules '[{"path":"/keys/keys/[^/]+$","method":"GET","skip":1,"times":1,"do":"delay","ms":1500}]'
scopekey encrypt --subject dave f -o dave.slow >slow.out 2>&1 &
slow=$!
until [ "$(fault_requests '^GET /v1/keys/keys/[^/]+$')" = 2 ]; do sleep 0.02; done
holds "the quick one encrypts again" scopekey encrypt --subject dave f -o dave.quick
wait $slow
is "the slow one too, again" "$? $(cat slow.out)" "0 "
is "and both open again" "$(scopekey decrypt dave.quick -o -; scopekey decrypt dave.slow -o -)" $'a message\na message'
fault_rules '[]'

# A name that is held by somebody else's KEK is not taken over, not even when asked again.
erin=$(scopekey subject name erin)
openbao_cli write -f "keys/keys/$erin" >/dev/null
for again in 1 2; do
  is "a KEK of somebody else, asked $again times" "$(scopekey subject create erin 2>&1)" \
    "scopekey: keeper vault: KEK $erin is there already"
done
openbao_cli write "keys/keys/$erin/config" deletion_allowed=true >/dev/null && openbao_cli delete "keys/keys/$erin" >/dev/null
holds "erin has a KEK when the name is free" scopekey subject create erin

# ---- an erasure that the keeper does not carry out is pending, whatever the keeper says, and is finished later ----
holds "frank has a file" scopekey encrypt --subject frank f -o frank.sk
frank=$(scopekey subject name frank)
pending="the erasure is pending (nothing of it opens any more; the next command or start goes on)"
erase_fails() { # NAME RULES STATUS WHY
  local out status=0
  fault_rules "$2"
  out=$(scopekey erase subject/frank --yes 2>&1) || status=$?
  is "$1: exit status" "$status" "$3"
  matches "$1: why" "$out" ".*tombstone [0-9]+ set
scopekey: ${pending//[()]/.}: keeper vault, $4"
  matches "$1: nothing opens" "$(scopekey decrypt frank.sk -o - 2>&1; echo $?)" \
    $'scopekey: the key of file [0-9a-f-]+ was erased: nobody can read it any more\n8'
  empty "$1: no receipt" "$(scopekey receipt show d/receipts/*.json 2>/dev/null | grep -F "$frank")"
}
erase_fails "a server that is sealed" '[{"path":"keys/keys/","method":"DELETE","do":"answer","status":503,
  "json":{"errors":["Vault is sealed"]}}]' 5 ".*: the server is sealed: unseal it"
erase_fails "a deletion that did not happen" '[{"path":"keys/keys/","method":"DELETE","do":"answer","status":204}]' 4 \
  ".*: it is there again after its deletion: .*"
erase_fails "nor did this one, and the key is hidden" '[{"path":"keys/keys/","method":"DELETE","do":"answer","status":204},
  {"path":"keys/keys/","method":"GET","do":"answer","status":404,"json":{"errors":[]}}]' 4 \
  ".*: a wrapped DEK is still answered for: .*"
erase_fails "a mount that is gone" '[{"path":"keys/keys/","method":"DELETE","do":"answer","status":404,"json":{"errors":[]}}]' 10 \
  ".*: the server knows no such path: .*"
fault_rules '[]'
scopekey doctor >doctor.out
is "doctor says so" "$? $(grep -c 'PROBLEM erasure: 1 erasures are not finished' doctor.out)" "9 1"
holds "it is gone on with" scopekey receipt refresh
is "and the key is gone" "$(openbao_cli list -format=json keys/keys | jq -r 'index("'"$frank"'")')" null
is "the receipt says so" "$(scopekey erase subject/frank --yes --json | jq -c '.receipt | [.status, .keks[0].verified[0].canary_refused,
  .keks[0].verified[0].key_is_gone]')" '["complete",true,true]'

# ---- a hundred commands at once ----
mkdir many
workers=()
for n in $(seq 100); do
  (
    echo "message $n" >"many/$n"
    case $((n % 4)) in
      0) scopekey key create "scopekey:subject/person$((n % 7))/key$n" --algorithm aes-256 ;;
      1) scopekey subject create "one$n" ;;
      *) scopekey encrypt --subject "person$((n % 7))" "many/$n" -o "many/$n.sk" ;;
    esac >"many/$n.out" 2>"many/$n.err" || echo "$n: $? $(cat "many/$n.err")" >"many/$n.failed"
  ) &
  workers+=($!)
done
wait "${workers[@]}"
empty "a hundred commands at once all do their work" "$(cat many/*.failed 2>/dev/null)"
opened=0
for sealed in many/*.sk; do
  [ "$(scopekey decrypt "$sealed" -o -)" != "$(cat "${sealed%.sk}")" ] || opened=$((opened + 1))
done
is "and all opens" "$opened" 50
is "each subject has one KEK" "$(scopekey subject list --json | jq -r 'select(.scope | test("/(person|one)")) | .scope' |
  sort | uniq -c | awk '{print $1}' | sort | uniq -c | tr -s ' ')" " 32 1"
is "and the server as many keys" "$(openbao_cli list -format=json keys/keys | jq length)" \
  "$((2 + $(scopekey subject list --json | wc -l)))"

tap_end
