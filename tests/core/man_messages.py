#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every refusal of a URI, scope or label in the code is an item of man/scopekey-uri.7, and the other way round."""

import os
import re
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SOURCES = ("lib/core/uri.c", "lib/core/scope.c", "lib/core/escape.c")
# Not about what somebody wrote in a URI: a caller's enum, and the configuration's patterns.
ELSEWHERE = ("scope: the kind is subject, file, client or system",
             "scope pattern %zu is neither KIND/* nor a scope: %s")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def messages():
    """The format string of each sck_fail(), adjacent literals joined."""
    for path in SOURCES:
        for call in re.finditer(r'sck_fail\(\w+,\s*\w+,\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', read(path)):
            text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', call.group(1)))
            yield text.replace('\\"', '"')


def pattern(message):
    """What the page prints: N for numbers, XX for hex digits, anything for the rest."""
    out = re.escape(message)
    out = out.replace(re.escape("%%"), "%").replace(re.escape("%02X"), "XX").replace(re.escape("%zu"), r"(?:N|\d+)")
    return re.compile(out.replace(re.escape("%d"), r"\d+").replace(re.escape("%s"), ".+"))


def main():
    page = read("man/scopekey-uri.7").split(".Sh DIAGNOSTICS", 1)[1]
    items = [line[4:].replace("\\(dq", '"') for line in page.splitlines() if line.startswith(".It ")]
    matched, failed = set(), 0
    for message in messages():
        if message in ELSEWHERE:
            continue
        hits = {item for item in items if pattern(message).fullmatch(item)}
        matched |= hits
        failed += not hits
        print("ok" if hits else "not ok", "- the page has:", message)
    for item in items:
        failed += item not in matched
        print("ok" if item in matched else "not ok", "- the code says:", item)
    return 1 if failed or len(items) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
