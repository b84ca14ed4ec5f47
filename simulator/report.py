"""What a person looks at after a run: the map as one file, and the score in words."""

import base64
import hashlib
import json
from importlib.resources import files
from math import cos, radians
from typing import Any

import click
import numpy as np
import shapely

from probe.base.clock import HOUR_MS, local

WORDS = {"hidden": "below the publishing threshold", "missing": "missing", "published": "published",
         "warming": "warming up after a start or midnight"}


def map_html(geojson: dict[str, Any], counts, run: dict[str, Any]) -> str:
    """Return the map page: no server, no outside request, no script but its own."""
    page, script = ((files("simulator") / name).read_text(encoding="utf-8") for name in ("map.html", "map.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = json.dumps(map_data(geojson, counts, run), allow_nan=False).replace("<", "\\u003c")
    return page.replace("{{HASH}}", f"sha256-{digest}").replace("{{SCRIPT}}", script).replace("{{DATA}}", data)


def map_data(geojson: dict[str, Any], counts, run: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows: by hour and area, estimate beside truth, in persons."""
    from simulator.score import period_of, summed, threshold

    shapes, box = outlines(geojson)
    period, factor = period_of(counts, "hour"), run["extrapolation"]
    released, everyone = (summed(a, period) / 3_600 for a in (counts.released, counts.everyone))
    sigma = np.sqrt(summed(counts.sigma_s**2, period)) / 3_600
    shown = released >= threshold(1, sigma)[:, None]
    state = np.where(np.isnan(released), "missing", np.where(shown, "published", "hidden"))
    state[(summed(counts.warming, period) > 0)[:, None] & shown] = "warming"
    begins_ms = [int(counts.begin_ms[period == number][0]) for number in np.unique(period[period >= 0])]
    return {
        "words": WORDS, "title": f"footfall: {run['scenario']}, {run['start'][:10]}", "viewBox": box,
        "subtitle": f"{run['handsets']:,} handsets stand for {run['persons']:,} people; "
        f"the noise hides every one of them (rho {run['privacy']['rho']:.3g} a {run['privacy']['unit']})",
        "footer": f"Seed {run['seed']}, footfall {run['version']}. "
        "A seeded run protects nobody: whoever knows the seed can take the noise off again.",
        "hours": [f"{local(t, counts.zone):%a %d %b, %H:%M}–{local(t + HOUR_MS, counts.zone):%H:%M}"
                  for t in begins_ms],
        "areas": [{"d": shape, "name": name, "km2": round(float(km2), 4)}
                  for shape, (_, name), km2 in zip(shapes, counts.area, counts.km2, strict=True)],
        "estimate": np.where(shown, np.round(released * factor, 1), np.array(None)).tolist(),
        "truth": np.round(everyone, 1).tolist(), "state": state.tolist(),
        "interval": np.round(1.96 * sigma * factor, 1).tolist(),
    }


def outlines(geojson: dict[str, Any]) -> tuple[list[str], str]:
    """Return (an SVG path for each area, the view box).

    Longitude is shrunk by the cosine of the middle latitude; y points down in SVG.
    """
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in geojson["features"]]
    west, south, east, north = shapely.total_bounds(shapes)
    shrink = cos(radians((south + north) / 2))
    unit = max((east - west) * shrink, north - south) / 600

    def ring(part) -> str:
        xy = part.simplify(unit / 2).exterior.coords
        return "M" + "L".join(f"{(x - west) * shrink / unit:.1f} {(north - y) / unit:.1f}" for x, y in xy) + "Z"

    paths = ["".join(map(ring, getattr(shape, "geoms", [shape]))) for shape in shapes]
    return paths, f"-4 -4 {(east - west) * shrink / unit + 8:.0f} {(north - south) / unit + 8:.0f}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def layout_in_words(made) -> str:
    """Return one line: what the layout is, what was left out and filled in."""
    words = f"layout: {made.cells:,} cells on {made.sites:,} sites"
    words += f", {len(made.dropped)} rows dropped" if made.dropped else ""
    words += f", columns left alone: {', '.join(made.unasked)}" if made.unasked else ""
    return words + f"; imputed: {', '.join(made.imputed) or 'nothing'}"


def located(fixes: dict[str, Any]) -> str:
    """Return the median errors of fixes in words."""
    words = {"ta": "timing advance", "ta_levels": "timing and levels", "levels": "levels", "cell": "cell only"}
    parts = [f"{words[name]} {row['median']:.0f} m (serving cell {row['serving_cell_median']:.0f} m)"
             for name, row in fixes["by_content"].items() if row["events"]]
    return f"located   median error {fixes['median']:.0f} m; " + ", ".join(parts)


def summary(run: dict[str, Any]) -> list[str]:
    """Return the lines a person reads after a run."""
    account, error, privacy, releases = (run[name] for name in ("account", "presence_error", "privacy", "releases"))
    return [
        click.style(f"{run['scenario']}, seed {run['seed']}", bold=True)
        + f": {run['handsets']:,} handsets, {run['cells']:,} cells, {run['areas']} areas, {run['hours']:g} h",
        f"events    {run['events']:,} in {run['wall_s']:.0f} s; {account['binned']:,} counted, "
        f"{account['refused']:,} of "
        f"people who did not agree, {account['late'] + account['invalid'] + account['shed']:,} late, invalid or shed",
        located(run["fix_error_m"]),
        f"sealed    {releases['stored']} of {releases['due']} releases stored, {releases['lost']} lost; "
        f"rho {privacy['rho']:.4g} a {privacy['unit']}, epsilon {privacy['epsilon_at_1e_6']:.2f} at 1e-6",
        f"error     by area and hour, median: noise {percent(error['noise_median'])}, place "
        f"{percent(error['place_median'])}, total {percent(error['total_median'])}; "
        f"{percent(error['published_share'])} of person-time published",
        f"cost      {run['core_ns_per_event']['total']:,.0f} core ns an event, {run['events_per_s']:,.0f} events/s",
        f"look at   {run['out']}/map.html, or ask: footfall ask {run['out']} presence --level hour",
    ]


def scores(levels: dict[str, dict[str, Any]], fixes: dict[str, Any]) -> str:
    """Return the errors of a run as a table, each with what it is held against."""
    lines = ["presence, relative error by area and period, over what is published and not warming up",
             "noise: release - tally before noise; place: tally - truth of the people counted;",
             "total: published and extrapolated - truth of everyone", f"{'level':15}{'median':>9}{'p95':>9}"]
    for level, row in levels.items():
        lines += [f"{level:6}{error:9}{percent(row[error + '_median']):>9}{percent(row[error + '_p95']):>9}"
                  for error in ("noise", "place", "total")]
        lines.append(f"{level:6}{'published':9}{percent(row['published_share']):>9} of person-time")
    return "\n".join([*lines, located(fixes)])
