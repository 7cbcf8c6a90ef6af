"""New Relic's Synthetics API, version 1, as its manual describes it, in memory.

    service.py KEY [CERTIFICATE PRIVATE_KEY]

Prints its port. Each line on standard input is an order, and answered by a line of JSON:

    requests          all requests that were taken, in order
    status CODE BODY  the next request is answered so, with a header that leads elsewhere
    silence           the next request is carried out and never answered
    add URL NAME      a monitor of somebody else
    set ID STATUS     somebody changes a monitor
    pages no          the list knows no pages, and gives its first hundred (yes: as before)

Ends with its standard input.
"""

import json
import re
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FREQUENCIES = (1, 5, 10, 15, 30, 60, 360, 720, 1440)
STATUSES = ("ENABLED", "MUTED", "DISABLED")
PREFIX = "/synthetics/api/v1"
# Requests that an account may make within a second.
PER_SECOND = 3


class Refused(Exception):
    def __init__(self, status, said):
        super().__init__(said)
        self.status = status


class Service:
    def __init__(self, key):
        self.key = key
        self.lock = threading.Lock()
        self.monitors = {}
        self.recipients = {}
        self.requests = []
        self.times = []
        self.next = None
        self.has_pages = True

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
        """Gives status, headers and a body."""
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

    def take(self, method, target, headers, body, base):
        with self.lock:
            url = urllib.parse.urlsplit(target)
            key = headers.get("X-Api-Key")
            self.requests.append(
                {
                    "verb": method,
                    "path": url.path.removeprefix(PREFIX),
                    "query": url.query,
                    "body": body,
                    "headers": {"X-Api-Key": key},
                }
            )
            ordered, self.next = self.next, None
            if ordered and ordered[0] != "silence":
                headers = {"Retry-After": "2", "Location": "/synthetics/api/v1/monitors/elsewhere"}
                return int(ordered[0]), headers, ordered[1].encode()
            now = time.monotonic()
            self.times = [then for then in self.times if now - then < 1] + [now]
            try:
                if key != self.key:
                    raise Refused(401, "The API key is not valid")
                if len(self.times) > PER_SECOND:
                    raise Refused(429, "too many requests")
                query = urllib.parse.parse_qs(url.query)
                answer = self.answer(method, url.path.removeprefix(PREFIX), query, body, base)
            except Refused as refused:
                answer = refused.status, {}, {"error": str(refused)}
            return (None, {}, None) if ordered else answer


def handler(service):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            body = json.loads(text) if text else None
            base = f"https://{self.headers['Host']}{PREFIX}"
            status, headers, answer = service.take(
                self.command, self.path, self.headers, body, base
            )
            if status is None:
                self.close_connection = True
                return
            text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            text = b"" if answer is None else text
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_):
            pass

    return Handler


def main():
    service = Service(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(service))
    server.daemon_threads = True
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for line in sys.stdin:
        verb, *rest = line.rstrip("\n").split(" ", 2)
        with service.lock:
            answer = None
            if verb == "requests":
                answer = service.requests
            elif verb == "status":
                service.next = (rest[0], rest[1])
            elif verb == "silence":
                service.next = ("silence", None)
            elif verb == "add":
                url, name = rest
                body = {
                    "name": name,
                    "uri": url,
                    "type": "SIMPLE",
                    "frequency": 60,
                    "locations": ["AWS_EU_WEST_1"],
                    "status": "ENABLED",
                }
                answer = service.create(body)
            elif verb == "set":
                service.monitors[rest[0]]["status"] = rest[1]
            elif verb == "pages":
                service.has_pages = rest[0] == "yes"
            else:
                answer = f"unknown: {verb}"
        print(json.dumps(answer), flush=True)


main()
