"""The judge: estimate held against truth, and each error named by what it is held against.

noise: release - tally before noise.  place: tally - truth of the people counted.
total: published and extrapolated - truth of everyone.  All relative, by area and
period, over what is published (noisy sum at the threshold or above) and not warming up; the share
that is published is of all person-time that was due.
fix: the point of a fix - where the handset truly was, in metres.
"""

import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import estimate, questions
from collector.edge.locators.fixes import FIX, NONE
from collector.edge.metrics.presence import UNITS
from probe.base import clock, plugins
from probe.wire.observations import NO_RSRP, NO_TA, OBSERVATION
from simulator.world import Batch, World, place_of

JUDGED_SHARDS = 32  # the judge lives through 2 of the 64 buckets again, beside the truth
CONTENTS = ("cell", "ta", "ta_levels", "levels")
CONTENT_OF = np.array([0, 1, 3, 2])  # row of CONTENTS, by timing + 2 * levels


class Counts(namedtuple("Counts", "span_ms warming sigma_s released tally everyone counted")):
    """Person-seconds by whole period of a level and area (elsewhere left out).

    span_ms : i8[periods, 2], when each begins and ends;  warming : bool[periods];  sigma_s : f8[periods]
    released, tally, everyone, counted : f8[periods, areas]; the last two are the truth; NaN = not stored
    """

    def shown(self) -> np.ndarray:
        """Return bool[periods, areas]: whether the noisy sum is published, of counted handsets."""
        limit = estimate.THRESHOLD_K * np.diff(self.span_ms) / clock.SECOND_MS
        return self.released >= limit + estimate.THRESHOLD_Z * self.sigma_s[:, None]


def read(run: Path) -> dict[str, Counts]:
    """Return what a run directory holds of presence, by level, from its store, its judge and its truth."""
    store, folder = questions.opened(run)
    with closing(store):
        expected = [one for one in store.registered() if one.name == "presence"]
        slots, first = questions.load(store, expected), expected[0]
    tally, truth = np.full(slots.values.shape, np.nan), np.zeros((2, *slots.values.shape))
    row_of = {area_id: row for row, (area_id, _) in enumerate(first.areas)}
    with closing(sqlite3.connect(folder / "judge.db")) as db:
        for slot, area, units in db.execute("SELECT slot, area, tally FROM presence"):
            tally[slot - first.first_slot, area] = units / (UNITS * clock.SECOND_MS)
    with closing(sqlite3.connect(folder / "truth.db")) as db:
        for slot, area_id, *both_ms in db.execute("SELECT slot, area_id, everyone_ms, counted_ms FROM presence"):
            truth[:, slot - first.first_slot, row_of[area_id]] = np.array(both_ms) / clock.SECOND_MS
    released, slot_ms = np.where(slots.stored[:, None], slots.values, np.nan), first.slot_s * clock.SECOND_MS
    begin_ms, end_ms = first.first_slot * slot_ms, first.until_slot * slot_ms

    def at(level: str) -> Counts:
        spans = questions.periods(first, level, begin_ms, end_ms)
        whole = np.array([span for span in spans if span[0] >= begin_ms and span[1] <= end_ms], "i8").reshape(-1, 2)
        rows = [slice(*row) for row in (whole - begin_ms) // slot_ms]

        def total(values: np.ndarray) -> np.ndarray:
            return np.array([values[row].sum(axis=0) for row in rows]).reshape(len(rows), *values.shape[1:])

        # Every local day has its warming hour: of a day that is a small part, and judged with it.
        warming = total(slots.warming) > 0 if level != "day" else np.zeros(len(rows), bool)
        tables = (total(table[:, :-1]) for table in (released, tally, *truth))
        return Counts(whole, warming, np.sqrt(total(slots.sigma**2)), *tables)

    return {level: at(level) for level in questions.LEVELS}


def errors(counts: Counts, extrapolation: float) -> dict[str, Any]:
    """Return median and p95 of the three relative errors at a level, and how much was published."""
    settled, tally = ~counts.warming[:, None], counts.tally
    shown = settled & counts.shown()
    found: dict[str, Any] = {"published": int(shown.sum())}
    for name, guess, truth in (("noise", counts.released, tally), ("place", tally, counts.counted),
                               ("total", counts.released * extrapolation, counts.everyone)):
        least = np.maximum(truth, np.diff(counts.span_ms) / clock.SECOND_MS)  # where nobody was: against one person
        relative = np.abs((guess - truth) / least)[shown]
        found |= {f"{name}_median": quantile(relative, 0.5), f"{name}_p95": quantile(relative, 0.95)}
    time = np.where(np.isfinite(tally), tally, counts.counted)  # of all that is due, the lost slots too
    return {**found, "published_share": float(time[counts.shown()].sum() / time.sum()) if time.sum() else None}


def fix_errors(stage) -> dict[str, Any]:
    """Return quantiles of the error of fixes in metres, over all and by what the events held.

    The places of events never enter the edge: the judge makes the events of a part of the
    world anew, which a seed allows, locates them, and holds the points against where the
    handsets were; those of `serving_cell` beside them.  Levels are three cells heard or more.
    """
    locators, heard = [plugins.settings("footfall.locators", "collector", {"kind": name}).build(
        stage.plan, stage.scenario.areas) for name in (stage.collector.locator, "serving_cell")], []

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

    World(stage.scenario, place_of(stage.scenario, stage.plan), 0, JUDGED_SHARDS).run(judge)
    content, error_m, beside_m = np.concatenate(heard, axis=1)
    by_content = {name: {"events": int(of.sum()), "median": quantile(error_m[of], 0.5),
                         "serving_cell_median": quantile(beside_m[of], 0.5)}
                  for name, of in zip(CONTENTS, content == np.arange(4)[:, None], strict=True)}
    return {"median": quantile(error_m, 0.5), "p80": quantile(error_m, 0.8), "p95": quantile(error_m, 0.95),
            "by_content": by_content}


def quantile(values: np.ndarray, rank: float) -> float | None:
    """Return a quantile, None of nothing."""
    return float(np.quantile(values, rank)) if values.size else None
