#!/bin/bash
# SPDX-License-Identifier: MIT
# Where secrets must not be: everything that a set-up with keeper `vault` says, sends, logs and leaves in memory.
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
unset SCOPEKEY_CONF API_KEY LOG_LEVEL LOG_FORMAT HOST PORT

tmp=$(mktemp -d)
trap 'kill "${daemon:-}" 2>/dev/null; fault_proxy_stop_all; openbao_stop_all; rm -rf "$tmp"' EXIT
openbao_install
# shellcheck disable=SC2034,SC2154
openbao_config=$openbao_audit
openbao_durable "$tmp/durable"
openbao_mount keys
openbao_tokens keys "$tmp/tok"
fault_proxy "$tmp/proxy" "$openbao_url" --ca "$tmp/durable/ca.pem" --tls "$tmp/durable/srv.pem" "$tmp/durable/srv.key" \
  --bytes
mkdir "$tmp/home" && cd "$tmp/home" || exit 1
export SCOPEKEY_HOME=$tmp/home/d

needles() { python3 "$src/tests/lib/needles.py" "$@"; }
# needle LABEL TEXT: a secret to look for.
needle() { printf '%s\t%s\n' "$1" "$(printf %s "$2" | od -An -v -tx1 | tr -d ' \n')"; }

subject='mark-of-alice/Ünïq;id=7'
plain='plaintext-mark-that-nobody-else-writes'
pin=pin-$((RANDOM * 32768 + RANDOM + 100000000))
key=skk-mark-$(openssl rand -hex 24)
(umask 077 && echo "$pin" >pin.txt && echo "$key" >api.key)
printf %s "$plain" >f
{
  needle "data token" "$(cat "$tmp/tok/data.tok")"
  needle "admin token" "$(cat "$tmp/tok/admin.tok")"
  needle PIN "$pin"
  needle "API key" "$key"
  needle plaintext "$plain"
} >secrets
needle subject "$subject" >subjects
needle subject "${subject%%/*}" >>subjects
uri='subject/mark-of-alice%2F%C3%9Cn%C3%AFq%3Bid%3D7'

# ---- what the command line does, at its most verbose ----
# say ARGS...: both outputs are kept.
said() {
  scopekey -v "$@" >>out 2>>err || fail "scopekey $*" "$(tail -n 3 err)"
}
said init --pin-file pin.txt --keeper vault --vault-addr "$fault_url" --vault-mount keys --vault-token-file "$tmp/tok/data.tok" \
  --vault-admin-token-file "$tmp/tok/admin.tok" --vault-ca-file "$tmp/durable/ca.pem"
printf '\n[client default]\nscopes = %s\n' "$uri" >>d/scopekey.conf
said doctor
said key create "scopekey:$uri/tls" --algorithm ec-p256
said --json key create "scopekey:$uri/data" --algorithm aes-256
said encrypt --subject "$subject" f -o f.sk
said decrypt f.sk -o g
is "the file is the same" "$(cat g)" "$plain"
said info f.sk
said key rotate "scopekey:$uri/data"
said key list
openssl pkeyutl -sign -rawin -digest sha256 -provider scopekey -provider default -inkey "scopekey:$uri/tls" -in f -out s \
  >>out 2>>err || fail "openssl signs"

# ---- the daemon, at its most verbose, in both forms of its log ----
key_id=$(scopekey key show "scopekey:$uri/data" --json | jq -r .key_id)
(umask 077 && printf 'header = "X-API-Key: %s"\n' "$key" >curl.conf)
kms() {
  curl -sS --noproxy '*' -K curl.conf -H 'Content-Type: application/json' "http://127.0.0.1:$port/api/kms/$1" -d "$2"
}
for format in text json; do
  : >"daemon.$format"
  LOG_LEVEL=debug LOG_FORMAT=$format scopekeyd --port 0 --api-key-file api.key >>out 2>"daemon.$format" </dev/null &
  daemon=$!
  until port=$(sed -n 's/^scopekeyd: ready on .*:\([0-9]*\)$/\1/p' "daemon.$format") && [ -n "$port" ]; do
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.05
  done
  kms encrypt "{\"key_id\":\"$key_id\",\"plaintext\":\"$plain\"}" >sealed.json
  is "the daemon decrypts ($format)" "$(kms decrypt "$(jq -c '{key_id, ciphertext, nonce}' sealed.json)" | jq -r .plaintext)" "$plain"
  kms generate_key '' >/dev/null
  kms decrypt "{\"key_id\":\"$key_id\",\"ciphertext\":\"AAAA\",\"nonce\":\"AAAA\"}" >/dev/null
  is "it has no children ($format)" "$(cat "/proc/$daemon/task/"*/children)" ""
  is "it leaves no core ($format)" "$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$daemon/limits")" "0 0"
  tr '\0' '\n' <"/proc/$daemon/environ" >environ
  tr '\0' '\n' <"/proc/$daemon/cmdline" >cmdline
  kill "$daemon"
  wait "$daemon"
  is "it ends well ($format)" $? 0
  empty "nor secrets in its environment and command line ($format)" "$(needles find secrets environ cmdline)"
done

# ---- erasure, and what fails ----
said erase "$uri" --yes
for what in "encrypt --subject $subject f -o f2" "decrypt f.sk -o g2" "key show scopekey:$uri/tls"; do
  # shellcheck disable=SC2086
  scopekey -v $what >>out 2>>err && fail "scopekey $what succeeds"
done
fault_rules '[{"do":"answer","status":500,"json":{"errors":["no"]}}]'
scopekey -v doctor >>out 2>>err
scopekey -v subject create bob >>out 2>>err
fault_rules '[]'

# ---- the scan ----
needles deks "$tmp/proxy" >>secrets
holds "the scan knows the DEKs" [ "$(grep -c '^DEK' secrets)" -ge 4 ]
holds "the scan would find a token" grep -qF "data token (plain)" <(needles find secrets "$tmp/proxy/heads")
holds "the scan would find a DEK" grep -qF "(base64+" <(needles find secrets "$tmp/proxy/bodies")
empty "no secret in what the commands said" "$(needles find secrets out err)"
empty "no secret in the daemon's logs" "$(needles find secrets daemon.text daemon.json)"
empty "no subject in log lines of the commands" "$(grep -E ' vault\.| service\.|^\{"timestamp' err >err.log; needles find subjects err.log)"
empty "no subject in the daemon's logs" "$(needles find subjects daemon.text daemon.json)"
holds "there were log lines" [ "$(wc -l <err.log)" -ge 10 ]
empty "no subject in what was sent to the server" "$(needles find subjects "$tmp/proxy/heads" "$tmp/proxy/bodies")"
sed 's/^X-Vault-Token: .*//' "$tmp/proxy/heads" >heads
empty "no secret in addresses and headers but the token's own" "$(needles find secrets heads)"
grep -v '^DEK' secrets >no-deks
empty "no token, PIN or plaintext in bodies" "$(needles find no-deks "$tmp/proxy/bodies")"
holds "the server's audit log was written" grep -q '"path":"keys/encrypt/scopekey--k--' "$tmp/durable/audit.log"
empty "no secret in the server's audit log" "$(needles find secrets "$tmp/durable/audit.log")"
empty "no subject in the server's audit log" "$(needles find subjects "$tmp/durable/audit.log")"
empty "no subject in the server's storage" "$(find "$tmp/durable/data" -type f -print0 | xargs -0 -r cat >storage; needles find subjects storage)"
mapfile -d '' files < <(find d -type f ! -name '*.pin' ! -path '*/tokens/*' -print0)
empty "no DEK, token or plaintext in the set-up's files" "$(grep -v '^PIN' secrets >no-pin; needles find no-pin "${files[@]}")"
empty "no subject in them after the erasure" "$(sed -i '/^scopes = /d' d/scopekey.conf; needles find subjects "${files[@]}")"

# ---- memory ----
# The C library: what was sealed and opened, and its DEKs, once they are freed; and everything once it is closed.
coproc PAUSE { exec "$build/tests/vault/api_live" pause paula 2>"$tmp/pause.log"; }
# shellcheck disable=SC2153
pid=$PAUSE_PID
read -r -u "${PAUSE[0]}" line
is "library: sealed, opened and freed" "$line" freed
needles deks "$tmp/proxy" >"$tmp/freed"
printf 'plaintext\t%s\n' "$(for i in $(seq 200 -3 59); do printf %02x "$i"; done)" >>"$tmp/freed"
holds "library: its DEKs are known" [ "$(wc -l <"$tmp/freed")" -ge 20 ]
empty "library: neither plaintext nor a DEK in memory" "$(needles memory "$tmp/freed" "$pid")"
echo >&"${PAUSE[1]}"
read -r -u "${PAUSE[0]}" line
is "library: closed" "$line" closed
grep -v '^API key' secrets >"$tmp/closed"
empty "library: then no token and no PIN either" "$(needles memory "$tmp/closed" "$pid")"
echo >&"${PAUSE[1]}"
wait "$pid"
is "library: the process ends well" $? 0

cd "$build" || exit 1
export URL=$fault_url MOUNT=keys TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok CA_FILE=$tmp/durable/ca.pem
tests/vault/vault_live vault/.libs/keeper-http.so create memory >/dev/null
head -c 72 /dev/urandom >"$tmp/payload"
{
  printf 'payload\t%s\n' "$(head -c 72 "$tmp/payload" | od -An -v -tx1 | tr -d ' \n')"
  printf 'half of it\t%s\n' "$(tail -c 36 "$tmp/payload" | od -An -v -tx1 | tr -d ' \n')"
} >"$tmp/payloads"
needle "data token" "$(cat "$tmp/tok/data.tok")" >"$tmp/tokens"
# Over TLS, and without.
for way in https http; do
  [ $way = https ] || export URL=$openbao_http_url INSECURE_HTTP=1
  coproc PAUSE { exec tests/vault/vault_load vault/.libs/keeper-http.so pause memory "$tmp/payload" 2>"$tmp/pause.log"; }
  pid=$PAUSE_PID
  read -r -u "${PAUSE[0]}" line
  is "$way: wrapped, unwrapped and freed" "$line" freed
  empty "$way: the payload is nowhere in memory" "$(needles memory "$tmp/payloads" "$pid")"
  # The token is in use: once, in memory that is locked and no part of a core.
  # The credential's own thread may just be asking how long it lives: that request holds it too, while it lasts.
  for _ in $(seq 50); do
    needles memory "$tmp/tokens" "$pid" >"$tmp/places"
    [ "$(grep -c . "$tmp/places")" != 1 ] || break
    sleep 0.1
  done
  is "$way: the token is in one place" "$(grep -c . "$tmp/places")" 1
  span=$(sed -n 's/.* in \([0-9a-f]*-[0-9a-f]*\) .*/\1/p' "$tmp/places")
  matches "$way: which is locked and not dumped" "$(sed -n "/^$span /,/^VmFlags/p" "/proc/$pid/smaps" | sed -n 's/^VmFlags: //p')" \
    '.*\blo\b.*\bdd\b.*|.*\bdd\b.*\blo\b.*'
  echo >&"${PAUSE[1]}"
  read -r -u "${PAUSE[0]}" line
  is "$way: closed" "$line" closed
  empty "$way: then the token is gone too" "$(needles memory "$tmp/tokens" "$pid"; needles memory "$tmp/payloads" "$pid")"
  echo >&"${PAUSE[1]}"
  wait "$pid"
  is "$way: the process ends well" $? 0
done
tap_end
