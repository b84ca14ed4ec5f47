"""The judge: estimate held against truth, and each error named by what it is held against.

noise: release - tally before noise.  place: tally - truth of the people counted, what the caps cut with it.
total: published and extrapolated - truth of everyone.  All relative (of counts: to one at
least), by cell and period, over what is published (noisy sum at the threshold or above) and not warming up;
the share that is published is of all that was due.
bias: the place error with its sign, of the sum over areas (elsewhere left out) and all that is stored.
fix: the point of a fix - where the handset truly was, in metres.
sensing gap: what no network could see with these timers and this grade, of person-time and of visits.
"""

import sqlite3
from collections import namedtuple
from contextlib import closing
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import estimate, questions
from collector.edge.locators.fixes import FIX, NONE
from collector.edge.metrics import TALLY_UNITS
from probe.base import clock, plugins
from probe.wire.areas import ELSEWHERE
from probe.wire.observations import NO_RSRP, NO_TA, OBSERVATION
from simulator import population, truth
from simulator.kernels import visits
from simulator.world import Batch, World, place_of

JUDGED_SHARDS = 32  # the judge lives through 2 of the 64 buckets again, beside the truth
CONTENTS = ("cell", "ta", "ta_levels", "levels")
STAYS, STAY_MS = ("pass-by", "2-5", "5-15", "15-60", "60+"), visits.LEVEL_MS[:4]  # minutes; where a next one begins
PERSON_SHIFT = 36  # bits of a time since the start of a run: two years
CONTENT_OF = np.array([0, 1, 3, 2])  # row of CONTENTS, by timing + 2 * levels
SIGNED = ("stay", "role", "direction", "age", "gender", "days")  # axes whose rows a bias moves people between


class Counts(namedtuple("Counts", "span_ms warming sigma released tally everyone counted averaged times",
                        defaults=[1])):
    """A table by whole period of a level, and cell (elsewhere left out): person-seconds, or how many.

    span_ms : i8[periods, 2], when each begins and ends;  warming : bool[periods];  sigma : f8[periods]
    released, tally, everyone, counted : f8[periods, cells]; the last two are the truth; NaN = not stored, not known
    averaged : whether it is person-seconds;  times : how often one person counts in a sum at most, f8[periods] or 1
    """

    @property
    def one(self) -> np.ndarray:
        """Return f8[periods, 1]: what one person comes to who is there throughout, or counts once."""
        return np.diff(self.span_ms) / clock.SECOND_MS if self.averaged else np.ones((len(self.span_ms), 1))

    def shown(self) -> np.ndarray:
        """Return bool[periods, cells]: whether the noisy sum is published, of counted handsets."""
        return self.released >= estimate.least(self.one.T * self.times, self.sigma).T


class Judged(namedtuple("Judged", "axes levels bias", defaults=[None])):
    """A table of a run: names of its axes, {level: Counts}, the finest first, and the bias by row of SIGNED axes."""

    @property
    def level(self) -> str:
        """Return the level that it is told at in a word: by hour, or what it is counted over."""
        return "hour" if "hour" in self.levels else next(iter(self.levels))

    def errors(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the errors by level.  A table that knows a class speaks of adults: minors have none."""
        adults = {"age", "gender"} & {*self.axes}
        factor = run["extrapolation_adults" if adults else "extrapolation"]
        return {level: errors(counts, factor) for level, counts in self.levels.items()}


def read(run: Path, elsewhere: bool = False) -> dict[str, Judged]:
    """Return what a run directory holds of every table by name, from its store, its judge and its truth."""
    store, folder = questions.opened(run)
    with (closing(store), closing(sqlite3.connect(folder / "judge.db")) as judge,
          closing(sqlite3.connect(folder / "truth.db")) as truth):
        every = store.registered()
        return {name: table(store, [one for one in every if one.name == name], judge, truth, elsewhere)
                for name in dict.fromkeys(one.name for one in every)}


def table(store, expected: list, judge: sqlite3.Connection, truth: sqlite3.Connection, elsewhere: bool) -> Judged:
    """Return one table at every level; a cell with `elsewhere` on an axis is left out unless it is asked for."""
    first, slots = expected[0], questions.load(store, expected)
    its = [np.array([elsewhere or row[0] != ELSEWHERE for row in rows]) for _, rows in first.axes]
    kept = reduce(np.logical_and.outer, its)

    def dense(db: sqlite3.Connection, columns: str, unit: int) -> np.ndarray:
        """Return f8[columns, spans, cells] of a table without its zeros; NaN where there is no such table."""
        found = np.zeros((columns.count(",") + 1, *slots.values.shape))
        try:
            lines = db.execute(f'SELECT slot, cell, {columns} FROM "{first.name}"').fetchall()
        except sqlite3.OperationalError:  # the truth does not know the tables of strangers
            return found + np.nan
        slot, cell, *values = np.array(lines, "i8").reshape(-1, 2 + len(found)).T
        found[:, np.searchsorted([*first.spans], slot), cell] = np.array(values) / unit
        return found

    tables = [np.where(slots.stored[:, None], slots.values, np.nan),
              *dense(judge, "tally", TALLY_UNITS.get(first.value_unit, 1)),
              *dense(truth, "everyone, counted", clock.SECOND_MS if first.averaged else 1)]
    tally, counted = (np.where(kept, of[slots.stored].sum(axis=0).reshape(first.shape), 0) for of in tables[1::2])
    across = {axis: tuple({*range(kept.ndim)} - {number}) for number, (axis, _) in enumerate(first.axes)}
    bias = {axis: {row[0]: share(ours - true, true) for row, ours, true in
                   zip(rows, tally.sum(axis=across[axis]), counted.sum(axis=across[axis]), strict=True)}
            for axis, rows in first.axes if axis in SIGNED}
    columns = np.concatenate(tables, axis=1)[:, np.tile(kept.ravel(), 4)]
    begin_ms, end_ms = (slot * first.slot_s * clock.SECOND_MS for slot in (first.first_slot, first.until_slot))

    def at(level: str) -> Counts:
        spans = clock.spans(level, begin_ms, end_ms, first.zone)
        parts = [slots._replace(values=columns).inside(*span) for span in spans]
        # Every local day has its warming hour: of a day that is a small part, and judged with it.
        warming = [level not in ("day", "week") and part.warming.any() for part in parts]
        total = np.array([part.values.sum(axis=0) for part in parts]).reshape(len(parts), columns.shape[1])
        released, tally, everyone, counted = np.split(total, 4, axis=1)
        sigma = np.array([np.sqrt((part.sigma**2).sum()) for part in parts])
        times = [1 if first.averaged else estimate.times_of(len(part.sigma), 1, int(slots.most.max()), end - begin)
                 for part, (begin, end) in zip(parts, spans, strict=True)]
        return Counts(np.array(spans, "i8").reshape(-1, 2), np.array(warming, bool), sigma,
                      released, tally, everyone, counted, first.averaged, np.array(times))

    levels = questions.LEVELS[questions.LEVELS.index(first.span) :]
    return Judged([axis for axis, _ in first.axes], {level: at(level) for level in levels}, bias)


def errors(counts: Counts, extrapolation: float) -> dict[str, Any]:
    """Return median and p95 of the three relative errors at a level, and how much was published."""
    settled, tally = ~counts.warming[:, None], counts.tally
    shown = settled & counts.shown()
    found: dict[str, Any] = {"periods": len(shown), "cells": int(settled.sum()) * shown.shape[1],
                             "published": int(shown.sum())}
    for name, guess, true in (("noise", counts.released, tally), ("place", tally, counts.counted),
                              ("total", counts.released * extrapolation, counts.everyone)):
        relative = np.abs((guess - true) / np.maximum(true, counts.one))[shown]  # where nobody was: against one person
        relative = relative[np.isfinite(relative)]
        found |= {f"{name}_median": quantile(relative, 0.5), f"{name}_p95": quantile(relative, 0.95)}
    due = np.where(np.isfinite(counts.released), tally, np.nan_to_num(counts.counted))  # the lost slots too
    return {**found, "published_share": float(due[counts.shown()].sum() / due.sum()) if due.sum() else None}


def sensing(run: Path, stage, seen: np.ndarray) -> dict[str, Any]:
    """Return the sensing gap: what part of the truth of the counted nothing was heard of.

    presence : share of person-time, elsewhere too, that is in no slot anywhere; presence_by_hour: [share] of the run
    visits   : by how many minutes they were, of a part of the world: their number, and the share without an event
    seen     : (subscriber, time_ms)[n] of all events of that part
    """
    hours = read(run, elsewhere=True)["presence"].levels["hour"]
    there, held = hours.counted.sum(axis=1), np.nan_to_num(hours.tally).sum(axis=1)
    one, grounds = stage.scenario, truth.views({"": stage.scenario.areas}, {})[0]
    people, seed = population.country(one.areas, one.population), one.world.seed
    known = population.subscribers(people, seed, one.handsets, one.population)
    counted = truth.counted_persons(known, stage.persons, stage.privacy.purpose, stage.privacy.basis)
    judged = population.shard_of(one.handsets, 0, JUDGED_SHARDS)
    of = truth.Truth(seed, people, grounds, one.start_ms, one.end_ms, one.world.zone)
    true = np.array([(person, *visit) for person in judged[counted[judged]].tolist() for visit in of.visits(person)
                     if visit[0] >= 0 and visit[1] <= one.end_ms - one.start_ms], "i8").reshape(-1, 3)
    who = known["person"][np.searchsorted(known["subscriber"], seen["subscriber"])].astype("i8")
    heard = np.sort((who << PERSON_SHIFT) + seen["time_ms"] - one.start_ms)
    first, until = (np.searchsorted(heard, (true[:, 0] << PERSON_SHIFT) + true[:, k]) for k in (1, 2))
    stay = np.searchsorted(STAY_MS, true[:, 2] - true[:, 1], "right")
    count, unseen = np.bincount(stay, minlength=5).tolist(), np.bincount(stay[first == until], minlength=5).tolist()
    return {"presence": share(sum(there - held), sum(there)), "presence_by_hour": [*map(share, there - held, there)],
            "visits": {name: {"visits": all_of, "unseen": share(its, all_of)}
                       for name, all_of, its in zip(STAYS, count, unseen, strict=True)}}


def relived(stage) -> tuple[dict[str, Any], np.ndarray]:
    """Return quantiles of the error of fixes in metres, over all and by what the events held; and who was heard when.

    The places of events never enter the edge: the judge makes the events of a part of the
    world anew, which a seed allows, locates them, and holds the points against where the
    handsets were; those of `serving_cell` beside them.  Levels are three cells heard or more.
    """
    locators, heard = [plugins.settings("footfall.locators", "collector", {"kind": name}).build(
        stage.plan, stage.scenario.areas) for name in (stage.collector.locator, "serving_cell")], []
    said: list[np.ndarray] = []

    def judge(batch: Batch) -> None:
        observations = np.zeros(len(batch.events), OBSERVATION)
        for name in set(OBSERVATION.names or ()) & set(batch.events.dtype.names or ()):
            observations[name] = batch.events[name]
        levels = (observations["rsrp"] != NO_RSRP).sum(axis=1) >= 3
        rows = [CONTENT_OF[(observations["ta"] != NO_TA) + 2 * levels]]
        for locator in locators:
            fixes = np.zeros(len(observations), FIX)
            locator.locate(observations, fixes)
            error_m = np.hypot(fixes["x_m"] - batch.x_m, fixes["y_m"] - batch.y_m)
            rows.append(np.where(fixes["content"] == NONE, np.nan, error_m))
        heard.append(np.stack(rows)[:, np.isfinite(rows).all(axis=0)])
        said.append(batch.events[["subscriber", "time_ms"]].copy())

    World(stage.scenario, place_of(stage.scenario, stage.plan), 0, JUDGED_SHARDS).run(judge)
    content, error_m, beside_m = np.concatenate(heard, axis=1)
    by_content = {name: {"events": int(of.sum()), "median": quantile(error_m[of], 0.5),
                         "serving_cell_median": quantile(beside_m[of], 0.5)}
                  for name, of in zip(CONTENTS, content == np.arange(4)[:, None], strict=True)}
    return {"median": quantile(error_m, 0.5), "p80": quantile(error_m, 0.8), "p95": quantile(error_m, 0.95),
            "by_content": by_content}, np.concatenate(said)


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole, None of nothing."""
    return float(part / whole) if whole > 0 else None


def quantile(values: np.ndarray, rank: float) -> float | None:
    """Return a quantile, None of nothing."""
    return float(np.quantile(values, rank)) if values.size else None
