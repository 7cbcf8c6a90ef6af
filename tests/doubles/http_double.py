"""What the doubles of services have in common: an HTTP server on a free port, and orders by standard input.

A double prints its port. Each line on standard input is an order, and answered by a line of JSON. It ends
with its standard input. All doubles know these orders, beside their own:

    requests          all requests that were taken, in order
    status CODE BODY  the next request is answered so, with a header that leads elsewhere
    silence [VERB]    the next request, or the next by that verb, is carried out and never answered
"""

import json
import ssl
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refused(Exception):
    def __init__(self, status, said):
        super().__init__(said)
        self.status = status


class Double:
    """A service. What it has is asked and ordered under its lock."""

    # What every path begins with, and the header that has the key.
    prefix = ""
    key_header = ""
    elsewhere = "/elsewhere"

    def __init__(self, key):
        self.key = key
        self.lock = threading.Lock()
        self.requests = []
        self.next = None
        # Those of the request that is being answered.
        self.headers = {}

    def answer(self, method, path, query, body, base):
        """Gives status, headers and a body. `query` has the values of each name."""
        raise NotImplementedError

    def describe(self, refused):
        """The body of a refusal."""
        return {"error": str(refused)}

    def order(self, verb, rest):
        """Does what somebody else may do there; gives what is answered."""
        return f"unknown: {verb}"

    def take(self, method, target, headers, body, base):
        with self.lock:
            self.headers = headers
            url = urllib.parse.urlsplit(target)
            path, key = url.path.removeprefix(self.prefix), headers.get(self.key_header)
            self.requests.append(
                {
                    "verb": method,
                    "path": path,
                    "query": url.query,
                    "body": body,
                    "headers": {self.key_header: key},
                }
            )
            ordered = None
            if self.next and self.next[0] in (method, ""):
                ordered, self.next = self.next[1:], None
            if ordered and ordered[0] != "silence":
                headers = {"Retry-After": "2", "Location": self.elsewhere}
                return int(ordered[0]), headers, ordered[1].encode()
            try:
                query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
                self.admit(key)
                answer = self.answer(method, path, query, body, base)
            except Refused as refused:
                answer = refused.status, {}, self.describe(refused)
            return (None, {}, None) if ordered else answer

    def admit(self, key):
        """Refuses who may not ask."""

    def obey(self, line):
        verb, *rest = line.rstrip("\n").split(" ", 2)
        with self.lock:
            if verb == "requests":
                return self.requests
            if verb == "status":
                self.next = ("", rest[0], rest[1])
                return None
            if verb == "silence":
                self.next = (rest[0] if rest else "", "silence", None)
                return None
            return self.order(verb, rest)


def handler(double):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            body = json.loads(text) if text else None
            base = f"https://{self.headers['Host']}{double.prefix}"
            status, headers, answer = double.take(
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
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_):
            pass

    return Handler


def serve(double, certificate):
    """Serves until its standard input ends: by TLS where there are a certificate and its key."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(double))
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    for line in sys.stdin:
        print(json.dumps(double.obey(line)), flush=True)
