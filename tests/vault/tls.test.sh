#!/bin/bash
# SPDX-License-Identifier: MIT
# Keeper `vault` and servers that are not to be trusted: each has its message, and none is asked twice.
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
export MAX_RETRIES=3 RETRY_BACKOFF_MS=1 MOUNT=scopekey
openbao_install
live() { tests/vault/vault_live vault/.libs/keeper-http.so "$@" 2>>"$tmp/log"; }
openbao_dev "$tmp/dev"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
export TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok CA_FILE=$tmp/ca/ca.pem
URL=$openbao_url INSECURE_HTTP=1 live create sk--alice >/dev/null
mkdir "$tmp/ca" "$tmp/other"
openbao_certificates "$tmp/ca"
openbao_certificates "$tmp/other"

# certificate NAME SUBJECT-ALTERNATIVE-NAME OPTION...: of the good CA.
certificate() {
  openssl x509 -req -in "$tmp/ca/srv.csr" -CA "$tmp/ca/ca.pem" -CAkey "$tmp/ca/ca.key" -CAcreateserial \
    -out "$tmp/ca/$1.pem" -extfile <(echo "subjectAltName=$2") "${@:3}" >"$tmp/openssl.log" 2>&1
}
certificate name DNS:vault.example -days 30
certificate address IP:192.0.2.1 -days 30
# Only OpenSSL 3.4 and newer take both dates, and those before take a negative number of days.
certificate expired IP:127.0.0.1 -days -1 ||
  certificate expired IP:127.0.0.1 -not_before 20200101000000Z -not_after 20200201000000Z
openssl req -x509 -key "$tmp/ca/srv.key" -out "$tmp/ca/self.pem" -days 30 -subj /CN=self -addext subjectAltName=IP:127.0.0.1

# server CERTIFICATE KEY [OPTION...]: a proxy that shows this certificate.
number=0
server() {
  number=$((number + 1))
  fault_proxy "$tmp/proxy.$number" "$openbao_url" --tls "$1" "$2" "${@:3}"
  export URL=$fault_url
}

# refused NAME MESSAGE: a wrap and an unwrap are refused after one connection each, without a request.
untrusted="the server's certificate is refused: set ca_file to the CA that signed it, and url to a name in it"
refused() {
  fault_rules '[]'
  matches "wrap: $1" "$(live wrap sk--alice)" "configuration: keeper vault, wrap of KEK sk--alice at $URL: $2"
  is "wrap: $1: one connection, no request" "$(fault_connections) $(fault_requests)" "1 0"
  fault_rules '[]'
  matches "unwrap: $1" "$(live unwrap sk--alice 1 vault:v1:AAAA)" "configuration: keeper vault, unwrap of KEK sk--alice at $URL: $2"
  is "unwrap: $1: one connection, no request" "$(fault_connections) $(fault_requests)" "1 0"
}

server "$tmp/ca/srv.pem" "$tmp/ca/srv.key"
matches "a good certificate" "$(live wrap sk--alice)" '1 vault:v1:.*'
server "$tmp/other/srv.pem" "$tmp/other/srv.key"
refused "a foreign CA" "$untrusted \\(SSL certificate problem: unable to get local issuer certificate\\)"
server "$tmp/ca/self.pem" "$tmp/ca/srv.key"
refused "a self-signed certificate" "$untrusted \\(SSL certificate problem: self-signed certificate\\)"
server "$tmp/ca/expired.pem" "$tmp/ca/srv.key"
refused "an expired certificate" "$untrusted \\(SSL certificate problem: certificate has expired\\)"
server "$tmp/ca/name.pem" "$tmp/ca/srv.key"
refused "a certificate of another name" \
  "$untrusted \\(SSL: no alternative certificate subject name matches target (host ?name|ipv4 address) '127.0.0.1'\\)"
server "$tmp/ca/address.pem" "$tmp/ca/srv.key"
refused "a certificate of another address" \
  "$untrusted \\(SSL: no alternative certificate subject name matches target (host ?name|ipv4 address) '127.0.0.1'\\)"
server "$tmp/ca/srv.pem" "$tmp/ca/srv.key" --tls-1.1
no_tls="no connection by TLS 1\\.2 or newer can be made: is url right, and what does the server ask for\\?"
refused "TLS 1.1 alone" "$no_tls \\([^()]*protocol version\\)"
URL=${openbao_url/http:/https:}
matches "a port without TLS" "$(live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice at $URL: $no_tls \\([^()]*(wrong version number|packet length too long|record layer failure)\\)"
server "$tmp/ca/srv.pem" "$tmp/ca/srv.key" --client-ca "$tmp/ca/ca.pem"
matches "a server that asks for our certificate" "$(live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice at $URL: $no_tls \\([^()]*(certificate required|bad certificate|handshake failure)[^()]*\\)"
is "a server that asks for our certificate: one connection, no request" "$(fault_connections) $(fault_requests)" "1 0"

# A handshake that breaks may go well the next time.
server "$tmp/ca/srv.pem" "$tmp/ca/srv.key" --break-handshakes 2
matches "a handshake that breaks off is repeated" "$(live wrap sk--alice)" '1 vault:v1:.*'
is "after three connections" "$(fault_connections) $(fault_requests)" "3 1"

# Not even a hint of a redirect takes a request elsewhere, nor to http://.
server "$tmp/ca/srv.pem" "$tmp/ca/srv.key"
fault_rules "[{\"path\":\"crypt\",\"do\":\"answer\",\"status\":307,\"headers\":{\"Location\":\"$openbao_url/v1/scopekey/encrypt/sk--alice\"}}]"
is "a redirect to http:// is not followed" "$(live wrap sk--alice)" \
  "configuration: keeper vault, wrap of KEK sk--alice at $URL: the server redirects elsewhere, which is never followed: set url to the active node, or nodes to all of them"
is "a redirect to http://: one request" "$(fault_requests)" 1
is "verification ends only when told so" "$(fault_rules '[]'; unset CA_FILE
  INSECURE_SKIP_VERIFY=1 live wrap sk--alice | cut -c1-10)" "1 vault:v1"
empty "no token was sent to a server that was refused" "$(cat "$tmp"/proxy.[2-8]/record | grep -v '"connection"')"
tap_end
