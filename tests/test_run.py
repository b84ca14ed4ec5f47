"""The whole, as a person runs it: processes, files, figures, and what happens when something is wrong."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import FOOTFALL, footfall

FILES = {"run.json", "plan.csv", "areas.geojson", "spool.db", "store.db", "truth.db", "judge.db", "map.html", "logs"}
FIELDS = {
    "digest": {"events", "tallies", "truth"},
    "account": {"offered", "binned", "late", "invalid", "refused", "shed"},
    "releases": {"due", "stored", "lost"},
    "presence_error": {"noise_median", "place_median", "total_median", "published_share"},
    "privacy": {"basis", "purpose", "unit", "rho", "epsilon_at_1e_6"},
    "core_ns_per_event": {"world", "ship", "tap", "triangulate", "count", "seal", "store", "total"},
    "peak_rss_mb": {"world", "edge", "store"},
    "fix_error_m": {"median", "p80", "p95", "by_content"},
}


def test_a_run_leaves_its_files_and_says_every_field(village):
    out, said = village
    assert {path.name for path in out.iterdir()} >= FILES
    assert json.loads((out / "run.json").read_text()) == said
    for name, inner in FIELDS.items():
        assert inner <= set(said[name]), name
    for content in ("cell", "ta", "ta_levels", "levels"):
        assert {"events", "median", "serving_cell_median"} <= set(said["fix_error_m"]["by_content"][content])
    for name in ("scenario", "seed", "handsets", "hours", "cells", "areas", "events", "wall_s", "events_per_s", "out"):
        assert name in said


def test_every_event_is_accounted_for_and_every_release_stored(village):
    _, said = village
    account = said["account"]
    assert said["events"] == account["offered"] == sum(account.values()) - account["offered"]
    assert account["binned"] > 0 and account["refused"] > 0
    whole = 2 * 40 + 2 * 2 + 10  # quarters of presence and moves, parts of profile and flows, hours of zone_flows
    assert said["releases"] == {"due": whole, "stored": whole, "lost": 0}


def test_the_estimate_is_near_the_truth(village):
    """Village areas hold few people: the noise of 9.45 person-hours a slot is what limits."""
    _, said = village
    by_content = said["fix_error_m"]["by_content"]
    assert by_content["ta"]["median"] < by_content["ta"]["serving_cell_median"]
    assert said["presence_error"]["place_median"] < 0.35


def test_another_run_and_two_shards_give_the_same_digests_another_seed_others(village, tmp_path):
    _, said = village
    words = ("run", "village", "--hours", 10, "--json", "--out")
    two = footfall(*words, tmp_path / "two", "--shards", 2, "--set", "world.step_s=900")
    other = footfall(*words, tmp_path / "other", "--seed", 2)
    assert json.loads(two.stdout)["digest"] == said["digest"]
    assert not set(json.loads(other.stdout)["digest"].values()) & set(said["digest"].values())


def test_the_releases_of_one_seed_are_the_same_bytes(village, tmp_path):
    out, _ = village
    again = footfall("run", "village", "--hours", 10, "--out", tmp_path / "again", "--shards", 2)
    assert again.returncode == 0, again.stderr

    def frames(run):
        with sqlite3.connect(run / "store.db") as db:
            return db.execute("SELECT frame FROM release ORDER BY tab, slot").fetchall()

    assert frames(tmp_path / "again") == frames(out)


def test_questions_are_answered(village):
    out, _ = village
    said = footfall("ask", out, "presence", "--level", "hour", "--extrapolate", "--format", "json")
    rows = json.loads(said.stdout)
    assert len(rows) == 10 * 10  # hours x (areas and elsewhere)
    named = "area slot_start slot_end value low high coverage state place_error"
    assert set(named.split()) <= set(rows[0])
    assert {row["state"] for row in rows} >= {"warming", "hidden"}
    assert all(row["value"] is None for row in rows if row["state"] in ("hidden", "missing"))


def test_the_score_names_what_each_error_is_held_against(village):
    said = footfall("score", village[0])
    assert said.returncode == 0
    for word in ("noise: release - tally", "place: tally - truth", "total: published and extrapolated", "hour"):
        assert word in said.stdout


def test_the_map_asks_nobody_for_anything(village):
    text = (village[0] / "map.html").read_text()
    assert "http://www.w3.org/2000/svg" in text  # a name, not a request
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "{{" not in text and "Content-Security-Policy" in text


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_end_from_outside_leaves_a_readable_run_and_nothing_running(tmp_path, word):
    out, private = tmp_path / "run", tmp_path / "tmp"
    private.mkdir()
    command = [FOOTFALL, "run", "village", "--days", "3", "--speed", "7200", "--out", str(out)]
    environment = {**os.environ, "TMPDIR": str(private)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, env=environment)
    while not (out / "store.db").exists() or not stored(out):
        assert process.poll() is None
        time.sleep(0.2)
    began_s = time.monotonic()
    assert list(private.iterdir())  # the subscribers, while the edge may need them
    (os.killpg if word == signal.SIGINT else os.kill)(process.pid, word)
    assert process.wait(10) == 130
    said = process.stderr.read().decode()
    assert "interrupted at simulated hour" in said and "footfall ask and footfall privacy work on it" in said
    while subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True).stdout:
        time.sleep(0.1)
        assert time.monotonic() - began_s < 10, "something is still running"
    assert not list(private.iterdir()), "what the operator knows of its subscribers is still on the disk"
    assert json.loads((out / "run.json").read_text())["state"] == "interrupted"
    assert footfall("ask", out, "presence", "--partial").returncode == 0
    assert footfall("score", out).returncode == 2


def stored(out: Path) -> int:
    try:
        with sqlite3.connect(f"file:{out / 'store.db'}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM release").fetchone()[0]
    except sqlite3.Error:
        return 0


AREA = '{"type":"FeatureCollection","features":[%s]}'
SQUARE = (
    '{"type":"Feature","properties":{"area_id":"%s"},"geometry":{"type":"Polygon","coordinates":'
    "[[[%s,51],[12.2,51],[12.2,51.1],[%s,51.1],[%s,51]]]}}"
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--set", "layout.kind=table", "--set", "layout.path=gone.csv"], ["gone.csv"]),
        (["--set", "layout.kind=table", "--set", "layout.path=columns.csv"], ["cell_id", "longitude"]),
        (["--set", "layout.kind=table", "--set", "layout.path=zero.csv"], ["no cells"]),
        (["--set", "layout.kind=table", "--set", "layout.path=swapped.csv"], ["swapped"]),
        (["--set", "world.step=60"], ["step", "step_s"]),
        (["--set", "world.step_s=7", "--set", "world.handsets=-5"], ["step_s = 7", "handsets = -5"]),
        (["--handsets=-5"], ["--handsets", "-5"]),
        (["--set", "layout.kind=hexagon"], ["hexagonal"]),
        (["--set", "collector.locator=range"], ["ranges"]),
        (["--set", "traffic.sessions=3"], ["sessions_per_day"]),
        (["--set", "areas.path=empty.geojson"], ["polygon"]),
        (["--set", "areas.path=overlap.geojson"], ["overlap"]),
        (["--set", "areas.path=turned.geojson"], ["swapped"]),
        (["--address", "tcp://0.0.0.0:5555"], ["loopback"]),
        (["--shards", "3"], ["--shards 3"]),
    ],
    ids=lambda value: " ".join(value)[:60],
)
def test_wrong_input_is_named_and_nothing_is_written(tmp_path, words, expected):
    (tmp_path / "columns.csv").write_text("cellid,latitude\nA,51\n")
    (tmp_path / "zero.csv").write_text("cell_id,latitude,longitude\n")
    (tmp_path / "swapped.csv").write_text("cell_id,latitude,longitude\nA,10.0,51.0\nB,10.01,51.01\n")
    (tmp_path / "empty.geojson").write_text(AREA % "")
    (tmp_path / "overlap.geojson").write_text(
        AREA % ",".join(SQUARE % (name, west, west, west) for name, west in (("a", "12.0"), ("b", "12.1")))
    )
    ring = [[51.0, 12.0], [51.1, 12.0], [51.1, 12.2], [51.0, 12.2], [51.0, 12.0]]
    turned = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "turned.geojson").write_text(AREA % json.dumps(turned))
    said = footfall("run", "village", "--out", "out", *words, cwd=tmp_path)
    assert said.returncode == 2, said.stderr
    assert "Traceback" not in said.stderr
    for word in expected:
        assert word in said.stderr
    assert not (tmp_path / "out").exists()


def test_a_full_folder_is_never_overwritten(tmp_path, village):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert footfall("run", "village", "--out", tmp_path, "--force").returncode == 2
    assert footfall("run", "village", "--out", village[0]).returncode == 2
    assert (tmp_path / "thesis.txt").exists()


def test_a_port_in_use_ends_the_run_with_its_name(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        said = footfall("run", "village", "--hours", 1, "--out", tmp_path / "run", "--address", address)
    assert said.returncode == 1
    assert address in said.stderr and "in use" in said.stderr


def test_a_full_disk_ends_the_run_and_what_was_sealed_stays(tmp_path):
    """The size of any file of the run is limited, which is what a full disk looks like to SQLite."""
    out = tmp_path / "run"
    limited = f"ulimit -f 300; exec {FOOTFALL} run village --hours 10 --out {out}"
    said = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, timeout=300)
    assert said.returncode == 1, said.stderr
    assert "Traceback" not in said.stderr
    assert json.loads((out / "run.json").read_text())["state"] == "failed"
    with sqlite3.connect(out / "spool.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_help_imports_no_numba():
    script = "import sys; from probe.base.main import main; sys.argv = ['footfall', '--help']\n"
    script += "try: main()\nexcept SystemExit: pass\nassert 'numba' not in sys.modules"
    python = str(Path(FOOTFALL).parent / "python")
    assert subprocess.run([python, "-c", script], capture_output=True).returncode == 0
