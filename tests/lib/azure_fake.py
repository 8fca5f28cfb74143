#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A protocol fake of Azure Key Vault and Managed HSM (keys), of Entra ID's token endpoint and of managed identities.

Written from the published descriptions: Key Vault REST API 7.4 (keys.json), "About keys" (types, algorithms,
attributes), "Soft-delete overview", "Throttling guidance", "Authentication, requests and responses" (challenges),
Microsoft identity platform "Certificate credentials" and "Client credentials flow", Azure Instance Metadata Service
2018-02-01, App Service managed identities 2019-08-01.

Imitated:
  keys        create (a new version on a name that exists), get, list, versions in pages with nextLink, update, rotate,
              wrapkey and unwrapkey (RSA-OAEP-256 and RSA-OAEP; A256KW of oct-HSM with --hsm), base64url without padding
  versions    an enabled flag each: a disabled one answers 403 with inner code KeyDisabled to wrapkey and unwrapkey
  soft delete DELETE answers at once and goes on for a while: meanwhile 404 on the key and on deletedkeys, 409
              ObjectIsBeingDeleted on create, delete and purge; afterwards deletedkeys with deletedDate and
              scheduledPurgeDate, 409 ObjectIsDeletedButRecoverable on create; purge is asynchronous as well
  recovery    recoveryLevel and recoverableDays; a vault with purge protection refuses to purge; recover
  challenge   401 with WWW-Authenticate in the spellings `authorization=` and `authorization_uri=`, `resource=` or `scope=`
  rights      keys permissions of each client; 403 Forbidden with inner code AccessDenied
  tokens      client secret, certificate assertion (signature, thumbprint, audience, times and single use are checked),
              federated assertion; IMDS (refuses a request without `Metadata: true`) and App Service (X-IDENTITY-HEADER)
Not imitated: encrypt, decrypt, sign, import, backup, release, rotation policies, logging, RBAC, network rules.

On demand, by POST of JSON to /_fake/set: every member of SETTINGS below; `rules` break single requests.  GET /_fake/log
gives all requests so far, GET /_fake/keys what is there; POST /_fake/clear-log forgets the requests.

  azure_fake.py --cert FILE --key FILE --clients FILE --ready FILE [--hsm]
FILE of --clients: {"tenant": ID, "clients": {ID: {"secret":, "certificate":, "federated":, "rights": [...]}},
"identity_header": TEXT}; `managed` is the client of managed identities.  FILE of --ready gets {"https": PORT, "http": PORT}.
"""
import argparse
import base64
import hashlib
import http.server
import json
import os
import re
import socketserver
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
import uuid

RIGHTS = ["get", "list", "create", "update", "delete", "recover", "purge", "wrapKey", "unwrapKey", "rotate"]
SETTINGS = {
    "delete_ms": 50,                    # how long a deletion goes on after its answer
    "purge_ms": 20,
    "recovery_level": "Recoverable+Purgeable",
    "recoverable_days": 90,
    "challenge": "authorization",       # or authorization_uri, scope, none
    "challenge_resource": "",           # instead of this server's own
    "challenge_tenant": "",
    "expires_in": 3599,
    "expires_as_string": False,
    "page": 25,
    "time_shift": 0,                    # seconds; what the server believes the time to be
    "rules": [],                        # {"method", "path" (regular expression), "times", "do": status|drop_before|
                                        #  drop_after|delay, "status", "headers", "body", "ms"}
}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        raise Problem(400, "BadParameter", "The value is not base64url without padding.")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def run(*command, data=None):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


class Problem(Exception):
    def __init__(self, status, code, message, inner=None, headers=None):
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        error = {"code": code, "message": message}
        if inner is not None:
            error["innererror"] = {"code": inner}
        self.body = {"error": error}


class Rsa:
    """PKCS #1 v2.2 (RFC 8017) with a key that openssl made."""

    def __init__(self, bits):
        pem = run("openssl", "genrsa", "-traditional", str(bits)).decode()
        der = base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-----")))
        self.n, self.e, self.d, self.p, self.q = self.integers(der)[1:6]
        self.size = (self.n.bit_length() + 7) // 8

    @staticmethod
    def integers(der):
        def length(at):
            first = der[at]
            if first < 0x80:
                return first, at + 1
            count = first & 0x7F
            return int.from_bytes(der[at + 1:at + 1 + count], "big"), at + 1 + count
        _, at = length(1)
        numbers = []
        while at < len(der):
            size, at = length(at + 1)
            numbers.append(int.from_bytes(der[at:at + size], "big"))
            at += size
        return numbers

    @staticmethod
    def mask(seed, size, name):
        out = b""
        for i in range((size + hashlib.new(name).digest_size - 1) // hashlib.new(name).digest_size):
            out += hashlib.new(name, seed + i.to_bytes(4, "big")).digest()
        return out[:size]

    def private(self, c):
        m1 = pow(c % self.p, self.d % (self.p - 1), self.p)
        m2 = pow(c % self.q, self.d % (self.q - 1), self.q)
        return m2 + self.q * ((m1 - m2) * pow(self.q, -1, self.p) % self.p)

    def oaep_encrypt(self, message, name):
        h = hashlib.new(name).digest_size
        if len(message) > self.size - 2 * h - 2:
            raise Problem(400, "BadParameter", "The value is too long for this key.")
        block = hashlib.new(name).digest() + b"\0" * (self.size - len(message) - 2 * h - 2) + b"\1" + message
        seed = os.urandom(h)
        masked = bytes(a ^ b for a, b in zip(block, self.mask(seed, len(block), name)))
        seed = bytes(a ^ b for a, b in zip(seed, self.mask(masked, h, name)))
        return pow(int.from_bytes(b"\0" + seed + masked, "big"), self.e, self.n).to_bytes(self.size, "big")

    def oaep_decrypt(self, cipher, name):
        h = hashlib.new(name).digest_size
        if len(cipher) != self.size or int.from_bytes(cipher, "big") >= self.n:
            raise Problem(400, "BadParameter", "The parameter is incorrect.")
        em = self.private(int.from_bytes(cipher, "big")).to_bytes(self.size, "big")
        seed = bytes(a ^ b for a, b in zip(em[1:1 + h], self.mask(em[1 + h:], h, name)))
        block = bytes(a ^ b for a, b in zip(em[1 + h:], self.mask(seed, len(em) - h - 1, name)))
        rest = block[h:].lstrip(b"\0")
        if em[0] != 0 or block[:h] != hashlib.new(name).digest() or rest[:1] != b"\1":
            raise Problem(400, "BadParameter", "The parameter is incorrect.")
        return rest[1:]


class Oct:
    """RFC 3394 by openssl."""

    def __init__(self):
        self.key = os.urandom(32)

    def run(self, data, *how):
        # OpenSSL 3.5 wraps what it can read as a whole: a file, no pipe.
        try:
            with tempfile.NamedTemporaryFile() as file:
                file.write(data)
                file.flush()
                return run("openssl", "enc", "-id-aes256-wrap", "-K", self.key.hex(), "-iv", "A6" * 8, *how, "-in",
                           file.name)
        except subprocess.CalledProcessError:
            raise Problem(400, "BadParameter", "The parameter is incorrect.") from None


class Vault:
    def __init__(self, clients, hsm):
        self.lock = threading.RLock()
        self.settings = json.loads(json.dumps(SETTINGS))
        self.tenant = clients["tenant"]
        self.clients = clients["clients"]
        self.identity_header = clients.get("identity_header", "")
        self.hsm = hsm
        self.keys = {}
        self.deleted = {}
        self.tokens = {}
        self.assertions = set()
        self.log = []
        self.url = ""

    def now(self):
        return int(time.time()) + self.settings["time_shift"]

    def attributes(self, version):
        return {"enabled": version["enabled"], "created": version["created"], "updated": version["updated"],
                "recoveryLevel": self.settings["recovery_level"], "recoverableDays": self.settings["recoverable_days"],
                "exportable": False}

    def bundle(self, name, version):
        key = {"kid": f"{self.url}/keys/{name}/{version['id']}", "kty": version["kty"], "key_ops": version["key_ops"]}
        if isinstance(version["key"], Rsa):
            key["n"] = b64(version["key"].n.to_bytes(version["key"].size, "big"))
            key["e"] = b64(version["key"].e.to_bytes(3, "big"))
        return {"key": key, "attributes": self.attributes(version), "tags": version["tags"]}

    def find(self, name, version=None):
        versions = self.keys.get(name.lower())
        if versions is not None and version:
            versions = [v for v in versions if v["id"] == version]
        if not versions:
            raise Problem(404, "KeyNotFound", f"A key with (name/id) {name}{'/' if version else ''}{version or ''} was "
                          "not found in this key vault. If you recently deleted this key you may be able to recover it.")
        return versions[-1]

    def expire(self):
        """What goes on by itself: deletions, purges, the end of the retention."""
        with self.lock:
            for name, d in list(self.deleted.items()):
                if d.get("purged") and time.monotonic() >= d["purged"] or d["scheduled"] <= self.now():
                    del self.deleted[name]

    def is_deleting(self, name):
        d = self.deleted.get(name.lower())
        return d is not None and (time.monotonic() < d["until"] or bool(d.get("purged")))

    def must_not_be_deleted(self, name):
        if self.is_deleting(name):
            raise Problem(409, "Conflict", f"Key {name} is currently being deleted.", "ObjectIsBeingDeleted")
        if name.lower() in self.deleted:
            raise Problem(409, "Conflict", f"Key {name} is currently in a deleted but recoverable state, and its name "
                          "cannot be reused; in this state, the key can only be recovered or purged.",
                          "ObjectIsDeletedButRecoverable")

    def add_version(self, name, kty, size, key_ops, tags):
        made = Oct() if kty == "oct-HSM" else Rsa(size)
        with self.lock:
            # A name may have been taken or deleted while the key was made.
            self.must_not_be_deleted(name)
            version = {"id": uuid.uuid4().hex, "created": self.now(), "updated": self.now(), "enabled": True, "kty": kty,
                       "size": size, "key_ops": key_ops, "tags": tags, "key": made}
            self.keys.setdefault(name.lower(), []).append(version)
            return self.bundle(name, version)

    def create(self, name, body):
        kty = body.get("kty")
        legal = ["RSA", "RSA-HSM"] if not self.hsm else ["RSA-HSM", "oct-HSM"]
        size = body.get("key_size", 256 if kty == "oct-HSM" else 2048)
        if not re.fullmatch(r"[0-9a-zA-Z-]{1,127}", name):
            raise Problem(400, "BadParameter", f"The request URI contains an invalid name: {name}")
        if kty not in legal:
            raise Problem(400, "BadParameter", "Property  has invalid value: kty")
        if size not in ([256] if kty == "oct-HSM" else [2048, 3072, 4096]):
            raise Problem(400, "BadParameter", "Property  has invalid value: key_size")
        self.must_not_be_deleted(name)
        return 200, self.add_version(name, kty, size, body.get("key_ops", []), body.get("tags", {}))

    def rotate(self, name):
        old = self.find(name)
        return 200, self.add_version(name, old["kty"], old["size"], old["key_ops"], old["tags"])

    def update(self, name, version, body):
        with self.lock:
            v = self.find(name, version)
            v["enabled"] = body.get("attributes", {}).get("enabled", v["enabled"])
            v["tags"] = body.get("tags", v["tags"])
            v["updated"] = self.now()
            return 200, self.bundle(name, v)

    def page(self, items, path, query):
        size = min(int(query.get("maxresults", ["25"])[0]), self.settings["page"])
        skip = int(query.get("$skiptoken", ["0"])[0])
        more = skip + size < len(items)
        link = f"{self.url}{path}?api-version={query['api-version'][0]}&$skiptoken={skip + size}&maxresults={size}"
        return 200, {"value": items[skip:skip + size], "nextLink": link if more else None}

    def wrap(self, name, version, body, undo):
        v = self.find(name, version)
        operation = "unwrapKey" if undo else "wrapKey"
        if not v["enabled"]:
            raise Problem(403, "Forbidden", f"Operation {operation} is not allowed on a disabled key.", "KeyDisabled")
        if operation not in v["key_ops"]:
            raise Problem(403, "Forbidden", f"Operation {operation} is not permitted on this key.", "KeyOperationForbidden")
        value = unb64(body.get("value", ""))
        names = {"RSA-OAEP-256": "sha256", "RSA-OAEP": "sha1"}
        if isinstance(v["key"], Oct) and body.get("alg") == "A256KW":
            out = v["key"].run(value, *(["-d"] if undo else []))
        elif isinstance(v["key"], Rsa) and body.get("alg") in names:
            how = v["key"].oaep_decrypt if undo else v["key"].oaep_encrypt
            out = how(value, names[body["alg"]])
        else:
            raise Problem(400, "BadParameter", f"Key and algorithm do not match: {body.get('alg')}")
        return 200, {"kid": f"{self.url}/keys/{name}/{v['id']}", "value": b64(out)}

    def delete(self, name):
        with self.lock:
            if self.is_deleting(name):
                self.must_not_be_deleted(name)
            last = self.find(name)
            d = {"versions": self.keys.pop(name.lower()), "at": self.now(),
                 "scheduled": self.now() + self.settings["recoverable_days"] * 86400,
                 "until": time.monotonic() + self.settings["delete_ms"] / 1000}
            self.deleted[name.lower()] = d
            return 200, self.deleted_bundle(name, d, last)

    def deleted_bundle(self, name, d, last):
        return {"recoveryId": f"{self.url}/deletedkeys/{name}", "deletedDate": d["at"],
                "scheduledPurgeDate": d["scheduled"], **self.bundle(name, last)}

    def find_deleted(self, name):
        d = self.deleted.get(name.lower())
        if d is None or time.monotonic() < d["until"]:
            raise Problem(404, "KeyNotFound", f"Deleted Key not found: {name}")
        return d

    def purge(self, name):
        with self.lock:
            if self.is_deleting(name):
                self.must_not_be_deleted(name)
            d = self.find_deleted(name)
            if "Purgeable" not in self.settings["recovery_level"]:
                raise Problem(403, "Forbidden", "Operation \"purge\" is not allowed because purge protection is enabled "
                              "for this vault.", "ForbiddenByPolicy")
            d["purged"] = time.monotonic() + self.settings["purge_ms"] / 1000
            return 204, None

    def recover(self, name):
        with self.lock:
            d = self.find_deleted(name)
            self.keys[name.lower()] = d["versions"]
            del self.deleted[name.lower()]
            return 200, self.bundle(name, d["versions"][-1])

    # ---- tokens ----

    def issue(self, client, resource):
        token = "fake." + b64(os.urandom(600)) + "." + b64(os.urandom(30))
        with self.lock:
            self.tokens[token] = {"client": client, "resource": resource,
                                  "expires": time.monotonic() + self.settings["expires_in"]}
        seconds = self.settings["expires_in"]
        return token, str(seconds) if self.settings["expires_as_string"] else seconds

    def challenge(self, **more):
        tenant = self.settings["challenge_tenant"] or self.tenant
        resource = self.settings["challenge_resource"] or self.url
        how = self.settings["challenge"]
        where = "authorization_uri" if how == "authorization_uri" else "authorization"
        what = f'scope="{resource}/.default"' if how == "scope" else f'resource="{resource}"'
        text = f'Bearer {where}="{self.url}/{tenant}", {what}'
        for name, value in more.items():
            text += f', {name}="{value}"'
        return Problem(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.", None,
                       {"WWW-Authenticate": text})

    def authorize(self, header):
        if not header.startswith("Bearer ") or header == "Bearer ":
            raise self.challenge()
        token = self.tokens.get(header[7:])
        if token is None or token["expires"] < time.monotonic():
            raise self.challenge(error="invalid_token", error_description="AKV10022: the token is invalid or expired")
        if token["resource"] != self.url:
            raise self.challenge(error="invalid_token", error_description="AKV10022: invalid audience")
        return token["client"]

    def must_have(self, client, right):
        rights = self.clients.get(client, {}).get("rights", RIGHTS)
        if right not in rights:
            raise Problem(403, "Forbidden", f"The user, group or application 'appid={client}' does not have keys "
                          f"{right} permission on key vault 'fake'.", "AccessDenied")

    def check_assertion(self, client, text, audience):
        registered = self.clients[client]
        if text == registered.get("federated"):
            return
        if "certificate" not in registered:
            raise ValueError("AADSTS700027: The certificate is not registered.")
        head, body, signature = text.split(".")
        header, claims = json.loads(unb64(head)), json.loads(unb64(body))
        der = run("openssl", "x509", "-in", registered["certificate"], "-outform", "DER")
        public = run("openssl", "x509", "-in", registered["certificate"], "-noout", "-pubkey")
        if header.get("x5t#S256") != b64(hashlib.sha256(der).digest()) or header.get("alg") != "PS256" or \
                header.get("typ") != "JWT":
            raise ValueError("AADSTS700027: The certificate with the thumbprint is not registered.")
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/pub", "wb") as f:
                f.write(public)
            with open(folder + "/sig", "wb") as f:
                f.write(unb64(signature))
            good = subprocess.run(["openssl", "dgst", "-sha256", "-verify", folder + "/pub", "-signature",
                                   folder + "/sig", "-sigopt", "rsa_padding_mode:pss", "-sigopt",
                                   "rsa_pss_saltlen:32"], input=f"{head}.{body}".encode(), stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, check=False).returncode == 0
        if not good:
            raise ValueError("AADSTS7000215: The signature of the assertion is not valid.")
        if claims.get("iss") != client or claims.get("sub") != client or claims.get("aud") != audience:
            raise ValueError("AADSTS50027: JWT token is invalid or malformed: iss, sub or aud.")
        if not claims.get("nbf", 1 << 60) <= time.time() + 5 or not time.time() < claims.get("exp", 0) <= time.time() + 660:
            raise ValueError("AADSTS700024: Client assertion is not within its valid time range.")
        if claims.get("jti") in self.assertions or not claims.get("jti"):
            raise ValueError("AADSTS7000277: The assertion was used before.")
        self.assertions.add(claims["jti"])

    def token(self, path, form):
        def get(name):
            return form.get(name, [""])[0]

        def refuse(status, error, text):
            return status, {"error": error, "error_description": text, "trace_id": str(uuid.uuid4()),
                            "correlation_id": str(uuid.uuid4()), "timestamp": "2026-01-01 00:00:00Z"}
        tenant = path.split("/")[1]
        client = get("client_id")
        if tenant != self.tenant:
            return refuse(400, "invalid_request", f"AADSTS90002: Tenant '{tenant}' not found."), client
        if client not in self.clients:
            return refuse(400, "unauthorized_client",
                          f"AADSTS700016: Application with identifier '{client}' was not found in the directory."), client
        if get("grant_type") != "client_credentials" or not get("scope").endswith("/.default"):
            return refuse(400, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid."), client
        if get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
            try:
                self.check_assertion(client, get("client_assertion"), self.url + path)
            except (ValueError, Problem, KeyError) as e:
                return refuse(401, "invalid_client", str(e)), client
        elif not get("client_secret") or get("client_secret") != self.clients[client].get("secret"):
            return refuse(401, "invalid_client", "AADSTS7000215: Invalid client secret provided. Ensure the secret being "
                          "sent in the request is the client secret value."), client
        token, seconds = self.issue(client, get("scope")[:-len("/.default")])
        return (200, {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}), \
            client

    def metadata(self, headers, query):
        if headers.get("Metadata") != "true" or "X-Forwarded-For" in headers:
            return 400, {"error": "invalid_request", "error_description": "Required metadata header not specified"}
        if query.get("api-version") != ["2018-02-01"]:
            return 400, {"error": "invalid_request", "error_description": "Unsupported api-version"}
        client = query.get("client_id", ["managed"])[0]
        if client not in self.clients:
            return 400, {"error": "invalid_request", "error_description": "Identity not found"}
        token, seconds = self.issue(client, query["resource"][0])
        return 200, {"access_token": token, "client_id": client, "expires_in": str(seconds),
                     "expires_on": str(int(time.time()) + int(seconds)), "ext_expires_in": str(seconds),
                     "not_before": str(int(time.time())), "resource": query["resource"][0], "token_type": "Bearer"}

    def app_service(self, headers, query):
        if not self.identity_header or headers.get("X-IDENTITY-HEADER") != self.identity_header:
            return 401, {"statusCode": 401, "message": "No valid X-IDENTITY-HEADER"}
        if query.get("api-version") != ["2019-08-01"]:
            return 400, {"statusCode": 400, "message": "Unsupported api-version"}
        token, seconds = self.issue(query.get("client_id", ["managed"])[0], query["resource"][0])
        return 200, {"access_token": token, "expires_on": str(int(time.time()) + int(seconds)),
                     "resource": query["resource"][0], "token_type": "Bearer"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = 65536
    disable_nagle_algorithm = True
    vault = None

    def log_message(self, *_):
        pass

    def answer(self, status, body, headers=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("x-ms-request-id", str(uuid.uuid4()))
        self.send_header("x-ms-keyvault-service-version", "1.9.0.0")
        if "x-ms-client-request-id" in self.headers:
            self.send_header("x-ms-client-request-id", self.headers["x-ms-client-request-id"])
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if data:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def rule(self, url):
        with self.vault.lock:
            for rule in self.vault.settings["rules"]:
                if rule.get("times", 1) > 0 and rule.get("method", self.command) == self.command and \
                        re.search(rule.get("path", ""), url.path):
                    rule["times"] = rule.get("times", 1) - 1
                    return rule
        return None

    def control(self, path, body):
        vault = self.vault
        with vault.lock:
            if path == "/_fake/set":
                given = json.loads(body)
                if "rights" in given:
                    for client, rights in given.pop("rights").items():
                        vault.clients[client]["rights"] = rights
                if given.pop("revoke", False):
                    vault.tokens.clear()
                unknown = set(given) - set(SETTINGS)
                if unknown:
                    return 400, {"unknown": sorted(unknown)}
                vault.settings.update(given)
                return 200, {}
            if path == "/_fake/clear-log":
                vault.log.clear()
                return 200, {}
            if path == "/_fake/log":
                return 200, vault.log
            if path == "/_fake/keys":
                return 200, {"keys": {n: [{"id": v["id"], "enabled": v["enabled"], "tags": v["tags"], "kty": v["kty"],
                                           "key_ops": v["key_ops"]} for v in vs] for n, vs in vault.keys.items()},
                             "deleted": sorted(vault.deleted)}
        return 404, {}

    def keys(self, path, query, body, client):
        """One call of the keys API; the right is looked for before anything else is."""
        v = self.vault
        if "api-version" not in query:
            raise Problem(400, "BadParameter", "api-version must be specified")
        parts = path.strip("/").split("/")
        method = self.command
        name = parts[1] if len(parts) > 1 else ""

        def may(right):
            v.must_have(client, right)

        if parts[0] == "deletedkeys" and len(parts) == 2 and method == "GET":
            may("get")
            d = v.find_deleted(name)
            return 200, v.deleted_bundle(name, d, d["versions"][-1])
        if parts[0] == "deletedkeys" and len(parts) == 2 and method == "DELETE":
            may("purge")
            return v.purge(name)
        if parts[0] == "deletedkeys" and len(parts) == 3 and parts[2] == "recover" and method == "POST":
            may("recover")
            return v.recover(name)
        if parts[0] != "keys":
            raise Problem(404, "NotFound", "The requested path does not exist.")
        if len(parts) == 1 and method == "GET":
            may("list")
            items = [{"kid": f"{v.url}/keys/{n}", "attributes": v.attributes(vs[-1]), "tags": vs[-1]["tags"]}
                     for n, vs in sorted(v.keys.items())]
            return v.page(items, "/keys", query)
        if len(parts) == 3 and parts[2] == "versions" and method == "GET":
            may("list")
            # Azure promises no order.
            items = [{"kid": f"{v.url}/keys/{name}/{x['id']}", "attributes": v.attributes(x), "tags": x["tags"]}
                     for x in sorted(v.keys.get(name.lower(), []), key=lambda x: x["id"])]
            if not items:
                v.find(name)
            return v.page(items, f"/keys/{name}/versions", query)
        if method == "GET":
            may("get")
            return 200, v.bundle(name, v.find(name, parts[2] if len(parts) > 2 else None))
        if len(parts) == 2 and method == "DELETE":
            may("delete")
            return v.delete(name)
        if method == "PATCH":
            may("update")
            return v.update(name, parts[2] if len(parts) > 2 else None, json.loads(body))
        if len(parts) == 3 and method == "POST" and parts[2] == "create":
            may("create")
            return v.create(name, json.loads(body))
        if len(parts) == 3 and method == "POST" and parts[2] == "rotate":
            may("rotate")
            return v.rotate(name)
        if len(parts) == 4 and method == "POST" and parts[3] in ("wrapkey", "unwrapkey"):
            may("unwrapKey" if parts[3] == "unwrapkey" else "wrapKey")
            return v.wrap(name, parts[2], json.loads(body), parts[3] == "unwrapkey")
        raise Problem(405, "BadRequest", "The HTTP method is not allowed.")

    def serve(self, url, query, body):
        """(status, body, headers, client)"""
        v = self.vault
        if url.path.endswith("/oauth2/v2.0/token"):
            (status, reply), client = v.token(url.path, urllib.parse.parse_qs(body.decode()))
            return status, reply, {}, client
        if url.path == "/metadata/identity/oauth2/token":
            return *v.metadata(self.headers, query), {}, "managed"
        if url.path == "/msi/token":
            return *v.app_service(self.headers, query), {}, "managed"
        client = ""
        try:
            if v.settings["challenge"] != "none":
                client = v.authorize(self.headers.get("Authorization", ""))
            status, reply = self.keys(url.path, query, body, client)
            return status, reply, {}, client
        except Problem as e:
            return e.status, e.body, e.headers, client
        except (ValueError, AttributeError):
            return 400, {"error": {"code": "BadParameter", "message": "The request is malformed."}}, {}, client

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if url.path.startswith("/_fake/"):
            self.answer(*self.control(url.path, body))
            return
        self.vault.expire()
        rule = self.rule(url)
        entry = {"method": self.command, "path": url.path, "query": url.query, "status": 0,
                 "authorized": "Authorization" in self.headers,
                 "agent": self.headers.get("User-Agent", ""), "id": self.headers.get("x-ms-client-request-id", "")}
        with self.vault.lock:
            self.vault.log.append(entry)
        if rule is not None and rule["do"] == "delay":
            time.sleep(rule["ms"] / 1000)
        if rule is not None and rule["do"] == "drop_before":
            self.close_connection = True
            return
        if rule is not None and rule["do"] == "status":
            entry["status"] = rule["status"]
            self.answer(rule["status"], rule.get("body"), rule.get("headers"))
            return
        status, reply, headers, client = self.serve(url, query, body)
        entry["status"] = status
        entry["client"] = client
        if rule is not None and rule["do"] == "drop_after":
            self.close_connection = True
            return
        self.answer(status, reply, headers)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128
    tls = None

    def finish_request(self, request, client_address):
        # The handshake in the connection's own thread, so that a silent client holds up nobody.
        if self.tls is not None:
            try:
                request.settimeout(20)
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--clients", required=True)
    parser.add_argument("--ready", required=True)
    parser.add_argument("--hsm", action="store_true")
    options = parser.parse_args()
    with open(options.clients, encoding="utf-8") as f:
        vault = Vault(json.load(f), options.hsm)
    Handler.vault = vault
    https = Server(("127.0.0.1", 0), Handler)
    https.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    https.tls.load_cert_chain(options.cert, options.key)
    plain = Server(("127.0.0.1", 0), Handler)
    vault.url = f"https://127.0.0.1:{https.server_address[1]}"
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    with open(options.ready + ".new", "w", encoding="utf-8") as f:
        json.dump({"https": https.server_address[1], "http": plain.server_address[1]}, f)
    os.rename(options.ready + ".new", options.ready)
    https.serve_forever()


if __name__ == "__main__":
    main()
