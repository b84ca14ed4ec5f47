"""Named, typed questions to a store, and their answers as rows: how many people, who, where, when, where from."""

import json
from collections import namedtuple
from contextlib import suppress
from datetime import datetime
from itertools import chain, product
from math import prod
from pathlib import Path

import numpy as np

from collector.centre.estimate import Estimate, Slots, State, estimate
from collector.centre.stores import Registered, Store, whole
from collector.centre.stores.sqlite import SqliteStore
from probe.base import clock
from probe.base.config import ConfigError, did_you_mean

LEVELS, PLACES = [*clock.SPAN_S], ("area", "origin", "destination")
WHO = ("age", "gender")  # axes that an answer keeps only where they are asked for
RESOLVED_MIN = 0.5  # where less of a fix lies in the area that the person stands in, a number would be of other areas
# What is asked: text, but for the flag partial.  level: of LEVELS, None = hour, or what the table is counted over;
# area: ids or names, () = all; begin, end: local times, ISO 8601; a period that overlaps them is answered whole;
# by: the axes to keep, joined by commas, None = all but those of WHO; only: "axis=row,row" each, ids or names: the
# other rows of that axis are left out before anything is added up.
Question = namedtuple("Question", "table level area begin end by partial only",
                      defaults=(None, (), None, None, None, False, ()))


def opened(path: Path) -> tuple[Store, Path]:
    """Return (the store of a run folder or a store file, its folder), or say that it is neither."""
    found = path / "store.db" if path.is_dir() else path
    return SqliteStore(path=str(found)).reader(), found.parent


def extrapolation(folder: Path, store: Store, table: str) -> tuple[float, dict[str, float]]:
    """Return how many people one counted device stands for, as run.json of the folder says; and by age where told.

    A table that tells age or gender counts adults, and extrapolates to adults.
    """
    axes = {axis for one in store.registered() if one.name == table for axis, _ in one.axes}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        said = json.loads((folder / "run.json").read_text("utf-8"))
        by_age = {age: float(one) for age, one in said.get("extrapolation_by_age", {}).items()} if "age" in axes else {}
        return float(said["extrapolation" + "_adults" * bool(axes & {*WHO})]), by_age
    raise ConfigError(str(folder), ['no run.json with "extrapolation" beside the store; ask without --extrapolate'])


def answer(store: Store, question: Question, factor=1.0, by_age: dict[str, float] | None = None) -> list[dict]:
    """Return one row a cell of the axes kept, and period; ConfigError names every problem of the question.

    Columns: the axes (names), slot_start and slot_end (local time with its offset), value, low
    and high (persons on average over the period, or how many; None where not shown), coverage,
    state, unit; and place_error where the edge has stated hits: the share of the people there
    whose fixes lie elsewhere.
    factor multiplies what is shown, after the threshold; 1 = counted devices.  by_age, by the ids of that axis, stands
    in its place where the table tells age, also where it is added up.
    """
    expected, asked, begin_ms, end_ms = checked(store.registered(), question)
    first, rows, cells = expected[0], list[dict](), cells_of(expected[0], asked)
    slots, factors = summed(load(store, expected), first, asked), factors_of(first, asked, factor, by_age or {})
    unit = unit_of(first, factors)
    warming = slots.warming & (asked.level not in ("day", "week"))  # every day has its warming hour, a small part of it
    kept = [cell for cell, *_ in cells]
    slots, factors = slots._replace(values=slots.values[:, kept], warming=warming), factors[kept]
    places = prod(len(its) for axis, its in asked.only.items() if axis in {*PLACES, "direction"} - {*asked.by})
    for begin, end in periods(first, asked.level, begin_ms, end_ms):
        span = in_words(first, begin, end)
        found = estimate(slots.inside(begin, end), end - begin, first.averaged, asked.partial, factors, places)
        for (_, names, hit), one in zip(cells, found, strict=True):
            if hit is not None and not hit >= RESOLVED_MIN:
                one = Estimate(None, None, None, one.coverage, State.UNRESOLVED)
            stated = {"place_error": None if hit is None else 1 - hit} if first.hits else {}
            rows.append({**names, "slot_start": span[0], "slot_end": span[1], **one._asdict(), "unit": unit, **stated})
    return rows


def factors_of(table: Registered, asked: Question, factor: float, by_age: dict[str, float]) -> np.ndarray:
    """Return f8[cells, parts]: how many people one counted device of each part of a cell stands for, as of answer."""
    ages = [by_age.get(rows[i][0], factor) for axis, rows in table.axes if axis == "age" for i in asked.only[axis]]
    kept = {axis: len(asked.only[axis]) for axis, _ in table.axes if axis in asked.by}
    parts = len(ages) if ages and "age" not in kept else 1
    each = np.reshape(ages or [factor], [*(len(ages) if axis == "age" else 1 for axis in kept), parts])
    return np.broadcast_to(each, (*kept.values(), parts)).reshape(prod(kept.values()), parts)


def unit_of(table: Registered, factors: np.ndarray) -> str:
    """Return what one of the values is, in words; factors: of factors_of."""
    of = "" if table.averaged or table.value_unit == "persons" else f"{table.value_unit} of "
    average, who = " on average" * table.averaged, "adults" if {*WHO} & {*dict(table.axes)} else "people"
    least, most = f"{factors.min(initial=np.inf):.2f}", f"{factors.max(initial=0):.2f}"
    stands = f"{who}{average} (one counted person stands for {least}{f' to {most}, by age' * (least != most)})"
    return of + (stands if np.any(factors != 1) else f"counted persons{average}")


def remarks(store: Store, question: Question) -> list[str]:
    """Return what the answer leaves unsaid: what the run covers, if nothing or more of it; errors left out."""
    (first, *_), asked, begin_ms, end_ms = checked(store.registered(), question)
    if not (found := periods(first, asked.level, begin_ms, end_ms)):
        run = in_words(first, *(slot * first.slot_s * clock.SECOND_MS for slot in (first.first_slot, first.until_slot)))
        return [f"nothing to tell of that time: the run covers {' to '.join(run)}"]
    told = found[0][0], found[-1][1]
    wider = told[0] < begin_ms or told[1] > end_ms
    taken_in = [area for (axis, rows), only in zip(first.axes, asked.only.values(), strict=True) for area in only
                if axis not in asked.by and len(rows) == len(first.hits) and first.hits[area] < RESOLVED_MIN]
    return [words for words, there in {
        f"widened to whole periods ({asked.level}): {' to '.join(in_words(first, *told))}": wider,
        f"the sum takes in {len(taken_in)} areas that cannot be resolved; leave them out with --only": taken_in,
        "intervals are of the noise alone: what no event told, and who stood elsewhere, is in `footfall score` (bias)":
            not first.averaged}.items() if there]


def in_words(table: Registered, *times_ms: int) -> list[str]:
    """Return local times with their offset."""
    return [clock.local(ms, table.zone).isoformat(timespec="minutes") for ms in times_ms]


def checked(registered: list[Registered], question: Question) -> tuple[list[Registered], Question, int, int]:
    """Return (what is registered under the table asked for, the question made exact, begin_ms, end_ms).

    Of the question level is set, by is a list of axes, area one of [id, name], and only a dict: the numbers of the
    rows chosen, by axis, of every axis in order.  Or raise every problem.
    """
    problems: list[str] = []

    def named(what: str, name: str, known: list[str]) -> None:
        if name not in known:
            there = ", ".join(known[:20] + ["..."] * (len(known) > 20)) or "none"
            problems.append(f'no {what} "{name}"{did_you_mean(name, known)}; there is: {there}')

    def picked(what: str, word: str, rows: list[list[str]]) -> list[int]:
        """Return which rows have a word as id or name; how it is capitalised counts where both are there."""
        same = [i for i, row in enumerate(rows) if word in row] or [
            i for i, row in enumerate(rows) if word.casefold() in map(str.casefold, row)]
        named(what, word, [*dict.fromkeys(chain(*rows)), *[word] * len(same)])
        return same

    def moment(text: str | None, otherwise: int) -> int:
        """Return UTC milliseconds of ISO 8601; local time of the areas where it has no offset."""
        try:
            if text is not None:
                parsed = datetime.fromisoformat(text)
                return int(parsed.replace(tzinfo=parsed.tzinfo or clock.zone(zone)).timestamp()) * clock.SECOND_MS
        except (ValueError, OverflowError):
            problems.append(f'"{text}" is no time; write 2026-05-12 or 2026-05-12T08:00')
        return otherwise

    expected = [one for one in registered if one.name == question.table]
    zone, axes = (expected[0].zone, dict(expected[0].axes)) if expected else ("UTC", {})
    levels = LEVELS[LEVELS.index(expected[0].span) :] if expected else LEVELS
    level = question.level or ("hour" if "hour" in levels else levels[0])
    kept = question.by.split(",") if question.by else [axis for axis in axes if axis not in WHO] or [*axes]
    area, only = [], dict[str, set[int]]()
    if question.area and "area" in axes:
        kept.append("area")
    named("table", question.table, sorted({one.name for one in registered}))
    named("level", level, levels)
    if expected:
        for axis in kept:
            named("axis", axis, [*axes])
        places = [row for axis in kept if axis in PLACES for row in axes.get(axis, [])]
        area = [places[i] for word in question.area for i in picked("area", word, places)]
        for axis, _, text in (one.partition("=") for one in question.only):
            named("axis", axis, [*axes])
            rows = axes.get(axis, [[text]])
            for word in [text] if any(text in row for row in rows) else text.split(","):  # a name may hold commas
                only.setdefault(axis, set()).update(picked(axis, word, rows))
    begin_ms, end_ms = moment(question.begin, 0), moment(question.end, 1 << 62)
    if begin_ms >= end_ms:
        problems.append(f"from {question.begin} to {question.end}: nothing lies between")
    if problems:
        raise ConfigError("question", problems)
    chosen = {axis: sorted(only.get(axis, range(len(rows)))) for axis, rows in axes.items()}
    return expected, question._replace(level=level, by=kept, area=area, only=chosen), begin_ms, end_ms


def periods(expected: Registered, level: str, begin_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return (begin_ms, end_ms) of the level's periods that overlap what is registered and asked for, whole or not."""
    slot_ms = expected.slot_s * clock.SECOND_MS
    first_ms, until_ms = expected.first_slot * slot_ms, expected.until_slot * slot_ms
    day_ms = clock.midnights_ms(first_ms, first_ms, expected.zone)[0]
    wide_ms = until_ms + clock.SPAN_S[level] * clock.SECOND_MS + clock.HOUR_MS  # to the end of the last one
    found = clock.spans(level, day_ms, wide_ms, expected.zone, slot_ms)
    return [(a, b) for a, b in found if max(a, begin_ms, first_ms) < min(b, end_ms, until_ms)]


def cells_of(table: Registered, asked: Question) -> list[tuple[int, dict[str, str], float | None]]:
    """Return (cell, name by axis, hit) of the cells over the axes kept: all, or those that have an area in them.

    hit : that of the worst of the cell's places, and of those chosen that are added up; None where none is stated
    """
    hits = {axis: table.hits for axis, rows in table.axes if axis in PLACES and len(rows) == len(table.hits)}
    axes, found = [(axis, rows) for axis, rows in table.axes if axis in asked.by], []
    worst = [table.hits[i] for axis, rows in table.axes if axis in hits and axis not in asked.by
             for i in asked.only[axis] if len(asked.only[axis]) < len(rows)]
    for cell, rows in enumerate(product(*(asked.only[axis] for axis, _ in axes))):
        named = {axis: its[i] for (axis, its), i in zip(axes, rows, strict=True)}
        if not asked.area or any(named[axis] in asked.area for axis in PLACES if axis in named):
            told = [hits[axis][i] for (axis, _), i in zip(axes, rows, strict=True) if axis in hits]
            found.append((cell, {axis: name for axis, (_, name) in named.items()}, min(told + worst, default=None)))
    return found


def summed(slots: Slots, table: Registered, asked: Question) -> Slots:
    """Return the slots with the axes that are not kept added up, over the rows chosen; and its variance with them.

    values : i8[slots, cells, parts]; the parts are the ages, where they are not kept
    """
    gone = {axis: i for i, (axis, _) in enumerate(table.axes, 1) if axis not in asked.by}
    values = slots.values.reshape(-1, *table.shape)[np.ix_(range(len(slots.values)), *asked.only.values())]
    ages, others = [gone.pop("age")] if "age" in gone else [], tuple(gone.values())
    cells, values = prod(values.shape[i] for i in others), values.sum(axis=others, keepdims=True)
    values = np.moveaxis(values[..., None], ages, [-1] * len(ages))
    return slots._replace(values=values.reshape(len(values), prod(values.shape[1:-1]), values.shape[-1]),
                          sigma=slots.sigma * cells**0.5)


def load(store: Store, expected: list[Registered]) -> Slots:
    """Return every registered slot of a table, added over its probes."""
    first, count = expected[0], len(expected[0].spans)
    values = np.zeros((count, prod(first.shape)), np.int64)
    variance, parts, most, warming = sums = np.zeros((4, count))
    row_of = {slot: row for row, slot in enumerate(first.spans)}
    for one in whole(store, first.table):
        if one.statement is not None:
            row = row_of[one.slot]
            values[row] += one.values
            sums[:2, row] += one.statement.sigma**2, 1
            sums[2:, row] = np.maximum(sums[2:, row], (one.statement.bound_squared, one.statement.warming))
    span_ms = np.array(list(first.spans.values()), "i8").reshape(-1, 2)
    return Slots(values, np.sqrt(variance), parts == len(expected), warming > 0, span_ms, most)
