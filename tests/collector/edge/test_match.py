"""A PCI becomes the cell of that PCI and carrier nearest to the serving mast."""

import csv
import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from collector.edge import plan as edge_plan
from collector.edge.kernels.match import NO_CELL
from probe.base.plane import LocalFrame
from probe.wire.cells import Plan
from tests.collector.edge import country_locate as country

SHANGHAI = Path(__file__).parents[3] / "../shared/data/shanghai"


def known(plan, frame=country.FRAME):
    read = edge_plan.read(plan, replace(country.squares(), frame=frame))
    return read, edge_plan.matches(read)


def test_every_pci_means_the_nearest_cell_of_its_carrier():
    """919 sites repeat 504 PCIs more than five times a carrier."""
    plan = country.hexagons(rings=17, spacing_m=400.0, carriers_mhz=(800, 1_800))
    read, matches = known(plan)
    x, y = read.cells["x_m"].astype("f8"), read.cells["y_m"].astype("f8")
    for serving in range(0, len(plan), 97):
        same = np.flatnonzero(plan["arfcn"] == plan["arfcn"][serving])
        gap = np.hypot(x[same] - x[serving], y[same] - y[serving])
        for pci in range(0, 504, 11):
            mine = plan["pci"][same] == pci
            found = matches[read.cells["mast"][serving], pci]
            assert plan["pci"][found] == pci and plan["arfcn"][found] == plan["arfcn"][serving]
            assert np.hypot(x[found] - x[serving], y[found] - y[serving]) <= gap[mine].min() + 0.1


def test_a_pci_that_nobody_near_has_means_no_cell():
    plan = country.hexagons(rings=1)
    _, matches = known(plan)
    assert (matches[:, 21:] == NO_CELL).all() and (matches[:, :21] != NO_CELL).all()


def test_a_cell_that_never_serves_is_never_meant():
    plan = country.hexagons(rings=1, carriers_mhz=(1_500,))
    assert known(plan)[1].shape == (0, 504)


def rows(name):
    path = SHANGHAI / name
    if not path.exists():
        pytest.skip("no data set of real reports beside the project")
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


def shanghai_plan():
    """Return the cells within reach of the reports as a plan of ours."""
    kept = [r for r in rows("plan_lte.csv.gz") if all(r[k] for k in ("longitude", "latitude", "pci", "earfcn"))]
    kept = [r for r in kept if abs(float(r["longitude"]) - 121.2) < 0.15 and abs(float(r["latitude"]) - 31.3) < 0.15]
    n = len(kept)
    column = {name: np.array([float(r[name] or 0) for r in kept]) for name in ("latitude", "longitude")}
    whole = {name: np.array([int(float(r[name])) for r in kept]) for name in ("eci", "pci", "earfcn")}
    plan = dict(country.hexagons(rings=0, carriers_mhz=(1_800,)).columns)
    for name in ("height_m", "azimuth_deg", "frequency_mhz", "gain_dbi", "power_dbm", "beamwidth_h_deg"):
        plan[name] = np.full(n, plan[name][0])
    plan |= {**column, "pci": whole["pci"], "arfcn": whole["earfcn"], "radio": ["LTE"] * n}
    plan["cell_id"] = [str(e) for e in whole["eci"]]
    plan["site_id"] = [str(e // 256) for e in whole["eci"]]
    return Plan(plan), {eci: row for row, eci in enumerate(whole["eci"].tolist())}


def test_real_neighbours_are_named_right_999_times_in_1000():
    """Measured before on all neighbours of these reports: 99.95 %."""
    plan, row_of = shanghai_plan()
    read, matches = known(plan, LocalFrame(31.3, 121.2))
    named = right = 0
    for report in rows("jiading_reports.csv.gz"):
        serving = row_of.get(int(report["eci1"]))
        if serving is None:
            continue
        for k in range(2, 8):
            eci, pci = int(report[f"eci{k}"]), int(report[f"pci{k}"])
            if eci > 0 and pci >= 0 and eci in row_of:
                named += 1
                right += matches[read.cells["mast"][serving], pci] == row_of[eci]
    assert named > 50_000 and right / named > 0.999
