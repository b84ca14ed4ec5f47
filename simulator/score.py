"""The judge: estimate held against truth, and each error named by what it is held against.

noise: release - tally before noise.  place: tally - truth of the people counted.
total: published and extrapolated - truth of everyone.  All relative, by area and
period, over what is published (noisy sum at the threshold or above) and not warming up.
fix: the point of a fix - where the handset truly was, in metres.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from collector.centre import estimate, questions
from collector.edge.locators.fixes import FIX, NONE
from collector.edge.metrics.presence import UNITS
from probe.base import plugins
from probe.base.clock import HOUR_MS, SECOND_MS, midnights_ms
from probe.base.plane import BIN_M
from probe.wire import areas
from probe.wire.observations import NO_RSRP, NO_TA, OBSERVATION
from simulator.world import Batch, World, place_of

JUDGED_SHARDS = 32  # the judge lives through 2 of the 64 buckets again, beside the truth
CONTENTS = ("cell", "ta", "ta_levels", "levels")


@dataclass(frozen=True)
class Counts:
    """Person-seconds by slot and area (elsewhere left out), f8[slots, areas]; NaN = not stored."""

    begin_ms: np.ndarray  # i8[slots]
    slot_s: int
    zone: str
    area: list[tuple[str, str]]  # (id, name)
    km2: np.ndarray  # f8[areas]
    released: np.ndarray
    tally: np.ndarray
    counted: np.ndarray  # truth of the people counted
    everyone: np.ndarray  # truth of everyone
    warming: np.ndarray  # bool[slots]
    sigma_s: np.ndarray  # f8[slots]


def read(run: Path) -> Counts:
    """Return what a run directory holds of presence, from its store, its judge and its truth."""
    store, folder = questions.opened(run)
    with closing(store):
        expected = [one for one in store.registered() if one.name == "presence"]
        slots, first = questions.load(store, expected), expected[0]
    shape = slots.values.shape
    tally, truth = np.full(shape, np.nan), np.zeros((*shape, 2))
    row_of = {area_id: row for row, (area_id, _) in enumerate(first.areas)}
    with closing(sqlite3.connect(folder / "judge.db")) as db:
        for slot, area, units in db.execute("SELECT slot, area, tally FROM presence"):
            tally[slot - first.first_slot, area] = units / (UNITS * SECOND_MS)
    with closing(sqlite3.connect(folder / "truth.db")) as db:
        for slot, area_id, *both_ms in db.execute("SELECT slot, area_id, everyone_ms, counted_ms FROM presence"):
            truth[slot - first.first_slot, row_of[area_id]] = np.array(both_ms) / SECOND_MS
    released = np.where(slots.stored[:, None], slots.values, np.nan)
    begin_ms = (first.first_slot + np.arange(shape[0])) * first.slot_s * SECOND_MS
    bins = areas.read(folder / "areas.geojson").bins
    km2 = np.bincount(bins.ravel(), minlength=shape[1])[:-1] * BIN_M**2 / 1e6
    named = [(area_id, name) for area_id, name in first.areas[:-1]]
    tables = [a[:, :-1] for a in (released, tally, truth[..., 1], truth[..., 0])]
    rest: tuple = (km2, *tables, slots.warming, slots.sigma)
    return Counts(begin_ms, first.slot_s, first.zone, named, *rest)


def period_of(counts: Counts, level: str) -> np.ndarray:
    """Return i8[slots]: the number of the slot's period, -1 where the run does not hold all of it."""
    slot_ms = counts.slot_s * SECOND_MS
    length_ms = slot_ms if level == "slot" else HOUR_MS
    number, size = counts.begin_ms // length_ms, np.full(len(counts.begin_ms), length_ms // slot_ms)
    if level == "day":
        edges = np.array(midnights_ms(int(counts.begin_ms[0]), int(counts.begin_ms[-1]), counts.zone))
        number = np.searchsorted(edges, counts.begin_ms, "right") - 1
        size = np.diff(edges)[number] // slot_ms
    number = number - number[0]
    return np.where(np.bincount(number)[number] == size, number, -1)


def summed(values: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Return f8[periods, ...]: sums over the slots of each whole period."""
    names, rows = np.unique(period[period >= 0], return_inverse=True)
    total = np.zeros((len(names), *values.shape[1:]))
    np.add.at(total, rows, values[period >= 0])
    return total


def threshold(seconds, sigma):
    """Return the least noisy sum that is published, of counted handsets, before extrapolation."""
    return estimate.THRESHOLD_K * seconds + estimate.THRESHOLD_Z * sigma


def errors(counts: Counts, level: str, extrapolation: float) -> dict[str, Any]:
    """Return median and p95 of the three relative errors at a level, and how much was published."""
    period = period_of(counts, level)
    tables = (counts.released, counts.tally, counts.counted, counts.everyone)
    released, tally, counted, everyone = (summed(a, period) for a in tables)
    # Every local day has its warming hour: of a day that is a small part, and judged with it.
    settled = (level == "day") | (summed(counts.warming, period) == 0)
    sigma, seconds = np.sqrt(summed(counts.sigma_s**2, period)), summed(np.full(len(period), counts.slot_s), period)
    shown = settled[:, None] & (released >= threshold(seconds, sigma)[:, None])
    found: dict[str, Any] = {"published": int(shown.sum())}
    pairs = {"noise": (released, tally), "place": (tally, counted), "total": (released * extrapolation, everyone)}
    for name, (guess, truth) in pairs.items():
        judged = shown & (truth > 0)
        relative = np.abs(guess[judged] / truth[judged] - 1)
        found |= {f"{name}_median": quantile(relative, 0.5), f"{name}_p95": quantile(relative, 0.95)}
    time = np.where(settled[:, None] & np.isfinite(released), tally, 0.0)
    return {**found, "published_share": float(time[shown].sum() / time.sum()) if time.sum() else None}


def fix_errors(stage) -> dict[str, Any]:
    """Return quantiles of the error of fixes in metres, over all and by what the events held.

    The places of events never enter the edge: the judge makes the events of a part of the
    world anew, which a seed allows, locates them, and holds the points against where the
    handsets were; those of `serving_cell` beside them.
    """
    locators, heard = [], []
    for name in (stage.collector.locator, "serving_cell"):
        settings: Any = plugins.settings("footfall.locators", "collector", {"kind": name})
        locators.append(settings.build(stage.plan, stage.scenario.areas))

    def judge(batch: Batch) -> None:
        observations = np.zeros(len(batch.events), OBSERVATION)
        for name in set(OBSERVATION.names or ()) & set(batch.events.dtype.names or ()):
            observations[name] = batch.events[name]
        row = np.empty((len(observations), 3))
        row[:, 2] = content_of(observations)
        for column, locator in enumerate(locators):
            fixes = np.zeros(len(observations), FIX)
            locator.locate(observations, fixes)
            error_m = np.hypot(fixes["x_m"] - batch.x_m, fixes["y_m"] - batch.y_m)
            row[:, column] = np.where(fixes["content"] == NONE, np.nan, error_m)
        heard.append(row[np.isfinite(row).all(axis=1)])

    World(stage.scenario, place_of(stage.scenario, stage.plan), 0, JUDGED_SHARDS).run(judge)
    error_m, beside_m, content = np.concatenate(heard).T
    by_content = {
        name: {"events": int((content == number).sum()), "median": quantile(error_m[content == number], 0.5),
               "serving_cell_median": quantile(beside_m[content == number], 0.5)}
        for number, name in enumerate(CONTENTS)
    }
    ranks = {"median": 0.5, "p80": 0.8, "p95": 0.95}
    return {**{name: quantile(error_m, rank) for name, rank in ranks.items()}, "by_content": by_content}


def content_of(observations: np.ndarray) -> np.ndarray:
    """Return i8[n], rows of CONTENTS: levels are three cells heard or more."""
    timing = observations["ta"] != NO_TA
    levels = (observations["rsrp"] != NO_RSRP).sum(axis=1) >= 3
    return np.where(timing, np.where(levels, 2, 1), np.where(levels, 3, 0))


def quantile(values: np.ndarray, rank: float) -> float | None:
    """Return a quantile, None of nothing."""
    return float(np.quantile(values, rank)) if values.size else None
