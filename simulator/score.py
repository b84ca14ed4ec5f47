"""The judge: estimate held against truth, and each error named by what it is held against.

noise: release - tally before noise.  place: tally - truth of the people counted, what the caps cut with it.
total: published and extrapolated - truth of everyone.  All relative (of counts: to one at
least), by cell and period, over what is published (noisy sum at the threshold or above) and not warming up;
the share that is published is of all that was due.
bias: the place error with its sign, of the sum over areas (elsewhere left out) and all that is stored.
refusals: what it costs that not everybody is counted, without noise or place: the truth of customers, as if all had
agreed, and of the counted, each extrapolated, against everyone.
fix: the point of a fix - where the handset truly was, in metres.
sensing gap: what no network could see with these timers and this grade, of person-time and of visits.
"""

import sqlite3
from collections import namedtuple
from contextlib import closing
from functools import reduce
from itertools import compress
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import estimate, questions
from collector.edge.locators.fixes import FIX, NONE
from collector.edge.metrics import AXES, TALLY_UNITS
from probe.base import clock, plugins
from probe.wire.areas import ELSEWHERE
from probe.wire.observations import NO_RSRP, NO_TA, OBSERVATION
from simulator import population, truth
from simulator.kernels import visits
from simulator.truth import COLUMNS
from simulator.world import Batch, World, place_of

JUDGED_SHARDS = 32  # the judge lives through 2 of the 64 buckets again, beside the truth
CONTENTS = ("cell", "ta", "ta_levels", "levels")
STAYS, STAY_MS = ("pass-by", "2-5", "5-15", "15-60", "60+"), visits.LEVEL_MS[:4]  # minutes; where a next one begins
PERSON_SHIFT = 36  # bits of a time since the start of a run: two years
CONTENT_OF = np.array([0, 1, 3, 2])  # row of CONTENTS, by timing + 2 * levels
# What the refusals cost is told of: table, level, axes kept.
REFUSED = ("presence", "hour", ("area",)), ("profile", "part", ("area",)), ("profile", "part", ("area", "age"))
GUESSES = ("customers", "counted", "weighed")
SIGNED = ("stay", "role", "direction", "age", "gender", "days")  # axes whose rows a bias moves people between


class Counts(namedtuple("Counts", "span_ms warming sigma released tally everyone customers counted averaged times",
                        defaults=[1])):
    """A table by whole period of a level, and cell (elsewhere left out): person-seconds, or how many.

    span_ms : i8[periods, 2], when each begins and ends;  warming : bool[periods];  sigma : f8[periods]
    released, tally : f8[periods, cells]; NaN = not stored
    everyone, customers, counted : f8[periods, cells], the truth; NaN = not known
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
    """A table of a run.

    axes: {axis: ids of its rows}, elsewhere left out;  levels: {level: Counts}, the finest first;  bias: by SIGNED axes
    """

    @property
    def level(self) -> str:
        """Return the level that it is told at in a word: by hour, or what it is counted over."""
        return "hour" if "hour" in self.levels else next(iter(self.levels))

    def factors(self, run: dict[str, Any], weighed: bool = True) -> np.ndarray:
        """Return f8[cells]: how many people one counted person stands for; of an age, where the table tells it.

        A table that knows a class speaks of adults: minors have none.
        """
        flat = run["extrapolation_adults" if {"age", "gender"} & {*self.axes} else "extrapolation"]
        by_age = run["extrapolation_by_age"] if weighed else {}
        each = [[by_age.get(row, flat) / flat if axis == "age" else 1.0 for row in rows]
                for axis, rows in self.axes.items()]
        return flat * reduce(np.multiply.outer, each, np.ones(())).ravel()

    def added(self, values: np.ndarray, kept: tuple[str, ...]) -> np.ndarray:
        """Return f8[periods, cells] with the axes that are not kept added up."""
        gone = tuple(i for i, axis in enumerate(self.axes, 1) if axis not in kept)
        total = values.reshape(len(values), *map(len, self.axes.values())).sum(axis=gone)
        return total.reshape(len(values), prod(total.shape[1:]))

    def errors(self, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the errors by level."""
        return {level: errors(counts, self.factors(run)) for level, counts in self.levels.items()}


def by_age(stage) -> dict[str, float]:
    """Return how many adults of an age one counted person of that age stands for, where anybody of that age agrees.

    What share of customers of an age is counted is known, and how many adults there are of it is public.
    """
    shares = stage.scenario.population.counted(stage.privacy.purpose, stage.privacy.basis).tolist()
    ages = [age for age, _ in AXES["age"].rows(None)]  # and, last, unknown
    return {age: stage.persons / (stage.scenario.handsets * its) for age, its in zip(ages, shares, strict=False) if its}


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
              *dense(truth, ", ".join(COLUMNS), clock.SECOND_MS if first.averaged else 1)]
    tally, counted = (np.where(kept, of[slots.stored].sum(axis=0).reshape(first.shape), 0) for of in tables[1::3])
    across = {axis: tuple({*range(kept.ndim)} - {number}) for number, (axis, _) in enumerate(first.axes)}
    bias = {axis: {row[0]: share(ours - true, true) for row, ours, true in
                   zip(rows, tally.sum(axis=across[axis]), counted.sum(axis=across[axis]), strict=True)}
            for axis, rows in first.axes if axis in SIGNED}
    columns = np.concatenate(tables, axis=1)[:, np.tile(kept.ravel(), 5)]
    begin_ms, end_ms = (slot * first.slot_s * clock.SECOND_MS for slot in (first.first_slot, first.until_slot))

    def at(level: str) -> Counts:
        spans = clock.spans(level, begin_ms, end_ms, first.zone)
        parts = [slots._replace(values=columns).inside(*span) for span in spans]
        # Every local day has its warming hour: of a day that is a small part, and judged with it.
        warming = [level not in ("day", "week") and part.warming.any() for part in parts]
        total = np.array([part.values.sum(axis=0) for part in parts]).reshape(len(parts), columns.shape[1])
        sigma = np.array([np.sqrt((part.sigma**2).sum()) for part in parts])
        times = [1 if first.averaged else estimate.times_of(len(part.sigma), 1, int(slots.most.max()), end - begin)
                 for part, (begin, end) in zip(parts, spans, strict=True)]
        released, tally, everyone, customers, counted = np.split(total, 5, axis=1)
        return Counts(np.array(spans, "i8").reshape(-1, 2), np.array(warming, bool), sigma,
                      released, tally, everyone, customers, counted, first.averaged, np.array(times))

    levels = questions.LEVELS[questions.LEVELS.index(first.span) :]
    axes = {axis: [row[0] for row in compress(rows, one)] for (axis, rows), one in zip(first.axes, its, strict=True)}
    return Judged(axes, {level: at(level) for level in levels}, bias)


def errors(counts: Counts, factors: np.ndarray) -> dict[str, Any]:
    """Return median and p95 of the three relative errors at a level, and how much was published."""
    settled, tally = ~counts.warming[:, None], counts.tally
    shown = settled & counts.shown()
    found: dict[str, Any] = {"periods": len(shown), "cells": int(settled.sum()) * shown.shape[1],
                             "published": int(shown.sum())}
    for name, guess, true in (("noise", counts.released, tally), ("place", tally, counts.counted),
                              ("total", counts.released * factors, counts.everyone)):
        found |= relative(name, guess, true, counts.one, shown)
    due = np.where(np.isfinite(counts.released), tally, np.nan_to_num(counts.counted))  # the lost slots too
    return {**found, "published_share": float(due[counts.shown()].sum() / due.sum()) if due.sum() else None}


def relative(name: str, guess: np.ndarray, true: np.ndarray, one: np.ndarray, shown: np.ndarray) -> dict[str, Any]:
    """Return median and p95 of the relative error of what is shown; where nobody was: against one person."""
    found = np.abs((guess - true) / np.maximum(true, one))[shown]
    found = found[np.isfinite(found)]
    return {f"{name}_median": quantile(found, 0.5), f"{name}_p95": quantile(found, 0.95)}


def refusals(tables: dict[str, Judged], run: dict[str, Any]) -> dict[str, Any]:
    """Return what the refusals cost, against everyone (adults, where a table tells age).

    customers: adults with a handset of ours, as if all had agreed; counted: who may be counted, each for as many
    people; weighed: each for as many of their age as the census knows, where a table tells age.
    errors : of each of REFUSED: median and p95 over what is published and not warming up
    bias   : by age, "all" first: of the sum over all areas and the run, with its sign
    """
    found: dict[str, Any] = {"errors": [], "bias": {}}
    for name, level, kept in REFUSED:
        if name in tables and level in (its := tables[name]).levels:
            counts, guesses = its.levels[level], guessed(its, its.levels[level], run)
            released, everyone = its.added(counts.released, kept), its.added(counts.everyone, kept)
            sigma = counts.sigma * (counts.released.shape[1] / released.shape[1]) ** 0.5
            shown = counts._replace(released=released, sigma=sigma).shown() & ~counts.warming[:, None]
            row = {"table": name, "level": level, "by": [*kept], "published": int(shown.sum())}
            for guess, values in guesses.items():
                row |= relative(guess, its.added(values, kept), everyone, counts.one, shown)
            found["errors"].append(row)
            if "age" in kept:
                true, *sums = (np.concatenate([its.added(one, axis).sum(axis=0) for axis in ((), ("age",))])
                               for one in (counts.everyone, *guesses.values()))
                found["bias"] = {row: {guess: share(one[i] - true[i], true[i]) for guess, one in
                                       zip(guesses, sums, strict=True)}
                                 for i, row in enumerate(["all", *its.axes["age"]]) if true[i] > 0}
    return found


def guessed(table: Judged, counts: Counts, run: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return f8[periods, cells] by GUESSES: the truth of some, extrapolated; weighed where the table tells age."""
    adults = run["persons"] / run["handsets"]  # one customer stands for; and for minors, who are none
    each = adults if "age" in table.axes else adults * run["extrapolation"] / run["extrapolation_adults"]
    found = counts.customers * each, *(counts.counted * table.factors(run, weighed) for weighed in (False, True))
    return dict(zip(GUESSES[: 2 + ("age" in table.axes)], found, strict=False))


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
