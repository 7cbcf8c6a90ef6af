"""The demo site: answers for the LMS, Studio and preview as the variables it was given say.

Usage: server.py SITE.json ADDRESS PORT
"""

import base64
import hmac
import html
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import services

PAGE = """<!doctype html>
<html lang="en">
<title>{title}</title>
<h1>{title}</h1>
<p>{service} of {platform}</p>
<p>Open edX {release}, edx-platform {version}</p>
<p>AppServer {number}</p>
{shared}</html>
"""


class Site:
    """What the composed variables say about this site."""

    def __init__(self, variables):
        self.platform = variables["EDXAPP_PLATFORM_NAME"]
        self.release = variables["forum_version"]
        self.version = variables["edx_platform_version"]
        self.number = variables["OCIM_APPSERVER_NUMBER"]
        self.appserver = str(variables["OCIM_APPSERVER_ID"])
        self.shared = services.Shown(variables)
        self.services = {}
        named = (
            ("EDXAPP_LMS_BASE", "LMS"),
            ("EDXAPP_CMS_BASE", "Studio"),
            ("EDXAPP_PREVIEW_LMS_BASE", "Preview"),
        )
        for variable, service in named:
            domain = str(variables[variable]).split(":")[0].lower()
            if domain:
                self.services[domain] = service
        self.authorization = None
        user, password = (variables[f"COMMON_HTPASSWD_{part}"] for part in ("USER", "PASS"))
        if variables["COMMON_ENABLE_BASIC_AUTH"] and user and password:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.authorization = f"Basic {token}"

    def admits(self, authorization):
        return self.authorization is None or hmac.compare_digest(
            self.authorization.encode(), (authorization or "").encode("utf-8", "replace")
        )

    def render_page(self, service):
        fields = {
            "title": f"{self.platform} {service}" if service != "LMS" else self.platform,
            "service": service,
            "platform": self.platform,
            "release": self.release,
            "version": self.version,
            "number": self.number,
        }
        escaped = {name: html.escape(str(text)) for name, text in fields.items()}
        shared = "".join(f"<p>{html.escape(line)}</p>\n" for line in self.shared.read())
        return PAGE.format(**escaped, shared=shared)


class Handler(BaseHTTPRequestHandler):
    """One visitor's connection, kept alive between requests."""

    protocol_version = "HTTP/1.1"
    server_version = "ocim-demo-site"
    disable_nagle_algorithm = True
    wbufsize = -1  # One write for head and body.
    site: Site

    def do_GET(self):
        self.read_body()
        path = self.path.split("?", 1)[0]
        domain = (self.headers.get("Host") or "").split(":")[0].lower()
        if path == "/heartbeat":
            return self.answer(200, json.dumps({"ok": True}), "application/json")
        if not self.site.admits(self.headers.get("Authorization")):
            return self.answer(401, "Please log in.\n", "text/plain; charset=utf-8")
        service = self.site.services.get(domain)
        if service is None:
            return self.answer(404, "No site has this name here.\n", "text/plain; charset=utf-8")
        return self.answer(200, self.site.render_page(service), "text/html; charset=utf-8")

    do_HEAD = do_OPTIONS = do_POST = do_GET

    def read_body(self):
        """A body that stays unread would be taken for the next request."""
        length = self.headers.get("Content-Length", "0")
        if length.isdigit() and "Transfer-Encoding" not in self.headers:
            remaining = int(length)
            while remaining > 0 and (chunk := self.rfile.read(min(remaining, 65536))):
                remaining -= len(chunk)
        else:
            self.close_connection = True

    def answer(self, status, text, kind):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Ocim-Appserver", self.site.appserver)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="demo"')
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format, *args):
        pass  # Thousands of lines nobody reads.


class Server(ThreadingHTTPServer):
    """Takes a burst of new connections without refusing any."""

    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request, client_address):
        """A visitor or a health check that hangs up is no news; anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main(variables_path, address, port):
    with open(variables_path, encoding="utf-8") as file:
        Handler.site = Site(json.load(file))
    with Server((address, int(port)), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
