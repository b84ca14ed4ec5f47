"""The privacy budget: exact fractions, charged before the draw, never refunded.

The unit is the subscriber-day; of a table by week, which is paid for on top, the subscriber-week.  A table costs
rho = bound^2 / (2 sigma^2) of everybody who may be in it, whatever is drawn of that day: its bound covers all of it.
"""

from collections import defaultdict, namedtuple
from collections.abc import Collection, Iterable
from fractions import Fraction
from functools import cache
from math import ceil, isqrt
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from collector.edge.kernels.gaussian import LIMIT
from probe.base import clock, jit
from probe.base.config import ConfigError, RunError, Settings, did_you_mean
from probe.wire.release import Statement, unit_of

# Of the rho of a day, or, of a table by week, of a week.  A table keeps its share when others are left out.  That of
# presence is what 1 % of noise needs at the median hour and area: 200,000 handsets, 2 of 3 counted, 100 areas.
SHARES = {name: Fraction(hundredths, 100) for name, hundredths in {
    "presence": 44, "profile": 8, "moves": 9, "visitors": 9, "dwell": 9, "origin": 9, "flows": 6, "zone_flows": 6,
    "repeat": 100}.items()}
HUNDREDTHS = 100  # sigma is rounded up to: of a person or trip; to a whole person-second

# 0.1 means a tenth, as it is written, not the binary number that is nearest to it.
Exact = Annotated[Fraction, BeforeValidator(lambda given: repr(given) if isinstance(given, float) else given)]
Rho = Annotated[Exact, Field(gt=0, le=10)]
Share = Annotated[Exact, Field(gt=0, le=1)]


class PrivacySettings(Settings):
    """What is promised to one subscriber for one local day, and for a week; shares are given by table."""

    basis: Literal["consent", "anonymous"] = "consent"
    purpose: Literal["network", "market_research", "marketing"] = "market_research"
    rho_day: Rho = Fraction(1, 10)
    rho_week: Rho = Fraction(1, 10)
    shares: dict[str, Share] = Field(default={})

    def share(self, table: str) -> Fraction | None:
        """Return the share of a table, None when it has none."""
        return self.shares.get(table, SHARES.get(table))


class TableConfig(namedtuple("TableConfig", "number name axes axis_names cells span value_unit tally_units "
                                            "bound_squared")):
    """A table that is counted, as the seal needs to know it.

    axes : 8 bytes, digest of the lists behind the axes;  axis_names : joined by ",";  cells : of one slot
    span : of probe.base.clock.SPAN_S;  tally_units : in one value
    bound_squared : L2^2 of what one subscriber can add in a local day, or a week, tally units
    """


def budget(privacy: PrivacySettings, tables: list[TableConfig]) -> list[Statement]:
    """Return what every table in use promises, or raise ConfigError: they would cost more than there is."""
    shares, numbers = {one.name: privacy.share(one.name) for one in tables}, {one.number: one.name for one in tables}
    known = {*SHARES, *shares}
    problems = [f'shares: no table "{name}" is counted{did_you_mean(name, known)}' for name in privacy.shares
                if name not in known]
    problems += [f'shares: table "{name}" has none; give it one' for name, share in shares.items() if share is None]
    problems += [f'tables "{one.name}" and "{numbers[one.number]}" have one number, {one.number}; use one of them'
                 for one in tables if one.name != numbers[one.number]]
    for unit in ("subscriber-day", "subscriber-week"):
        paid = {one.name: shares[one.name] or 0 for one in tables if unit_of(one.span) == unit}
        if (over := sum(paid.values()) - 1) > 0:
            given = [name for name in privacy.shares if name in paid]  # the usual ones alone are never too much
            left = max(0.0, float(sum(paid[name] for name in given) - over))
            terms = " + ".join(f"{name} {float(share):g}" for name, share in paid.items())
            problems.append(f"shares of a {unit}: {terms} = {float(1 + over):g}, {float(over):g} too much; {left:g} is "
                            f"left for {' and '.join(given)}{' together' * (len(given) > 1)}; lower them, or those of "
                            "other tables, or leave tables out of collector.tables")
    if problems:
        raise ConfigError("[privacy]", problems)
    return [promise(privacy, one) for one in tables]


def promise(privacy: PrivacySettings, table: TableConfig) -> Statement:
    """Return the statement of one table: the least noise that keeps it within its share."""
    span, unit, bound_squared = table.span, unit_of(table.span), table.bound_squared
    most = (privacy.share(table.name) or 0) * (privacy.rho_week if span == "week" else privacy.rho_day)
    p, d = sigma_for(bound_squared, table.tally_units, most)
    rho = Fraction(bound_squared * d**2, 2 * p**2).as_integer_ratio()
    if p + d >= LIMIT or max(bound_squared, *rho) >= 1 << 64:
        raise RunError(f"{table.name}: a budget of {float(most):g} asks for more noise than the exact draw can make")
    named = table.name, table.axis_names, table.value_unit, span, clock.SPAN_S[span], table.tally_units, unit
    return Statement(*named, bound_squared, p, d, *rho, privacy.basis, privacy.purpose, 0, code(), False)


def sigma_for(bound_squared: int, tally_units: int, share: Fraction) -> tuple[int, int]:
    """Return the least sigma = p/d, tally units, that costs at most share.

    sigma^2 >= bound^2 / (2 share): Bun and Steinke, Concentrated Differential Privacy (2016), proposition 1.6; in
    integers, so that rounding only ever goes up: to a whole person-second, a hundredth of what is counted by heads.
    """
    d = 1 if tally_units > 1 else HUNDREDTHS
    square = Fraction(bound_squared * d**2) / (2 * share * tally_units**2)
    return Fraction((isqrt(ceil(square) - 1) + 1) * tally_units, d).as_integer_ratio()


@cache
def code() -> str:
    """Return 16 hex digits over the sources of probe and edge: what made a release."""
    rooms = Path(jit.__file__).parents[1], Path(__file__).parent
    return jit.digest(path for room in rooms for path in sorted(room.rglob("*.py")))


class Charge(NamedTuple("Charge", [("table", int), ("slot", int), ("day", int), ("rho", Fraction)])):
    """What a draw costs every subscriber of a local day or week: the date ordinal of its first day."""


class Ledger:
    """What has been spent, by table and day.  A day is paid for once, and nothing is drawn twice.

    rho : of one day or week of each table, by number;  weekly : which tables are paid by week
    """

    def __init__(self, rho: dict[int, Fraction], charges: Iterable[Charge] = (), weekly: Collection[int] = ()):
        self._rho, self._drawn, self._spent = rho, set[tuple[int, int]](), defaultdict[tuple, Fraction](Fraction)
        self._weekly, self._day = weekly, sum((one for table, one in rho.items() if table not in weekly), Fraction(0))
        for one in charges:
            self._note(one)

    def _note(self, charge: Charge) -> Charge:
        self._drawn.add(charge[:2])
        self._spent[charge.table, charge.day] += charge.rho
        return charge

    def spend(self, table: int, slot: int, day: int) -> Charge:
        """Return the charge of a draw: the first of a day pays for all of it.  RunError when it may not be drawn."""
        spent, rho = self._spent.get((table, day), Fraction(0)), self._rho[table]
        if (table, slot) in self._drawn:
            raise RunError(f"table {table}, slot {slot} is charged already; nothing is drawn twice")
        if spent not in (0, rho):
            raise RunError(f"table {table}: this day was paid for with rho {float(spent):.6g}, and now "
                           f"{float(rho):.6g} is promised; change no budget within a day")
        if table in self._weekly and any(of == table and 0 < abs(day - other) < 7 for of, other in self._spent):
            raise RunError(f"table {table}: a week that overlaps this one was paid for; begin a week after it")
        of_day = sum(one for (of, on), one in self._spent.items() if on == day and of not in self._weekly)
        if table not in self._weekly and of_day + rho - spent > self._day:
            raise RunError(f"table {table}: with it this day costs rho {float(of_day + rho - spent):.6g}, and all "
                           f"tables together promise {float(self._day):.6g}; change no tables within a day")
        return self._note(Charge(table, slot, day, rho - spent))


def spent(statements: Iterable[Statement]) -> dict[str, Fraction]:
    """Return the rho of one subscriber over all tables together, by day, week and 28 days."""
    day = week = Fraction(0)
    for one in statements:
        day, week = (day, week + one.rho) if one.span == "week" else (day + one.rho, week)
    return {"day": day, "week": 7 * day + week, "days_28": 28 * day + 4 * week}


def epsilon(rho: Fraction | float, delta: float = 1e-6) -> float:
    """Return epsilon at delta of a zCDP budget, by OpenDP's conversion (2.142 for 0.1 at 1e-6)."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    curve = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=(2.0 * float(rho)) ** -0.5))
    return float(dp.c.make_fix_delta(curve, delta).map(1.0)[0])
