"""What the demo site has on servers that sites share: a row in its database, an object in its storage.

Usage: services.py SITE.json
Writes both, each where the variables name a server: afterwards the site's page shows them.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

TIMEOUT_S = 10
# The page is shown more often than this is read anew.
KEPT_S = 5
TOLD_MAX = 200
PREFIX = "ocim-demo/"


class Database:
    """A table with a row for each appserver that was deployed; read and written by MariaDB's client."""

    def __init__(self, variables):
        self.variables = variables

    def write(self, number):
        self.execute(
            "CREATE TABLE IF NOT EXISTS ocim_demo (appserver INT PRIMARY KEY); "
            f"REPLACE INTO ocim_demo VALUES ({int(number)})"
        )

    def read(self):
        return self.execute("SELECT appserver FROM ocim_demo").split()

    def execute(self, sql):
        client = shutil.which("mariadb") or shutil.which("mysql")
        if client is None:
            raise OSError("this machine has no client of the database")
        database = self.variables["EDXAPP_MYSQL_DB_NAME"]
        options = {part: self.variables[f"EDXAPP_MYSQL_{part.upper()}"] for part in ("host", "port", "user", "password")}
        text = "[client]\nprotocol=tcp\n" + "".join(f'{name}="{value}"\n' for name, value in options.items())
        # The password is in no list of processes.
        with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
            file.write(text)
            file.flush()
            command = [client, f"--defaults-file={file.name}", f"--connect-timeout={TIMEOUT_S}"]
            command += ["--batch", "--skip-column-names", database]
            done = subprocess.run(command, input=sql, text=True, capture_output=True, timeout=2 * TIMEOUT_S)
        if done.returncode != 0:
            raise OSError(done.stderr)
        return done.stdout


class Storage:
    """A container with an object for each appserver that was deployed; Keystone v3 tells where it is."""

    def __init__(self, variables):
        self.variables = variables

    def write(self, number):
        self.ask("PUT", f"/{PREFIX}{int(number)}", b"deployed")

    def read(self):
        listed = self.ask("GET", f"?format=json&prefix={PREFIX}")
        return [item["name"].removeprefix(PREFIX) for item in json.loads(listed)]

    def ask(self, method, path, body=None):
        token, url = self.log_in()
        container = urllib.parse.quote(self.variables["EDXAPP_FILE_UPLOAD_STORAGE_BUCKET_NAME"])
        _, answer = fetch(method, f"{url}/{container}{path}", {"X-Auth-Token": token}, body)
        return answer

    def log_in(self):
        parts = ("USERNAME", "KEY", "TENANT_NAME", "AUTH_URL", "REGION_NAME")
        user, password, tenant, url, region = (self.variables[f"EDXAPP_SWIFT_{part}"] for part in parts)
        domain = {"id": "default"}
        user = {"name": user, "domain": domain, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": tenant, "domain": domain}}
        body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
        keystone = url.rstrip("/").removesuffix("/v2.0").removesuffix("/v3")
        headers, answer = fetch("POST", f"{keystone}/v3/auth/tokens", {"Content-Type": "application/json"}, body)
        for service in json.loads(answer)["token"]["catalog"]:
            for endpoint in service["endpoints"]:
                is_there = endpoint["interface"] == "public" and region in ("", endpoint["region"])
                if service["type"] == "object-store" and is_there:
                    return headers["X-Subject-Token"], endpoint["url"]
        raise OSError(f"there is no storage in the region {region}")


def fetch(method, url, headers, body):
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    # Only what the variables name is asked, whatever proxies the machine has.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=TIMEOUT_S) as answer:
        return answer.headers, answer.read()


def find_services(variables):
    """Those that the variables name, by what the page calls them."""
    services = {}
    if variables["EDXAPP_MYSQL_HOST"]:
        services["Database"] = Database(variables)
    if variables["EDXAPP_SWIFT_AUTH_URL"]:
        services["Storage"] = Storage(variables)
    return services


class Shown:
    """What the page says of them, read anew from time to time."""

    def __init__(self, variables):
        self.services = find_services(variables)
        self.lock = threading.Lock()
        self.lines, self.read_at = [], -KEPT_S

    def read(self):
        with self.lock:
            if time.monotonic() - self.read_at >= KEPT_S:
                self.lines = [f"{name}: {describe(service)}" for name, service in self.services.items()]
                self.read_at = time.monotonic()
            return self.lines


def describe(service):
    try:
        numbers = sorted(map(int, service.read()))
        return "written by AppServer " + ", ".join(map(str, numbers))
    except (OSError, ValueError, LookupError, TypeError, subprocess.SubprocessError) as error:
        return f"cannot be read: {error}"[:TOLD_MAX]


def main(path):
    with open(path, encoding="utf-8") as file:
        variables = json.load(file)
    for service in find_services(variables).values():
        service.write(variables["OCIM_APPSERVER_NUMBER"])


if __name__ == "__main__":
    os.umask(0o077)
    main(*sys.argv[1:])
