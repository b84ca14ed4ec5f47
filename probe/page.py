"""The page on which people say yes and no: plain forms, no script, on this machine alone.

`Page` thinks and does no I/O; `serve` is the rim.  A number is never in an address, a title or a log.
"""

import hashlib
import hmac
import re
import secrets
import threading
from base64 import b64encode
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

import click

from probe.base.config import ConfigError, RunError
from probe.register import ANSWERS, Register, Said

BODY_MAX, SILENT_S = 4_096, 30.0
HTML = Path(__file__).with_name("page.html").read_text("utf-8")
PIECES = {name: Template(text) for name, text in re.findall(r"<!-- (\w+) -->\n(.*?)\n(?=<!-- )", HTML, re.S)}
STYLE, WORDS = (hashlib.sha256(text.encode()) for text in re.findall("<style>(.*)</style>(.*)", HTML, re.S)[0])
VERSION = WORDS.hexdigest()[:8]  # of the text that people read before they say yes or no: a changed text has another
HEADERS = {
    "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{b64encode(STYLE.digest()).decode()}'; "
                               "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
}


def piece(of: str, /, **given: str) -> str:
    """Return a piece of page.html, filled in."""
    return PIECES[of].substitute(given)


class Page:
    """What is answered to whom.

    hosts : the names under which the page may be asked for: another site's name that leads here is refused
    token : stands in every form; who cannot read the page cannot speak in somebody's name
    """

    def __init__(self, register: Register, hosts: list[str], token: str):
        self._register, self._hosts, self._token = register, hosts, token

    def answer(self, host: str, path: str, form: dict[str, list[str]] | None) -> tuple[int, str]:
        """Return status and document; form is None where none was sent."""
        if host not in self._hosts:
            return 403, piece("page", body=piece("host"))
        if path != "/":
            return 404, self._first("path")
        if form is None:
            return 200, self._first()
        token, digits = ("".join(form.get(name, [])) for name in ("token", "number"))
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return 403, self._first("old")
        if not (number := self._register.number(digits)):
            return 404, self._first("unknown")
        said = [Said(number, purpose, answer, None, VERSION, "page")
                for answer in ANSWERS for purpose in form.get(answer, [])]
        try:
            holds = [(one["purpose"], one["answer"]) for one in self._register.shown(number)["purposes"]
                     if not one["later"]]
            if new := any((one.purpose, ANSWERS[one.answer]) not in holds for one in said):
                self._register.record(said)
            return 200, self._choices(number, ["saved"] if new else ["nothing"] * bool(said or "save" in form))
        except ConfigError:
            return 400, self._first("unclear")
        except RunError:
            return 503, self._first("trouble")

    def _first(self, wrong: str = "") -> str:
        """Return the document that asks for the number, and says what went wrong."""
        return piece("page", body=piece("first", wrong=piece(wrong) if wrong else "", token=self._token))

    def _choices(self, number: int, notices: list[str]) -> str:
        """Return the document with the text and, by purpose, what holds and what can be done."""
        shown, cards = self._register.shown(number), []
        for one in shown["purposes"]:
            answer, open_end = one["answer"], bool(one["later"])
            lines = [piece(answer, since=escape(one["since"]))]
            lines += [piece("later", answer=later["answer"], since=escape(later["since"])) for later in one["later"]]
            lines += [piece(basis, words=words) for basis, turns in one["turns"].items() for words in turns]
            lines += [piece(does, purpose=one["purpose"]) for does, can in (
                ("other", answer == "yes" and "handset" in one["why"]), ("tick", answer != "yes" or open_end),
                ("withdraw", answer == "yes"), ("refuse", answer == "open" or (answer == "no" and open_end))) if can]
            cards.append(piece("card", purpose=one["purpose"], words=piece(one["purpose"]), lines="\n".join(lines)))
        return piece("page", body=piece(
            "choices", notices="".join(map(piece, notices + ["minor"] * shown["minor"])), version=VERSION,
            token=self._token, number=str(number), cards="".join(cards),
            save=piece("save") if any(one["answer"] != "yes" or one["later"] for one in shown["purposes"]) else ""))


def serve(register: Register, port: int, open_it: bool) -> None:
    """Serve the page on 127.0.0.1 until interrupted; say where, and open it in the browser if asked to."""
    one_at_a_time = threading.Lock()  # the kernel behind the fingerprints is for one thread

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version, timeout = "footfall", "", SILENT_S

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            known = length.isdecimal() and int(length) <= BODY_MAX
            self.do_GET(parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace")) if known else {})

        def do_GET(self, form: dict[str, list[str]] | None = None) -> None:
            with one_at_a_time:
                status, text = page.answer(self.headers.get("Host", ""), self.path, form)
            self.reply(status, text)

        def reply(self, status: int, text: str) -> None:
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def send_error(self, code: int, message=None, explain=None) -> None:
            """Refuse what is no GET or POST without the page of the library, which repeats what was asked for."""
            self.reply(405 if code == 501 else code, "")

        def log_message(self, *given) -> None:
            """Write nothing: who asked when is nobody's business."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise RunError(f"port {port}: {error.strerror}; name another with --port, or 0 for any that is free") from None
    with server:
        hosts = [f"{name}:{server.server_port}" for name in ("127.0.0.1", "localhost")]
        page = Page(register, hosts, secrets.token_urlsafe(16))
        click.echo(f"http://{hosts[0]}/")
        click.echo("the page is served there, on this machine alone; Ctrl-C ends it", err=True)
        if open_it:
            click.launch(f"http://{hosts[0]}/")
        server.serve_forever()
