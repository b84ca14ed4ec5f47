"""The SimPy environment that holds a country: base stations, cohorts of handsets, and time."""

from collections import namedtuple
from collections.abc import Callable

import numpy as np
import simpy

from probe.base import clock, config, plugins
from probe.wire.cells import Plan
from simulator import network, population, traffic
from simulator.cohort import Bench, Cohort, Place, grown, rows_of
from simulator.kernels import order, people, timeline
from simulator.radio import Radio
from simulator.scenario import Scenario

MARGIN_M = 3_000.0  # of radio beyond the map


# EVENT[n] in order of time, none later before watermark_ms; for the judge where the handset truly was, f4[n].
# The arrays are written again in the next step.
Batch = namedtuple("Batch", "events x_m y_m watermark_ms")


def place_of(scenario: Scenario, plan: Plan) -> Place:
    """Return what all handsets of a scenario share."""
    world, seed, country = scenario.world, scenario.world.seed, population.country(scenario.areas, scenario.population)
    loss = plugins.settings("footfall.propagation", "propagation", scenario.propagation).build(plan)  # type: ignore[attr-defined]
    reach_m = country.reach_m + np.hypot(country.middle_x_m, country.middle_y_m) + MARGIN_M
    radio = Radio(plan, scenario.areas.frame, reach_m, loss, seed)
    settings = config.parse(traffic.TrafficSettings, "[traffic]", scenario.traffic)
    begin_ms, end_ms, grade = scenario.start_ms, scenario.end_ms, scenario.probe.get("grade", "trace")
    law, tables = traffic.law_of(settings, seed, begin_ms, end_ms, world.zone, radio.wall_db, grade)
    failures = network.failures_of(radio, seed, settings, end_ms - begin_ms + timeline.LOOK_AHEAD_MS)
    return Place(law, tables, country, radio, radio.net, failures)


class World:
    """One shard of a country: the buckets b with b mod shards == shard."""

    def __init__(self, scenario: Scenario, place: Place, shard: int = 0, shards: int = 1):
        self.place, self.load, self.events = place, network.Load(place.net), 0
        self._step_ms = scenario.world.step_s * clock.SECOND_MS
        self._start_ms, self._length_ms = scenario.start_ms, scenario.end_ms - scenario.start_ms
        known = population.subscribers(place.country, scenario.world.seed, scenario.handsets, scenario.population)
        bucket, bench = people.buckets(len(known))[known["person"]], Bench()
        mine = {b: known[bucket == b] for b in range(shard, int(people.BUCKETS), shards)}
        self.cohorts = {b: Cohort(place, rows["subscriber"], rows["person"], bench) for b, rows in mine.items()}
        self._heard, self._sorted, self._count = rows_of(1 << 12), rows_of(1 << 12), 0

    def run(self, deliver: Callable[[Batch], None], lateness_ms: int = 60_000) -> None:
        """Let time pass, handing over the events of each step; the last is empty, its watermark late."""
        env, place = simpy.Environment(), self.place
        for site in np.unique(place.failures.site).tolist():
            env.process(network.base_station(env, site, place.radio, place.failures, self._start_ms))
        for cohort in self.cohorts.values():
            env.process(self._steps(env, self._live, cohort))
        env.run(env.process(self._steps(env, self._deliver, deliver)))
        deliver(Batch(*rows_of(0), self._start_ms + self._length_ms + lateness_ms + clock.SECOND_MS))

    def bucket_digests(self) -> dict[int, bytes]:
        """Return the SHA-256 over the events of every bucket of this shard, in the canonical order."""
        return {bucket: cohort.digest.digest() for bucket, cohort in self.cohorts.items()}

    def _steps(self, env, each: Callable, told):
        """Call each(begin_ms, end_ms, told) step by step; within one, SimPy keeps the order of the processes."""
        while env.now < self._length_ms:
            step_ms = min(self._step_ms, self._length_ms - env.now)
            each(env.now, env.now + step_ms, told)
            yield env.timeout(step_ms)

    def _live(self, begin_ms: int, end_ms: int, cohort: Cohort) -> None:
        self._heard, self._count = cohort.advance(begin_ms, end_ms, self._heard, self._count)

    def _deliver(self, begin_ms: int, end_ms: int, deliver: Callable[[Batch], None]) -> None:
        first_ms, last_ms = self._start_ms + begin_ms, self._start_ms + end_ms
        self._sorted = grown(self._sorted, 0, self._count)
        self._count, n = order.in_time_order(self._heard, self._count, first_ms, last_ms, self._sorted, 0)
        batch, self.events = Batch(*(*(column[:n] for column in self._sorted), last_ms)), self.events + n
        self.load.add(batch.events)
        if last_ms % timeline.SLOT_MS == 0:
            self.load.close(last_ms // timeline.SLOT_MS - 1)
        deliver(batch)
