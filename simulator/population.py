"""The people of a country: how many, where they live and work, what the operator knows of them."""

import hashlib
from collections import namedtuple
from typing import Annotated

import numpy as np
from pydantic import Field

from probe.base import clock
from probe.base.config import ConfigError, Settings, needs
from probe.wire.areas import AreaSet
from probe.wire.cells import COUNTRIES
from probe.wire.consent import CHANGE, NO, PURPOSES, YES
from probe.wire.subscribers import MINOR, SUBSCRIBER
from simulator.kernels import people

MNC, NO_HOME, AREAS_MAX = 3, 0xFFFF, 4_096  # NO_HOME: in none of our areas; gravity tables grow with their square
MCCS = np.array([mcc or 440 for mcc, _ in COUNTRIES])  # the first is where we are; "another country" is Japan
GUEST_SHARES = 0, 12, 9, 6, 6, 6, 1, 4, 12, 4, 3, 6, 5, 4, 4, 6, 3, 5, 4  # of guests by country, percent: an assumption
AGE_SHARES = (0.087, 0.152, 0.158, 0.149, 0.188, 0.266)  # of adults by AGE_BANDS, Destatis end of 2023, rounded
WOMEN_SHARE, CONTRACT_SHARES = 0.507, (0.6, 0.1, 0.3)  # private, business, prepaid: an assumption
MINOR_DRAW, AGE_DRAW, GENDER_DRAW, CONTRACT_DRAW, GUEST_DRAW = 0, 12, 13, 14, 15
CONSENT_DRAW = 16  # and on
OBJECTS, COMES, SPEAKS = 103, 104, 105  # purposes: names of streams, by person and local day
WAKES_MS, SLEEPS_MS = 7 * clock.HOUR_MS, 22 * clock.HOUR_MS  # after midnight: when people make up their minds
Share = Annotated[float, Field(ge=0, le=1)]
Purpose = Annotated[str, needs(lambda name: name in PURPOSES, f"is no purpose; use {', '.join(PURPOSES)}")]
ByAge = Annotated[tuple[Share, ...], needs(lambda shares: len(shares) == len(AGE_SHARES),
                                           "needs six shares, of 18-24, 25-34, 35-44, 45-54, 55-64 and 65+")]


# What the kernels know of the country.  bin_x_m, bin_y_m f4[bins], centres of the bins, area by area; first_bin
# i8[areas + 1], the row of each area's first; cumulative shares of 2**32: home_cum u4[areas], residents up to each
# area, and by home area work_cum and leisure_cum u4[areas, areas], where people work, and go for errands and leisure;
# middle_x_m, middle_y_m and reach_m, how far the edge of the map is from the middle; shares of
# people (minors), of adults (workers) and of workers (outside).
Country = namedtuple("Country", "bin_x_m bin_y_m first_bin home_cum work_cum leisure_cum middle_x_m middle_y_m reach_m "
                                "minor_share worker_share outside_share")


class PopulationSettings(Settings):
    """Who lives here and what they agree to.

    Sources: minors and women: Destatis, population at the end of 2023 (16.9 % under 18,
    50.7 % women), rounded.  Workers: 46 of 70 million adults (Destatis 2023).  Distances
    are scales of an exponential fall, set so that trips in a city are 4 to 5 km long
    (MiD 2017, large cities).  The others are assumptions.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.3  # handsets of our network per person
    consent_share: Share = 0.8  # of adults, for each purpose
    consent_by_age: dict[Purpose, ByAge] = Field(default_factory=dict)  # for a purpose, in place of consent_share
    objection_share: Share = 0.25  # of those who did not agree: they said no, not nothing
    objecting_share: Share = 0.005  # of those who agreed, a day: they say no
    late_share: Share = 0.01  # of adults who did not agree, a day: they say yes
    minor_share: Share = 0.169
    guest_share: Share = 0.02  # of people: from abroad, here for a while; an assumption
    worker_share: Share = 0.66  # of adults
    outside_share: Share = 0.15  # of workers: their work lies beyond the map
    work_m: Annotated[float, Field(gt=0)] = 6_000.0
    leisure_m: Annotated[float, Field(gt=0)] = 5_000.0
    centre_m: Annotated[float, Field(gt=0)] = 2_000.0  # how far the pull of the middle reaches

    def agreed(self, purpose: str) -> np.ndarray:
        """Return f8[6]: what share of adults agrees to a purpose from the start, by AGE_BANDS."""
        return np.array(self.consent_by_age.get(purpose, (self.consent_share,) * len(AGE_SHARES)))

    def counted(self, purpose: str, basis: str) -> np.ndarray:
        """Return f8[6]: what share of adults with a handset of ours may be counted, by AGE_BANDS."""
        # Who said neither yes nor no counts where nobody can be told apart.
        return 1 - (1 - self.agreed(purpose)) * (self.objection_share if basis == "anonymous" else 1)


def weights_of_residents(areas: AreaSet) -> np.ndarray:
    """Return residents by area, f8[areas]; bins where the file gives none at all."""
    residents, bins = np.nan_to_num(areas.residents), np.bincount(areas.bins.ravel(), minlength=len(areas.area_id))
    return (residents if residents.any() else bins.astype("f8"))[:-1]


def country(areas: AreaSet, settings: PopulationSettings) -> Country:
    """Return what the kernels know of the map and its people."""
    if areas.elsewhere > AREAS_MAX:
        raise ConfigError("[areas]", [f"{areas.elsewhere} areas; a world has at most {AREAS_MAX}"])
    count = np.bincount(areas.bins.ravel(), minlength=len(areas.area_id))[:-1]
    order = np.argsort(areas.bins, axis=None, kind="stable")[: count.sum()]  # area by area, elsewhere left out
    x, y = (np.rint(a.ravel()[order] * 8) / 8 for a in areas.centres())  # no CPU rounds an eighth otherwise
    first = np.concatenate([[0], np.cumsum(count)]).astype("i8")
    area_x, area_y = (np.add.reduceat(a, first[:-1]) / count for a in (x, y))
    residents = weights_of_residents(areas)
    middle_x, middle_y = (float(np.rint(np.average(a, weights=residents))) for a in (area_x, area_y))
    far_m = np.hypot(area_x[:, None] - area_x, area_y[:, None] - area_y)
    pull = np.exp(-np.hypot(area_x - middle_x, area_y - middle_y) / settings.centre_m) * count
    pull = residents / residents.sum() + pull / pull.sum()  # half where people live, half in the middle
    work, leisure = (cumulative(pull * np.exp(-far_m / scale_m)) for scale_m in (settings.work_m, settings.leisure_m))
    reach_m = float(np.ceil(np.hypot(x - middle_x, y - middle_y).max()))
    return Country(x.astype("f4"), y.astype("f4"), first, cumulative(residents), work, leisure, middle_x, middle_y,
                   reach_m, settings.minor_share, settings.worker_share, settings.outside_share)


def cumulative(weights: np.ndarray) -> np.ndarray:
    """Return u4 shares of 2**32 - 1 up to each column; whole numbers, so that no CPU rounds otherwise."""
    whole = np.rint(weights / weights.max(axis=-1, keepdims=True) * 2**30).astype("u8")
    total = np.cumsum(whole, axis=-1)
    return (total * np.uint64(2**20) // total[..., -1:] * np.uint64(2**12) - (total > 0)).astype("u4")


def persons_of(handsets: int, share: float) -> int:
    """Return how many people live here; the first `handsets` of them own one handset of our network."""
    return max(round(handsets / share), handsets)


def shard_of(persons: int, shard: int, shards: int) -> np.ndarray:
    """Return the persons of a shard, i8[n] rising: those with bucket mod shards == shard."""
    return np.flatnonzero(people.buckets(persons) % shards == shard)


def classes(seed: int, persons: int, settings: PopulationSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return (age band or MINOR, gender), each u1[persons]: those who own a handset, and the others."""
    minor, age, gender = (people.shares(seed, persons, draw) for draw in (MINOR_DRAW, AGE_DRAW, GENDER_DRAW))
    band = np.searchsorted(np.cumsum(AGE_SHARES[:-1]), age, "right")
    return np.where(minor < settings.minor_share, MINOR, band).astype("u1"), (gender >= WOMEN_SHARE).astype("u1")


def homes(country: Country, seed: int, persons: int, settings: PopulationSettings) -> np.ndarray:
    """Return the home of each person, i8[persons], as `origin` counts it: row of an area, or, after elsewhere, country.

    A guest sleeps where a resident with that number would live.
    """
    edges = np.cumsum(GUEST_SHARES) / 100 * settings.guest_share
    row = np.searchsorted(edges, people.shares(seed, persons, GUEST_DRAW), "right")
    return np.where(row < len(edges), len(country.first_bin) + row, people.homes(seed, persons, country))


def subscribers(country: Country, seed: int, handsets: int, settings: PopulationSettings) -> np.ndarray:
    """Return SUBSCRIBER[handsets], rising by number: what the operator knows of its customers."""
    rows = np.zeros(handsets, SUBSCRIBER)
    draws = CONTRACT_DRAW, *range(CONSENT_DRAW, CONSENT_DRAW + len(PURPOSES))
    contract, *agreed = (people.shares(seed, handsets, draw) for draw in draws)
    home = homes(country, seed, handsets, settings)
    abroad = np.maximum(home - len(country.first_bin), 0)
    rows["home"], rows["country"] = np.where(abroad, NO_HOME, home), MCCS[abroad]
    rows["subscriber"], rows["person"] = subscriber_numbers(seed, rows["country"]), np.arange(handsets)
    rows["age"], rows["gender"] = classes(seed, handsets, settings)
    rows["contract"], minor = np.searchsorted(np.cumsum(CONTRACT_SHARES[:-1]), contract, "right"), rows["age"] == MINOR
    band = np.where(minor, 0, rows["age"])
    for purpose, u in zip(PURPOSES, agreed, strict=True):
        share = settings.agreed(purpose)[band]
        yes, no = u < share, u >= 1 - (1 - share) * settings.objection_share
        rows["consent"] |= np.where(minor, 0, yes * YES[purpose] | (no & ~yes) * NO[purpose]).astype("u1")
    return rows[np.argsort(rows["subscriber"])]


def changes(rows: np.ndarray, seed: int, settings: PopulationSettings, start_ms: int, end_ms: int,
            zone: str) -> np.ndarray:
    """Return CHANGE[n], rising by time: what people say about their consent between start_ms and end_ms (UTC).

    rows : SUBSCRIBER[m], as `subscribers` gives them, of all or of some

    A pure function of (seed, person, local day).  At most once in that time each adult says one word for every
    purpose: objecting_share of those who agreed to any say no on a day, late_share of those who did not agree to
    all say yes.  What was said before is not said again.
    """
    waiting, found = rows[rows["age"] != MINOR], [np.empty(0, CHANGE)]
    for midnight_ms in clock.midnights_ms(start_ms, end_ms, zone)[:-1]:
        day, person = clock.local(midnight_ms, zone).toordinal(), waiting["person"].astype("i8")
        objects, comes, speaks = (people.uniforms(seed, draw, person, day) for draw in (OBJECTS, COMES, SPEAKS))
        time_ms = midnight_ms + WAKES_MS + (speaks * (SLEEPS_MS - WAKES_MS)).astype("i8")
        agreed = np.stack([waiting["consent"] & YES[purpose] != 0 for purpose in PURPOSES])
        refuses = agreed.any(axis=0) & (objects < settings.objecting_share)
        says = refuses | ~agreed.all(axis=0) & (comes < settings.late_share)
        says &= (start_ms <= time_ms) & (time_ms < end_ms)
        found += [word(waiting[says], time_ms[says], ~refuses[says], purpose) for purpose in PURPOSES]
        waiting = waiting[~says]
    every = np.concatenate(found)
    return every[np.lexsort((every["purpose"], every["subscriber"], every["time_ms"]))]


def word(rows: np.ndarray, time_ms: np.ndarray, yes: np.ndarray, purpose: str) -> np.ndarray:
    """Return CHANGE of the SUBSCRIBER rows that say yes, bool[n], or no to a purpose and had not before."""
    said = np.zeros(len(rows), CHANGE)
    said["time_ms"], said["subscriber"], said["purpose"] = time_ms, rows["subscriber"], PURPOSES.index(purpose)
    said["yes"] = yes
    return said[rows["consent"] & np.where(yes, YES[purpose], NO[purpose]) == 0]


def subscriber_numbers(seed: int, mcc: np.ndarray) -> np.ndarray:
    """Return 15 digits for every handset, i8[handsets]: its MCC, MNC, and ten that say nothing of the person."""
    keys = np.frombuffer(hashlib.sha256(f"subscriber numbers {seed}".encode()).digest(), "<u8")
    return (mcc.astype("i8") * 100 + MNC) * 10**10 + people.numbers(keys.copy(), len(mcc))
