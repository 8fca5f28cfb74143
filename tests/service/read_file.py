#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A reader of Scopekey files, written from docs/file-format.md alone.

read_file.py FILE            the plaintext on standard output, nothing unless all of it is good
The file's DEK is read from standard input, 64 hexadecimal digits.
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import struct
import sys

MAGIC = bytes.fromhex("8e534b460d0a1a0a")


class Bad(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Bad(what)


def expand(key, info, length):
    """HKDF-Expand with SHA-384, RFC 5869 section 2.3."""
    out, block, count = b"", b"", 1
    while len(out) < length:
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha384).digest()
        out, count = out + block, count + 1
    return out[:length]


class Gcm:
    """AES-256-GCM decryption by libcrypto, as Python's own library has none."""

    def __init__(self):
        lib = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
        lib.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
        lib.EVP_aes_256_gcm.restype = ctypes.c_void_p
        self.lib = lib

    def open(self, key, nonce, aad, ciphertext, tag):
        lib, n = self.lib, ctypes.c_int()
        out = ctypes.create_string_buffer(len(ciphertext) + 16)
        ctx = ctypes.c_void_p(lib.EVP_CIPHER_CTX_new())
        good = (
            lib.EVP_DecryptInit_ex(ctx, ctypes.c_void_p(lib.EVP_aes_256_gcm()), None, key, nonce) == 1
            and lib.EVP_DecryptUpdate(ctx, None, ctypes.byref(n), aad, len(aad)) == 1
            and (not ciphertext or lib.EVP_DecryptUpdate(ctx, out, ctypes.byref(n), ciphertext, len(ciphertext)) == 1)
            and lib.EVP_CIPHER_CTX_ctrl(ctx, 0x11, 16, tag) == 1  # EVP_CTRL_AEAD_SET_TAG
            and lib.EVP_DecryptFinal_ex(ctx, ctypes.create_string_buffer(16), ctypes.byref(n)) == 1
        )
        lib.EVP_CIPHER_CTX_free(ctx)
        need(good, "a segment was altered")
        return out.raw[: len(ciphertext)]


def read_head(data):
    """The head; gives FLOE's AAD and where the body begins."""
    need(len(data) >= 64, "shorter than a head")
    magic, version, suite, flags, body_off, file_id, dek_id, slot_off, slot_size, slots, meta_len, zero = struct.unpack(
        ">8sBBHI16s16sIHHII", data[:64])
    need(magic == MAGIC and version == 1 and suite == 1, "not a Scopekey file")
    need(flags & ~3 == 0 and zero == 0 and meta_len <= 16384, "unknown flags")
    need((flags & 2 != 0) == (meta_len > 0) and (flags & 1 != 0) == (slots > 0), "flags")
    need(slot_off == (64 + meta_len + 7) // 8 * 8 and body_off == slot_off + slot_size * slots, "offsets")
    need(len(data) >= body_off and not any(data[64 + meta_len : slot_off]), "padding")
    meta = data[64 : 64 + meta_len]
    aad = b"scopekey-file-v1\0" + data[:10] + struct.pack(">H", flags & ~1)
    return aad + file_id + dek_id + struct.pack(">I", meta_len) + meta, body_off


def read_body(dek, aad, body):
    need(len(body) >= 74 + 32, "shorter than a FLOE header and a segment")
    params, iv, tag = body[:10], body[10:42], body[42:74]
    zero, size, iv_len = struct.unpack(">HII", params)
    need(zero == 0 and iv_len == 32 and 33 <= size <= 67108896, "unknown parameters")

    def kdf(key, purpose, length):
        return expand(key, params + iv + purpose + aad, length)

    need(hmac.compare_digest(kdf(dek, b"HEADER_TAG:", 32), tag), "another key, or an altered header")
    message_key = kdf(dek, b"MESSAGE_KEY:", 48)
    gcm, plain, body = Gcm(), [], body[74:]
    count = (len(body) + size - 1) // size
    for i in range(count):
        segment = body[i * size : (i + 1) * size]
        final = i == count - 1
        need(len(segment) >= 32, "cut off")
        need(segment[:4] == (struct.pack(">I", len(segment)) if final else b"\xff\xff\xff\xff"), "out of place")
        key = kdf(message_key, b"DEK:" + struct.pack(">Q", i >> 20 << 20), 32)
        plain.append(gcm.open(key, segment[4:16], struct.pack(">QB", i, final), segment[16:-16], segment[-16:]))
    return b"".join(plain)


def main():
    dek = bytes.fromhex(sys.stdin.read().strip())
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    try:
        aad, body_off = read_head(data)
        plain = read_body(dek, aad, data[body_off:])
    except Bad as e:
        sys.exit("read_file.py: %s: %s" % (sys.argv[1], e))
    sys.stdout.buffer.write(plain)


if __name__ == "__main__":
    main()
