"""Keystone's logins and Swift's containers, by their APIs (Identity API v3, Object Storage API v1) as their
manuals at docs.openstack.org/api-ref describe them, in memory.

    service.py PASSWORD [CERTIFICATE PRIVATE_KEY]

Its orders, beside those of all doubles (`tests/doubles`):

    containers        all containers, each with who may read it and how many objects it has
    fill NAME COUNT   somebody puts so many objects into a container
    object NAME NAME  somebody puts an object of that name into a container
    keep yes          the next deletions of objects are refused (no: they are not any more)
    expire            all tokens are none any more
"""

import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "doubles"))
from http_double import Double, Refused, serve  # noqa: E402

ACCOUNT = "/v1/AUTH_tenant"
# How many objects a listing has at most.
PAGE_MAX = 10000


class Service(Double):
    key_header = "X-Auth-Token"

    def __init__(self, key):
        super().__init__(key)
        self.tokens = set()
        self.containers = {}
        self.keeps = False

    def answer(self, method, path, query, body, base):
        if path == "/v3/auth/tokens" and method == "POST":
            return self.log_in(body, base)
        if not path.startswith(ACCOUNT):
            raise Refused(404, "no such path")
        if self.headers.get(self.key_header) not in self.tokens:
            raise Refused(401, "Unauthorized")
        status, headers, text = self.store(method, path[len(ACCOUNT) :], query)
        return status, {"X-Trans-Id": "tx1", **headers}, text

    def describe(self, refused):
        return {"error": {"code": refused.status, "message": str(refused)}}

    def log_in(self, body, base):
        identity, project = body["auth"]["identity"], body["auth"]["scope"]["project"]
        user = identity["password"]["user"]
        is_known = (user["name"], project["name"]) == ("user", "tenant")
        if not is_known or user["password"] != self.key or user["domain"]["id"] != "default":
            raise Refused(401, "The request you have made requires authentication.")
        token = f"token-{len(self.tokens) + 1}"
        self.tokens.add(token)
        place = base.replace("https:", "http:") + ACCOUNT
        region = {"region": "RegionOne", "region_id": "RegionOne"}
        endpoints = [
            {"interface": "admin", "url": base + "/nobody", **region},
            {"interface": "public", "url": place, **region},
        ]
        catalog = [
            {"type": "compute", "name": "nova", "endpoints": []},
            {"type": "object-store", "name": "swift", "endpoints": endpoints},
        ]
        return 201, {"X-Subject-Token": token}, {"token": {"catalog": catalog}}

    def store(self, method, path, query):
        name, _, object_name = path.lstrip("/").partition("/")
        name, object_name = urllib.parse.unquote(name), urllib.parse.unquote(object_name)
        if not name and method == "GET":
            marker = query.get("marker", [""])[0]
            names = sorted(name for name in self.containers if name > marker)
            names = names[: int(query.get("limit", [PAGE_MAX])[0])]
            return 200, {}, [{"name": name, "count": 0, "bytes": 0} for name in names]
        if not name:
            return 204, {}, None
        known = self.containers.get(name)
        if known is None and method != "PUT":
            return 404, {}, b"<html><h1>Not Found</h1></html>"
        if object_name:
            if self.keeps:
                return 403, {}, b"Forbidden"
            return (204 if known["objects"].pop(object_name, None) else 404), {}, None
        if method in ("PUT", "POST"):
            status = 204 if method == "POST" else 202 if known else 201
            known = self.containers.setdefault(name, {"objects": {}})
            known["read"] = self.headers.get("X-Container-Read", known.get("read"))
            return status, {}, None
        if method == "DELETE":
            if known["objects"]:
                return 409, {}, b"There was a conflict"
            del self.containers[name]
            return 204, {}, None
        names = sorted(known["objects"])[: int(query.get("limit", [PAGE_MAX])[0])]
        return 200, {}, [{"name": name, "bytes": 1} for name in names]

    def order(self, verb, rest):
        if verb == "containers":
            known = self.containers.items()
            return {name: [it["read"], len(it["objects"])] for name, it in known}
        if verb == "fill":
            objects = {f"folder/part {number}?#": True for number in range(int(rest[1]))}
            self.containers[rest[0]]["objects"].update(objects)
        elif verb == "object":
            self.containers[rest[0]]["objects"][rest[1]] = True
        elif verb == "keep":
            self.keeps = rest[0] == "yes"
        elif verb == "expire":
            self.tokens.clear()
        else:
            return super().order(verb, rest)
        return None


if __name__ == "__main__":
    serve(Service(sys.argv[1]), sys.argv[2:4])
