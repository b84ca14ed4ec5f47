"""What a run directory says of its run: run.json, truth.db and the data of the map."""

import json
import sqlite3
from contextlib import closing
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from probe.base.clock import HOUR_MS, local
from simulator import report, truth
from simulator.world import events_digest

ACCOUNT = ("offered", "binned", "late", "invalid", "refused", "shed")
STAGES = ("world", "ship", "tap", "triangulate", "count", "seal", "store")


def write_truth(stage, out: Path, worlds: list[dict]) -> str:
    """Write truth.db from the tables of all shards and return its digest."""
    scenario = stage.scenario
    presence = np.sum([world["presence"] for world in worlds], axis=0)
    meta = {"scenario": scenario.name, "seed": scenario.world.seed, "version": version("footfall")}
    truth.write(out / "truth.db", scenario.areas, scenario.start_ms, presence, meta)
    with closing(sqlite3.connect(out / "truth.db")) as db, db:
        add_up(
            db, "cell_load", ("slot", "cell"), ("events", "connections"), [w["load"]["cells"] for w in worlds]
        )
        add_up(db, "tracking_load", ("slot", "tac"), ("pages",), [w["load"]["pages"] for w in worlds])
    return truth.digest(scenario.areas, scenario.start_ms, presence)


def add_up(db: sqlite3.Connection, table: str, keys: tuple, values: tuple, parts: list[np.ndarray]) -> None:
    """Write one table of counts, added over the shards."""
    rows = np.concatenate(parts)
    names, where = np.unique(rows[:, : len(keys)], axis=0, return_inverse=True)
    sums = np.zeros((len(names), len(values)), "i8")
    np.add.at(sums, where.ravel(), rows[:, len(keys) :].astype("i8"))
    columns = ", ".join(f"{name} INTEGER NOT NULL" for name in (*keys, *values))
    db.execute(f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID")
    marks = ", ".join("?" * len((*keys, *values)))
    db.executemany(f"INSERT INTO {table} VALUES ({marks})", np.column_stack([names, sums]).tolist())


def begun(stage, out: Path) -> dict[str, Any]:
    """Return what run.json says from the first moment on."""
    scenario = stage.scenario
    return {
        "state": "running",
        "scenario": scenario.name,
        "seed": scenario.world.seed,
        "version": version("footfall"),
        "handsets": scenario.handsets,
        "persons": stage.persons,
        "hours": scenario.world.hours,
        "start": local(scenario.start_ms, scenario.world.zone).isoformat(),
        "cells": len(stage.plan),
        "areas": len(scenario.areas.area_id) - 1,
        "extrapolation": stage.extrapolation,
        "out": str(out),
    }


def of_run(stage, out: Path, reports: dict[str, Any], truth_digest: str) -> dict[str, Any]:
    """Return run.json without the judge's part."""
    from collector.edge.ledger import epsilon

    privacy = stage.privacy
    worlds, workers, sealer, store = (reports[name] for name in ("worlds", "workers", "sealer", "store"))
    events = sum(world["events"] for world in worlds)
    account = {name: sum(worker["account"][name] for worker in workers) for name in ACCOUNT}
    done = (*worlds, *workers, sealer, store)
    cost_ns = {
        name: 1e9 * sum(one["core_s"].get(name, 0.0) for one in done) / max(events, 1) for name in STAGES
    }
    due = (stage.scenario.end_ms - stage.scenario.start_ms) // (stage.slots.slot_s * 1_000)
    buckets = {number: digest for world in worlds for number, digest in world["bucket_digests"].items()}
    promise = stage.promise
    rho = Fraction(promise.rho_numerator, promise.rho_denominator)
    return {
        **begun(stage, out),
        "state": "done",
        "events": events,
        "digest": {
            "events": events_digest([buckets[number] for number in range(64)]),
            "tallies": sealer["tallies"],
            "truth": truth_digest,
        },
        "account": account,
        "releases": {"due": due, "stored": store["stored"], "lost": sealer["lost"]},
        "privacy": {
            "basis": privacy.basis,
            "purpose": privacy.purpose,
            "unit": "subscriber-day",
            "rho": float(rho),
            "rho_day": float(privacy.rho_day),
            "epsilon_at_1e_6": epsilon(rho),
            "seeded": True,
        },
        "truth_core_s": sum(world["core_s"]["truth"] for world in worlds),
        "core_ns_per_event": {**cost_ns, "total": sum(cost_ns.values())},
        "wall_s": reports["wall_s"],
        "events_per_s": events / reports["simulated_s"],
        "peak_rss_mb": {
            "world": max(world["peak_rss_mb"] for world in worlds),
            "edge": max(worker["peak_rss_mb"] for worker in (*workers, sealer)),
            "store": store["peak_rss_mb"],
        },
    }


def write_json(out: Path, run: dict[str, Any]) -> None:
    """Write run.json whole or not at all."""
    unfinished = out / "run.json.new"
    unfinished.write_text(json.dumps(run, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(out / "run.json")


def map_data(out: Path, counts, run: dict[str, Any]) -> dict[str, Any]:
    """Return what the map page shows: by hour and area, estimate beside truth, in persons."""
    from collector.centre.estimate import THRESHOLD_K, THRESHOLD_Z
    from simulator.score import period_of, summed

    shapes = report.outlines(json.loads((out / "areas.geojson").read_text(encoding="utf-8")))
    areas = [
        {**shape, "name": name, "km2": round(float(km2), 4)}
        for shape, (_, name), km2 in zip(shapes[0], counts.area, counts.km2, strict=True)
    ]
    period = period_of(counts, "hour")
    released, everyone = (summed(a, period) / 3_600 for a in (counts.released, counts.everyone))
    warming = summed(counts.warming.astype("f8"), period) > 0
    sigma = np.sqrt(summed(counts.sigma_s**2, period)) / 3_600
    factor = run["extrapolation"]
    shown = released >= THRESHOLD_K + THRESHOLD_Z * sigma[:, None]
    state = np.where(np.isnan(released), "missing", np.where(shown, "published", "hidden"))
    state[warming[:, None] & (state == "published")] = "warming"
    begins_ms = [int(counts.begin_ms[period == number][0]) for number in np.unique(period[period >= 0])]
    return {
        "title": f"footfall: {run['scenario']}, {run['start'][:10]}",
        "subtitle": f"{run['handsets']:,} handsets stand for {run['persons']:,} people; "
        f"the noise hides every one of them (rho {run['privacy']['rho']:.3g} a {run['privacy']['unit']})",
        "footer": f"Seed {run['seed']}, footfall {run['version']}. "
        "A seeded run protects nobody: it can be repeated.",
        "hours": [hour_label(time_ms, counts.zone) for time_ms in begins_ms],
        "areas": areas,
        "viewBox": shapes[1],
        "estimate": [
            [round(value * factor, 1) if ok else None for value, ok in zip(row, good, strict=True)]
            for row, good in zip(released.tolist(), np.isin(state, ("published", "warming")), strict=True)
        ],
        "truth": np.round(everyone, 1).tolist(),
        "state": state.tolist(),
        "interval": [round(1.96 * float(one) * factor, 1) for one in sigma],
    }


def hour_label(time_ms: int, zone: str) -> str:
    """Return such as "Tue 12 May, 08:00-09:00", local."""
    begin, end = local(time_ms, zone), local(time_ms + HOUR_MS, zone)
    return f"{begin:%a %d %b, %H:%M}–{end:%H:%M}"
