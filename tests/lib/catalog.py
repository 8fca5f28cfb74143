#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What somebody who can read and write the catalog's file can do.

  catalog.py DB take file|key       a wrapped DEK of subject/alice with its true context: two words of hexadecimal, and
                                    the context with purpose "message" as a third
  catalog.py DB run SQL             change something; fails when nothing was changed
"""
import datetime
import sqlite3
import struct
import sys
import uuid


def canonical(pairs):
    """docs/formats.md, encryption context."""
    out = struct.pack(">H", len(pairs))
    for key, value in sorted(pairs.items()):
        out += struct.pack(">H", len(key)) + key.encode() + struct.pack(">H", len(value)) + value.encode()
    return out


def take(db, what):
    if what == "file":
        row = db.execute("SELECT wrapped_dek, dek_id, created_at FROM file_keys WHERE owner_id ="
                         " (SELECT id FROM owners WHERE ident = 'alice')").fetchone()
        wrapped, record, created = row
    else:
        row = db.execute("SELECT v.wrapped_dek, v.record_id, v.created_s FROM versions v JOIN keys k ON k.id = v.key_uuid"
                         " WHERE k.scope_id = 'alice'").fetchone()
        wrapped, record, seconds = row
        created = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    pairs = {"created": created, "env": "development", "format": "1", "generation": "1", "id": str(uuid.UUID(bytes=record)),
             "purpose": "file" if what == "file" else "seal", "scope": "subject/alice"}
    print(wrapped.hex(), canonical(pairs).hex(), canonical({**pairs, "purpose": "message"}).hex())
    return 0


def main():
    db = sqlite3.connect(sys.argv[1])
    if sys.argv[2] == "take":
        return take(db, sys.argv[3])
    changed = db.execute(sys.argv[3]).rowcount
    db.commit()
    return 0 if changed > 0 else 1


sys.exit(main())
