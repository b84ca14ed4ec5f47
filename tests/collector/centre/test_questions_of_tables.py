"""Questions to tables with axes: what is kept, what is added up, over which spans, and where a place is too small."""

import json
from datetime import datetime
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

from collector.centre.cli import ask
from collector.centre.estimate import INTERVAL_Z
from collector.centre.questions import Question, answer
from collector.centre.stores import Registered
from collector.centre.stores.sqlite import SqliteStore
from probe.base.clock import SPAN_S, epoch_ms
from probe.base.config import ConfigError
from probe.wire import release
from tests.builders_seal import AREAS, STATEMENT, a_release, registered, offered

ROWS = {"area": AREAS, "origin": AREAS, "destination": AREAS, "home": [*AREAS, ["262", "Germany"]],
        **{axis: [[word, word] for word in words.split()] for axis, words in {
            "age": "young old", "gender": "women men unknown", "direction": "arrivals departures",
            "role": "resident worker visitor passer-by", "stay": "short long", "days": "1 2 3-4 5-7"}.items()}}
TABLES = {  # axes, span, value unit, the columns that an answer has when nobody says which
    "presence": ("area", "slot", "person-seconds", "area"),
    "profile": ("area age gender", "part", "person-seconds", "area"),
    "moves": ("area direction", "slot", "persons", "area direction"),
    "visitors": ("area role", "day", "persons", "area role"),
    "dwell": ("area stay gender", "day", "persons", "area stay"),
    "origin": ("home area", "day", "persons", "home area"),
    "flows": ("origin destination", "part", "trips", "origin destination"),
    "zone_flows": ("origin destination", "hour", "trips", "origin destination"),
    "repeat": ("area days", "week", "persons", "area days"),
    "who": ("age gender", "day", "persons", "age gender"),
}
SIGMA = STATEMENT.sigma / 1_000_000
DAYS = 8
SPRING = epoch_ms(datetime(2026, 3, 27), "Europe/Berlin") // 900_000  # two days before one of 23 hours


def a_table(name, first=SPRING, until=None, **changes):
    axes, span, unit, _ = TABLES[name]
    its = {"name": name, "span": span, "value_unit": unit, "axes": [[axis, ROWS[axis]] for axis in axes.split()]}
    return registered(first_slot=first, until_slot=until or first + 96 * DAYS - 4, **its)._replace(**changes)


def a_store(one: Registered, values, path=":memory:", missing=()):
    """Write every slot of a table: the noise of one value is SIGMA, small beside the threshold of 20."""
    store = SqliteStore(path=str(path)).build()
    store.register([one])
    unit = "subscriber-week" if one.span == "week" else "subscriber-day"
    stated = STATEMENT._replace(table=one.name, axes=",".join(axis for axis, _ in one.axes), value_unit=one.value_unit,
                                span=one.span, slot_s=SPAN_S[one.span], unit=unit, warming=False,
                                tally_units=STATEMENT.tally_units * 1_000_000)
    its = (a_release(slot, values[i].ravel(), i)._replace(statement=stated)
           for i, slot in enumerate(one.spans) if i not in missing)
    store.write([offered(release.encode(it)) for it in its])
    return store


def drawn(one, seed=1):
    """Return i8[slots, rows of each axis], far above the threshold."""
    return np.random.Generator(np.random.PCG64(seed)).integers(10**6, 10**7, (len(one.spans), *one.shape))


def asked(one, values, missing=(), **how):
    return answer(a_store(one, values, missing=missing), Question(one.name, **how))


def label(level, local, first):
    """Return what names the period that an instant lies in, by its local time alone."""
    hour = local.isoformat()[:13] + local.isoformat()[-6:]  # with the offset: 02:00 may be there twice
    return {"slot": local.isoformat(), "hour": hour, "part": (local.date(), local.hour // 4), "day": local.date(),
            "week": (local.date() - first).days // 7}[level]


def recount(one, values, level, kept):
    """Return {(period, names): [value, cells added]}, cell by cell."""
    found, berlin = {}, ZoneInfo("Europe/Berlin")
    begins = [datetime.fromtimestamp(900 * slot, berlin) for slot in one.spans]
    for local, table in zip(begins, values, strict=True):
        for cell in product(*(range(n) for n in table.shape)):
            names = [rows[i][1] for (axis, rows), i in zip(one.axes, cell, strict=True) if axis in kept]
            held = found.setdefault((label(level, local, begins[0].date()), *names), [0, 0])
            held[0], held[1] = held[0] + int(table[cell]), held[1] + 1
    return found


LEVELS = [(name, level) for name, (_, span, *_) in TABLES.items() for level in list(SPAN_S)[list(SPAN_S).index(span) :]]


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_every_level_and_choice_of_axes_is_the_sum_of_its_cells(name, level):
    """Over eight days with one of 23 hours: two of the periods of a week, of which the second is not whole."""
    one = a_table(name)
    values, axes = drawn(one), [axis for axis, _ in one.axes]
    for kept in (axes[:1], axes[-1:], axes):
        rows, wanted = asked(one, values, level=level, by=",".join(kept)), recount(one, values, level, kept)
        first = datetime.fromisoformat(rows[0]["slot_start"]).date()
        for row in rows:
            begin, end = (datetime.fromisoformat(row[key]) for key in ("slot_start", "slot_end"))
            value, cells = wanted.pop((label(level, begin, first), *(row[axis] for axis in kept)), (0, 0))
            seconds = (end - begin).total_seconds() if one.value_unit == "person-seconds" else 1
            if level == "week" and begin.date() > first:
                assert row["state"] == "missing" and row["coverage"] < 1 and row["value"] is None
                continue
            assert row["value"] == pytest.approx(value / seconds, rel=1e-12) and row["state"] == "published"
            assert row["high"] - row["value"] == pytest.approx(INTERVAL_Z * SIGMA * cells**0.5 / seconds, rel=1e-3)
        assert not wanted


@pytest.mark.parametrize("name", TABLES)
def test_an_answer_keeps_all_axes_but_age_and_gender_where_nobody_says_which(name):
    (span, kept), one = TABLES[name][1::2], a_table(name)
    row = asked(one, drawn(one))[0]
    assert list(row) == [*kept.split(), "slot_start", "slot_end", "value", "low", "high", "coverage", "state", "unit"]
    length_h = (datetime.fromisoformat(row["slot_end"]) - datetime.fromisoformat(row["slot_start"])).total_seconds()
    assert length_h == {"slot": 3_600, "week": 7 * 86_400 - 3_600}.get(span, SPAN_S[span])


@pytest.mark.parametrize("name", [name for name, (_, span, *_) in TABLES.items() if span != "slot"])
def test_nothing_is_told_of_less_time_than_a_table_counts_over(name):
    one = a_table(name)
    shorter = list(SPAN_S)[: list(SPAN_S).index(one.span)]
    for level in shorter:
        with pytest.raises(ConfigError, match=f'no level "{level}".*there is: {one.span}'):
            asked(one, drawn(one), level=level)


def test_an_area_of_flows_is_where_they_begin_or_end():
    one = a_table("flows")
    rows = asked(one, drawn(one), area=["a"], level="day")
    assert {(row["origin"], row["destination"]) for row in rows} == {
        ("Altstadt", other) for _, other in AREAS} | {(other, "Altstadt") for _, other in AREAS}
    assert {row["destination"] for row in asked(one, drawn(one), area=["a"], by="destination")} == {"Altstadt"}


def test_an_area_is_the_place_and_not_the_home_and_stands_in_the_answer():
    one = a_table("origin")
    rows = asked(one, drawn(one), area=["Altstadt"])
    assert {row["area"] for row in rows} == {"Altstadt"} and {row["home"] for row in rows} == {
        name for _, name in ROWS["home"]}
    assert list(asked(one, drawn(one), area=["Altstadt"], by="home")[0])[:2] == ["home", "area"]


ONLY = {  # table, axes kept, {axis: rows} by id or name
    "a sum over some rows": ("dwell", "gender", {"stay": ["long"]}),
    "some rows of what is kept": ("dwell", "area,stay", {"stay": ["short"]}),
    "two axes": ("profile", "area", {"age": ["young"], "gender": ["women", "MEN"]}),
    "a place that is added up": ("visitors", "role", {"area": ["b", "Altstadt"]}),
    "from one to another": ("flows", "origin,destination", {"origin": ["a"], "destination": ["elsewhere", "b"]}),
    "by name": ("origin", "area", {"home": ["germany", "a"]}),
    "all of them": ("moves", "area", {"direction": ["departures", "arrivals"]}),
}


@pytest.mark.parametrize(("name", "by", "only"), ONLY.values(), ids=ONLY)
def test_rows_that_are_left_out_of_an_axis_are_in_no_sum(name, by, only):
    """As a table in which those cells, and no others, were filled; the noise is of the cells that are added up."""
    one, kept = a_table(name), by.split(",")
    values, cells, mask = drawn(one), 1, np.ones(one.shape, bool)
    for number, (axis, rows) in enumerate(one.axes):
        its = [not only.get(axis) or bool({word.lower() for word in row} & {word.lower() for word in only[axis]})
               for row in rows]
        mask &= np.reshape(its, [-1 if number == k else 1 for k in range(len(one.axes))])
        cells *= 1 if axis in kept else sum(its)
    rows = asked(one, values, level="day", by=by, only=[f"{axis}={','.join(words)}" for axis, words in only.items()])
    whole = asked(one, values * mask, level="day", by=by)
    wanted = {(*(row[axis] for axis in kept), row["slot_start"]): row["value"] for row in whole if row["value"]}
    shown = {(*(row[axis] for axis in kept), row["slot_start"]): row["value"] for row in rows if row["value"]}
    assert shown == wanted and len(rows) == len(shown)
    again = asked(one, values, level="day", by=",".join(axis for axis, _ in one.axes))[0]
    wider = (rows[0]["high"] - rows[0]["value"]) / (again["high"] - again["value"])
    assert wider == pytest.approx(cells**0.5, rel=1e-6)


def test_what_is_below_the_threshold_stays_hidden_whatever_is_left_out():
    one = a_table("visitors")
    values = np.full((DAYS, *one.shape), 10)
    few, more = (asked(one, values, by="area", only=[f"role={words}"])
                 for words in ("worker", "worker,visitor,resident"))
    assert {row["state"] for row in few} == {"hidden"} and {row["value"] for row in more} == {30}


def test_rows_are_given_in_pieces_and_a_name_may_hold_commas():
    zones = [["z01", "zone 01: Aue, Berg and 1 more"], ["z02", "zone 02: Cul"], ["elsewhere", "elsewhere"]]
    one = a_table("zone_flows", axes=[["origin", zones], ["destination", zones]])
    rows = asked(one, drawn(one), level="day", only=["origin=z01", "origin=z02", f"destination={zones[0][1]}"])
    assert {(row["origin"], row["destination"]) for row in rows} == {(zones[k][1], zones[0][1]) for k in (0, 1)}
    rows = asked(one, drawn(one), level="day", area=["Z02"])
    assert all(zones[1][1] in (row["origin"], row["destination"]) for row in rows) and len(rows) == 5 * DAYS


def test_a_sum_over_some_areas_is_placed_as_well_as_the_worst_of_them():
    """An area that cannot be resolved is not told by leaving out all others."""
    one = a_table("dwell", hits=[0.8, 0.49, 0.95])
    for area, state, error in (
            ("b", "unresolved", 0.51), ("a,elsewhere", "published", 0.2), ("a,b", "unresolved", 0.51)):
        rows = asked(one, drawn(one), by="gender", only=[f"area={area}"])
        assert {(row["state"], round(row["place_error"], 9)) for row in rows} == {(state, error)}


UNITS = {"presence": "{} on average", "profile": "{} on average", "moves": "moves of {}", "visitors": "{}",
         "dwell": "{}", "flows": "trips of {}", "repeat": "{}"}


@pytest.mark.parametrize("name", UNITS)
def test_every_value_says_what_it_counts(name):
    one = a_table(name)._replace(**{"value_unit": "moves"} if name == "moves" else {})
    store, of = a_store(one, drawn(one)), UNITS[name].format
    assert {row["unit"] for row in answer(store, Question(name))} == {of("counted persons")}
    who = "adults" if name in ("profile", "dwell") else "people"
    assert {row["unit"] for row in answer(store, Question(name), 4.1669)} == {
        of(who) + " (one counted person stands for 4.17)"}


def test_a_day_that_is_missing_leaves_a_hole_in_its_week_alone():
    one = a_table("visitors", until=SPRING + 14 * 96 - 4)
    values = np.full((14, *one.shape), 100)
    rows = asked(one, values, missing={2}, area=["a"], by="role", level="week")
    assert [row["state"] for row in rows] == ["missing"] * 4 + ["published"] * 4
    assert [row["value"] for row in rows][4:] == [700] * 4
    partial = asked(one, values, missing={2}, area=["a"], by="role", level="week", partial=True)
    assert partial[0]["value"] == 600 and partial[0]["coverage"] == pytest.approx(6 * 24 / (7 * 24), abs=0.01)


def test_a_run_too_short_for_a_table_says_that_it_is_missing():
    one = a_table("visitors", until=SPRING + 12)
    rows = asked(one, drawn(one), by="area")
    assert len(rows) == 3 and {(row["state"], row["coverage"], row["value"]) for row in rows} == {("missing", 0, None)}


def test_few_are_hidden_where_they_are_told_apart_and_shown_where_they_are_not():
    """Ten in each of four roles: a role is below the threshold of 20, their sum is not."""
    one = a_table("visitors")
    values = np.full((DAYS, *one.shape), 10)
    assert {row["state"] for row in asked(one, values)} == {"hidden"}
    assert {row["value"] for row in asked(one, values, by="area")} == {40}


BY_AGE = {"young": 5.0, "old": 8.0}


@pytest.mark.parametrize(("name", "kept", "only"), [
    ("profile", "area", []), ("profile", "area,age", []), ("profile", "age,gender", ["area=a,b"]),
    ("profile", "gender", ["age=old"]), ("profile", "area,gender", ["gender=women"]), ("who", "gender", []),
    ("who", "age", [])])  # fmt: skip
def test_ages_are_weighed_before_they_are_added_up_and_so_is_their_noise(name, kept, only):
    one, words = a_table(name), {text.split("=")[0]: text.split("=")[1].split(",") for text in only}
    values, axes = drawn(one), [axis for axis, _ in one.axes]
    chosen = [[i for i, row in enumerate(rows) if row[0] in words.get(axis, row)] for axis, rows in one.axes]
    slow: dict[tuple, list[float]] = {}
    for cell in product(*chosen):
        weight = BY_AGE[ROWS["age"][cell[axes.index("age")]][0]]
        names = tuple(one.axes[axes.index(axis)][1][cell[axes.index(axis)]][1] for axis in kept.split(","))
        held = slow.setdefault(names, [0.0, 0.0])
        held[0], held[1] = held[0] + weight * int(values[0][cell]), held[1] + weight**2
    rows = answer(a_store(one, values), Question(name, level=one.span, by=kept, only=only), 6.5, BY_AGE)[: len(slow)]
    seconds = 4 * 3_600 if one.value_unit == "person-seconds" else 1
    for row in rows:
        value, squares = slow.pop(tuple(row[axis] for axis in kept.split(",")))
        assert row["value"] == pytest.approx(value / seconds, rel=1e-12)
        assert row["high"] - row["value"] == pytest.approx(INTERVAL_Z * SIGMA * squares**0.5 / seconds, rel=1e-3)
    assert not slow and rows[0]["unit"].endswith(
        "stands for 8.00)" if "age" in words else "stands for 5.00 to 8.00, by age)")


def test_the_threshold_stands_before_ages_are_weighed():
    """Ten young and ten old are hidden, whatever they stand for; an age without a weight stands for the flat one."""
    one, how = a_table("who"), (Question("who", by="gender"), 6.5, {"young": 500.0})
    few, more = (answer(a_store(one, np.full((DAYS, *one.shape), n)), *how) for n in (10, 100))
    assert {row["state"] for row in few} == {"hidden"} and {row["value"] for row in more} == {100 * 506.5}


def test_ask_weighs_by_age_where_a_table_tells_it_and_by_one_factor_elsewhere(tmp_path):
    said = {"extrapolation": 7.0, "extrapolation_adults": 6.5, "extrapolation_by_age": BY_AGE}
    for table, stands in {"profile": "5.00 to 8.00, by age)", "dwell": "6.50)", "presence": "7.00)"}.items():
        (folder := tmp_path / table).mkdir()
        a_store(a_table(table), drawn(a_table(table)), folder / "store.db").close()
        (folder / "run.json").write_text(json.dumps(said))
        rows = json.loads(CliRunner().invoke(ask, [str(folder), table, "--extrapolate", "--format", "json"]).stdout)
        assert rows[0]["unit"].partition("stands for ")[2] == stands


HITS = [0.8, 0.49, 0.95]


def test_where_most_fixes_of_an_area_lie_elsewhere_nothing_is_told():
    one = a_table("dwell", hits=HITS)
    rows = {row["area"]: row for row in asked(one, drawn(one), by="area,gender")}
    assert [row["state"] for row in rows.values()] == ["published", "unresolved", "published"]
    assert [row["place_error"] for row in rows.values()] == pytest.approx([0.2, 0.51, 0.05])
    assert rows["=Bahnhof"]["value"] is rows["=Bahnhof"]["low"] is rows["=Bahnhof"]["high"] is None


def test_a_flow_is_placed_as_well_as_the_worse_of_its_areas():
    one = a_table("flows", hits=HITS)
    rows = {(row["origin"], row["destination"]): row for row in asked(one, drawn(one))}
    assert rows["Altstadt", "elsewhere"]["place_error"] == pytest.approx(0.2)
    assert {key for key, row in rows.items() if row["state"] == "unresolved"} == {
        key for key in rows if "=Bahnhof" in key}


def test_hits_of_areas_say_nothing_of_zones_of_them():
    one = a_table("zone_flows", hits=[*HITS, 0.1])
    assert {(row["state"], row["place_error"]) for row in asked(one, drawn(one))} == {("published", None)}


def test_a_sum_over_all_areas_has_no_place_error():
    one = a_table("dwell", hits=HITS)
    assert {(row["state"], row["place_error"]) for row in asked(one, drawn(one), by="stay")} == {("published", None)}


def test_every_unknown_axis_and_area_is_named_at_once():
    one = a_table("dwell")
    with pytest.raises(ConfigError) as caught:
        asked(one, drawn(one), by="area,sex,stays", area=["Altstad"])
    with pytest.raises(ConfigError) as of_only:
        asked(one, drawn(one), only=["stays=short", "gender=womn", "stay=shorter,long", "area"])
    for part in ('no axis "stays" (did you mean "stay"?)', 'no gender "womn" (did you mean "women"?)',
                 'no stay "shorter" (did you mean "short"?); there is: short, long', 'no area ""; there is: a, Alt'):
        assert part in str(of_only.value)
    for part in ('no axis "sex"', 'no axis "stays" (did you mean "stay"?); there is: area, stay, gender',
                 'no area "Altstad" (did you mean "Altstadt"?)'):
        assert part in str(caught.value)


def test_every_kept_axis_is_a_column_in_every_format(tmp_path):
    one = a_table("dwell", hits=HITS)
    a_store(one, drawn(one), tmp_path / "store.db").close()
    results = {style: CliRunner().invoke(ask, [str(tmp_path), "dwell", "--by", "area,gender", "--format", style])
               for style in ("table", "csv", "json")}
    said = {style: one.stdout for style, one in results.items()}
    assert "cannot be resolved at this site spacing" in results["csv"].stderr
    columns = [*"area gender slot_start slot_end value low high coverage state unit place_error".split()]
    table, text = said["table"].splitlines(), said["csv"].splitlines()
    assert text[0].split(",") == list(json.loads(said["json"])[0]) == columns
    assert table[0].split() == [column for column in columns if column != "unit"]
    assert len(table) - 1 == len(text) == 1 + 9 * DAYS and "unresolved" in table[4]
    assert text[4].startswith("'=Bahnhof,women,") and ",unresolved,counted persons,0.51" in text[4]
