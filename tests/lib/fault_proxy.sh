# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The proxy of fault_proxy.py for shell tests.  To be sourced; needs $src (the source folder), python3, curl, jq.
#
#   fault_proxy DIR UPSTREAM-URL [OPTION...]   start one; sets $fault_url (http, or https with --tls), $fault_pid, $fault_dir
#   fault_rules JSON                           its rules from now on ('[]': pass everything); the record begins anew
#   fault_requests [REGEX]                     how many requests came since, whose "METHOD path" matches
#   fault_connections                          how many connections (refused handshakes too)
#   fault_proxy_stop_all                       to be called when the script ends

fault_pids=()

fault_proxy_stop_all() {
  local pid
  for pid in "${fault_pids[@]}"; do kill "$pid" 2>/dev/null; done
  for pid in "${fault_pids[@]}"; do wait "$pid" 2>/dev/null; done
}

fault_proxy() {
  local scheme=http
  fault_dir=$(mkdir -p "$1" && cd "$1" && pwd)
  rm -f "$fault_dir/port" "$fault_dir/control"
  # shellcheck disable=SC2154
  python3 "$src/tests/lib/fault_proxy.py" --dir "$fault_dir" --upstream "$2" "${@:3}" >"$fault_dir/log" 2>&1 </dev/null &
  fault_pid=$!
  fault_pids+=("$fault_pid")
  until [ -s "$fault_dir/port" ]; do
    kill -0 "$fault_pid" 2>/dev/null || {
      echo "Bail out! the fault proxy does not start: $(tail -n 3 "$fault_dir/log")" >&2
      exit 1
    }
    sleep 0.02
  done
  [[ " $* " != *" --tls "* ]] || scheme=https
  # shellcheck disable=SC2034
  fault_url=$scheme://127.0.0.1:$(cat "$fault_dir/port")
}

fault_rules() {
  curl --silent --show-error --fail --noproxy '*' --unix-socket "$fault_dir/control" -X PUT --data-binary "$1" \
    http://control/rules || {
    echo "Bail out! the fault proxy refuses the rules $1" >&2
    exit 1
  }
}

# shellcheck disable=SC2120
fault_requests() {
  jq -r 'select(.connection | not) | "\(.method) \(.path)"' "$fault_dir/record" | grep -cE "${1:-.}"
}

fault_connections() {
  jq -r 'select(.connection)' "$fault_dir/record" | grep -c '"connection"'
}
