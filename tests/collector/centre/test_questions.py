"""Questions: values, intervals, thresholds, what is missing; and the command line of it."""

import json
import subprocess
import sys
from datetime import datetime
from math import sqrt

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from collector.centre.cli import ask
from collector.centre.completeness import account
from collector.centre.estimate import Slots, State, estimate
from collector.centre.questions import Question, answer, remarks
from collector.centre.stores import Beaten
from collector.centre.stores.sqlite import SqliteStore
from probe.base.clock import epoch_ms
from probe.base.config import ConfigError
from probe.base.main import footfall
from probe.wire import release
from probe.wire.envelope import Beat
from tests.builders_seal import FIRST, INC, STATEMENT, a_loss, a_release, registered, offered

SIGMA = 34_017.0
PEOPLE = 1_000


def a_store(path, lost=(), missing=(), expected=None, warming=4):
    """Write a store: 1,000 people in the first area, 10 in the second, none elsewhere."""
    store = SqliteStore(path=str(path)).build()
    expected = expected or registered()
    store.register([expected])
    entries = []
    for seq, slot in enumerate(range(expected.first_slot, expected.until_slot)):
        if slot - expected.first_slot in missing:
            continue
        warm = STATEMENT._replace(warming=seq < warming)
        one = a_release(slot, [900 * PEOPLE, 9_000, 0], seq)._replace(statement=warm)
        one = a_loss(slot, seq=seq) if slot - expected.first_slot in lost else one
        entries.append(offered(release.encode(one)))
    store.write([*entries, Beaten(1, INC, Beat(expected.due_ms(expected.until_slot - 1), 0, [], 0))])
    return store


def rows_of(store, factor=1.0, **asked):
    return answer(store, Question("presence", **asked), factor)


def slots(values, stored=None, warming=None):
    values = np.array(values, "i8")
    stored = np.ones(len(values), bool) if stored is None else np.array(stored)
    warming = np.zeros(len(values), bool) if warming is None else np.array(warming)
    span_ms = 900_000 * np.arange(len(values))[:, None] + [0, 900_000]
    return Slots(values, np.where(stored, SIGMA, 0.0), stored, warming, span_ms, np.full(len(values), 12))


def estimated(some, partial=False, factor=1.0, averaged=True):
    return estimate(some, 900_000 * len(some.values), averaged, partial, factor)


def test_an_hour_is_the_exact_sum_of_its_slots():
    one = estimated(slots([[900_000], [900_001], [899_999], [900_000]]))[0]
    sigma = SIGMA * sqrt(4) / 3_600
    assert (one.value, one.coverage, one.state) == (1000.0, 1.0, State.PUBLISHED)
    assert one.high - one.value == pytest.approx(1.96 * sigma) == pytest.approx(one.value - one.low)


def test_the_threshold_of_an_hour_is_78_devices():
    """20 + 3.09 x 34,017 x 2 / 3,600 = 78.4."""
    for persons, state in ((78, State.HIDDEN), (79, State.PUBLISHED)):
        assert estimated(slots([[900 * persons]] * 4))[0].state == state


def test_few_persons_who_count_often_are_not_shown():
    """19 persons in 9 areas on 7 days are 1,197 visits: less than what 20 persons can make, who count in 12 a day."""
    few = Slots(np.full((7, 1), 19 * 9), np.ones(7), np.ones(7, bool), np.zeros(7, bool),
                np.arange(14).reshape(7, 2) // 2 * 86_400_000 + [0, 86_400_000], np.full(7, 12))  # fmt: skip
    week_ms = 7 * 86_400_000
    assert estimate(few, week_ms, False, False, 1.0, places=9)[0].state == State.HIDDEN
    assert estimate(few._replace(values=few.values * 2), week_ms, False, False, 1.0, places=9)[0].value == 2 * 1_197


def test_the_threshold_stands_before_extrapolation():
    """78 devices are not shown as 390 people; 79 are, as 395."""
    hidden, shown = (estimated(slots([[900 * n]] * 4), factor=5.0)[0] for n in (78, 79))
    assert (hidden.value, hidden.low, hidden.high) == (None, None, None)
    assert shown.value == 395


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.booleans())
def test_missing_is_never_zero(stored, partial):
    values = [[900_000 if here else 0] for here in stored]
    one = estimated(slots(values, stored), partial)[0]
    assert one.coverage == sum(stored) / len(stored)
    if all(stored) or (partial and any(stored)):
        assert (one.value, one.state) == (1000, State.PUBLISHED if all(stored) else State.PARTIAL)
    else:
        assert (one.value, one.low, one.high, one.state) == (None, None, None, State.MISSING)


def test_warming_is_said_but_never_above_the_threshold():
    shown, hidden = estimated(slots([[900_000, 900]] * 4, warming=[1, 0, 0, 0]))
    assert (shown.state, shown.value, hidden.state, hidden.value) == (State.WARMING, 1000, State.HIDDEN, None)


def test_intervals_do_not_go_below_zero():
    sure = slots([[900 * 30]])._replace(sigma=np.array([1.0]))
    wide = slots([[10**9]])._replace(sigma=np.array([3e8]))
    assert estimated(sure)[0].low > 0 and estimated(wide)[0].low >= 0


def test_the_account_names_due_stored_and_lost(tmp_path):
    assert account(a_store(tmp_path / "s", lost={3}, missing={5})) == {"due": 24, "stored": 22, "lost": 1}
    one = registered(hours=1)
    for early_ms, due in ((0, 3), (1, 2)):
        store = SqliteStore(path=str(tmp_path / f"early {early_ms}")).build()
        store.register([one])
        stored = [a_release(FIRST, [900 * PEOPLE, 9_000, 0], 0), a_loss(FIRST + 1, seq=1)]
        beat = Beat(one.due_ms(FIRST + 2) - early_ms, 1, [], 0)
        store.write([*(offered(release.encode(its)) for its in stored), Beaten(1, INC, beat)])
        assert account(store) == {"due": due, "stored": 1, "lost": 1}


def test_every_area_and_hour_has_a_row(tmp_path):
    rows = rows_of(a_store(tmp_path / "s"))
    assert len(rows) == 6 * 3
    assert {row["area"] for row in rows} == {"Altstadt", "=Bahnhof", "elsewhere"}
    first, second = [row for row in rows if row["area"] == "Altstadt"][:2]
    assert (first["state"], second["state"]) == ("warming", "published")
    assert (second["slot_start"], second["slot_end"]) == ("2026-05-12T01:00+02:00", "2026-05-12T02:00+02:00")
    assert second["value"] == PEOPLE
    assert {row["state"] for row in rows if row["area"] != "Altstadt"} == {"hidden"}


def test_a_lost_and_a_missing_slot_are_a_hole_in_their_hour_alone(tmp_path):
    store = a_store(tmp_path / "s", lost={5}, missing={9})
    rows = rows_of(store, area=["a"])
    assert [row["state"] for row in rows] == ["warming", "missing", "missing"] + ["published"] * 3
    assert [row["coverage"] for row in rows] == [1, 0.75, 0.75, 1, 1, 1]
    partial = rows_of(store, area=["a"], partial=True)
    assert [row["value"] for row in partial] == [PEOPLE] * 6
    assert [row["state"] for row in partial] == ["warming", "partial", "partial"] + ["published"] * 3
    assert partial[1]["high"] > partial[3]["high"]


def test_a_damaged_row_counts_as_missing(tmp_path):
    store = a_store(tmp_path / "s")
    store._db.execute("DROP TRIGGER no_update")
    store._db.execute("UPDATE release SET frame = substr(frame, 1, 100) WHERE slot = ?", (FIRST + 4,))
    assert rows_of(store, area=["a"], level="slot")[4]["state"] == "missing"


def test_levels_and_times(tmp_path):
    store = a_store(tmp_path / "s")
    assert len(rows_of(store, area=["Altstadt"], level="slot")) == 24
    (day,) = rows_of(store, area=["Altstadt"], level="day")
    assert (day["slot_start"], day["slot_end"], day["coverage"]) == (
        "2026-05-12T00:00+02:00",
        "2026-05-13T00:00+02:00",
        0.25,
    )
    assert day["value"] is None
    some = rows_of(store, area=["a"], begin="2026-05-12T01:30", end="2026-05-12T03:00")
    assert [row["slot_start"][11:16] for row in some] == ["01:00", "02:00"]
    assert rows_of(store, begin="2026-05-13") == []
    assert rows_of(store, area=["a"], begin="2026-05-12T00:00Z") == rows_of(store, area=["a"], begin="2026-05-12T02:00")


@pytest.mark.parametrize(("date", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_may_have_23_or_25_hours(tmp_path, date, hours):
    first = epoch_ms(datetime(*date), "Europe/Berlin") // 900_000
    one = registered(first_slot=first, until_slot=first + 4 * hours)
    store = a_store(tmp_path / "s", expected=one)
    (day,) = rows_of(store, area=["a"], level="day")
    assert (day["coverage"], day["value"], day["state"]) == (1.0, PEOPLE, "published")
    assert len(rows_of(store, area=["a"])) == hours


def test_two_probes_add_up_and_both_are_needed(tmp_path):
    store = a_store(tmp_path / "s")
    store.register([registered(probe=2)])
    assert rows_of(store, area=["a"])[2]["state"] == "missing"
    other = [a_release(FIRST + i, [900 * PEOPLE, 0, 0], i, probe=2) for i in range(24)]
    store.write([offered(release.encode(one)) for one in other])
    row = rows_of(store, area=["a"])[2]
    assert row["value"] == 2 * PEOPLE
    assert row["high"] - row["value"] == pytest.approx(1.96 * STATEMENT.sigma * sqrt(8) / 3_600)


def test_every_problem_of_a_question_is_named_at_once(tmp_path):
    store = a_store(tmp_path / "s")
    with pytest.raises(ConfigError) as caught:
        rows_of(store, area=["Altstad"], level="hours", by="age", begin="now")
    text = str(caught.value)
    levels = "slot, hour, part, day, week"
    for part in ('"Altstad" (did you mean "Altstadt"?)', '"hours" (did you mean "hour"?)', levels):
        assert part in text
    assert 'no axis "age"' in text and '"now" is no time' in text
    with pytest.raises(ConfigError, match=r'"presense" \(did you mean "presence"\?\); there is: presence'):
        answer(store, Question("presense"))
    with pytest.raises(ConfigError, match="nothing lies between"):
        rows_of(store, begin="2026-05-13", end="2026-05-12")


@pytest.fixture
def run(tmp_path):
    a_store(tmp_path / "store.db").close()
    (tmp_path / "run.json").write_text(json.dumps({"extrapolation": 4.0, "extrapolation_adults": 3.0}))
    return tmp_path


def asked(*words):
    return CliRunner().invoke(ask, list(map(str, words)))


def test_ask_answers_in_three_formats(run):
    table = asked(run, "presence", "--area", "a").output.splitlines()
    assert table[0].split() == ["area", "slot_start", "slot_end", "value", "low", "high", "coverage", "state"]
    assert len(table) == 8 and "1,000.0" in table[2] and table[7] == "unit: counted persons on average"
    text = asked(run, "presence", "--format", "csv").output.splitlines()
    assert len(text) == 19 and text[2].startswith("'=Bahnhof,2026-05-12T00:00+02:00,")
    assert text[0].endswith(",coverage,state,unit") and text[4].endswith(",1.0,published,counted persons on average")
    rows = json.loads(asked(run / "store.db", "presence", "--format", "json", "--extrapolate").output)
    assert rows[3]["value"] == 4 * PEOPLE and list(rows[0])[-2:] == ["state", "unit"]
    assert {row["unit"] for row in rows} == {"people on average (one counted person stands for 4.00)"}


def test_numbers_in_csv_and_json_have_one_digit_and_shares_three(run):
    """Half of the interval is 1.96 x 34,017 x 2 / 3,600, a third of a day 0.25."""
    (row,) = json.loads(asked(run, "presence", "--area", "a", "--level", "hour", "--format", "json",
                              "--from", "2026-05-12T03:00", "--to", "2026-05-12T04:00").stdout)
    half = round(1.96 * STATEMENT.sigma * 2 / 3_600, 1)
    assert (row["low"], row["value"], row["high"]) == (PEOPLE - half, PEOPLE, PEOPLE + half)
    said = asked(run, "presence", "--level", "week", "--area", "a", "--format", "csv").stdout.splitlines()
    assert said[1].split(",")[-3:] == ["0.036", "missing", "counted persons on average"]  # 6 of 168 hours


def test_of_many_rows_the_hidden_ones_are_counted_and_left_out_of_the_table_alone(run):
    """72 rows by slot: two of three areas are hidden; 60 rows are told whole."""
    said = {style: asked(run, "presence", "--level", "slot", "--format", style).stdout for style in ("table", "csv")}
    table = said["table"].splitlines()
    assert len(said["csv"].splitlines()) == 1 + 72 and len(table) == 1 + 24 + 2 and "hidden" not in said["table"][:-200]
    assert table[-1] == ("48 of 72 rows are hidden (below the threshold); "
                         "fewer axes in --by or a longer --level show more")
    fewer = asked(run, "presence", "--level", "slot", "--to", "2026-05-12T05:00").stdout.splitlines()
    assert len(fewer) == 1 + 60 + 2 and fewer[-2].startswith("unit: ")
    assert fewer[-1].startswith("40 of 60 rows are hidden")


def test_a_time_outside_the_run_is_answered_with_what_the_run_covers(run):
    said = asked(run, "presence", "--from", "2026-05-13", "--format", "csv")
    assert said.exit_code == 0 and len(said.stdout.splitlines()) == 1
    assert "the run covers 2026-05-12T00:00+02:00 to 2026-05-12T06:00+02:00" in said.stderr
    assert asked(run, "presence", "--from", "2026-05-12", "--to", "2026-05-13").stderr == ""


WIDENED = {
    "a begin": ({"begin": "2026-05-12T01:30"}, ["2026-05-12T01:00+02:00 to 2026-05-12T06:00+02:00"]),
    "an end": ({"end": "2026-05-12T01:01"}, ["2026-05-12T00:00+02:00 to 2026-05-12T02:00+02:00"]),
    "a day": ({"level": "day", "begin": "2026-05-12T03:00", "end": "2026-05-12T04:00"},
              ["2026-05-12T00:00+02:00 to 2026-05-13T00:00+02:00"]),
    "whole hours": ({"begin": "2026-05-12T01:00", "end": "2026-05-12T02:00"}, []),
    "more than the run": ({"begin": "2026-05-11T01:30", "end": "2026-05-13"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("how", "times"), WIDENED.values(), ids=WIDENED)
def test_times_that_are_widened_to_whole_periods_are_said(how, times, tmp_path):
    said = remarks(a_store(tmp_path / "s"), Question("presence", **how))
    level = how.get("level", "hour")
    assert said == [f"widened to whole periods ({level}): {time}" for time in times]


def test_several_areas_are_asked_for_in_any_case(run):
    rows = json.loads(asked(run, "presence", "--area", "ALTSTADT", "--area", "b", "--format", "json").stdout)
    assert {row["area"] for row in rows} == {"Altstadt", "=Bahnhof"}
    with pytest.raises(ConfigError, match='no area "x"; there is: a, Altstadt, b, =Bahnhof, elsewhere'):
        rows_of(a_store(run / "s"), area=["a", "x"])


def test_how_an_area_is_capitalised_counts_where_both_are_there(tmp_path):
    store = a_store(tmp_path / "s", expected=registered(axes=[["area", [["a", "x"], ["b", "A"], ["B", "y"]]]]))
    names = {word: {row["area"] for row in rows_of(store, area=[word])} for word in ("a", "A", "b", "B", "X")}
    assert names == {"a": {"x"}, "A": {"A"}, "b": {"A"}, "B": {"y"}, "X": {"x"}}


def test_ask_refuses_what_is_no_run_and_no_store(tmp_path):
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "empty.db"):
        (tmp_path / "empty.db").write_bytes(b"")
        result = asked(path, "presence")
        assert isinstance(result.exception, ConfigError)


def test_ask_extrapolates_only_by_what_the_run_says(run):
    (run / "run.json").write_text('{"extrapolation": "many"}')
    assert isinstance(asked(run, "presence", "--extrapolate").exception, ConfigError)
    assert asked(run, "presence").exit_code == 0


def test_ask_imports_no_compiler(run):
    code = (
        "import sys; from click.testing import CliRunner; from collector.centre.cli import ask\n"
        f"assert CliRunner().invoke(ask, [{str(run)!r}, 'presence']).exit_code == 0\n"
        "assert not {'numba', 'shapely', 'zmq'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_ask_is_a_command_of_footfall():
    assert footfall.get_command(None, "ask") is ask
