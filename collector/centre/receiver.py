"""The store process: a loopback socket in front of intake and the record.  Commit first, then answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import zmq

from collector.centre.intake import Intake
from collector.centre.stores import Entry, Offered, Refused, Registered, Store, Verdict
from probe.base import plugins
from probe.base.clock import WallClock
from probe.base.main import RunError
from probe.base.process import loopback, peak_rss_mb, told_to_stop
from probe.base.tally import Tally
from probe.wire.envelope import MESSAGE_MAX

GROUP_MAX = 64  # messages a commit
POLL_MS = 100


@dataclass(frozen=True)
class StoreConfig:
    """What a store process is told."""

    store: dict  # kind and settings of a store plugin: {"kind": "sqlite", "path": ...}
    registered: list[Registered] = field(default_factory=list)
    address: str = "tcp://127.0.0.1:*"


def store_main(config: StoreConfig, pipe: Connection) -> None:
    """Take releases until told to stop, then drain and report."""
    clock = WallClock()
    settings = plugins.settings("footfall.stores", "[store]", config.store)
    with router(config.address) as socket:
        store: Store = settings.build()  # type: ignore[attr-defined]
        try:
            store.register(config.registered)
            registered = store.registered()
            intake = Intake(registered, {one.probe: store.known(one.probe) for one in registered})
            pipe.send(("ready", {"endpoint": socket.getsockopt_string(zmq.LAST_ENDPOINT)}))
            began_s, tally = clock.cpu_s(), Tally()
            serve(socket, intake, store, pipe, tally)
            report = {name: tally[name] for name in ("stored", "duplicates", "conflicts", "quarantined")}
            core_s = {"store": clock.cpu_s() - began_s}
            pipe.send(("done", {**report, "core_s": core_s, "peak_rss_mb": peak_rss_mb()}))
        finally:
            store.close()


def serve(socket: zmq.Socket, intake: Intake, store: Store, pipe: Connection, tally: Tally) -> None:
    """Take groups of messages: decide, commit, answer.  What arrived before a stop is still taken."""
    poller = zmq.Poller()
    for readable in (socket, pipe.fileno()):
        poller.register(readable, zmq.POLLIN)
    stopping = False
    while True:
        group = received(socket)
        if group:
            for source, answer in handle(group, intake, store, tally):
                send(socket, source, answer)
        elif stopping:
            return
        else:
            poller.poll(POLL_MS)
            stopping = told_to_stop(pipe)


def handle(
    group: list[tuple[bytes, bytes]], intake: Intake, store: Store, tally: Tally
) -> list[tuple[bytes, bytes]]:
    """Return (connection, answer) for a group of messages, everything of it durable."""
    answers: list[tuple[bytes, bytes]] = []
    pending: list[tuple[bytes, Entry]] = []
    for source, frame in group:
        decision = intake.take(source, frame)
        if decision.entry is not None:
            pending.append((source, decision.entry))
        if decision.answer is not None:
            answers.append((source, decision.answer))
    verdicts = store.write([entry for _, entry in pending]) if pending else []
    for (source, entry), verdict in zip(pending, verdicts, strict=True):
        tally.count(_name(entry, verdict))
        answer = intake.settle(entry, verdict)
        if answer is not None:
            answers.append((source, answer))
    return answers


def _name(entry: Entry, verdict: Verdict) -> str:
    if isinstance(entry, Refused):
        return "quarantined"
    if isinstance(entry, Offered):
        return {Verdict.STORED: "stored", Verdict.DUPLICATE: "duplicates"}.get(verdict, "conflicts")
    return "beats"


@contextmanager
def router(address: str) -> Iterator[zmq.Socket]:
    """Open the bound ROUTER; raise RunError when the port is in use."""
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    for option, value in (
        (zmq.ROUTER_MANDATORY, 1),
        (zmq.RCVHWM, 8),
        (zmq.SNDHWM, 1_000),
        (zmq.LINGER, 1_000),
        (zmq.MAXMSGSIZE, MESSAGE_MAX),
        (zmq.HANDSHAKE_IVL, 2_000),
        (zmq.BACKLOG, 1_024),
    ):
        socket.setsockopt(option, value)
    try:
        socket.bind(loopback(address))
        yield socket
    except zmq.ZMQError as error:
        raise RunError(
            f"{address}: {error}; choose another port, or let the system choose: tcp://127.0.0.1:*"
        ) from error
    finally:
        socket.close()
        context.term()


def received(socket: zmq.Socket) -> list[tuple[bytes, bytes]]:
    """Return (connection, frame) of what has arrived, at most a group; other shapes are none of ours."""
    group: list[tuple[bytes, bytes]] = []
    while len(group) < GROUP_MAX:
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            break
        if len(parts) == 2:
            group.append((parts[0], parts[1]))
    return group


def send(socket: zmq.Socket, source: bytes, answer: bytes) -> None:
    """Answer, if the connection is still there; else the edge asks again."""
    try:
        socket.send_multipart([source, answer], zmq.NOBLOCK)
    except (zmq.Again, zmq.ZMQError):
        return
