#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The formats of docs/formats.md and docs/file-format.md, written a second time from the documents alone.

Python's standard library and AES-256-ECB of the openssl command line; nothing of Scopekey is used.  Compares with
tests/core/vectors/formats.txt; with --print writes what that file should hold.
"""

import base64
import hashlib
import hmac
import os
import struct
import subprocess
import sys
import urllib.parse
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(HERE, "vectors", "formats.txt")


def run(first, count):
    """Bytes that count up from `first`."""
    return bytes((first + i) & 255 for i in range(count))


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def u64(n):
    return struct.pack(">Q", n)


def sha256(data):
    return hashlib.sha256(data).digest()


def mac256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf_expand(key, info, length, digest):
    out, block, n = b"", b"", 0
    while len(out) < length:
        n += 1
        block = hmac.new(key, block + info + bytes([n]), digest).digest()
        out += block
    return out[:length]


def aes_ecb(key, data):
    done = subprocess.run(["openssl", "enc", "-aes-256-ecb", "-nopad", "-K", key.hex()], input=data,
                          stdout=subprocess.PIPE, check=True)
    return done.stdout


def ghash(h, data):
    """SP 800-38D algorithms 1 and 2."""
    h, y = int.from_bytes(h, "big"), 0
    for i in range(0, len(data), 16):
        x, z, v = y ^ int.from_bytes(data[i:i + 16], "big"), 0, h
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, "big")


def gcm(key, nonce, aad, plain):
    """AES-256-GCM, SP 800-38D algorithm 4: ciphertext and tag."""
    blocks = (len(plain) + 15) // 16
    counters = b"".join(nonce + u32(i + 1) for i in range(blocks + 1))
    out = aes_ecb(key, bytes(16) + counters)
    h, mask, stream = out[:16], out[16:32], out[32:]
    ciphertext = bytes(a ^ b for a, b in zip(plain, stream))

    def padded(data):
        return data + bytes(-len(data) % 16)

    s = ghash(h, padded(aad) + padded(ciphertext) + u64(8 * len(aad)) + u64(8 * len(ciphertext)))
    return ciphertext + bytes(a ^ b for a, b in zip(s, mask))


def percent(text):
    return urllib.parse.quote(text.encode(), safe="")


def pairs(values):
    out = u16(len(values))
    for key in sorted(values, key=str.encode):
        value = values[key].encode()
        out += u16(len(key)) + key.encode() + u16(len(value)) + value
    return out


def base32hex(data):
    return base64.b32hexencode(data).decode().lower().rstrip("=")


# The inputs, as docs/formats.md gives them.
DEK = run(0x00, 32)
KEK = run(0x40, 32)
MAC_KEY = run(0x60, 32)
NAME_KEY = run(0xA0, 32)
CATALOG_ID = bytes(range(15, -1, -1))
SUBJECT = "alice@example.com"
UUID_MS = 0x0190163D8694
UUID_RANDOM = bytes.fromhex("139b2ea5966c26f8ad91")


def make_uuid7():
    b = bytearray(UUID_MS.to_bytes(6, "big") + UUID_RANDOM)
    b[6] = 0x70 | b[6] & 0x0F
    b[8] = 0x80 | b[8] & 0x3F
    return bytes(b)


def contexts(v):
    record = str(uuid.UUID(bytes=v["uuid7"]))
    scope = "subject/" + percent(SUBJECT)
    tenant = "blue; gr\u00fcn"
    v["context"] = pairs({"scope": scope, "generation": "1", "purpose": "message", "id": record, "format": "1",
                          "created": "2025-06-14T12:30:00Z", "env": "production", "x_tenant": tenant})
    v["context_hash"] = sha256(v["context"])
    v["context_text"] = ";".join(name + "=" + percent(value) for name, value in (
        ("subjectId", SUBJECT), ("timestamp", "2025-06-14T12:30:00Z"), ("version", "1"), ("env", "production"),
        ("generation", "1"), ("id", record), ("purpose", "message"), ("x_tenant", tenant)))


def names(v):
    def owner(kind, generation, ident):
        return kind + u32(generation) + ident

    alice = owner(b"S", 1, SUBJECT.encode())
    v["kek_name_input"] = b"kek-name/v1" + alice
    v["kek_name_keyed"] = "sk--k--" + base32hex(mac256(NAME_KEY, v["kek_name_input"]))
    v["kek_name_direct"] = "sk--" + "".join(
        c if c.isascii() and (c.islower() or c.isdigit()) else "-%02x" % ord(c) for c in SUBJECT)
    v["kek_name_hashed"] = "sk--h--" + base32hex(sha256(owner(b"S", 2, SUBJECT.encode())))
    v["kek_name_client"] = "sk--h--" + base32hex(sha256(owner(b"C", 1, b"default")))
    v["kek_name_files"] = "sk--h--" + base32hex(sha256(owner(b"F", 1, b"")))
    v["tomb_input"] = b"tomb/v1" + alice
    v["tomb_hash"] = mac256(NAME_KEY, v["tomb_input"])
    v["tomb_key_id"] = mac256(NAME_KEY, b"tomb/v1" + owner(b"K", 1, v["key_id"].encode()))


def deks(v):
    v["payload"] = bytes.fromhex("53434b44454b0001") + DEK + v["context_hash"]
    v["wdek_aad"] = b"wdek/v1" + v["kek_name_keyed"].encode() + u32(2)
    nonce = run(0xC0, 12)
    blob = nonce + gcm(KEK, nonce, v["wdek_aad"], v["payload"])
    v["wrapped_token"] = b"\1\1" + u32(1) + u32(2) + u16(len(blob)) + blob
    blob = b"vault:v3:AAECAwQFBgcICQoLDA0ODw=="
    v["wrapped_vault"] = b"\1\2" + u32(1) + u32(3) + u16(len(blob)) + blob
    blob = b"78deebed173b48e48f55abf87ed4cf71\0" + run(0xE0, 32)
    v["wdek_mac_input"] = b"wdek/v1" + v["kek_name_keyed"].encode() + u32(4) + blob
    v["wrapped_azure"] = b"\1\3" + u32(1) + u32(4) + u16(len(blob)) + blob + mac256(MAC_KEY, v["wdek_mac_input"])


def seals(v):
    salt = run(0x80, 32)
    info = b"scopekey-seal/v1" + sha256(v["context"])
    okm = hkdf_expand(mac256(salt, DEK), info, 76, hashlib.sha256)
    v["seal_okm"] = okm
    v["seal"] = b"\1\1" + salt + okm[44:] + gcm(okm[:32], okm[32:44], b"", b"layer 1 of a key")
    okm = hkdf_expand(mac256(salt, DEK), b"scopekey-seal/v1" + sha256(v["context"] + b"letter 7"), 76, hashlib.sha256)
    v["message"] = b"SCKM\1" + u16(len(v["context"])) + v["context"] + u16(len(v["wrapped_vault"])) + v["wrapped_vault"]
    v["message"] += b"\1\1" + salt + okm[44:] + gcm(okm[:32], okm[32:44], b"", b"Dear Alice,")


def rows(v):
    def name(text):
        return u16(len(text)) + text.encode()

    v["row_key_input"] = b"row/v1" + CATALOG_ID
    v["row_key"] = mac256(MAC_KEY, v["row_key_input"])
    v["row"] = (b"\1" + name("keys") + CATALOG_ID + u16(5) +
                name("id") + b"\3" + u32(16) + v["uuid7"] +
                name("name") + b"\2" + u32(3) + b"tls" +
                name("version") + b"\1" + u64(2) +
                name("offset") + b"\1" + struct.pack(">q", -1) +
                name("expires") + b"\0")
    v["row_mac"] = mac256(v["row_key"], v["row"])


def rest(v):
    v["rest_context"] = pairs({"tenant": "blue"})
    v["rest_aad"] = b"scopekey-rest/v1" + u16(len(v["key_id"])) + v["key_id"].encode() + u32(2) + v["rest_context"]
    nonce = run(0x30, 12)
    v["rest_blob"] = b"\1" + u32(2) + nonce + gcm(DEK, nonce, v["rest_aad"], b"\0Hello, World!")


def file(v):
    plain = b"Hello, Scopekey. This is a small file.\r\n"
    meta = u16(1) + u16(4) + u32(0o644) + u16(4) + u16(9) + b"hello.txt"
    start = bytes.fromhex("8e534b460d0a1a0a") + b"\1\1"
    body_off = (64 + len(meta) + 7) // 8 * 8
    ids = v["uuid7"] + run(0x20, 16)
    head = start + u16(2) + u32(body_off) + ids + u32(body_off) + u16(0) + u16(0) + u32(len(meta)) + u32(0) + meta
    v["file_head"] = head + bytes(body_off - len(head))
    v["file_aad"] = b"scopekey-file-v1\0" + start + u16(2) + ids + u32(len(meta)) + meta
    prefix = b"\0\0" + u32(64) + u32(32) + run(0xD0, 32)

    def kdf(key, purpose, length):
        return hkdf_expand(key, prefix + purpose + v["file_aad"], length, hashlib.sha384)

    v["file_floe_header"] = prefix + kdf(DEK, b"HEADER_TAG:", 32)
    v["file_message_key"] = kdf(DEK, b"MESSAGE_KEY:", 48)
    v["file_segment_key"] = kdf(v["file_message_key"], b"DEK:" + u64(0), 32)
    first = run(0x00, 12)
    last = run(0x10, 12)
    v["file_segment_0"] = u32(0xFFFFFFFF) + first + gcm(v["file_segment_key"], first, u64(0) + b"\0", plain[:32])
    far, far_nonce = (1 << 20) + 1, run(0x20, 12)
    v["file_far_key"] = kdf(v["file_message_key"], b"DEK:" + u64(1 << 20), 32)
    v["file_far_segment"] = u32(0xFFFFFFFF) + far_nonce + gcm(v["file_far_key"], far_nonce, u64(far) + b"\0", plain[:32])
    v["file_segment_1"] = u32(8 + 32) + last + gcm(v["file_segment_key"], last, u64(1) + b"\1", plain[32:])


def compute():
    v = {"uuid7": make_uuid7()}
    v["key_id"] = "key-" + base32hex(v["uuid7"])
    v["keypair_id"] = "keypair-" + base32hex(v["uuid7"])
    v["label"] = "subject/" + percent(SUBJECT) + "/tls"
    v["uri"] = "scopekey:" + v["label"] + "?version=2&type=private"
    contexts(v)
    names(v)
    deks(v)
    seals(v)
    rows(v)
    rest(v)
    file(v)
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in v.items()}


def main():
    computed = compute()
    if sys.argv[1:] == ["--print"]:
        print("# SPDX-License-Identifier: MIT")
        print("# Test vectors of docs/formats.md and docs/file-format.md: a name, a space, hex or text.")
        for name, value in computed.items():
            print(name, value)
        return 0
    stored = {}
    with open(VECTORS, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                name, value = line.rstrip("\n").split(" ", 1)
                stored[name] = value
    failed = 0
    for name in list(computed) + [n for n in stored if n not in computed]:
        good = computed.get(name) == stored.get(name)
        failed += not good
        print("ok" if good else "not ok", "-", name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
