"""What noise, place and everything together do to each table: 200,000 handsets, 100 areas of 1 km2, a day.

    python -m benchmarks.utility [--small]

A made-up city as the scenario `city`, but of 10 x 10 squares; `--small` is a part of it, for the tests.
Prints a table for benchmarks/README.md: by table, at the level it is judged at, the median of the three
relative errors and the share that is published; and the 95th percentile of the noise.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from probe.base.plane import LocalFrame
from simulator import scenario

SIDE_M, FRAME = 1_000.0, LocalFrame(51.0, 10.0)


def squares(side: int) -> str:
    """Return GeoJSON text of side x side squares; residents as in the zones of `city`."""
    zones, features = scenario.load("city", []).area.zones, []
    for row, column in np.ndindex(side, side):
        x_m, y_m = (np.array([column, row]) - (side - 1) / 2) * SIDE_M
        ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * SIDE_M / 2 + (x_m, y_m)
        latitude, longitude = FRAME.to_degrees(*ring.T)
        far_m = float(np.hypot(x_m, y_m))
        residents = next((zone for zone in zones if far_m <= zone.radius_m), zones[-1]).residents_per_km2
        corners = np.stack([longitude, latitude], axis=1).round(7).tolist()
        features.append({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [corners]},
                         "properties": {"area_id": f"{row}{column}", "residents": residents}})
    return json.dumps({"type": "FeatureCollection", "features": features})


def measured(side: int, handsets: int, folder: Path) -> dict:
    """Return run.json of a day in a city of side x side areas."""
    text = scenario.shipped()["city"]
    head, rest = text.split("[areas]")
    (folder / "areas.geojson").write_text(squares(side))
    layout = rest.split("[layout]")[1]
    (folder / "utility.toml").write_text(f'{head}[areas]\npath = "areas.geojson"\n\n[layout]{layout}')
    words = ["run", str(folder / "utility.toml"), "--handsets", str(handsets), "--json", "--out", str(folder / "run")]
    said = subprocess.run([Path(sys.executable).parent / "footfall", *words], stdout=subprocess.PIPE, check=True)
    return json.loads(said.stdout)


def lines(run: dict) -> list[str]:
    """Return the rows of a table in Markdown."""
    found = ["| table | level | noise, median | noise, p95 | place | total | published |", "| --- " * 7 + "|"]
    for name, its in run["tables"].items():
        shares = [its[key] for key in ("noise_median", "noise_p95", "place_median", "total_median", "published_share")]
        cells = " | ".join("-" if one is None else f"{100 * one:.2f} %" for one in shares)
        found.append(f"| `{name}` | {its['level']} | {cells} |")
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="footfall-") as scratch:
        print("\n".join(lines(measured(*((3, 3_000) if "--small" in sys.argv else (10, 200_000)), Path(scratch)))))
