"""What a run directory says of its run: run.json, truth.db and map.html."""

import json
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from probe.base.clock import SECOND_MS, local
from simulator import report, truth
from simulator.world import events_digest

ACCOUNT = ("offered", "binned", "late", "invalid", "refused", "shed")
STAGES = ("world", "ship", "tap", "triangulate", "count", "seal", "store")
JUDGED = ("noise_median", "place_median", "total_median", "published_share")


def begun(stage, out: Path) -> dict[str, Any]:
    """Return what run.json says from the first moment on."""
    scenario, world = stage.scenario, stage.scenario.world
    return {
        "state": "running", "scenario": scenario.name, "seed": world.seed, "version": version("footfall"),
        "handsets": scenario.handsets, "persons": stage.persons, "hours": world.hours,
        "start": local(scenario.start_ms, world.zone).isoformat(), "cells": len(stage.plan),
        "areas": len(scenario.areas.area_id) - 1, "extrapolation": stage.extrapolation, "out": str(out),
    }


def judged(stage, out: Path, begun: dict[str, Any], reports: dict[str, Any]) -> dict[str, Any]:
    """Write truth.db, run.json and map.html; return what run.json says."""
    from simulator import score

    found = {**begun, **figures(stage, reports, write_truth(stage, out, reports["worlds"]))}
    write_json(out, found)  # the run stands, whatever the judge says
    counts = score.read(out)
    found["fix_error_m"] = score.fix_errors(stage)
    hour = score.errors(counts, "hour", found["extrapolation"])
    found["presence_error"] = {name: hour[name] for name in JUDGED}
    write_json(out, found)
    geojson = json.loads((out / "areas.geojson").read_text(encoding="utf-8"))
    (out / "map.html").write_text(report.map_html(geojson, counts, found), encoding="utf-8")
    return found


def write_truth(stage, out: Path, worlds: list[dict]) -> str:
    """Write truth.db from the tables of all shards and return its digest."""
    scenario = stage.scenario
    presence = np.sum([world["presence"] for world in worlds], axis=0)
    meta = {"scenario": scenario.name, "seed": scenario.world.seed, "version": version("footfall")}
    truth.write(out / "truth.db", scenario.areas, scenario.start_ms, presence, meta)
    with closing(sqlite3.connect(out / "truth.db")) as db, db:
        for table, name, columns in (("cell_load", "cells", "slot, cell, events, connections"),
                                     ("tracking_load", "pages", "slot, tac, pages")):
            rows = np.concatenate([world["load"][name] for world in worlds])
            keys, where = np.unique(rows[:, :2], axis=0, return_inverse=True)
            sums = np.zeros((len(keys), rows.shape[1] - 2), "i8")
            np.add.at(sums, where.ravel(), rows[:, 2:].astype("i8"))
            key = ", ".join(columns.split(", ")[:2])
            db.execute(f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID")
            marks = ", ".join("?" * rows.shape[1])
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", np.column_stack([keys, sums]).tolist())
    return truth.digest(scenario.areas, scenario.start_ms, presence)


def figures(stage, reports: dict[str, Any], truth_digest: str) -> dict[str, Any]:
    """Return what the processes reported, added up."""
    scenario = stage.scenario
    worlds, workers, sealer, store = (reports[name] for name in ("worlds", "workers", "sealer", "store"))
    done, events = (*worlds, *workers, sealer, store), sum(world["events"] for world in worlds)
    cost_ns = {name: 1e9 * sum(one["core_s"].get(name, 0.0) for one in done) / max(events, 1) for name in STAGES}
    buckets = {number: digest for world in worlds for number, digest in world["bucket_digests"].items()}
    due = (scenario.end_ms - scenario.start_ms) // (stage.slots.slot_s * SECOND_MS)
    return {
        "events": events,
        "digest": {"events": events_digest([buckets[number] for number in range(64)]),
                   "tallies": sealer["tallies"], "truth": truth_digest},
        "account": {name: sum(worker["account"][name] for worker in workers) for name in ACCOUNT},
        "releases": {"due": due, "stored": store["stored"], "lost": sealer["lost"]},
        "privacy": stage.privacy_spent(),
        "core_ns_per_event": {**cost_ns, "total": sum(cost_ns.values())},
        "truth_core_s": sum(world["core_s"]["truth"] for world in worlds),
        "wall_s": reports["wall_s"], "events_per_s": events / reports["simulated_s"],
        "peak_rss_mb": {name: max(one["peak_rss_mb"] for one in group)
                        for name, group in (("world", worlds), ("edge", [*workers, sealer]), ("store", [store]))},
    }


def write_json(out: Path, run: dict[str, Any]) -> None:
    """Write run.json whole or not at all."""
    unfinished = out / "run.json.new"
    unfinished.write_text(json.dumps(run, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(out / "run.json")
