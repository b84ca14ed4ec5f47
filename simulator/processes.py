"""Child processes: started, listened to, stopped.  Knows nothing of what they do."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from probe.base.clock import WallClock
from probe.base.main import RunError

CONTEXT = multiprocessing.get_context("spawn")  # fork and numba's threads do not go together


def child(name: str, target: str, config: Any, pipe: Connection, log_path: str) -> None:
    """Run target ("module:function") in this process; whatever goes wrong is told to the parent.

    The parent alone listens to Ctrl-C.  What a library prints goes to the log; tracebacks carry no values.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        module, function = target.split(":")
        getattr(importlib.import_module(module), function)(config, pipe)
    except (BrokenPipeError, EOFError):
        sys.exit(1)  # the parent is gone
    except BaseException as error:
        traceback.print_exc()
        pipe.send(("failed", f"{name}: {error or type(error).__name__}"))
        sys.exit(1)


@dataclass
class Child:
    """One running process and what it has said."""

    name: str
    process: Any
    pipe: Connection
    ready: Any = None
    done: Any = None
    progress: dict = field(default_factory=dict)


class Processes:
    """All children of a run.  `until` is the only place where their words arrive."""

    def __init__(self, log_dir: Path):
        log_dir.mkdir()
        self._log_dir = log_dir
        self._clock = WallClock()
        self.children: dict[str, Child] = {}

    def start(self, name: str, target: str, config: Any) -> None:
        """Start one process."""
        ours, theirs = CONTEXT.Pipe()
        given = (name, target, config, theirs, str(self._log_dir / f"{name}.log"))
        process = CONTEXT.Process(target=child, args=given, name=name, daemon=True)
        process.start()
        theirs.close()
        self.children[name] = Child(name, process, ours)

    def until(self, said: Callable[[Child], bool], names: Iterable[str], every: Callable = lambda: None,
              patience_s: float = float("inf")) -> None:
        """Listen until said(child) holds for the named, or patience ends; RunError when one failed or vanished."""
        give_up_s = self._clock.now_s() + patience_s
        while not all(said(self.children[name]) for name in names) and self._clock.now_s() < give_up_s:
            heard = wait([one.pipe for one in self.children.values() if one.done is None], 0.2)
            for one in [one for one in self.children.values() if one.pipe in heard]:
                try:
                    word, content = one.pipe.recv()
                except EOFError:
                    raise RunError(f"{one.name} ended without a word; see {self._log_dir / one.name}.log") from None
                if word == "failed":
                    raise RunError(content)
                setattr(one, word, content)
            every()

    def finish(self, names: list[str], every: Callable = lambda: None, patience_s: float = float("inf")) -> None:
        """Listen until the named are done, or patience ends."""
        self.until(lambda one: one.done is not None, names, every, patience_s)

    def stop(self, names: list[str], patience_s: float) -> None:
        """Ask the named to finish, and give them some time."""
        try:
            for name in names:
                self.children[name].pipe.send(("stop",))
            self.finish(names, patience_s=patience_s)
        except (OSError, RunError):
            return  # whoever is gone needs no telling

    def end(self) -> None:
        """Leave nothing running."""
        for act in ("terminate", "kill"):
            for one in self.children.values():
                if one.process.is_alive():
                    getattr(one.process, act)()
            for one in self.children.values():
                one.process.join(2.0)
