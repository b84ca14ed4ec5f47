"""The judge: estimate held against truth, and each error named by what it is held against.

noise: release - tally before noise.  place: tally - truth of the people counted.
total: published and extrapolated - truth of everyone.  All relative, by area and
period, over what is published (noisy sum at the threshold or above) and not warming up.
"""

from dataclasses import dataclass

import numpy as np

SLOT_S = 900
LEVELS = {"slot": 1, "hour": 4}


@dataclass(frozen=True)
class Counts:
    """Person-seconds by slot and area (elsewhere left out), f8[slots, areas]; NaN = not stored."""

    slot: np.ndarray  # i8[slots], on the UTC grid
    released: np.ndarray
    tally: np.ndarray
    counted: np.ndarray  # truth of the people counted
    everyone: np.ndarray  # truth of everyone
    warming: np.ndarray  # bool[slots]
    sigma_s: float  # of one slot
    threshold_k: float
    extrapolation: float  # one counted device stands for so many people


def grouped(values: np.ndarray, size: int) -> np.ndarray:
    """Return sums of `size` slots; a sum over a missing slot is NaN."""
    whole = len(values) // size * size
    return values[:whole].reshape(-1, size, *values.shape[1:]).sum(axis=1)


def errors(counts: Counts, size: int) -> dict[str, float | None]:
    """Return median and p95 of the three relative errors for periods of `size` slots."""
    first = int(-counts.slot[0] % size)  # periods lie on the clock's grid
    released, tally, counted, everyone = (
        grouped(a[first:], size) for a in (counts.released, counts.tally, counts.counted, counts.everyone)
    )
    settled = ~grouped(counts.warming[first:].astype("f8"), size).astype(bool)[:, None]
    seconds = SLOT_S * size
    sigma = counts.sigma_s * np.sqrt(size)
    shown = settled & (released >= counts.threshold_k * seconds + 3.09 * sigma)
    time_settled = np.where(settled & np.isfinite(released), tally, 0.0)
    found: dict[str, float | None] = {}
    for name, estimate, truth in (
        ("noise", released, tally),
        ("place", tally, counted),
        ("total", released * counts.extrapolation, everyone),
    ):
        judged = shown & (truth > 0)
        relative = np.abs(estimate[judged] / truth[judged] - 1)
        found[f"{name}_median"] = float(np.median(relative)) if relative.size else None
        found[f"{name}_p95"] = float(np.quantile(relative, 0.95)) if relative.size else None
    total_time = time_settled.sum()
    found["published_share"] = float(time_settled[shown].sum() / total_time) if total_time else None
    found["periods"] = int(shown.sum())
    return found
