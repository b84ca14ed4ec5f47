"""Small worlds for tests of signalling."""

import hashlib
from functools import cache

import numpy as np
import simpy

from probe.base import plugins
from simulator.handset import Handset
from simulator.kernels.timeline import CONNECTION_MS_MAX
from simulator.layouts.complete import complete
from simulator.network import base_station
from simulator.population import subscribers
from simulator.scenario import load
from simulator.world import World, place_of


def plan_of(scenario):
    """Return the network of a scenario."""
    return complete(plugins.settings("footfall.layouts", "layout", scenario.layout).build(), scenario.areas.frame)[0]


@cache
def small(*sets):
    """Return (scenario, place) of a village of 24 handsets for two morning hours, changed by KEY=VALUE."""
    common = (
        "world.handsets=24",
        "world.hours=2",
        "world.start=2026-05-12T07:00",
        "traffic.sessions_per_day=120",
    )
    scenario = load("village", [*common, *sets])
    return scenario, place_of(scenario, plan_of(scenario))


def cohort_events(*sets):
    """Return EVENT[n] of a whole small world, in the order of time."""
    scenario, place = small(*sets)
    heard = []
    World(scenario, place).run(lambda batch: heard.append(batch.events.copy()))
    return np.concatenate(heard)


def events_digest(bucket_digests):
    """Return the digest that run.json states, of those of every bucket."""
    return hashlib.sha256(b"".join(bucket_digests[number] for number in range(64))).hexdigest()


def digest(*sets, shards=1):
    """Return the digest over all shards of a small world."""
    scenario, place = small(*sets)
    buckets = {}
    for shard in range(shards):
        world = World(scenario, place, shard, shards)
        world.run(lambda batch: None)
        buckets |= world.bucket_digests()
    return events_digest(buckets)


def handset_events(*sets):
    """Return what the reference says of the same world, in no order: each handset a SimPy process."""
    scenario, place = small(*sets)
    env, heard = simpy.Environment(), []
    for site in np.unique(place.failures.site).tolist():
        env.process(base_station(env, site, place.radio, place.failures, int(place.law.start_ms)))
    known = subscribers(place.country, scenario.world.seed, scenario.handsets, scenario.population)
    for row in known:
        Handset(env, place, int(row["subscriber"]), int(row["person"]), heard.append)
    env.run(
        until=scenario.end_ms - scenario.start_ms + CONNECTION_MS_MAX
    )  # a report is told at the next look
    events = np.concatenate(heard)
    return events[events["time_ms"] < scenario.end_ms]
