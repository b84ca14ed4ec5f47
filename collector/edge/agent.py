"""The edge process: one probe and one collector around two sockets and a clock."""

import ctypes
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from collector.edge import gather
from collector.edge.collect import Collector, CollectorSettings
from collector.edge.slots import Slots, SlotSettings
from probe.base import plugins
from probe.base.clock import WallClock
from probe.base.config import ConfigError, parse, read_text
from probe.base.main import RunError
from probe.base.packing import Batch, WireError
from probe.base.process import endpoint, loopback, peak_rss_mb, sockets, told_to_stop
from probe.consent import counted
from probe.identity import Keys, seeded_key, system_key
from probe.probe import Probe, ProbeSettings
from probe.wire import areas, cells, events, subscribers

POLL_MS, PATIENCE_MS = 100, 30_000
WORLD = {zmq.RCVHWM: 8, zmq.MAXMSGSIZE: 16 << 20, zmq.LINGER: 0}  # a world at full speed waits; memory stays small
SEALER = {zmq.SNDTIMEO: PATIENCE_MS, zmq.LINGER: PATIENCE_MS}


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
    with sockets((zmq.PULL, WORLD), (zmq.PUSH, SEALER)) as (source, sealer):
        source.bind("tcp://127.0.0.1:*")
        sealer.connect(loopback(config.sealer_endpoint))
        pipe.send(("ready", {"endpoint": endpoint(source)}))
        try:
            while not work.finished and not told_to_stop(pipe):
                if source.poll(POLL_MS):
                    for partial_tally in work.take(source.recv_multipart()):
                        sealer.send(partial_tally)
        except zmq.Again:
            raise RunError(f"the sealer has not taken a tally for {PATIENCE_MS // 1000} s") from None
    pipe.send(("done", work.report()))


class Work:
    """The stages between the two sockets, decode, probe, collector, each on its stopwatch; all is compiled."""

    def __init__(self, told: WorkerConfig, clock: WallClock):
        self._clock, self._worker = clock, told.worker
        parse(ProbeSettings, "[probe]", told.probe)
        slots = Slots(parse(SlotSettings, "[slots]", {"zone": told.zone, **told.slots}), told.start_ms)
        plan = cells.from_csv(read_text(Path(told.plan_path), "the plan"), told.plan_path)
        where, plan_digest = areas.read(Path(told.areas_path)), plan.digest()
        name = parse(CollectorSettings, "[collector]", told.collector).locator
        settings: Any = plugins.settings("footfall.locators", "collector", {"kind": name})
        locator = settings.build(plan, where)
        metric: Any = plugins.settings("footfall.metrics", "collector", {"kind": "presence"})
        known = read_subscribers(told.subscribers_path)
        may = counted(known, told.purpose, told.basis, told.worker, told.workers)
        source = system_key if told.seed is None else seeded_key(told.seed)
        keys = Keys(source, told.zone, told.start_ms, slots.lateness_ms)
        self._probe = Probe(plan_digest, len(plan), may, keys, told.start_ms)

        def collector(locate) -> Collector:
            return Collector(slots, locate, metric.build(len(where.area_id), slots))

        self._collector = collector(partial(self._timed, "triangulate", locator.locate))
        self._table, self._end_ms, self.finished = metric.table, told.until_ms + slots.lateness_ms, False
        self._core_s = dict.fromkeys(("tap", "triangulate", "count"), 0.0)
        self._poisoned, self._why = 0, ""
        nothing = self._probe.observe(Batch(plan_digest, told.start_ms, 0, np.zeros(0, events.EVENT)))
        collector(locator.locate).push(nothing, told.start_ms + slots.length_ms + slots.lateness_ms)  # compiles

    def take(self, frames: list[bytes]) -> list[bytes]:
        """Take one message; return the partial tallies it closes.  A poisoned one is counted and skipped."""
        try:
            observations = self._timed("tap", self._observe, b"".join(frames))
        except WireError as error:
            self._poisoned, self._why = self._poisoned + 1, str(error)
            return []
        watermark_ms = self._probe.watermark_ms
        self.finished = watermark_ms >= self._end_ms
        closed = self._timed("count", self._collector.push, observations, watermark_ms)
        self.account()
        return [gather.encode(self._worker, self._table, slot, tally, watermark_ms) for slot, tally in closed]

    def _observe(self, frame: bytes) -> np.ndarray:
        batch = events.decode(frame)
        if batch.shard != self._worker:
            raise WireError(f"event batch: shard {batch.shard} at worker {self._worker}")
        return self._probe.observe(batch)

    def _timed(self, stage: str, do: Callable, *given) -> Any:
        begin_s = self._clock.cpu_s()
        found = do(*given)
        self._core_s[stage] += self._clock.cpu_s() - begin_s
        return found

    def account(self) -> dict[str, int]:
        """Return what became of every event offered; exact at any time."""
        probe, collector = self._probe.counts, self._collector.counts
        names = ("binned", "late", "invalid", "refused", "shed", "waiting")
        account = {name: probe[name] + collector[name] for name in names}
        assert probe["offered"] == sum(account.values()), "every event ends under one name"
        return {"offered": probe["offered"], **account}

    def report(self) -> dict:
        """Return the account, what the stages cost, and what was poisoned."""
        self._timed("count", self._collector.drain)
        core_s = {**self._core_s, "count": self._core_s["count"] - self._core_s["triangulate"]}
        return {"account": self.account(), "core_s": core_s, "peak_rss_mb": peak_rss_mb(),
                "poisoned": self._poisoned, "poisoned_last": self._why}


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
    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE
