"""The budget: exact, charged before the draw, never passed, never refunded."""

from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.edge.ledger import Charge, Ledger, PrivacySettings, epsilon, promise, sigma_for
from collector.edge.metrics.presence import Presence
from probe.base.config import ConfigError, parse
from probe.base.main import RunError
from tests.builders_seal import STATEMENT

SHARE = Fraction(35, 1000)


def opendp_gaussian(scale):
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    return dp.m.make_gaussian(*space, scale=scale)


def test_a_day_of_25_hours_fits_and_one_slot_more_does_not():
    ledger = Ledger({1: SHARE})
    for slot in range(100):
        charge = Charge(1, slot, 739_000, STATEMENT.slot_rho)
        ledger.spend(charge)
    assert ledger.left(1, 739_000) == SHARE - 100 * STATEMENT.slot_rho >= 0
    with pytest.raises(
        RunError, match=r"table 1, slot 100 costs rho 0.0003\S+ of the day's share 0.035, and only"
    ):
        ledger.spend(Charge(1, 100, 739_000, STATEMENT.slot_rho))
    ledger.spend(Charge(1, 100, 739_001, STATEMENT.slot_rho))


def test_a_slot_is_charged_once_even_on_another_day():
    ledger = Ledger({1: SHARE}, [Charge(1, 7, 1, STATEMENT.slot_rho)])
    with pytest.raises(RunError, match="slot 7 is charged already"):
        ledger.spend(Charge(1, 7, 2, STATEMENT.slot_rho))


@given(st.lists(st.fractions(Fraction(1, 10**6), Fraction(1, 10)), max_size=30))
def test_sums_are_exact_and_never_pass_the_share(costs):
    ledger, spent = Ledger({1: SHARE}), Fraction(0)
    for slot, cost in enumerate(costs):
        charge = Charge(1, slot, 1, cost)
        if spent + cost <= SHARE:
            ledger.spend(charge)
            spent += cost
        else:
            with pytest.raises(RunError):
                ledger.spend(charge)
    assert ledger.left(1, 1) == SHARE - spent


def test_sigma_is_rounded_up_and_no_further():
    """L2 / sqrt(2 rho) = 34,016.8 person-seconds."""
    assert sigma_for(900 * 64_000, 100, 64_000, SHARE) == 34_017 * 64_000
    assert 34_016 < 9_000 / sqrt(2 * 0.035) < 34_017
    assert 100 * STATEMENT.slot_rho <= SHARE < Fraction(9_000**2, 2 * 34_016**2)


@given(st.fractions(Fraction(1, 10**5), 10), st.sampled_from([300, 900, 1800, 3600]))
def test_no_rounding_ever_spends_more_than_the_share(share, slot_s):
    sigma = sigma_for(slot_s * 64_000, 90_000 // slot_s, 64_000, share)
    assert Fraction(90_000 // slot_s * (slot_s * 64_000) ** 2, 2 * sigma**2) <= share
    assert (
        Fraction(90_000 // slot_s * (slot_s * 64_000) ** 2, 2 * (sigma - 64_000) ** 2 or 1) > share
        or sigma == 64_000
    )


def test_rho_and_sigma_are_those_of_opendp():
    """sigma for a share by its search, rho by its map: to 1e-12 relative."""
    import opendp.prelude as dp

    sigma = dp.binary_search_param(opendp_gaussian, d_in=9_000.0, d_out=0.035, T=float)
    assert sigma == pytest.approx(9_000 / sqrt(2 * 0.035), rel=1e-12)
    assert float(100 * STATEMENT.slot_rho) == pytest.approx(opendp_gaussian(34_017.0).map(9_000.0), rel=1e-12)


def test_epsilon_is_that_of_opendp():
    """rho 0.1 a day is epsilon 2.142 at 1e-6, published as 2.15; a week of it 6.36 and less than 6.9."""
    assert epsilon(0.1) == pytest.approx(2.1419, abs=1e-4)
    assert 6.3 < epsilon(0.7) < 6.9
    assert epsilon(Fraction(1, 10), 1e-8) > epsilon(Fraction(1, 10))


def test_presence_is_bound_by_what_its_statement_says():
    assert Presence().bound_l2_units() ** 2 == STATEMENT.slots_a_day * STATEMENT.bound**2


@pytest.mark.parametrize("given_rho", [0.1, "0.1", "1/10"])
def test_a_budget_is_read_exactly(given_rho):
    privacy = parse(PrivacySettings, "[privacy]", {"rho_day": given_rho})
    assert privacy.rho_day == Fraction(1, 10) and privacy.share("presence") == SHARE


WRONG = {
    "rho_day": 0,
    "basis": "interest",
    "purpose": "police",
    "shares": {"presence": 0.9, "moves": 0.2},
    "rho": 1,
}


@pytest.mark.parametrize("key", WRONG)
def test_wrong_settings_are_named(key):
    with pytest.raises(ConfigError, match=key):
        parse(PrivacySettings, "[privacy]", {key: WRONG[key]})


def test_a_table_without_a_share_is_refused():
    with pytest.raises(ConfigError, match='table "moves" has none'):
        promise(PrivacySettings(), "moves", 900, 100, 1)


def test_more_noise_than_can_be_drawn_exactly_is_refused():
    with pytest.raises(RunError, match="more noise"):
        sigma_for(1 << 50, 100, 1, Fraction(1, 10**9))
