"""The sealing process: partial tallies of all workers in, releases out, over loopback sockets."""

import hashlib
import os
import sqlite3
from collections import namedtuple
from math import inf
from multiprocessing.connection import Connection

import numpy as np
import zmq

from collector.edge import ledger, noise, seal, slots, spool
from probe.base import clock, packing, process
from probe.base.config import ConfigError, parse

# PATIENCE_S: after a stop, for what is sealed to be acknowledged.
PROBE, PATIENCE_S = 1, 5.0
PARTS = {zmq.RCVHWM: 64, zmq.MAXMSGSIZE: 1 << 20, zmq.LINGER: 0}
STORE = {zmq.IMMEDIATE: 1, zmq.SNDHWM: spool.WINDOW, zmq.LINGER: 1_000, zmq.MAXMSGSIZE: 64 << 10,
         zmq.RECONNECT_IVL: 250, zmq.RECONNECT_IVL_MAX: 30_000, zmq.CONNECT_TIMEOUT: 5_000, zmq.HANDSHAKE_IVL: 5_000,
         zmq.HEARTBEAT_IVL: 2_000, zmq.HEARTBEAT_TIMEOUT: 6_000, zmq.HEARTBEAT_TTL: 6_000}


class SealerConfig(namedtuple("SealerConfig", "spool_path store_endpoint workers tables zone start_ms until_ms slots "
                                              "privacy seed judge_path")):
    """What a sealing process is told: TableConfigs of its tables.  seed = None draws from the operating system."""


class Witness:
    """Tallies before noise, for the judge of a seeded simulation: a table of (slot, cell, tally) each, no zeros."""

    def __init__(self, path: str, names: list[str]):
        self._db, self.digest = sqlite3.connect(path), hashlib.sha256()
        for name in names:
            self._db.execute(f'CREATE TABLE "{name}"(slot INTEGER, cell INTEGER, tally INTEGER, '
                             "PRIMARY KEY(slot, cell)) WITHOUT ROWID")

    def __call__(self, name: str, slot: int, tally: np.ndarray) -> None:
        there = np.flatnonzero(tally)
        rows = zip(there.tolist(), tally[there].tolist(), strict=True)
        with self._db:
            self._db.executemany(f'INSERT INTO "{name}" VALUES ({slot}, ?, ?)', rows)
        self.digest.update(f"{name} {slot} ".encode() + tally.astype("<i8").tobytes())


def sealer_main(config: SealerConfig, pipe: Connection) -> None:
    """Seal every slot from start_ms to until_ms, deliver it, report; or stop when told to."""
    watch, seed = clock.WallClock(), config.seed
    # A new spool is named by seed and edge in a seeded run, else at random.
    name = os.urandom(16) if seed is None else seed.to_bytes(8, "little") + PROBE.to_bytes(4, "little")
    with (spool.opened(config.spool_path, hashlib.sha256(name).digest()[:16]) as kept,
          process.sockets((zmq.PULL, PARTS), (zmq.DEALER, STORE)) as (parts, store)):
        parts.bind("tcp://127.0.0.1:*")
        store.connect(process.loopback(config.store_endpoint))
        work = Work(config, kept)
        pipe.send(("ready", {"endpoint": process.endpoint(parts)}))
        begin_s, give_up_s = watch.cpu_s(), inf
        while watch.now_s() < give_up_s and not (work.delivery.settled and (work.closed or give_up_s < inf)):
            stop = process.wait(pipe, parts, store)
            for frames in process.received(parts) if work.fresh or work.delivery.welcome else ():
                work.take(frames)
            for frames in process.received(store):
                work.delivery.incoming(b"".join(frames))
            for frame in work.delivery.outgoing(watch.now_s()):
                process.send(store, frame)
            give_up_s = min(give_up_s, watch.now_s() + PATIENCE_S) if stop else give_up_s
    cost = {"core_s": {"seal": watch.cpu_s() - begin_s}, "peak_rss_mb": process.peak_rss_mb()}
    pipe.send(("done", work.report() | cost))


class Work:
    """The stages between the two sockets: gather, seal, deliver."""

    def __init__(self, config: SealerConfig, kept: spool.Spool):
        if config.judge_path and config.seed is None:
            raise ConfigError("sealer", ["judge_path: only a seeded simulation may keep tallies before noise"])
        stated = ledger.budget(parse(ledger.PrivacySettings, "[privacy]", config.privacy), config.tables)
        grid, seed = parse(slots.SlotSettings, "[slots]", {"zone": config.zone} | config.slots), config.seed
        self._slots, self._zone = slots.Slots(grid, config.start_ms), config.zone
        inside = config.start_ms, config.until_ms, config.zone, self._slots.length_ms
        self._due = {one.number: [self._slots.of(begin_ms) for begin_ms, _ in clock.spans(one.span, *inside)]
                     for one in config.tables}

        def source(table: int, slot: int, count: int, p: int, d: int) -> np.ndarray:
            return noise.drawn(count, p, d) if seed is None else noise.named(seed, table, slot, count, p, d)

        source(0, 0, 1, 1, 1)  # compile before the first slot waits
        self.fresh = not kept.closed  # else the store may hold more than a spool restored from a copy: hear it first
        self._spool, self._tables = kept, {one.number: one for one in config.tables}
        # Caps are kept in memory: what an earlier start granted of a day is not known, so that day is not told further.
        self._begun = {(one.table, one.day) for one in kept.charges()}
        self._gather = seal.Gather(config.workers, {one.number: (one.cells, self._due[one.number])
                                                    for one in config.tables})
        self._witness = Witness(config.judge_path, [one.name for one in config.tables]) if config.judge_path else None
        promised = {one.number: (one.axes, its) for one, its in zip(config.tables, stated, strict=True)}
        self._sealer = seal.Sealer(kept, promised, PROBE, source, seed is not None, self._witness)
        self.delivery = spool.Delivery(kept, PROBE, self._slots.of(config.until_ms) - 1)
        # Steps and trips are due a slot later than the others; when all is sealed nothing more will tell the time.
        self._last_ms = config.until_ms + self._slots.lateness_ms + self._slots.length_ms
        self.delivery.tally.count("lost", self._sealer.recover())

    @property
    def closed(self) -> bool:
        """Return whether every slot of every table is closed."""
        return all(self._spool.closed.get(table, -1) >= slots[-1] for table, slots in self._due.items() if slots)

    def take(self, frames: list[bytes]) -> None:
        """Take one partial tally; seal what it makes whole.  A foreign one is counted and skipped."""
        try:
            whole = self._gather.add(b"".join(frames))
        except packing.WireError:
            return self.delivery.tally.count("invalid")
        for table, slot, tally, epoch in whole:
            if slot > self._spool.closed.get(table, -1):
                day = clock.local(slot * self._slots.length_ms, self._zone).date().toordinal()
                conserved = self._tables[table].value_unit == "person-seconds"
                begun, least = (table, day) in self._begun and not conserved, self._sealer.epochs.get(table) or 1
                why = "gap" if tally is None else "restart" if begun else "consent" if epoch < least else ""
                brief = self._tables[table].span not in ("day", "week")  # every day has its warming hour
                if why or tally is None:
                    self._sealer.lose(table, slot, why)
                else:
                    self._sealer.seal(table, slot, day, tally, brief and self._slots.warming(slot), epoch)
                self.delivery.tally.count("lost" if why else "sealed")
        # Time is told in whole slots: a watermark is when somebody's next event came, whoever they are.
        grid, passed_ms = self._slots, self._gather.watermark_ms - self._slots.lateness_ms
        told_ms = max(grid.of(passed_ms) * grid.length_ms + grid.lateness_ms, 0)
        self.delivery.watermark_ms = self._last_ms if self.closed else told_ms

    def report(self) -> dict:
        """Return what became of the slots; the digest over tallies only in a seeded simulation."""
        counts = {**dict.fromkeys(("sealed", "lost", "acked", "invalid"), 0), **self.delivery.tally}
        return {**counts, "tallies": self._witness.digest.hexdigest() if self._witness else ""}
