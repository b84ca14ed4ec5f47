"""A layout from another distribution is installed, found by its entry point, checked and run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import footfall

STRANGER = Path(__file__).parent / "stranger"


def test_a_strangers_layout_is_installed_and_run(tmp_path):
    target = tmp_path / "site"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *install, "--target", str(target), str(STRANGER)], check=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}
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
