"""The 3GPP hexagon: rings of sites, or a city of zones whose sites stand wider towards the outside."""

from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from probe.base.config import Settings, needs
from simulator.layouts.layout import Layout

Spacing = Annotated[float, Field(ge=50, le=50_000)]
APART = 0.6  # of its own spacing: nearer to a site of an inner zone no site is built
OUTWARDS = needs(lambda zones: all(inner.radius_m < outer.radius_m for inner, outer in pairwise(zones)),
                 "radius_m does not rise from zone to zone; list the innermost first")


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
    zones: Annotated[tuple[SiteZone, ...], OUTWARDS] = ()
    height_m: Annotated[float, Field(ge=2, le=300)] = 25.0
    azimuths_deg: tuple[Annotated[float, Field(ge=0, lt=360)], ...] = (30.0, 150.0, 270.0)
    carriers_mhz: Annotated[tuple[Annotated[float, Field(ge=450, le=6_000)], ...], Field(min_length=1)] = (800, 1_800)

    def build(self) -> Layout:
        """Return sites x carriers x sectors, zone by zone, row by row; no azimuth: omni cells."""
        x_m, y_m = zoned(self.zones) if self.zones else rings(self.rings, self.site_spacing_m)
        choices = np.arange(len(x_m)), self.carriers_mhz, self.azimuths_deg or [np.nan]
        site, mhz, azimuth_deg = map(np.ravel, np.meshgrid(*choices, indexing="ij"))
        return Layout(x_m=x_m[site], y_m=y_m[site], height_m=np.full(len(site), self.height_m),
                      azimuth_deg=azimuth_deg, frequency_mhz=mhz)


def rings(count: int, spacing_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (x_m, y_m) of 1 + 3 r (r + 1) places, row by row from the south."""
    r, q = np.mgrid[-count : count + 1, -count : count + 1]
    r, q = (a[np.abs(q + r) <= count] for a in (r, q))
    return spacing_m * (q + r / 2), spacing_m * (r * np.sqrt(3) / 2)


def zoned(zones: tuple[SiteZone, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return (x_m, y_m): each zone a lattice of its own, cut to its ring."""
    built, inner_m = np.zeros(0, complex), -1.0  # x + iy
    for zone in zones:
        spacing_m = zone.site_spacing_m
        x_m, y_m = rings(int(np.ceil(zone.radius_m / spacing_m * 2 / np.sqrt(3))), spacing_m)
        place = (x_m + 1j * y_m)[(np.hypot(x_m, y_m) > inner_m) & (np.hypot(x_m, y_m) <= zone.radius_m)]
        free = (np.abs(place[:, None] - built) >= APART * spacing_m).all(axis=1)
        built, inner_m = np.append(built, place[free]), zone.radius_m
    return built.real, built.imag
