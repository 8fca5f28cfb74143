# SPDX-License-Identifier: MIT
"""Ciphertexts, and who may use which key."""
import base64
import os
import sqlite3
import time

from harness import (
    call, check, Daemon, decrypt, encrypt, expect_error, invalid, key_by_name, key_path, make_key, PLAINTEXT,
    scopekey, SUBJECT, without_changing)


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


def test_kinds_of_keys(daemon):
    """What generate_key can be asked for."""
    envelope = make_key(daemon, {"protection": "envelope", "algorithm": "AES-256-GCM"})
    sealed = encrypt(daemon, envelope, context={"a": "b"})[2]
    reply = decrypt(daemon, key_id=envelope, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"],
                    context={"a": "b"})
    check("an envelope key opens what it sealed", reply[2].get("plaintext"), PLAINTEXT)
    reply = decrypt(daemon, key_id=envelope, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])
    check("an envelope key refuses as others do", (reply[0], reply[2]["code"]), (400, "decryption_failed"))
    end = int(time.time()) + 3
    short = make_key(daemon, {"expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))})
    sealed = encrypt(daemon, short)[2]
    while time.time() <= end + 1:
        time.sleep(0.1)
    expect_error("an expired key seals nothing", encrypt(daemon, short), 409, "Conflict", "wrong_state",
                 "The key may not be used for that now")
    reply = decrypt(daemon, key_id=short, ciphertext=sealed["ciphertext"], nonce=sealed["nonce"])
    check("an expired key still opens", (reply[0], reply[2].get("plaintext")), (200, PLAINTEXT))


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
