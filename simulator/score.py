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
from simulator.deployment import Stage
from simulator.world import Batch, World, place_of

JUDGED_SHARDS = 32  # the judge lives through 2 of the 64 buckets again, beside the truth
CONTENTS = ("cell", "ta", "ta_levels", "levels")
ERRORS = ("noise", "place", "total")


@dataclass(frozen=True)
class Counts:
    """Person-seconds by slot and area (elsewhere left out), f8[slots, areas]; NaN = not stored."""

    begin_ms: np.ndarray  # i8[slots]
    slot_s: int
    zone: str
    area: list[tuple[str, str]]  # (id, name)
    released: np.ndarray
    tally: np.ndarray
    counted: np.ndarray  # truth of the people counted
    everyone: np.ndarray  # truth of everyone
    warming: np.ndarray  # bool[slots]
    sigma_s: np.ndarray  # f8[slots]
    km2: np.ndarray  # f8[areas]


def read(run: Path) -> Counts:
    """Return what a run directory holds of presence, from its store, its judge and its truth."""
    store, folder = questions.opened(run)
    try:
        expected = [one for one in store.registered() if one.name == "presence"]
        slots, first = questions.load(store, expected), expected[0]
    finally:
        store.close()
    shape = slots.values.shape
    tally, truth = np.full(shape, np.nan), np.zeros((*shape, 2))
    row_of = {area_id: row for row, (area_id, _) in enumerate(first.areas)}
    with closing(sqlite3.connect(folder / "judge.db")) as db:
        for slot, area, units in db.execute("SELECT slot, area, tally FROM presence"):
            tally[slot - first.first_slot, area] = units / (UNITS * SECOND_MS)
    with closing(sqlite3.connect(folder / "truth.db")) as db:
        for slot, area_id, *both_ms in db.execute(
            "SELECT slot, area_id, everyone_ms, counted_ms FROM presence"
        ):
            truth[slot - first.first_slot, row_of[area_id]] = np.array(both_ms) / SECOND_MS
    released = np.where(slots.stored[:, None], slots.values, np.nan)
    begin_ms = (first.first_slot + np.arange(shape[0])) * first.slot_s * SECOND_MS
    named = (a[:, :-1] for a in (released, tally, truth[..., 1], truth[..., 0]))
    bins = areas.read(folder / "areas.geojson").bins
    km2 = np.bincount(bins.ravel(), minlength=shape[1])[:-1] * BIN_M**2 / 1e6
    rest = (slots.warming, slots.sigma, km2)
    return Counts(
        begin_ms,
        first.slot_s,
        first.zone,
        [(area_id, name) for area_id, name in first.areas[:-1]],
        *named,
        *rest,
    )


def period_of(counts: Counts, level: str) -> np.ndarray:
    """Return i8[slots]: the number of the slot's period, -1 where the run does not hold all of it."""
    slot_ms = counts.slot_s * SECOND_MS
    if level == "day":
        edges = np.array(midnights_ms(int(counts.begin_ms[0]), int(counts.begin_ms[-1]), counts.zone))
        number = np.searchsorted(edges, counts.begin_ms, "right") - 1
        size = np.diff(edges)[number] // slot_ms
    else:
        number = counts.begin_ms // (slot_ms if level == "slot" else HOUR_MS)
        size = np.full(len(number), 1 if level == "slot" else HOUR_MS // slot_ms)
    number = number - number[0]
    whole = np.bincount(number)[number] == size
    return np.where(whole, number, -1)


def summed(values: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Return f8[periods, ...]: sums over the slots of each whole period."""
    kept = period >= 0
    rows = np.unique(period[kept], return_inverse=True)[1]
    total = np.zeros((rows.max() + 1 if len(rows) else 0, *values.shape[1:]))
    np.add.at(total, rows, values[kept])
    return total


def errors(counts: Counts, level: str, extrapolation: float) -> dict[str, Any]:
    """Return median and p95 of the three relative errors at a level, and how much was published."""
    period = period_of(counts, level)
    released, tally, counted, everyone = (
        summed(a, period) for a in (counts.released, counts.tally, counts.counted, counts.everyone)
    )
    settled = summed(counts.warming.astype("f8"), period) == 0
    if level == "day":
        settled[:] = True  # every local day has its warming hour; of a day it is a small part
    seconds = summed(np.full(len(period), float(counts.slot_s)), period)
    sigma = np.sqrt(summed(counts.sigma_s**2, period))
    threshold = estimate.THRESHOLD_K * seconds + estimate.THRESHOLD_Z * sigma
    shown = settled[:, None] & (released >= threshold[:, None])
    found: dict[str, Any] = {}
    pairs = ((released, tally), (tally, counted), (released * extrapolation, everyone))
    for name, (guess, truth) in zip(ERRORS, pairs, strict=True):
        judged = shown & (truth > 0)
        relative = np.abs(guess[judged] / truth[judged] - 1)
        found[f"{name}_median"] = float(np.median(relative)) if relative.size else None
        found[f"{name}_p95"] = float(np.quantile(relative, 0.95)) if relative.size else None
    time = np.where(settled[:, None] & np.isfinite(released), tally, 0.0)
    found["published_share"] = float(time[shown].sum() / time.sum()) if time.sum() else None
    found["published"] = int(shown.sum())
    return found


class FixErrors:
    """Lives through a part of the world again, beside the truth, and locates what it hears.

    The places of events never enter the edge: the judge makes the same events anew, which a
    seed allows, and holds the locator's points against where the handsets were.
    """

    def __init__(self, stage: Stage):
        self._stage, self._locators = stage, []
        for name in (stage.collector.locator, "serving_cell"):
            settings: Any = plugins.settings("footfall.locators", "collector", {"kind": name})
            self._locators.append(settings.build(stage.plan, stage.scenario.areas))
        self._error_m: list[np.ndarray] = []  # f4[n, 2]
        self._content: list[np.ndarray] = []

    def measure(self) -> dict[str, Any]:
        """Return quantiles of the error in metres, over all and by what the events held."""
        world = World(
            self._stage.scenario, place_of(self._stage.scenario, self._stage.plan), 0, JUDGED_SHARDS
        )
        world.run(self._judge)
        error_m, content = np.concatenate(self._error_m), np.concatenate(self._content)
        found: dict[str, Any] = quantiles(error_m[:, 0])
        found["by_content"] = {
            name: {
                "events": int((content == number).sum()),
                "median": median(error_m[content == number, 0]),
                "serving_cell_median": median(error_m[content == number, 1]),
            }
            for number, name in enumerate(CONTENTS)
        }
        return found

    def _judge(self, batch: Batch) -> None:
        observations = np.zeros(len(batch.events), OBSERVATION)
        for name in set(OBSERVATION.names) & set(batch.events.dtype.names):  # type: ignore[arg-type]
            observations[name] = batch.events[name]
        error_m = np.empty((len(observations), 2), "f4")
        placed = np.ones(len(observations), bool)
        for column, locator in enumerate(self._locators):
            fixes = np.zeros(len(observations), FIX)
            locator.locate(observations, fixes)
            error_m[:, column] = np.hypot(fixes["x_m"] - batch.x_m, fixes["y_m"] - batch.y_m)
            placed &= fixes["content"] != NONE
        self._error_m.append(error_m[placed])
        self._content.append(content_of(observations)[placed])


def content_of(observations: np.ndarray) -> np.ndarray:
    """Return i8[n], rows of CONTENTS: levels are three cells heard or more."""
    timing = observations["ta"] != NO_TA
    levels = (observations["rsrp"] != NO_RSRP).sum(axis=1) >= 3
    return np.where(timing, np.where(levels, 2, 1), np.where(levels, 3, 0))


def median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if values.size else None


def quantiles(values: np.ndarray) -> dict[str, float | None]:
    """Return median, p80 and p95."""
    ranks = (("median", 0.5), ("p80", 0.8), ("p95", 0.95))
    return {name: float(np.quantile(values, rank)) if values.size else None for name, rank in ranks}
