"""The world process: a shard of the country, its events to its edge worker over a loopback socket."""

from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import zmq

from probe.base import clock, process
from probe.base.config import read_text
from probe.wire import cells, events as wire
from simulator import population, truth
from simulator.cohort import Place
from simulator.world import Batch, World, place_of

FRAMES_WAITING = 4  # a worker that falls behind makes the world wait; nothing is lost
FRAME_EVENTS, TRUTH_PERSONS, WAIT_MS, FLUSH_MS, PROGRESS_S = 16_384, 10_000, 200, 30_000, 0.3


# What a world process is told.  speed: simulated seconds a second, 0 = as fast as possible; views of the truth.
WorldConfig = namedtuple("WorldConfig", "scenario plan_path shard shards purpose basis speed lateness_ms views")


class Stopped(Exception):
    """The parent wants no more."""


def frames(batch: Batch) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (rows, watermark_ms) of a batch, cut to the size of a frame; an empty one still tells the time."""
    for first in range(0, max(len(batch.events), 1), FRAME_EVENTS):
        rows, later = np.split(batch.events[first:], [FRAME_EVENTS])
        yield rows, int(later["time_ms"][0]) if len(later) else batch.watermark_ms


class Tap:
    """Ships batches as frames, tells the parent how far the world is, waits for a slow worker or clock."""

    def __init__(self, config: WorldConfig, plan_digest: bytes, socket: zmq.Socket, pipe: Connection):
        self._config, self._digest, self._socket, self._pipe = config, plan_digest, socket, pipe
        self._clock = clock.WallClock()
        self._began_s = self._told_s = self._clock.now_s()
        self.events, self.ship_s, self.now_ms, self.stopped = 0, 0.0, config.scenario.start_ms, False

    def deliver(self, batch: Batch) -> None:
        """Send the events of one step, lossless, and keep to the speed that was asked for; raise Stopped when told to.

        The parent hears a few times a second how far the world is.
        """
        began_s, scenario = self._clock.cpu_s(), self._config.scenario
        for rows, watermark_ms in frames(batch):
            frame = wire.encode(wire.Batch(self._digest, watermark_ms, self._config.shard, rows))
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
    counted = truth.counted_persons(known, persons, config.purpose, config.basis)
    klass = truth.klasses(*population.classes(seed, persons, scenario.population))
    home = population.homes(people, seed, persons, scenario.population)
    mine = population.shard_of(persons, config.shard, config.shards)
    for view in config.views:
        one = truth.Truth(seed, people, view, scenario.start_ms, scenario.end_ms, scenario.world.zone)
        for chunk in np.array_split(mine, len(mine) // TRUTH_PERSONS + 1):
            one.add(chunk, counted[chunk], klass[chunk], home[chunk])
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
