# SPDX-License-Identifier: MIT
"""GET /metrics: who may read it, and a strict reader of Prometheus' text exposition format 0.0.4."""
import os
import re

from harness import call, check, connect, encrypt, expect_error, KEY, Daemon, make_setup, read_reply, set_conf

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|Inf)|NaN")


def read(text):
    """{family: (type, {(name, labels): value})}, or the first line that is wrong."""
    families, family, kind, seen = {}, None, None, set()
    if not text.endswith("\n"):
        return "no line feed at the end"
    for line in text[:-1].split("\n"):
        found = re.fullmatch(rf"# HELP ({NAME}) (?:[^\\\n]|\\[\\n])*", line)
        if found:
            family, kind = found.group(1), None
            if family in families:
                return f"{line}: a second time"
            families[family] = None
            continue
        found = re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram|summary|untyped)", line)
        if found:
            if found.group(1) != family or kind is not None:
                return f"{line}: not behind its HELP"
            kind = found.group(2)
            families[family] = (kind, {})
            continue
        found = SAMPLE.fullmatch(line)
        if not found or not NUMBER.fullmatch(found.group(3)):
            return line
        name, labels = found.group(1), found.group(2) or ""
        ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        if kind is None or name not in [family + end for end in ends]:
            return f"{line}: of no family"
        names = re.findall(r"([a-zA-Z_][a-zA-Z0-9_]*)=\"", labels)
        if (name, labels) in seen or len(names) != len(set(names)):
            return f"{line}: twice"
        seen.add((name, labels))
        families[family][1][(name, labels)] = float(found.group(3))
    for family, entry in families.items():
        if not entry or not entry[1]:
            return f"{family}: nothing of it"
        wrong = wrong_histogram(family, entry[1]) if entry[0] == "histogram" else None
        if wrong:
            return wrong
    return families


def wrong_histogram(family, samples):
    """Buckets go up in `le` and in value, end in +Inf, and +Inf is the count."""
    series = {}
    for (name, labels), value in samples.items():
        if name == family + "_bucket":
            rest = ",".join(part for part in re.findall(LABEL, labels) if not part.startswith("le="))
            bound = re.search(r'le="([^"]*)"', labels)
            if not bound:
                return f"{family}: a bucket without le"
            series.setdefault(rest, []).append((float(bound.group(1).replace("+Inf", "inf")), value))
    for rest, buckets in series.items():
        bounds, values = zip(*buckets)
        if list(bounds) != sorted(set(bounds)) or list(values) != sorted(values) or bounds[-1] != float("inf"):
            return f"{family}{{{rest}}}: buckets out of order"
        if samples.get((family + "_count", rest)) != values[-1] or (family + "_sum", rest) not in samples:
            return f"{family}{{{rest}}}: count and sum"
    return None


def scrape(daemon):
    with connect(daemon) as sock:
        sock.sendall(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\r\n".encode())
        return read_reply(sock)


def test_reader():
    """The reader itself refuses what is no exposition text."""
    good = ("# HELP a_seconds b\n# TYPE a_seconds histogram\na_seconds_bucket{le=\"1\"} 1\n"
            "a_seconds_bucket{le=\"+Inf\"} 2\na_seconds_sum 3.5\na_seconds_count 2\n")
    check("the reader takes a histogram", isinstance(read(good), dict), True)
    for name, old, new in (("a count that is not +Inf's", "count 2", "count 1"), ("no sum", "a_seconds_sum 3.5\n", ""),
                           ("buckets that go down", "\"} 1", "\"} 3"), ("an open label", '"1"', '"1'),
                           ("no end of line", "count 2\n", "count 2"), ("a value that is none", "3.5", "x"),
                           ("a sample before its type", "# TYPE a_seconds histogram\n", "")):
        check(f"the reader refuses {name}", isinstance(read(good.replace(old, new)), str), True)


def test_metrics(daemon, key_id):
    test_reader()
    for _ in range(3):
        encrypt(daemon, key_id)
    call(daemon, "GET", "/nowhere")
    expect_error("metrics need a key", call(daemon, "GET", "/metrics", key=None), 401, "Authentication Error",
                 "unauthorized", "The header X-API-Key is missing")
    status, headers, body = scrape(daemon)
    check("metrics", (status, headers["content-type"], headers["cache-control"]),
          (200, "text/plain; version=0.0.4; charset=utf-8", "no-store"))
    text = body.decode("utf-8")
    families = read(text)
    check("exposition format", families if isinstance(families, str) else "good", "good")
    if isinstance(families, str):
        return

    def value(family, labels):
        return families[family][1].get((family, labels), 0)
    check("requests are counted", value("scopekey_http_requests_total", 'route="encrypt",code="200"') >= 3, True)
    check("unknown paths are counted", value("scopekey_http_requests_total", 'route="none",code="404"') >= 1, True)
    check("errors are counted", value("scopekey_errors_total", 'door="rest",code="not_found"') >= 1, True)
    check("this request is in flight", value("scopekey_http_requests_in_flight", "") >= 1, True)
    builds = families["scopekey_build_info"][1]
    check("build info", list(builds.values()) == [1.0] and 'version="' in list(builds)[0][1], True)
    check("no key id and no subject", [word for word in (key_id, "subject", "alice") if word in text], [])
    before = value("scopekey_http_requests_total", 'route="encrypt",code="200"')
    encrypt(daemon, key_id)
    families = read(scrape(daemon)[2].decode())
    check("one request more is one more", value("scopekey_http_requests_total", 'route="encrypt",code="200"'), before + 1)
    docs = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/metrics.md"), encoding="utf-8").read()
    check("every metric is documented", [name for name in families if f"`{name}`" not in docs], [])
    check("HEAD", call(daemon, "HEAD", "/metrics")[0], 200)
    expect_error("POST", call(daemon, "POST", "/metrics", {}), 405, "Method Not Allowed", "method_not_allowed",
                 "The path does not take this method")


def test_metrics_off():
    home = make_setup("no-metrics")
    set_conf(home, "metrics", "enabled = false")
    daemon = Daemon(home)
    expect_error("metrics that are off", call(daemon, "GET", "/metrics"), 404, "Not Found", "not_found",
                 "There is no such path")
    daemon.stop()
