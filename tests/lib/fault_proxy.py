#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A proxy that misbehaves as told, between a client and a real HTTP server: see fault_proxy.sh.

  fault_proxy.py --upstream URL --dir DIR [--ca FILE] [--bytes]
                 [--tls CERT KEY [--tls-1.1] [--client-ca FILE] [--break-handshakes COUNT]]

Listens on 127.0.0.1; DIR/port holds the port once it does.  DIR/record has one line of JSON for each request (number, time,
method, path, names of headers, size of the body, what was done) and for each connection; with --bytes DIR/heads, DIR/bodies and
DIR/answers hold what was sent.  Over the socket DIR/control: PUT /rules (a JSON list) begins a new count.

A rule is used for a request that fits it; the first that fits wins, no rule passes the request on:
  path, method, body   regular expressions that must be found
  skip, times          let so many go by first; fit at most so often
  do                   a fault by name, below; its parameters stand beside it
  keep                 remember the server's answer under this name, for `replay`
"""
import argparse
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import urllib.parse


class Gone(Exception):
    """The other side left, or cannot be reached."""


class Reader:
    """Reads HTTP/1.1 messages off a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def more(self):
        try:
            got = self.sock.recv(65536)
        except OSError as e:
            raise Gone(str(e)) from e
        if not got:
            raise Gone("closed")
        self.buffer += got

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head + mark

    def exactly(self, count):
        while len(self.buffer) < count:
            self.more()
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out

    def rest(self):
        try:
            while True:
                self.more()
        except Gone:
            out, self.buffer = self.buffer, b""
            return out

    def chunked(self):
        out = b""
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            out += self.exactly(size)
            self.until(b"\r\n")
            if size == 0:
                return out


class Message:
    """A request or an answer: first line, headers, whole body."""

    def __init__(self, head, body=b""):
        lines = head.decode("latin-1").split("\r\n")
        self.first = lines[0].split(" ", 2)
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]
        self.head = head
        self.body = body

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def answer_bytes(self):
        kept = [(k, v) for k, v in self.headers if k.lower() not in ("content-length", "transfer-encoding")]
        lines = [" ".join(self.first)] + [f"{k}: {v}" for k, v in kept]
        if self.first[1] != "204":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Upstream:
    """The connection to the real server that belongs to one connection of a client."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.sock = None
        self.reader = None

    def connect(self):
        try:
            self.sock = socket.create_connection(self.proxy.upstream, timeout=60)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.proxy.upstream_tls:
                self.sock = self.proxy.upstream_tls.wrap_socket(self.sock, server_hostname=self.proxy.upstream[0])
        except OSError as e:
            raise Gone(str(e)) from e
        self.reader = Reader(self.sock)

    def close(self):
        if self.sock is not None:
            self.sock.close()
        self.sock = None

    def once(self, request):
        self.sock.sendall(request.head + request.body)
        head = self.reader.until(b"\r\n\r\n")
        answer = Message(head)
        length = answer.header("Content-Length")
        if answer.first[1] in ("204", "304") or request.first[0] == "HEAD":
            pass
        elif (answer.header("Transfer-Encoding") or "").lower() == "chunked":
            answer.body = self.reader.chunked()
        elif length is not None:
            answer.body = self.reader.exactly(int(length))
        else:
            answer.body = self.reader.rest()
            self.close()
        return answer

    def ask(self, request):
        fresh = self.sock is None
        if fresh:
            self.connect()
        try:
            return self.once(request)
        except (Gone, OSError) as e:
            self.close()
            if fresh:
                raise Gone(str(e)) from e
        # The server closed it while it was idle.
        self.connect()
        try:
            return self.once(request)
        except (Gone, OSError) as e:
            self.close()
            raise Gone(str(e)) from e


class Exchange:
    """One request, and how it is answered."""

    def __init__(self, proxy, sock, upstream, request, rule):
        self.proxy, self.sock, self.upstream, self.request, self.rule = proxy, sock, upstream, request, rule

    def send(self, data):
        self.sock.sendall(data)
        self.proxy.write("answers", data)

    def ask(self):
        answer = self.upstream.ask(self.request)
        if "keep" in self.rule:
            self.proxy.kept[self.rule["keep"]] = answer
        return answer

    def give(self, answer):
        self.send(answer.answer_bytes() + answer.body)
        return True

    def reset(self):
        """The next close() sends RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def made_up(self):
        """The answer that the rule spells: status, headers, and one of json, text, nesting and size as the body."""
        rule = self.rule
        status = rule.get("status", 200)
        if "json" in rule:
            body = json.dumps(rule["json"]).encode()
        elif "nesting" in rule:
            body = b"[" * rule["nesting"] + b"]" * rule["nesting"]
        elif "size" in rule:
            body = b'{"data":"' + b"x" * rule["size"] + b'"}'
        else:
            body = rule.get("text", "").encode("latin-1")
        answer = Message(f"HTTP/1.1 {status} Made up\r\n\r\n".encode("latin-1"), body)
        answer.headers = [("Content-Type", "application/json")] + [(k, v) for k, v in rule.get("headers", {}).items()]
        return answer


def set_path(value, path, new):
    """Set (or, with new = ..., remove) a member: data.batch_results.0.plaintext."""
    *way, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    for step in way:
        value = value[step]
    if new is ...:
        del value[last]
    else:
        value[last] = new


# ---- the faults ----

def do_pass(x):
    """As it is."""
    return x.give(x.ask())


def do_delay(x):
    """After `ms`."""
    time.sleep(x.rule["ms"] / 1000)
    return x.give(x.ask())


def do_hang(x):
    """Never, until the client leaves."""
    try:
        Reader(x.sock).rest()
    except OSError:
        pass
    return False


def do_reset(x):
    """RST; the server does not see the request."""
    return x.reset()


def do_close(x):
    """Closed without an answer; the server does not see the request."""
    del x
    return False


def do_reset_after(x):
    """The server answers, and RST comes instead."""
    x.ask()
    return x.reset()


def do_half(x):
    """Half of the body (or with `head`: of the headers), then the end; with `reset`: RST."""
    answer = x.ask()
    head = answer.answer_bytes()
    x.send(head[:len(head) // 2] if x.rule.get("head") else head + answer.body[:len(answer.body) // 2])
    return x.reset() if x.rule.get("reset") else False


def do_answer(x):
    """What the rule says; the server does not see the request, unless `ask` is true."""
    if x.rule.get("ask"):
        x.ask()
    return x.give(x.made_up())


def do_edit(x):
    """The server's answer after `set` (member: value), `drop` (members), `sub` (pattern, text) and `status`."""
    answer = x.ask()
    rule = x.rule
    if "set" in rule or "drop" in rule or rule.get("reverse"):
        body = json.loads(answer.body)
        for path, value in rule.get("set", {}).items():
            set_path(body, path, value)
        for path in rule.get("drop", []):
            set_path(body, path, ...)
        if rule.get("reverse"):
            body["data"]["batch_results"].reverse()
        answer.body = json.dumps(body).encode()
    if "sub" in rule:
        answer.body = re.sub(rule["sub"][0].encode(), rule["sub"][1].encode(), answer.body)
    if "status" in rule:
        answer.first[1] = str(rule["status"])
    return x.give(answer)


def do_replay(x):
    """The answer that was kept under the name `of`; the server sees the request all the same."""
    x.ask()
    return x.give(x.proxy.kept[x.rule["of"]])


def do_trickle(x):
    """`step` bytes every `ms`."""
    answer = x.ask()
    data = answer.answer_bytes() + answer.body
    for at in range(0, len(data), x.rule["step"]):
        x.send(data[at:at + x.rule["step"]])
        time.sleep(x.rule["ms"] / 1000)
    return True


def do_length(x):
    """Content-Length is wrong by `by`, or is the text `says`; then the connection ends."""
    answer = x.ask()
    says = x.rule.get("says", str(len(answer.body) + x.rule.get("by", 0)))
    head = re.sub(rb"Content-Length: \d+", b"Content-Length: " + says.encode(), answer.answer_bytes())
    x.send(head + answer.body)
    return False


CHUNKS = {
    "bytes": (b"", b"0\r\n\r\n", True),
    "extension": (b";a=b;c=\"d\"", b"0\r\n\r\n", True),
    "trailer": (b"", b"0\r\nX-Trailer: a\r\n\r\n", True),
    "unfinished": (b"", b"", False),
    "no_number": (b"", b"zz\r\nx\r\n0\r\n\r\n", False),
    "huge": (b"", b"ffffffffffffffff\r\nx", False),
    "negative": (b"", b"-1\r\nx\r\n0\r\n\r\n", False),
}


def do_chunked(x):
    """The body in chunks of one byte, ended as the `kind` of CHUNKS says."""
    extension, end, alive = CHUNKS[x.rule["kind"]]
    answer = x.ask()
    head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", answer.answer_bytes())
    x.send(head + b"".join(b"1" + extension + b"\r\n" + answer.body[i:i + 1] + b"\r\n"
                           for i in range(len(answer.body))) + end)
    return alive


def do_continue(x):
    """`count` times 100 Continue first."""
    x.send(b"HTTP/1.1 100 Continue\r\n\r\n" * x.rule.get("count", 1))
    return x.give(x.ask())


def do_raw(x):
    """The bytes of `text` (latin-1) and the end."""
    x.send(x.rule["text"].encode("latin-1"))
    return False


FAULTS = {name[3:]: f for name, f in list(globals().items()) if name.startswith("do_")}


class Proxy:
    """What all connections share."""

    def __init__(self, args):
        url = urllib.parse.urlsplit(args.upstream)
        self.upstream = (url.hostname, url.port)
        self.upstream_tls = ssl.create_default_context(cafile=args.ca) if url.scheme == "https" else None
        if self.upstream_tls is not None:
            # Python 3.13 asks test CAs for extensions that no client of theirs needs.
            self.upstream_tls.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        self.tls = None
        if args.tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if args.old_tls:
                self.tls.minimum_version = self.tls.maximum_version = ssl.TLSVersion.TLSv1_1
                self.tls.set_ciphers("ALL:@SECLEVEL=0")
            self.tls.load_cert_chain(*args.tls)
            if args.client_ca:
                self.tls.load_verify_locations(args.client_ca)
                self.tls.verify_mode = ssl.CERT_REQUIRED
        self.breaks = args.break_handshakes
        self.dir = args.dir
        self.lock = threading.Lock()
        self.rules, self.kept = [], {}
        self.number = 0
        self.files = {name: open(os.path.join(args.dir, name), "wb", buffering=0)  # pylint: disable=consider-using-with
                      for name in ["record"] + (["heads", "bodies", "answers"] if args.bytes else [])}

    def write(self, name, data):
        if name in self.files:
            with self.lock:
                self.files[name].write(data)

    def record(self, **what):
        self.write("record", json.dumps(what).encode() + b"\n")

    def set_rules(self, rules):
        for rule in rules:
            if rule["do"] not in FAULTS:
                raise KeyError(rule["do"])
            rule.setdefault("skip", 0)
        with self.lock:
            self.rules, self.number = rules, 0
            self.files["record"].truncate(0)
            self.files["record"].seek(0)

    def choose(self, request):
        with self.lock:
            self.number += 1
            for rule in self.rules:
                if not (re.search(rule.get("path", ""), request.first[1]) and
                        re.search(rule.get("method", ""), request.first[0]) and
                        re.search(rule.get("body", "").encode(), request.body)) or rule.get("times") == 0:
                    continue
                if rule["skip"] > 0:
                    rule["skip"] -= 1
                    continue
                if "times" in rule:
                    rule["times"] -= 1
                return self.number, rule
            return self.number, {"do": "pass"}


class Connection(socketserver.BaseRequestHandler):
    """One connection of the client's."""

    def read_request(self, reader):
        request = Message(reader.until(b"\r\n\r\n"))
        length = request.header("Content-Length")
        if (request.header("Expect") or "").lower() == "100-continue":
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.head = re.sub(rb"Expect: [^\r]*\r\n", b"", request.head)
        if length is not None:
            request.body = reader.exactly(int(length))
        return request

    def serve(self, proxy, upstream, reader):
        request = self.read_request(reader)
        proxy.write("heads", request.head)
        proxy.write("bodies", request.body + b"\n")
        number, rule = proxy.choose(request)
        proxy.record(n=number, at=time.monotonic(), method=request.first[0], path=request.first[1], did=rule["do"],
                     headers=[k for k, _ in request.headers], body=len(request.body))
        x = Exchange(proxy, self.request, upstream, request, rule)
        try:
            return FAULTS[rule["do"]](x)
        except Gone:
            # What the client would see if it spoke to the server itself.
            return x.reset()

    def shake_hands(self, proxy):
        plain = socket.socket(fileno=os.dup(self.request.fileno()))
        try:
            return proxy.tls.wrap_socket(self.request, server_side=True)
        except ssl.SSLError:
            # What the client wrote meanwhile would turn the end into a reset, and it would not see why.
            plain.shutdown(socket.SHUT_WR)
            Reader(plain).rest()
            raise
        finally:
            plain.close()

    def handle(self):
        proxy = self.server.proxy
        upstream = Upstream(proxy)
        proxy.record(connection=True)
        try:
            if proxy.breaks > 0:
                proxy.breaks -= 1
                self.request.recv(64)
                return
            if proxy.tls is not None:
                self.request = self.shake_hands(proxy)
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = Reader(self.request)
            while self.serve(proxy, upstream, reader):
                pass
        except (Gone, OSError):
            pass
        finally:
            upstream.close()
            self.request.close()


class Server(socketserver.ThreadingTCPServer):
    """Clients come here."""
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def shutdown_request(self, request):
        # An orderly end would come before the reset that a fault has asked for.
        self.close_request(request)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Control(http.server.BaseHTTPRequestHandler):
    """PUT /rules."""

    def do_PUT(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self.server.proxy.set_rules(json.loads(body))
            self.send_response(204)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            self.send_error(400, f"bad rules: {e!r}")
        self.end_headers()

    def address_string(self):
        return "control"

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--ca")
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--tls-1.1", dest="old_tls", action="store_true")
    parser.add_argument("--client-ca", metavar="FILE")
    parser.add_argument("--break-handshakes", type=int, default=0, metavar="COUNT")
    parser.add_argument("--bytes", action="store_true")
    args = parser.parse_args()
    proxy = Proxy(args)
    control = socketserver.ThreadingUnixStreamServer(os.path.join(args.dir, "control"), Control)
    control.daemon_threads = True
    control.proxy = proxy
    threading.Thread(target=control.serve_forever, daemon=True).start()
    server = Server(("127.0.0.1", 0), Connection)
    server.proxy = proxy
    with open(os.path.join(args.dir, "port.new"), "w", encoding="ascii") as f:
        f.write(f"{server.server_address[1]}\n")
    os.rename(os.path.join(args.dir, "port.new"), os.path.join(args.dir, "port"))
    server.serve_forever()


main()
