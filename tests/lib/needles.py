#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks for secrets where they must not be.

  needles.py deks PROXY-DIR...          what went to and from a transit engine through fault_proxy.py --bytes: a line for
                                        each DEK, as the other commands read them
  needles.py find NEEDLES FILE...       one line for each place in a file
  needles.py memory NEEDLES PID         one line for each place in what a process has mapped and may write

A line of NEEDLES is a label, a tab and the secret in hexadecimal.  Each is looked for as it is, in hexadecimal, in base64
at each alignment, percent-encoded and in UTF-16.  Exits 0 when nothing is found, 1 otherwise.
"""
import base64
import os
import re
import sys
import urllib.parse

PAYLOAD = re.compile(rb'"plaintext":"([A-Za-z0-9+/]{96})"')
MAGIC = b"SCKDEK\x00\x01"


def spellings(secret):
    """How a secret may be written, without what depends on its neighbours."""
    yield "plain", secret
    yield "hex", secret.hex().encode()
    yield "HEX", secret.hex().upper().encode()
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret)
        first = (shift * 8 + 5) // 6
        last = (shift + len(secret)) * 8 // 6
        yield f"base64+{shift}", text[first:last]
        if b"+" in text or b"/" in text:
            yield f"base64url+{shift}", text[first:last].replace(b"+", b"-").replace(b"/", b"_")
    quoted = urllib.parse.quote_from_bytes(secret, safe="").encode()
    if quoted != secret:
        yield "percent", quoted
    if secret.isascii():
        yield "UTF-16", secret.decode("ascii").encode("utf-16-le")


def read_needles(path):
    with open(path, encoding="ascii") as f:
        for line in f:
            label, value = line.rstrip("\n").split("\t")
            for how, spelling in spellings(bytes.fromhex(value)):
                # Too short to mean anything.
                if len(spelling) >= 6:
                    yield f"{label} ({how})", spelling


def search(needles, data, where):
    found = 0
    for label, needle in needles:
        at = data.find(needle)
        if at >= 0:
            found += 1
            print(f"{label} {where} at {at:#x}")
    return found


def deks(folders):
    seen = set()
    for folder in folders:
        for name in ("bodies", "answers"):
            with open(os.path.join(folder, name), "rb") as f:
                for text in PAYLOAD.findall(f.read()):
                    payload = base64.b64decode(text)
                    if payload.startswith(MAGIC):
                        seen.add(payload[8:40])
    for number, dek in enumerate(sorted(seen)):
        print(f"DEK {number}\t{dek.hex()}")
    return 0


def find(needles, paths):
    found = 0
    for path in paths:
        with open(path, "rb") as f:
            found += search(needles, f.read(), f"in {path}")
    return found


def memory(needles, pid):
    found = 0
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(x, 16) for x in span.split("-"))
            mem.seek(start)
            try:
                data = mem.read(end - start)
            except OSError:
                continue
            found += search(needles, data, f"in {line.rstrip()}")
    return found


def main():
    command, *rest = sys.argv[1:]
    if command == "deks":
        return deks(rest)
    needles = list(read_needles(rest[0]))
    if not needles:
        print("there is nothing to look for")
        return 2
    found = find(needles, rest[1:]) if command == "find" else memory(needles, rest[1])
    return 1 if found else 0


sys.exit(main())
