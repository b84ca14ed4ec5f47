"""The edge process: one probe and one collector around two sockets and a clock."""

import ctypes
import logging
import resource
from collections import namedtuple
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from collector.edge import collect, crowd, scheme, seal, slots
from probe import consent, identity, probe
from probe.base import clock, config, packing, plugins, process
from probe.wire import areas, cells, epochs, events, subscribers

POLL_MS, PATIENCE_MS = 100, 30_000
WORLD = {zmq.RCVHWM: 8, zmq.MAXMSGSIZE: 16 << 20, zmq.LINGER: 0}  # a world at full speed waits; memory stays small
SMALL_MAX, PYTHONS_MAX = 1_032, 480  # bytes: malloc keeps up to 7 free blocks of a size so small, Python any
PYTHONS = 1_024  # of them, of a size, are overwritten
LOG = logging.getLogger(__name__)
SEALER = {zmq.SNDTIMEO: PATIENCE_MS, zmq.LINGER: PATIENCE_MS}


class WorkerConfig(namedtuple("WorkerConfig", "plan_path area_paths subscribers_path sealer_endpoint purpose basis "
                                              "zone start_ms until_ms worker workers seed probe collector slots")):
    """What an edge worker is told.

    area_paths : of each area set by name, the primary one, "", first;  seed : None draws keys from the operating system
    subscribers_path : beside it lies `key`, by which the register of who may be counted signs
    """


def worker_main(told: WorkerConfig, pipe: Connection) -> None:
    """Count every event of one shard until the watermark has passed until_ms, or told to stop; report."""
    keep_memory_private()
    work = Work(told, clock.WallClock())
    with process.sockets((zmq.PULL, WORLD), (zmq.PUSH, SEALER)) as (source, sealer):
        source.bind("tcp://127.0.0.1:*")
        sealer.connect(process.loopback(told.sealer_endpoint))
        pipe.send(("ready", {"endpoint": process.endpoint(source)}))
        try:
            while not work.finished and not process.told_to_stop(pipe):
                for partial_tally in work.take(source.recv_multipart()) if source.poll(POLL_MS) else ():
                    sealer.send(partial_tally)
        except zmq.Again:
            raise config.RunError(f"the sealer has not taken a tally for {PATIENCE_MS // 1000} s") from None
    pipe.send(("done", work.report()))


class Work:
    """The stages between the two sockets, decode, probe, collector, each on its stopwatch; all is compiled."""

    def __init__(self, told: WorkerConfig, watch: clock.WallClock):
        self._watch, self._worker = watch, told.worker
        config.parse(probe.ProbeSettings, "[probe]", told.probe)
        grid = slots.Slots(config.parse(slots.SlotSettings, "[slots]", {"zone": told.zone} | told.slots), told.start_ms)
        plan = cells.from_csv(config.read_text(Path(told.plan_path), "the plan"), told.plan_path)
        wanted, plan_digest = config.parse(collect.CollectorSettings, "[collector]", told.collector), plan.digest()
        sets = {name: areas.read(Path(path)) for name, path in told.area_paths.items()}
        made = scheme.read(sets, wanted.tables, grid, told.until_ms)
        locator = plugins.settings("footfall.locators", "collector", {"kind": wanted.locator})
        locate, register = locator.build(plan, made.pieces).locate, read_register(told.subscribers_path)
        self._consent = consent.Consent(register[0], told.purpose, told.basis, register[1], told.zone, told.worker,
                                        told.workers, made.weekly)
        del register  # nobody's number stays but those of who may be counted
        days, weeks = [identity.Keys(source, told.zone, told.start_ms, grid.lateness_ms, length) for source, length in (
            [(identity.system_key, 1), (identity.system_key, 7)] if told.seed is None else
            [(identity.seeded_key(told.seed), 1), (identity.seeded_key(told.seed, "week"), 7)])]
        self._days, self._day_ms = days, int(days.midnights_ms[0])
        self._probe = probe.Probe(plan_digest, len(plan), self._consent, days, told.start_ms, told.worker,
                                  weeks if made.weekly else None)
        self._crowd = crowd.Crowd(grid, made.rows, made.zones, made.weekly)
        self._ends_ms = {table.number: table.ends_ms for table in made.every()}
        self._collector = collect.Collector(grid, partial(self._timed, "triangulate", locate), self._crowd, made)
        self._end_ms, self.finished = told.until_ms + grid.lateness_ms + grid.length_ms, False
        self._core_s, self._poisoned, self._why = dict.fromkeys(("tap", "triangulate", "count"), 0.0), 0, ""
        self._said, self._forget, self._closed = 0, True, True  # words of `Consent`; what it was made of is forgotten
        self._small = list[int]()  # sizes of the blocks that the last message lay in
        empty = packing.Batch(plan_digest, told.start_ms, told.worker, np.zeros(0, events.EVENT))
        ((nothing, *_),) = self._probe.observe(empty)
        spare = collect.Collector(grid, locate, crowd.Crowd(grid, made.rows, made.zones, made.weekly),
                                  scheme.read(sets, wanted.tables, grid, 0))
        spare.retract(*2 * [consent.NOBODY])
        spare.push(nothing, grid.start_ms + 26 * clock.HOUR_MS)  # to the end of a day

    def take(self, frames: list[bytes]) -> list[bytes]:
        """Take one message, events or an epoch; return the partial tallies it closes.  A poisoned one is counted."""
        self.overwrite()
        frame = b"".join(frames)
        self._small = [len(frame)]
        if epochs.is_epoch(frame):
            self._timed("tap", self._probe.take_epoch, frame)
            return self.told([])
        try:
            batch = self._timed("tap", events.decode, frame)
            self._small.append(batch.rows.nbytes)
            parts = self._timed("tap", self._probe.observe, batch)
        except packing.WireError as error:
            self._poisoned, self._why = self._poisoned + 1, str(error)
            return []
        self.finished, closed = self._probe.watermark_ms >= self._end_ms, []
        for observations, now_ms, gone in parts:
            due = self._timed("count", self._collector.push, observations, now_ms)
            closed += [seal.encode(self._worker, table, slot, tally, now_ms, self.epoch_of(self._ends_ms[table][slot]))
                       for table, slot, tally in due]
            if any(map(len, gone)):
                self._timed("count", self._collector.retract, *gone)
                crowd.wipe(observations, *gone)
                self._forget = True
        self.account()
        self._closed = bool(closed)
        return self.told(closed)

    def epoch_of(self, end_ms: int) -> int:
        """Return the epoch that a span states which ends then: 0, so that it is lost, if the newest ends before it.

        Whoever is still held counts in it, and nothing says that they may.
        """
        return self._probe.epoch if end_ms <= self._consent.until_ms else 0

    def told(self, closed: list[bytes]) -> list[bytes]:
        """Say in the log, once for each kind, why somebody is not counted; return what is given."""
        for words in [*self._consent.words.values()][self._said :]:
            self._said += 1
            LOG.warning(words)
        return closed

    def overwrite(self) -> None:
        """Overwrite small blocks that are free: their keepers leave them as they were.

        Once a key is destroyed, and at the next slot that is closed once somebody was forgotten: it takes 10 ms.
        Those of numpy and malloc all, of Python's PYTHONS of a size: a batch of up to nine events lies in one.
        With the next message those that the last lay in, if it was small: whoever is not counted may speak on.
        """
        for size in self._small:
            [b"\0" * size for _ in range(PYTHONS) if size <= SMALL_MAX]
        if (self._forget and self._closed) or self._day_ms != int(self._days.midnights_ms[0]):
            self._forget, self._day_ms = False, int(self._days.midnights_ms[0])
            [np.zeros(size, "u1") for size in range(SMALL_MAX, 0, -1) for _ in range(16)]  # all held, then let go
            [b"\0" * size for size in range(0, PYTHONS_MAX, 16) for _ in range(PYTHONS)]

    def _timed(self, stage: str, do: Any, *given) -> Any:
        begin_s, found = self._watch.cpu_s(), do(*given)
        self._core_s[stage] += self._watch.cpu_s() - begin_s
        return found

    def account(self) -> dict[str, int]:
        """Return what became of every event offered; exact at any time."""
        both = self._probe.counts + self._collector.counts
        assert both.total() == 2 * both["offered"], "every event ends under one name"
        return {name: both[name] for name in ("offered", "binned", "late", "invalid", "refused", "shed", "waiting")}

    def report(self) -> dict:
        """Return the account, what the stages cost, and what was poisoned."""
        self._timed("count", self._collector.drain)
        self._core_s["count"] -= self._core_s["triangulate"]  # which ran inside it
        return {"account": self.account(), "core_s": self._core_s, "peak_rss_mb": process.peak_rss_mb(),
                "cut": self._crowd.cut, "poisoned": self._poisoned, "poisoned_last": self._why,
                "consent": {"epoch": self._probe.epoch, "not_taken": dict(self._consent.counts),
                            "words": [*self._consent.words.values()]}}


def read_register(path: str) -> tuple[subscribers.Subscribers, bytes]:
    """Return the subscribers and the key beside them, or say what is wrong with the file; never what is in it."""
    try:
        return subscribers.decode(Path(path).read_bytes()), Path(path).with_name("key").read_bytes()
    except (OSError, packing.WireError) as error:
        why = getattr(error, "strerror", error)
        raise config.ConfigError(path, [f"the subscribers file cannot be read: {why}"]) from None


def keep_memory_private() -> None:
    """Let nobody look into this process, no core dump, no debugger, no reader of memory; overwrite what it frees."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
    overwrite_freed()


def overwrite_freed() -> None:
    """Let malloc overwrite what is freed, and what it gives; from now on, in all of this process.

    Small blocks are overwritten by Work at the end of a day.  Without glibc (musl) larger ones stay as they were.
    """
    if hasattr(system := ctypes.CDLL(None), "mallopt"):
        system.mallopt(-6, 0x5A)  # M_PERTURB
