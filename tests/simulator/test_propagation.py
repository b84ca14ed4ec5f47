"""Path loss, line of sight, walls, antenna and fields: the numbers of the standard."""

import numpy as np
import pytest

from probe.base import plugins
from probe.base.plane import LocalFrame
from simulator.kernels import radio as kernels
from simulator.layouts.complete import complete
from simulator.layouts.hexagonal import Hexagonal
from simulator.propagation import check
from simulator.propagation.propagation import PIXEL_M, packed_field
from simulator.propagation.uma import Uma, loss_db, sight_probability
from simulator.radio import wall_loss_db
from tests import oracles_radio as oracles

F4 = np.float32
# TR 38.901 formulas by two independent authors, agreeing to 1e-6 dB: (d2D m, f GHz): LOS, NLOS dB
UMA_DB = {
    (50, 0.7): (63.233, 78.531),
    (100, 0.7): (69.159, 89.058),
    (500, 0.7): (95.826, 115.936),
    (1000, 0.7): (107.852, 127.687),
    (3000, 0.7): (126.933, 146.328),
    (50, 1.8): (71.436, 86.735),
    (100, 1.8): (77.362, 97.262),
    (500, 1.8): (96.788, 124.140),
    (1000, 1.8): (108.815, 135.890),
    (3000, 1.8): (127.896, 154.532),
    (50, 3.5): (77.212, 92.511),
    (100, 3.5): (83.138, 103.038),
    (500, 3.5): (98.269, 129.916),
    (1000, 3.5): (109.412, 141.666),
    (3000, 3.5): (128.492, 160.308),
}


def loss_by_the_kernel(along_m, ghz, sight, height_m=25.0):
    lines = loss_db(np.array([ghz]), np.array([height_m]))[0]
    square = F4(along_m**2 + (height_m - 1.5) ** 2)
    level = kernels.path_level_db(kernels.log2_of(square), *(F4(-lines)), F4(22), F4(40), F4(39.08), sight)
    return -float(level)


@pytest.mark.parametrize(("at", "expected"), UMA_DB.items(), ids=str)
def test_path_loss_is_that_of_the_standard_to_a_thousandth_of_a_decibel(at, expected):
    assert loss_by_the_kernel(*at, True) == pytest.approx(expected[0], abs=1e-3)
    assert loss_by_the_kernel(*at, False) == pytest.approx(expected[1], abs=1e-3)


def test_path_loss_agrees_with_the_oracle_at_other_heights_and_on_both_sides_of_the_break_point():
    for height_m in (10.0, 25.0, 60.0):
        for ghz in (0.8, 2.6):
            for along_m in (10, 18, 77, 140, 333, 900, 2500, 9000):
                for sight, oracle in ((True, oracles.uma_los_db), (False, oracles.uma_nlos_db)):
                    expected = oracle(along_m, ghz, height_m)
                    assert loss_by_the_kernel(along_m, ghz, sight, height_m) == pytest.approx(expected, abs=1e-3)


def test_line_of_sight_is_as_likely_as_the_standard_says():
    vectors = {18: 1, 50: 0.649402, 100: 0.347671, 200: 0.128048, 500: 0.036345, 1000: 0.018000}
    for along_m, expected in vectors.items():
        assert sight_probability(np.array([along_m]))[0] == pytest.approx(expected, abs=1e-6)
        assert oracles.uma_sight(along_m) == pytest.approx(expected, abs=1e-6)


def test_walls_lose_what_the_standard_says():
    vectors = {0.7: (10.237, 17.747), 1.8: (11.647, 21.742), 3.5: (12.698, 26.850), 28: (17.829, 37.949)}
    for ghz, expected in vectors.items():
        assert wall_loss_db(np.array([ghz]))[:, 0] == pytest.approx(expected, abs=1e-3)
        assert oracles.wall_db(ghz) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("theta", "phi", "gain_dbi"),
    [
        (90, 0, 8),
        (90, 32.5, 5),
        (90, 65, -4),
        (90, 180, -22),
        (100, 0, 7.716),
        (122.5, 32.5, 2),
        (155, 90, -22),
    ],
)
def test_the_antenna_element_has_the_gain_of_the_standard(theta, phi, gain_dbi):
    width = F4(12 / np.radians(65) ** 2)
    dx, dy, rise = (F4(100 * turn(np.radians(angle))) for turn, angle in
                    ((np.cos, phi), (np.sin, phi), (np.tan, theta - 90)))
    lost = kernels.antenna_loss_db(dx, dy, rise, F4(1), F4(0), F4(0), width, width)
    assert 8 - lost == pytest.approx(gain_dbi, abs=1e-3)


def test_the_antenna_agrees_with_the_oracle_all_around_and_below():
    for bearing in range(0, 360, 7):
        for along_m in (10, 40, 150, 1000):
            a, h = np.radians(bearing), np.radians(120)
            got = kernels.antenna_loss_db(
                F4(along_m * np.sin(a)), F4(along_m * np.cos(a)), F4(23.5), F4(np.sin(h)), F4(np.cos(h)),
                F4(np.radians(4)), F4(12 / np.radians(65) ** 2), F4(12 / np.radians(10) ** 2),
            )  # fmt: skip
            below = np.degrees(np.arctan2(23.5, along_m))
            assert got == pytest.approx(oracles.antenna_db(bearing, below, 120, 4, 65, 10), abs=1e-3)


def test_own_logarithm_and_arc_cosine_are_close():
    for x in np.geomspace(1e-3, 1e10, 999).astype("f4"):
        assert float(kernels.log2_of(x)) == pytest.approx(np.log2(float(x)), abs=1e-5)
    for c in np.linspace(-1.01, 1.01, 999).astype("f4"):
        assert float(kernels.arccos_of(c)) == pytest.approx(np.arccos(np.clip(float(c), -1, 1)), abs=3e-6)


def test_fields_are_standard_normal_and_forget_with_distance():
    packed = packed_field((37.0, 50.0, 100.0))
    for part, length_m in enumerate((37.0, 50.0, 100.0)):
        field = np.array([(packed >> 10 * part) & 1023], "f8").reshape(512, 512) / 100 - 5.12
        assert abs(field.mean()) < 0.01 and field.std() == pytest.approx(1, abs=0.01)
        for pixels in (1, 5, 10):
            found = np.mean(field * np.roll(field, pixels, axis=1))
            # 512 x 512 pixels of 10 m hold some 2,600 patches of 100 m: one sigma is 0.02
            assert found == pytest.approx(np.exp(-pixels * PIXEL_M / length_m), abs=0.06)
    parts = [((packed >> 10 * part) & 1023) - 512.0 for part in range(3)]
    assert abs(np.corrcoef(parts)[np.triu_indices(3, 1)]).max() < 0.06


def test_ours_keep_the_contract_and_a_bad_one_does_not():
    for name in plugins.installed("footfall.propagation"):
        assert check.broken(plugins.load("footfall.propagation", name)()) == []

    class Louder(Uma):
        def build(self, plan):
            made = super().build(plan)
            made.slope[:] = -1
            made.sight[5] = 2
            return made

    assert len(check.broken(Louder())) == 2


def test_cells_of_every_height_and_carrier_get_their_own_loss():
    plan, _ = complete(Hexagonal(rings=0, carriers_mhz=(800, 2600)).build(), LocalFrame(51, 10))
    assert Uma().build(plan).loss_db[:, 0] == pytest.approx(28 + 20 * np.log10(plan["frequency_mhz"] / 1000))
