#!/bin/bash
# SPDX-License-Identifier: MIT
# People are kept apart at every keeper, under keyed and plain names; what the real server saw of their ids.
# Runs in the build folder.
set -uo pipefail
src=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$src/tests/lib/tap.sh"
# shellcheck source=tests/lib/openbao.sh
. "$src/tests/lib/openbao.sh"
tmp=$(mktemp -d)
liar=''
trap 'kill "$liar" 2>/dev/null; openbao_stop_all; rm -rf "$tmp"' EXIT
unset SCOPEKEY_CONF SCOPEKEY_HOME KEY_VAULT_MODE KEY_VAULT_LOCAL_PATH VAULT_ADDR
export SCOPEKEY_PLUGINS=$PWD/vault/.libs TMPDIR=$tmp

holds "keeper token, keyed names" tests/service/apart token keyed
holds "keeper token, plain names" tests/service/apart token plain
holds "keeper local, keyed names" tests/service/apart local keyed
holds "keeper local, plain names" tests/service/apart local plain

openbao_install
# shellcheck disable=SC2154
openbao_config=$openbao_audit openbao_durable "$tmp/openbao"
openbao_mount scopekey
openbao_tokens scopekey "$tmp/tok"
cat >"$tmp/admin" <<END
#!/bin/sh
ask() { curl --silent --show-error --fail --noproxy '*' -H "X-Vault-Token: $openbao_root" "\$@"; }
case \$1 in
list) ask "$openbao_http_url/v1/scopekey/keys?list=true" | jq -r '.data.keys[]' ;;
hide) from=scopekey to=elsewhere ;;
show) from=elsewhere to=scopekey ;;
esac
[ \$1 != list ] || exit 0
id=\$(ask -X POST -d "{\"from\":\"\$from\",\"to\":\"\$to\"}" "$openbao_http_url/v1/sys/remount" | jq -r .data.migration_id)
for _ in \$(seq 100); do
  case \$(ask "$openbao_http_url/v1/sys/remount/status/\$id" | jq -r .data.migration_info.status) in
  success) exit 0 ;;
  failure) exit 1 ;;
  esac
  sleep 0.1
done
exit 1
END
chmod +x "$tmp/admin"
python3 - "$tmp/liar.port" <<'PY' &
import http.server
import sys


class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        with open(sys.argv[1] + ".saw", "a", encoding="latin-1") as saw:
            saw.write(f"path {self.path}\n" + "".join(f"header {name.lower()}\n" for name in self.headers))
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b'{"errors":[]}'
        self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
with open(sys.argv[1] + ".new", "w", encoding="ascii") as port:
    port.write(str(server.server_port))
import os
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
PY
liar=$!
for _ in $(seq 100); do [ ! -e "$tmp/liar.port" ] || break; sleep 0.1; done
export VAULT_URL=$openbao_http_url MOUNT=scopekey TOKEN_FILE=$tmp/tok/data.tok ADMIN_TOKEN_FILE=$tmp/tok/admin.tok
LIAR_URL=http://127.0.0.1:$(cat "$tmp/liar.port")
export LIAR_URL ADMIN=$tmp/admin
holds "keeper vault, keyed names" tests/service/apart vault keyed
holds "keeper vault, plain names" tests/service/apart vault plain

# What reached the server: no id left its segment of the path, and under keyed names nothing of an id is there at all.
log=$tmp/openbao/audit.log
paths=$(jq -r 'select(.type == "request").request.path' "$log" | grep '^scopekey/' | sort -u)
empty "paths are ours" "$(grep -vxE 'scopekey/((keys|encrypt|decrypt)/[a-z][a-z0-9]*--[0-9a-z-]*[0-9a-z](/config)?|config/keys|keys/?)' <<<"$paths")"
holds "and there are many" test "$(wc -l <<<"$paths")" -gt 300
empty "keyed names show nothing of an id" "$(grep -E '/k--' <<<"$paths" | grep -vxE 'scopekey/(keys|encrypt|decrypt)/k--k--[0-9a-v]{52}(/config)?')"
holds "the other server saw requests" grep -q '^path /v1/' "$tmp/liar.port.saw"
empty "and no header of a caller's making" "$(grep '^header' "$tmp/liar.port.saw" | sort -u |
  grep -vxE 'header (host|accept|content-type|content-length|user-agent|x-vault-token|x-vault-request|x-vault-namespace|x-correlation-id)')"
empty "nor anything of an id in a path" "$(grep '^path' "$tmp/liar.port.saw" | grep -vxE 'path /v1/[a-z0-9/-]+')"
tap_end
