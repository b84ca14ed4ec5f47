"""Made-up areas: squares or hexagons around a middle, with residents by distance from it."""

import json
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from probe.base.config import Settings
from probe.base.plane import LocalFrame


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
    zones: Annotated[tuple[Zone, ...], Field(min_length=1)] = (Zone(radius_m=1e6, residents_per_km2=1_000),)
    latitude: Annotated[float, Field(ge=30, le=70)] = 51.0
    longitude: Annotated[float, Field(ge=-10, le=30)] = 10.0

    @field_validator("zones")
    @classmethod
    def grow_outwards(cls, zones: tuple[Zone, ...]) -> tuple[Zone, ...]:
        radii = [zone.radius_m for zone in zones]
        if radii != sorted(set(radii)):
            raise ValueError("radius_m does not rise from zone to zone; list the innermost first")
        return zones


def made_areas(settings: AreaSettings) -> str:
    """Return GeoJSON text of the made-up areas, row by row from the south."""
    hexagonal = settings.shape == "hexagons"
    x_m, y_m = (hexagon_centres if hexagonal else square_centres)(settings.rings, settings.cell_km2)
    corners = 6 if hexagonal else 4
    corner_m = 1_000 * np.sqrt(settings.cell_km2 / (corners / 2 * np.sin(2 * np.pi / corners)))
    angle = 2 * np.pi / corners * (np.arange(corners) + 0.5)
    frame = LocalFrame(settings.latitude, settings.longitude)
    features = []
    for number, (x, y) in enumerate(zip(x_m, y_m, strict=True)):
        latitude, longitude = frame.to_degrees(x + corner_m * np.cos(angle), y + corner_m * np.sin(angle))
        ring = [
            [round(lon, 7), round(lat, 7)]
            for lon, lat in zip(longitude.tolist(), latitude.tolist(), strict=True)
        ]
        properties = {
            "area_id": f"{number + 1:02d}",
            "name": name_of(number + 1, x, y),
            "residents": round(density(settings.zones, float(np.hypot(x, y))) * settings.cell_km2),
        }
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "features": features})


def square_centres(rings: int, cell_km2: float):
    """Return (x_m, y_m) of (2 rings + 1)^2 squares."""
    axis = np.arange(-rings, rings + 1) * 1_000 * np.sqrt(cell_km2)
    y, x = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    return x, y


def hexagon_centres(rings: int, cell_km2: float):
    """Return (x_m, y_m) of 1 + 3 r (r + 1) hexagons with a corner to the north."""
    spacing_m = 1_000 * np.sqrt(cell_km2 * 2 / np.sqrt(3))
    axis = np.arange(-rings, rings + 1)
    r, q = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    inside = np.abs(q + r) <= rings
    return spacing_m * (q + r / 2)[inside], spacing_m * (r * np.sqrt(3) / 2)[inside]


def density(zones: tuple[Zone, ...], far_m: float) -> float:
    """Return residents per km2 at a distance from the middle; beyond the last zone that of the last."""
    return next((z for z in zones if far_m <= z.radius_m), zones[-1]).residents_per_km2


def name_of(number: int, x_m: float, y_m: float) -> str:
    """Return where an area lies and its number, such as "North-east 07"."""
    if np.hypot(x_m, y_m) < 1:
        return "Middle"
    points = ("East", "North-east", "North", "North-west", "West", "South-west", "South", "South-east")
    return f"{points[round(np.arctan2(y_m, x_m) / (np.pi / 4)) % 8]} {number:02d}"
