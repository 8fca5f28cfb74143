# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The commands that must work as they stand, for either keeper.  To be sourced in the build folder by a script that
# then calls `commands KEEPER INIT-ARGUMENT...` in a fresh directory.

build=$PWD
export PATH=$build/cli:$PATH OPENSSL_MODULES=$build/.libs SCOPEKEY_PLUGINS=$build/vault/.libs
unset SCOPEKEY_CONF API_KEY LOG_LEVEL LOG_FORMAT HOST PORT "${!VAULT_@}" "${!BAO_@}" "${!KEY_VAULT_@}"
module=$build/.libs/scopekey-pkcs11.so
pin=$((RANDOM * 32768 + RANDOM + 100000000))
providers=(-provider scopekey -provider default)

# says NAME STATUS STDOUT STDERR COMMAND...: exit status, and all that is printed (the directory shown as DIR).
says() {
  local name=$1 status=$2 out=$3 err=$4 got_status=0 got_out got_err
  shift 4
  got_out=$("$@" 2>.stderr </dev/null) || got_status=$?
  got_out=${got_out//"$PWD"/DIR}
  got_err=$(<.stderr)
  got_err=${got_err//"$PWD"/DIR}
  if [ "$got_status" = "$status" ] && [[ $got_out =~ ^($out)$ ]] && [ "$got_err" = "$err" ]; then
    pass "$name"
  else
    fail "$name" "command: $*
exit status $got_status, expected $status
stdout: $got_out
expected (as a pattern): $out
stderr: $got_err
expected: $err"
  fi
}

# refuses NAME STATUS MESSAGE COMMAND...: nothing on standard output.
refuses() { says "$1" "$2" '' "scopekey: $3" "${@:4}"; }

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

kms() {
  curl -sS --noproxy '*' -K curl.conf -H 'Content-Type: application/json' "http://127.0.0.1:$port/api/kms/$1" -d "$2"
}

sign_with_openssl() {
  openssl pkeyutl -sign -rawin -digest sha256 "${providers[@]}" -inkey scopekey:subject/alice/tls -in f -out s
}

pkcs11() { pkcs11-tool --module "$module" --login --pin "$pin" "$@" 2>/dev/null; }

labels() { pkcs11 -O | sed -n 's/^  label: *//p' | sort | uniq -c | sed 's/^ *//'; }

make_setup() {
  local keeper=$1
  shift
  (umask 077 && printf '%s\n' "$pin" >pin.txt && printf 'a-key-of-the-client-default-%s' "$pin" >api.key)
  (umask 077 && printf 'header = "X-API-Key: %s"\n' "$(cat api.key)" >curl.conf)
  export SCOPEKEY_HOME=$PWD/d
  says "init makes a set-up" 0 '.*ready: DIR/d/scopekey\.conf' '' scopekey init --pin-file pin.txt "$@"
  is "the configuration names the keeper" "$(sed -n 's/^keeper = "\(.*\)"/\1/p' d/scopekey.conf)" "$keeper"
  empty "nobody else may look into the set-up" "$(find d/. -maxdepth 0 -perm /077)"
  refuses "a second init changes nothing" 2 \
    "there is a set-up in DIR/d already: choose another directory (SCOPEKEY_HOME)" scopekey init --pin-file pin.txt "$@"
  says "doctor finds nothing" 0 '(ok [^'$'\n'']+'$'\n'')+all well' '' scopekey doctor
}

make_keys() {
  local record
  scopekey key create scopekey:subject/alice/tls --algorithm ec-p256 --json >tls.json
  is "key create tells the exit status" $? 0
  record=$(jq -c '[.uri, .scope, .name, .algorithm, .usage, .protection, .residence, .origin, .enabled, .version,
    .current_version, .state, .expires, .messages]' tls.json)
  is "key create makes a P-256 key" "$record" \
    '["scopekey:subject/alice/tls","subject/alice","tls","ec-p256","sign","token","wrapped","generated",true,1,1,"active",null,0]'
  matches "it has a key id" "$(jq -r .key_id tls.json)" 'keypair-[0-9a-v]{26}'
  scopekey key create scopekey:subject/alice/data --algorithm aes-256 --json >data.json
  record=$(jq -c '[.uri, .algorithm, .usage, .public_key]' data.json)
  is "key create makes an AES key" "$record" '["scopekey:subject/alice/data","aes-256","gcm",null]'
  matches "it has a key id of a secret key" "$(jq -r .key_id data.json)" 'key-[0-9a-v]{26}'
  is "key list shows both, one JSON object a line" "$(scopekey key list --json | jq -cS . | sort)" \
    "$(jq -cS . tls.json data.json | sort)"
  is "key list of the scope shows the same" "$(scopekey key list subject/alice --json | sort)" \
    "$(scopekey key list --json | sort)"
  is "key show finds it by URI" "$(scopekey key show scopekey:subject/alice/tls --json)" "$(cat tls.json)"
  is "key show finds it by key id" "$(scopekey key show "$(jq -r .key_id tls.json)" --json)" "$(cat tls.json)"
  refuses "a name is taken once" 2 "key scopekey:subject/alice/tls is there already" \
    scopekey key create scopekey:subject/alice/tls --algorithm ec-p256
}

use_openssl() {
  echo 'something to sign' >f
  holds "openssl req makes a certificate" openssl req -x509 -new -subj /CN=alice -days 30 "${providers[@]}" \
    -key scopekey:subject/alice/tls -out c.pem
  is "openssl verify takes it" "$(openssl verify -CAfile c.pem c.pem)" "c.pem: OK"
  holds "openssl pkeyutl signs" sign_with_openssl
  holds "openssl pkey exports the public half" openssl pkey -pubout "${providers[@]}" -in scopekey:subject/alice/tls \
    -out pub.pem
  is "it is the public half that key show prints" "$(cat pub.pem)" "$(jq -r .public_key tls.json)"
  is "openssl dgst verifies" "$(openssl dgst -sha256 -verify pub.pem -signature s f)" "Verified OK"
}

use_pkcs11() {
  is "pkcs11-tool lists the keys" "$(labels)" $'1 subject/alice/data\n2 subject/alice/tls'
  holds "pkcs11-tool signs" pkcs11 --sign --mechanism ECDSA-SHA256 --label subject/alice/tls -i f -o s2 \
    --signature-format openssl
  is "openssl verifies that too" "$(openssl dgst -sha256 -verify pub.pem -signature s2 f)" "Verified OK"
}

use_files() {
  says "encrypt is quiet" 0 '' '' scopekey encrypt --subject alice f -o f.sk
  says "decrypt is quiet" 0 '' '' scopekey decrypt f.sk -o g
  holds "the file is the same" cmp f g
  is "the plaintext is private" "$(stat -c %a g)" 600
  is "info knows whose it is" "$(scopekey info f.sk --json | jq -c '[.owner, .state, .plain_size, .known, .erased]')" \
    '["subject/alice","active",18,true,false]'
  refuses "an output that exists is kept" 2 "f.sk exists: choose another name or use --force" \
    scopekey encrypt --subject alice f -o f.sk
  says "a pipe works as well" 0 'something to sign' '' bash -c 'scopekey encrypt -s alice - -o - <f | scopekey decrypt - -o -'
}

start_daemon() {
  local i
  printf '\n[client default]\nscopes = subject/alice\n' >>d/scopekey.conf
  port=$(free_port)
  scopekey serve --port "$port" --api-key-file api.key >serve.log 2>&1 </dev/null &
  daemon=$!
  for ((i = 0; i < 300; i++)); do
    curl -sf --noproxy '*' "http://127.0.0.1:$port/health" >/dev/null 2>&1 && break
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.1
  done
  holds "serve answers" curl -sf --noproxy '*' "http://127.0.0.1:$port/health"
}

use_daemon() {
  local key_id
  key_id=$(jq -r .key_id data.json)
  kms encrypt "{\"key_id\":\"$key_id\",\"plaintext\":\"Hello, World!\"}" >sealed.json
  is "curl encrypts under the key of alice" "$(jq -r .key_id sealed.json)" "$key_id"
  kms decrypt "$(jq -c '{key_id, ciphertext, nonce}' sealed.json)" >opened.json
  is "curl decrypts" "$(jq -r .plaintext opened.json)" "Hello, World!"
  is "without the API key nothing works" "$(curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' \
    "http://127.0.0.1:$port/api/kms/decrypt" -d '{}')" 401
}

# What erase prints besides the receipt depends on the keeper: $1.
erase_alice() {
  local keeper=$1 receipt said
  refuses "erase asks, and there is nobody to answer" 1 \
    "erase subject/alice: cannot be undone: confirm on a terminal, or give --yes" scopekey erase subject/alice
  said=$(scopekey erase subject/alice --yes)
  is "erase succeeds" $? 0
  matches "it says that the KEK is destroyed" "$(grep '^KEK ' <<<"$said")" \
    "KEK scopekey--k--[0-9a-v]{52} destroyed at keeper $keeper"
  matches "it counts what was removed" "$(grep 'removed' <<<"$said" | head -n 1)" \
    '2 keys and [0-9]+ file keys removed, free pages and log cleaned'
  receipt=$(sed -n 's/^receipt: //p' <<<"$said")
  is "the receipt is there" "$(dirname "$receipt")" "$PWD/d/receipts"
  holds "the receipt is signed" scopekey receipt verify "$receipt" --key d/receipt.pem
  if [ "$keeper" = vault ] || [ "$keeper" = azure ]; then
    is "the erasure is complete" "$(jq -r .status "$receipt")" complete
  else
    is "the erasure is scheduled" "$(jq -r .status "$receipt")" scheduled
  fi
  is "erasing again gives the same receipt" "$(scopekey erase subject/alice --yes --json | jq -cS .receipt)" \
    "$(jq -cS . "$receipt")"
  sed 's/"subject"/"client"/' "$receipt" >forged.json
  refuses "a receipt that was altered is refused" 3 "the signature does not verify" \
    scopekey receipt verify forged.json --key d/receipt.pem
}

all_is_refused() {
  local said
  refuses "key show" 8 "subject/alice was erased" scopekey key show scopekey:subject/alice/tls
  refuses "key list of the scope" 8 "subject/alice was erased" scopekey key list subject/alice
  says "key list of all" 0 '' '' scopekey key list --json
  refuses "key create" 8 "subject/alice was erased: \`scopekey subject create --again\` starts anew" \
    scopekey key create scopekey:subject/alice/new
  refuses "encrypt" 8 "subject/alice was erased: \`scopekey subject create --again\` starts anew" \
    scopekey encrypt --subject alice f -o f2.sk
  refuses "decrypt" 8 \
    "the key of file $(scopekey info f.sk --json | jq -r .file_id) was erased: nobody can read it any more" \
    scopekey decrypt f.sk -o h
  empty "nothing was left behind" "$(ls f2.sk h 2>/dev/null)"
  is "info says so" "$(scopekey info f.sk --json | jq -c '[.erased, .owner]')" '[true,null]'
  said=$(sign_with_openssl 2>&1)
  is "openssl pkeyutl fails" $? 1
  matches "openssl says why" "$(grep -o 'subject/alice was erased' <<<"$said" | head -n 1)" 'subject/alice was erased'
  is "curl says 410 and why" "$(kms decrypt "$(jq -c '{key_id, ciphertext, nonce}' sealed.json)" |
    jq -c '[.status_code, .code]')" '[410,"subject_erased"]'
  empty "PKCS#11 lists nothing" "$(labels)"
  says "doctor finds nothing" 0 '(ok [^'$'\n'']+'$'\n'')+all well' '' scopekey doctor
}

comes_back() {
  says "alice comes back as generation 2" 0 '.*"generation":2,.*' '' scopekey subject create alice --again --json
  refuses "her old file stays erased" 8 \
    "the key of file $(scopekey info f.sk --json | jq -r .file_id) was erased: nobody can read it any more" \
    scopekey decrypt f.sk -o h
  refuses "her old key is not hers any more" 4 \
    "there is no key scopekey:subject/alice/tls: see \`scopekey key list\`" scopekey key show subject/alice/tls
  refuses "its key id stays erased" 8 "key $(jq -r .key_id tls.json) was erased" \
    scopekey key show "$(jq -r .key_id tls.json)"
  scopekey key create scopekey:subject/alice/tls --algorithm ec-p256 --json >tls2.json
  is "the name gets a new key" $? 0
  is "it is another key" "$(jq -s 'map(.public_key) | unique | length' tls.json tls2.json)" 2
}

# commands KEEPER INIT-ARGUMENT...
commands() {
  local keeper=$1
  make_setup "$@"
  make_keys
  use_openssl
  use_pkcs11
  use_files
  start_daemon
  use_daemon
  erase_alice "$keeper"
  all_is_refused
  comes_back
  kill "$daemon"
  wait "$daemon"
  is "serve ends well at SIGTERM" $? 0
}
