"""The benchmarks run, and say what the contract names."""

import json

from benchmarks import utility
from collector.edge.collect import DAILY
from tests.conftest import footfall


def test_the_small_benchmarks_say_every_figure():
    said = footfall("bench", "--small", "--json", timeout_s=600)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    cost = found["pipeline"]["core_ns_per_event"]
    assert set(cost) == {"world", "ship", "tap", "triangulate", "count", "seal", "store", "total"}
    assert all(value > 0 for value in cost.values())
    assert found["pipeline"]["events_per_s"] > 0
    assert set(found["growth"]["exponent"]) == {"handsets", "cells"}
    assert found["growth"]["world_bytes_per_handset"] <= 64
    assert found["consent"]["core_ns_per_event"] > 0 and found["consent"]["persons"] == 20_000
    assert found["count"]["core_ns_per_event"] > 0 and found["count"]["persons"] == 20_000


def test_the_small_utility_names_every_table(tmp_path):
    said = utility.lines(utility.measured(2, 2_000, tmp_path))
    assert [line.split("`")[1] for line in said[2:]] == [*DAILY]


def test_an_unknown_benchmark_is_named():
    said = footfall("bench", "pipelin")
    assert said.returncode == 2 and "pipeline" in said.stderr
