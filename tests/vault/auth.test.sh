#!/bin/bash
# SPDX-License-Identifier: MIT
# Ways to a token of keeper `vault`, against a real OpenBao that writes an audit log: each method logs in, wraps and
# revokes; tokens end, are revoked and refused under load; what is wrong is told and never tried again in a loop.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"

tmp=$(mktemp -d)
trap 'openbao_stop_all; rm -rf "$tmp"' EXIT
while IFS= read -r name; do unset "$name"; done < <(compgen -e | grep -E '^(ADMIN_)?(AUTH|TOKEN|ROLE|SECRET|JWT|CLIENT|VAULT|BAO)_?')
unset URL MOUNT KEK_MOUNT NAMESPACE CA_FILE INSECURE_HTTP INSECURE_SKIP_VERIFY MAX_RETRIES DEADLINE_MS LOG CREDENTIALS_DIRECTORY
openbao_install
# shellcheck disable=SC2034,SC2154
openbao_config=$openbao_audit
openbao_durable "$tmp/bao"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
data=sk-data-scopekey admin=sk-admin-scopekey
openbao_approle sk "$data" "$tmp/role" token_ttl=1h
openbao_approle sk-admin "$admin" "$tmp/role-admin"
openbao_client_ca "$tmp/clients"
openbao_client_cert "$tmp/clients" web 30
openbao_client_cert "$tmp/clients" expired 0
openbao_client_cert "$tmp/clients" operator 30
openbao_client_ca "$tmp/foreign"
openbao_client_cert "$tmp/foreign" web 30
openbao_cert_role web "$data" "$tmp/clients/ca.pem" allowed_common_names=web,expired
openbao_cert_role operator "$admin" "$tmp/clients/ca.pem" allowed_common_names=operator
openbao_jwt_key "$tmp"
openbao_jwt_role app "$data" "$tmp" worker
openbao_kubernetes_role pod "$data" "$tmp" builder
export URL=$openbao_url MOUNT=scopekey CA_FILE=$tmp/bao/ca.pem MAX_RETRIES=0

# shellcheck disable=SC2317
live() { tests/vault/vault_live vault/.libs/keeper-http.so "$@" 2>>"$tmp/log"; }
# with NAME=VALUE... -- COMMAND: in an environment of its own.
with() { (while [ "$1" != -- ]; do export "${1?}"; shift; done; shift; "$@"); }
wraps() { matches "$1" "$(with "${@:2}" -- live wrap sk--a)" '1 vault:v1:[A-Za-z0-9+/=]+'; }
# between NAME NUMBER LEAST MOST
between() { if [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then pass "$1"; else fail "$1" "$2"; fi; }
at() { echo "keeper vault, $1 at $URL: "; }
is "the admin token makes the KEK" "$(with ADMIN_TOKEN_FILE="$tmp/tok/admin.tok" -- live create sk--a)" "created version 1 at scopekey"

nologin="$(at login)the login is refused, or there is none: check the role, what proves it, auth_mount and auth_namespace"
# ---- tokens that are given ----
token=$(cat "$tmp/tok/data.tok")
wraps "a token in a file" TOKEN_FILE="$tmp/tok/data.tok"
matches "a token in a descriptor" "$(with TOKEN_FD=7 -- live wrap sk--a 7<"$tmp/tok/data.tok")" '1 vault:.*'
wraps "a token in a systemd credential" CREDENTIALS_DIRECTORY="$tmp/tok" TOKEN_CREDENTIAL=data.tok
: >"$tmp/log"
wraps "a token in the environment" TOKEN_ENV=SOME_TOKEN SOME_TOKEN="$token" LOG=1
is "which is warned of" "$(grep -c 'warning vault.auth: the data token comes from the environment variable SOME_TOKEN' "$tmp/log")" 1
wraps "an agent's sink" AUTH=agent TOKEN_FILE="$tmp/tok/data.tok"
is "none of them is revoked" "$(openbao_count auth/token/revoke-self)" 0
is "a variable that is not set" "$(with TOKEN_ENV=SOME_TOKEN -- live wrap sk--a)" \
  "configuration: keeper vault: the environment variable SOME_TOKEN with the data token is not set"
is "a descriptor that is not open" "$(with TOKEN_FD=9 -- live wrap sk--a)" \
  "io: keeper vault: cannot read the data token: Bad file descriptor"

# ---- logins ----
# one_login NAME METHOD SETTINGS...: one login, and its token is revoked at the close.
one_login() {
  local name=$1 method=$2 before after
  before=$(openbao_count "auth/$method/login")/$(openbao_count auth/token/revoke-self)
  wraps "$name" AUTH="$method" "${@:3}"
  after=$(openbao_count "auth/$method/login")/$(openbao_count auth/token/revoke-self)
  is "$name: one login, one revocation" "$after" "$((${before%/*} + 1))/$((${before#*/} + 1))"
}
role=(ROLE_ID="$(cat "$tmp/role/role_id")" SECRET_ID_FILE="$tmp/role/secret_id")
one_login "AppRole" approle "${role[@]}"
one_login "AppRole with its role id in a file" approle ROLE_ID_FILE="$tmp/role/role_id" SECRET_ID_FILE="$tmp/role/secret_id"
(umask 077 && openbao_jwt "$tmp" worker 300 >"$tmp/worker.jwt")
one_login "JWT" jwt AUTH_ROLE=app JWT_FILE="$tmp/worker.jwt"
chmod 644 "$tmp/worker.jwt"
one_login "JWT in a file that others may read" jwt AUTH_ROLE=app JWT_FILE="$tmp/worker.jwt"
openbao_jwt "$tmp" system:serviceaccount:default:builder 300 ',"kubernetes.io":{"namespace":"default","serviceaccount":{"name":"builder","uid":"u-1"}}' >"$tmp/pod.jwt"
one_login "Kubernetes" kubernetes AUTH_ROLE=pod JWT_FILE="$tmp/pod.jwt"
client=(CLIENT_CERT="$tmp/clients/web.pem" CLIENT_KEY="$tmp/clients/web.key")
one_login "client certificate" cert "${client[@]}"
one_login "client certificate by name" cert AUTH_ROLE=web "${client[@]}"
wraps "a client certificate beside a token" TOKEN_FILE="$tmp/tok/data.tok" "${client[@]}"
openbao_cli auth enable -path=team/web approle >/dev/null
openbao_cli write auth/team/web/role/sk token_policies="$data" bind_secret_id=false token_bound_cidrs=127.0.0.1/32 secret_id_bound_cidrs='' >/dev/null
team=$(openbao_cli read -field=role_id auth/team/web/role/sk/role-id)
is "AppRole at another mount, without a secret id" \
  "$(with AUTH=approle AUTH_MOUNT=team/web ROLE_ID="$team" -- live wrap sk--a | cut -c1-10)" "1 vault:v1"
admin_role=(ADMIN_AUTH=approle ADMIN_ROLE_ID="$(cat "$tmp/role-admin/role_id")" ADMIN_SECRET_ID_FILE="$tmp/role-admin/secret_id")
is "both tokens by AppRole: create" "$(with AUTH=approle "${role[@]}" "${admin_role[@]}" -- live create sk--b)" "created version 1 at scopekey"
blob=$(with AUTH=approle "${role[@]}" -- live wrap sk--b | cut -d' ' -f2)
is "both tokens by AppRole: erase" "$(with AUTH=approle "${role[@]}" "${admin_role[@]}" -- live erase sk--b 1 "$blob")" \
  "immediate gone=1 canary_refused=1 node=$URL"
openbao_cli namespace create team >/dev/null
is "a login in another namespace is a login there" "$(with AUTH=approle AUTH_NAMESPACE=team "${role[@]}" -- live wrap sk--a)" \
  "authentication: $nologin"
wraps "the root namespace by its word" AUTH=approle AUTH_NAMESPACE=root "${role[@]}"

# ---- a wrapped secret id ----
wrapped=(AUTH=approle AUTH_ROLE=sk ROLE_ID="$(cat "$tmp/role/role_id")" SECRET_ID_FILE="$tmp/wrapped" SECRET_ID_WRAPPED=1)
alarm="keeper vault: the wrapped secret id of the data token"
cure="somebody else may have opened it, so destroy that secret id at the server and deliver a new one"
openbao_secret_id sk "$tmp/wrapped" -wrap-ttl=60s
wraps "a wrapped secret id" "${wrapped[@]}"
: >"$tmp/log"
is "the same one once more" "$(with "${wrapped[@]}" LOG=1 -- live wrap sk--a)" \
  "authentication: $alarm was opened before, has expired or is none: $cure"
is "which is told in the log, too" "$(grep -c 'critical vault.auth: the data token: the wrapped secret id was opened before' "$tmp/log")" 1
openbao_secret_id sk-admin "$tmp/wrapped" -wrap-ttl=60s
is "one of another role" "$(with "${wrapped[@]}" -- live wrap sk--a)" \
  "authentication: $alarm was not made by the role's secret-id endpoint: $cure"
(umask 077 && openbao_cli write -field=wrapping_token -wrap-ttl=60s sys/wrapping/wrap secret_id=forged >"$tmp/wrapped")
is "one that somebody wrapped himself" "$(with "${wrapped[@]}" -- live wrap sk--a)" \
  "authentication: $alarm was not made by the role's secret-id endpoint: $cure"
(umask 077 && echo s.bogus >"$tmp/wrapped")
is "one that is none" "$(with "${wrapped[@]}" -- live wrap sk--a)" \
  "authentication: $alarm was opened before, has expired or is none: $cure"

# ---- logins that are refused ----
(umask 077 && echo wrong >"$tmp/wrong")
refused="$(at login)the login is refused: check the role and what proves it"
is "a wrong secret id" "$(with AUTH=approle "${role[0]}" SECRET_ID_FILE="$tmp/wrong" -- live wrap sk--a)" \
  "authentication: $refused (invalid role or secret ID)"
is "a wrong role id" "$(with AUTH=approle ROLE_ID=none "${role[1]}" -- live wrap sk--a)" \
  "authentication: $refused (invalid role or secret ID)"
is "no such mount" "$(with AUTH=approle AUTH_MOUNT=none "${role[@]}" -- live wrap sk--a)" \
  "authentication: $nologin"
matches "a JWT of somebody else" "$(openbao_jwt "$tmp" other 300 >"$tmp/other.jwt"
  with AUTH=jwt AUTH_ROLE=app JWT_FILE="$tmp/other.jwt" -- live wrap sk--a)" "authentication: $refused \\(.*sub.*\\)"
matches "a JWT that has ended" "$(openbao_jwt "$tmp" worker -400 >"$tmp/old.jwt"
  with AUTH=jwt AUTH_ROLE=app JWT_FILE="$tmp/old.jwt" -- live wrap sk--a)" "authentication: $refused \\(.*expired.*\\)"
is "no JWT" "$(with AUTH=jwt AUTH_ROLE=app JWT_FILE="$tmp/none.jwt" -- live wrap sk--a)" \
  "configuration: keeper vault: cannot open the JWT $tmp/none.jwt: No such file or directory"
matches "another account of Kubernetes" "$(with AUTH=kubernetes AUTH_ROLE=none JWT_FILE="$tmp/pod.jwt" -- live wrap sk--a)" \
  "authentication: $refused \\(invalid role name \\\\x22none\\\\x22\\)"
matches "a client certificate that has expired" \
  "$(with AUTH=cert CLIENT_CERT="$tmp/clients/expired.pem" CLIENT_KEY="$tmp/clients/expired.key" -- live wrap sk--a)" \
  "authentication: $(at login)the client certificate is refused: renew it \\(.*certificate has expired.*\\)"
is "one of a foreign CA" "$(with AUTH=cert CLIENT_CERT="$tmp/foreign/web.pem" CLIENT_KEY="$tmp/foreign/web.key" -- live wrap sk--a)" \
  "authentication: $refused (invalid certificate or no client certificate supplied)"
cp "$tmp/clients/web.key" "$tmp/open.key" && chmod 640 "$tmp/open.key"
is "a client key that others can read" "$(with AUTH=cert "${client[0]}" CLIENT_KEY="$tmp/open.key" -- live wrap sk--a)" \
  "configuration: keeper vault: the client key $tmp/open.key can be read by others (mode 0640): run chmod 600 on it"
is "half a client certificate" "$(with TOKEN_FILE="$tmp/tok/data.tok" "${client[0]}" -- live wrap sk--a)" \
  "configuration: keeper vault: a client certificate needs both client_cert_file and client_key_file"
is "no client certificate" "$(with AUTH=cert -- live wrap sk--a)" \
  "configuration: keeper vault: auth = cert needs client_cert_file and client_key_file"
is "no such method" "$(with AUTH=aws -- live open)" \
  "configuration: keeper vault: auth must be token, agent, approle, kubernetes, jwt or cert"
is "a mount that leads elsewhere" "$(with AUTH=approle AUTH_MOUNT=../sys "${role[@]}" -- live open)" \
  "configuration: keeper vault: auth_mount must be segments of A-Z, a-z, 0-9, _ and - with single slashes between them"

# ---- under load ----
# load NAME SETTINGS...: 64 threads from here; since: what they did.
load() {
  coproc LOAD { exec env "$@" DEADLINE_MS=10000 LOG=1 tests/vault/vault_load vault/.libs/keeper-http.so load sk--a 64 2>>"$tmp/load.log"; }
  # shellcheck disable=SC2153
  load_pid=$LOAD_PID
}
since() {
  local line
  echo >&"${LOAD[1]}"
  read -r line <&"${LOAD[0]}" || line="ok 0 connectivity 0 other 99 wrong 99 late 99"
  read -r _ ok _ connectivity _ other _ wrong _ late <<<"$line"
}
unload() {
  local in=${LOAD[1]}
  exec {in}>&-
  wait "$load_pid"
}
# seconds N NAME: of load without a failure.
seconds() {
  local i bad='' sum=0
  for ((i = 0; i < $1 * 10; i++)); do
    sleep 0.1
    since
    sum=$((sum + ok))
    [ "$connectivity$other$wrong$late" = 0000 ] || bad+="connectivity $connectivity other $other wrong $wrong late $late"$'\n'
  done
  [ "$sum" -gt 0 ] || bad+="nothing happened"
  empty "$2" "${bad:+$bad$(grep -v 'info vault.client' "$tmp/load.log" | tail -n 5)}"
}

# settle NAME: until calls succeed and none fails any more.
settle() {
  for _ in $(seq 300); do
    sleep 0.1
    since
    [ "$ok" -eq 0 ] || [ "$connectivity$other$wrong$late" != 0000 ] || return 0
  done
  fail "$1" "ok $ok connectivity $connectivity other $other"
}

load AUTH=approle "${role[@]}"
seconds 1 "load over AppRole"
before=$(openbao_count auth/approle/login)
openbao_cli lease revoke -prefix auth/approle/login >/dev/null
seconds 1 "a revoked token fails no call of 64 threads"
is "and costs exactly one login" "$(($(openbao_count auth/approle/login) - before))" 1
before=$(openbao_count auth/approle/login)
openbao_cli policy write "$data" - >/dev/null <<<'path "sys/capabilities-self" { capabilities = ["update"] }'
sleep 0.5
since
between "a policy's denial is told" "$other" 1 1000000
openbao_policy scopekey data | openbao_cli policy write "$data" - >/dev/null
settle "the policy is back"
is "and causes no login" "$(($(openbao_count auth/approle/login) - before))" 0
openbao_cli write -force auth/approle/role/sk/secret-id/destroy secret_id="$(cat "$tmp/role/secret_id")" >/dev/null
before=$(openbao_count auth/approle/login)
openbao_cli lease revoke -prefix auth/approle/login >/dev/null
sleep 1.5
since; sleep 0.2; since
is "a revoked token and a wrong secret id: nothing else" "$ok $connectivity" "0 0"
between "calls fail at once" "$other" 50 1000000
is "after one login, and no loop" "$(($(openbao_count auth/approle/login) - before))" 1
matches "with the reason" "$(grep '^authentication' "$tmp/load.log" | tail -n 1)" \
  "authentication: $(at login)the login is refused: check the role and what proves it \\(invalid role or secret ID\\); no other login before [0-9]+ s have passed"
openbao_secret_id sk "$tmp/role/secret_id"
settle "a new secret id ends that"
seconds 1 "then nothing fails any more"
unload
empty "no secret in what was logged" "$(grep -F -e "$(cat "$tmp/role/secret_id")" -e "$token" -e s. "$tmp/load.log" | grep -E 's\.[A-Za-z0-9]{20,}' | head -n 3)"

# A token of 4 s, renewed for ever; one that may live 5 s in all; one that cannot be renewed: all at once.
openbao_approle short "$data" "$tmp/short" token_ttl=3s token_max_ttl=5s
openbao_approle batch "$data" "$tmp/batch" token_type=batch token_ttl=3s
# for_seconds N FILE SETTINGS...: what 8 threads did, into FILE.
for_seconds() {
  { sleep "$1"; echo; sleep 0.2; } | with "${@:3}" LOG=1 -- tests/vault/vault_load vault/.libs/keeper-http.so load sk--a 8 >"$2" 2>"$2.log"
}
(umask 077 && openbao_cli token create -policy="$data" -no-default-policy -period=4s -field=token >"$tmp/period.tok")
for_seconds 7 "$tmp/period.out" TOKEN_FILE="$tmp/period.tok" &
jobs=($!)
for kind in short batch; do
  for_seconds 7 "$tmp/$kind.out" AUTH=approle ROLE_ID="$(cat "$tmp/$kind/role_id")" SECRET_ID_FILE="$tmp/$kind/secret_id" &
  jobs+=($!)
done
wait "${jobs[@]}"
# ops OP FILE: how many requests of this kind it made.
ops() { grep -c " op=$1 outcome=ok" "$2.log"; }
for kind in period short batch; do
  matches "past the end of a $kind token" "$(cat "$tmp/$kind.out")" 'ok [1-9][0-9]* connectivity 0 other 0 wrong 0 late 0'
done
between "a token with a period is renewed at two thirds of it" "$(ops renew "$tmp/period.out")" 2 4
between "a token is renewed up to its maximum" "$(ops renew "$tmp/short.out")" 1 6
between "and replaced before that" "$(ops login "$tmp/short.out")" 2 3
is "a batch token is never renewed" "$(ops renew "$tmp/batch.out")" 0
between "but replaced" "$(ops login "$tmp/batch.out")" 3 4

# An agent that writes a new token, before and after the old one is revoked.
(umask 077 && openbao_cli token create -policy="$data" -no-default-policy -ttl=1h -field=token >"$tmp/sink")
load AUTH=agent TOKEN_FILE="$tmp/sink"
seconds 1 "an agent's token"
old=$(cat "$tmp/sink")
(umask 077 && openbao_cli token create -policy="$data" -no-default-policy -ttl=1h -field=token >"$tmp/sink.new") && mv "$tmp/sink.new" "$tmp/sink"
sleep 0.3
openbao_cli token revoke "$old" >/dev/null
seconds 1 "the agent's next token is taken in time"
unload
# ---- the command line ----
build=$PWD
mkdir "$tmp/home"
(umask 077 && echo 123456 >"$tmp/pin.txt" && echo hello >"$tmp/plain")
sk() { env -u ASAN_OPTIONS SCOPEKEY_HOME="$tmp/home" SCOPEKEY_PLUGINS="$build/vault/.libs" "$build/cli/scopekey" "$@" 2>>"$tmp/cli.log"; }
matches "init by AppRole and by certificate" "$(sk init --pin-file "$tmp/pin.txt" --keeper vault --vault-addr "$URL" \
  --vault-mount scopekey --vault-ca-file "$CA_FILE" --vault-auth approle --vault-role-id "$(cat "$tmp/role/role_id")" \
  --vault-secret-id-file "$tmp/role/secret_id" --vault-admin-auth cert --vault-admin-auth-role operator \
  --vault-admin-client-cert-file "$tmp/clients/operator.pem" --vault-admin-client-key-file "$tmp/clients/operator.key" | tail -n 1)" 'ready: .*'
sk subject create alice >/dev/null
sk encrypt --subject alice -o "$tmp/sealed" "$tmp/plain" >/dev/null
is "a file goes there and back" "$(sk decrypt -o - "$tmp/sealed")" hello
is "doctor finds nothing ill" "$(sk doctor | tail -n 1)" "all well"
is "a token of the environment wins, and may be wrong" "$(VAULT_TOKEN=s.bogus sk decrypt -o - "$tmp/sealed"; echo $?)" 5

empty "no sanitizer complains" "$(grep -h -A20 -E 'ERROR: .*Sanitizer|WARNING: .*Sanitizer|runtime error:' "$tmp"/*log | head -n 40)"
tap_end
