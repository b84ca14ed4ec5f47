"""The edge process: one probe and one collector around two sockets and a clock."""

import ctypes
import resource
import sys
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
from probe.base.packing import WireError
from probe.base.plugins import settings
from probe.base.process import loopback, peak_rss_mb, told_to_stop
from probe.consent import counted
from probe.identity import Keys, seeded_key, system_key
from probe.probe import Probe, ProbeSettings
from probe.wire import areas, cells, events, subscribers

METRIC = "presence"
POLL_MS = 100
PROGRESS_S = 0.25
SEND_PATIENCE_MS = 30_000
FRAME_MAX = 16 << 20
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
    clock = WallClock()
    work = Work(config, clock)
    work.warm_up()
    context = zmq.Context()
    source, sealer = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    try:
        source.setsockopt(zmq.RCVHWM, 8)  # a world at full speed waits rather than fill memory
        source.setsockopt(zmq.MAXMSGSIZE, FRAME_MAX)
        source.bind("tcp://127.0.0.1:*")
        sealer.setsockopt(zmq.SNDTIMEO, SEND_PATIENCE_MS)
        sealer.setsockopt(zmq.LINGER, SEND_PATIENCE_MS)
        sealer.connect(loopback(config.sealer_endpoint))
        pipe.send(("ready", {"endpoint": source.getsockopt_string(zmq.LAST_ENDPOINT)}))
        run(work, source, sealer, pipe, clock)
    finally:
        source.close(linger=0)
        sealer.close()
        context.term()
    pipe.send(("done", work.report()))


def run(work: "Work", source: zmq.Socket, sealer: zmq.Socket, pipe: Connection, clock: WallClock) -> None:
    """Move frames in and partial tallies out until the end."""
    told_s = clock.now_s()
    while not work.finished and not told_to_stop(pipe):
        if source.poll(POLL_MS):
            for partial in work.take(source.recv_multipart()):
                send(sealer, partial)
        if clock.now_s() - told_s > PROGRESS_S:
            told_s = clock.now_s()
            pipe.send(("progress", work.progress()))


def send(sealer: zmq.Socket, partial: bytes) -> None:
    try:
        sealer.send(partial)
    except zmq.Again:
        raise RunError(f"the sealer has not taken a tally for {SEND_PATIENCE_MS // 1000} s") from None


class Work:
    """The stages between the two sockets: decode, probe, collector."""

    def __init__(self, config: WorkerConfig, clock: WallClock):
        self._config, self._clock = config, clock
        parse(ProbeSettings, "[probe]", config.probe)
        slots = parse(SlotSettings, "[slots]", {"zone": config.zone, **config.slots})
        self._slots = Slots(slots, config.start_ms)
        self._plan = cells.from_csv(read_text(Path(config.plan_path), "the plan"), config.plan_path)
        self._areas = areas.read(Path(config.areas_path))
        name = parse(CollectorSettings, "[collector]", config.collector).locator
        located_by: Any = settings("footfall.locators", "collector", {"kind": name})
        self._locator = located_by.build(self._plan, self._areas)
        self._metric: Any = settings("footfall.metrics", "collector", {"kind": METRIC})
        known = read_subscribers(config.subscribers_path)
        self._counted = counted(known, config.purpose, config.basis, config.worker, config.workers)
        self._probe, self._collector = self._stages()
        self._watermark_ms = config.start_ms
        self._tap_s = 0.0
        self._poisoned, self._why = 0, ""

    def _stages(self) -> tuple[Probe, Collector]:
        config, slots = self._config, self._slots
        source = system_key if config.seed is None else seeded_key(config.seed)
        keys = Keys(source, config.zone, config.start_ms, slots.lateness_ms)
        probe = Probe(self._plan.digest(), len(self._plan), self._counted, keys, config.start_ms)
        area_count = len(self._areas.area_id)
        return probe, Collector(slots, area_count, self._locator, self._metric, self._clock.cpu_s)

    def warm_up(self) -> None:
        """Compile every kernel by closing a slot without events, on stages that are then thrown away."""
        probe, collector = self._stages()
        watermark_ms = self._slots.end_ms(self._slots.of(self._config.start_ms)) + self._slots.lateness_ms
        batch = events.Batch(self._plan.digest(), watermark_ms, 0, np.zeros(0, events.EVENT))
        collector.push(probe.observe(batch), watermark_ms)

    @property
    def finished(self) -> bool:
        """Return whether nothing that counts can still come."""
        return self._watermark_ms >= self._config.until_ms + self._slots.lateness_ms

    def take(self, frames: list[bytes]) -> list[bytes]:
        """Take one message; return the partial tallies it closes.  A poisoned one is counted and skipped."""
        begin_s = self._clock.cpu_s()
        try:
            batch = self._decode(frames)
            observations = self._probe.observe(batch)
        except WireError as error:
            self._poisoned, self._why = self._poisoned + 1, str(error)
            return []
        finally:
            self._tap_s += self._clock.cpu_s() - begin_s
        self._watermark_ms = max(self._watermark_ms, batch.watermark_ms)
        closed = self._collector.push(observations, self._watermark_ms)
        if closed:
            self.account()
        worker, table = self._config.worker, self._metric.table
        return [gather.encode(worker, table, slot, tally, self._watermark_ms) for slot, tally in closed]

    def _decode(self, frames: list[bytes]) -> events.Batch:
        if len(frames) != 1:
            raise WireError(f"event batch: {len(frames)} frames, expected 1")
        batch = events.decode(frames[0])
        if batch.shard != self._config.worker:
            raise WireError(f"event batch: shard {batch.shard} at worker {self._config.worker}")
        return batch

    def account(self) -> dict[str, int]:
        """Return what became of every event offered; exact at any time."""
        probe, collector = self._probe.counts, self._collector.counts
        account = {name: probe[name] + collector[name] for name in ("late", "invalid", "refused")}
        account |= {"binned": collector["binned"], "shed": 0, "waiting": collector["waiting"]}
        assert probe["offered"] == sum(account.values()), "every event ends under one name"
        return {"offered": probe["offered"], **account}

    def progress(self) -> dict:
        """Return how far the work has come."""
        return {"events": self._probe.counts["offered"], "watermark_ms": self._watermark_ms}

    def report(self) -> dict:
        """Return the account, what the stages cost, and what was poisoned."""
        self._collector.drain()
        return {
            "account": self.account(),
            "poisoned": self._poisoned,
            "poisoned_last": self._why,
            "core_s": {"tap": self._tap_s, **self._collector.core_s},
            "peak_rss_mb": peak_rss_mb(),
        }


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
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
