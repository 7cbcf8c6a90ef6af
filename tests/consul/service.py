"""Consul's tree of keys and values, by version 1 of its HTTP API as its manual describes it, in memory.

    service.py TOKEN [CERTIFICATE PRIVATE_KEY]

Its orders, beside those of all doubles (`tests/doubles`):

    keys              all keys with their values, as texts
    put KEY VALUE     somebody writes a key
    lock yes          somebody holds the lock of all that write (no: lets it go, and leaves its key)
    race KEY VALUE    somebody writes a key just before the next transaction
    deny KEY          the token may not write that key, nor any below it
    hide yes          the token may not read keys, which then are none (unsaid: and no header says so)
"""

import base64
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "doubles"))
from http_double import Double, Refused, serve  # noqa: E402

LOCK = "lock/ocim/.lock"
# Operations of one transaction, and the longest value.
OPERATIONS_MAX = 64
VALUE_BYTES_MAX = 512 * 1024


class Entry:
    def __init__(self, value, index):
        self.value = value
        self.created = self.modified = index
        self.session = None

    def show(self, key):
        shown = {
            "LockIndex": 0,
            "Key": key,
            "Flags": 0,
            "Value": base64.b64encode(self.value).decode() if self.value else None,
            "CreateIndex": self.created,
            "ModifyIndex": self.modified,
        }
        return {**shown, "Session": self.session} if self.session else shown


class Service(Double):
    prefix = "/v1"
    key_header = "X-Consul-Token"

    def __init__(self, key):
        super().__init__(key)
        self.entries = {}
        self.index = 10
        self.race = None
        self.denied = None
        self.hidden = "no"

    def admit(self, key):
        if key != self.key:
            raise Refused(403, "Permission denied: token with AccessorID lacks permission")

    def describe(self, refused):
        return str(refused).encode()

    def write(self, key, value):
        self.index += 1
        if key in self.entries:
            self.entries[key].value, self.entries[key].modified = value, self.index
        else:
            self.entries[key] = Entry(value, self.index)

    def below(self, prefix):
        return sorted(key for key in self.entries if key.startswith(prefix))

    def read(self, key, query):
        if "keys" in query:
            found = self.below(key)
            if "separator" in query:
                end = query["separator"][0]
                parts = (it[len(key) :].partition(end) for it in found)
                found = sorted({key + name + slash for name, slash, _ in parts})
        elif "recurse" in query:
            found = [self.entries[it].show(it) for it in self.below(key)]
        else:
            found = [self.entries[key].show(key)] if key in self.entries else []
        headers = {"X-Consul-Index": str(self.index), "X-Consul-KnownLeader": "true"}
        if self.hidden == "unsaid":
            return 404, headers, None
        if self.hidden == "yes":
            return 404, {**headers, "X-Consul-Results-Filtered-By-ACLs": "true"}, None
        return (200, headers, found) if found else (404, headers, None)

    def check(self, operation):
        """Why an operation can't be done; nothing where it can."""
        verb, key = operation["Verb"], operation["Key"]
        entry, index = self.entries.get(key), operation.get("Index", 0)
        # Who asks whether a key is not there must be allowed to write it.
        if self.denied and key.startswith(self.denied) and verb != "check-index":
            return f'Permission denied: token lacks permission "key:write" on "{key}"'
        if verb == "check-not-exists" and entry:
            return f'key "{key}" exists'
        if verb == "check-index" and (not entry or entry.modified != index):
            return f'current modify index for "{key}" is not {index}'
        if verb == "cas" and (entry.modified if entry else 0) != index:
            return f'failed to set key "{key}", index is stale'
        return None

    def transact(self, body):
        if not isinstance(body, list) or len(body) > OPERATIONS_MAX:
            raise Refused(413, "Transaction contains too many operations")
        if self.race:
            self.write(*self.race)
            self.race = None
        operations = [it["KV"] for it in body]
        for operation in operations:
            if operation["Verb"] not in ("cas", "check-index", "check-not-exists", "delete-tree"):
                raise Refused(400, f"unknown KV operation: {operation['Verb']}")
            if len(operation.get("Value", "")) > VALUE_BYTES_MAX:
                raise Refused(413, "Value exceeds limit")
        errors = [
            {"OpIndex": nth, "What": why}
            for nth, operation in enumerate(operations)
            if (why := self.check(operation))
        ]
        if errors:
            return 409, {}, {"Results": None, "Errors": errors}
        for operation in operations:
            if operation["Verb"] == "cas":
                self.write(operation["Key"], base64.b64decode(operation["Value"], validate=True))
            if operation["Verb"] == "delete-tree":
                for key in self.below(operation["Key"]):
                    del self.entries[key]
        return 200, {}, {"Results": [], "Errors": None}

    def answer(self, method, path, query, body, base):
        if path == "/txn" and method == "PUT":
            return self.transact(body)
        if path.startswith("/kv/") and method == "GET":
            return self.read(urllib.parse.unquote(path.removeprefix("/kv/")), query)
        raise Refused(405, "not that way")

    def order(self, verb, rest):
        if verb == "keys":
            return {key: entry.value.decode() for key, entry in sorted(self.entries.items())}
        if verb == "put":
            return self.write(rest[0], rest[1].encode())
        if verb == "race":
            self.race = (rest[0], rest[1].encode())
            return None
        if verb == "deny":
            self.denied = rest[0]
            return None
        if verb == "hide":
            self.hidden = rest[0]
            return None
        if verb == "lock":
            self.write(LOCK, b"")
            self.entries[LOCK].session = "session-1" if rest[0] == "yes" else None
            return None
        return super().order(verb, rest)


serve(Service(sys.argv[1]), sys.argv[2:])
