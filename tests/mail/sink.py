"""A mail server that keeps what it takes as files, and refuses as told by the addresses.

Arguments: the folder; "plain", or "tls" with a certificate and its key; "open" or "login".
Prints its port once it listens, and ends when its standard input does.
"""

import asyncio
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Sink:
    """What becomes of each mail."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("banned@"):
            return "550 5.7.1 you are not welcome"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown@"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later@"):
            return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("full@") for address in envelope.rcpt_tos):
            return "552 5.2.2 the mailbox is full"
        self.count += 1
        name = f"{self.count}.eml"
        head = f"X-Envelope: {envelope.mail_from} {','.join(envelope.rcpt_tos)}\r\n"
        (self.folder / f"{name}.part").write_bytes(head.encode() + envelope.content)
        (self.folder / f"{name}.part").rename(self.folder / name)
        if any(address.startswith("silent@") for address in envelope.rcpt_tos):
            # The mail is taken, and the line breaks before anybody hears of it.
            server.transport.abort()
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    known = (data.login, data.password) == (b"ocim", b"hunter2")
    return AuthResult(success=known, handled=False)


async def main():
    folder, line, *rest = sys.argv[1:]
    context = None
    if line == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(rest[0], rest[1])
    needs_login = rest[-1] == "login"
    sink = Sink(pathlib.Path(folder))

    def serve():
        return SMTP(
            sink,
            hostname="sink.example.com",
            tls_context=context,
            require_starttls=context is not None,
            auth_required=needs_login,
            auth_require_tls=False,
            authenticator=authenticate,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
