"""Named areas as polygons, turned once into bins of 100 m by their centres.

A bin belongs to the area that holds its centre; an area too small to hold one gets the
bin that it lies in.  Several sets are counted as one by their pieces, what lies in the same
area of each; zones are areas taken together.
"""

import hashlib
import json
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import shapely

from probe.base.config import ConfigError, read_text
from probe.base.plane import BIN_M, LocalFrame, bin_terms, to_laea

ELSEWHERE = "elsewhere"
SIZE_MAX, AREAS_MAX = 64 << 20, 65_000  # rows are u2
ZONES_MAX, HALVINGS = 40, 5  # elsewhere included; flows between zones are a square of them
SPAN_MAX_M = 200_000.0  # beyond it the quadratic of bin_terms is off by more than a tenth of a bin
GRID_OF_USE = np.array([[-16.0, 24.0], [40.0, 84.0]])  # longitude, latitude: from, to; EPSG:3035


class AreaSet(namedtuple("AreaSet", "frame area_id name residents bins first terms digest zone", defaults=[()])):
    """A partition: the named areas, and elsewhere (the last row) for the rest of the map.

    frame       : LocalFrame
    area_id     : list[str]    n + 1 public ids
    name        : list[str]    n + 1 names, the last ELSEWHERE
    residents   : f8[n + 1]    residents by the areas' own file, NaN where not given
    bins        : u2[rows, columns]  area row of each 100 m bin; the row of elsewhere outside all areas.
                  The outermost bins are elsewhere, so that a place off the raster may be clamped to it
    first       : (column, row) of bins[0, 0] in the ETRS89-LAEA grid
    terms       : f8[2, 6]     bin_terms of frame: local metres -> grid column and row
    digest      : 8 bytes over ids and bins
    zone        : list[str]    n names by the areas' own file, "" where not given
    """

    @property
    def elsewhere(self) -> int:
        """Return the row of elsewhere."""
        return len(self.area_id) - 1

    def centres(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (x_m, y_m), f8[rows, columns]: local metres of every bin centre, true to 1 m."""
        wanted = np.indices(self.bins.shape)[::-1] + 0.5 + np.reshape(self.first, (2, 1, 1))
        x, y = at = np.zeros((2, *self.bins.shape))
        for _ in range(4):  # the quadratic part is small: each round gains three digits
            gap = wanted - np.tensordot(self.terms, np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]), 1)
            at += np.tensordot(np.linalg.inv(self.terms[:, 1:3]), gap, 1)
        return x, y


def read(path: Path) -> AreaSet:
    """Return the areas of a GeoJSON file, or raise ConfigError with every problem of it."""
    return from_geojson(read_text(Path(path), "the areas file", SIZE_MAX), str(path))


def from_geojson(text: str, where: str) -> AreaSet:
    """Return the areas of a GeoJSON FeatureCollection (WGS 84), or raise ConfigError.

    Properties read: area_id (or id), name, residents, zone.  Others are left alone.
    """
    rows, problems = [], []
    for number, feature in enumerate(_features(text, where)):
        given = feature.get("properties") or {}
        people, zone, (polygon, wrong) = given.get("residents"), given.get("zone"), _polygon(feature.get("geometry"))
        known = (given.get("area_id"), given.get("id"), feature.get("id"), number)
        area_id = str(next(value for value in known if value is not None))
        rows.append((area_id, str(given.get("name") or area_id), people, polygon, "" if zone is None else str(zone)))
        sound = people is None or (type(people) in (int, float) and 0 <= people < 1e9)
        problems += [f'area "{area_id}" ({rows[-1][1]}): {words}' for words in (
            "" if sound else f"residents = {people!r}; needs a number >= 0", wrong) if words]
    ids, names, residents, polygons, zone = zip(*rows, strict=True)
    problems += [f'area_id "{i}" is given {n} times' for i, n in sorted(Counter(map(str, ids)).items()) if n > 1]
    problems += [f'area_id "{ELSEWHERE}" is taken: it means the rest of the map'] if ELSEWHERE in ids else []
    if problems:
        raise ConfigError(where, problems)
    return _burn(ids, names, np.array([*residents, None], "f8"), polygons, where)._replace(zone=list(zone))


def _features(text: str, where: str) -> list[dict]:
    """Return the features of a collection; whatever is not one is refused."""
    try:
        features = document.get("features") if isinstance(document := json.loads(text), dict) else None
    except (ValueError, RecursionError) as error:
        raise ConfigError(where, [f"is not JSON: {error}"]) from None
    if not isinstance(features, list) or not 1 <= len(features) <= AREAS_MAX or not all(
            isinstance(feature, dict) and isinstance(feature.get("properties") or {}, dict) for feature in features):
        raise ConfigError(where, [f"needs to be a GeoJSON FeatureCollection of 1 to {AREAS_MAX} polygons"])
    return features


def _polygon(geometry) -> tuple[shapely.Geometry | None, str]:
    """Return a polygon in degrees, and what is wrong with it."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Polygon", "MultiPolygon"):
        return None, f"geometry is {kind or 'missing'}; needs Polygon or MultiPolygon"
    degrees = shapely.force_2d(shapely.from_geojson(json.dumps(geometry), on_invalid="ignore"))
    if degrees is None or degrees.is_empty:
        return None, "coordinates are missing or unreadable; needs rings of [longitude, latitude]"
    at = shapely.get_coordinates(degrees)
    straight, swapped = (np.all((a >= GRID_OF_USE[0]) & (a <= GRID_OF_USE[1])) for a in (at, at[:, ::-1]))
    if not straight:
        return None, ("latitude and longitude are swapped; GeoJSON says [longitude, latitude]" if swapped else
                      f"position {at[0].tolist()} is outside the grid: {GRID_OF_USE.tolist()}, EPSG:3035")
    return degrees, "" if degrees.is_valid else (
        f"is not valid: {shapely.is_valid_reason(degrees)}; draw its rings without crossings")


def _burn(ids, names, residents, polygons, where: str) -> AreaSet:
    """Return the set with its bins; two areas that share a bin centre are refused."""
    grid = shapely.transform(polygons, lambda at: np.stack(to_laea(at[:, 1], at[:, 0]), axis=1))
    ends = np.floor(shapely.bounds(grid) / BIN_M).astype(int)  # bins of each area's west, south, east, north
    low, high = ends[:, :2].min(axis=0) - 1, ends[:, 2:].max(axis=0) + 1
    if np.any((high - low) * BIN_M > SPAN_MAX_M):
        raise ConfigError(where, [f"spans more than {SPAN_MAX_M / 1000:g} km; split it"])
    x_m, y_m = ((np.arange(a, b + 1) + 0.5) * BIN_M for a, b in zip(low, high, strict=True))
    bins = np.full((len(y_m), len(x_m)), len(ids), "u2")
    problems, drawn = [], []
    for area, (west, south, east, north) in enumerate(ends - np.tile(low, 2)):
        rows, columns = slice(south, north + 1), slice(west, east + 1)
        inside = shapely.contains_xy(grid[area], x_m[columns], y_m[rows, None])
        if small := not inside.any():  # it would be counted as empty for ever: it gets the bin that it lies in
            column, row = np.floor(shapely.get_coordinates(grid[area].point_on_surface())[0] / BIN_M).astype(int) - low
            inside[row - south, column - west] = True
        drawn.append((small, area, bins[rows, columns], inside))
    for small, area, held, inside in sorted(drawn, key=lambda one: one[:2]):
        relation = "is smaller than a bin, and lies in one of" if small else "overlaps"
        problems += [f'area "{ids[area]}" ({names[area]}) {relation} "{ids[other]}" ({names[other]})'
                     for other in np.unique(held[inside]) if other < len(ids)]
        held[inside] = area
    if problems:
        raise ConfigError(where, problems)
    west, south, east, north = shapely.total_bounds(polygons).tolist()
    frame = LocalFrame((south + north) / 2, (west + east) / 2)
    terms = bin_terms(frame, max(float(np.max(high - low)) * BIN_M, 10_000.0) / 2)
    return _set_of(frame, [*ids, ELSEWHERE], [*names, ELSEWHERE], residents, bins, low, terms)


def _set_of(frame, ids, names, residents, bins, low, terms) -> AreaSet:
    """Return the set with its digest; ids and names end with elsewhere."""
    said = json.dumps([ids[:-1], low.tolist(), bins.shape]).encode() + bins.astype("<u2").tobytes()
    return AreaSet(frame, ids, names, residents, bins, tuple(low.tolist()), terms, hashlib.sha256(said).digest()[:8])


def overlay(sets: list[AreaSet]) -> tuple[AreaSet, list[np.ndarray]]:
    """Return the pieces of several sets as one, in the frame of the first, and u2[pieces], its row, of each set.

    A piece is all bins that lie in the same area of every set, and its residents a share of the first's
    by bins.  Raises ConfigError where there are too many pieces, or the sets lie too far apart.
    """
    if len(sets) == 1:
        return sets[0], [np.arange(len(sets[0].area_id), dtype="u2")]
    ours, sizes = sets[0], [len(one.area_id) for one in sets]
    corners = np.array([(one.first, np.add(one.first, one.bins.shape[::-1])) for one in sets])
    low, high = corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)
    if np.any((high - low) * BIN_M > SPAN_MAX_M):
        raise ConfigError("[areas]", [f"the sets span more than {SPAN_MAX_M / 1000:g} km together; "
                                      "run what lies far apart on its own"])
    layers = [np.pad(one.bins, np.stack([begin - low, high - end], axis=1)[::-1], constant_values=one.elsewhere)
              for one, (begin, end) in zip(sets, corners, strict=True)]
    pieces, bins, count = np.unique(np.ravel_multi_index(layers, sizes), return_inverse=True, return_counts=True)
    if len(pieces) > AREAS_MAX:
        raise ConfigError("[areas]", [f"the sets cut each other into {len(pieces)} pieces; at most {AREAS_MAX}"])
    rows = [row.astype("u2") for row in np.unravel_index(pieces, sizes)]
    texts = ([one.area_id[k] for k in row] for one, row in zip(sets, rows, strict=True))
    ids = [*map(" & ".join, zip(*texts, strict=True))][:-1] + [ELSEWHERE]
    residents = ours.residents[rows[0]] * count / np.bincount(rows[0], count)[rows[0]]
    reach_m = np.abs(np.stack([low, high]) * BIN_M - to_laea(*ours.frame)).max()
    return _set_of(ours.frame, ids, ids, residents, bins.reshape(layers[0].shape).astype("u2"), low,
                   bin_terms(ours.frame, max(float(reach_m), 5_000.0))), rows


def zones(areas: AreaSet) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Return the zone of each area, u1[n + 1], and (id, name) of at most ZONES_MAX zones, elsewhere last.

    An area is its own zone where they are few; else its property `zone` says which; else the map is
    halved across its longer side, and each half again, into 32 zones of as many areas.
    Raises ConfigError where the property says too many, or nothing of some areas.
    """
    n, given = areas.elsewhere, list(dict.fromkeys(areas.zone))
    if n < ZONES_MAX:
        return np.arange(n + 1, dtype="u1"), list(zip(areas.area_id, areas.name, strict=True))
    if any(given):
        if len(given) >= ZONES_MAX or {"", ELSEWHERE} & {*given}:
            raise ConfigError("[areas]", [f"zone: {len(given)} of them; needs 1 to {ZONES_MAX - 1}, one for each area "
                                          f'and none called "{ELSEWHERE}"; or leave it out'])
        return np.array([*map(given.index, areas.zone), len(given)], "u1"), [(one, one) for one in [*given, ELSEWHERE]]
    bins, parts = areas.bins.ravel(), [np.arange(n)]
    middle = np.stack([np.bincount(bins, at.ravel()) for at in areas.centres()]) / np.bincount(bins)
    for _ in range(HALVINGS):
        parts = [half for part in parts for half in np.array_split(part[np.argsort(
            middle[np.ptp(middle[:, part], axis=1).argmax(), part], kind="stable")], 2)]
    zone, named = np.full(n + 1, len(parts), "u1"), []
    for number, part in enumerate(parts):
        zone[part], (first, *others) = number, [areas.name[row] for row in np.sort(part)]
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        named.append((f"z{number + 1:02d}", f"zone {number + 1:02d}: {', '.join([first, *others[:1]])}{more}"))
    return zone, [*named, (ELSEWHERE, ELSEWHERE)]
