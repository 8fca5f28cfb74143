#!/bin/bash
# SPDX-License-Identifier: MIT
# Keeper `vault` over a network and a server that misbehave: each fault has its code and its message, a fault that
# passes is repeated, one that does not is not, and no plaintext but the right one is ever given out.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
# shellcheck source=tests/lib/fault_proxy.sh
. "$src/tests/lib/fault_proxy.sh"

tmp=$(mktemp -d)
trap 'fault_proxy_stop_all; openbao_stop_all; rm -rf "$tmp"' EXIT
unset URL MOUNT KEK_MOUNT NAMESPACE TOKEN_FILE ADMIN_TOKEN_FILE CA_FILE INSECURE_HTTP INSECURE_SKIP_VERIFY LOG
export INSECURE_HTTP=1 MAX_RETRIES=1 RETRY_BACKOFF_MS=1 MOUNT=scopekey
openbao_install
live() { tests/vault/vault_live vault/.libs/keeper-http.so "$@" 2>>"$tmp/log"; }

openbao_dev "$tmp/dev"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok URL=$openbao_url
for name in sk--alice sk--bob; do live create $name >/dev/null; done
fault_proxy "$tmp/proxy" "$openbao_url" --bytes
URL=$fault_url
at="at $URL: "
blob=$(live wrap sk--alice | cut -d' ' -f2)
bobs=$(live wrap sk--bob | cut -d' ' -f2)
is "through the proxy all is well" "$(live unwrap sk--alice 1 "$blob") $(live unwrap sk--bob 1 "$bobs")" "same same"
is "the proxy counts" "$(fault_requests) $(fault_requests '^POST .*/encrypt/sk--bob$') $(fault_connections)" "4 1 4"

# fault NAME REQUESTS WRAP-RESULT UNWRAP-RESULT RULE: both operations under a fault of every answer to them; the results
# are patterns, "keeper vault, <operation> of KEK sk--alice" in them is written @.  A wrap that goes well is `wrapped`.
fault() {
  local name=$1 requests=$2 wrap=$3 unwrap=$4 rule=$5 out
  fault_rules "[${rule/#{/{\"path\":\"crypt/sk--alice\",}]"
  out=$(live wrap sk--alice)
  if [[ $out =~ ^1\ vault:v1:[A-Za-z0-9+/=]+$ ]]; then
    # What was stored must open again.
    fault_rules '[]'
    [ "$(live unwrap sk--alice 1 "${out#* }")" != same ] || out=wrapped
    fault_rules "[${rule/#{/{\"path\":\"crypt/sk--alice\",}]"
    is "wrap, $name" "$out" "$wrap"
  else
    matches "wrap, $name" "$out" "${wrap//@/keeper vault, wrap of KEK sk--alice}"
    is "wrap, $name: requests" "$(fault_requests)" "$requests"
    fault_rules "[${rule/#{/{\"path\":\"crypt/sk--alice\",}]"
  fi
  matches "unwrap, $name" "$(live unwrap sk--alice 1 "$blob")" "${unwrap//@/keeper vault, unwrap of KEK sk--alice}"
  [ "$unwrap" = same ] || is "unwrap, $name: requests" "$(fault_requests)" "$requests"
}
# both NAME REQUESTS RESULT RULE: the same for both operations.
both() { fault "$1" "$2" "$3" "$3" "$4"; }
# lie NAME WRAP-RESULT UNWRAP-RESULT RULE: never asked again.
lie() { fault "$1" 1 "$2" "$3" "$4"; }

# ---- the network ----
words='\([^()]+(\([^()]*\))?\)'
broken="connectivity: @ ${at}the connection broke: try again later $words; 2 attempts"
both "reset before the request" 2 "$broken" '{"do":"reset"}'
both "closed before the answer" 2 "$broken" '{"do":"close"}'
both "reset after the server's answer" 2 "$broken" '{"do":"reset_after"}'
both "half of the headers" 2 "$broken" '{"do":"half","head":true}'
both "half of the headers and a reset" 2 "$broken" '{"do":"half","head":true,"reset":true}'
both "half of the body" 2 "$broken" '{"do":"half"}'
both "half of the body and a reset" 2 "$broken" '{"do":"half","reset":true}'
both "Content-Length too large" 2 "$broken" '{"do":"length","by":1}'
both "chunks without an end" 2 "$broken" '{"do":"chunked","kind":"unfinished"}'
both "chunks without a number" 2 "$broken" '{"do":"chunked","kind":"no_number"}'
both "a chunk of 2^64 bytes" 2 "$broken" '{"do":"chunked","kind":"huge"}'
both "a chunk of -1 bytes" 2 "$broken" '{"do":"chunked","kind":"negative"}'
slow="connectivity: @ ${at}the server did not answer in time: try again later; 2 attempts"
export REQUEST_TIMEOUT_MS=150
both "no answer" 2 "$slow" '{"do":"hang"}'
both "a slow body" 2 "$slow" '{"do":"trickle","step":8,"ms":20}'
unset REQUEST_TIMEOUT_MS
fault "chunks of a byte" 1 wrapped same '{"do":"chunked","kind":"bytes"}'
fault "chunks with extensions" 1 wrapped same '{"do":"chunked","kind":"extension"}'
fault "chunks with a trailer" 1 wrapped same '{"do":"chunked","kind":"trailer"}'
fault "delay" 1 wrapped same '{"do":"delay","ms":20}'
fault "a slow body within its time" 1 wrapped same '{"do":"trickle","step":64,"ms":5}'
fault "100 Continue first" 1 wrapped same '{"do":"continue","count":3}'
for what in reset close reset_after half; do
  fault "$what once" 2 wrapped same "{\"do\":\"$what\",\"times\":1}"
done
no_http="the request cannot be made: check ca_file and url"
both "no HTTP" 1 "configuration: @ $at$no_http $words" '{"do":"raw","text":"SSH-2.0-OpenSSH_9.2\r\n"}'
both "HTTP/0.9" 1 "configuration: @ $at$no_http $words" '{"do":"raw","text":"{\"data\":{}}"}'
both "Content-Length that is less and no number" 1 "configuration: @: the answer lacks .*" '{"do":"length","says":"12x"}'
both "Content-Length of -1" 2 "$broken" '{"do":"length","says":"-1"}'

# ---- statuses ----
quota="connectivity: @ ${at}the server's rate limit is reached: try again later, or raise the quota; 2 attempts"
both "429 without Retry-After" 2 "$quota" '{"do":"answer","status":429,"json":{"errors":["rate limit quota exceeded"]}}'
both "429, Retry-After: 0" 2 "$quota" '{"do":"answer","status":429,"headers":{"Retry-After":"0"}}'
both "429, Retry-After of an hour" 1 "${quota/; 2 attempts/}" '{"do":"answer","status":429,"headers":{"Retry-After":"3600"}}'
both "429, Retry-After of a date gone by" 2 "$quota" \
  '{"do":"answer","status":429,"headers":{"Retry-After":"Sun, 06 Nov 1994 08:49:37 GMT"}}'
both "429, Retry-After of a date to come" 1 "${quota/; 2 attempts/}" \
  '{"do":"answer","status":429,"headers":{"Retry-After":"Sun, 06 Nov 2094 08:49:37 GMT"}}'
both "429, Retry-After that is nonsense" 2 "$quota" '{"do":"answer","status":429,"headers":{"Retry-After":"soon"}}'
fault "429 once" 2 wrapped same '{"do":"answer","status":429,"times":1,"headers":{"Retry-After":"0"}}'
failed="connectivity: @ ${at}the server failed: see its log"
both "500" 2 "$failed; 2 attempts" '{"do":"answer","status":500}'
both "500 with its reason" 2 "$failed \\(disk on fire\\); 2 attempts" '{"do":"answer","status":500,"json":{"errors":["disk on fire"]}}'
both "500 with HTML" 2 "$failed; 2 attempts" '{"do":"answer","status":500,"text":"<html>oh</html>"}'
both "500 that is for ever" 1 "configuration: @ ${at}the server cannot do this \\(illegal base64 data\\)" \
  '{"do":"answer","status":500,"json":{"errors":["illegal base64 data"]}}'
for status in 502 503 504; do
  both "$status" 2 "connectivity: @ ${at}the server is not available: try again later; 2 attempts" "{\"do\":\"answer\",\"status\":$status}"
done
both "sealed" 1 "connectivity: @ ${at}the server is sealed: unseal it" \
  '{"do":"answer","status":503,"json":{"errors":["Vault is sealed"]}}'
both "501" 1 "configuration: @ ${at}the server does not implement it: is url a Vault or OpenBao\\?" '{"do":"answer","status":501}'
fault "500 once" 2 wrapped same '{"do":"answer","status":500,"times":1}'
fault "503 once" 2 wrapped same '{"do":"answer","status":503,"times":1,"text":"<html>"}'
fault "412 once" 2 wrapped same '{"do":"answer","status":412,"times":1}'
moved="configuration: @ ${at}the server redirects elsewhere, which is never followed: set url to the active node, or nodes to all of them"
for status in 301 302 307 308; do
  both "$status to another key" 1 "$moved" \
    "{\"do\":\"answer\",\"status\":$status,\"headers\":{\"Location\":\"/v1/scopekey/decrypt/sk--bob\"}}"
done
both "404" 1 "configuration: @ ${at}the server knows no such path: is the mount a transit engine\\?" '{"do":"answer","status":404,"json":{"errors":[]}}'
both "a status of 999" 1 "configuration: @ ${at}the answer is no HTTP that Vault or OpenBao sends: correct url" '{"do":"answer","status":999}'

# ---- bodies that are no answer ----
no_blob='configuration: @: the answer lacks a ciphertext and its key_version: is url a Vault or OpenBao, and mount a transit engine\?'
no_text='configuration: @: the answer lacks a plaintext: is url a Vault or OpenBao, and mount a transit engine\?'
no_payload='decryption_failed: @: what came out is no payload of Scopekey'
lie "an empty body" "$no_blob" "$no_text" '{"do":"answer","status":200}'
lie "204" "$no_blob" "$no_text" '{"do":"answer","status":204}'
lie "HTML" "$no_blob" "$no_text" '{"do":"answer","text":"<html><body>Welcome</body></html>"}'
lie "null" "$no_blob" "$no_text" '{"do":"answer","json":null}'
lie "an array" "$no_blob" "$no_text" '{"do":"answer","json":[]}'
lie "data is null" "$no_blob" "$no_text" '{"do":"edit","set":{"data":null}}'
lie "data is a list" "$no_blob" "$no_text" '{"do":"edit","set":{"data":[]}}'
lie "no data" "$no_blob" "$no_text" '{"do":"edit","drop":["data"]}'
lie "errors beside data" wrapped same '{"do":"edit","set":{"errors":["nothing wrong"]}}'
lie "cut JSON" "$no_blob" "$no_text" '{"do":"edit","sub":["\\}\\s*$",""]}'
lie "text behind the JSON" "$no_blob" "$no_text" '{"do":"edit","sub":["\\}\\s*$","}}"]}'
lie "NUL in the JSON" "$no_blob" "$no_text" '{"do":"edit","sub":["^\\{","{\u0000"]}'
lie "nested 100000 deep" "$no_blob" "$no_text" '{"do":"answer","nesting":100000}'
lie "over a mebibyte" 'configuration: @ '"$at"'the answer is over 1 MiB: is url a Vault or OpenBao\?' \
  'configuration: @ '"$at"'the answer is over 1 MiB: is url a Vault or OpenBao\?' '{"do":"answer","size":3000000}'
lie "a huge number" wrapped same '{"do":"edit","set":{"lease_duration":1e308}}'
lie "a huge number of digits" wrapped same '{"do":"edit","sub":["\"lease_duration\":0","\"lease_duration\":99999999999999999999999999999999999999"]}'
lie "too many bytes behind Content-Length" wrapped same '{"do":"length","by":0}'
both "Content-Length too small" 1 "configuration: @: the answer lacks .*" '{"do":"length","by":-4}'

# ---- lies about the ciphertext ----
text=$(openbao_cli write -field=ciphertext scopekey/encrypt/sk--alice plaintext="$(printf 'x%.0s' {1..72} | base64 -w0)")
wrap_lie() {
  fault_rules "[{\"path\":\"encrypt/sk--alice\",$2}]"
  matches "a wrap answered with $1" "$(live wrap sk--alice)" "${no_blob/@/keeper vault, wrap of KEK sk--alice}"
  is "a wrap answered with $1: requests" "$(fault_requests)" 1
}
for value in null true 1 '[]' '{}' '""' '"vault:v1:"' '"vault:v1"' '"vault:v0:AAAA"' '"vault:v01:AAAA"' '"vault:v-1:AAAA"' \
  '"vault:v4294967296:AAAA"' '"vault:v1:AA AA"' '"vault:v1:AAAA\n"' '"vault:v1:AAAA"' '"xault:v1:AAAA"'; do
  wrap_lie "ciphertext $value" "\"do\":\"edit\",\"set\":{\"data.ciphertext\":$value}"
done
for value in null '"1"' 0 2 -1 1.0 1e0 true '[]' 18446744073709551617; do
  wrap_lie "key_version $value" "\"do\":\"edit\",\"sub\":[\"\\\"key_version\\\":1\",\"\\\"key_version\\\":${value//\"/\\\"}\"]"
done
wrap_lie "no key_version" '"do":"edit","drop":["data.key_version"]'
wrap_lie "no ciphertext" '"do":"edit","drop":["data.ciphertext"]'
wrap_lie "two ciphertexts" '"do":"edit","sub":["(\"ciphertext\":\"[^\"]*\")","\\1,\\1"]'
wrap_lie "a ciphertext with an escape" '"do":"edit","sub":["(\"ciphertext\":\"vault:v1:)A?","\\1\\\\u0041"]'
wrap_lie "a ciphertext cut by a digit" '"do":"edit","sub":["(\"ciphertext\":\"vault:v1:).","\\1"]'
wrap_lie "a ciphertext with another block" '"do":"edit","sub":["(\"ciphertext\":\"vault:v1:)","\\1AAAA"]'
wrap_lie "two data" '"do":"edit","sub":["^(\\{)","\\1\"data\":{},"]'
wrap_lie "a ciphertext of 1 MB" "\"do\":\"edit\",\"set\":{\"data.ciphertext\":\"vault:v1:$(printf 'AAAA%.0s' {1..20000})\"}"

# ---- lies about the plaintext ----
unwrap_lie() {
  fault_rules "[{\"path\":\"decrypt/sk--alice\",$3}]"
  matches "an unwrap answered with $1" "$(live unwrap sk--alice 1 "$blob")" "${2//@/keeper vault, unwrap of KEK sk--alice}"
  is "an unwrap answered with $1: requests" "$(fault_requests)" 1
}
for value in null true 1 '[]' '{}'; do
  unwrap_lie "plaintext $value" "$no_text" "\"do\":\"edit\",\"set\":{\"data.plaintext\":$value}"
done
short=$(printf 'A%.0s' {1..92}) whole=${short}AAAA
for value in '' AAAA "$short" "$short===" "${short}AA==" "${short}AAA=" "${short}AA A" "${short}AA-_" "${short}AA\n" \
  "${whole}AAAA" "=$short==="; do
  unwrap_lie "plaintext of ${#value} characters, ...${value: -6}" "$no_payload" "\"do\":\"edit\",\"set\":{\"data.plaintext\":\"$value\"}"
done
unwrap_lie "a plaintext with an escape" "$no_payload" '"do":"edit","sub":["(\"plaintext\":\").","\\1\\\\u0041"]'
unwrap_lie "two plaintexts" "$no_text" '"do":"edit","sub":["(\"plaintext\":\"[^\"]*\")","\\1,\\1"]'
unwrap_lie "no plaintext" "$no_text" '"do":"edit","drop":["data.plaintext"]'
unwrap_lie "an error beside the plaintext" same '"do":"edit","set":{"errors":["x"]}'

# ---- the answer to another request ----
fault_rules '[{"path":"decrypt/sk--bob","do":"pass","keep":"bob"}]'
live unwrap sk--bob 1 "$bobs" >/dev/null
fault_rules '[{"path":"encrypt/sk--bob","do":"pass","keep":"bobs blob"}]'
live wrap sk--bob >/dev/null
fault_rules '[{"path":"encrypt/sk--alice","do":"replay","of":"bobs blob"}]'
foreign=$(live wrap sk--alice)
fault_rules '[]'
is "a wrap answered with another key's ciphertext does not open" "$(live unwrap sk--alice 1 "${foreign#* }")" \
  "decryption_failed: keeper vault, unwrap of KEK sk--alice ${at}the wrapped DEK was altered or is not of this KEK"
is "a text that is no payload comes out as it is, and is no DEK" "$(live unwrap sk--alice 1 "$text")" DIFFERENT

# ---- KEKs are made whole or not at all ----
fault_rules '[{"path":"keys/sk--carol$","method":"POST","do":"reset_after","times":1}]'
is "create whose answer is lost is completed" "$(live create sk--carol)" "created version 1 at scopekey"
fault_rules '[{"path":"config$","do":"reset_after","times":1}]'
is "so is the permission to delete" "$(live create sk--dave)" "created version 1 at scopekey"
is "it is set" "$(openbao_cli read -field=deletion_allowed scopekey/keys/sk--dave)" true
fault_rules '[{"path":"config$","do":"edit","set":{"data.deletion_allowed":false}}]'
is "one that the server denies is no KEK" "$(live create sk--erin)" \
  "configuration: keeper vault, config of KEK sk--erin: the answer lacks deletion_allowed = true: is url a Vault or OpenBao, and mount a transit engine?"
for lie in '"data.exportable":true' '"data.allow_plaintext_backup":true'; do
  fault_rules "[{\"path\":\"keys/sk--faye\$\",\"method\":\"GET\",\"skip\":1,\"do\":\"edit\",\"set\":{$lie}}]"
  is "create of a key that can be taken out, $lie" "$(live create sk--faye)" \
    "wrong_state: keeper vault: KEK sk--faye can be exported or backed up in clear: erase its owner"
  openbao_cli write scopekey/keys/sk--faye/config deletion_allowed=true >/dev/null
  openbao_cli delete scopekey/keys/sk--faye >/dev/null
done

# ---- erasure believes little ----
fault_rules '[{"path":"keys/sk--bob$","method":"DELETE","do":"answer","status":204}]'
matches "a delete that did not happen is found out" "$(live erase sk--bob 1 "$bobs")" \
  "[a-z_]+: keeper vault.*KEK sk--bob.*"
fault_rules '[{"path":"keys/sk--bob$","method":"DELETE","do":"answer","status":204},
  {"path":"keys/sk--bob$","method":"GET","do":"answer","status":404,"json":{"errors":[]}}]'
matches "so is one whose read lies: the canary still opens" "$(live erase sk--bob 1 "$bobs")" \
  ".*[a-z_]+: keeper vault.*KEK sk--bob.*"
fault_rules '[{"path":"keys/sk--bob$","method":"DELETE","do":"answer","status":404,"json":{"errors":[]}}]'
matches "a 404 to the delete is no erasure" "$(live erase sk--bob 1 "$bobs")" "configuration: keeper vault, delete of KEK sk--bob .*"
fault_rules '[{"path":"decrypt/sk--bob$","do":"answer","status":404,"json":{"errors":[]}}]'
matches "nor is a 404 to the canary" "$(live erase sk--bob 1 "$bobs" | tail -n 1)" "configuration: keeper vault, unwrap of KEK sk--bob .*"
fault_rules '[]'
is "asked again, all is erased" "$(live erase sk--bob 1 "$bobs" | tail -n 1)" "immediate gone=1 canary_refused=1 node=$URL"

# ---- what the proxy saw ----
empty "the token is in one header and nowhere else" "$(cat "$tmp/proxy/heads" "$tmp/proxy/bodies" |
  grep -aF -e "$(cat "$TOKEN_FILE")" -e "$(cat "$ADMIN_TOKEN_FILE")" | grep -av '^X-Vault-Token: ')"
empty "nothing of it is in the log" "$(grep -F -e "$(cat "$TOKEN_FILE")" -e "$(cat "$ADMIN_TOKEN_FILE")" "$tmp/log")"
empty "the proxy itself did not fail" "$(cat "$tmp/proxy/log")"
tap_end
