#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The daemon over raw sockets, on a real set-up: raw.py SCOPEKEYD SCOPEKEY WORKDIR

Prints "ok - name" or "not ok - name: why" for each check; exits non-zero when one failed.
"""
import base64
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
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


# ---- processes ----

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


# ---- HTTP by hand ----

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


# ---- what starts and what does not ----

def test_refusals_to_start(home):
    ready = {"API_KEY": KEY}
    path = os.path.join(WORK, "api.key")
    with open(path, "w", encoding="ascii") as f:
        f.write(KEY + "\n")
    os.chmod(path, 0o644)
    conf = os.path.join(home, "scopekey.conf")
    start_refused("no API key", home, [], {}, 10,
                  "scopekeyd: no API client is configured, so nobody could call this daemon: make a key by "
                  "`(umask 077; openssl rand -hex 32 > api.key)` and start with --api-key-file api.key, or set "
                  "api_key_file in [rest] of scopekey.conf")
    start_refused("empty API_KEY", home, [], {"API_KEY": ""}, 10,
                  "scopekeyd: API_KEY in the environment is empty: unset it or give it a value")
    start_refused("API key file open to others", home, ["--api-key-file", path], {}, 10,
                  f"scopekeyd: API key file {path} can be read by others (mode 0644): run chmod 600 on it")
    start_refused("API key file missing", home, ["--api-key-file", "/nonexistent/api.key"], {}, 10,
                  "scopekeyd: cannot open API key file /nonexistent/api.key: No such file or directory")
    start_refused("address of the network", home, ["--host", "0.0.0.0"], ready, 10,
                  "scopekeyd: refusing to listen on 0.0.0.0 without TLS, which this version does not have: API keys "
                  "and plaintext would cross the network readable. Listen on 127.0.0.1 behind a TLS proxy, or set "
                  "insecure_plaintext = true in [rest] of scopekey.conf")
    start_refused("HOST of the network", home, [], {**ready, "HOST": "0.0.0.0"}, 10,
                  "scopekeyd: refusing to listen on 0.0.0.0 without TLS, which this version does not have: API keys "
                  "and plaintext would cross the network readable. Listen on 127.0.0.1 behind a TLS proxy, or set "
                  "insecure_plaintext = true in [rest] of scopekey.conf")
    start_refused("port out of range", home, ["--port", "65536"], ready, 1,
                  "scopekeyd: --port must be a number from 0 to 65535")
    start_refused("unknown option", home, ["--frobnicate"], ready, 1, "Try: scopekeyd --help")
    start_refused("operand", home, ["now"], ready, 1, "Try: scopekeyd --help")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        start_refused("port taken", home, ["--port", str(port)], ready, 2,
                      f"scopekeyd: cannot listen on 127.0.0.1 port {port}: Address already in use")
    start_refused("no provider", home, [], {**ready, "OPENSSL_MODULES": "/nonexistent"}, 10,
                  "scopekeyd: cannot load OpenSSL provider scopekey with cipher SCOPEKEY-AES-256-GCM from "
                  "/nonexistent: install it there, or say where it is by OPENSSL_MODULES")
    broken = os.path.join(WORK, "broken.conf")
    with open(conf, encoding="utf-8") as f:
        text = f.read()
    with open(broken, "w", encoding="utf-8") as f:
        f.write(text + "\n[rest]\nprot = 1\n")
    done = subprocess.run([SCOPEKEYD, "--config", broken], env=environment(home, **ready), stderr=subprocess.PIPE,
                          check=False)
    message = done.stderr.decode()
    check("unknown configuration key: exit status", done.returncode, 10)
    check("unknown configuration key: names file, section and key",
          all(word in message for word in (broken, "[rest]", "prot")), True)
    for name, value in (("PORT", "eighty"), ("PORT", "65536"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")):
        done = subprocess.run([SCOPEKEYD], env=environment(home, **ready, **{name: value}), stderr=subprocess.PIPE,
                              check=False)
        check(f"{name}={value} is refused and named", (done.returncode, name in done.stderr.decode()), (10, True))


# ---- the documented service ----

def test_documented(daemon):
    status, headers, body = call(daemon, "POST", "/api/kms/generate_key")
    key_id = body["key_id"]
    check("generate_key: status", status, 200)
    check("generate_key: members", list(body), ["key_id", "algorithm", "timestamp", "version", "state"])
    check("generate_key: key_id", bool(re.fullmatch(r"key-[0-9a-v]{26}", key_id)), True)
    check("generate_key: values", (body["algorithm"], body["version"], body["state"]), ("AES-256-GCM", 1, "active"))
    check("generate_key: headers", (headers["content-type"], headers["cache-control"], headers["x-content-type-options"]),
          ("application/json", "no-store", "nosniff"))
    status, _, body = encrypt(daemon, key_id)
    sealed = body
    check("encrypt: status", status, 200)
    check("encrypt: members", list(body), ["key_id", "ciphertext", "nonce", "algorithm", "timestamp", "key_version"])
    check("encrypt: values", (body["key_id"], body["algorithm"], body["key_version"]), (key_id, "AES-256-GCM", 1))
    check("encrypt: lengths", (len(base64.b64decode(body["ciphertext"])), len(base64.b64decode(body["nonce"]))),
          (1 + len(PLAINTEXT) + 16, 12))
    check("encrypt: time", bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", body["timestamp"])), True)
    status, _, body = decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])
    body.pop("timestamp")
    check("decrypt", (status, body), (200, {"key_id": key_id, "plaintext": PLAINTEXT, "algorithm": "AES-256-GCM"}))
    status, headers, body = call(daemon, "GET", "/api/kms/generate_key")
    check("the documents' sample GET generate_key: Allow", (status, headers["allow"]), (405, "POST"))
    expect_error("the documents' sample error", call(daemon, "POST", "/api/kms/encrypt",
                                                     {"key_id": "no/such", "plaintext": PLAINTEXT}),
                 400, "Validation Error", "validation_error", "Invalid key_id format")
    first = encrypt(daemon, key_id)[2]
    second = encrypt(daemon, key_id)[2]
    check("nonces differ", first["nonce"] != second["nonce"] and first["ciphertext"] != second["ciphertext"], True)
    return key_id


def test_curl(daemon, key_id):
    """The documented command, word for word but for key, port and key_id."""
    url = f"localhost:{daemon.port}/api/kms"
    done = subprocess.run(["curl", "-sS", "-H", f"X-API-Key: {KEY}", "-H", "Content-Type: application/json",
                           f"{url}/encrypt", "-d", json.dumps({"key_id": key_id, "plaintext": "Hello, World!"})],
                          stdout=subprocess.PIPE, check=False)
    body = json.loads(done.stdout)
    check("curl encrypt", (done.returncode, body["key_id"], body["algorithm"]), (0, key_id, "AES-256-GCM"))
    done = subprocess.run(["curl", "-sS", "-H", f"X-API-Key: {KEY}", "-H", "Content-Type: application/json",
                           f"{url}/decrypt", "-d", json.dumps({k: body[k] for k in ("key_id", "ciphertext", "nonce")})],
                          stdout=subprocess.PIPE, check=False)
    check("curl decrypt", json.loads(done.stdout)["plaintext"], "Hello, World!")
    done = subprocess.run(["curl", "-sS", "-X", "POST", "-H", f"X-API-Key: {KEY}", f"{url}/generate_key"],
                          stdout=subprocess.PIPE, check=False)
    check("curl generate_key", json.loads(done.stdout)["state"], "active")
    done = subprocess.run(["curl", "-sS", f"localhost:{daemon.port}/health"], stdout=subprocess.PIPE, check=False)
    check("curl health", json.loads(done.stdout), {"status": "healthy"})
    # A body over 1024 bytes makes curl ask first (Expect: 100-continue).
    done = subprocess.run(["curl", "-sS", "-H", f"X-API-Key: {KEY}", "-H", "Content-Type: application/json",
                           "-H", "Expect: 100-continue", f"{url}/encrypt", "-d",
                           json.dumps({"key_id": key_id, "plaintext": "x" * 5000})], stdout=subprocess.PIPE, check=False)
    check("curl with Expect", json.loads(done.stdout)["key_id"], key_id)


def test_health(daemon):
    check("health without a key", call(daemon, "GET", "/health", key=None)[::2], (200, {"status": "healthy"}))
    status, _, body = call(daemon, "GET", "/health")
    check("health with a key: members", (status, list(body)),
          (200, ["status", "timestamp", "version", "uptime", "backend_status", "backend_latency"]))
    check("health with a key: values", (body["status"], body["backend_status"]), ("healthy", "healthy"))
    check("health with a key: units", (isinstance(body["uptime"], int), isinstance(body["backend_latency"], float),
                                       0 < body["backend_latency"] < 60000), (True, True, True))
    expect_error("health with a wrong key", call(daemon, "GET", "/health", key="wrong"), 401, "Authentication Error",
                 "unauthorized", "The API key is not valid")
    check("live", call(daemon, "GET", "/health/live", key=None)[::2], (200, {"status": "live"}))
    check("ready", call(daemon, "GET", "/health/ready", key=None)[::2], (200, {"status": "ready"}))
    status, headers, body = call(daemon, "HEAD", "/health", key=None)
    check("HEAD has no body", (status, headers["content-length"], body), (200, "21", None))
    status, headers, _ = call(daemon, "POST", "/health", {})
    check("POST /health", (status, headers["allow"]), (405, "GET, HEAD"))


def test_auth(daemon, key_id):
    body = {"key_id": key_id, "plaintext": PLAINTEXT}
    reply = call(daemon, "POST", "/api/kms/encrypt", body, key=None)
    expect_error("no API key", reply, 401, "Authentication Error", "unauthorized", "The header X-API-Key is missing")
    check("no API key: WWW-Authenticate", reply[1]["www-authenticate"],
          'ApiKey realm="scopekey", header="X-API-Key"')
    for name, key in (("wrong", "x" * len(KEY)), ("empty", ""), ("longer", KEY + "x"), ("shorter", KEY[:-1]),
                      ("in another case", KEY.upper()), ("of 8 KiB", "x" * 8192)):
        expect_error(f"API key {name}", call(daemon, "POST", "/api/kms/encrypt", body, key=key), 401,
                     "Authentication Error", "unauthorized", "The API key is not valid")
    expect_error("API key in the query", call(daemon, "POST", f"/api/kms/encrypt?api_key={KEY}", body, key=None), 400,
                 "Validation Error", "bad_request", "The path takes no query")
    expect_error("API key as a bearer", call(daemon, "POST", "/api/kms/encrypt", body, key=None,
                                             headers=(f"Authorization: Bearer {KEY}",)), 401, "Authentication Error",
                 "unauthorized", "The header X-API-Key is missing")
    with open(f"/proc/{daemon.process.pid}/environ", "rb") as f:
        check("the key is gone from the environment", KEY.encode() in f.read(), False)


def test_reload(home):
    path = os.path.join(WORK, "reload.key")

    def write(text):
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, 0o600)

    def wait_for(key, status):
        while call(daemon, "GET", "/health", key=key)[0] != status:
            time.sleep(0.02)

    write(KEY_2 + "\n")
    daemon = Daemon(home, "--api-key-file", path, API_KEY=KEY)
    check("the command line's key wins", (call(daemon, "GET", "/health", key=KEY)[0],
                                          call(daemon, "GET", "/health", key=KEY_2)[0]), (401, 200))
    write(KEY_2 + "\n" + KEY + "\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(KEY, 200)
    check("SIGHUP: both keys work", call(daemon, "GET", "/health", key=KEY_2)[0], 200)
    write("\n")
    daemon.process.send_signal(signal.SIGHUP)
    while "the old API keys stay" not in daemon.text():
        time.sleep(0.02)
    check("SIGHUP with a bad file: the old keys stay", call(daemon, "GET", "/health", key=KEY)[0], 200)
    write(KEY + "\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(KEY_2, 401)
    check("SIGHUP: the old key is gone", call(daemon, "GET", "/health", key=KEY)[0], 200)
    check("exit after SIGHUP", daemon.stop(), 0)


# ---- bad input ----

def test_bodies(daemon, key_id):
    enc, dec, gen = "/api/kms/encrypt", "/api/kms/decrypt", "/api/kms/generate_key"
    good = {"key_id": key_id, "plaintext": PLAINTEXT}
    not_json = "The body is not valid JSON (RFC 8259) in UTF-8"
    for name, body, detail in (
            ("empty", b"", "The body is missing"),
            ("no JSON", b"key_id=1", not_json),
            ("cut short", b'{"key_id":', not_json),
            ("with something behind", b"{}{}", not_json),
            ("an array", b"[]", "The body must be a JSON object"),
            ("with duplicates", b'{"key_id":"a","key_id":"b"}', "The body has a member twice"),
            ("33 levels deep", b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "The body is nested more than 32 levels deep"),
            ("100000 levels deep", b"[" * 100000, "The body is nested more than 32 levels deep"),
            ("with a number out of range", b'{"a":1e400}', "The body has a number that is out of range"),
            ("with a lone surrogate", b'{"key_id":"\\ud800"}', not_json),
            ("with bad UTF-8", b'{"key_id":"\xff"}', not_json),
            ("in UTF-16", '{"key_id":"a"}'.encode("utf-16"), not_json)):
        invalid(f"body {name}", daemon, enc, body, detail)
    for name, body, detail in (
            ("no members", {}, "key_id is required"),
            ("unknown member", {**good, "plain_text": "x"}, "Unknown member plain_text"),
            ("nonce given", {**good, "nonce": "AAAAAAAAAAAAAAAA"}, "Unknown member nonce"),
            ("key_id a number", {"key_id": 5, "plaintext": "x"}, "key_id must be a string"),
            ("key_id null", {"key_id": None, "plaintext": "x"}, "key_id must be a string"),
            ("key_id empty", {**good, "key_id": ""}, "Invalid key_id format"),
            ("key_id of 129 bytes", {**good, "key_id": "k" * 129}, "Invalid key_id format"),
            ("key_id with NUL", {**good, "key_id": key_id + "\0"}, "Invalid key_id format"),
            ("key_id with a path", {**good, "key_id": "../" + key_id}, "Invalid key_id format"),
            ("no plaintext", {"key_id": key_id}, "Exactly one of plaintext and plaintext_b64 is required"),
            ("both plaintexts", {**good, "plaintext_b64": "eA=="},
             "Exactly one of plaintext and plaintext_b64 is required"),
            ("plaintext a list", {"key_id": key_id, "plaintext": ["x"]}, "plaintext must be a string"),
            ("plaintext_b64 malformed", {"key_id": key_id, "plaintext_b64": "e A=="},
             "plaintext_b64 must be base64 (RFC 4648)"),
            ("plaintext_b64 not canonical", {"key_id": key_id, "plaintext_b64": "eB=="},
             "plaintext_b64 must be base64 (RFC 4648)"),
            ("unknown format", {**good, "format": "pem"}, "format must be split or blob"),
            ("context a string", {**good, "context": "a"}, "context must be an object"),
            ("context with a number", {**good, "context": {"a": 1}}, "The values in context must be strings"),
            ("context with a bad name", {**good, "context": {"A": "1"}},
             "encryption context: a name is 1 to 32 of a-z 0-9 _ and starts with a letter"),
            ("context with 33 pairs", {**good, "context": {f"a{i}": "" for i in range(33)}},
             "context has more than 32 members")):
        invalid(f"encrypt: {name}", daemon, enc, body, detail)
    sealed = encrypt(daemon, key_id)[2]
    split = {k: sealed[k] for k in ("key_id", "ciphertext", "nonce")}
    for name, body, detail in (
            ("no ciphertext", {"key_id": key_id, "nonce": split["nonce"]}, "ciphertext is required"),
            ("ciphertext malformed", {**split, "ciphertext": "%%%"}, "ciphertext must be base64 (RFC 4648)"),
            ("nonce malformed", {**split, "nonce": "A"}, "nonce must be base64 (RFC 4648)"),
            ("key_version zero", {**split, "key_version": 0}, "key_version is out of range"),
            ("key_version of 33 bits", {**split, "key_version": 1 << 32}, "key_version is out of range"),
            ("key_version text", {**split, "key_version": "1"}, "key_version must be an integer"),
            ("unknown encoding", {**split, "encoding": "hex"}, "encoding must be text or base64")):
        invalid(f"decrypt: {name}", daemon, dec, body, detail)
    for name, body, detail in (
            ("unknown algorithm", {"algorithm": "AES-128-GCM"}, "algorithm must be AES-256-GCM"),
            ("unknown protection", {"protection": "none"}, "protection must be token or envelope"),
            ("expiry malformed", {"expires_at": "tomorrow"}, "expires_at must look like 2030-01-31T12:00:00Z"),
            ("expiry in the past", {"expires_at": "2001-01-01T00:00:00Z"}, "expires_at is in the past"),
            ("empty subject", {"subject": ""}, "Invalid subject"),
            ("subject of 256 bytes", {"subject": "s" * 256}, "Invalid subject"),
            ("subject with a control character", {"subject": "a\nb"}, "Invalid subject"),
            ("subject ..", {"subject": ".."}, "Invalid subject")):
        invalid(f"generate_key: {name}", daemon, gen, body, detail)
    expect_error("text/plain", call(daemon, "POST", enc, good, headers=("Content-Type: text/plain",)), 415,
                 "Unsupported Media Type", "unsupported_media_type", "Content-Type must be application/json")
    expect_error("form", call(daemon, "POST", enc, good, headers=("Content-Type: application/x-www-form-urlencoded",)),
                 415, "Unsupported Media Type", "unsupported_media_type", "Content-Type must be application/json")
    check("JSON with a charset", call(daemon, "POST", enc, good,
                                      headers=("Content-Type: application/json; charset=utf-8",))[0], 200)
    expect_error("unknown key", encrypt(daemon, "key-unknown"), 404, "Not Found", "key_not_found",
                 "There is no such key")


def test_lengths(daemon, key_id):
    limit = 1 << 20
    head = '{"key_id":"%s","plaintext":"' % key_id
    fits = (head + "x" * (limit - len(head) - 2) + '"}').encode()
    status, _, body = call(daemon, "POST", "/api/kms/encrypt", fits)
    check("a body of exactly 1 MiB", status, 200)
    if status == 200:
        status, _, body = decrypt(daemon, key_id=key_id, ciphertext=body["ciphertext"][:64], nonce=body["nonce"])
        check("a megabyte cut short", (status, body["code"]), (400, "decryption_failed"))
    too_long = ("POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: %s\r\nContent-Type: application/json\r\n" % KEY)
    with connect(daemon) as sock:
        sock.sendall((too_long + "Content-Length: %d\r\n\r\n" % (limit + 1)).encode())
        reply = read_reply(sock)
        expect_error("a body of one byte more", reply, 413, "Payload Too Large", "payload_too_large",
                     "The body is too long")
        check("… is not waited for", (reply[1].get("connection", "").lower(), is_closed(sock)), ("close", True))
    with connect(daemon) as sock:
        sock.sendall((too_long + "Content-Length: %d\r\n\r\n" % (10 << 20)).encode())
        reply = read_reply(sock)
        check("a body of 10 MiB", (reply[0], is_closed(sock)), (413, True))
    with connect(daemon) as sock:
        sock.sendall((too_long + "Transfer-Encoding: chunked\r\n\r\n").encode())
        for _ in range(20):
            sock.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        reply = read_reply(sock)
        expect_error("a chunked body that grows too long", reply, 413, "Payload Too Large", "payload_too_large",
                     "The body is too long")
    with connect(daemon) as sock:
        sock.sendall((too_long + "Transfer-Encoding: chunked\r\n\r\n").encode())
        body = json.dumps({"key_id": key_id, "plaintext": PLAINTEXT}).encode()
        for byte in body:
            sock.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        check("a body in chunks of one byte", read_reply(sock)[0], 200)
    with connect(daemon) as sock:
        sock.sendall((too_long + "Content-Length: 50\r\n\r\n{}").encode())
        sock.shutdown(socket.SHUT_WR)
        check("a body that ends early has no reply", read_reply(sock), None)
    with connect(daemon) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"a" * 33000 + b"\r\n\r\n")
        reply = read_reply(sock)
        check("headers over 32 KiB", (reply[0], is_closed(sock)), (431, True))
    with connect(daemon) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"a" * 30000 + b"\r\n\r\n")
        check("headers under 32 KiB", read_reply(sock)[0], 200)


SMUGGLED = b"GET /api/kms/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def refused_and_closed(name, daemon, data, detail):
    """400 with our words, the connection closed, and the request behind it never answered."""
    with connect(daemon) as sock:
        sock.sendall(data + SMUGGLED)
        reply = read_reply(sock)
        expect_error(name, reply, 400, "Validation Error", "bad_request", detail)
        if reply is not None:
            check(f"{name}: closed, nothing behind it served",
                  (reply[1].get("connection", "").lower(), is_closed(sock)), ("close", True))


def test_smuggling(daemon):
    post = b"POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: " + KEY.encode() + b"\r\n" \
           b"Content-Type: application/json\r\n"
    get = b"GET /health HTTP/1.1\r\nHost: a\r\n"
    te = "Transfer-Encoding is not chunked"
    for name, data, detail in (
            ("both length headers", post + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "There are both Content-Length and Transfer-Encoding"),
            ("two Content-Lengths", post + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
             "There is more than one Content-Length"),
            ("two different Content-Lengths", post + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}",
             "There is more than one Content-Length"),
            ("two Hosts", get + b"Host: b\r\n\r\n", "There is more than one Host"),
            ("Transfer-Encoding Chunked", post + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", te),
            ("Transfer-Encoding xchunked", post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", te),
            ("Transfer-Encoding chunked, identity", post + b"Transfer-Encoding: chunked, identity\r\n\r\n", te),
            ("Transfer-Encoding identity", post + b"Transfer-Encoding: identity\r\n\r\n", te),
            ("two Transfer-Encodings", post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", te),
            ("a space before the colon", get + b"X-A : b\r\n\r\n", "A header name is malformed"),
            ("a control byte in a name", get + b"X\x01A: b\r\n\r\n", "A header name is malformed"),
            ("a control byte in a value", get + b"X-A: b\x01c\r\n\r\n", "A header value has control characters"),
            ("DEL in a value", get + b"X-A: b\x7fc\r\n\r\n", "A header value has control characters"),
            ("two API keys", get + b"X-API-Key: a\r\nX-API-Key: b\r\n\r\n", "There is more than one X-API-Key"),
            ("two content types", post + b"Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
             "There is more than one Content-Type"),
            ("absolute form", b"GET http://localhost/health HTTP/1.1\r\nHost: a\r\n\r\n",
             "The request target must be a path"),
            ("authority form", b"CONNECT localhost:80 HTTP/1.1\r\nHost: a\r\n\r\n",
             "The request target must be a path"),
            ("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "The request target must be a path"),
            ("NUL in the path", b"GET /health%00x HTTP/1.1\r\nHost: a\r\n\r\n", "The path has control characters"),
            ("newline in the path", b"GET /health%0a HTTP/1.1\r\nHost: a\r\n\r\n", "The path has control characters"),
            ("malformed escape", b"GET /health%zz HTTP/1.1\r\nHost: a\r\n\r\n",
             "The path has a malformed percent-encoding"),
            ("dot segments", b"GET /api/../health HTTP/1.1\r\nHost: a\r\n\r\n", "The path has dot segments"),
            ("encoded dot segments", b"GET /api/%2e%2E/health HTTP/1.1\r\nHost: a\r\n\r\n",
             "The path has dot segments"),
            ("a fragment", b"GET /health#x HTTP/1.1\r\nHost: a\r\n\r\n",
             "The path has characters that must be percent-encoded"),
            ("a query", b"GET /health?a=b HTTP/1.1\r\nHost: a\r\n\r\n", "The path takes no query"),
            ("chunked in HTTP/1.0", b"POST /api/kms/encrypt HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
             te)):
        refused_and_closed(name, daemon, data, detail)
    expect_error("an encoded slash", call(daemon, "GET", "/health%2Flive", key=None), 400, "Validation Error",
                 "validation_error", "The path has a percent-encoded slash")
    expect_error("an encoded letter", call(daemon, "GET", "/%68ealth", key=None), 404, "Not Found", "not_found",
                 "There is no such path")


def answers(daemon, data):
    """How many replies, and their statuses, until the server closes or has nothing more to say."""
    seen = []
    with connect(daemon) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        text = b""
        while True:
            try:
                more = sock.recv(65536)
            except ConnectionError:
                break
            if not more:
                break
            text += more
        seen = [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) ", text)]
    return seen


def test_hidden_by_the_library(daemon):
    """What libmicrohttpd hides from us gains nothing: no second request, no changed identity."""
    for name, data in (
            ("no Host", b"GET /health HTTP/1.1\r\n\r\n"),
            ("Content-Length +5", b"POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n{}"),
            ("Content-Length 2^64", b"POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\n"
                                    b"Content-Length: 18446744073709551616\r\n\r\n{}"),
            ("a bad chunk", b"POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: " + KEY.encode() +
             b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")):
        statuses = answers(daemon, data + SMUGGLED)
        # The library writes the head of some of its own refusals twice.
        check(f"{name}: refused, and nothing behind it served", set(statuses) <= {400, 413}, True)
    # A key hidden behind NUL, a bare line feed or a folded line is no key, and nothing is served twice.
    for name, data in (
            ("NUL before the key", b"X-API-Key: x\0" + KEY.encode() + b"\r\n"),
            ("folded line", b"X-Other: a\r\n X-API-Key: " + KEY.encode() + b"\r\n"),
            ("folded value", b"X-API-Key:\r\n wrong\r\n")):
        request = b"POST /api/kms/generate_key HTTP/1.1\r\nHost: a\r\n" + data + b"Connection: close\r\n\r\n"
        statuses = answers(daemon, request)
        check(f"{name} gives no identity", len(statuses) <= 1 and 200 not in statuses, True)
    statuses = answers(daemon, b"GET /health HTTP/1.1\nHost: a\nConnection: close\n\n")
    check("bare line feeds are one request", len(statuses) <= 1, True)


def test_http(daemon):
    status, headers, _ = call(daemon, "GET", "/nowhere")
    expect_error("unknown path", call(daemon, "GET", "/nowhere"), 404, "Not Found", "not_found",
                 "There is no such path")
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FROBNICATE", "post", "X" * 20):
        reply = call(daemon, method, "/api/kms/encrypt")
        check(f"{method} of encrypt", (reply[0], reply[1].get("allow"), reply[2]["code"]),
              (405, "POST", "method_not_allowed"))
    reply = call(daemon, "HEAD", "/api/kms/encrypt")
    check("HEAD of encrypt", (reply[0], reply[1].get("allow")), (405, "POST"))
    expect_error("GET with a body", call(daemon, "GET", "/health", {}), 400, "Validation Error", "validation_error",
                 "This request takes no body")
    reply = raw(daemon, b"GET /health HTTP/1.0\r\n\r\n")
    check("HTTP/1.0", (reply[0], reply[2]), (200, b'{"status":"healthy"}\n'))
    with connect(daemon) as sock:
        first = call(daemon, "GET", "/health", sock=sock)
        second = call(daemon, "POST", "/api/kms/generate_key", sock=sock)
        third = call(daemon, "POST", "/api/kms/encrypt", {"key_id": "x"}, key="wrong", sock=sock)
        fourth = call(daemon, "GET", "/health/live", sock=sock)
        check("one connection, four requests", [r[0] for r in (first, second, third, fourth)], [200, 200, 401, 200])
    with connect(daemon) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        check("pipelined requests", [read_pipelined(sock, 3)], [[200, 200, 200]])
    for sent, echoed in (("my-request.1_A", True), ("has space", False), ("x" * 65, False), ("", False)):
        _, headers, body = call(daemon, "GET", "/nowhere", headers=(f"X-Request-ID: {sent}",))
        got = headers["x-request-id"]
        is_uuid = bool(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", got))
        check(f"request id {sent[:20]!r}", (got == sent, is_uuid, body["request_id"] == got),
              (echoed, not echoed, True))


def read_pipelined(sock, count):
    text = b""
    while len(re.findall(rb'\{"status":"healthy"\}\n', text)) < count:
        more = sock.recv(65536)
        if not more:
            break
        text += more
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) ", text)]


# ---- cryptography ----

def test_round_trips(daemon, key_id):
    for name, text in (("empty", ""), ("with NUL", "a\0b"), ("of four bytes a character", "\U0001F511\U0010FFFF"),
                       ("with quotes and newlines", "\"\\\r\n\t"), ("of 100 KiB", "z" * 102400)):
        sealed = encrypt(daemon, key_id, text)[2]
        opened = decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])[2]
        check(f"text {name}", opened.get("plaintext"), text)
    for name, data in (("empty", b""), ("all bytes", bytes(range(256))), ("no UTF-8", b"\xff\xfe"),
                       ("that look like text", b"text")):
        sealed = call(daemon, "POST", "/api/kms/encrypt",
                      {"key_id": key_id, "plaintext_b64": base64.b64encode(data).decode()})[2]
        opened = decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])[2]
        check(f"bytes {name}", (opened.get("plaintext_b64"), "plaintext" in opened),
              (base64.b64encode(data).decode(), False))
    sealed = encrypt(daemon, key_id)[2]
    urlsafe = sealed["ciphertext"].replace("+", "-").replace("/", "_").rstrip("=")
    opened = decrypt(daemon, key_id=key_id, ciphertext=urlsafe, nonce=sealed["nonce"].rstrip("="))
    check("url-safe base64 without padding", opened[0], 200)
    opened = decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"], encoding="base64")
    check("text as base64 on request", opened[2].get("plaintext_b64"), base64.b64encode(PLAINTEXT.encode()).decode())
    opened = decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"], key_version=1)
    check("the stated version", opened[2].get("plaintext"), PLAINTEXT)
    data = call(daemon, "POST", "/api/kms/encrypt", {"key_id": key_id, "plaintext_b64": "eA=="})[2]
    invalid("bytes asked for as text", daemon, "/api/kms/decrypt",
            {"key_id": key_id, "ciphertext": data["ciphertext"], "nonce": data["nonce"], "encoding": "text"},
            "The data is no text: leave encoding out, or ask for base64")
    blob = encrypt(daemon, key_id, format="blob")[2]
    check("blob: members", list(blob), ["key_id", "ciphertext", "algorithm", "timestamp", "key_version"])
    check("blob: layout", base64.b64decode(blob["ciphertext"])[:5], b"\x01\x00\x00\x00\x01")
    check("blob opens", decrypt(daemon, key_id=key_id, ciphertext=blob["ciphertext"])[2].get("plaintext"), PLAINTEXT)
    bound = encrypt(daemon, key_id, context={"tenant": "a", "purpose": "p"})[2]
    opened = decrypt(daemon, key_id=key_id, ciphertext=bound["ciphertext"], nonce=bound["nonce"],
                     context={"purpose": "p", "tenant": "a"})
    check("context opens in any order", opened[2].get("plaintext"), PLAINTEXT)
    return bound


def flip(text, index):
    data = bytearray(base64.b64decode(text))
    data[index] ^= 1
    return base64.b64encode(bytes(data)).decode()


def test_one_identical_refusal(daemon, key_id, bound):
    other = make_key(daemon)
    sealed = encrypt(daemon, key_id)[2]
    blob = encrypt(daemon, key_id, format="blob")[2]["ciphertext"]
    ct, nonce = sealed["ciphertext"], sealed["nonce"]
    cases = {
        "wrong key": {"key_id": other, "ciphertext": ct, "nonce": nonce},
        "wrong tag": {"key_id": key_id, "ciphertext": flip(ct, -1), "nonce": nonce},
        "altered ciphertext": {"key_id": key_id, "ciphertext": flip(ct, 1), "nonce": nonce},
        "altered flag": {"key_id": key_id, "ciphertext": flip(ct, 0), "nonce": nonce},
        "wrong nonce": {"key_id": key_id, "ciphertext": ct, "nonce": flip(nonce, 0)},
        "nonce of 11 bytes": {"key_id": key_id, "ciphertext": ct, "nonce": base64.b64encode(b"n" * 11).decode()},
        "nonce of 13 bytes": {"key_id": key_id, "ciphertext": ct, "nonce": base64.b64encode(b"n" * 13).decode()},
        "empty nonce": {"key_id": key_id, "ciphertext": ct, "nonce": ""},
        "truncated tag": {"key_id": key_id, "ciphertext": base64.b64encode(base64.b64decode(ct)[:-1]).decode(),
                          "nonce": nonce},
        "tag alone": {"key_id": key_id, "ciphertext": base64.b64encode(b"t" * 16).decode(), "nonce": nonce},
        "empty ciphertext": {"key_id": key_id, "ciphertext": "", "nonce": nonce},
        "a version that never was": {"key_id": key_id, "ciphertext": ct, "nonce": nonce, "key_version": 9},
        "context added": {"key_id": key_id, "ciphertext": ct, "nonce": nonce, "context": {"a": "b"}},
        "context left out": {"key_id": key_id, "ciphertext": bound["ciphertext"], "nonce": bound["nonce"]},
        "context changed": {"key_id": key_id, "ciphertext": bound["ciphertext"], "nonce": bound["nonce"],
                            "context": {"tenant": "b", "purpose": "p"}},
        "blob altered": {"key_id": key_id, "ciphertext": flip(blob, -1)},
        "blob of another format": {"key_id": key_id, "ciphertext": flip(blob, 0)},
        "blob of another version": {"key_id": key_id, "ciphertext": flip(blob, 3)},
        "blob of version zero": {"key_id": key_id, "ciphertext": flip(blob, 4)},
        "blob cut short": {"key_id": key_id, "ciphertext": base64.b64encode(base64.b64decode(blob)[:20]).decode()},
        "blob that contradicts key_version": {"key_id": key_id, "ciphertext": blob, "key_version": 2},
        "blob under the wrong key": {"key_id": other, "ciphertext": blob},
        "split taken for a blob": {"key_id": key_id, "ciphertext": ct},
    }
    want_headers = None
    for name, members in cases.items():
        reply = decrypt(daemon, **members)
        expect_error(f"decrypt: {name}", reply, 400, "Validation Error", "decryption_failed",
                     "The data could not be decrypted")
        headers = {k: v for k, v in reply[1].items() if k not in ("date", "x-request-id", "content-length")}
        want_headers = want_headers or headers
        if headers != want_headers:
            check(f"decrypt: {name}: headers", headers, want_headers)


def test_key_states(daemon, home):
    key_id = make_key(daemon)
    old = encrypt(daemon, key_id)[2]
    old_blob = encrypt(daemon, key_id, format="blob")[2]
    path = key_path(home, key_id)
    scopekey(home, "key", "rotate", path)
    new = encrypt(daemon, key_id)[2]
    check("rotated: the new version seals", new["key_version"], 2)
    for name, sealed in (("old", old), ("new", new)):
        reply = decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])
        check(f"rotated: {name} ciphertext opens", reply[2].get("plaintext"), PLAINTEXT)
    check("rotated: old blob opens", decrypt(daemon, key_id=key_id, ciphertext=old_blob["ciphertext"])[0], 200)
    reply = decrypt(daemon, key_id=key_id, ciphertext=old["ciphertext"], nonce=old["nonce"], key_version=2)
    check("rotated: the wrong version", (reply[0], reply[2]["code"]), (400, "decryption_failed"))
    scopekey(home, "key", "disable", path)
    for name, reply in (("encrypt", encrypt(daemon, key_id)),
                        ("decrypt", decrypt(daemon, key_id=key_id, ciphertext=new["ciphertext"], nonce=new["nonce"]))):
        expect_error(f"disabled: {name}", reply, 409, "Conflict", "wrong_state",
                     "The key may not be used for that now")
    scopekey(home, "key", "enable", path)
    check("enabled again", encrypt(daemon, key_id)[0], 200)
    scopekey(home, "key", "destroy", path, "--yes")
    for name, reply in (("encrypt", encrypt(daemon, key_id)),
                        ("decrypt", decrypt(daemon, key_id=key_id, ciphertext=new["ciphertext"], nonce=new["nonce"]))):
        expect_error(f"destroyed: {name}", reply, 410, "Gone", "subject_erased", "It was erased")
    scopekey(home, "key", "create", "scopekey:client/default/signer", "--algorithm", "ec-p256")
    signer = key_by_name(home, "client/default", "signer")
    expect_error("a signing key does not encrypt", encrypt(daemon, signer), 409, "Conflict", "wrong_state",
                 "The key may not be used for that now")


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


def test_subjects(daemon, home):
    """client default may use subject/* in this set-up."""
    expect_error("a subject that is not provisioned",
                 call(daemon, "POST", "/api/kms/generate_key", {"subject": "nobody"}), 404, "Not Found",
                 "subject_not_found", "The subject is not provisioned")
    scopekey(home, "key", "create", f"scopekey:subject/{SUBJECT}/data", "--algorithm", "aes-256")
    key_id = key_by_name(home, f"subject/{SUBJECT}", "data")
    sealed = encrypt(daemon, key_id)[2]
    made = make_key(daemon, {"subject": SUBJECT})
    check("a key for a subject", key_path(home, made), f"scopekey:subject/{SUBJECT}/{made}")
    check("a subject's key works", decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"],
                                           nonce=sealed["nonce"])[2].get("plaintext"), PLAINTEXT)
    scopekey(home, "erase", f"subject/{SUBJECT}", "--yes")
    gone = (410, "Gone", "subject_erased", "It was erased")
    expect_error("erased: encrypt", encrypt(daemon, key_id), *gone)
    expect_error("erased: decrypt", decrypt(daemon, key_id=key_id, ciphertext=sealed["ciphertext"],
                                            nonce=sealed["nonce"]), *gone)
    expect_error("erased: the other key", encrypt(daemon, made), *gone)
    expect_error("erased: no new key", call(daemon, "POST", "/api/kms/generate_key", {"subject": SUBJECT}), *gone)
    check("others still work", encrypt(daemon, make_key(daemon))[0], 200)


def test_wall(home):
    """Without a grant, subjects' keys do not exist for client default."""
    scopekey(home, "key", "create", "scopekey:subject/bob/data", "--algorithm", "aes-256")
    key_id = key_by_name(home, "subject/bob", "data")
    daemon = Daemon(home)
    foreign = encrypt(daemon, key_id)
    unknown = encrypt(daemon, "key-" + "0" * 26)
    expect_error("another's key is unknown", foreign, 404, "Not Found", "key_not_found", "There is no such key")
    check("… byte for byte", without_changing(foreign[2]), without_changing(unknown[2]))
    expect_error("no key may be made for a subject",
                 call(daemon, "POST", "/api/kms/generate_key", {"subject": "bob"}), 403, "Permission Error",
                 "not_permitted", "The client may not name this subject")
    return daemon


def test_integrity(daemon, home):
    key_id = make_key(daemon)
    check("before its row was changed", encrypt(daemon, key_id)[0], 200)
    catalog = os.path.join(home, "catalog.db")
    with sqlite3.connect(catalog) as db:
        done = db.execute("UPDATE keys SET expires_s = expires_s + 1 WHERE key_id = ?", (key_id,))
        check("one row was changed by hand", done.rowcount, 1)
    db.close()
    expect_error("a changed row", encrypt(daemon, key_id), 500, "Internal Error", "integrity",
                 "A stored record was changed and is refused")


# ---- life ----

def test_restart(daemon, home):
    key_id = make_key(daemon)
    sealed = encrypt(daemon, key_id, MARK)[2]
    other = Daemon(home)
    reply = decrypt(other, key_id=key_id, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])
    check("two daemons on one catalog agree", reply[2].get("plaintext"), MARK)
    check("SIGTERM ends the second with 0", other.stop(), 0)
    killed = Daemon(home)
    second = encrypt(killed, make_key(killed), MARK)[2]
    killed.process.kill()
    killed.process.wait()
    again = Daemon(home)
    for name, s in (("before a restart", sealed), ("before SIGKILL", second)):
        reply = decrypt(again, key_id=s["key_id"], ciphertext=s["ciphertext"], nonce=s["nonce"])
        check(f"a key made {name} works", reply[2].get("plaintext"), MARK)
    return again, key_id


def test_drain(daemon, key_id):
    body = json.dumps({"key_id": key_id, "plaintext": PLAINTEXT}).encode()
    with connect(daemon) as sock, connect(daemon) as idle:
        idle_first = call(daemon, "GET", "/health/ready", sock=idle)
        head = f"POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\nContent-Type: application/json\r\n" \
               f"Content-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body[:10])
        time.sleep(0.3)
        daemon.process.send_signal(signal.SIGTERM)
        while True:
            try:
                connect(daemon).close()
                time.sleep(0.01)
            except ConnectionRefusedError:
                break
        check("draining: no new connection", daemon.process.poll(), None)
        reply = call(daemon, "GET", "/health/ready", sock=idle)
        check("draining: not ready", (idle_first[0], reply[0], reply[2]), (200, 503, {"status": "not ready"}))
        sock.sendall(body[10:])
        reply = read_reply(sock)
        check("draining: the request in flight is answered", (reply[0], reply[1]["connection"].lower()),
              (200, "close"))
    check("drained: exit status", daemon.process.wait(), 0)


def test_concurrency(daemon, key_id):
    errors = []

    def work(number):
        try:
            with connect(daemon) as sock:
                for i in range(25):
                    text = f"{number}-{i}"
                    sealed = call(daemon, "POST", "/api/kms/encrypt", {"key_id": key_id, "plaintext": text}, sock=sock)
                    opened = call(daemon, "POST", "/api/kms/decrypt",
                                  {k: sealed[2][k] for k in ("key_id", "ciphertext", "nonce")}, sock=sock)
                    if opened[2].get("plaintext") != text:
                        errors.append((text, opened))
        except Exception as e:  # a thread's failure must reach the check
            errors.append(repr(e))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    check("16 connections, 800 requests", errors, [])


def test_slow_client(daemon):
    with connect(daemon) as slow:
        slow.sendall(b"POST /api/kms/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: " + KEY.encode() +
                     b"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        check("a slow client keeps nobody waiting", [call(daemon, "GET", "/health/live", key=None)[0]
                                                     for _ in range(20)], [200] * 20)


def test_logs(daemons, home):
    text = "".join(d.text() for d in daemons)
    for name, secret in (("API key", KEY), ("second API key", KEY_2), ("plaintext", MARK), ("subject", SUBJECT),
                         ("sample plaintext", PLAINTEXT), ("PIN", "12345678")):
        check(f"no {name} in the logs", secret in text, False)
    lines = []
    for line in text.splitlines():
        if line.startswith("scopekeyd: ready on "):
            continue
        lines.append(json.loads(line))
    served = [e for e in lines if e["logger"] == "rest.encrypt" and e.get("status") == 200]
    check("log line of a request: members", list(served[0]),
          ["timestamp", "level", "logger", "message", "request_id", "key_id", "algorithm", "data_length", "status",
           "duration_us", "client"])
    check("log line of a request: values", (served[0]["level"], served[0]["message"], served[0]["algorithm"],
                                            served[0]["data_length"], served[0]["client"]),
          ("info", "request served", "AES-256-GCM", len(PLAINTEXT), "default"))
    refused = [e for e in lines if e.get("code") == "decryption_failed"]
    check("log line of a refusal", (refused[0]["logger"], refused[0]["status"], refused[0]["message"]),
          ("rest.decrypt", 400, "request refused"))
    warned = [e for e in lines if e["logger"] == "rest.auth" and "environment" in e["message"]]
    check("API_KEY from the environment warns", warned[0]["level"], "warning")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    home = make_setup("d")
    test_refusals_to_start(home)
    walled = test_wall(home)
    test_reload(home)
    check("exit", walled.stop(), 0)
    set_conf(home, "client default", "scopes = subject/*")
    daemon = Daemon(home)
    key_id = test_documented(daemon)
    test_curl(daemon, key_id)
    test_health(daemon)
    test_auth(daemon, key_id)
    test_bodies(daemon, key_id)
    test_lengths(daemon, key_id)
    test_smuggling(daemon)
    test_hidden_by_the_library(daemon)
    test_http(daemon)
    bound = test_round_trips(daemon, key_id)
    test_one_identical_refusal(daemon, key_id, bound)
    test_key_states(daemon, home)
    test_subjects(daemon, home)
    test_concurrency(daemon, key_id)
    test_slow_client(daemon)
    again, key_id = test_restart(daemon, home)
    test_integrity(again, home)
    test_drain(again, key_id)
    check("SIGTERM ends the first with 0", daemon.stop(), 0)
    test_logs([walled, daemon, again], home)
    print(f"{failures} failed")
    sys.exit(1 if failures else 0)


main()
