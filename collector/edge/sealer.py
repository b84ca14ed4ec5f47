"""The sealing process: partial tallies of all workers in, releases out, over loopback sockets."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import zmq

from collector.edge import spool as spools
from collector.edge.deliver import WINDOW, Delivery
from collector.edge.gather import Gather
from collector.edge.ledger import PrivacySettings, Terms, sigma_for
from collector.edge.metrics.presence import DAY_MAX_S, UNITS, Presence
from collector.edge.noise import Bits, OsBits, SeededBits
from collector.edge.seal import Deployment, Sealer
from collector.edge.slots import Slots, SlotSettings
from probe.base.clock import SECOND_MS, WallClock, local
from probe.base.config import ConfigError, parse
from probe.base.packing import WireError
from probe.base.process import loopback, peak_rss_mb, told_to_stop

TABLE = Presence.table
PERSON_SECOND = SECOND_MS * UNITS  # tally units
PARTIAL_MAX = 1 << 20
POLL_MS = 100
PATIENCE_S = 5.0  # after a stop, for what is sealed to be acknowledged


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

    def __init__(self, path: Path):
        self._db = sqlite3.connect(path)
        self._db.execute(
            "CREATE TABLE presence(slot INTEGER, area INTEGER, tally INTEGER, PRIMARY KEY(slot, area))"
        )
        self.digest = hashlib.sha256()

    def __call__(self, table: int, slot: int, tally: np.ndarray) -> None:
        with self._db:
            rows = [(slot, area, int(one)) for area, one in enumerate(tally)]
            self._db.executemany("INSERT INTO presence VALUES (?, ?, ?)", rows)
        self.digest.update(
            table.to_bytes(2, "little") + slot.to_bytes(4, "little") + tally.astype("<i8").tobytes()
        )


def presence_terms(privacy: PrivacySettings, slot_s: int) -> Terms:
    """Return what presence costs: at most the whole slot in each slot of a day, one sigma for all."""
    bound, slots_a_day = slot_s * PERSON_SECOND, DAY_MAX_S // slot_s
    share = privacy.rho_day * privacy.shares["presence"]
    sigma = sigma_for(bound, slots_a_day, PERSON_SECOND, share)
    return Terms(TABLE, Presence.name, slot_s, slots_a_day, bound, PERSON_SECOND, share, sigma)


def sealer_main(config: SealerConfig, pipe: Connection) -> None:
    """Seal every slot from start_ms to until_ms, deliver it, report; or stop when told to."""
    if config.judge_path and config.seed is None:
        raise ConfigError("sealer", ["judge_path: only a seeded simulation may keep tallies before noise"])
    clock = WallClock()
    with ExitStack() as stack:
        spool = stack.enter_context(spools.opened(Path(config.spool_path), incarnation(config)))
        parts, store = stack.enter_context(sockets(config))
        witness = Witness(Path(config.judge_path)) if config.judge_path else None
        work = Work(config, spool, witness)
        pipe.send(("ready", {"endpoint": parts.getsockopt_string(zmq.LAST_ENDPOINT)}))
        began_s = clock.cpu_s()
        run(work, parts, store, pipe, clock)
        digest = witness.digest.hexdigest() if witness else ""
        core_s = {"seal": clock.cpu_s() - began_s}
        pipe.send(
            ("done", {**work.report(), "core_s": core_s, "peak_rss_mb": peak_rss_mb(), "tallies": digest})
        )


def run(work: "Work", parts: zmq.Socket, store: zmq.Socket, pipe: Connection, clock: WallClock) -> None:
    """Move frames between sockets and work until all is sealed and acknowledged."""
    poller = zmq.Poller()
    for source in (parts, store, pipe.fileno()):
        poller.register(source, zmq.POLLIN)
    give_up_s = float("inf")
    while not work.finished and clock.now_s() < give_up_s:
        poller.poll(POLL_MS)
        for frame in received(parts):
            work.take(frame)
        for frame in received(store):
            work.delivery.incoming(frame)
        for frame in work.delivery.outgoing(clock.now_s()):
            send(store, frame)
        if told_to_stop(pipe):
            give_up_s = clock.now_s() + PATIENCE_S
        if give_up_s < float("inf") and work.delivery.settled:
            return


class Work:
    """The stages between the two sockets: gather, seal, deliver."""

    def __init__(self, config: SealerConfig, spool: spools.Spool, witness: Witness | None):
        privacy = parse(PrivacySettings, "[privacy]", config.privacy)
        slots = parse(SlotSettings, "[slots]", {"zone": config.zone, **config.slots})
        self._zone, self._slots = slots.zone, Slots(slots, config.start_ms)
        tables = {TABLE: presence_terms(privacy, slots.slot_s)}
        deployment = Deployment(config.probe, config.axes, config.consent_epoch, config.seed is not None)
        source = bits_of(config)
        source(0, 0).noise(1, 1, 1)  # compile before the first slot waits
        self._sealer = Sealer(spool, tables, privacy, deployment, source, witness)
        self.lost = self._sealer.recover()
        self.delivery = Delivery(spool, self._sealer, config.probe, f"footfall {version('footfall')}")
        first_slot, self._last_slot = self._slots.of(config.start_ms), self._slots.of(config.until_ms) - 1
        self._gather = Gather(config.workers, config.rows, TABLE, first_slot)
        self.sealed = self.invalid = 0

    @property
    def finished(self) -> bool:
        """Return whether every slot is closed and everything sealed is acknowledged."""
        return self._sealer.closed(TABLE, self._last_slot) and self.delivery.settled

    def take(self, frame: bytes) -> None:
        """Take one partial tally; seal what it makes whole."""
        try:
            self._gather.add(frame)
        except WireError:
            self.invalid += 1
            return
        for slot, tally in self._gather.whole():
            if not self._sealer.closed(TABLE, slot):
                self._close(slot, tally)
        self.delivery.watermark_ms = self._gather.watermark_ms

    def _close(self, slot: int, tally: np.ndarray | None) -> None:
        if tally is None:
            self.delivery.add(self._sealer.lose(TABLE, slot, "gap"))
            self.lost += 1
            return
        day = local(self._slots.end_ms(slot) - 1, self._zone).date().toordinal()
        self.delivery.add(self._sealer.seal(TABLE, slot, day, tally, self._slots.warming(slot)))
        self.sealed += 1

    def report(self) -> dict:
        """Return what became of the slots."""
        counts = self.delivery.tally
        return {
            "sealed": self.sealed,
            "lost": self.lost,
            "acked": counts["acked"],
            "invalid": self.invalid,
            "delivery": dict(counts),
        }


def bits_of(config: SealerConfig):
    """Return the source of noise by (table, slot)."""
    if config.seed is not None:
        seed = config.seed
        return lambda table, slot: SeededBits(seed, table, slot)
    system: Bits = OsBits()
    return lambda table, slot: system


def incarnation(config: SealerConfig) -> bytes:
    """Return 16 bytes that name a new spool: by seed and edge in a seeded run, else random."""
    if config.seed is None:
        return os.urandom(16)
    return hashlib.sha256(config.seed.to_bytes(8, "little") + config.probe.to_bytes(4, "little")).digest()[
        :16
    ]


@contextmanager
def sockets(config: SealerConfig) -> Iterator[tuple[zmq.Socket, zmq.Socket]]:
    """Open (PULL for partial tallies, DEALER to the store)."""
    context = zmq.Context()
    parts, store = context.socket(zmq.PULL), context.socket(zmq.DEALER)
    try:
        parts.setsockopt(zmq.RCVHWM, 64)
        parts.setsockopt(zmq.MAXMSGSIZE, PARTIAL_MAX)
        parts.bind("tcp://127.0.0.1:*")
        for option, value in (
            (zmq.IMMEDIATE, 1),
            (zmq.SNDHWM, WINDOW),
            (zmq.LINGER, 1_000),
            (zmq.RECONNECT_IVL, 250),
            (zmq.RECONNECT_IVL_MAX, 30_000),
            (zmq.HEARTBEAT_IVL, 2_000),
            (zmq.HEARTBEAT_TIMEOUT, 6_000),
            (zmq.HEARTBEAT_TTL, 6_000),
            (zmq.HANDSHAKE_IVL, 5_000),
            (zmq.CONNECT_TIMEOUT, 5_000),
            (zmq.SNDTIMEO, 0),
            (zmq.MAXMSGSIZE, 64 << 10),
        ):
            store.setsockopt(option, value)
        store.connect(loopback(config.store_endpoint))
        yield parts, store
    finally:
        parts.close(linger=0)
        store.close()
        context.term()


def received(socket: zmq.Socket) -> Iterator[bytes]:
    """Yield every frame that has arrived; a message of several frames is none of ours."""
    while True:
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        if len(frames) == 1:
            yield frames[0]


def send(socket: zmq.Socket, frame: bytes) -> None:
    """Send one frame if the peer takes it now; a frame that is not taken is sent again later."""
    try:
        socket.send(frame, zmq.NOBLOCK)
    except zmq.Again:
        return
