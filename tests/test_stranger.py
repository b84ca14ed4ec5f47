"""A layout and a table from another distribution are installed, found by their entry points, checked and run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import footfall

STRANGER = Path(__file__).parent / "stranger"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a process that has the stranger's distribution beside ours."""
    target = tmp_path_factory.mktemp("site")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *install, "--target", str(target), str(STRANGER)], check=True)
    return {**os.environ, "PYTHONPATH": str(target)}


def test_a_strangers_layout_is_installed_and_run(tmp_path, environment):
    words = ("--set", "layout.kind=crossroads", "--set", "layout.spacing_m=500")
    said = footfall("run", "village", "--hours", 1, "--out", tmp_path / "run", "--json", *words, env=environment)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["cells"] == 36
    assert "crossroads" in footfall("layout", "list", env=environment).stdout
    wrong = footfall("scenario", "check", "village", *words[:2], "--set", "layout.spacing=1", env=environment)
    assert wrong.returncode == 2 and "spacing_m" in wrong.stderr


def test_a_strangers_layout_passes_the_contract(monkeypatch):
    from simulator.layouts import check

    monkeypatch.syspath_prepend(str(STRANGER))
    from crossroads import Crossroads

    assert check.broken(Crossroads()) == []


def checked(name, environment):
    """What the contract says of a table that a process finds by its entry point."""
    code = ("from probe.base import plugins; from collector.edge.metrics import check; "
            f"print(check.broken(plugins.load('footfall.metrics', {name!r})()))")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300)
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def test_a_strangers_table_is_installed_and_passes_the_contract(environment):
    assert checked("long_stays", environment) == "[]"


def test_a_strangers_table_that_lies_about_its_bound_fails_the_contract(environment):
    assert "one person can add L2^2 = 144; bound_squared says 12" in checked("long_stays_anywhere", environment)


def test_a_run_refuses_a_table_that_lies(tmp_path, environment):
    words = ("--set", 'collector.tables=["presence", "long_stays_anywhere"]')
    said = footfall("run", "village", "--hours", 1, "--out", tmp_path / "run", *words, env=environment)
    assert said.returncode == 2 and "one person can add L2^2 = 144; bound_squared says 12" in said.stderr
    assert not (tmp_path / "run").exists()
