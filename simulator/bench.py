"""Benchmarks: what a stage costs, and how the cost grows.  Core time, never wall time.

The whole chain runs in this process, with the batches of a run and without sockets: what a
socket costs is core time of the processes of `footfall run`, and told there.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import intake, receiver
from collector.edge import agent, collect, crowd, sealer, slots, spool
from collector.edge.locators.fixes import CELL, NO_AREA, TA, UNITS
from probe import consent, identity, probe
from probe.base import clock, plugins, streams, tally
from probe.wire import epochs, events as wire, subscribers
from probe.wire.consent import YES
from probe.wire.observations import OBSERVATION
from probe.wire.subscribers import SUBSCRIBER
from simulator import deployment, report, tap
from simulator.kernels.timeline import HANDSET
from simulator.world import Batch, World, place_of

BATCH, MOVES_ONE_IN, EVERY_MS = 1 << 14, 25, 450_000  # `count`: events a batch; how often people move, are heard
BUSY, HALF_AN_HOUR = "world.start=2026-05-12T15:00", "world.hours=0.5"


class Watch(defaultdict[str, float]):
    """Core seconds spent by stage."""

    def timed(self, name: str, do: Callable, *given) -> Any:
        """Return what do(*given) returns, its core time added to a stage."""
        begin_s = clock.WallClock.cpu_s()
        found = do(*given)
        self[name] += clock.WallClock.cpu_s() - begin_s
        return found


class Chain:
    """World, edge and store one after the other in this process, each stage on its own stopwatch."""

    def __init__(self, name: str, sets: list[str], folder: Path):
        self.stage, self._watch = deployment.checked(name, sets), Watch(float)
        run = deployment.Deployment(self.stage, folder)
        run.write_inputs(folder)
        place = place_of(self.stage.scenario, self.stage.plan)
        world, worker, self._sealer, store = run.told(folder)
        tap.warm(world, place)
        self._digest, self._world = self.stage.plan.digest(), World(self.stage.scenario, place)
        self._epochs = tap.read_epochs(folder, 0)
        self._edge = agent.Work(worker, clock.WallClock())
        self._store = plugins.settings("footfall.stores", "[store]", store.store).build()
        self._store.register(store.registered)
        self._intake = intake.Intake(store.registered, {1: self._store.known(1)})

    def run(self) -> dict[str, float]:
        """Let the hours pass; return core ns an event by stage."""
        with spool.opened(Path(self._sealer.spool_path), bytes(16)) as kept:
            self._seal = sealer.Work(self._sealer._replace(judge_path=None), kept)
            self._watch.timed("world", self._world.run, self._deliver)
            self._settle()
        self._store.close()
        found = self._edge.report()
        spent_s = {**dict.fromkeys(report.STAGES, 0.0), **self._watch, **found["core_s"]}
        spent_s["world"] = 2 * spent_s["world"] - sum(spent_s.values())  # the stopwatch of the world ran throughout
        self.events = found["account"]["offered"]
        cost = {name: 1e9 * one / max(self.events, 1) for name, one in spent_s.items()}
        return {**cost, "total": sum(cost.values())}

    def _deliver(self, batch: Batch) -> None:
        frames = tap.frames(batch, self._digest, 0, self._epochs)
        while frame := self._watch.timed("ship", next, frames, b""):
            for partial in self._edge.take([frame]):
                self._watch.timed("seal", self._seal.take, [partial])
                self._settle()

    def _settle(self) -> None:
        """Carry frames between edge and store until nothing is under way."""
        timed = self._watch.timed
        while frames := timed("seal", self._seal.delivery.outgoing, clock.WallClock.now_s()):
            group = [(b"edge", frame) for frame in frames]
            for _, answer in timed("store", receiver.handle, group, self._intake, self._store, tally.Tally()):
                timed("seal", self._seal.delivery.incoming, answer)


def measured(*sets: str) -> tuple[dict[str, float], int, int]:
    """Return (core ns an event by stage, events, cells) of one run of the city."""
    with tempfile.TemporaryDirectory(prefix="footfall-") as folder:
        chain = Chain("city", [BUSY, *sets], Path(folder))
        return chain.run(), chain.events, len(chain.stage.plan)


def pipeline(small: bool) -> dict[str, Any]:
    """Return what one event costs at each stage; busy hours of the city, or of a part of it."""
    cost, events, _ = measured(*(("world.handsets=4000", "world.hours=1") if small else ("world.hours=3",)))
    return {"core_ns_per_event": cost, "events_per_s": 1e9 / cost["total"], "events": events}


def growth(small: bool) -> dict[str, Any]:
    """Return the exponents of core time: in all with handsets, an event with cells for the same handsets."""
    # rings: 1 + 3 r (r + 1) sites of 6 cells: 114, 1,014 and 9,942
    handsets, rings = ((1_000, 4_000), (2, 4)) if small else ((10_000, 100_000, 1_000_000), (2, 7, 23))
    grown = [(count, *measured(HALF_AN_HOUR, f"world.handsets={count}")) for count in handsets]
    by_handsets = [(count, events * cost["total"] / 1e9) for count, cost, events, _ in grown]
    linear = f"collector.tables={[table for table in collect.DAILY if table not in ('origin', 'flows')]}"
    denser = [measured(HALF_AN_HOUR, linear, f"world.handsets={handsets[1]}", "layout.zones=[]",
                       f"layout.rings={count}", f"areas.rings={max(1, round(count / 2.15))}")
              for count in rings]  # 1 km2 under all sites
    by_cells = [(cells, cost["total"]) for cost, _, cells in denser]
    logs = {name: np.log(points).T for name, points in (("handsets", by_handsets), ("cells", by_cells))}
    exponent = {name: float(np.polyfit(x, y, 1)[0]) for name, (x, y) in logs.items()}  # a power law: the slope
    return {"exponent": exponent, "world_bytes_per_handset": HANDSET.itemsize, "core_s": by_handsets,
            "core_ns_per_event": by_cells}


def count(small: bool) -> dict[str, Any]:
    """Return what an event costs the count stage: merge, check, count, and all tables of the city; without locating.

    People are heard in random order: of a million nobody is in a cache when their turn comes.  The
    first half of the time, in which they are new, is not told.  Memory that is freed is overwritten,
    as in a worker; and so it stays: this is the last of the benchmarks, so that it disturbs no other.
    """
    agent.overwrite_freed()
    persons, hours = (20_000, 1) if small else (1_000_000, 2)
    stage, watch = deployment.checked("city", []), Watch(float)
    grid, made = slots.Slots(stage.slots, stage.scenario.start_ms), stage.scheme
    half = persons * hours * clock.HOUR_MS // EVERY_MS // 2 // BATCH * BATCH

    collector = collect.Collector(grid, lambda *given: watch.timed("locate", locate, *given),
                                  crowd.Crowd(grid, made.rows, made.zones, made.weekly), made)
    where = mixed(np.arange(persons)) % len(made.rows[0])
    for first in range(0, 2 * half, BATCH):
        if first == half:
            watch.clear()
        rows = heard(np.arange(first, first + BATCH), where, grid.start_ms)
        watch.timed("push", collector.push, rows, int(rows["time_ms"][-1]))
    return {"core_ns_per_event": 1e9 * (watch["push"] - watch["locate"]) / half, "events": half, "persons": persons}


def heard(number: np.ndarray, where: np.ndarray, start_ms: int) -> np.ndarray:
    """Return OBSERVATION[n] of people somewhere, drawn by the number of the event, i8[n]; first a few move.

    where : i8[persons]  the piece where each is, in and out
    """
    drawn, rows = mixed(number + len(where)), np.zeros(len(number), OBSERVATION)
    who, bits = drawn % len(where), mixed(drawn)
    moving = bits % MOVES_ONE_IN == 0
    where[who[moving]] = mixed(bits[moving]) % (where.max() + 1)
    rows["time_ms"], rows["kind"] = start_ms + number * EVERY_MS // len(where), wire.Kind.SERVICE_REQUEST
    rows["pseudonym"], rows["cell"] = 2 * mixed(who) + 1, who % 3_000 + (bits >> 40) % 2
    rows["aoa"], rows["home"], rows["klass"] = where[who], who % 64, who % 21
    rows["flags"], rows["ta"] = (bits >> 41) % 2, (bits >> 42) % 2
    return rows


def consented(small: bool) -> dict[str, Any]:
    """Return what it costs an event to be checked, asked for consent and given a pseudonym, as a batch and not decoded.

    People are heard in random order: of a million nobody is in a cache when their turn comes.  Four in five have
    agreed; every quarter of an hour, in an epoch of its own, four in 80,000 say no and one yes, about as in the city.
    """
    persons, slots = (20_000, 4) if small else (1_000_000, 8)
    known, key, watch, asked = np.zeros(persons, SUBSCRIBER), bytes(32), Watch(float), ("market_research", "consent")
    number, start_ms, slot_ms = np.arange(persons), clock.epoch_ms(datetime(2026, 5, 12), "UTC"), 900_000
    known["subscriber"], known["person"] = 10**14 + (mixed(number).astype("u8") >> np.uint64(13)), number
    known = known[np.argsort(known["subscriber"])]
    known["consent"], numbers = np.where(number % 5, YES[asked[0]], 0), known["subscriber"].copy()
    may = consent.Consent(subscribers.Subscribers(0, known), *asked, key, "UTC")
    one = probe.Probe(bytes(8), 3_000, may, identity.Keys(identity.seeded_key(1), "UTC", start_ms, 60_000), start_ms)
    one.observe(wire.Batch(bytes(8), start_ms, 0, np.zeros(0, wire.EVENT)))  # compiled before it is timed
    for slot, begin_ms in enumerate(range(start_ms, start_ms + slots * slot_ms, slot_ms), 1):
        speaks = number[number % 80_000 // 5 == slot]  # five neighbours: four who agreed, one who did not
        said = np.zeros(len(speaks), epochs.DECISION)
        said["time_ms"] = begin_ms + np.arange(len(said)) * slot_ms // max(len(said), 1)
        said["fingerprint"] = identity.fingerprints(numbers[speaks], key)
        said["row"][speaks % 5 == 0] = known[speaks[speaks % 5 == 0]]
        watch.timed("ask", one.take_epoch, epochs.encode(epochs.Epoch(
            slot, begin_ms, begin_ms + slot_ms, *asked, 0, 1, said), key))
        for first in range(0, 2 * persons // BATCH * BATCH, BATCH):
            drawn, rows = mixed(np.arange(first, first + BATCH) + 2 * slot * persons), np.zeros(BATCH, wire.EVENT)
            rows["time_ms"] = begin_ms + np.arange(first, first + BATCH) * slot_ms // (2 * persons)
            rows["subscriber"], rows["cell"], rows["kind"] = numbers[drawn % persons], drawn % 3_000, 5
            watch.timed("ask", one.observe, wire.Batch(bytes(8), int(rows["time_ms"][-1]), 0, rows))
    return {"core_ns_per_event": 1e9 * watch["ask"] / one.counts["offered"], "events": one.counts["offered"],
            "persons": persons}


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Return i8[n], 0 to 2^62, of i8[n] >= 0, without a pattern."""
    return (streams.mix64.py_func(numbers.astype("u8")) >> np.uint64(2)).astype("i8")


def locate(rows: np.ndarray, fixes: np.ndarray) -> None:
    """Write FIX[n] of OBSERVATION[n] as heard: half are known better than by their cell, half in three pieces."""
    spread = rows["ta"] == 1
    fixes["content"], fixes["area"] = np.where(rows["flags"], TA, CELL), NO_AREA
    for k, weight in enumerate((40, 20, 4)):
        fixes["area"][:, k] = np.where(spread | (k == 0), np.maximum(rows["aoa"].astype("i8") - k, 0), NO_AREA)
        fixes["weight"][:, k] = np.where(spread, weight, UNITS * (k == 0))


BENCHMARKS = {"pipeline": pipeline, "growth": growth, "consent": consented, "count": count}
