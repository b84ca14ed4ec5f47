"""The store process: a loopback socket in front of intake and the record.  Commit first, then answer."""

from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import zmq

from collector.centre.intake import Intake
from collector.centre.stores import Registered, Store, Verdict
from probe.base import clock, config, plugins, process
from probe.base.tally import Tally
from probe.wire.envelope import MESSAGE_MAX

ROUTER = {zmq.ROUTER_MANDATORY: 1, zmq.RCVHWM: 8, zmq.SNDHWM: 1_000, zmq.LINGER: 1_000, zmq.MAXMSGSIZE: MESSAGE_MAX,
          zmq.HANDSHAKE_IVL: 2_000, zmq.BACKLOG: 1_024}


class StoreConfig(NamedTuple("StoreConfig", [("store", dict), ("registered", list[Registered]), ("address", str)])):
    """What a store process is told.  store: kind and settings of a plugin: {"kind": "sqlite", "path": ...}"""


def store_main(told: StoreConfig, pipe: Connection) -> None:
    """Take releases until told to stop, then drain and report."""
    watch, tally = clock.WallClock(), Tally()
    settings: Any = plugins.settings("footfall.stores", "store", told.store)
    with process.sockets((zmq.ROUTER, ROUTER)) as (socket,):
        try:
            socket.bind(process.loopback(told.address))
        except zmq.ZMQError as error:
            raise config.RunError(f"{told.address}: {error}; name another port, or * for any") from error
        with closing(settings.build()) as store:
            store.register(told.registered)
            registered = store.registered()
            intake = Intake(registered, {one.probe: store.known(one.probe) for one in registered})
            pipe.send(("ready", {"endpoint": process.endpoint(socket)}))
            begin_s, stopping = watch.cpu_s(), False
            while (group := process.received(socket)) or not stopping:  # what arrived before the stop is still taken
                for source, answer in handle([(a[0], a[1]) for a in group if len(a) == 2], intake, store, tally):
                    process.send(socket, source, answer)
                stopping = stopping or (not group and process.wait(pipe, socket))
    counts = {str(verdict): tally[verdict] for verdict in Verdict}
    pipe.send(("done", {**counts, "core_s": {"store": watch.cpu_s() - begin_s}, "peak_rss_mb": process.peak_rss_mb()}))


def handle(group: list[tuple[bytes, bytes]], intake: Intake, store: Store, tally: Tally) -> list[tuple[bytes, bytes]]:
    """Return (connection, answer) for a group of messages, everything of it durable."""
    decided = [(source, intake.take(source, frame)) for source, frame in group]
    pending = [(source, one.entry) for source, one in decided if one.entry is not None]
    tally.update(verdicts := store.write([entry for _, entry in pending]) if pending else [])
    answers = [(source, one.answer) for source, one in decided]
    answers += [(one[0], intake.settle(one[1], verdict)) for one, verdict in zip(pending, verdicts, strict=True)]
    return [(source, answer) for source, answer in answers if answer is not None]
