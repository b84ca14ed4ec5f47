"""How small an area can be told: what the edge states of shop windows, held against the world's own radio.

    python -m benchmarks.windows [--small]

Square windows of some widths lie over a flat made-up city.  The world says what handsets are heard to say and
where they truly are; the edge locates them.  A window's measured hit is the share of the weight of fixes that
lies in the window while handsets stay there, by time; the stated one is `collector.edge.resolve.hits`,
which knows nothing of the world.  One line a grade, spacing of sites and width: how many windows, both hits,
how many of the windows are refused (stated below RESOLVED_MIN), how many should be (measured below it),
the mistakes of both kinds, and those of them with a measured hit more than CLEAR off the limit.
"""

import json
import sys
from typing import Any

import numpy as np

from collector.edge import resolve
from collector.edge.locators.fixes import CELL, FIX, UNITS
from probe.base import plane, plugins
from probe.wire import areas
from probe.wire.observations import OBSERVATION
from simulator import scenario
from simulator.layouts.complete import complete
from simulator.world import World, place_of

RESOLVED_MIN, CLEAR = 0.5, 0.1  # the limit as the centre has it
WIDTHS_M, SPACINGS_M, HALF_M = (60, 100, 200, 300, 400, 600, 800, 1_000), (250, 500, 750, 1_000, 1_500), 2_500
PEOPLE_MIN = 20  # of a window, to be judged: (sum of their times)^2 / sum of squares
FLAT = ("areas.rings=2", "areas.zones=[{radius_m=100000, residents_per_km2=3000}]", "world.start=2026-05-12T15:00")


def city(spacing_m: float, grade: str, handsets: int, hours: float, seed: int = 1):
    """Return the scenario of a flat city of 5 x 5 km under sites of one spacing, and its plan."""
    made = scenario.load("village", [
        *FLAT, f"layout.site_spacing_m={spacing_m}", f"layout.rings={int(np.ceil(1.4 * HALF_M / spacing_m)) + 1}",
        f"probe.grade={grade}", f"world.handsets={handsets}", f"world.hours={hours}", f"world.seed={seed}"])
    layout = plugins.settings("footfall.layouts", "layout", made.layout).build()
    return made, complete(layout, made.areas.frame)[0]


def heard(made, plan) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return OBSERVATION[n] by person and time, pseudonym = subscriber, and x_m, y_m where each truly was."""
    kept = []

    def keep(batch) -> None:
        seen = np.zeros(len(batch.events), OBSERVATION)
        for name in set(OBSERVATION.names) & set(batch.events.dtype.names):
            seen[name] = batch.events[name]
        seen["pseudonym"] = batch.events["subscriber"]
        kept.append((seen, batch.x_m.copy(), batch.y_m.copy()))

    World(made, place_of(made, plan)).run(keep)
    seen, x_m, y_m = (np.concatenate(column) for column in zip(*kept, strict=True))
    order = np.lexsort((seen["time_ms"], seen["pseudonym"]))
    return seen[order], x_m[order], y_m[order]


def windows(frame: plane.LocalFrame, width_m: float) -> areas.AreaSet:
    """Return square windows side by side, or 500 m from middle to middle."""
    step_m = max(width_m, 500.0)
    middle = step_m * (np.arange(int(2 * HALF_M / step_m)) - (int(2 * HALF_M / step_m) - 1) / 2)
    corner, features = width_m / 2 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]), []
    for x, y in np.stack(np.meshgrid(middle, middle), axis=-1).reshape(-1, 2):
        latitude, longitude = frame.to_degrees(*(corner + [x, y]).T)
        ring = np.stack([longitude, latitude], axis=1).tolist()
        features.append({"properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    return areas.from_geojson(json.dumps({"type": "FeatureCollection", "features": features}), f"{width_m} m")


def row_at(one: areas.AreaSet, x, y) -> np.ndarray:
    """Return the row of a set at places, as its terms say."""
    terms = one.terms @ np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    column, row = (np.floor(at).astype(int) - first for at, first in zip(terms, one.first, strict=True))
    rows, columns = one.bins.shape
    return one.bins[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]


def judged(made, plan, everything, width_m: float, locator: str = "ranges") -> tuple[np.ndarray, np.ndarray]:
    """Return the stated and the measured hit of each window, f8[windows]; NaN where too little was heard."""
    pieces, rows = areas.overlay([made.areas, windows(made.areas.frame, width_m)])
    working = plugins.settings("footfall.locators", "collector", {"kind": locator}).build(plan, pieces)
    stated = resolve.hits(plan, pieces, rows[1], working, made.probe["grade"])[:-1]
    seen, x_m, y_m = everything
    fixes = np.zeros(len(seen), FIX)
    working.locate(seen, fixes)
    person, time_ms, hour_ms = seen["pseudonym"], seen["time_ms"], 3_600_000
    same = np.append(False, (seen["cell"][1:] == seen["cell"][:-1]) & (person[1:] == person[:-1]))
    news = np.flatnonzero(~((fixes["content"] == CELL) & same))  # what moves nobody is no news
    truth = rows[1][row_at(pieces, x_m.astype("f8"), y_m.astype("f8"))][news]
    stays = (person[news][1:] == person[news][:-1]) & (truth[1:] == truth[:-1])
    held_ms = np.append(stays * np.minimum(np.diff(time_ms[news]), hour_ms), 0)
    area = np.append(rows[1], 0)[np.minimum(fixes["area"][news], len(rows[1]))]
    hit = (fixes["weight"][news] * (area == truth[:, None])).sum(axis=1) / UNITS
    pairs, one = np.unique(np.stack([truth, person[news]]), axis=1, return_inverse=True)
    times = np.bincount(one.ravel(), held_ms)  # of each person in each window
    total_ms, hit_ms = (np.bincount(truth, weight, len(stated) + 1)[:-1] for weight in (held_ms, hit * held_ms))
    people = total_ms**2 / np.maximum(np.bincount(pairs[0].astype(int), times**2, len(stated) + 1)[:-1], 1)
    return stated, np.where(people >= PEOPLE_MIN, hit_ms / np.maximum(total_ms, 1), np.nan)


def line(grade: str, spacing_m: float, width_m: float, stated, measured) -> dict[str, Any]:
    """Return what one width says."""
    known = np.isfinite(measured)
    stated, measured = stated[known], measured[known]
    refused, wrong, clear = stated < RESOLVED_MIN, measured < RESOLVED_MIN, abs(measured - RESOLVED_MIN) > CLEAR
    counted = {"refused": refused, "should_be": wrong, "answered_wrongly": wrong & ~refused,
               "refused_wrongly": refused & ~wrong, "clearly": (wrong != refused) & clear}
    return {"grade": grade, "spacing_m": spacing_m, "width_m": width_m, "windows": int(known.sum()),
            "stated": round(float(stated.sum() / max(len(stated), 1)), 3),
            "measured": round(float(measured.sum() / max(len(stated), 1)), 3),
            **{name: int(of.sum()) for name, of in counted.items()}}


def grid(grades=resolve.GRADES, spacings_m=SPACINGS_M, widths_m=WIDTHS_M, handsets=60_000, hours=1.5):
    """Yield the lines of all grades, spacings and widths."""
    for grade in grades:
        for spacing_m in spacings_m:
            stage = city(spacing_m, grade, handsets, hours)
            everything = heard(*stage)
            for width_m in widths_m:
                yield line(grade, spacing_m, width_m, *judged(*stage, everything, width_m))


if __name__ == "__main__":
    few = {"grades": ("trace",), "spacings_m": (500,), "widths_m": (200, 600), "handsets": 6_000, "hours": 1}
    for found in grid(**few if "--small" in sys.argv else {}):
        print(json.dumps(found), flush=True)
