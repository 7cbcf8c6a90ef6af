"""New Relic's Synthetics API, version 1, as its manual describes it, in memory.

    service.py KEY [CERTIFICATE PRIVATE_KEY]

Its orders, beside those of all doubles (`tests/doubles`):

    add URL NAME      a monitor of somebody else
    set ID STATUS     somebody changes a monitor
    pages no          the list knows no pages, and gives its first hundred (yes: as before)
"""

import pathlib
import re
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "doubles"))
from http_double import Double, Refused, serve  # noqa: E402

FREQUENCIES = (1, 5, 10, 15, 30, 60, 360, 720, 1440)
STATUSES = ("ENABLED", "MUTED", "DISABLED")
# Requests that an account may make within a second.
PER_SECOND = 3


class Service(Double):
    prefix = "/synthetics/api/v1"
    key_header = "X-Api-Key"
    elsewhere = "/synthetics/api/v1/monitors/elsewhere"

    def __init__(self, key):
        super().__init__(key)
        self.monitors = {}
        self.recipients = {}
        self.times = []
        self.has_pages = True

    def admit(self, key):
        now = time.monotonic()
        self.times = [then for then in self.times if now - then < 1] + [now]
        if key != self.key:
            raise Refused(401, "The API key is not valid")
        if len(self.times) > PER_SECOND:
            raise Refused(429, "too many requests")

    def check(self, body):
        wanted = {"name": str, "type": str, "frequency": int, "locations": list, "status": str}
        for field, of in wanted.items():
            if not isinstance(body.get(field), of):
                raise Refused(400, f"{field} is missing")
        if body["type"] in ("SIMPLE", "BROWSER") and not isinstance(body.get("uri"), str):
            raise Refused(400, "uri is missing")
        if body["frequency"] not in FREQUENCIES or body["status"] not in STATUSES:
            raise Refused(400, "frequency or status is none")
        if not body["locations"]:
            raise Refused(400, "locations are missing")
        unknown = set(body) - set(wanted) - {"uri", "slaThreshold"}
        if unknown:
            raise Refused(400, f"unknown: {sorted(unknown)}")

    def create(self, body):
        self.check(body)
        name = str(uuid.uuid4())
        self.monitors[name] = {
            "id": name,
            **body,
            "slaThreshold": body.get("slaThreshold", 7.0),
            "userId": 0,
            "apiVersion": "0.2.2",
        }
        self.recipients[name] = []
        return name

    def need(self, name):
        if name not in self.monitors:
            raise Refused(404, "The specified monitor doesn't exist.")
        return self.monitors[name]

    def answer(self, method, path, query, body, base):
        if path == "/monitors" and method == "GET":
            offset = int(query.get("offset", ["0"])[0]) if self.has_pages else 0
            limit = min(int(query.get("limit", ["50"])[0]), 100)
            page = list(self.monitors.values())[offset : offset + limit]
            return 200, {}, {"monitors": page, "count": len(page)}
        if path == "/monitors" and method == "POST":
            name = self.create(body)
            return 201, {"Location": f"{base}/monitors/{name}"}, None
        found = re.fullmatch(r"/monitors/([^/]+)(/notifications)?", path)
        if not found:
            raise Refused(404, "no such page")
        name, notifications = urllib.parse.unquote(found[1]), found[2]
        monitor = self.need(name)
        if notifications and method == "GET":
            emails = self.recipients[name]
            return 200, {}, {"count": len(emails), "emails": emails}
        if notifications and method == "POST":
            emails = body.get("emails")
            if not emails or body.get("count") != len(emails):
                raise Refused(400, "count does not count the emails")
            if set(emails) & set(self.recipients[name]):
                raise Refused(400, "an email is there already")
            self.recipients[name] += emails
            return 204, {}, None
        if method == "GET":
            return 200, {}, monitor
        if method == "PUT":
            self.check(body)
            monitor.update(body)
            return 204, {}, None
        if method == "DELETE":
            del self.monitors[name], self.recipients[name]
            return 204, {}, None
        raise Refused(405, "not that way")

    def order(self, verb, rest):
        if verb == "add":
            url, name = rest
            return self.create(
                {
                    "name": name,
                    "uri": url,
                    "type": "SIMPLE",
                    "frequency": 60,
                    "locations": ["AWS_EU_WEST_1"],
                    "status": "ENABLED",
                }
            )
        if verb == "set":
            self.monitors[rest[0]]["status"] = rest[1]
            return None
        if verb == "pages":
            self.has_pages = rest[0] == "yes"
            return None
        return super().order(verb, rest)


serve(Service(sys.argv[1]), sys.argv[2:])
