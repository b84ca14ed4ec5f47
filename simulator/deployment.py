"""All processes of a run: checked before the first one starts, supervised, told to the judge when done."""

import re
import shutil
import tempfile
from collections import namedtuple
from collections.abc import Callable
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import receiver, stores
from collector.edge import agent, collect, crowd, ledger, resolve, scheme, sealer, slots
from collector.edge.metrics.presence import DAY_MAX_S
from collector.edge.tables import Table
from probe.base import clock, config, plugins
from probe.probe import ProbeSettings
from probe.register import NEVER_MS, Register
from probe.wire import cells, epochs, release
from simulator import population, processes, tap, traffic, truth
from simulator.layouts.complete import complete
from simulator.scenario import load

RUN_FILE = re.compile(r"run\.json(\.new)?|plan\.csv|areas(\.\w+)?\.geojson|map\.html|logs|"
                      r"(spool|store|truth|judge)\.db(-wal|-shm|-journal)?")
CELLS_MAX = (release.SIZE_MAX - 1_024) // 8  # of a table: what a release holds beside its statement
SLOT_S, DRAIN_S = 900, 2.0  # the drain: after Ctrl-C, for what is under way at each stage
SECTIONS = {"traffic": traffic.TrafficSettings, "probe": ProbeSettings, "collector": collect.CollectorSettings,
            "slots": slots.SlotSettings, "privacy": ledger.PrivacySettings}


class Stage(namedtuple("Stage", "scenario persons collector slots privacy scheme statements plan report")):
    """A scenario whose every section has been checked, and the network that it gives.

    persons: how many people live in it; collector, slots and privacy are settings; scheme: what is counted where;
    statements: what each of its tables promises; report says what of the plan was imputed and dropped.
    """

    @property
    def extrapolation(self) -> float:
        """Return for how many people one counted handset stands, by the scenario's own shares."""
        people, privacy = self.scenario.population, self.privacy
        counted = people.counted(privacy.purpose, privacy.basis) @ population.AGE_SHARES
        counted *= self.scenario.handsets * (1 - people.minor_share)
        return self.persons / counted if counted else 1.0

    def privacy_spent(self) -> dict[str, Any]:
        """Return what a local day, a week, 28 days cost a subscriber at most, by what every release states."""
        spent, privacy = ledger.spent(self.statements), self.privacy
        over = {name: {"rho": float(rho), "epsilon_at_1e_6": ledger.epsilon(rho)} for name, rho in spent.items() if rho}
        return {"basis": privacy.basis, "purpose": privacy.purpose, "unit": "subscriber-day",
                "rho_day": float(privacy.rho_day), **over.get("day", {}), "over": over, "seeded": True}


    @cached_property
    def hits(self) -> dict[str, list[list[float]]]:
        """Return what share of a fix lies where a person stands, by area set: in the area, and in a wider zone."""
        counted, names = self.scheme, list(self.scenario.sets)
        locator = plugins.settings("footfall.locators", "collector", {"kind": self.collector.locator})
        locator = locator.build(self.plan, counted.pieces)
        grade = self.scenario.probe.get("grade", "trace")
        with processes.uninterrupted():  # the compiler takes an interrupt for its own, or loses it
            return {name: [resolve.hits(self.plan, counted.pieces, of, locator, grade).round(3).tolist()
                           for of in (rows, zone_of[rows])[: 1 + (int(zone_of.max()) + 1 < len(zone_of))]]
                    for name, rows, zone_of in zip(names, counted.rows, counted.zones, strict=True)}

    def hits_of(self, table: Table) -> list[float]:
        """Return those of a table: by zone where it tells no areas."""
        hits = self.hits[table.name.partition("@")[2]]
        return hits[0] if len(hits[0]) in map(len, table.axes.values()) else hits[-1]

    def costs(self) -> list[str]:
        """Return in words what each second area set costs, for before the run."""
        second = list(self.scenario.sets.items())[1:]
        return [resolve.cost(name, own, self.scheme.pieces, {table.name: table.cells for table in tables},
                             float(sum(self.privacy.share(table.name) for table in tables
                                       if table.metric.span != "week")), crowd.DAY.itemsize)
                for (name, own), tables in zip(second, self.scheme.tables[1:], strict=True)]


def checked(name_or_path: str, sets: list[str]) -> Stage:
    """Return the stage of a scenario, or raise ConfigError with every problem of every room at once."""
    problems: list[str] = []
    scenario = load(name_or_path, sets, problems)
    sound = not problems

    def attempt(place: str, do: Callable, *given) -> Any:
        try:
            return do(*given)
        except config.ConfigError as error:
            file = f"{error.where}: " if Path(error.where).suffix and "footfall." not in error.where else ""
            problems.extend(f"{place} {file}{problem}" for problem in error.problems)

    given = {**scenario._asdict(), "slots": {**scenario.slots, "zone": scenario.world.zone}}
    if "zone" in scenario.slots:
        problems.append("[slots] zone: is that of [world]; set world.zone")
    if scenario.slots.get("slot_s", SLOT_S) != SLOT_S:
        problems.append(f"[slots] slot_s = {scenario.slots['slot_s']}: the truth of a world is kept by 900 s; use that")
    days = clock.midnights_ms(scenario.start_ms, scenario.end_ms, scenario.world.zone)
    if any(end - begin > DAY_MAX_S * clock.SECOND_MS for begin, end in pairwise(days)):
        problems.append("[world] zone: has a day of more than 25 hours in this time; no bound is proven for it")
    found = {name: attempt(f"[{name}]", config.parse, kind, name, given[name]) for name, kind in SECTIONS.items()}
    if found["collector"]:
        attempt("[collector] locator:", plugins.load, "footfall.locators", found["collector"].locator)
    attempt("[propagation]", plugins.settings, "footfall.propagation", "propagation", scenario.propagation)
    areas = sound and attempt("[areas]", lambda: (scenario.areas, scenario.handsets))
    counted, stated = None, None
    if areas and found["slots"] and found["collector"]:
        grid = attempt("[slots]", slots.Slots, found["slots"], scenario.start_ms)
        counted = grid and attempt("[collector]", scheme.read, scenario.sets, found["collector"].tables, grid,
                                   scenario.end_ms)
    if counted:
        if all(table.name != "presence" for table in counted.every()):
            problems.append('[collector] tables: needs "presence": the map and the judge rest on it; add it')
        remedy = "counts over a week, and the run has none; begin at midnight and give it --days 7"
        problems += [f'[collector] tables: "{table.name}" {remedy}' for table in counted.every()
                     if table.metric.span == "week" and not table.span_slots]
        remedy = f"and a release holds {CELLS_MAX:,}; use fewer areas, or leave it out"
        problems += [f'[collector] tables: "{table.name}" has {table.cells:,} cells, {remedy}'
                     for table in counted.every() if table.cells > CELLS_MAX]
        stated = found["privacy"] and attempt("[privacy]", ledger.budget, found["privacy"], scheme.sealed(counted))
    layout = attempt("[layout]", lambda: plugins.build(plugins.settings("footfall.layouts", "layout", scenario.layout)))
    made = attempt("[layout]", complete, layout, areas[0].frame) if areas and layout is not None else ()
    if made and not made[0].serving().any():
        problems.append("[layout] no cell serves: handsets attach to LTE cells, and not to band B32")
    if problems:
        raise config.ConfigError(f"scenario {scenario.name}", problems)
    persons = population.persons_of(scenario.handsets, scenario.population.share)
    return Stage(scenario, persons, found["collector"], found["slots"], found["privacy"], counted, stated, *made)


def fresh(out: Path, force: bool) -> Path:
    """Return an empty folder at out; an earlier run there is replaced only by force, anything else never.

    A run holds run.json and nothing that no run leaves.
    """
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            if not (out / "run.json").exists() or any(not RUN_FILE.fullmatch(path.name) for path in out.iterdir()):
                raise config.ConfigError("--out", [f"{out} is not empty and holds no run; name a new or empty folder"])
            if not force:
                raise config.ConfigError("--out", [f"{out} holds a run; name a new folder, or --force to replace it"])
            shutil.rmtree(out)
        (out / "logs").mkdir(parents=True)
    except OSError as error:
        raise config.ConfigError("--out", [f"{out}: {error.strerror}; name a folder that can be written"]) from None
    return out


def outside(folder: Path, out: Path) -> Path:
    """Return a folder of subscribers, or say that it lies where a run is to be, or the run in it."""
    for option, inner, outer in (("--subscribers", folder, out), ("--out", out, folder)):
        if outer.resolve() in (inner.resolve(), *inner.resolve().parents):
            raise config.ConfigError(option, [f"{inner} lies within {outer}; a run is given to others; name another"])
    return folder


def registered(stage: Stage, folder: Path) -> Register:
    """Return the register of a world, made where the folder is new; ConfigError where it is that of another."""
    one = stage.scenario
    people = population.country(one.areas, one.population)
    rows = population.subscribers(people, one.world.seed, one.handsets, one.population)
    return Register.create(folder, rows, one.world.zone, one.start_ms)


class Deployment:
    """One run: S worlds, S edge workers, a sealer and a store, each a process of its own.

    subscribers : folder of the register, kept; None = one of this run alone, deleted at its end
    """

    def __init__(self, stage: Stage, out: Path, shards=1, address="tcp://127.0.0.1:*", speed=0.0,
                 subscribers: Path | None = None):
        self.stage, self.scenario, self.out, self.subscribers = stage, stage.scenario, out, subscribers
        self.shards, self.address, self.speed = shards, address, speed
        self.worlds, self.workers = ([f"{name}-{shard}" for shard in range(shards)] for name in ("world", "edge"))
        self.processes = processes.Processes(out / "logs")

    def write_inputs(self, private: Path) -> None:
        """Write plan.csv and areas.geojson; subscribers and epochs go to a private folder outside of the run."""
        (self.out / "plan.csv").write_text(cells.to_csv(self.stage.plan), encoding="utf-8")
        for name, path in self.area_paths().items():
            Path(path).write_text(self.scenario.area_texts[name][0], encoding="utf-8")
        self.write_epochs(private, registered(self.stage, self.register_folder(private)))

    def register_folder(self, private: Path) -> Path:
        """Return where the register lies."""
        return self.subscribers or private / "register"

    def write_epochs(self, private: Path, register: Register) -> None:
        """Write who may be counted from when on: the epochs of each shard, one a slot; its windows for the judge.

        windows.npy : i8[n, 3] person, from, until, ms since the start, of whom the answer changes; others' is that
                      of the file.  What people of this world say while it lasts is not in the register.
        """
        one, privacy, start_ms = self.scenario, self.stage.privacy, self.scenario.start_ms
        agreed, slot_ms = (privacy.purpose, privacy.basis), SLOT_S * clock.SECOND_MS
        also = population.changes(register.rows, one.world.seed, one.population, start_ms, one.end_ms, one.world.zone)
        begins_ms = [start_ms, *range(start_ms - start_ms % slot_ms + slot_ms, one.end_ms, slot_ms), one.end_ms]
        for shard in range(self.shards):
            frames = register.epochs(*agreed, begins_ms, shard, self.shards, also)
            tap.epochs_path(private, shard).write_bytes(epochs.bundle(frames))
        found = register.windows(*agreed, start_ms, also)
        until_ms = np.where(found["until_ms"] == NEVER_MS, NEVER_MS, found["until_ms"] - start_ms)
        windows = found["person"].astype("i8"), found["from_ms"] - start_ms, until_ms
        np.save(private / "windows.npy", np.stack(windows, axis=1))
        no = found["until_ms"] < one.end_ms
        yes = ~no & (found["until_ms"] == NEVER_MS) & (found["from_ms"] < one.end_ms)
        self.consent = {"agreed_share_by_age": one.population.agreed(privacy.purpose).tolist(),
                        "changes": {"yes": int(yes.sum()), "no": int(no.sum())}}

    def area_paths(self) -> dict[str, str]:
        """Return the file of each area set in the run, by name."""
        return {name: str(self.out / f"areas{name and '.'}{name}.geojson") for name in self.scenario.sets}

    def run(self, progress: Callable[[int, int], None]) -> dict[str, Any]:
        """Run all processes to their end and return what they reported; leave nothing running.

        progress(simulated_ms, events) is called a few times a second.
        """
        private, now_s = Path(tempfile.mkdtemp(prefix="footfall-")), clock.WallClock.now_s  # 0700
        begin_s, running, start_ms = now_s(), self.processes, self.scenario.start_ms

        def tell() -> None:
            words = [running.said[name] for name in self.worlds]
            said = [one.get("done") or one.get("progress") or {"time_ms": start_ms, "events": 0} for one in words]
            progress(min(one["time_ms"] for one in said) - start_ms, sum(one["events"] for one in said))

        try:
            self.write_inputs(private)
            self._start(private)
            start_s = now_s()
            running.until("done", [*self.worlds, *self.workers, "sealer"], tell)
            tell()
            running.pipes["store"].send(("stop",))  # the store is the last to go
            running.until("done", ["store"])
            end_s = now_s()
        except KeyboardInterrupt:  # what is under way arrives: the worlds stop, the edge seals, the store commits
            for names in (self.worlds, self.workers, ["sealer"], ["store"]):
                running.stop(names, DRAIN_S)
            raise
        finally:
            running.end()
            shutil.rmtree(private, ignore_errors=True)
        done = {name: said["done"] for name, said in running.said.items()}
        return {"worlds": [done[name] for name in self.worlds], "workers": [done[name] for name in self.workers],
                **done, "consent": self.consent, "wall_s": end_s - begin_s, "simulated_s": end_s - start_s}

    def _start(self, private: Path) -> None:
        """Start everything; a second shard once the first has compiled: nothing is compiled twice."""
        running, start, pairs = self.processes, self.processes.start, [*zip(self.worlds, self.workers, strict=True)]
        a_world, an_edge, a_sealer, a_store = self.told(private)

        def ready(*names: str) -> str:
            running.until("ready", names)
            return running.said[names[0]]["ready"].get("endpoint", "")

        start("world-0", "simulator.tap:world_main", a_world)
        start("store", "collector.centre.receiver:store_main", a_store)
        start("sealer", "collector.edge.sealer:sealer_main", a_sealer._replace(store_endpoint=ready("store")))
        an_edge = an_edge._replace(sealer_endpoint=ready("sealer"))
        for shard, (world, worker) in enumerate(pairs):
            if shard:
                start(world, "simulator.tap:world_main", a_world._replace(shard=shard))
            start(worker, "collector.edge.agent:worker_main", an_edge._replace(worker=shard))
            if not shard:
                ready(worker, world)
        ready(*self.workers, *self.worlds)
        for world, worker in pairs:
            running.pipes[world].send(("start", {"endpoint": ready(worker)}))

    def told(self, private: Path) -> tuple[Any, ...]:
        """Return what a world, an edge worker, the sealer and the store are told: the first shard, no endpoint yet.

        The run is a seeded simulation, so the judge may see the sealer's tallies.
        """
        one, grid, privacy, counted = self.scenario, self.stage.slots, self.stage.privacy, self.stage.scheme
        zone, agreed, out = one.world.zone, (privacy.purpose, privacy.basis), str(self.out)
        first, until = (ms // (grid.slot_s * clock.SECOND_MS) for ms in (one.start_ms, one.end_ms))
        tables = scheme.sealed(counted)
        expected = [stores.Registered(
            1, table.number, table.name, its.span, its.value_unit, grid.slot_s, first, until,
            grid.lateness_s + grid.slot_s * (table.metric.source in ("steps", "trips")), zone, its.axes,
            list(table.axes.items()), self.stage.hits_of(table))
            for table, its in zip(counted.every(), tables, strict=True)]
        views = truth.views(one.sets, {its.name: (its.span, its.cells) for its in tables})
        known = str(self.register_folder(private) / "subscribers")
        settle_ms = (grid.lateness_s + grid.slot_s) * clock.SECOND_MS  # until the last slot of steps is closed
        edge: dict[str, Any] = {"zone": zone, "start_ms": one.start_ms, "until_ms": one.end_ms,
                                "seed": one.world.seed, "slots": one.slots, "workers": self.shards}
        return (tap.WorldConfig(one, f"{out}/plan.csv", 0, self.shards, *agreed, self.speed, settle_ms, views,
                                str(private)),
                agent.WorkerConfig(f"{out}/plan.csv", self.area_paths(), known, "", *agreed,
                                   worker=0, probe=one.probe, collector=one.collector, **edge),
                sealer.SealerConfig(f"{out}/spool.db", "", tables=tables, privacy=one.privacy,
                                    judge_path=f"{out}/judge.db", **edge),
                receiver.StoreConfig({"kind": "sqlite", "path": f"{out}/store.db"}, expected, self.address))
