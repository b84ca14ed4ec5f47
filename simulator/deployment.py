"""All processes of a run: checked before the first one starts, supervised, told to the judge when done."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from collector.centre.receiver import StoreConfig
from collector.centre.stores import Registered
from collector.edge.agent import WorkerConfig
from collector.edge.collect import CollectorSettings
from collector.edge.ledger import PrivacySettings, promise
from collector.edge.metrics.presence import DAY_MAX_S, UNITS, Presence
from collector.edge.sealer import SealerConfig
from collector.edge.slots import SlotSettings
from probe.base import plugins
from probe.base.clock import SECOND_MS, WallClock
from probe.base.config import ConfigError, parse
from probe.base.process import loopback
from probe.probe import ProbeSettings
from probe.wire import cells, subscribers
from simulator import population
from simulator.layouts.complete import complete
from simulator.processes import Processes
from simulator.scenario import Scenario
from simulator.tap import WorldConfig
from simulator.traffic import TrafficSettings

DRAIN_S = 4.0  # after Ctrl-C, for what is under way
SUBSCRIBERS = "subscribers.bin"


@dataclass(frozen=True)
class Stage:
    """A scenario whose every section has been checked, and the network that it gives."""

    scenario: Scenario
    probe: ProbeSettings
    collector: CollectorSettings
    slots: SlotSettings
    privacy: PrivacySettings

    @cached_property
    def layout(self):
        """Return (plan, report of what was imputed and dropped)."""
        settings: Any = plugins.settings("footfall.layouts", "layout", self.scenario.layout)
        return complete(settings.build(), self.scenario.areas.frame)

    @property
    def plan(self) -> cells.Plan:
        """Return the plan that the edge is given."""
        return self.layout[0]

    @property
    def persons(self) -> int:
        """Return how many people live in this world."""
        return population.persons_of(self.scenario.handsets, self.scenario.population.share)

    @property
    def promise(self):
        """Return the statement that every release of presence carries."""
        slot_s = self.slots.slot_s
        return promise(self.privacy, Presence.name, slot_s, DAY_MAX_S // slot_s, SECOND_MS * UNITS)

    @property
    def extrapolation(self) -> float:
        """Return for how many people one counted handset stands, by the scenario's own shares."""
        people = self.scenario.population
        agreed = people.consent_share if self.privacy.basis == "consent" else 1.0
        counted = self.scenario.handsets * (1 - people.minor_share) * agreed
        return self.persons / counted if counted else 1.0


@contextmanager
def collecting(problems: list[str], place: str) -> Iterator[None]:
    """Add the problems of a ConfigError to a list, each with its place, and go on."""
    try:
        yield
    except ConfigError as error:
        problems += [f"{place}{problem}" for problem in error.problems]


def checked(scenario: Scenario) -> Stage:
    """Return the stage, or raise ConfigError with every problem of every room at once."""
    problems: list[str] = []
    found: dict[str, Any] = {}
    for name, settings_type, mapping in (
        ("probe", ProbeSettings, scenario.probe),
        ("collector", CollectorSettings, scenario.collector),
        ("slots", SlotSettings, {"zone": scenario.world.zone, **scenario.slots}),
        ("privacy", PrivacySettings, scenario.privacy),
        ("traffic", TrafficSettings, scenario.traffic),
    ):
        with collecting(problems, f"[{name}] "):
            found[name] = parse(settings_type, name, mapping)
    locator = found["collector"].locator if "collector" in found else "ranges"
    with collecting(problems, "[collector] locator: "):
        plugins.load("footfall.locators", locator)
    with collecting(problems, "[propagation] "):
        plugins.settings("footfall.propagation", "propagation", scenario.propagation)
    with collecting(problems, "[areas] "):
        _ = scenario.handsets, scenario.areas
    found.pop("traffic", None)
    if problems:
        with collecting(problems, "[layout] "):
            layout: Any = plugins.settings("footfall.layouts", "layout", scenario.layout)
            layout.build()
        raise ConfigError(f"scenario {scenario.name}", problems)
    stage = Stage(scenario, **found)
    with collecting(problems, "[layout] "):
        if not stage.plan.serving().any():
            problems.append("[layout] no cell serves: handsets attach to LTE cells, and not to band B32")
    if problems:
        raise ConfigError(f"scenario {scenario.name}", problems)
    return stage


def fresh(out: Path, force: bool) -> Path:
    """Return an empty folder at out; an earlier run there is replaced only by force, anything else never."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out.is_dir() and (out / "run.json").exists()):
            raise ConfigError("--out", [f"{out} is not empty and holds no run; name a new or empty folder"])
        if not force:
            raise ConfigError("--out", [f"{out} holds a run; name a new folder, or --force to replace it"])
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    return out


class Deployment:
    """One run: S worlds, S edge workers, a sealer and a store, each a process of its own."""

    def __init__(self, stage: Stage, out: Path, shards: int, address: str, speed: float = 0.0):
        self.stage, self.out, self.shards, self.speed = stage, out, shards, speed
        self.address = loopback(address)
        self.start_ms, self.end_ms = stage.scenario.start_ms, stage.scenario.end_ms
        self.worlds = [f"world-{shard}" for shard in range(shards)]
        self.workers = [f"edge-{shard}" for shard in range(shards)]
        self._clock = WallClock()
        (out / "logs").mkdir()
        self.processes = Processes(out / "logs")

    def write_inputs(self, private: Path) -> None:
        """Write plan.csv and areas.geojson; the subscribers go to a folder outside of the run."""
        scenario, stage = self.stage.scenario, self.stage
        (self.out / "plan.csv").write_text(cells.to_csv(stage.plan), encoding="utf-8")
        (self.out / "areas.geojson").write_text(scenario.area_text, encoding="utf-8")
        people = population.country(scenario.areas, scenario.population)
        rows = population.subscribers(people, scenario.world.seed, scenario.handsets, scenario.population)
        known = subscribers.Subscribers(0, rows)
        with open(os.open(private / SUBSCRIBERS, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(subscribers.encode(known))

    def run(self, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Run all processes to their end and return what they reported; leave nothing running.

        progress(simulated_ms, events) is called a few times a second.
        """
        private = Path(tempfile.mkdtemp(prefix="footfall-"))  # 0700
        began_s = self._clock.now_s()
        try:
            self.write_inputs(private)
            self._start(private)
            started_s = self._clock.now_s()
            self._supervise(progress)
            now_s = self._clock.now_s()
            return {**self._reports(), "wall_s": now_s - began_s, "simulated_s": now_s - started_s}
        except KeyboardInterrupt:
            self._drain()
            raise
        finally:
            self.processes.end()
            shutil.rmtree(private, ignore_errors=True)

    def _start(self, private: Path) -> None:
        """Start everything; a second shard once the first has compiled: nothing is compiled twice."""
        processes = self.processes

        def ready(*names: str) -> None:
            processes.until(lambda child: child.ready is not None, list(names))

        def endpoint_of(name: str) -> str:
            return processes.children[name].ready["endpoint"]  # type: ignore[index]

        def start_worker(worker: int) -> None:
            config = self.worker_config(worker, private, endpoint_of("sealer"))
            processes.start(self.workers[worker], "collector.edge.agent:worker_main", config)

        def start_world(shard: int) -> None:
            processes.start(self.worlds[shard], "simulator.tap:world_main", self.world_config(shard))

        start_world(0)
        processes.start("store", "collector.centre.receiver:store_main", self.store_config())
        ready("store")
        sealer = self.sealer_config(endpoint_of("store"))
        processes.start("sealer", "collector.edge.sealer:sealer_main", sealer)
        ready("sealer")
        start_worker(0)
        ready("edge-0", "world-0")
        for shard in range(1, self.shards):
            start_world(shard)
            start_worker(shard)
        ready(*self.workers, *self.worlds)
        for world, worker in zip(self.worlds, self.workers, strict=True):
            processes.children[world].pipe.send(("start", {"endpoint": endpoint_of(worker)}))

    def world_config(self, shard: int) -> WorldConfig:
        """Return what a world is told."""
        privacy = self.stage.privacy
        return WorldConfig(
            scenario=self.stage.scenario,
            plan_path=str(self.out / "plan.csv"),
            shard=shard,
            shards=self.shards,
            purpose=privacy.purpose,
            basis=privacy.basis,
            speed=self.speed,
            lateness_ms=self.stage.slots.lateness_s * SECOND_MS,
        )

    def worker_config(self, worker: int, private: Path, sealer_endpoint: str) -> WorkerConfig:
        """Return what an edge worker is told."""
        scenario, privacy = self.stage.scenario, self.stage.privacy
        return WorkerConfig(
            plan_path=str(self.out / "plan.csv"),
            areas_path=str(self.out / "areas.geojson"),
            subscribers_path=str(private / SUBSCRIBERS),
            sealer_endpoint=sealer_endpoint,
            purpose=privacy.purpose,
            basis=privacy.basis,
            zone=scenario.world.zone,
            start_ms=self.start_ms,
            until_ms=self.end_ms,
            worker=worker,
            workers=self.shards,
            seed=scenario.world.seed,
            probe=scenario.probe,
            collector=scenario.collector,
            slots=scenario.slots,
        )

    def sealer_config(self, store_endpoint: str) -> SealerConfig:
        """Return what the sealer is told."""
        scenario = self.stage.scenario
        return SealerConfig(
            spool_path=str(self.out / "spool.db"),
            store_endpoint=store_endpoint,
            workers=self.shards,
            axes=scenario.areas.digest,
            rows=len(scenario.areas.area_id),
            zone=scenario.world.zone,
            start_ms=self.start_ms,
            until_ms=self.end_ms,
            slots=scenario.slots,
            privacy=scenario.privacy,
            seed=scenario.world.seed,
            judge_path=str(self.out / "judge.db"),
        )

    def store_config(self) -> StoreConfig:
        """Return what the store is told."""
        areas, slots = self.stage.scenario.areas, self.stage.slots
        expected = Registered(
            probe=1,
            table=Presence.table,
            name=Presence.name,
            slot_s=slots.slot_s,
            first_slot=self.start_ms // (slots.slot_s * SECOND_MS),
            until_slot=self.end_ms // (slots.slot_s * SECOND_MS),
            lateness_s=slots.lateness_s,
            zone=self.stage.scenario.world.zone,
            axes=areas.digest,
            areas=[list(pair) for pair in zip(areas.area_id, areas.name, strict=True)],
        )
        store = {"kind": "sqlite", "path": str(self.out / "store.db")}
        return StoreConfig(store, [expected], self.address)

    def _supervise(self, progress: Callable[[int, int], None]) -> None:
        """Listen until all work is done; the store is the last to go."""
        children = self.processes.children

        def tell() -> None:
            said = [children[name].done or children[name].progress for name in self.worlds]
            time_ms = min(one.get("time_ms", self.start_ms) for one in said)
            progress(time_ms - self.start_ms, sum(one.get("events", 0) for one in said))

        self.processes.until(
            lambda child: child.done is not None, [*self.worlds, *self.workers, "sealer"], tell
        )
        tell()
        children["store"].pipe.send(("stop",))
        self.processes.until(lambda child: child.done is not None, ["store"])

    def _drain(self) -> None:
        """Let what is under way arrive: the worlds stop, the edge seals what is due, the store commits."""
        for names in (self.worlds, self.workers, ["sealer"], ["store"]):
            self.processes.stop([name for name in names if name in self.processes.children], DRAIN_S / 2)

    def _reports(self) -> dict[str, Any]:
        done = {name: child.done for name, child in self.processes.children.items()}
        return {
            "worlds": [done[name] for name in self.worlds],
            "workers": [done[name] for name in self.workers],
            "sealer": done["sealer"],
            "store": done["store"],
        }
