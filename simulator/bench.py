"""Benchmarks: what a stage costs, and how the cost grows.  Core time, never wall time.

The whole chain runs in this process, with the batches of a run and without sockets: what a
socket costs is core time of the processes of `footfall run`, and told there.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import receiver
from collector.centre.intake import Intake
from collector.edge import agent, sealer, spool
from probe.base import plugins
from probe.base.clock import WallClock
from probe.base.tally import Tally
from probe.wire import events as wire
from simulator import tap
from simulator.deployment import Deployment, checked
from simulator.kernels.timeline import HANDSET
from simulator.report import STAGES
from simulator.world import Batch, World, place_of

BUSY, HALF_AN_HOUR = "world.start=2026-05-12T15:00", "world.hours=0.5"


class Chain:
    """World, edge and store one after the other in this process, each stage on its own stopwatch."""

    def __init__(self, name: str, sets: list[str], folder: Path):
        self.stage = stage = checked(name, sets)
        self._deployment, self._folder, self._spent_s = Deployment(stage, folder), folder, dict.fromkeys(STAGES, 0.0)
        self._deployment.write_inputs(folder)
        place, told = place_of(stage.scenario, stage.plan), self._deployment.store_config()
        tap.warm(self._deployment.world_config(0), place)
        self._clock, self._digest, self._world = WallClock(), stage.plan.digest(), World(stage.scenario, place)
        self._edge = agent.Work(self._deployment.worker_config(0, folder, ""), self._clock)
        settings: Any = plugins.settings("footfall.stores", "[store]", told.store)
        self._store = settings.build()
        self._store.register(told.registered)
        self._intake = Intake(told.registered, {1: self._store.known(1)})

    def run(self) -> dict[str, float]:
        """Let the hours pass; return core ns an event by stage."""
        with spool.opened(self._folder / "spool.db", bytes(16)) as kept:
            self._seal = sealer.Work(self._deployment.sealer_config("")._replace(judge_path=None), kept)
            self._timed("world", self._world.run, self._deliver)
            self._settle()
        self._store.close()
        report, spent_s = self._edge.report(), self._spent_s
        spent_s |= report["core_s"]
        spent_s["world"] = 2 * spent_s["world"] - sum(spent_s.values())  # the stopwatch of the world ran throughout
        self.events = report["account"]["offered"]
        cost = {name: 1e9 * one / max(self.events, 1) for name, one in spent_s.items()}
        return {**cost, "total": sum(cost.values())}

    def _timed(self, name: str, do: Callable, *given) -> Any:
        begin_s = self._clock.cpu_s()
        found = do(*given)
        self._spent_s[name] += self._clock.cpu_s() - begin_s
        return found

    def _deliver(self, batch: Batch) -> None:
        for rows, watermark_ms in tap.frames(batch):
            frame = self._timed("ship", wire.encode, wire.Batch(self._digest, watermark_ms, 0, rows))
            for partial in self._edge.take([frame]):
                self._timed("seal", self._seal.take, [partial])
                self._settle()

    def _settle(self) -> None:
        """Carry frames between edge and store until nothing is under way."""
        while frames := self._timed("seal", self._seal.delivery.outgoing, self._clock.now_s()):
            group = [(b"edge", frame) for frame in frames]
            for _, answer in self._timed("store", receiver.handle, group, self._intake, self._store, Tally()):
                self._timed("seal", self._seal.delivery.incoming, answer)


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
    handsets = (1_000, 4_000) if small else (10_000, 100_000, 1_000_000)
    rings = (2, 4) if small else (2, 7, 23)  # 1 + 3 r (r + 1) sites of 6 cells: 114, 1,014 and 9,942
    by_handsets, by_cells = [], []
    for count in handsets:
        cost, events, _ = measured(HALF_AN_HOUR, f"world.handsets={count}")
        by_handsets.append((count, events * cost["total"] / 1e9))
    for count in rings:  # with areas of 1 km2 under all sites
        cost, _, cells = measured(HALF_AN_HOUR, f"world.handsets={handsets[1]}", "layout.zones=[]",
                                  f"layout.rings={count}", f"areas.rings={max(1, round(count / 2.15))}")
        by_cells.append((cells, cost["total"]))
    exponent = {}
    for name, points in (("handsets", by_handsets), ("cells", by_cells)):  # a power law: the slope of the logarithms
        x, y = np.log(points).T
        exponent[name] = float(np.polyfit(x, y, 1)[0])
    return {"exponent": exponent, "world_bytes_per_handset": HANDSET.itemsize, "core_s": by_handsets,
            "core_ns_per_event": by_cells}


BENCHMARKS = {"pipeline": pipeline, "growth": growth}
