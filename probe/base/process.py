"""What every process of a run shares at its rim: loopback addresses, the parent's word, peak memory."""

import re
from multiprocessing.connection import Connection
from pathlib import Path

from probe.base.config import ConfigError

LOOPBACK = re.compile(r"tcp://(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):(\d{1,5}|\*)")


def loopback(address: str) -> str:
    """Return address when it cannot be reached from outside this machine, or raise ConfigError.

    Connections carry no keys yet, so that everybody who can reach a socket can speak to it.
    """
    if not LOOPBACK.fullmatch(address):
        remedy = "use tcp://127.0.0.1:PORT; connections carry no keys yet"
        raise ConfigError("address", [f'"{address}" is not on the loopback interface; {remedy}'])
    return address


def told_to_stop(pipe: Connection) -> bool:
    """Return whether the parent said ("stop",), or is gone."""
    try:
        return bool(pipe.poll()) and pipe.recv()[0] == "stop"
    except (EOFError, OSError):
        return True


def peak_rss_mb() -> float:
    """Return the most memory that this process ever held; 0 where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
