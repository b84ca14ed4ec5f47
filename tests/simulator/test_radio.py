"""What a handset hears: levels by the formula, order, outages, and the same bits for one as for many."""

import numpy as np
import pytest

from probe.base.plane import LocalFrame
from simulator.kernels import radio as kernels
from simulator.layouts.complete import complete
from simulator.layouts.hexagonal import Hexagonal
from simulator.propagation.propagation import PIXEL_M
from simulator.propagation.uma import Uma
from simulator.radio import Radio
from tests import oracles_radio as oracles

FRAME = LocalFrame(51.0, 10.0)
NO_CELL = 0xFFFFFFFF


def radio_of(layout=None, seed=7, reach_m=3_000.0, **uma):
    plan, _ = complete((layout or Hexagonal(rings=2)).build(), FRAME)
    return plan, Radio(plan, FRAME, reach_m, Uma(**uma).build(plan), seed)


@pytest.fixture(scope="module")
def hexagon():
    return radio_of()


def points(count, reach_m=1_200, carriers=2, seed=0):
    """Return (x_m, y_m, time_ms, carrier, indoor_db) spread evenly by the golden ratio."""
    i = np.arange(count) + seed
    x, y = ((i * 0.754877666) % 1 - 0.5) * 2 * reach_m, ((i * 0.569840291) % 1 - 0.5) * 2 * reach_m
    carrier, indoor = i % carriers, (i % 3) * 7.5
    return (
        x.astype("f4"),
        y.astype("f4"),
        np.full(count, 1_000, "i8"),
        carrier.astype("u1"),
        indoor.astype("f4"),
    )


def heard(radio, asked):
    cell, level_dbm = np.zeros((len(asked[0]), 8), "u4"), np.zeros((len(asked[0]), 8), "f4")
    radio.measure(*asked, cell, level_dbm)
    return cell, level_dbm


def by_the_oracle(plan, radio, uma, x_m, y_m, indoor_db):
    """Return f8[cells]: every level at a place; only the Gaussian fields are taken from the radio."""
    pixel = [int(np.floor(np.float32(v) * np.float32(1 / PIXEL_M))) for v in (x_m, y_m)]
    words = radio._cells.view("i4").reshape(-1, 16)
    levels = []
    for row in range(len(plan)):
        shift = int(words[row, kernels.SHIFT])
        column, line = (pixel[0] + (shift & 0xFFFF)) % 512, (pixel[1] + (shift >> 16)) % 512
        los, nlos, seen = (
            ((int(radio._field[line * 512 + column]) >> 10 * part) & 1023) / 100 - 5.12 for part in range(3)
        )
        cell = {name: plan[name][row] for name in plan.columns if name not in ("cell_id",)}
        cell |= {"x_m": float(radio.net["x_m"][row]), "y_m": float(radio.net["y_m"][row])}
        along = max(np.hypot(x_m - cell["x_m"], y_m - cell["y_m"]), 10)
        middle = (min(along // 4, 2047) + 0.5) * 4
        sight = phi(seen) < oracles.uma_sight(middle)
        shadow = uma.shadow_los_db * los if sight else uma.shadow_nlos_db * nlos
        levels.append(oracles.level_dbm(cell, x_m, y_m, sight, shadow - indoor_db))
    return np.array(levels)


def phi(z):
    from math import erf

    return 0.5 * (1 + erf(z / np.sqrt(2)))


def test_levels_agree_with_the_formula_to_a_hundredth_of_a_decibel(hexagon):
    plan, radio = hexagon
    asked = points(150)
    cell, level_dbm = heard(radio, asked)
    wrong = 0
    for i in range(150):
        expected = by_the_oracle(plan, radio, Uma(), float(asked[0][i]), float(asked[1][i]), float(asked[4][i]))
        there = cell[i] != NO_CELL
        wrong += (np.abs(level_dbm[i][there] - expected[cell[i][there]]) > 0.01).sum()
    # a place within rounding of the edge of sight may fall to the other side in f4
    assert wrong <= 1


def test_the_loudest_cell_of_all_is_mostly_heard(hexagon):
    """A tile lists 12 cells: a mast behind them is missed where a rare line of sight makes it the loudest."""
    plan, radio = hexagon
    asked = points(150)
    cell, _ = heard(radio, asked)
    found = 0
    for i in range(150):
        expected = by_the_oracle(plan, radio, Uma(), float(asked[0][i]), float(asked[1][i]), 0.0)
        carrier = np.unique(plan["arfcn"])[asked[3][i]]
        found += np.argmax(np.where(plan["arfcn"] == carrier, expected, -999)) == cell[i, 0]
    assert found >= 0.93 * 150


def test_levels_fall_ties_go_by_cell_number_and_the_rest_is_no_cell(hexagon):
    _, radio = hexagon
    cell, level_dbm = heard(radio, points(5_000, 2_900))
    assert (np.diff(level_dbm, axis=1) <= 0).all()
    tied = (level_dbm[:, 1:] == level_dbm[:, :-1]) & (cell[:, 1:] != NO_CELL)
    assert tied.sum() > 50  # two sectors of a mast that both look away
    assert (cell[:, 1:][tied] > cell[:, :-1][tied]).all()
    quiet = cell == NO_CELL
    assert quiet.any() and (level_dbm[quiet] == -200).all() and (level_dbm[~quiet] >= -125).all()
    assert all(len(set(row[row != NO_CELL])) == (row != NO_CELL).sum() for row in cell)


def test_one_point_has_the_same_bits_as_many(hexagon):
    _, radio = hexagon
    asked = points(300)
    whole = heard(radio, asked)
    for cut in (1, 7, 129):
        for first in range(0, 300, cut):
            part = heard(radio, [column[first : first + cut] for column in asked])
            assert all((a == b[first : first + cut]).all() for a, b in zip(part, whole, strict=True))


def test_no_point_gives_nothing_and_a_point_off_the_map_hears_nothing(hexagon):
    _, radio = hexagon
    heard(radio, points(0))
    asked = points(6)
    asked[0][:] = [3_001, -3_001, np.nan, 1e30, -1e30, np.inf]
    assert (heard(radio, asked)[0] == NO_CELL).all()


def test_walls_beyond_all_measure_are_silence(hexagon):
    _, radio = hexagon
    asked = points(50)
    for indoor_db in (200, 2_500, 3e8, np.inf):
        asked[4][:] = indoor_db
        assert (heard(radio, asked)[0] == NO_CELL).all()


def test_walls_lower_every_level_alike(hexagon):
    _, radio = hexagon
    asked = points(500)
    asked[4][:] = 0
    cell, before = heard(radio, asked)
    asked[4][:] = 12.5
    same, after = heard(radio, asked)
    there = same != NO_CELL
    assert (same[there] == cell[there]).all() and np.abs(before - 12.5 - after)[there].max() < 1e-4


def test_a_site_that_is_out_is_silent_from_its_failure_until_its_repair():
    _, radio = radio_of()
    asked = points(400)
    before, _ = heard(radio, asked)
    site = radio.net["site"][before[0, 0]]
    radio.outage_from_ms[site], radio.outage_until_ms[site] = 500, 1_001
    during, _ = heard(radio, asked)
    its = np.flatnonzero(radio.net["site"] == site)
    assert np.isin(before, its).any() and not np.isin(during, its).any()
    others = ~np.isin(before[:, 0], its)
    assert (during[others, 0] == before[others, 0]).all()
    asked[2][::2] = 1_001
    mixed, _ = heard(radio, asked)
    assert (mixed[::2] == before[::2]).all() and (mixed[1::2] == during[1::2]).all()


def test_a_carrier_hears_its_own_cells_where_it_covers_and_the_best_one_elsewhere():
    plan, radio = radio_of(Hexagonal(rings=1, carriers_mhz=(800.0, 2_600.0)), reach_m=6_000.0)
    assert radio.carriers == 2
    arfcn = np.unique(plan["arfcn"])
    asked = points(2_000, 400)
    cell, _ = heard(radio, asked)
    assert (plan["arfcn"][cell[:, 0]] == arfcn[asked[3]]).all()
    far = points(2_000, 5_900)
    far[4][:] = 0
    cell, _ = heard(radio, far)
    on = plan["arfcn"][cell[cell[:, 0] != NO_CELL, 0]]
    wanted = arfcn[far[3]][cell[:, 0] != NO_CELL]
    assert 0 < (on != wanted).mean() < 1
    rows = np.where(cell == NO_CELL, -1, plan["arfcn"][np.minimum(cell, len(plan) - 1)])
    assert ((rows == rows[:, :1]) | (rows == -1)).all()


def test_only_cells_that_serve_are_heard():
    layout = Hexagonal(rings=1, carriers_mhz=(1_500.0, 1_800.0))
    plan, radio = radio_of(layout)
    assert radio.carriers == 1 and plan.serving().sum() == len(plan) / 2
    cell, _ = heard(radio, points(500, carriers=1))
    assert plan.serving()[cell[cell != NO_CELL]].all()


def test_sight_is_as_frequent_as_its_probability():
    """Without shadow a cell is as loud as the formula says in line of sight, or much quieter."""
    omni, still = (
        Hexagonal(rings=0, azimuths_deg=(), carriers_mhz=(1_800.0,)),
        {"shadow_los_db": 0, "shadow_nlos_db": 0},
    )
    angle = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    seen: dict[float, list] = {50.0: [], 100.0: [], 200.0: []}
    for seed in range(30):
        plan, radio = radio_of(omni, seed=seed, **still)
        cell = {name: plan[name][0] for name in plan.columns} | {"x_m": 0.0, "y_m": 0.0}
        for along_m, found in seen.items():
            asked = list(points(300, carriers=1))
            asked[0], asked[1] = (
                (along_m * np.cos(angle)).astype("f4"),
                (along_m * np.sin(angle)).astype("f4"),
            )
            asked[4][:] = 0
            los_dbm = oracles.level_dbm(cell, along_m, 0, True, 0)
            found.append((np.abs(heard(radio, asked)[1][:, 0] - los_dbm) < 0.1).mean())
    for along_m, found in seen.items():
        # 30 seeds with 6 to 25 patches of 50 m each: one sigma is below 0.04
        assert np.mean(found) == pytest.approx(oracles.uma_sight(along_m), abs=0.1)


def test_sight_may_be_impossible_or_certain_everywhere():
    plan, _ = complete(Hexagonal(rings=0, carriers_mhz=(1_800.0,)).build(), FRAME)
    model = Uma(shadow_los_db=0, shadow_nlos_db=0).build(plan)
    never, always = (heard(Radio(plan, FRAME, 1_000.0, model._replace(sight=np.full_like(model.sight, share)), 7),
                           points(200, 800, 1))[1][:, 0] for share in (0.0, 1.0))
    assert (never <= always).all() and np.median(always - never) > 10


def test_another_seed_moves_the_fields_and_sectors_of_a_mast_share_them(hexagon):
    _, radio = hexagon
    asked = points(300)
    assert (heard(radio_of(seed=8)[1], asked)[1] != heard(radio, asked)[1]).any()
    words = radio._cells.view("i4").reshape(-1, 16)[:-1, kernels.SHIFT]
    assert all(len(set(words[radio.net["site"] == site])) == 1 for site in range(radio.sites))
    assert len(set(words)) == radio.sites


def test_sites_share_the_part_of_the_shadow_that_is_correlated():
    """With correlation 1 the shadow is one for all sites: NLOS levels differ by the formula only."""
    _, radio = radio_of(site_correlation=1.0)
    assert radio._spread.tolist() == [0, 0, 4, 6]
    asked = points(200, 900)
    asked[4][:] = 0
    cell, level_dbm = heard(radio, asked)
    _, still = radio_of(shadow_los_db=0, shadow_nlos_db=0)
    plain = dict(zip(("cell", "level"), heard(still, asked), strict=True))
    shift = level_dbm[:, 0] - plain["level"][np.arange(200), np.argmax(plain["cell"] == cell[:, :1], axis=1)]
    assert 3 < shift.std() < 8


def test_indoor_loss_is_a_pure_function_with_the_moments_of_the_standard():
    bits = np.arange(1, 20_001, dtype="u8") * np.uint64(0x9E3779B97F4A7C15)
    wall_db = np.float32(11.6)
    car, indoor = ([kernels.indoor_loss_db(mode, b, wall_db) for b in bits] for mode in (1, 2))
    assert kernels.indoor_loss_db(0, bits[0], wall_db) == 0
    assert kernels.indoor_loss_db(1, bits[5], wall_db) == car[5] and min(*car, *indoor) >= 0
    # means over 20,000 draws are good to 0.04 dB; the smaller of two U(0, 25) is 25 / 3 on average
    assert np.mean(car) == pytest.approx(9.0, abs=0.2) and np.std(car) == pytest.approx(5.0, abs=0.3)
    assert np.mean(indoor) == pytest.approx(11.6 + 25 / 6, abs=0.2)
    assert np.std(indoor) == pytest.approx(np.hypot(4.4, 0.5 * 25 / np.sqrt(18)), abs=0.2)
