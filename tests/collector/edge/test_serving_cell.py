"""The baseline locator says where a cell's people are, from the plan alone."""

import numpy as np

from collector.edge.locators.fixes import CELL, FIX, UNITS
from collector.edge.locators.serving_cell import ServingCell
from tests.collector.edge import country_locate as country


def test_half_of_the_people_are_within_150_m_at_500_m_site_spacing():
    """At 8 dB of shadowing the Bayes optimum is 127 m, the mast itself 208 m (UMa 500, Monte Carlo)."""
    plan, areas = country.hexagons(), country.squares()
    locator = ServingCell().build(plan, areas)
    radio = country.Radio(plan, 7)
    x, y = radio.rng.uniform(-1_200, 1_200, (2, 4_000))
    fixes = np.zeros(len(x), FIX)
    locator.locate(radio.observe(x, y), fixes)
    assert (fixes["weight"].sum(axis=1) == UNITS).all() and (fixes["content"] == CELL).all()
    assert np.median(np.hypot(fixes["x_m"] - x, fixes["y_m"] - y)) < 150
