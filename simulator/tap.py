"""The world process: a shard of the country, its events to its edge worker over a loopback socket."""

from collections import deque, namedtuple
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import zmq

from probe.base import clock, process
from probe.base.config import read_text
from probe.wire import cells, epochs, events as wire
from simulator import population, truth
from simulator.cohort import Place
from simulator.world import Batch, World, place_of

FRAMES_WAITING = 4  # a worker that falls behind makes the world wait; nothing is lost
FRAME_EVENTS, TRUTH_PERSONS, WAIT_MS, FLUSH_MS, PROGRESS_S = 16_384, 10_000, 200, 30_000, 0.3


# What a world process is told.  speed: simulated seconds a second, 0 = as fast as possible; views of the truth;
# private: the folder of the epochs of each shard, for its worker.
WorldConfig = namedtuple("WorldConfig", "scenario plan_path shard shards purpose basis speed lateness_ms views private")


class Stopped(Exception):
    """The parent wants no more."""


def epochs_path(private: str | Path, shard: int) -> Path:
    """Return the file of the epochs of a shard."""
    return Path(private) / f"epochs.{shard}"


def read_epochs(private: str | Path, shard: int) -> deque[tuple[int, bytes]]:
    """Return (from_ms, frame) of each epoch of a shard, in order."""
    return deque(epochs.bundled(epochs_path(private, shard).read_bytes()))


def frames(batch: Batch, plan_digest: bytes, shard: int, waiting: deque[tuple[int, bytes]]) -> Iterator[bytes]:
    """Yield the frames of a batch, cut to their size and where an epoch begins, which goes before its first event.

    An empty batch still tells the time.  waiting: (from_ms, frame) of the epochs; those sent are taken out.
    """
    rows, told_ms = batch.events, -1
    while len(rows) or told_ms < batch.watermark_ms:
        begin_ms = waiting[0][0] if waiting else inf
        if begin_ms == told_ms:  # told first, so that no slot closes earlier or later by who speaks in between
            yield waiting.popleft()[1]
            continue
        count = min(FRAME_EVENTS, int(np.searchsorted(rows["time_ms"], begin_ms)))
        now, rows = rows[:count], rows[count:]
        told_ms = int(min(rows["time_ms"][0] if len(rows) else batch.watermark_ms, begin_ms))
        yield wire.encode(wire.Batch(plan_digest, told_ms, shard, now))


class Tap:
    """Ships batches as frames, tells the parent how far the world is, waits for a slow worker or clock."""

    def __init__(self, config: WorldConfig, plan_digest: bytes, socket: zmq.Socket, pipe: Connection):
        self._config, self._digest, self._socket, self._pipe = config, plan_digest, socket, pipe
        self._epochs = read_epochs(config.private, config.shard)
        self._clock = clock.WallClock()
        self._began_s = self._told_s = self._clock.now_s()
        self.events, self.ship_s, self.now_ms, self.stopped = 0, 0.0, config.scenario.start_ms, False

    def deliver(self, batch: Batch) -> None:
        """Send the events of one step, lossless, and keep to the speed that was asked for; raise Stopped when told to.

        The parent hears a few times a second how far the world is.
        """
        began_s, scenario = self._clock.cpu_s(), self._config.scenario
        for frame in frames(batch, self._digest, self._config.shard, self._epochs):
            while not self._socket.poll(WAIT_MS, zmq.POLLOUT):
                self.heed()
            self._socket.send(frame, copy=False)
        self.events, self.ship_s = self.events + len(batch.events), self.ship_s + self._clock.cpu_s() - began_s
        self.now_ms = min(batch.watermark_ms, scenario.end_ms)
        self.heed()
        if self._clock.now_s() - self._told_s >= PROGRESS_S:
            self._told_s = self._clock.now_s()
            self._pipe.send(("progress", {"time_ms": self.now_ms, "events": self.events}))
        gone_s = (self.now_ms - scenario.start_ms) / 1_000 / (self._config.speed or inf)
        while (early_s := self._began_s + gone_s - self._clock.now_s()) > 0:
            self._pipe.poll(min(early_s, WAIT_MS / 1_000))
            self.heed()

    def heed(self) -> None:
        """Raise Stopped if the parent said so, now or before."""
        self.stopped = self.stopped or process.told_to_stop(self._pipe)
        if self.stopped:
            raise Stopped


def truth_of(config: WorldConfig, world: World, heed) -> dict[str, truth.Kept]:
    """Return the truth of the persons of this shard."""
    scenario, people, seed = config.scenario, world.place.country, config.scenario.world.seed
    persons, found = population.persons_of(scenario.handsets, scenario.population.share), dict[str, truth.Kept]()
    known = population.subscribers(people, seed, scenario.handsets, scenario.population)
    windows = truth.always(truth.counted_persons(known, persons, config.purpose, config.basis))
    turn = np.load(Path(config.private) / "windows.npy")
    turn = turn[turn[:, 0] < persons]  # of a few handsets, to compile, there are fewer
    windows[turn[:, 0]] = turn[:, 1:]
    customer = truth.customers(known, persons)
    klass = truth.klasses(*population.classes(seed, persons, scenario.population))
    home = population.homes(people, seed, persons, scenario.population)
    mine = population.shard_of(persons, config.shard, config.shards)
    for view in config.views:
        one = truth.Truth(seed, people, view, scenario.start_ms, scenario.end_ms, scenario.world.zone,
                          config.lateness_ms)
        for chunk in np.array_split(mine, len(mine) // TRUTH_PERSONS + 1):
            one.add(chunk, windows[chunk], customer[chunk], klass[chunk], home[chunk])
            heed()
        found |= one.tables()
    return found


def warm(config: WorldConfig, place: Place) -> None:
    """Compile every kernel on a quarter of an hour of a few handsets."""
    few = config.scenario._replace(world=config.scenario.world.model_copy(update={"handsets": 640, "hours": 0.25}))
    world = World(few, place)
    world.run(lambda batch: None)
    truth_of(config._replace(scenario=few), world, lambda: None)


def world_main(config: WorldConfig, pipe: Connection) -> None:
    """Say ("ready", {}); told ("start", {"endpoint": ...}), run one shard; say ("done", report).

    The report is the shard's part of digest, truth and load, and core seconds by stage.
    """
    plan = cells.from_csv(read_text(Path(config.plan_path), "the plan"), config.plan_path)
    place = place_of(config.scenario, plan)
    warm(config, place)
    world = World(config.scenario, place, config.shard, config.shards)
    pipe.send(("ready", {}))
    said = pipe.recv()
    with process.sockets((zmq.PUSH, {zmq.SNDHWM: FRAMES_WAITING, zmq.LINGER: FLUSH_MS})) as (socket,):
        tap = Tap(config, plan.digest(), socket, pipe)
        tap.stopped = said[0] != "start"
        if not tap.stopped:
            socket.connect(process.loopback(said[1]["endpoint"]))
        began_s, tables = clock.WallClock.cpu_s(), None
        with suppress(Stopped):
            world.run(tap.deliver, config.lateness_ms)
        lived_s = clock.WallClock.cpu_s()
        with suppress(Stopped):
            tap.heed()
            tables = truth_of(config, world, tap.heed)
        core_s = {"world": lived_s - began_s - tap.ship_s, "ship": tap.ship_s,
                  "truth": clock.WallClock.cpu_s() - lived_s}
        pipe.send(("done", {
            "events": tap.events, "time_ms": tap.now_ms, "stopped": tap.stopped, "core_s": core_s, "truth": tables,
            "bucket_digests": world.bucket_digests(), "load": world.load.tables(),
            "peak_rss_mb": process.peak_rss_mb()}))
