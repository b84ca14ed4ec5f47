"""Benchmarks: what a stage costs, and how the cost grows.  Core time, never wall time.

The whole chain runs in this process, with the batches of a run and without sockets: what a
socket costs is core time of the processes of `footfall run`, and told there.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import receiver
from collector.centre.intake import Intake
from collector.edge import agent, sealer
from probe.base import plugins
from probe.base.clock import WallClock
from probe.base.tally import Tally
from probe.wire import events as wire
from simulator import scenario
from simulator.deployment import Deployment, checked
from simulator.kernels.timeline import HANDSET
from simulator.tap import FRAME_EVENTS, warm
from simulator.world import Batch, World, place_of

STAGES = ("world", "ship", "tap", "triangulate", "count", "seal", "store")


class Chain:
    """World, edge and store one after the other in this process, each stage on its own stopwatch."""

    def __init__(self, name: str, sets: list[str], folder: Path):
        self._clock = WallClock()
        self.stage = checked(scenario.load(name, sets))
        deployment = Deployment(self.stage, folder, 1, "tcp://127.0.0.1:*")
        deployment.write_inputs(folder)
        place = place_of(self.stage.scenario, self.stage.plan)
        warm(deployment.world_config(0), place)
        self.world = World(self.stage.scenario, place)
        self.edge = agent.Work(deployment.worker_config(0, folder, ""), self._clock)
        self._spool = sealer.spools.opened(folder / "spool.db", bytes(16))
        self._deployment = deployment
        self._digest = self.stage.plan.digest()
        self.spent_s = dict.fromkeys(STAGES, 0.0)

    def run(self) -> dict[str, float]:
        """Let the hours pass; return core ns an event by stage."""
        config = replace(self._deployment.sealer_config(""), judge_path=None)
        with self._spool as spool:
            self.seal = sealer.Work(config, spool)
            self.store = plugins.settings(
                "footfall.stores", "[store]", self._deployment.store_config().store
            ).build()  # type: ignore[attr-defined]
            self.store.register(self._deployment.store_config().registered)
            self.intake = Intake(self.store.registered(), {1: self.store.known(1)})
            self.edge.warm_up()
            self._timed("world", self.world.run, self._deliver)
            self._settle()
            self.store.close()
        report = self.edge.report()
        self.spent_s |= report["core_s"]
        self.spent_s["world"] -= sum(self.spent_s[name] for name in STAGES if name != "world")
        self.events = report["account"]["offered"]
        cost = {name: 1e9 * spent_s / max(self.events, 1) for name, spent_s in self.spent_s.items()}
        return {**cost, "total": sum(cost.values())}

    def _timed(self, name: str, do: Callable, *given) -> Any:
        began_s = self._clock.cpu_s()
        found = do(*given)
        self.spent_s[name] += self._clock.cpu_s() - began_s
        return found

    def _deliver(self, batch: Batch) -> None:
        for first in range(0, max(len(batch.events), 1), FRAME_EVENTS):
            rows = batch.events[first : first + FRAME_EVENTS]
            last = first + FRAME_EVENTS >= len(batch.events)
            watermark_ms = batch.watermark_ms if last else int(batch.events["time_ms"][first + FRAME_EVENTS])
            one = wire.Batch(self._digest, watermark_ms, 0, rows)
            frame = self._timed("ship", wire.encode, one)
            for partial in self.edge.take([frame]):
                self._timed("seal", self.seal.take, partial)
                self._settle()

    def _settle(self) -> None:
        """Carry frames between edge and store until nothing is under way."""
        frames = self._timed("seal", lambda: list(self.seal.delivery.outgoing(self._clock.now_s())))
        while frames:
            group = [(b"edge", frame) for frame in frames]
            answers = self._timed("store", receiver.handle, group, self.intake, self.store, Tally())
            for _, answer in answers:
                self._timed("seal", self.seal.delivery.incoming, answer)
            frames = self._timed("seal", lambda: list(self.seal.delivery.outgoing(self._clock.now_s())))


def measured(sets: list[str]) -> tuple[dict[str, float], Chain]:
    """Return (core ns an event by stage, the chain) of one run."""
    with tempfile.TemporaryDirectory(prefix="footfall-") as folder:
        chain = Chain("city", sets, Path(folder))
        return chain.run(), chain


def pipeline(small: bool) -> dict[str, Any]:
    """Return what one event costs at each stage; busy hours of the city, or of a tenth of it."""
    sets = ["world.handsets=4000", "world.hours=1"] if small else ["world.handsets=100000", "world.hours=3"]
    cost, chain = measured([*sets, "world.start=2026-05-12T15:00"])
    return {"core_ns_per_event": cost, "events_per_s": 1e9 / cost["total"], "events": chain.events}


def growth(small: bool) -> dict[str, Any]:
    """Return the exponents of the total core time: with handsets, and with cells for the same handsets."""
    handsets = (1_000, 4_000) if small else (10_000, 100_000, 1_000_000)
    rings = (2, 4) if small else (2, 7, 23)  # 1 + 3 r (r + 1) sites of 6 cells: 114, 1,014 and 9,942
    base = ["world.start=2026-05-12T15:00", "world.hours=0.5" if small else "world.hours=1"]
    found: dict[str, Any] = {"handsets": [], "cells": []}
    for count in handsets:
        cost, chain = measured([*base, f"world.handsets={count}"])
        found["handsets"].append((count, chain.events, cost["total"]))
    for count in rings:
        reach = max(1, round(count / 2.15))  # areas of 1 km2 under all sites
        sets = [
            f"layout.rings={count}",
            "layout.zones=[]",
            f"areas.rings={reach}",
            f"world.handsets={handsets[1]}",
        ]
        cost, chain = measured([*base, *sets])
        found["cells"].append((len(chain.stage.plan), chain.events, cost["total"]))
    exponent = {
        "handsets": slope([(n, events * cost) for n, events, cost in found["handsets"]]),
        "cells": slope([(n, cost) for n, _, cost in found["cells"]]),
    }
    return {"exponent": exponent, "world_bytes_per_handset": HANDSET.itemsize, "points": found}


def slope(points: list[tuple[float, float]]) -> float:
    """Return the exponent of the power law through points, by least squares of the logarithms."""
    x, y = np.log(np.array(points)).T
    return float(np.polyfit(x, y, 1)[0])


BENCHMARKS: dict[str, Callable[[bool], dict[str, Any]]] = {"pipeline": pipeline, "growth": growth}
