"""What a person looks at after a run: the map as one file, and the score in words."""

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import click

WORDS = {
    "hidden": "below the publishing threshold",
    "missing": "missing",
    "warming": "warming up after a start or midnight",
    "published": "published",
}


def map_html(data: dict[str, Any]) -> str:
    """Return the map page: no server, no outside request, no script but its own.

    data: title, subtitle, footer, hours[str], areas[{name, km2, d}], viewBox,
    estimate[hour][area] (None where not shown), truth[hour][area], state[hour][area], interval[hour].
    """
    script = (files("simulator") / "map.js").read_text(encoding="utf-8")
    page = (files("simulator") / "map.html").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = json.dumps({**data, "words": WORDS}, allow_nan=False).replace("<", "\\u003c")
    return (
        page.replace("{{SCRIPT_HASH}}", f"sha256-{digest}")
        .replace("{{SCRIPT}}", script)
        .replace("{{DATA}}", text)
    )


def outlines(geojson: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Return (one {"d": SVG path} an area, the view box).

    Longitude is shrunk by the cosine of the middle latitude; y points down in SVG.
    """
    from math import cos, radians

    import shapely

    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in geojson["features"]]
    west, south, east, north = shapely.total_bounds(shapes)
    shrink = cos(radians((south + north) / 2))
    unit = max((east - west) * shrink, north - south) / 600

    def ring(points) -> str:
        xy = ((round((x - west) * shrink / unit, 1), round((north - y) / unit, 1)) for x, y in points)
        return "M" + "L".join(f"{x} {y}" for x, y in xy) + "Z"

    areas = []
    for shape in shapes:
        parts = getattr(shape, "geoms", [shape])
        rings = [part.simplify(unit / 2).exterior.coords for part in parts]
        areas.append({"d": "".join(map(ring, rings))})
    return areas, f"-4 -4 {(east - west) * shrink / unit + 8:.0f} {(north - south) / unit + 8:.0f}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def summary(run: dict[str, Any]) -> list[str]:
    """Return the lines a person reads after a run."""
    account, fixes, error, privacy = run["account"], run["fix_error_m"], run["presence_error"], run["privacy"]
    releases, content = run["releases"], run["fix_error_m"]["by_content"]
    best = ", ".join(
        f"{words} {row['median']:.0f} m (serving cell {row['serving_cell_median']:.0f} m)"
        for name, words in (("ta", "timing advance"), ("ta_levels", "with levels"))
        if (row := content[name])["events"]
    )
    lost = account["late"] + account["invalid"] + account["shed"]
    return [
        click.style(f"{run['scenario']}, seed {run['seed']}", bold=True)
        + f": {run['handsets']:,} handsets, {run['cells']:,} cells, {run['areas']} areas, {run['hours']:g} h",
        f"events    {run['events']:,} in {run['wall_s']:.0f} s; {account['binned']:,} counted, "
        f"{account['refused']:,} of people who did not agree, {lost:,} late, invalid or shed",
        f"located   median error {fixes['median']:.0f} m; {best}",
        f"sealed    {releases['stored']} of {releases['due']} releases stored, {releases['lost']} lost; "
        f"rho {privacy['rho']:g} a {privacy['unit']}, epsilon {privacy['epsilon_at_1e_6']:.2f} at 1e-6",
        f"error     by area and hour, median: noise {percent(error['noise_median'])}, place "
        f"{percent(error['place_median'])}, total {percent(error['total_median'])}; "
        f"{percent(error['published_share'])} of person-time published",
        f"cost      {run['core_ns_per_event']['total']:,.0f} core ns an event, "
        f"{run['events_per_s']:,.0f} events/s",
        f"look at   {run['out']}/map.html, or ask: footfall ask {run['out']} presence --level hour",
    ]
