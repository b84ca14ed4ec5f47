"""Layouts: what is built, read, refused, filled in, and the contract that every one must keep."""

from pathlib import Path

import numpy as np
import pytest

from probe.base import plugins
from probe.base.config import ConfigError, parse
from probe.base.plane import LocalFrame
from probe.wire import cells
from simulator.layouts import check
from simulator.layouts.complete import complete
from simulator.layouts.hexagonal import Hexagonal
from simulator.layouts.layout import Layout
from simulator.layouts.table import Table

FRAME = LocalFrame(51.0, 10.0)
LEIPZIG = Path(__file__).parents[3] / "shared" / "data" / "leipzig"
GOOD = "cell_id,latitude,longitude,azimuth_deg\nA,51.0,10.0,30\nB,51.0,10.0,\n"


def table(tmp_path, text, **settings):
    path = tmp_path / "plan.csv"
    path.write_text(text)
    return Table(path=str(path), **settings)


def problems(act, *arguments):
    with pytest.raises(ConfigError) as raised:
        act(*arguments)
    return "\n".join(raised.value.problems)


@pytest.mark.parametrize("rings", [0, 1, 2, 5])
def test_rings_hold_one_and_three_r_times_r_plus_one_sites_at_their_spacing(rings):
    layout = Hexagonal(rings=rings, site_spacing_m=700).build()
    places = np.unique(np.round(np.stack([layout.columns["x_m"], layout.columns["y_m"]], axis=1), 3), axis=0)
    assert len(places) == 1 + 3 * rings * (rings + 1)
    assert len(layout) == len(places) * 3 * 2
    if rings:
        gap_m = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(places))
        assert np.allclose(gap_m.min(axis=1), 700, atol=0.01)


def test_zones_stand_wider_outside_and_never_on_top_of_each_other():
    zones = ({"radius_m": 1_500, "site_spacing_m": 500}, {"radius_m": 5_000, "site_spacing_m": 1_000})
    layout = parse(Hexagonal, "[layout]", {"zones": zones}).build()
    places = np.unique(np.stack([layout.columns["x_m"], layout.columns["y_m"]], axis=1), axis=0)
    gap_m = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 1e9 * np.eye(len(places))
    radius_m = np.hypot(*places.T)
    assert gap_m.min() >= 499 and radius_m.max() <= 5_000
    assert np.median(gap_m.min(axis=1)[radius_m < 1_300]) == pytest.approx(500)
    assert np.median(gap_m.min(axis=1)[radius_m > 2_500]) == pytest.approx(1_000)


def test_wrong_settings_are_all_named_at_once():
    wrong = {"ring": 2, "site_spacing_m": -1, "zones": [{"radius_m": 5, "site_spacing_m": 9}]}
    said = problems(parse, Hexagonal, "[layout]", wrong)
    assert 'unknown key "ring" (did you mean "rings"?)' in said and "site_spacing_m = -1" in said and "zones.0" in said
    falling = [{"radius_m": 900, "site_spacing_m": 500}, {"radius_m": 500, "site_spacing_m": 500}]
    assert "innermost first" in problems(parse, Hexagonal, "[layout]", {"zones": falling})


def test_what_is_missing_is_filled_in_and_said():
    plan, report = complete(Hexagonal(rings=3).build(), FRAME)
    assert (report.cells, report.sites) == (222, 37) and not report.dropped
    assert set(report.imputed) >= {"site_id", "cell_id", "tac", "pci", "arfcn", "power_dbm", "downtilt_deg"}
    assert "height_m" not in report.imputed and "azimuth_deg" not in report.imputed
    assert (plan.origin["pci"] == cells.ORIGINS.index("imputed")).all() and "height_m" not in plan.origin
    assert len(set(plan["cell_id"])) == 222 and set(plan["radio"]) == {"LTE"}
    assert set(plan["arfcn"]) == {6_300, 1_575} and plan.serving().all()
    # 46 dBm over 600 and 49 dBm over 1,200 subcarriers
    assert plan["power_dbm"] == pytest.approx(18.2)
    # 23.5 m above the handset, 2/3 of 500 m away
    assert plan["downtilt_deg"] == pytest.approx(np.degrees(np.arctan(23.5 / (500 * 2 / 3))), abs=0.05)


def test_a_field_that_is_known_for_some_cells_is_kept_for_them():
    layout = Layout(
        latitude=np.full(3, 51.0), longitude=np.array([10.0, 10.01, 10.02]), azimuth_deg=[0, 120, np.nan],
        height_m=np.array([40.0, np.nan, np.nan]), pci=np.array([7, -1, -1]), mnc=["01", "", "1"],
    )  # fmt: skip
    plan, report = complete(layout, FRAME)
    assert plan["height_m"].tolist() == [40, 25, 8] and report.imputed["height_m"][0] == 2
    assert plan["pci"][0] == 7 and plan["mnc"] == ["01", "03", "1"]
    assert plan.origin["mnc"].tolist() == [0, 2, 0]


def test_no_azimuth_means_omnidirectional_and_a_missing_column_is_said():
    plan, report = complete(Layout(x_m=np.zeros(1), y_m=np.zeros(1)), FRAME)
    assert np.isnan(plan["azimuth_deg"]).all() and report.imputed["azimuth_deg"] == (1, "omnidirectional")
    assert plan["beamwidth_h_deg"] == 360 and plan["gain_dbi"] == 5 and plan["downtilt_deg"] == 0


def test_a_pci_is_not_used_twice_near_by():
    layout = Hexagonal(rings=9, carriers_mhz=(1_800.0,)).build()
    mixed = np.argsort(np.arange(813) * 0.6180339887 % 1)  # in no order that helps
    x, y = layout.columns["x_m"][mixed], layout.columns["y_m"][mixed]
    plan, _ = complete(Layout(x_m=x, y_m=y, azimuth_deg=layout.columns["azimuth_deg"][mixed]), FRAME)
    for number in range(504):
        same = np.flatnonzero(plan["pci"] == number)
        gap_m = np.hypot(x[same][:, None] - x[same], y[same][:, None] - y[same]) + 1e9 * np.eye(len(same))
        # the 250 nearest of 3 cells a site at 500 m lie within some 2.4 km; at the rim within half a circle
        assert len(same) < 2 or gap_m.min() > 2_000


def test_tracking_areas_are_neighbouring_sites_by_the_dozen():
    plan, _ = complete(Hexagonal(rings=9, carriers_mhz=(1_800.0,)).build(), FRAME)
    sites = {(tac, site) for tac, site in zip(plan["tac"].tolist(), plan["site_id"], strict=True)}
    size = np.bincount([tac for tac, _ in sites])[1:]
    assert size.sum() == 271 and size.min() >= 30 and size.max() <= 60


def test_metres_and_degrees_are_one_place():
    plan, _ = complete(Layout(x_m=np.array([1_000.0]), y_m=np.array([-500.0])), FRAME)
    x, y = FRAME.to_xy(plan["latitude"], plan["longitude"])
    assert (x[0], y[0]) == pytest.approx((1_000, -500), abs=0.01)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout(), "gives x_m and y_m"),
        (Layout(x_m=np.zeros(0), y_m=np.zeros(0)), "no cells"),
        (Layout(x_m=np.zeros(2), y_m=np.zeros(3)), "differ in length"),
        (Layout(x_m=np.zeros(1), y_m=np.zeros(1), height_m=[-3.0]), "row 2: height_m = -3: not within 0 to 1000"),
        (Layout(x_m=np.array([np.nan]), y_m=np.zeros(1)), "row 2: latitude is empty"),
        (Layout(x_m=np.zeros(2), y_m=np.zeros(2), cell_id=["A", "A"]), "row 3: cell_id A stands in row 2"),
        (Layout(latitude=np.array([10.0]), longitude=np.array([51.0])), "swapped"),
        (Layout(latitude=np.array([51.0, 48.0]), longitude=np.array([10.0, 2.0])), "row 3: 48.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_layout_that_cannot_be_is_refused_with_the_reason(layout, expected):
    assert expected in problems(complete, layout, FRAME)


def test_a_table_reads_our_format_and_names_what_nobody_asked_for(tmp_path):
    layout = table(
        tmp_path, GOOD.replace("cell_id", "vendor,cell_id").replace("A,", "x,A,").replace("B,", "y,B,")
    ).build()
    assert layout.columns["cell_id"] == ["A", "B"] and layout.unasked == ("vendor",)
    plan, report = complete(layout, FRAME)
    assert np.isnan(plan["azimuth_deg"]).tolist() == [False, True] and "azimuth_deg" not in report.imputed
    assert report.unasked == ("vendor",)


def test_a_table_reads_other_names_by_a_mapping(tmp_path):
    text = GOOD.replace("cell_id,latitude,longitude,azimuth_deg", "Cell,Lat,Lon,Richtung")
    names = {"cell_id": "Cell", "latitude": "Lat", "longitude": "Lon", "azimuth_deg": "Richtung"}
    assert table(tmp_path, text, columns=names).build().columns["azimuth_deg"][0] == 30
    assert 'no column "Lot" (did you mean "Lon"?)' in problems(
        table(tmp_path, text, columns={**names, "longitude": "Lot"}).build
    )
    assert 'did you mean "height_m"?' in problems(table(tmp_path, text, columns={**names, "height": "H"}).build)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["is empty"]),
        ("cell_id,latitude,longitude\n", ["no cells"]),
        ("cellid,latitude\nA,51\n", ['"cell_id" (did you mean "cellid"?)', 'no column "longitude"']),
        ("cell_id,latitude,longitude\nA,10,51\nB,10.1,51.1\n", ["swapped"]),
        (GOOD + "A,51,10,0\nC,nan,10,0\nD,51,10,400\nE,51\n", [
            "row 4: cell_id A stands in row 2", "row 5: latitude = nan", "row 6: azimuth_deg = 400",
            "row 7: 2 fields", "layout.drop_bad_rows",
        ]),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_says_all_that_is_wrong(tmp_path, text, expected):
    said = problems(table(tmp_path, text).build)
    assert all(words in said for words in expected), said


def test_a_missing_file_is_named():
    assert "does not exist" in problems(Table(path="gone.csv").build)


def test_bad_rows_are_dropped_on_demand_and_named(tmp_path):
    layout = table(tmp_path, GOOD + "C,nan,10,0\nA,51,10,0\n", drop_bad_rows=True).build()
    assert len(layout) == 2 and [row for row, _ in layout.dropped] == [4, 5]


def test_a_plan_that_was_completed_reads_back_as_it_was_with_its_origins(tmp_path):
    plan, _ = complete(Hexagonal(rings=1).build(), FRAME)
    again, report = complete(table(tmp_path, cells.to_csv(plan)).build(), FRAME)
    assert cells.to_csv(again) == cells.to_csv(plan) and not report.imputed and not report.unasked


def test_leipzig_is_read_by_its_own_names():
    if not LEIPZIG.exists():
        pytest.skip("the plan of Leipzig is not here: data/leipzig beside the project")
    layout = Table(path=str(LEIPZIG / "plan_telefonica.csv")).build()
    plan, report = complete(layout, LocalFrame(51.34, 12.37))
    assert (report.cells, report.sites) == (3_587, 186)
    assert report.unasked == ("operator", "band", "construction")
    assert np.isnan(plan["azimuth_deg"]).sum() == 63 and plan.serving().sum() == 2_169 - 352
    assert 4 <= plan["tac"].max() <= 6


def test_a_column_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match=r'"heigth_m" is known .did you mean "height_m"'):
        Layout(x_m=np.zeros(1), y_m=np.zeros(1), heigth_m=[3.0])


def test_ours_keep_the_contract():
    for name in plugins.installed("footfall.layouts"):
        if name != "table":
            assert check.broken(plugins.load("footfall.layouts", name)()) == []


def test_a_layout_that_breaks_the_contract_is_told_how():
    class Restless(Hexagonal):
        def build(self):
            Restless.turn += 1
            return Layout(x_m=np.zeros(1), y_m=np.zeros(1), azimuth_deg=np.array([Restless.turn]))

    class Downlink(Hexagonal):
        def build(self):
            return Layout(x_m=np.zeros(1), y_m=np.zeros(1), frequency_mhz=np.array([1_500.0]))

    class Wordy(Hexagonal):
        def build(self):
            return "a layout"

    Restless.turn = 0
    assert ["same layout every time" in line for line in check.broken(Restless())] == [True]
    assert ["no uplink" in line for line in check.broken(Downlink())] == [True]
    assert "str" in check.broken(Wordy())[0]
