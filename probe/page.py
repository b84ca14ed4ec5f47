"""The page on which people say yes and no: plain forms, no script, on this machine alone.

`Page` thinks and does no I/O; `serve` is the rim.  A number is never in an address, a title or a log.
"""

import hashlib
import hmac
import re
import secrets
import threading
import tomllib
from base64 import b64encode
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from probe.base.config import ConfigError, RunError
from probe.cli import figures
from probe.register import ANSWERS, Register, Said

BODY_MAX, SILENT_S = 4_096, 30.0
WORDS, HTML = (Path(__file__).with_name(name).read_text("utf-8") for name in ("page.toml", "page.html"))
TEXT, VERSION = tomllib.loads(WORDS), hashlib.sha256(WORDS.encode()).hexdigest()[:8]
PIECES = {name: Template(text) for name, text in re.findall(r"<!-- (\w+) -->\n(.*?)\n(?=<!-- )", HTML, re.S)}
STYLE = b64encode(hashlib.sha256(re.findall("<style>(.*)</style>", HTML, re.S)[0].encode()).digest()).decode()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE}'; form-action 'self'; "
                               "base-uri 'none'; frame-ancestors 'none'",
}
Form = dict[str, list[str]]


def piece(of: str, /, **given: str) -> str:
    """Return a piece of page.html, filled in."""
    return PIECES[of].substitute(given)


def document(body: str) -> str:
    """Return a whole document."""
    return piece("page", title=escape(TEXT["title"]), body=body)


def fault(name: str) -> str:
    """Return the document that says what went wrong, and where to go from there."""
    return document(piece("fault", words=escape(TEXT["faults"][name])) + piece("again"))


def each(tag: str, lines: list[str]) -> str:
    """Return every line as an element."""
    return "".join(f"<{tag}>{escape(line)}</{tag}>" for line in lines)


class Page:
    """What is answered to whom.

    hosts : the names under which the page may be asked for: another site's name that leads here is refused
    token : stands in every form; who cannot read the page cannot speak in somebody's name
    """

    def __init__(self, register: Register, hosts: set[str], token: str):
        self._register, self._hosts, self._token = register, hosts, token

    def answer(self, host: str, path: str, form: Form | None) -> tuple[int, str]:
        """Return status and document; form is None where none was sent."""
        if host not in self._hosts:
            return 403, fault("host")
        if path != "/":
            return 404, fault("path")
        if form is None:
            return 200, self._first()
        token, digits = (next(iter(form.get(name, [])), "") for name in ("token", "number"))
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return 403, fault("old")
        number = figures(digits)
        if self._register.known(number) < 0:
            return 404, self._first(piece("fault", words=escape(TEXT["faults"]["number"])))
        try:
            return 200, self._choices(number, self._heed(number, form))
        except ConfigError:
            return 400, fault("unclear")
        except RunError:
            return 503, fault("trouble")

    def _heed(self, number: int, form: Form) -> list[str] | None:
        """Record what was said; return for which purposes, or None where only the number was.

        What holds already, by a double click or a reload, is not recorded again.
        """
        state, asked = self._register.state(number), [(one, name) for one in ANSWERS for name in form.get(one, [])]
        news = [Said(number, purpose, answer, None, VERSION, "page") for answer, purpose in asked]
        self._register.record([one for one in news if one.yes_or_no != state.get(one.purpose)])
        return [purpose for _, purpose in asked] if asked or "save" in form else None

    def _first(self, wrong: str = "") -> str:
        """Return the page that asks for the number."""
        title, about = escape(TEXT["title"]), each("p", TEXT["about"][:1])
        return document(piece("first", title=title, wrong=wrong, about=about, token=self._token))

    def _choices(self, number: int, said: list[str] | None) -> str:
        """Return the page with the text and, by purpose, what holds and what can be done."""
        state, text = self._register.state(number), TEXT["notice"]
        since = {one.purpose: self._since(one) for one in self._register.said(number, "holds")}
        lines = [] if said is None else [text["saved"]] if said else [text["nothing"]]
        lines += [f"{TEXT['purposes'][one]['name']}: {state[one]}, {since[one]}" for one in said or [] if one in since]
        lines += [text["minor"]] * self._register.minor(number)
        return document(piece(
            "choices", title=escape(TEXT["title"]), about=each("p", TEXT["about"]), effect=each("li", TEXT["effect"]),
            notice=piece("notice", lines=each("p", lines)) if lines else "", version=VERSION,
            hidden=piece("hidden", token=self._token, number=str(number)),
            cards="".join(self._card(number, purpose, state[purpose], since.get(purpose)) for purpose in state),
            save="" if {*state.values()} == {"yes"} else piece("save")))

    def _card(self, number: int, purpose: str, state: str, since: str | None) -> str:
        """Return one purpose: a tick that nobody has set for them, and one click that says no."""
        text = {key: escape(words) for key, words in TEXT["purposes"][purpose].items()} | {"purpose": purpose}
        holds = TEXT["holds"][state] + ("" if state == "open" else f", {since or TEXT['holds']['file']}")
        if state == "yes" and not (self._register.counted(number)[purpose]["consent"] or self._register.minor(number)):
            holds += f" {TEXT['notice']['other']}"
        controls = {"yes": ["withdraw"], "open": ["tick", "refuse"], "no": ["tick"]}[state]
        buttons = "\n".join(piece(one, **text) for one in controls)
        return piece("card", holds=escape(holds), controls=buttons, **text)

    def _since(self, said: Said) -> str:
        """Return in words from when on something holds, and its proof."""
        begin, end, _ = self._register.slot(said.effective_ms or 0)
        return f"effective since slot {begin.day} {begin:%B %Y, %H:%M} to {end:%H:%M}; proof id {said.proof}"


def serve(register: Register, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page on 127.0.0.1 until interrupted; ready(address) is called when it can be asked for."""
    one_at_a_time = threading.Lock()  # the kernel behind the fingerprints is for one thread

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version, timeout = "footfall", "", SILENT_S

        def do_GET(self) -> None:
            self.reply(None)

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            known = length.isdecimal() and int(length) <= BODY_MAX
            self.reply(parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace")) if known else {})

        def reply(self, form: Form | None) -> None:
            with one_at_a_time:
                status, text = page.answer(self.headers.get("Host", ""), self.path, form)
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *given) -> None:
            """Write nothing: who asked when is nobody's business."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise RunError(f"port {port}: {error.strerror}; name another with --port, or 0 for any that is free") from None
    with server:
        port = server.server_port
        page = Page(register, {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}, secrets.token_urlsafe(16))
        register.said(0)  # what has to be compiled is compiled now
        ready(f"http://127.0.0.1:{port}/")
        server.serve_forever()
