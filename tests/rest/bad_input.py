# SPDX-License-Identifier: MIT
"""What scopekeyd refuses, byte by byte."""
import json
import re
import socket
import subprocess

from harness import (
    call, check, connect, decrypt, encrypt, expect_error, invalid, is_closed, KEY, PLAINTEXT, raw, read_reply)


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
    for part in (b"", b"G", b"GET /health HTTP/1.1\r\nHost: a\r\nX-"):
        with connect(daemon) as sock:
            sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            check(f"a head that ends after {len(part)} bytes has no reply", read_reply(sock), None)
    with connect(daemon) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"a" * 33000 + b"\r\n\r\n")
        reply = read_reply(sock)
        check("headers over 32 KiB", (reply[0], is_closed(sock)), (431, True))
    with connect(daemon) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X-A: " + b"a" * 30000 + b"\r\n\r\n")
        check("headers under 32 KiB", read_reply(sock)[0], 200)


SMUGGLED = b"GET /api/kms/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


LIBRARY_REFUSES = not subprocess.run(["pkg-config", "--modversion", "libmicrohttpd"], stdout=subprocess.PIPE,
                                     check=True).stdout.startswith(b"0.")


def refused_and_closed(name, daemon, data, detail):
    """400 with our words, the connection closed, and the request behind it never answered."""
    with connect(daemon) as sock:
        sock.sendall(data + SMUGGLED)
        reply = read_reply(sock)
        # libmicrohttpd 1.0 refuses some of these by itself, in its own words, before we see them; older ones do not.
        if reply is not None and reply[1].get("content-type") != "application/json" and LIBRARY_REFUSES:
            check(f"{name} (by the library)", reply[0], 400)
        else:
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
