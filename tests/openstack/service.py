"""Stands before a real OpenStack, and spoils single answers of it.

    service.py KEY [CERTIFICATE CERTIFICATE-KEY]

Below /PORT it leads to that port of this computer, and has all URLs in answers lead through itself: whoever
asks Keystone through it asks all others through it. With a certificate it speaks TLS. KEY is of no use. Each
order is one line of JSON, and answered by one:

    {"verb": "POST", "path": "REGEX", "do": WHAT, "times": 1, "status": 429, "headers": {}, "body": ""}
    {"do": "requests"}     what was asked, as "VERB PATH", since the last time; with the body where it is an action

WHAT is `answer` (as said, without asking anybody), `cut` (it is carried out, and the connection ends without an
answer), `drop` (it is not carried out either), or `garble` (the answer is cut in half).
"""

import http.client
import json
import re
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
orders = []
requests = []


def find_order(verb, path, body):
    with lock:
        requests.append("%s %s %s" % (verb, path, body.decode() if path.endswith("/action") else ""))
        for order in orders:
            if order["verb"] == verb and re.search(order["path"], path) and order.get("times", 1) > 0:
                order["times"] = order.get("times", 1) - 1
                return order
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        port, path = re.fullmatch(r"/(\d+)(/.*)?", self.path).groups()
        order = find_order(self.command, path or "/", body) or {"do": "nothing"}
        if order["do"] == "answer":
            self.give(order["status"], order.get("headers", {}), order.get("body", "").encode())
            return
        if order["do"] == "drop":
            self.close_connection = True
            return
        peer = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        unwanted = ("host", "content-length", "connection", "accept-encoding")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in unwanted}
        try:
            peer.request(self.command, path or "/", body or None, headers)
            answer = peer.getresponse()
            content = answer.read()
        except OSError:
            self.close_connection = True
            return
        finally:
            peer.close()
        if order["do"] == "cut":
            self.close_connection = True
            return
        own = b"%s://127.0.0.1:%d/" % (scheme, self.server.server_port)
        content = re.sub(rb"http://127\.0\.0\.1:(\d+)", own + rb"\1", content)
        if order["do"] == "garble":
            content = content[: len(content) // 2]
        unwanted = ("content-length", "connection", "transfer-encoding", "date", "server")
        told = {name: value for name, value in answer.getheaders() if name.lower() not in unwanted}
        self.give(answer.status, told, content)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def give(self, status, headers, body):
        self.send_response_only(status)
        headers = {"Date": self.date_time_string(), **headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
scheme = b"http"
if len(sys.argv) > 2:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = b"https"
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
for line in sys.stdin:
    order = json.loads(line)
    with lock:
        if order["do"] == "requests":
            answer, requests[:] = list(requests), []
        else:
            answer = None
            orders.append(order)
    print(json.dumps(answer), flush=True)
