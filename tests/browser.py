"""A real browser without a window, driven by keys alone: Chromium over its debugging pipe."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from time import sleep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = "--headless=new --no-sandbox --disable-gpu --no-first-run --remote-debugging-pipe".split()
KEYS = {"Tab": (9, "Tab", ""), "Enter": (13, "Enter", "\r"), "Space": (32, " ", " ")}

STARTER = """import os, sys
for end, place in zip(sys.argv[1:3], (3, 4)):
    os.dup2(int(end), place)
os.execvp(sys.argv[3], sys.argv[3:])"""


class Browser:
    """One page of one browser; a context manager."""

    def __init__(self, profile):
        (theirs, self._to), (self._from, back) = os.pipe(), os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 50) for end in (theirs, back)]  # free of 3 and 4, where it looks
        self._process = subprocess.Popen(
            [sys.executable, "-c", STARTER, *map(str, ends), CHROMIUM, *FLAGS, f"--user-data-dir={profile}",
             "about:blank"], pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in (theirs, back, *ends):
            os.close(end)
        self._number, self._buffer, self._session = 0, b"", None
        pages = [one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self._process.terminate()
        self._process.wait()

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                self._buffer += (some := os.read(self._from, 1 << 16))
                assert some, "the browser is gone"
            one, self._buffer = self._buffer.split(b"\0", 1)
            if (answer := json.loads(one)).get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def told(self, expression):
        """Return the value of an expression on the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def until(self, expression):
        """Wait until an expression is true, on whichever document is there then."""
        for _ in range(200):
            if self.told(f"!!({expression})"):
                return
            sleep(0.05)
        raise AssertionError(f"never true: {expression}: {self.told('document.body.innerText')}")

    def go(self, address):
        self.call("Page.navigate", url=address)

    def press(self, name):
        code, key, text = KEYS[name]
        of = {"key": key, "code": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **of)
        self.call("Input.dispatchKeyEvent", type="keyUp", **of)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def tab_to(self, selector):
        """Press Tab until what a selector names has the focus."""
        for _ in range(30):
            self.press("Tab")
            if self.told(f"document.activeElement.matches({selector!r})"):
                return
        raise AssertionError(f"not reached by Tab: {selector}")
