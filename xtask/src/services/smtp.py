"""A mail server for tests: it keeps what it takes, and fails as it is told to, recipient by recipient.

Its only argument is a JSON file: ports, certificate and key, user and password. Over HTTP:

    GET    /                           it is up
    GET    /mails?to=a@example.com     what was taken for this recipient, in order
    GET    /attempts?to=a@example.com  how often RCPT named it
    PUT    /mode?to=a@example.com      {"mode": "rcpt450", "times": 2}: the next two go wrong; without times, all

Modes: rcpt450, rcpt550, data451; slow (waits "seconds" after DATA and takes the mail); drop_keep and drop_lose (hang up in the place of
the last answer, with and without taking the mail); ok.
"""

import asyncio
import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.smtp import SMTP, AuthResult

LOCK = threading.Lock()
MAILS = []
ATTEMPTS = {}
MODES = {}


def mode_of(address, wanted):
    """The mode of a recipient, if it is one of these; one of its times is used up then."""
    with LOCK:
        mode = MODES.get(address, {})
        if mode.get("mode") not in wanted:
            return "ok", 0
        if "times" in mode:
            mode["times"] -= 1
            if mode["times"] <= 0:
                del MODES[address]
        return mode["mode"], mode.get("seconds", 0)


class Sink:
    async def handle_RCPT(self, server, session, envelope, address, options):
        with LOCK:
            ATTEMPTS[address] = ATTEMPTS.get(address, 0) + 1
        mode, _ = mode_of(address, ("rcpt450", "rcpt550"))
        if mode == "rcpt450":
            return f"450 4.2.1 <{address}> is busy"
        if mode == "rcpt550":
            return f"550 5.1.1 <{address}> is unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 yes"

    async def handle_DATA(self, server, session, envelope):
        mode, seconds = mode_of(envelope.rcpt_tos[0], ("data451", "slow", "drop_keep", "drop_lose"))
        if mode == "data451":
            return "451 4.3.0 not now"
        if mode == "slow":
            await asyncio.sleep(seconds)
        if mode != "drop_lose":
            with LOCK:
                MAILS.append({
                    "from": envelope.mail_from,
                    "to": envelope.rcpt_tos,
                    "data": envelope.original_content.decode("utf-8", "replace"),
                    "login": session.auth_data.decode() if session.auth_data else None,
                    "encrypted": server.transport.get_extra_info("sslcontext") is not None,
                })
        if mode.startswith("drop"):
            server.transport.abort()
            return "421 4.0.0 nobody hears this"
        return "250 2.0.0 taken"


class Control(BaseHTTPRequestHandler):
    def do_GET(self):
        path, to = self.target()
        with LOCK:
            answer = {
                "/mails": [mail for mail in MAILS if to in mail["to"]],
                "/attempts": ATTEMPTS.get(to, 0),
            }.get(path)
        self.answer("up" if answer is None else answer)

    def do_PUT(self):
        _, to = self.target()
        mode = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with LOCK:
            MODES[to] = mode
        self.answer(None)

    def target(self):
        url = urlsplit(self.path)
        return url.path, parse_qs(url.query).get("to", [""])[0]

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


async def main(settings):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings["certificate"], settings["key"])
    login = (settings["user"].encode(), settings["password"].encode())

    def authenticate(server, session, envelope, mechanism, data):
        is_right = (data.login, data.password) == login
        return AuthResult(success=is_right, auth_data=data.login if is_right else None)

    def starttls():
        return SMTP(Sink(), enable_SMTPUTF8=True, hostname="localhost", tls_context=context, require_starttls=True,
                    authenticator=authenticate, auth_required=True)

    def tls():
        return SMTP(Sink(), enable_SMTPUTF8=True, hostname="localhost",
                    authenticator=authenticate, auth_required=True, auth_require_tls=False)

    loop = asyncio.get_running_loop()
    await loop.create_server(starttls, "127.0.0.1", settings["smtp_port"])
    await loop.create_server(tls, "127.0.0.1", settings["smtps_port"], ssl=context)
    control = ThreadingHTTPServer(("127.0.0.1", settings["http_port"]), Control)
    control.daemon_threads = True
    await loop.run_in_executor(None, control.serve_forever)


with open(sys.argv[1]) as file:
    asyncio.run(main(json.load(file)))
