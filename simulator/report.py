"""What a run leaves behind: run.json, truth.db, the map as one file, and the score in words."""

import base64
import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import click
import numpy as np
import shapely

from probe.base import clock, plane
from simulator import score, truth

ACCOUNT = ("offered", "binned", "late", "invalid", "refused", "shed")
NAMED_MAX = 10  # areas in a line
STAGES = ("world", "ship", "tap", "triangulate", "count", "seal", "store")
JUDGED = ("noise_median", "place_median", "total_median", "published_share")
WORDS = {"hidden": "below the publishing threshold", "missing": "missing", "published": "published",
         "warming": "warming up after a start or midnight"}
CONTENT_WORDS = {"ta": "timing advance", "ta_levels": "timing and levels", "levels": "levels", "cell": "cell only"}


def begun(stage, out: Path) -> dict[str, Any]:
    """Return what run.json says from the first moment on."""
    scenario, world = stage.scenario, stage.scenario.world
    return {"state": "running", "scenario": scenario.name, "seed": world.seed, "version": metadata.version("footfall"),
            "handsets": scenario.handsets, "persons": stage.persons, "hours": scenario.hours,
            "start": clock.local(scenario.start_ms, world.zone).isoformat(), "cells": len(stage.plan),
            "areas": scenario.areas.elsewhere, "extrapolation": stage.extrapolation, "out": str(out),
            "extrapolation_adults": stage.extrapolation * (1 - scenario.population.minor_share),
            "extrapolation_by_age": score.by_age(stage)}


def judged(stage, out: Path, begun: dict[str, Any], reports: dict[str, Any]) -> dict[str, Any]:
    """Write truth.db, run.json and map.html; return what run.json says."""
    scenario, worlds = stage.scenario, reports["worlds"]
    true = truth.added([world["truth"] for world in worlds])
    meta = {name: begun[name] for name in ("scenario", "seed", "version")}
    cells, pages = (np.concatenate([world["load"][name] for world in worlds]) for name in ("cells", "pages"))
    truth.write(out / "truth.db", true, meta, cell_load=cells, tracking_load=pages)
    found = {**begun, "state": "judging", **figures(stage, reports, truth.digest(true))}
    write_json(out, found)  # the run stands, whatever the judge says
    judged = score.read(out)
    tables = {name: {"level": one.level, **one.errors(found)[one.level]} for name, one in judged.items()}
    found["fix_error_m"], seen = score.relived(stage)
    found["refusals"] = score.refusals(judged, found)
    found |= {"presence_error": {name: tables["presence"][name] for name in JUDGED}, "tables": tables,
              "sensing": score.sensing(out, stage, seen), "state": "done"}
    write_json(out, found)
    page, script = ((resources.files("simulator") / f"map.{kind}").read_text("utf-8") for kind in ("html", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    shown = map_data(scenario, judged["presence"].levels["hour"], found)
    data = json.dumps(shown, allow_nan=False).replace("<", "\\u003c")
    page = page.replace("{{HASH}}", f"sha256-{digest}").replace("{{SCRIPT}}", script).replace("{{DATA}}", data)
    (out / "map.html").write_text(page, encoding="utf-8")
    return found


def figures(stage, reports: dict[str, Any], truth_digest: str) -> dict[str, Any]:
    """Return what the processes reported, added up."""
    worlds, workers, sealer, store = (reports[name] for name in ("worlds", "workers", "sealer", "store"))
    due = sum(len(table.span_slots) for table in stage.scheme.every())
    done, events = (*worlds, *workers, sealer, store), sum(world["events"] for world in worlds)
    cost_ns = {name: 1e9 * sum(one["core_s"].get(name, 0.0) for one in done) / max(events, 1) for name in STAGES}
    buckets = sorted(bucket for world in worlds for bucket in world["bucket_digests"].items())
    events_digest = hashlib.sha256(b"".join(digest for _, digest in buckets)).hexdigest()  # in the order of the 64
    groups = {"world": worlds, "edge": [*workers, sealer], "store": [store]}
    return {"events": events, "digest": {"events": events_digest, "tallies": sealer["tallies"], "truth": truth_digest},
            "account": {name: sum(worker["account"][name] for worker in workers) for name in ACCOUNT},
            "releases": {"due": due, "stored": store["stored"], "lost": sealer["lost"]},
            "caps": caps(np.sum([worker["cut"] for worker in workers], axis=0)), "consent": consent(reports),
            "privacy": stage.privacy_spent(), "core_ns_per_event": {**cost_ns, "total": sum(cost_ns.values())},
            "truth_core_s": sum(world["core_s"]["truth"] for world in worlds),
            "wall_s": reports["wall_s"], "events_per_s": events / reports["simulated_s"],
            "peak_rss_mb": {name: max(one["peak_rss_mb"] for one in group) for name, group in groups.items()}}


def consent(reports: dict[str, Any]) -> dict[str, Any]:
    """Return who agrees, how many began and ceased to be counted, the newest epoch of all workers, and what was amiss.

    not_taken : epochs that were not taken, by kind, and events without one (stale); words: what the workers said of it
    """
    said = [worker["consent"] for worker in reports["workers"]]
    not_taken = sum((Counter(one["not_taken"]) for one in said), Counter[str]())
    return {**reports["consent"], "epoch": min(one["epoch"] for one in said), "not_taken": dict(not_taken),
            "words": sorted({words for one in said for words in one["words"]})}


def caps(cut: np.ndarray) -> dict[str, dict[str, Any]]:
    """Return what share the caps refused, of i8[25, 3, 2] granted and refused: of all, and by hour of the local day."""
    return {name: {"refused_share": score.share(its[:, 1].sum(), its.sum()),
                   "by_hour": [score.share(refused, granted + refused) for granted, refused in its.tolist()]}
            for name, its in zip(("areas", "arrivals", "departures"), cut.swapaxes(0, 1), strict=True)}


def write_json(out: Path, run: dict[str, Any]) -> None:
    """Write run.json whole or not at all."""
    (unfinished := out / "run.json.new").write_text(json.dumps(run, indent=1, allow_nan=False) + "\n", "utf-8")
    unfinished.replace(out / "run.json")


def map_data(scenario, hours: score.Counts, run: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows: by hour and area, estimate beside truth, in persons."""
    zone, factor, areas = scenario.world.zone, run["extrapolation"], scenario.areas
    km2 = np.bincount(areas.bins.ravel(), minlength=areas.elsewhere + 1) * plane.BIN_M**2 / 1e6
    released, everyone, sigma = (a / 3_600 for a in (hours.released, hours.everyone, hours.sigma))
    shown, paths, box = hours.shown(), *outlines(json.loads(scenario.area_texts[""][0]))
    state = np.where(np.isnan(released), "missing", np.where(shown, "published", "hidden"))
    state[hours.warming[:, None] & shown] = "warming"
    return {
        "words": WORDS, "title": f"footfall: {run['scenario']}, {run['start'][:10]}", "viewBox": box,
        "subtitle": f"{run['handsets']:,} handsets stand for {run['persons']:,} people; "
        f"noise for anyone's day (rho {run['privacy']['rho']:.3g} a {run['privacy']['unit']})",
        "footer": f"Seed {run['seed']}, footfall {run['version']}. "
        "A seeded run protects nobody: whoever knows the seed can take the noise off again.",
        "hours": [f"{clock.local(t, zone):%a %d %b, %H:%M}–{clock.local(t + clock.HOUR_MS, zone):%H:%M}"
                  for t in hours.span_ms[:, 0].tolist()],
        "areas": [{"d": path, "name": name, "km2": round(float(size), 4)}
                  for path, name, size in zip(paths, areas.name, km2, strict=False)],  # no path of elsewhere
        "estimate": np.where(shown, np.round(released * factor, 1), np.array(None)).tolist(),
        "truth": np.round(everyone, 1).tolist(), "state": state.tolist(),
        "interval": np.round(1.96 * sigma * factor, 1).tolist()}


def outlines(geojson: dict[str, Any]) -> tuple[list[str], str]:
    """Return (an SVG path for each area, the view box).

    Longitude is shrunk by the cosine of the middle latitude; y points down in SVG.
    """
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in geojson["features"]]
    west, south, east, north = shapely.total_bounds(shapes)
    shrink = np.cos(np.radians((south + north) / 2))
    unit = max((east - west) * shrink, north - south) / 600

    def ring(part) -> str:
        xy = part.simplify(unit / 2).exterior.coords
        return "M" + "L".join(f"{(x - west) * shrink / unit:.1f} {(north - y) / unit:.1f}" for x, y in xy) + "Z"

    paths = ["".join(map(ring, getattr(shape, "geoms", [shape]))) for shape in shapes]
    return paths, f"-4 -4 {(east - west) * shrink / unit + 8:.0f} {(north - south) / unit + 8:.0f}"


def percent(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}.1f} %"


def layout_in_words(made) -> str:
    """Return one line: what the layout is, what was left out and filled in."""
    dropped = f", {len(made.dropped)} rows dropped" if made.dropped else ""
    unasked = f", columns left alone: {', '.join(made.unasked)}" if made.unasked else ""
    imputed = ", ".join(made.imputed) or "nothing"
    return f"layout: {made.cells:,} cells on {made.sites:,} sites{dropped}{unasked}; imputed: {imputed}"


def foreseen(stage) -> list[str]:
    """Return in words what a second area set costs, which areas will be unresolved with it, and names given twice."""
    lines, sets = stage.costs(), stage.scenario.sets
    for name, own in sets.items():
        hits = stage.hits[name][0] if len(sets) > 1 else ()
        poor = [area for area, hit in zip(own.name[:-1], hits, strict=False) if not hit >= score.questions.RESOLVED_MIN]
        of = f'area set "{name}"' if name else "areas"
        twice = [one for one, count in Counter(own.name).items() if count > 1]
        for words, which in (("unresolved, less than half of a fix would lie in it", poor),
                             ("more than one has this name, ask by area_id", twice)):
            more = f" and {len(which) - NAMED_MAX} more" if len(which) > NAMED_MAX else ""
            lines += [f"{of}: {words}: {', '.join(which[:NAMED_MAX])}{more}"] if which else []
    return lines


def interrupted(out: Path, start_ms: int) -> str:
    """Return in words what an interrupted run holds, and what can be done with it."""
    def held(name: str) -> tuple[int, int]:
        try:
            with closing(sqlite3.connect(f"{(out / name).absolute().as_uri()}?mode=ro", uri=True)) as db:
                return db.execute("SELECT count(*), coalesce(max(slot), 0) FROM release").fetchone()
        except sqlite3.Error:  # not there yet
            return 0, 0

    (sealed, last), (stored, _) = held("spool.db"), held("store.db")
    hour = max(0, (last + 1) / 4 - start_ms / clock.HOUR_MS)  # slots of a quarter of an hour: to the end of the last
    others = f", the others stay sealed in {out}/spool.db" if stored < sealed else ""
    return (f"interrupted at simulated hour {hour:g}: {stored:,} releases stored of {sealed:,} sealed{others}\n"
            f"{'footfall ask and footfall privacy work on it; ' * (stored > 0)}"
            f"footfall run --out {out} --force replaces it")


def located(fixes: dict[str, Any]) -> str:
    """Return the median errors of fixes in words."""
    parts = [f"{CONTENT_WORDS[name]} {row['median']:.0f} m (serving cell {row['serving_cell_median']:.0f} m)"
             for name, row in fixes["by_content"].items() if row["events"]]
    return f"located   median error {fixes['median']:.0f} m; " + ", ".join(parts) if parts else "located   nothing"


def summary(run: dict[str, Any]) -> str:
    """Return the lines a person reads after a run."""
    account, error, privacy, releases = (run[name] for name in ("account", "presence_error", "privacy", "releases"))
    noise, place, total, published = (percent(error[name]) for name in JUDGED)
    lost = account["late"] + account["invalid"] + account["shed"]
    agreed, (yes, no) = run["consent"], (run["consent"]["changes"][word] for word in ("yes", "no"))
    others = ", ".join(f"{name} {percent(its['total_median'])} ({its['level']}"
                       f"{', sparse' * (2 * its['published'] < its['cells'])})" if its["published"] else
                       f"{name} nothing published" for name, its in run["tables"].items() if name != "presence")
    return f"""{click.style(f"{run['scenario']}, seed {run['seed']}", bold=True)}: \
{run['handsets']:,} handsets, {run['cells']:,} cells, {run['areas']} areas, {run['hours']:g} h
events    {run['events']:,} in {run['events'] / run['events_per_s']:.0f} s, {run['wall_s']:.0f} s with the start; \
{account['binned']:,} counted, {account['refused']:,} of people who are not counted, {lost:,} late, invalid or shed
consent   {"; ".join([*agreed["words"], f"{no:,} ceased and {yes:,} began to be counted, as they said"])}
{located(run["fix_error_m"])}
sealed    {releases['stored']} of {releases['due']} releases stored, {releases['lost']} lost; \
rho {privacy['rho']:.4g} a {privacy['unit']}, epsilon {privacy['epsilon_at_1e_6']:.2f} at 1e-6
error     by area and hour, median: noise {noise}, place {place}, total {total}; {published} of person-time published
tables    total error, median: {others or "presence alone"}
cost      {run['core_ns_per_event']['total']:,.0f} core ns an event, {run['events_per_s']:,.0f} events/s
look at   {run['out']}/map.html, or ask: footfall ask {run['out']} presence --level hour"""


def refused(refusals: dict[str, Any]) -> list[str]:
    """Return in words what the refusals cost."""
    lines = ["refusals  what they cost, without noise or place: the truth of some, extrapolated, against everyone's;",
             "customers: adults with a handset of ours, as if all had agreed; weighed: the counted, by age",
             f"{'  median and p95 of each':30}" + "".join(f"{name:>9}{'':9}" for name in score.GUESSES)]
    for row in refusals["errors"]:
        ends = [row.get(f"{name}_{rank}") for name in score.GUESSES for rank in ("median", "p95")]
        label = f"  {row['table']} by {', '.join([row['level'], *row['by']])}"
        lines.append(f"{label:30}" + "".join(f"{percent(one):>9}" for one in ends))
    return lines + [f"{f'  sum of the run, {age}':30}" + "".join(f"{percent(its[name], '+'):>9}{'':9}"
                    for name in score.GUESSES) for age, its in refusals["bias"].items()]


def scores(tables: dict[str, dict[str, dict[str, Any]]], run: dict[str, Any]) -> str:
    """Return the errors of every table by level, its bias, what the caps cut, and what was never heard of."""
    ends = [f"{error}_{rank}" for error in ("noise", "place", "total") for rank in ("median", "p95")]
    lines = ["Relative error by cell and period, over what is published and not warming up; median and p95 of each.",
             "noise: release - tally before noise; place: tally - truth of the people counted;",
             "total: published and extrapolated - truth of everyone (of adults, where a table tells age or gender)",
             f"{'table':20}{'level':6}{'noise':>9}{'':9}{'place':>9}{'':9}{'total':>9}{'':9}{'shown':>9}"]
    for name, levels in tables.items():
        for level, row in levels.items():
            errors = [*(row[end] for end in ends), row["published_share"]]
            words = "".join(f"{percent(one):>9}" for one in errors) if row["periods"] else "  no whole one in this run"
            lines.append(f"{name:20}{level:6}{words}")
    lines.append("bias      tally - truth of the people counted, of the sum over all areas and the run")
    lines += [f"  {name:18}{axis:10}" + ", ".join(f"{row} {percent(one, '+')}" for row, one in rows.items())
              for name, axes in run["bias"].items() for axis, rows in axes.items() if {*rows.values()} - {None}]
    lines += refused(run["refusals"])
    caps, gap = run["caps"], run["sensing"]
    lines.append(f"{'refused   by caps':20}" + "".join(f"{name:>12}" for name in caps))
    shares = [[percent(one) for one in (its["refused_share"], *its["by_hour"])] for its in caps.values()]
    for hour, told in enumerate(zip(*shares, strict=True), -1):  # of the local day, from its midnight; all before it
        label = "all" if hour < 0 else f"{hour}-{hour + 1} h"
        lines += [f"  {label:18}" + "".join(f"{one:>12}" for one in told)] if {*told} - {"-", "0.0 %"} else []
    unseen = ", ".join(f"{name} {percent(one['unseen'])}" for name, one in gap["visits"].items())
    lines.append(f"unseen    {percent(gap['presence'])} of person-time; visits by minutes, without any event: {unseen}")
    return "\n".join([*lines, located(run["fix_error_m"])])
