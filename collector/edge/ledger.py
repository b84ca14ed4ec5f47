"""The privacy budget: exact fractions, charged before the draw, never refunded.

The unit is the subscriber-day.  One slot of a table costs rho = bound^2 / (2 sigma^2) of
every subscriber who may be in it; the slots of a local day add up to the table's share.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, isqrt
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from collector.edge.kernels.gaussian import LIMIT
from probe.base.config import ConfigError, RunError, Settings, needs
from probe.wire.release import Statement

# 0.1 means a tenth, as it is written, not the binary number that is nearest to it.
Exact = Annotated[Fraction, BeforeValidator(lambda given: repr(given) if isinstance(given, float) else given)]

Share = Annotated[Exact, Field(gt=0, le=1)]
SHARES_FIT = needs(lambda shares: sum(shares.values()) <= 1, "add up to more than 1; lower them to 1 or less")


class PrivacySettings(Settings):
    """What is promised to one subscriber for one local day.

    A table keeps its share when it is alone, so that adding a table changes no other.
    """

    basis: Literal["consent", "anonymous"] = "consent"
    purpose: Literal["network", "market_research", "marketing"] = "market_research"
    rho_day: Annotated[Exact, Field(gt=0, le=10)] = Fraction(1, 10)
    shares: Annotated[dict[str, Share], SHARES_FIT] = Field(default={"presence": Fraction(35, 100)})

    def share(self, table: str) -> Fraction:
        """Return the rho of one subscriber-day in a table."""
        if table not in self.shares:
            raise ConfigError("[privacy]", [f'shares: table "{table}" has none; give it one'])
        return self.rho_day * self.shares[table]


def sigma_for(bound: int, slots_a_day: int, tally_units: int, share: Fraction) -> int:
    """Return the least sigma in tally units, a whole number of values, whose day costs at most share.

    sigma >= bound sqrt(slots_a_day / (2 share)): Bun and Steinke, Concentrated Differential
    Privacy (2016), proposition 1.6; in integers, so that rounding only ever goes up.
    """
    square = Fraction(slots_a_day * bound**2) / (2 * share * tally_units**2)
    sigma = (isqrt(ceil(square) - 1) + 1) * tally_units
    if sigma + 1 >= LIMIT:
        raise RunError(f"a budget of {float(share):g} asks for more noise than the exact draw can make")
    return sigma


def promise(privacy: PrivacySettings, table: str, slot_s: int, slots_a_day: int, tally_units: int) -> Statement:
    """Return the statement of a table of person-time: at most the whole slot in each slot of a day."""
    sigma = sigma_for(bound := slot_s * tally_units, slots_a_day, tally_units, privacy.share(table))
    rho = Fraction(slots_a_day * bound**2, 2 * sigma**2).as_integer_ratio()
    numbers = tally_units, slot_s, slots_a_day, bound, sigma, 1, *rho
    return Statement(table, "area", "person-seconds", *numbers, privacy.basis, privacy.purpose, 0, False)


class Charge(NamedTuple("Charge", [("table", int), ("slot", int), ("day", int), ("rho", Fraction)])):
    """What one slot of a table costs every subscriber of a local day, a date ordinal."""


class Ledger:
    """What has been spent, by subscriber-day and table.  Refuses what would pass a share."""

    def __init__(self, shares: dict[int, Fraction], charges: Iterable[Charge] = ()):
        self._shares, self._charges = shares, {one[:2]: one for one in charges}

    def left(self, table: int, day: int) -> Fraction:
        """Return what is left of a table's share on a day."""
        return self._shares[table] - sum(one.rho for one in self._charges.values() if one[::2] == (table, day))

    def spend(self, charge: Charge) -> None:
        """Take a charge, or raise RunError: it does not fit, or its slot was charged before."""
        left, what = self.left(charge.table, charge.day), f"table {charge.table}, slot {charge.slot}"
        if charge[:2] in self._charges:
            raise RunError(f"{what} is charged already; nothing is drawn twice")
        if charge.rho > left:
            cost = f"costs rho {float(charge.rho):.6g} of the day's share {float(self._shares[charge.table]):.6g}"
            raise RunError(f"{what} {cost}, and only {float(left):.6g} is left")
        self._charges[charge[:2]] = charge


def epsilon(rho: Fraction | float, delta: float = 1e-6) -> float:
    """Return epsilon at delta of a zCDP budget, by OpenDP's conversion (2.142 for 0.1 at 1e-6)."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    curve = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=(2.0 * float(rho)) ** -0.5))
    return float(dp.c.make_fix_delta(curve, delta).map(1.0)[0])
