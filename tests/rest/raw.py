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

import harness
from bad_input import test_bodies, test_hidden_by_the_library, test_http, test_lengths, test_smuggling
from crypto import (
    test_integrity, test_key_states, test_kinds_of_keys, test_one_identical_refusal, test_round_trips, test_subjects,
    test_wall)
from harness import (
    call, check, connect, Daemon, decrypt, encrypt, environment, expect_error, KEY, KEY_2, make_key, make_setup,
    MARK, PLAINTEXT, read_reply, SCOPEKEYD, set_conf, start_refused, SUBJECT, WORK)

from metrics import test_metrics, test_metrics_off


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
    wrong_pin = os.path.join(WORK, "wrong.pin")
    with open(wrong_pin, "w", encoding="ascii") as f:
        f.write("87654321\n")
    os.chmod(wrong_pin, 0o600)
    other = os.path.join(home, "other.conf")
    for name, old, new, word in (("a wrong PIN", r"^pin_file = .*$", f"pin_file = {wrong_pin}", "PIN"),
                                 ("a token that is not there", r"^label = .*$", "label = nowhere", "nowhere")):
        with open(other, "w", encoding="utf-8") as f:
            f.write(re.sub(old, new, text, flags=re.M))
        done = subprocess.run([SCOPEKEYD, "--config", other, "--port", "0"], env=environment(home, **ready),
                              stderr=subprocess.PIPE, check=False)
        message = done.stderr.decode().splitlines()[-1]
        check(f"{name}: exit status, and what is wrong", (done.returncode, word in message), (5, True))
    os.remove(other)
    for name, value in (("PORT", "eighty"), ("PORT", "65536"), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")):
        done = subprocess.run([SCOPEKEYD], env=environment(home, **ready, **{name: value}), stderr=subprocess.PIPE,
                              check=False)
        check(f"{name}={value} is refused and named", (done.returncode, name in done.stderr.decode()), (10, True))


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
    # Only root may look into a process that is not dumpable.
    try:
        with open(f"/proc/{daemon.process.pid}/environ", "rb") as f:
            environ = f.read()
    except PermissionError:
        environ = b""
    check("the key is gone from the environment", KEY.encode() in environ, False)


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


def test_stop_under_load(home):
    """Every request that was sent before its connection was said to end is answered."""
    daemon = Daemon(home)
    key_id = make_key(daemon)
    errors, served = [], []

    def work():
        count = 0
        with connect(daemon) as sock:
            while True:
                reply = call(daemon, "POST", "/api/kms/encrypt", {"key_id": key_id, "plaintext": "x"}, sock=sock)
                if reply is None or reply[0] != 200:
                    errors.append(reply)
                    return
                count += 1
                if reply[1].get("connection", "").lower() == "close":
                    served.append(count)
                    return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(0.5)
    status = daemon.stop()
    for t in threads:
        t.join()
    check("SIGTERM under load: exit status", status, 0)
    check("SIGTERM under load: no request fails", (errors, len(served)), ([], 8))


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


def test_busy_catalog(daemon, home):
    """Another program holds the catalog's write lock: waiting ends, and nobody else waits."""
    with sqlite3.connect(os.path.join(home, "catalog.db"), isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        with connect(daemon) as sock:
            sock.sendall(f"POST /api/kms/generate_key HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n".encode())
            check("a locked catalog: others are served", [call(daemon, "GET", "/health/live")[0] for _ in range(20)],
                  [200] * 20)
            reply = read_reply(sock)
            expect_error("a locked catalog", reply, 504, "Keeper Timeout", "busy",
                         "No token session or lock became free in time")
            check("a locked catalog: Retry-After", reply[1].get("retry-after"), "1")
        db.execute("ROLLBACK")
    db.close()
    check("the catalog is free again", call(daemon, "POST", "/api/kms/generate_key")[0], 200)


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
    own = [e for e in lines if e["logger"] == "rest.http" and e["status"] == 400 and "code" not in e]
    check("what the library refused by itself is in the log", len(own) > 0, True)
    warned = [e for e in lines if e["logger"] == "rest.auth" and "environment" in e["message"]]
    check("API_KEY from the environment warns", warned[0]["level"], "warning")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    home = make_setup("d")
    test_refusals_to_start(home)
    # What init writes for development is taken away first.
    set_conf(home, "client default", "scopes =")
    walled = test_wall(home)
    test_reload(home)
    check("exit", walled.stop(), 0)
    set_conf(home, "client default", "scopes = subject/*")
    daemon = Daemon(home)
    key_id = test_documented(daemon)
    test_curl(daemon, key_id)
    test_health(daemon)
    test_metrics(daemon, key_id)
    test_metrics_off()
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
    test_kinds_of_keys(daemon)
    test_concurrency(daemon, key_id)
    test_stop_under_load(home)
    test_slow_client(daemon)
    test_busy_catalog(daemon, home)
    again, key_id = test_restart(daemon, home)
    test_integrity(again, home)
    test_drain(again, key_id)
    check("SIGTERM ends the first with 0", daemon.stop(), 0)
    test_logs([walled, daemon, again], home)
    print(f"# {harness.failures} failed")
    sys.exit(1 if harness.failures else 0)


main()
