"""A scenario: one TOML file that says what world is run and how it is counted; and the areas it makes up."""

import json
import re
import tomllib
from collections import namedtuple
from datetime import datetime, timedelta
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from probe.base import clock, plane
from probe.base.config import ConfigError, Settings, did_you_mean, needs, parse, read_text
from probe.wire import areas as wire
from simulator.layouts import hexagonal
from simulator.population import PopulationSettings
from simulator.traffic import GRADES

COMPASS = ("East", "North-east", "North", "North-west", "West", "South-west", "South", "South-east")
SETTING = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_@]+)*=.*")
ON_A_QUARTER = needs(lambda at: not (at.tzinfo or at.minute % 15 or at.second or at.microsecond),
                     'needs a local time on a quarter of an hour, such as "2026-05-12T00:00"')
DIVIDES_A_SLOT = needs(lambda step_s: 900 % step_s == 0,
                       "does not divide 900; use 10, 60, 300 or 900, so that slots are whole steps")


class WorldSettings(Settings):
    """When and how much.  handsets = 0: as many as the residents and the share say.

    days : local days, of 23 to 25 hours; 0 = as long as `hours` says
    """

    seed: Annotated[int, Field(ge=0, lt=1 << 62)] = 1
    handsets: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    start: Annotated[datetime, ON_A_QUARTER] = datetime(2026, 5, 12)  # a Tuesday, local time
    zone: Annotated[str, AfterValidator(lambda name: clock.zone(name).key)] = "Europe/Berlin"
    hours: Annotated[float, Field(gt=0, le=24 * 400, multiple_of=0.25)] = 24  # a run ends with a slot
    days: Annotated[int, Field(ge=0, le=400)] = 0
    step_s: Annotated[int, Field(ge=1, le=900), DIVIDES_A_SLOT] = 300


class Zone(Settings):
    """Everything up to a distance from the middle that no smaller zone holds."""

    radius_m: Annotated[float, Field(gt=0)]
    residents_per_km2: Annotated[float, Field(ge=0)]


class SecondSettings(Settings):
    """A second area set, such as shops: a GeoJSON file.  Its tables are named presence@NAME."""

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$", max_length=32)]
    path: Annotated[str, Field(min_length=1)]


class AreaSettings(Settings):
    """Where the areas come from: a GeoJSON file, or (no path) made by the program.

    Made: `rings` rings of cells of `cell_km2` around one in the middle; squares for
    "squares" (rings = 1: 3 x 3), hexagons for "hexagons" (rings = 1: 7).
    """

    path: str = ""
    shape: Literal["squares", "hexagons"] = "squares"
    rings: Annotated[int, Field(ge=0, le=30)] = 1
    cell_km2: Annotated[float, Field(ge=0.05, le=100)] = 1.0
    zones: Annotated[tuple[Zone, ...], Field(min_length=1), hexagonal.OUTWARDS] = (
        Zone(radius_m=1e6, residents_per_km2=1_000),)
    latitude: Annotated[float, Field(ge=30, le=70)] = 51.0
    longitude: Annotated[float, Field(ge=-10, le=30)] = 10.0
    second: SecondSettings | None = None


OURS: dict[str, type[Settings]] = {"world": WorldSettings, "population": PopulationSettings, "areas": AreaSettings}
SECTIONS = (*OURS, "traffic", "layout", "propagation", "probe", "collector", "slots", "privacy")


class Scenario(namedtuple("Scenario", "name world population area traffic layout propagation probe collector slots "
                                      "privacy")):
    """A checked scenario: world, population and area are settings.  Sections of other rooms are kept as given.

    layout and propagation name a plugin as `kind`; see probe.base.plugins.settings.
    """

    @property
    def start_ms(self) -> int:
        """Return when the world begins, UTC."""
        return clock.epoch_ms(self.world.start, self.world.zone)

    @property
    def end_ms(self) -> int:
        """Return when the world ends, UTC."""
        if self.world.days:
            return clock.epoch_ms(self.world.start + timedelta(days=self.world.days), self.world.zone)
        return self.start_ms + round(self.world.hours * clock.HOUR_MS)

    @property
    def hours(self) -> float:
        """Return how long the world lasts."""
        return (self.end_ms - self.start_ms) / clock.HOUR_MS

    @cached_property
    def area_texts(self) -> dict[str, tuple[str, str]]:
        """Return (GeoJSON text, read or made, and where from) of each area set by name; "" is where people live."""
        paths = {"": self.area.path} | ({self.area.second.name: self.area.second.path} if self.area.second else {})
        return {name: (read_text(Path(path), "the areas file", wire.SIZE_MAX), f'area set "{name}": {path}' if name else
                       path) if path else (made_areas(self.area), "[areas]") for name, path in paths.items()}

    @cached_property
    def sets(self) -> dict[str, wire.AreaSet]:
        """Return the area sets by name, or raise ConfigError."""
        return {name: wire.from_geojson(*text) for name, text in self.area_texts.items()}

    @property
    def areas(self) -> wire.AreaSet:
        """Return the areas where people live."""
        return self.sets[""]

    @property
    def handsets(self) -> int:
        """Return how many handsets of our network there are."""
        handsets = self.world.handsets or round(float(np.nansum(self.areas.residents)) * self.population.share)
        if not handsets:
            raise ConfigError("[world]", ["handsets = 0: the areas give no residents; say how many handsets"])
        return handsets


def shipped() -> dict[str, str]:
    """Return {name: TOML text} of the scenarios that come with the program."""
    found = {file.name: file for file in files("simulator.scenarios").iterdir() if file.name.endswith(".toml")}
    return {name.removesuffix(".toml"): found[name].read_text(encoding="utf-8") for name in sorted(found)}


def load(name_or_path: str, sets: list[str], found: list[str] | None = None) -> Scenario:
    """Return a shipped scenario or one of a TOML file, changed by KEY=VALUE settings.

    Raises ConfigError with every problem of every section at once; or adds them to `found`, for
    whoever goes on to check the sections of other rooms, and puts defaults where they stood.
    """
    problems: list[str] = [] if found is None else found
    document = changed(name_or_path, sets, problems)
    problems += [f'unknown section "{key}"{did_you_mean(key, SECTIONS)}' if key not in SECTIONS else
                 f"{key} = {content!r}: is no section; write [{key}]"
                 for key, content in document.items() if key not in SECTIONS or not isinstance(content, dict)]
    sections: dict[str, Any] = {key: document[key] if isinstance(document.get(key), dict) else {} for key in SECTIONS}
    problems += [f"[{key}] names files of a folder that is not given: --set data=DIR"
                 for key, content in sections.items() if "{data}" in str(content)]
    sections["propagation"].setdefault("kind", "uma")
    if (grade := str(sections["probe"].get("grade", "trace"))) not in GRADES:
        problems.append(f'[probe] grade = "{grade}"{did_you_mean(grade, GRADES)}: use one of {", ".join(GRADES)}')
    for key, settings_type in OURS.items():
        try:
            sections[key] = parse(settings_type, key, sections[key])
        except ConfigError as error:
            problems += [f"[{key}] {problem}" for problem in error.problems]
            sections[key] = settings_type()
    if problems and found is None:
        raise ConfigError(f"scenario {Path(name_or_path).stem}", problems)
    return Scenario(Path(name_or_path).stem, area=sections.pop("areas"), **sections)


def text_of(name_or_path: str) -> str:
    """Return the TOML text of a shipped scenario or a file."""
    if (known := shipped()).get(name_or_path):
        return known[name_or_path]
    if Path(name_or_path).suffix == ".toml":
        return read_text(Path(name_or_path), "the scenario file", 1 << 20)
    problem = f'no scenario "{name_or_path}"{did_you_mean(name_or_path, known)}; shipped: {", ".join(known)}'
    raise ConfigError("scenario", [f"{problem}; or name a .toml file"])


def changed(name_or_path: str, sets: list[str], problems: list[str]) -> dict[str, Any]:
    """Return the parsed TOML with its {data} and KEY=VALUE settings put in; add what is wrong with them.

    Paths in a file are relative to its own.
    """
    good = [text for text in sets if SETTING.fullmatch(text)]
    problems += [f"--set {text}: write SECTION.KEY=VALUE, or data=DIR" for text in sets if text not in good]
    given, text = dict(setting.split("=", 1) for setting in good), text_of(name_or_path)
    if (folder := given.pop("data", None)) is not None:
        text = text.replace("{data}", json.dumps(str(Path(folder).absolute()))[1:-1])
        if not Path(folder).is_dir():
            problems.append(f"--set data={folder}: is no folder")
    try:
        document = {key: content for key, content in tomllib.loads(text).items() if key != "about"}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(name_or_path, [f"is not TOML: {error}"]) from None
    sections = [content for content in document.values() if isinstance(content, dict)]
    for content in sections + [content["second"] for content in sections if isinstance(content.get("second"), dict)]:
        if isinstance(content.get("path"), str) and content["path"]:
            content["path"] = str(Path(name_or_path).parent / content["path"])
    if "population.consent_share" in given and isinstance(document.get("population"), dict):
        document["population"].pop("consent_by_age", None)  # who says one share means it for every age
    for key in sorted(given, key=lambda key: not key.endswith(".kind")):
        merge(document, tomllib.loads(as_toml(f"{key}={given[key]}")))
    return document


def as_toml(text: str) -> str:
    """Return KEY=VALUE as TOML; words need no quotes, and neither does a key with an @."""
    key, _, value = text.partition("=")
    key = ".".join(json.dumps(part) if "@" in part else part for part in key.split("."))
    try:
        tomllib.loads(f"{key} = {value}")
        return f"{key} = {value}"
    except tomllib.TOMLDecodeError:
        return f"{key} = {json.dumps(value)}"


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    """Put new values into a document, deeply.  Another kind of plugin starts its section afresh."""
    for key, value in new.items():
        old = into.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("kind", old.get("kind")) == old.get("kind"):
            merge(old, value)
        else:
            into[key] = value


def made_areas(settings: AreaSettings) -> str:
    """Return GeoJSON text of the made-up areas, row by row from the south."""
    corners, rows = 6 if settings.shape == "hexagons" else 4, slice(-settings.rings, settings.rings + 1)
    side_m = 1_000 * np.sqrt(settings.cell_km2 * (2 / np.sqrt(3) if corners == 6 else 1))  # from middle to middle
    middles: Any = (hexagonal.rings(settings.rings, side_m) if corners == 6 else
                    np.mgrid[rows, rows][::-1].reshape(2, -1) * side_m)
    corner_m = 1_000 * np.sqrt(settings.cell_km2 / (corners / 2 * np.sin(2 * np.pi / corners)))
    angle = 2 * np.pi / corners * (np.arange(corners + 1) % corners + 0.5)  # the ring ends where it begins
    frame, features = plane.LocalFrame(settings.latitude, settings.longitude), []
    for number, (x, y) in enumerate(zip(*middles, strict=True), 1):
        latitude, longitude = frame.to_degrees(x + corner_m * np.cos(angle), y + corner_m * np.sin(angle))
        ring = [[round(at, 7) for at in place] for place in np.stack([longitude, latitude], axis=1).tolist()]
        far_m, eighth = float(np.hypot(x, y)), round(np.arctan2(y, x) / (np.pi / 4)) % 8
        zone = next((zone for zone in settings.zones if far_m <= zone.radius_m), settings.zones[-1])
        properties = {"area_id": f"{number:02d}", "name": f"{COMPASS[eighth]} {number:02d}" if far_m >= 1 else "Middle",
                      "residents": round(zone.residents_per_km2 * settings.cell_km2)}
        features.append({"type": "Feature", "properties": properties,
                         "geometry": {"type": "Polygon", "coordinates": [ring]}})
    return json.dumps({"type": "FeatureCollection", "features": features})
