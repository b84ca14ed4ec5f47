"""The edge process: one probe and one collector around two sockets and a clock."""

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from collector.edge import gather
from collector.edge.collect import Collector, CollectorSettings
from collector.edge.slots import Slots, SlotSettings
from probe.base.clock import WallClock
from probe.base.config import ConfigError, parse, read_text
from probe.base.main import RunError
from probe.base.packing import Batch, WireError
from probe.base.plugins import settings
from probe.base.process import endpoint, loopback, peak_rss_mb, sockets, told_to_stop
from probe.consent import counted
from probe.identity import Keys, seeded_key, system_key
from probe.probe import Probe, ProbeSettings
from probe.wire import areas, cells, events, subscribers

POLL_MS = 100
PATIENCE_MS = 30_000
WORLD = {zmq.RCVHWM: 8, zmq.MAXMSGSIZE: 16 << 20, zmq.LINGER: 0}  # a world at full speed waits; memory stays small
SEALER = {zmq.SNDTIMEO: PATIENCE_MS, zmq.LINGER: PATIENCE_MS}
PR_SET_DUMPABLE = 4


@dataclass(frozen=True)
class WorkerConfig:
    """What an edge worker is told.  seed = None draws keys from the operating system."""

    plan_path: str
    areas_path: str
    subscribers_path: str
    sealer_endpoint: str
    purpose: str
    basis: str
    zone: str
    start_ms: int
    until_ms: int
    worker: int = 0
    workers: int = 1
    seed: int | None = None
    probe: dict = field(default_factory=dict)
    collector: dict = field(default_factory=dict)
    slots: dict = field(default_factory=dict)


def worker_main(config: WorkerConfig, pipe: Connection) -> None:
    """Count every event of one shard until the watermark has passed until_ms, or told to stop; report."""
    keep_memory_private()
    work = Work(config, WallClock())
    work.warm_up()
    with sockets((zmq.PULL, WORLD), (zmq.PUSH, SEALER)) as (source, sealer):
        source.bind("tcp://127.0.0.1:*")
        sealer.connect(loopback(config.sealer_endpoint))
        pipe.send(("ready", {"endpoint": endpoint(source)}))
        try:
            while not work.finished and not told_to_stop(pipe):
                if source.poll(POLL_MS):
                    for partial in work.take(source.recv_multipart()):
                        sealer.send(partial)
        except zmq.Again:
            raise RunError(f"the sealer has not taken a tally for {PATIENCE_MS // 1000} s") from None
    pipe.send(("done", work.report()))


class Work:
    """The stages between the two sockets: decode, probe, collector."""

    def __init__(self, told: WorkerConfig, clock: WallClock):
        self._told, self._clock = told, clock
        parse(ProbeSettings, "[probe]", told.probe)
        slots = parse(SlotSettings, "[slots]", {"zone": told.zone, **told.slots})
        self._slots = Slots(slots, told.start_ms)
        plan = cells.from_csv(read_text(Path(told.plan_path), "the plan"), told.plan_path)
        where = areas.read(Path(told.areas_path))
        self._area_count, self._plan_digest = len(where.area_id), plan.digest()
        name = parse(CollectorSettings, "[collector]", told.collector).locator
        locator: Any = settings("footfall.locators", "collector", {"kind": name})
        self._locate = locator.build(plan, where).locate
        self._metric: Any = settings("footfall.metrics", "collector", {"kind": "presence"})
        known = read_subscribers(told.subscribers_path)
        may = counted(known, told.purpose, told.basis, told.worker, told.workers)
        source = system_key if told.seed is None else seeded_key(told.seed)
        keys = Keys(source, told.zone, told.start_ms, self._slots.lateness_ms)
        self._probe = Probe(self._plan_digest, len(plan), may, keys, told.start_ms)
        self._collector = self._collector_of(self._timed_locate)
        self._core_s = {"tap": 0.0, "triangulate": 0.0, "count": 0.0}
        self._poisoned, self._why = 0, ""

    def _collector_of(self, locate) -> Collector:
        return Collector(self._slots, locate, self._metric.build(self._area_count, self._slots))

    def warm_up(self) -> None:
        """Compile every kernel: observe nothing, and close a slot of a collector that is then thrown away."""
        slots, none = self._slots, np.zeros(0, events.EVENT)
        observations = self._probe.observe(Batch(self._plan_digest, slots.start_ms, 0, none))
        closed_ms = slots.end_ms(slots.of(slots.start_ms)) + slots.lateness_ms
        self._collector_of(self._locate).push(observations, closed_ms)

    @property
    def finished(self) -> bool:
        """Return whether nothing that counts can still come."""
        return self._probe.watermark_ms >= self._told.until_ms + self._slots.lateness_ms

    def take(self, frames: list[bytes]) -> list[bytes]:
        """Take one message; return the partial tallies it closes.  A poisoned one is counted and skipped."""
        try:
            with self._timed("tap"):
                batch = events.decode(b"".join(frames))
                if batch.shard != self._told.worker:
                    raise WireError(f"event batch: shard {batch.shard} at worker {self._told.worker}")
                observations = self._probe.observe(batch)
        except WireError as error:
            self._poisoned, self._why = self._poisoned + 1, str(error)
            return []
        worker, table, watermark_ms = self._told.worker, self._metric.table, self._probe.watermark_ms
        with self._timed("count"):
            closed = self._collector.push(observations, watermark_ms)
        if closed:
            self.account()
        return [gather.encode(worker, table, slot, tally, watermark_ms) for slot, tally in closed]

    def _timed_locate(self, observations: np.ndarray, fixes: np.ndarray) -> None:
        with self._timed("triangulate", within="count"):
            self._locate(observations, fixes)

    @contextmanager
    def _timed(self, stage: str, within: str | None = None) -> Iterator[None]:
        """Add core seconds to a stage; take them from the one that waits for it."""
        begin_s = self._clock.cpu_s()
        try:
            yield
        finally:
            spent_s = self._clock.cpu_s() - begin_s
            self._core_s[stage] += spent_s
            if within:
                self._core_s[within] -= spent_s

    def account(self) -> dict[str, int]:
        """Return what became of every event offered; exact at any time."""
        probe, account = self._probe.counts, {"shed": 0, "refused": 0, **self._collector.counts}
        account |= {name: probe[name] + account[name] for name in ("late", "invalid", "refused")}
        assert probe["offered"] == sum(account.values()), "every event ends under one name"
        return {"offered": probe["offered"], **account}

    def report(self) -> dict:
        """Return the account, what the stages cost, and what was poisoned."""
        self._collector.drain()
        poisoned = {"poisoned": self._poisoned, "poisoned_last": self._why}
        return {"account": self.account(), **poisoned, "core_s": self._core_s, "peak_rss_mb": peak_rss_mb()}


def read_subscribers(path: str) -> subscribers.Subscribers:
    """Return the subscribers, or say what is wrong with the file; never what is in it."""
    try:
        return subscribers.decode(Path(path).read_bytes())
    except (OSError, WireError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(path, [f"the subscribers file cannot be read: {reason}"]) from None


def keep_memory_private() -> None:
    """Let nobody look into this process: no core dump, no debugger, no reader of its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
