"""The sealing process: partial tallies of all workers in, releases out, over loopback sockets."""

import hashlib
import os
import sqlite3
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import zmq

from collector.edge import spool as spools
from collector.edge.deliver import WINDOW, Delivery
from collector.edge.gather import Gather
from collector.edge.ledger import PrivacySettings, promise
from collector.edge.metrics.presence import DAY_MAX_S, Presence
from collector.edge.metrics.presence import UNITS as WEIGHT
from collector.edge.noise import OsBits, SeededBits
from collector.edge.seal import Sealer, Source
from collector.edge.slots import Slots, SlotSettings
from probe.base.clock import SECOND_MS, WallClock, local
from probe.base.config import ConfigError, parse
from probe.base.packing import WireError
from probe.base.process import endpoint, loopback, peak_rss_mb, received, send, sockets, told_to_stop, wait

PRESENCE = Presence.table
UNITS = SECOND_MS * WEIGHT  # tally units in one person-second
POLL_MS = 100
PATIENCE_S = 5.0  # after a stop, for what is sealed to be acknowledged
PARTS = {zmq.RCVHWM: 64, zmq.MAXMSGSIZE: 1 << 20, zmq.LINGER: 0}
STORE = {
    zmq.IMMEDIATE: 1,
    zmq.SNDHWM: WINDOW,
    zmq.LINGER: 1_000,
    zmq.RECONNECT_IVL: 250,
    zmq.RECONNECT_IVL_MAX: 30_000,
    zmq.HEARTBEAT_IVL: 2_000,
    zmq.HEARTBEAT_TIMEOUT: 6_000,
    zmq.HEARTBEAT_TTL: 6_000,
    zmq.HANDSHAKE_IVL: 5_000,
    zmq.CONNECT_TIMEOUT: 5_000,
    zmq.MAXMSGSIZE: 64 << 10,
}


@dataclass(frozen=True)
class SealerConfig:
    """What a sealing process is told.  seed = None draws from the operating system."""

    spool_path: str
    store_endpoint: str
    workers: int
    axes: bytes  # 8 bytes: AreaSet.digest
    rows: int  # areas and elsewhere
    zone: str
    start_ms: int
    until_ms: int
    slots: dict = field(default_factory=dict)
    privacy: dict = field(default_factory=dict)
    consent_epoch: int = 0
    probe: int = 1
    seed: int | None = None
    judge_path: str | None = None


class Witness:
    """Tallies before noise, for the judge of a seeded simulation, and the digest over them."""

    def __init__(self, path: str):
        self._db = sqlite3.connect(path)
        columns = "slot INTEGER, area INTEGER, tally INTEGER, PRIMARY KEY(slot, area)"
        self._db.execute(f"CREATE TABLE presence({columns})")
        self.digest = hashlib.sha256()

    def __call__(self, table: int, slot: int, tally: np.ndarray) -> None:
        with self._db:
            rows = [(slot, area, int(one)) for area, one in enumerate(tally)]
            self._db.executemany("INSERT INTO presence VALUES (?, ?, ?)", rows)
        self.digest.update(table.to_bytes(2, "little") + slot.to_bytes(4, "little") + tally.tobytes())


def sealer_main(config: SealerConfig, pipe: Connection) -> None:
    """Seal every slot from start_ms to until_ms, deliver it, report; or stop when told to."""
    clock = WallClock()
    with (
        spools.opened(Path(config.spool_path), incarnation(config)) as spool,
        sockets((zmq.PULL, PARTS), (zmq.DEALER, STORE)) as (parts, store),
    ):
        parts.bind("tcp://127.0.0.1:*")
        store.connect(loopback(config.store_endpoint))
        work = Work(config, spool)
        pipe.send(("ready", {"endpoint": endpoint(parts)}))
        begin_s = clock.cpu_s()
        run(work, parts, store, pipe, clock)
        report = {"core_s": {"seal": clock.cpu_s() - begin_s}, "peak_rss_mb": peak_rss_mb()}
    pipe.send(("done", {**work.report(), **report}))


def run(work: "Work", parts: zmq.Socket, store: zmq.Socket, pipe: Connection, clock: WallClock) -> None:
    """Move frames between sockets and work until all is sealed and acknowledged, or patience ends."""
    give_up_s = None
    while not work.finished:
        wait(POLL_MS, pipe, parts, store)
        for frames in received(parts):
            work.take(b"".join(frames))
        for frames in received(store):
            work.delivery.incoming(b"".join(frames))
        for frame in work.delivery.outgoing(clock.now_s()):
            send(store, frame)
        if give_up_s is None and told_to_stop(pipe):
            give_up_s = clock.now_s() + PATIENCE_S
        if give_up_s is not None and (work.delivery.settled or clock.now_s() > give_up_s):
            return


class Work:
    """The stages between the two sockets: gather, seal, deliver."""

    def __init__(self, config: SealerConfig, spool: spools.Spool):
        if config.judge_path and config.seed is None:
            problem = "judge_path: only a seeded simulation may keep tallies before noise"
            raise ConfigError("sealer", [problem])
        privacy = parse(PrivacySettings, "[privacy]", config.privacy)
        slots = parse(SlotSettings, "[slots]", {"zone": config.zone, **config.slots})
        stated = promise(privacy, Presence.name, slots.slot_s, DAY_MAX_S // slots.slot_s, UNITS)
        stated = replace(stated, consent_epoch=config.consent_epoch)
        tables = {PRESENCE: (stated, privacy.share(Presence.name))}
        source = source_of(config.seed)
        source(0, 0).noise(1, 1, 1)  # compile before the first slot waits
        self._witness = Witness(config.judge_path) if config.judge_path else None
        self._sealer = Sealer(spool, tables, config.probe, config.axes, source, self._witness)
        self._lost = self._sealer.recover()
        self.delivery = Delivery(spool, self._sealer, config.probe, f"footfall {version('footfall')}")
        self._zone, self._slots = slots.zone, Slots(slots, config.start_ms)
        self._last_slot = self._slots.of(config.until_ms) - 1
        self._gather = Gather(config.workers, config.rows, PRESENCE, self._slots.of(config.start_ms))
        self._sealed = self._invalid = 0

    @property
    def finished(self) -> bool:
        """Return whether every slot is closed and everything sealed is acknowledged."""
        return self._sealer.closed.get(PRESENCE, -1) >= self._last_slot and self.delivery.settled

    def take(self, frame: bytes) -> None:
        """Take one partial tally; seal what it makes whole.  A foreign one is counted and skipped."""
        try:
            self._gather.add(frame)
        except WireError:
            self._invalid += 1
            return
        for slot, tally in self._gather.whole():
            if slot > self._sealer.closed.get(PRESENCE, -1):
                self._close(slot, tally)
        self.delivery.watermark_ms = self._gather.watermark_ms

    def _close(self, slot: int, tally: np.ndarray | None) -> None:
        if tally is None:
            self.delivery.add(self._sealer.lose(PRESENCE, slot, "gap"))
            self._lost += 1
            return
        day = local(self._slots.end_ms(slot) - 1, self._zone).date().toordinal()
        self.delivery.add(self._sealer.seal(PRESENCE, slot, day, tally, self._slots.warming(slot)))
        self._sealed += 1

    def report(self) -> dict:
        """Return what became of the slots; the digest over tallies only in a seeded simulation."""
        counts = {"sealed": self._sealed, "lost": self._lost, "invalid": self._invalid}
        digest = self._witness.digest.hexdigest() if self._witness else ""
        return {**counts, "acked": self.delivery.tally["acked"], **self.delivery.tally, "tallies": digest}


def source_of(seed: int | None) -> Source:
    """Return the source of noise by (table, slot)."""
    if seed is not None:
        return lambda table, slot: SeededBits(seed, table, slot)
    system = OsBits()
    return lambda table, slot: system


def incarnation(config: SealerConfig) -> bytes:
    """Return 16 bytes that name a new spool: by seed and edge in a seeded run, else random."""
    if config.seed is None:
        return os.urandom(16)
    name = config.seed.to_bytes(8, "little") + config.probe.to_bytes(4, "little")
    return hashlib.sha256(name).digest()[:16]
