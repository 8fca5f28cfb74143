# SPDX-License-Identifier: MIT
"""A real set-up, real daemons, and HTTP written by hand: what the tests of scopekeyd share."""
import atexit
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

SCOPEKEYD, SCOPEKEY, WORK = sys.argv[1], sys.argv[2], os.path.abspath(sys.argv[3])
KEY = "skk_test_0123456789abcdef0123456789abcdef"
KEY_2 = "skk_test_fedcba9876543210fedcba9876543210"
SUBJECT = "alice-the-subject"
PLAINTEXT = "Hello, World!"
MARK = "plaintext-that-no-log-may-hold"
failures = 0


def check(name, got, want):
    """One check: exact equality."""
    global failures
    if got == want:
        print(f"ok - {name}", flush=True)
        return
    failures += 1
    print(f"not ok - {name}: got {got!r}, want {want!r}", flush=True)


def environment(home, **more):
    env = {k: v for k, v in os.environ.items()
           if k not in ("API_KEY", "HOST", "PORT", "LOG_LEVEL", "LOG_FORMAT", "SCOPEKEY_HOME", "SCOPEKEY_CONF")}
    env["SCOPEKEY_HOME"] = home
    env.update(more)
    return env


def scopekey(home, *args):
    done = subprocess.run([SCOPEKEY, *args], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"scopekey {' '.join(args)}: {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode()


def make_setup(name):
    home = os.path.join(WORK, name)
    pin = os.path.join(WORK, "pin.txt")
    with open(pin, "w", encoding="ascii") as f:
        f.write("12345678\n")
    os.chmod(pin, 0o600)
    scopekey(home, "init", "--pin-file", pin)
    return home


def set_conf(home, section, line):
    """Add a line to a section of scopekey.conf."""
    path = os.path.join(home, "scopekey.conf")
    with open(path, encoding="utf-8") as f:
        text = f.read()
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + f"\n[{section}]\n{line}\n")


class Daemon:
    """A running scopekeyd on a free port; its standard error goes to a file."""

    count = 0

    def __init__(self, home, *args, **env):
        Daemon.count += 1
        self.log_path = os.path.join(WORK, f"daemon-{Daemon.count}.log")
        settings = {"API_KEY": KEY, "LOG_LEVEL": "debug", "LOG_FORMAT": "json"}
        settings.update(env)
        self.log = open(self.log_path, "wb")
        args = args if "--port" in args else ("--port", "0", *args)
        self.process = subprocess.Popen([SCOPEKEYD, *args], stderr=self.log, stdout=subprocess.DEVNULL,
                                        env=environment(home, **{k: v for k, v in settings.items() if v is not None}))
        atexit.register(self.process.kill)
        self.port = 0
        while self.port == 0 and self.process.poll() is None:
            found = re.search(r"^scopekeyd: ready on http://127\.0\.0\.1:(\d+)$", self.text(), re.M)
            if found:
                self.port = int(found.group(1))
            time.sleep(0.02)
        if self.port == 0:
            raise RuntimeError(f"scopekeyd ended with {self.process.returncode}: {self.text()}")

    def text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


def start_refused(name, home, args, env, status, message):
    """scopekeyd does not start: exact exit status, and exact last line."""
    done = subprocess.run([SCOPEKEYD, *args], env=environment(home, **env), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    lines = done.stderr.decode().splitlines()
    check(name, (done.returncode, lines[-1] if lines else ""), (status, message))


def read_reply(sock, head_only=False):
    """(status, {header: value}, body) of one reply, or None when the connection ends first."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = sock.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    status = int(lines[0].split(" ")[1])
    length = 0 if head_only or status == 100 else int(headers.get("content-length", "0"))
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            break
        body += more
    return status, headers, body


def is_closed(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def connect(daemon):
    return socket.create_connection(("127.0.0.1", daemon.port))


def raw(daemon, data):
    """Send bytes; the reply."""
    with connect(daemon) as sock:
        sock.sendall(data)
        return read_reply(sock)


def call(daemon, method, path, body=None, key=KEY, headers=(), sock=None):
    """An ordinary request: (status, headers, parsed body)."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if key is not None:
        lines.append(f"X-API-Key: {key}")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
        if not any(h.lower().startswith("content-type:") for h in headers):
            lines.append("Content-Type: application/json")
    lines.extend(headers)
    data = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")
    if sock is not None:
        sock.sendall(data)
        reply = read_reply(sock, method == "HEAD")
    else:
        with connect(daemon) as own:
            own.sendall(data)
            reply = read_reply(own, method == "HEAD")
    if reply is None:
        return None
    status, head, text = reply
    return status, head, json.loads(text) if text else None


def error(status, title, code, detail):
    return {"error": title, "detail": detail, "status_code": status, "code": code}


def without_changing(body):
    """An error body less time and request id, which are checked for their shape."""
    body = dict(body)
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body.pop("timestamp", "")):
        body["timestamp"] = "malformed"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", body.pop("request_id", "")):
        body["request_id"] = "malformed"
    return body


def expect_error(name, reply, status, title, code, detail):
    if reply is None:
        check(name, None, status)
        return
    got_status, headers, body = reply
    if isinstance(body, bytes):
        body = json.loads(body)
    check(name, (got_status, headers.get("content-type"), without_changing(body)),
          (status, "application/json", error(status, title, code, detail)))
    if body.get("request_id") != headers.get("x-request-id"):
        check(name + " (request id)", body.get("request_id"), headers.get("x-request-id"))


def invalid(name, daemon, path, body, detail, **more):
    expect_error(name, call(daemon, "POST", path, body, **more), 400, "Validation Error", "validation_error", detail)


def make_key(daemon, body=None):
    return call(daemon, "POST", "/api/kms/generate_key", body)[2]["key_id"]


def encrypt(daemon, key_id, text=PLAINTEXT, **more):
    return call(daemon, "POST", "/api/kms/encrypt", {"key_id": key_id, "plaintext": text, **more})


def decrypt(daemon, **members):
    return call(daemon, "POST", "/api/kms/decrypt", members)


def keys(home):
    return [json.loads(line) for line in scopekey(home, "key", "list", "--json").splitlines()]


def key_path(home, key_id):
    for key in keys(home):
        if key["key_id"] == key_id:
            return key["uri"]
    raise RuntimeError(f"{key_id} is not listed")


def key_by_name(home, scope, name):
    for key in keys(home):
        if key["uri"] == f"scopekey:{scope}/{name}":
            return key["key_id"]
    raise RuntimeError(f"{scope}/{name} is not listed")
