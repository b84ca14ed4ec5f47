"""The contract of a locator, a stranger's too: weights, areas, finite numbers, and that cuts do not show."""

import numpy as np

from collector.edge.locators.fixes import AREAS_MAX, CONTENT, FIX, NO_AREA, NONE, UNITS


def broken(locator, observations: np.ndarray, located: np.ndarray, area_count: int) -> list[str]:
    """Return the promises that a locator breaks on OBSERVATION[n], whatever their fields say.

    located    : bool[n]  whether the cell of the row is one of the plan that serves; if not, there is no fix
    area_count : rows of the area set, elsewhere included
    """
    fixes = played(locator, observations, len(observations))
    weight, area, finite = fixes["weight"].astype("i8"), fixes["area"], ("x_m", "y_m", "r50_m")
    sums, used, cuts = weight.sum(axis=1), weight > 0, (1, 7, len(observations))
    wrong = {
        f"weights add up to {UNITS}, or to 0 where there is no fix":
            ((sums != UNITS) & (sums != 0)).any() or ((sums == 0) != (fixes["content"] == NONE)).any(),
        "there is a fix exactly where the cell is one that serves": ((sums > 0) != located).any(),
        "areas are rows of the area set, and NO_AREA where the weight is 0":
            (area[used] >= area_count).any() or (area[~used] != NO_AREA).any(),
        f"no area comes twice among the {AREAS_MAX}":
            any(len(set(row[on])) != on.sum() for row, on in zip(area, used, strict=True)),
        "points and radii are finite":
            not all(np.isfinite(fixes[name]).all() for name in finite) or (fixes["r50_m"] < 0).any(),
        "content is a row of CONTENT": (fixes["content"] >= len(CONTENT)).any(),
        "the same rows give the same fixes, however they are cut into batches":
            any(played(locator, observations, cut).tobytes() != fixes.tobytes() for cut in cuts)}
    return [words for words, broken in wrong.items() if broken]


def played(locator, observations: np.ndarray, cut: int) -> np.ndarray:
    """Return FIX[n], located `cut` rows at a time into memory that held something else."""
    fixes = np.frombuffer(b"\xa5" * (FIX.itemsize * len(observations)), FIX).copy()
    for first in range(0, len(observations), max(cut, 1)):
        locator.locate(observations[first : first + cut], fixes[first : first + cut])
    return fixes
