"""The 3GPP hexagon: rings of sites, or a city of zones whose sites stand wider towards the outside."""

from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from probe.base.config import Settings
from simulator.layouts.layout import Layout

Spacing = Annotated[float, Field(ge=50, le=50_000)]
APART = 0.6  # of its own spacing: nearer to a site of an inner zone no site is built


class SiteZone(Settings):
    """Everything up to a distance from the middle that no smaller zone holds."""

    radius_m: Annotated[float, Field(gt=0, le=200_000)]
    site_spacing_m: Spacing


class Hexagonal(Settings):
    """Rings of sites around one in the middle; with `zones`, those say how far and how dense.

    Source of the defaults: 3GPP TR 38.901 V17.0.0, table 7.2-1, UMa.
    """

    rings: Annotated[int, Field(ge=0, le=100)] = 2
    site_spacing_m: Spacing = 500.0
    zones: tuple[SiteZone, ...] = ()
    height_m: Annotated[float, Field(ge=2, le=300)] = 25.0
    azimuths_deg: tuple[Annotated[float, Field(ge=0, lt=360)], ...] = (30.0, 150.0, 270.0)
    carriers_mhz: Annotated[tuple[Annotated[float, Field(ge=450, le=6_000)], ...], Field(min_length=1)] = (
        800.0, 1_800.0,
    )  # fmt: skip

    @field_validator("zones")
    @classmethod
    def grow_outwards(cls, zones: tuple[SiteZone, ...]) -> tuple[SiteZone, ...]:
        radii = [zone.radius_m for zone in zones]
        if radii != sorted(set(radii)):
            raise ValueError("radius_m does not rise from zone to zone; list the innermost first")
        return zones

    def build(self) -> Layout:
        """Return sites x carriers x sectors, zone by zone, row by row; no azimuth: omni cells."""
        if self.zones:
            x_m, y_m = zoned(self.zones)
        else:
            x_m, y_m = rings(self.rings, self.site_spacing_m)
        azimuth_deg = np.array(self.azimuths_deg or (np.nan,))
        sectors, carriers = len(azimuth_deg), len(self.carriers_mhz)
        cells = len(x_m) * sectors * carriers
        return Layout(
            x_m=np.repeat(x_m, sectors * carriers),
            y_m=np.repeat(y_m, sectors * carriers),
            height_m=np.full(cells, self.height_m),
            azimuth_deg=np.tile(azimuth_deg, len(x_m) * carriers),
            frequency_mhz=np.tile(np.repeat(self.carriers_mhz, sectors), len(x_m)),
        )


def rings(count: int, spacing_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (x_m, y_m) of 1 + 3 r (r + 1) places, row by row from the south."""
    axis = np.arange(-count, count + 1)
    r, q = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    inside = np.abs(q + r) <= count
    r, q = r[inside], q[inside]
    return spacing_m * (q + r / 2), spacing_m * (r * np.sqrt(3) / 2)


def zoned(zones: tuple[SiteZone, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return (x_m, y_m): each zone a lattice of its own, cut to its ring."""
    built = np.zeros((0, 2))
    inner_m = -1.0
    for zone in zones:
        spacing_m = zone.site_spacing_m
        x_m, y_m = rings(int(np.ceil(zone.radius_m / spacing_m * 2 / np.sqrt(3))), spacing_m)
        distance_m = np.hypot(x_m, y_m)
        places = np.stack([x_m, y_m], axis=1)[(distance_m > inner_m) & (distance_m <= zone.radius_m)]
        gap_m = np.hypot(*(places[:, None, :] - built[None, :, :]).transpose(2, 0, 1))
        free = (gap_m >= APART * spacing_m).all(axis=1)
        built = np.concatenate([built, places[free]])
        inner_m = zone.radius_m
    return built[:, 0], built[:, 1]
