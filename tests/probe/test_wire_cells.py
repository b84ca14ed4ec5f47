"""The plan file: what is written reads back, and every row that is wrong is named."""

import contextlib
import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.base.config import ConfigError
from probe.wire import cells
from probe.wire.cells import COLUMNS, FIELDS, ORIGINS, Plan

SMALL = "cell_id,latitude,longitude\nA,51.5,12.25\n"


@st.composite
def plans(draw):
    """Draw a plan of 1 to 5 cells with absent fields and origins."""
    count = draw(st.integers(1, 5))
    word = st.text("abcXYZ.0189 ,\"'äß-", max_size=8).map(str.strip)
    columns = {}
    for name, (kind, *span) in FIELDS.items():
        if name == "radio":
            values = st.sampled_from(["", *cells.RADIOS])
        elif kind is str:
            values = word
        elif kind is int:
            values = st.just(-1) | st.integers(*span)
        else:
            values = st.floats(*span) | (st.nothing() if name in cells.REQUIRED else st.just(float("nan")))
        columns[name] = cells.column_of(name, draw(st.lists(values, min_size=count, max_size=count)))
    columns["cell_id"] = [f"c{number}" for number in range(count)]
    origin = {}
    for name in draw(st.sets(st.sampled_from(COLUMNS), max_size=4)):
        codes = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
        if any(codes):
            origin[name] = np.array(codes, "u1")
    return Plan(columns, origin)


@given(plans())
def test_what_is_written_reads_back_with_its_origins(plan):
    text = cells.to_csv(plan)
    again = cells.from_csv(text, "plan.csv")
    assert cells.to_csv(again) == text and again.digest() == plan.digest()
    for name, (kind, *_) in FIELDS.items():
        assert np.array_equal(again[name], plan[name], equal_nan=kind is float)
    assert {k: v.tolist() for k, v in again.origin.items()} == {k: v.tolist() for k, v in plan.origin.items()}


def test_only_three_columns_are_needed_and_the_rest_is_absent():
    plan = cells.from_csv(SMALL, "plan.csv")
    assert plan["pci"][0] == -1 and np.isnan(plan["height_m"][0]) and plan["mnc"] == [""]


def test_another_plan_has_another_digest():
    assert cells.from_csv(SMALL, "a").digest() != cells.from_csv(SMALL.replace("51.5", "51.6"), "a").digest()


def test_mnc_is_text_and_columns_come_in_any_order():
    plan = cells.from_csv("mnc,longitude,cell_id,latitude\n01,12,A,51\n1,12,B,51\n", "plan.csv")
    assert plan["mnc"] == ["01", "1"]


def test_cells_that_serve_are_lte_with_an_uplink():
    text = "cell_id,latitude,longitude,radio,frequency_mhz\n"
    text += "A,51,12,LTE,1800\nB,51,12,LTE,1500\nC,51,12,NR,3600\nD,51,12,GSM,900\nE,51,12,LTE,800\n"
    assert cells.from_csv(text, "plan.csv").serving().tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["is empty"]),
        ("cell_id,latitude,longitude\n", ["no cells"]),
        ("cell_id;latitude;longitude\nA;51,5;12\n", ["separated by semicolons; save it with commas", "points"]),
        (
            "id,latitude,latitude\n",
            ['"latitude" stands twice', 'no column "cell_id"', 'no column "longitude"'],
        ),
        ("cell_id,latitude,longitude,heigth_m\nA,51,12,3\n", ['"heigth_m" (did you mean "height_m"?)']),
        (SMALL + ",51,12\n", ["row 3: cell_id is empty"]),
        (SMALL + "A,51,12\n", ["row 3: cell_id A stands in row 2 already"]),
        (SMALL + "B,91,12\nC,x,inf\n", ["row 3: latitude = 91", "row 4: latitude = x", "longitude = inf"]),
        (SMALL + "B,51\nC,51,12,9\n", ["row 3: 2 fields", "row 4: 4 fields"]),
        ("cell_id,latitude,longitude,radio,pci\nA,51,12,lte,1.5\n", ['did you mean "LTE"?', "pci = 1.5"]),
        ("cell_id,latitude,longitude,origin\nA,51,12,pci=guessed\n", ['origin "pci=guessed"']),
    ],
)
def test_every_problem_is_named(text, expected):
    with pytest.raises(ConfigError) as raised:
        cells.from_csv(text, "plan.csv")
    said = "\n".join(raised.value.problems)
    assert all(words in said for words in expected), said


def test_a_long_list_of_problems_ends_with_their_number():
    text = "cell_id,latitude,longitude\n" + "".join(f"c{number},x,12\n" for number in range(80))
    with pytest.raises(ConfigError) as raised:
        cells.from_csv(text, "plan.csv")
    assert len(raised.value.problems) == 51 and raised.value.problems[-1] == "and 30 more rows"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: SMALL + data.decode("latin-1")))
def test_hostile_text_raises_only_config_errors(text):
    with contextlib.suppress(ConfigError):
        cells.from_csv(text, "plan.csv")


def test_golden():
    """The header and one row, typed by hand: the file that other programs read."""
    plan = cells.from_csv(SMALL, "plan.csv")
    plan.origin["pci"] = np.array([ORIGINS.index("imputed")], "u1")
    plan.columns["pci"][0] = 17
    rows = list(csv.reader(io.StringIO(cells.to_csv(plan))))
    assert rows[0] == [*COLUMNS, "origin"]
    assert rows[1] == ["A", "", "", "", "", "", "17", "", "", "51.5", "12.25", *[""] * 9, "pci=imputed"]
