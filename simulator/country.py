"""Made-up areas: squares or hexagons around a middle, with residents by distance from it."""

import json
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from probe.base.config import Settings
from probe.base.plane import LocalFrame
from simulator.layouts.hexagonal import OUTWARDS
from simulator.layouts.hexagonal import rings as hexagon_centres

COMPASS = ("East", "North-east", "North", "North-west", "West", "South-west", "South", "South-east")


class Zone(Settings):
    """Everything up to a distance from the middle that no smaller zone holds."""

    radius_m: Annotated[float, Field(gt=0)]
    residents_per_km2: Annotated[float, Field(ge=0)]


class AreaSettings(Settings):
    """Where the areas come from: a GeoJSON file, or (no path) made by the program.

    Made: `rings` rings of cells of `cell_km2` around one in the middle; squares for
    "squares" (rings = 1: 3 x 3), hexagons for "hexagons" (rings = 1: 7).
    """

    path: str = ""
    shape: Literal["squares", "hexagons"] = "squares"
    rings: Annotated[int, Field(ge=0, le=30)] = 1
    cell_km2: Annotated[float, Field(ge=0.05, le=100)] = 1.0
    zones: Annotated[tuple[Zone, ...], Field(min_length=1), OUTWARDS] = (Zone(radius_m=1e6, residents_per_km2=1_000),)
    latitude: Annotated[float, Field(ge=30, le=70)] = 51.0
    longitude: Annotated[float, Field(ge=-10, le=30)] = 10.0


def made_areas(settings: AreaSettings) -> str:
    """Return GeoJSON text of the made-up areas, row by row from the south."""
    corners = 6 if settings.shape == "hexagons" else 4
    side_m = 1_000 * np.sqrt(settings.cell_km2 * (2 / np.sqrt(3) if corners == 6 else 1))  # from middle to middle
    if corners == 6:
        x_m, y_m = hexagon_centres(settings.rings, side_m)
    else:
        axis_m = np.arange(-settings.rings, settings.rings + 1) * side_m
        y_m, x_m = (a.ravel() for a in np.meshgrid(axis_m, axis_m, indexing="ij"))
    corner_m = 1_000 * np.sqrt(settings.cell_km2 / (corners / 2 * np.sin(2 * np.pi / corners)))
    angle = 2 * np.pi / corners * (np.arange(corners + 1) % corners + 0.5)  # the ring ends where it begins
    frame = LocalFrame(settings.latitude, settings.longitude)
    features = []
    for number, (x, y) in enumerate(zip(x_m, y_m, strict=True), 1):
        latitude, longitude = frame.to_degrees(x + corner_m * np.cos(angle), y + corner_m * np.sin(angle))
        ring = [[round(at, 7) for at in place] for place in np.stack([longitude, latitude], axis=1).tolist()]
        far_m, eighth = float(np.hypot(x, y)), round(np.arctan2(y, x) / (np.pi / 4)) % 8
        zone = next((zone for zone in settings.zones if far_m <= zone.radius_m), settings.zones[-1])
        properties = {"area_id": f"{number:02d}", "name": f"{COMPASS[eighth]} {number:02d}" if far_m >= 1 else "Middle",
                      "residents": round(zone.residents_per_km2 * settings.cell_km2)}
        features.append({"type": "Feature", "properties": properties,
                         "geometry": {"type": "Polygon", "coordinates": [ring]}})
    return json.dumps({"type": "FeatureCollection", "features": features})
