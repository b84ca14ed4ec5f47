"""Child processes: started, listened to, stopped.  Knows nothing of what they do."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from probe.base.main import RunError

CONTEXT = multiprocessing.get_context("spawn")  # fork and numba's threads do not go together
STOP_S = 8.0


def child(name: str, target: str, config: Any, pipe: Connection, log_path: str) -> None:
    """Run target ("module:function") in this process; whatever goes wrong is told to the parent.

    The parent alone listens to Ctrl-C.  What a library prints goes to the log; nothing
    of ours prints, and tracebacks carry no values.
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
    ready: dict | None = None
    done: dict | None = None
    progress: dict = field(default_factory=dict)


class Processes:
    """All children of a run.  `listen` is the only place where their words arrive."""

    def __init__(self, log_dir: Path):
        self._log_dir = log_dir
        self.children: dict[str, Child] = {}

    def start(self, name: str, target: str, config: Any) -> Child:
        """Start one process."""
        ours, theirs = CONTEXT.Pipe()
        log_path = str(self._log_dir / f"{name}.log")
        process = CONTEXT.Process(
            target=child, args=(name, target, config, theirs, log_path), name=name, daemon=True
        )
        process.start()
        theirs.close()
        self.children[name] = Child(name, process, ours)
        return self.children[name]

    def listen(self, timeout_s: float) -> None:
        """Take what has been said; raise RunError when a process failed or vanished."""
        waiting = [c.pipe for c in self.children.values() if c.done is None]
        heard = wait(waiting, timeout_s)
        for one in [c for c in self.children.values() if c.pipe in heard]:
            try:
                word, content = one.pipe.recv()
            except EOFError:
                raise RunError(
                    f"{one.name} ended without a word; see {self._log_dir / one.name}.log"
                ) from None
            if word == "failed":
                raise RunError(content)
            setattr(one, word, content)

    def until(self, said, names: list[str], every=None) -> None:
        """Listen until said(child) holds for every named child; call every() in between."""
        while not all(said(self.children[name]) for name in names):
            self.listen(0.2)
            if every:
                every()

    def stop(self, names: list[str], patience_s: float = STOP_S) -> None:
        """Ask the named processes to finish, then end those that do not."""
        for name in names:
            try:
                self.children[name].pipe.send(("stop",))
            except (BrokenPipeError, OSError):
                continue
        for name in names:
            one = self.children[name]
            one.process.join(patience_s)
            if one.process.is_alive():
                one.process.kill()
                one.process.join()

    def end(self) -> None:
        """Leave nothing running."""
        alive = [c for c in self.children.values() if c.process.is_alive()]
        for one in alive:
            one.process.terminate()
        for one in alive:
            one.process.join(2.0)
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
