"""Runs that several tests look at, made once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOOTFALL = str(Path(sys.executable).parent / "footfall")


def footfall(*words, timeout_s=300, **options):
    """Run the command line in a process of its own; return what it said."""
    return subprocess.run(
        [FOOTFALL, *map(str, words)], capture_output=True, text=True, timeout=timeout_s, **options
    )


@pytest.fixture(scope="session")
def village(tmp_path_factory):
    """Return (run directory, what run --json said) of a village from midnight to ten."""
    out = tmp_path_factory.mktemp("village") / "run"
    said = footfall("run", "village", "--hours", 10, "--out", out, "--json")
    assert said.returncode == 0, said.stderr
    return out, json.loads(said.stdout)
