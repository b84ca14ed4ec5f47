"""Child processes: started, listened to, stopped.  Knows nothing of what they do."""

import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from multiprocessing import connection, get_context
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from probe.base.clock import WallClock
from probe.base.main import RunError

CONTEXT = get_context("spawn")  # fork and numba's threads do not go together
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let what runs inside end before an interrupt is heard."""
    heard, before = [], [signal.signal(ending, lambda *_: heard.append(1)) for ending in ENDINGS]
    try:
        yield
    finally:
        for ending, handler in zip(ENDINGS, before, strict=True):
            signal.signal(ending, handler)
    if heard:
        raise KeyboardInterrupt


def child(name: str, target: str, config: Any, pipe: connection.Connection, log_path: str) -> None:
    """Run target ("module:function") in this process; whatever goes wrong is told to the parent.

    The parent alone listens to Ctrl-C.  What a library prints goes to the log; tracebacks carry no values.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.dup2(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 1), 2)
    try:
        resolve_name(target)(config, pipe)
    except (BrokenPipeError, EOFError):
        sys.exit(1)  # the parent is gone
    except BaseException as error:
        traceback.print_exc()
        pipe.send(("failed", f"{name}: {error or type(error).__name__}"))
        sys.exit(1)


class Processes:
    """All children of a run, by name.  `until` is the only place where their words arrive.

    said : {name: {word: what came with it last}}, of the words ready, progress and done
    """

    def __init__(self, log_dir: Path):
        self._log_dir, self._clock = log_dir, WallClock()
        self._running, self.pipes, self.said = list[Any](), dict[str, connection.Connection](), dict[str, dict]()

    def start(self, name: str, target: str, config: Any) -> None:
        """Start one process."""
        self.said[name], (self.pipes[name], theirs) = {}, CONTEXT.Pipe()
        given = (name, target, config, theirs, str(self._log_dir / f"{name}.log"))
        self._running.append(CONTEXT.Process(target=child, args=given, name=name, daemon=True))
        heed = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child is deaf to Ctrl-C from its first moment
        self._running[-1].start()
        signal.signal(signal.SIGINT, heed)
        theirs.close()

    def until(self, word: str, names: Iterable[str], every: Callable = lambda: None, patience_s: float = inf) -> None:
        """Listen until the named have said a word, or patience ends; RunError when one failed or vanished."""
        give_up_s = self._clock.now_s() + patience_s
        while not all(word in self.said[name] for name in names) and self._clock.now_s() < give_up_s:
            speaking = [name for name in self.pipes if "done" not in self.said[name]]
            heard = connection.wait([self.pipes[name] for name in speaking], 0.2)
            for name in (name for name in speaking if self.pipes[name] in heard):
                try:
                    said, content = self.pipes[name].recv()
                except (EOFError, OSError):
                    raise RunError(f"{name} ended without a word; see {self._log_dir / name}.log") from None
                if said == "failed":
                    raise RunError(content)
                self.said[name][said] = content
            every()

    def stop(self, names: Iterable[str], patience_s: float) -> None:
        """Ask those of the named that run to finish, and give them some time."""
        with suppress(OSError, RunError):  # whoever is gone needs no telling
            for name in (running := [name for name in names if name in self.pipes]):
                self.pipes[name].send(("stop",))
            self.until("done", running, patience_s=patience_s)

    def end(self) -> None:
        """Leave nothing running."""
        for act in ("terminate", "kill"):
            for process in self._running:
                getattr(process, act)()
            for process in self._running:
                process.join(2.0)
