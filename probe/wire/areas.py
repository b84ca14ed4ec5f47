"""Named areas as polygons, turned once into bins of 100 m by their centres.

A bin belongs to the area that holds its centre; an area too small to hold one gets the
bin that it lies in.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from probe.base.config import ConfigError, read_text
from probe.base.plane import BIN_M, LocalFrame, bin_terms, to_laea

VERSION = 1
ELSEWHERE = "elsewhere"
SIZE_MAX = 64 << 20
AREAS_MAX = 65_000  # rows are u2
SPAN_MAX_M = 200_000.0  # beyond it the quadratic of bin_terms is off by more than a tenth of a bin
# Where EPSG:3035 may be used, in degrees (EPSG registry, rounded outwards).
LATITUDES = (24.0, 85.0)
LONGITUDES = (-36.0, 45.0)


@dataclass(frozen=True)
class AreaSet:
    """A partition: the named areas, and elsewhere (the last row) for the rest of the map.

    name        : list[str]    n + 1 names, the last ELSEWHERE
    area_id     : list[str]    n + 1 public ids
    residents   : f8[n + 1]    residents by the areas' own file, NaN where not given
    bins        : u2[rows, columns]  area row of each 100 m bin; the row of elsewhere outside all areas.
                  The outermost bins are elsewhere, so that a place off the raster may be clamped to it
    first       : (column, row) of bins[0, 0] in the ETRS89-LAEA grid
    terms       : f8[2, 6]     bin_terms of frame: local metres -> grid column and row
    """

    frame: LocalFrame
    area_id: list[str]
    name: list[str]
    residents: np.ndarray
    bins: np.ndarray
    first: tuple[int, int]
    terms: np.ndarray
    digest: bytes  # 8 bytes over ids and bins

    @property
    def elsewhere(self) -> int:
        """Return the row of elsewhere."""
        return len(self.area_id) - 1

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (x_m, y_m), f8[rows, columns]: local metres of every bin centre, true to 1 m."""
        row, column = np.indices(self.bins.shape) + 0.5
        wanted = np.stack([column + self.first[0], row + self.first[1]])
        linear = np.linalg.inv(self.terms[:, 1:3])
        x = y = np.zeros(self.bins.shape)
        for _ in range(4):  # the quadratic part is small: each round gains three digits
            powers = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
            gap = wanted - np.tensordot(self.terms, powers, 1)
            dx, dy = np.tensordot(linear, gap, 1)
            x, y = x + dx, y + dy
        return x, y


def read(path: Path) -> AreaSet:
    """Return the areas of a GeoJSON file, or raise ConfigError with every problem of it."""
    return from_geojson(read_text(Path(path), "the areas file", SIZE_MAX), str(path))


def from_geojson(text: str, where: str) -> AreaSet:
    """Return the areas of a GeoJSON FeatureCollection (WGS 84), or raise ConfigError.

    Properties read: area_id (or id), name, residents.  Others are left alone.
    """
    problems: list[str] = []
    ids, names, residents, polygons = [], [], [], []
    for number, feature in enumerate(_features(text, where)):
        properties = feature.get("properties") or {}
        area_id = str(_first(properties.get("area_id"), properties.get("id"), feature.get("id"), number))
        ids.append(area_id)
        names.append(str(properties.get("name") or area_id))
        what = f'area "{area_id}"' + (f" ({names[-1]})" if names[-1] != area_id else "")
        residents.append(_residents(properties.get("residents"), what, problems))
        polygons.append(_polygon(feature.get("geometry"), what, problems))
    problems += [f'area_id "{i}" is given {ids.count(i)} times' for i in sorted(set(ids)) if ids.count(i) > 1]
    if ELSEWHERE in ids:
        problems.append(f'area_id "{ELSEWHERE}" is taken: it means the rest of the map')
    if problems:
        raise ConfigError(where, problems)
    return _burn(ids, names, residents, polygons, where)


def _first(*values):
    return next(value for value in values if value is not None)


def _features(text: str, where: str) -> list[dict]:
    """Return the features of a collection; whatever is not one is refused."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, [f"is not JSON: {error}"]) from None
    kind = document.get("type") if isinstance(document, dict) else type(document).__name__
    features = document.get("features") if kind == "FeatureCollection" else None
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise ConfigError(where, [f"is {kind!r}; needs a GeoJSON FeatureCollection of polygons"])
    if not 1 <= len(features) <= AREAS_MAX:
        raise ConfigError(where, [f"holds {len(features)} areas; needs 1 to {AREAS_MAX}"])
    bad = [f"feature {i}: properties is no object" for i, f in enumerate(features)
           if not isinstance(f.get("properties") or {}, dict)]  # fmt: skip
    if bad:
        raise ConfigError(where, bad)
    return features


def _residents(value, what: str, problems: list[str]) -> float:
    if value is None:
        return np.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        problems.append(f"{what}: residents = {value!r}; needs a number >= 0")
        return np.nan
    return float(value)


def _polygon(geometry, what: str, problems: list[str]):
    """Return a valid polygon in degrees, or None and say why not."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        problems.append(f"{what}: geometry is {kind or 'missing'}; needs Polygon or MultiPolygon")
        return None
    try:
        degrees = shapely.force_2d(shapely.from_geojson(json.dumps(geometry)))
        assert degrees.geom_type == kind
    except (shapely.errors.ShapelyError, AssertionError, TypeError, ValueError) as error:
        problems.append(f"{what}: coordinates are unreadable ({type(error).__name__})")
        return None
    found = _misplaced(degrees)
    if not found and not degrees.is_valid:
        found = f"is not valid: {shapely.is_valid_reason(degrees)}; draw its rings without crossings"
    if found:
        problems.append(f"{what}: {found}")
        return None
    return degrees


def _misplaced(degrees) -> str:
    """Return why positions cannot be used, or nothing."""
    longitude, latitude = shapely.get_coordinates(degrees).T
    if not len(longitude):
        return "is empty"

    def fits(lat, lon):
        return bool(
            np.all((lat >= LATITUDES[0]) & (lat <= LATITUDES[1]))
            and np.all((lon >= LONGITUDES[0]) & (lon <= LONGITUDES[1]))
        )

    if fits(latitude, longitude):
        return ""
    if fits(longitude, latitude):
        return "latitude and longitude are swapped; GeoJSON positions are [longitude, latitude]"
    return (
        f"position [{longitude[0]:g}, {latitude[0]:g}] is outside the grid "
        f"(EPSG:3035: latitude {LATITUDES[0]:g} to {LATITUDES[1]:g}, "
        f"longitude {LONGITUDES[0]:g} to {LONGITUDES[1]:g})"
    )


def _burn(ids, names, residents, polygons, where: str) -> AreaSet:
    """Return the set with its bins; two areas that share a bin centre are refused."""
    grid = shapely.transform(polygons, lambda at: np.stack(to_laea(at[:, 1], at[:, 0]), axis=1))
    bounds = shapely.bounds(grid)
    low = np.floor(bounds[:, :2].min(axis=0) / BIN_M).astype(int) - 1
    high = np.floor(bounds[:, 2:].max(axis=0) / BIN_M).astype(int) + 1
    if np.any((high - low) * BIN_M > SPAN_MAX_M):
        raise ConfigError(where, [f"spans more than {SPAN_MAX_M / 1000:g} km; split it"])
    columns, rows = high - low + 1
    bins = np.full((rows, columns), len(ids), "u2")
    problems, small = [], []
    for area, polygon in enumerate(grid):
        window, inside = _inside(polygon, bounds[area], low)
        taken = bins[window]
        for other in np.unique(taken[inside & (taken < len(ids))]):
            count = int(np.sum(inside & (taken == other)))
            problems.append(
                f'area "{ids[area]}" ({names[area]}) overlaps "{ids[other]}" ({names[other]}) '
                f"in {count} bins; areas of one set must not overlap"
            )
        taken[inside] = area
        if not inside.any():
            small.append(area)
    for area in small:  # an area without a bin would be counted as empty for ever: it gets the one it lies in
        column, row = (
            np.floor(shapely.get_coordinates(grid[area].point_on_surface())[0] / BIN_M).astype(int) - low
        )
        if bins[row, column] < len(ids):
            problems.append(
                f'area "{ids[area]}" ({names[area]}) holds no centre of a 100 m bin, '
                f'and the bin that it lies in belongs to "{ids[bins[row, column]]}"; draw it larger'
            )
        bins[row, column] = area
    if problems:
        raise ConfigError(where, problems)
    west, south, east, north = shapely.total_bounds(polygons)
    frame = LocalFrame(float(south + north) / 2, float(west + east) / 2)
    reach_m = max(float(np.max(high - low)) * BIN_M, 10_000.0) / 2
    digest = hashlib.sha256(
        json.dumps([ids, low.tolist(), bins.shape]).encode() + bins.astype("<u2").tobytes()
    )
    return AreaSet(
        frame,
        [*ids, ELSEWHERE],
        [*names, ELSEWHERE],
        np.array([*residents, np.nan]),
        bins,
        (int(low[0]), int(low[1])),
        bin_terms(frame, reach_m),
        digest.digest()[:8],
    )


def _inside(polygon, bounds, low):
    """Return (window of the bins about a polygon, which of its bin centres lie inside)."""
    first = np.floor(bounds[:2] / BIN_M).astype(int)
    last = np.floor(bounds[2:] / BIN_M).astype(int) + 1
    x, y = np.meshgrid(*((np.arange(a, b) + 0.5) * BIN_M for a, b in zip(first, last, strict=True)))
    shapely.prepare(polygon)
    inside = shapely.contains_xy(polygon, x, y)
    (column, row), (columns, rows) = first - low, last - first
    return (slice(row, row + rows), slice(column, column + columns)), inside
