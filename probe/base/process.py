"""What every process of a run shares at its rim: sockets, loopback only, the parent's word, peak memory."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from multiprocessing.connection import Connection
from pathlib import Path

import zmq

from probe.base.config import ConfigError

LOOPBACK = re.compile(r"tcp://(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\]):(\d{1,5}|\*)")
GROUP_MAX, POLL_S = 64, 0.1  # messages taken at once


def loopback(address: str) -> str:
    """Return address when it cannot be reached from outside this machine, or raise ConfigError.

    Connections carry no keys yet, so that everybody who can reach a socket can speak to it.
    """
    if not LOOPBACK.fullmatch(address):
        raise ConfigError("address", [f'"{address}" is not on the loopback interface; use tcp://127.0.0.1:PORT; '
                                      "connections carry no keys yet"])
    return address


@contextmanager
def sockets(*wanted: tuple[int, dict]) -> Iterator[list[zmq.Socket]]:
    """Open one socket for each (kind, options); close them all, with the linger of their options."""
    context = zmq.Context()
    try:
        opened = [context.socket(kind) for kind, _ in wanted]
        for socket, (_, options) in zip(opened, wanted, strict=True):
            for option, value in options.items():
                socket.setsockopt(option, value)
        yield opened
    finally:
        context.destroy()


def endpoint(socket: zmq.Socket) -> str:
    """Return the address that a socket was bound to."""
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def received(socket: zmq.Socket) -> list[list[bytes]]:
    """Return the messages that have arrived, at most a group."""
    return [socket.recv_multipart() for _ in takewhile(lambda _: socket.poll(0), range(GROUP_MAX))]


def send(socket: zmq.Socket, *frames: bytes) -> None:
    """Hand a message over; what the peer does not take now is the sender's to repeat."""
    try:
        socket.send_multipart(frames, zmq.NOBLOCK)
    except zmq.ZMQError as error:
        if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
            raise


def wait(pipe: Connection, *readable: zmq.Socket) -> bool:
    """Wait for a socket or the parent, not long; return whether it said ("stop",), or is gone."""
    zmq.select([pipe, *readable], [], [], POLL_S)
    return told_to_stop(pipe)


def told_to_stop(pipe: Connection) -> bool:
    """Return whether the parent said ("stop",), or is gone."""
    try:
        return bool(pipe.poll()) and pipe.recv()[0] == "stop"
    except (EOFError, OSError):
        return True


def peak_rss_mb() -> float:
    """Return the most memory that this process ever held; 0 where the system does not tell."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(found[1]) / 1024 if found else 0.0
