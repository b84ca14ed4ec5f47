"""Sums of released slots, their intervals, and what may be shown.  Everything here is post-processing."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

THRESHOLD_K = 20  # raw devices, before extrapolation
THRESHOLD_Z = 3.09  # one in a thousand of the cells shown stands for fewer than THRESHOLD_K
INTERVAL_Z = 1.96  # 95 %


class State(StrEnum):
    """How a value may be read."""

    PUBLISHED = "published"
    HIDDEN = "hidden"  # below the threshold
    MISSING = "missing"  # not every slot of it is stored
    WARMING = "warming"  # people were still being met


@dataclass(frozen=True)
class Slots:
    """The slots of one period, in order.

    values  : i8[slots, areas]  person-seconds, zero where not stored
    sigma   : f8[slots]         standard deviation of one value, zero where not stored
    stored  : bool[slots]       whether all of the slot is there
    warming : bool[slots]
    slot_s  : int
    """

    values: np.ndarray
    sigma: np.ndarray
    stored: np.ndarray
    warming: np.ndarray
    slot_s: int


@dataclass(frozen=True)
class Estimate:
    """One number for one area and period, in persons on average; None where it may not be shown."""

    value: float | None
    low: float | None
    high: float | None
    coverage: float
    state: State


def estimate(slots: Slots, partial: bool, factor: float) -> list[Estimate]:
    """Return one estimate an area: the mean number of persons over the period.

    The noise of a sum of slots is exact: its variance is the sum of theirs.  The threshold
    is held against the noisy sum at this level, on counted devices; then `factor` is applied.
    Half of a period says nothing of the whole; partial means over the stored slots alone.
    """
    count = int(slots.stored.sum())
    coverage = count / len(slots.stored)
    if count == 0 or (count < len(slots.stored) and not partial):
        return [Estimate(None, None, None, coverage, State.MISSING)] * slots.values.shape[1]
    length_s = count * slots.slot_s
    persons = slots.values[slots.stored].sum(axis=0) / length_s
    sigma = float(np.sqrt(np.sum(slots.sigma[slots.stored] ** 2))) / length_s
    state = State.WARMING if slots.warming[slots.stored].any() else State.PUBLISHED
    return [_shown(float(one), sigma, coverage, state, factor) for one in persons]


def _shown(persons: float, sigma: float, coverage: float, state: State, factor: float) -> Estimate:
    if persons < THRESHOLD_K + THRESHOLD_Z * sigma:
        return Estimate(None, None, None, coverage, State.HIDDEN)
    low, high = max(0.0, persons - INTERVAL_Z * sigma), persons + INTERVAL_Z * sigma
    return Estimate(persons * factor, low * factor, high * factor, coverage, state)
