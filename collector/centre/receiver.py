"""The store process: a loopback socket in front of intake and the record.  Commit first, then answer."""

from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import zmq

from collector.centre.intake import Intake
from collector.centre.stores import Entry, Registered, Store, Verdict
from probe.base import plugins
from probe.base.clock import WallClock
from probe.base.main import RunError
from probe.base.process import endpoint, loopback, peak_rss_mb, received, send, sockets, told_to_stop, wait
from probe.base.tally import Tally
from probe.wire.envelope import MESSAGE_MAX

POLL_MS = 100
ROUTER = {
    zmq.ROUTER_MANDATORY: 1,
    zmq.RCVHWM: 8,
    zmq.SNDHWM: 1_000,
    zmq.LINGER: 1_000,
    zmq.MAXMSGSIZE: MESSAGE_MAX,
    zmq.HANDSHAKE_IVL: 2_000,
    zmq.BACKLOG: 1_024,
}


@dataclass(frozen=True)
class StoreConfig:
    """What a store process is told."""

    store: dict  # kind and settings of a store plugin: {"kind": "sqlite", "path": ...}
    registered: list[Registered] = field(default_factory=list)
    address: str = "tcp://127.0.0.1:*"


def store_main(config: StoreConfig, pipe: Connection) -> None:
    """Take releases until told to stop, then drain and report."""
    clock = WallClock()
    settings: Any = plugins.settings("footfall.stores", "store", config.store)
    with sockets((zmq.ROUTER, ROUTER)) as (socket,):
        try:
            socket.bind(loopback(config.address))
        except zmq.ZMQError as error:
            raise RunError(f"{config.address}: {error}; name another port, or * for any") from error
        store: Store = settings.build()
        try:
            store.register(config.registered)
            registered = store.registered()
            intake = Intake(registered, {one.probe: store.known(one.probe) for one in registered})
            pipe.send(("ready", {"endpoint": endpoint(socket)}))
            begin_s = clock.cpu_s()
            tally = serve(socket, intake, store, pipe)
            report = {"core_s": {"store": clock.cpu_s() - begin_s}, "peak_rss_mb": peak_rss_mb()}
        finally:
            store.close()
    pipe.send(("done", {**{verdict: tally[verdict] for verdict in map(str, Verdict)}, **report}))


def serve(socket: zmq.Socket, intake: Intake, store: Store, pipe: Connection) -> Tally:
    """Take groups of messages until told to stop; what arrived before that is still taken."""
    tally, stopping = Tally(), False
    while True:
        group = [(parts[0], parts[1]) for parts in received(socket) if len(parts) == 2]
        for source, answer in handle(group, intake, store, tally):
            send(socket, source, answer)
        if not group and stopping:
            return tally
        if not group:
            wait(POLL_MS, pipe, socket)
            stopping = told_to_stop(pipe)


def handle(
    group: list[tuple[bytes, bytes]], intake: Intake, store: Store, tally: Tally
) -> list[tuple[bytes, bytes]]:
    """Return (connection, answer) for a group of messages, everything of it durable."""
    answers: list[tuple[bytes, bytes | None]] = []
    pending: list[tuple[bytes, Entry]] = []
    for source, frame in group:
        decision = intake.take(source, frame)
        answers.append((source, decision.answer))
        if decision.entry is not None:
            pending.append((source, decision.entry))
    verdicts = store.write([entry for _, entry in pending]) if pending else []
    for (source, entry), verdict in zip(pending, verdicts, strict=True):
        tally.count(verdict)
        answers.append((source, intake.settle(entry, verdict)))
    return [(source, answer) for source, answer in answers if answer is not None]
