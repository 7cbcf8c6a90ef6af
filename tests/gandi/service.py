"""Gandi's LiveDNS API, version 5, as its manual describes it (https://api.gandi.net/docs/livedns/), in memory.

    service.py KEY [CERTIFICATE PRIVATE_KEY]

KEY is what the header `Authorization` must have. Its orders, beside those of all doubles (`tests/doubles`):

    domain FQDN               the account has a domain
    leave FQDN                a domain is taken out of the account
    put FQDN NAME TYPE VALUE  somebody writes a set of records
    drop FQDN NAME TYPE       somebody removes one
    race VERB FQDN NAME TYPE VALUE   somebody writes one just before the next request of that verb is done
    records FQDN              all sets of a domain, by name and type
    per_page N                the most that a page has
"""

import pathlib
import re
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "doubles"))
from http_double import Double, Refused, serve  # noqa: E402

TYPES = ("A", "AAAA", "ALIAS", "CAA", "CNAME", "MX", "NS", "SRV", "TXT")
TTL_MIN, TTL_MAX, TTL_USUAL = 300, 2592000, 10800


class Invalid(Refused):
    """What the service does not take: named by its field."""

    def __init__(self, name, description):
        super().__init__(400, description)
        self.name = name


class Service(Double):
    prefix = "/v5/livedns"
    key_header = "Authorization"

    def __init__(self, key):
        super().__init__(key)
        self.domains = {}
        self.race = None
        self.per_page = 100

    def admit(self, key):
        if key != self.key:
            raise Refused(401, "The server could not verify that you authorized to access the document.")

    def describe(self, refused):
        if isinstance(refused, Invalid):
            error = {"location": "body", "name": refused.name, "description": str(refused)}
            return {"status": "error", "errors": [error]}
        causes = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}
        cause = causes.get(refused.status, "Error")
        said = {"code": refused.status, "message": str(refused), "cause": cause}
        return {**said, "object": "HTTP" + cause.replace(" ", "")}

    def need(self, fqdn):
        if fqdn not in self.domains:
            raise Refused(404, "The resource could not be found.")
        return self.domains[fqdn]

    @staticmethod
    def show_domain(base, fqdn):
        href = f"{base}/domains/{fqdn}"
        return {"fqdn": fqdn, "domain_href": href, "domain_records_href": f"{href}/records"}

    def show(self, base, fqdn, name, of, found):
        href = f"{base}/domains/{fqdn}/records/{name}/{of}"
        return {"rrset_name": name, "rrset_type": of, "rrset_href": href, **found}

    def check(self, body, name, of, sets):
        values, ttl = body.get("rrset_values"), body.get("rrset_ttl", TTL_USUAL)
        if not isinstance(values, list) or not values or not all(isinstance(it, str) for it in values):
            raise Invalid("rrset_values", "Required")
        if not isinstance(ttl, int) or not TTL_MIN <= ttl <= TTL_MAX:
            raise Invalid("rrset_ttl", f"{ttl} is not between {TTL_MIN} and {TTL_MAX}")
        if of not in TYPES:
            raise Invalid("rrset_type", f"{of} is no type")
        others = [other for other in sets.get(name, {}) if other != of]
        if of == "CNAME" and (len(values) != 1 or name == "@"):
            raise Invalid("items", "invalid CNAME")
        if (of == "CNAME" and others) or "CNAME" in others:
            raise Invalid("items", f"cannot be beside a CNAME: {name}")
        return {"rrset_values": values, "rrset_ttl": ttl}

    def answer(self, method, path, query, body, base):
        if self.race and self.race[0] == method:
            _, fqdn, name, of, value = self.race
            self.race = None
            self.domains[fqdn].setdefault(name, {})[of] = self.somebodys(value)
        if path == "/domains" and method == "GET":
            return self.list(query, base)
        found = re.fullmatch(r"/domains/([^/]+)", path)
        if found and method == "GET":
            fqdn = urllib.parse.unquote(found[1])
            self.need(fqdn)
            return 200, {}, self.show_domain(base, fqdn)
        found = re.fullmatch(r"/domains/([^/]+)/records/([^/]+)(?:/([^/]+))?", path)
        if not found:
            raise Refused(404, "The resource could not be found.")
        fqdn, name, of = (urllib.parse.unquote(part) if part else part for part in found.groups())
        sets = self.need(fqdn)
        if of is None and method == "GET":
            if name not in sets:
                raise Refused(404, f"Can't find the DNS record {name} in the zone")
            return 200, {}, [self.show(base, fqdn, name, it, sets[name][it]) for it in sets[name]]
        if method == "POST":
            if of in sets.get(name, {}):
                raise Refused(409, "A DNS Record already exists with same value")
            sets.setdefault(name, {})[of] = self.check(body, name, of, sets)
            location = f"{base}/domains/{fqdn}/records/{name}/{of}"
            return 201, {"Location": location}, {"message": "DNS Record Created"}
        if method == "PUT":
            sets.setdefault(name, {})[of] = self.check(body, name, of, sets)
            return 201, {}, {"message": "DNS Record Created"}
        if of not in sets.get(name, {}):
            raise Refused(404, f"Can't find the DNS record {name}/{of} in the zone")
        if method == "GET":
            return 200, {}, self.show(base, fqdn, name, of, sets[name][of])
        if method == "DELETE":
            self.remove(sets, name, of)
            return 204, {}, None
        raise Refused(405, "not that way")

    def list(self, query, base):
        number = int(query.get("page", ["1"])[0])
        size = min(int(query.get("per_page", [str(self.per_page)])[0]), self.per_page)
        names = sorted(self.domains)
        page = names[(number - 1) * size : number * size]
        headers = {"Total-Count": str(len(names))}
        if number * size < len(names):
            more = f"{base}/domains?page={number + 1}&per_page={size}"
            headers["Link"] = f'<{more}>; rel="next"'
        return 200, headers, [self.show_domain(base, fqdn) for fqdn in page]

    @staticmethod
    def somebodys(value):
        return {"rrset_values": [value], "rrset_ttl": TTL_USUAL}

    @staticmethod
    def remove(sets, name, of):
        del sets[name][of]
        if not sets[name]:
            del sets[name]

    def order(self, verb, rest):
        parts = " ".join(rest).split(" ")
        if verb == "domain":
            self.domains[parts[0]] = {}
            return None
        if verb == "leave":
            del self.domains[parts[0]]
            return None
        if verb == "put":
            fqdn, name, of, value = parts
            self.domains[fqdn].setdefault(name, {})[of] = self.somebodys(value)
            return None
        if verb == "drop":
            fqdn, name, of = parts
            self.remove(self.domains[fqdn], name, of)
            return None
        if verb == "race":
            self.race = parts
            return None
        if verb == "records":
            return self.domains[parts[0]]
        if verb == "per_page":
            self.per_page = int(parts[0])
            return None
        return super().order(verb, rest)


serve(Service(sys.argv[1]), sys.argv[2:])
