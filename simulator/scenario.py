"""A scenario: one TOML file that says what world is run and how it is counted."""

import tomllib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from probe.base import clock
from probe.base.config import ConfigError, Settings, did_you_mean, parse, read_text
from probe.wire import areas as wire_areas
from probe.wire.areas import AreaSet
from simulator.country import AreaSettings, made_areas
from simulator.population import PopulationSettings

SECTIONS = ("world", "population", "traffic", "layout", "propagation",
            "areas", "probe", "collector", "slots", "privacy")  # fmt: skip
SLOT_S = 900
GRADES = ("core", "trace", "mdt")


class WorldSettings(Settings):
    """When and how much.  handsets = 0: as many as the residents and the share say."""

    seed: Annotated[int, Field(ge=0, lt=1 << 62)] = 1
    handsets: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    start: datetime = datetime(2026, 5, 12)  # a Tuesday, local time
    zone: str = "Europe/Berlin"
    hours: Annotated[float, Field(gt=0, le=24 * 400)] = 24
    step_s: Annotated[int, Field(ge=1, le=SLOT_S)] = 300

    @field_validator("step_s")
    @classmethod
    def divides_a_slot(cls, step_s: int) -> int:
        if SLOT_S % step_s:
            raise ValueError("does not divide 900; use 10, 60, 300 or 900, so that slots are whole steps")
        return step_s

    @field_validator("hours")
    @classmethod
    def ends_with_a_slot(cls, hours: float) -> float:
        if hours * 4 % 1:
            raise ValueError("is no multiple of 0.25; a run ends with a slot")
        return hours

    @field_validator("start")
    @classmethod
    def begins_a_slot(cls, start: datetime) -> datetime:
        if start.tzinfo or start.minute % 15 or start.second or start.microsecond:
            raise ValueError('needs a local time on a quarter of an hour, such as "2026-05-12T00:00"')
        return start

    @field_validator("zone")
    @classmethod
    def is_known(cls, zone: str) -> str:
        try:
            clock.zone(zone)
        except ConfigError as error:
            raise ValueError(error.problems[0]) from None
        return zone


@dataclass(frozen=True)
class Scenario:
    """A checked scenario.  Sections of other rooms are kept as they were given.

    layout and propagation name a plugin as `kind`; see probe.base.plugins.settings.
    """

    name: str
    about: str
    world: WorldSettings
    population: PopulationSettings
    area: AreaSettings
    traffic: dict[str, Any]
    layout: dict[str, Any]
    propagation: dict[str, Any]
    probe: dict[str, Any]
    collector: dict[str, Any]
    slots: dict[str, Any]
    privacy: dict[str, Any]

    @property
    def start_ms(self) -> int:
        """Return when the world begins, UTC."""
        return clock.epoch_ms(self.world.start, self.world.zone)

    @property
    def end_ms(self) -> int:
        """Return when the world ends, UTC."""
        return self.start_ms + round(self.world.hours * clock.HOUR_MS)

    @cached_property
    def area_text(self) -> str:
        """Return the areas as GeoJSON text, read or made."""
        if self.area.path:
            return read_text(Path(self.area.path), "the areas file", wire_areas.SIZE_MAX)
        return made_areas(self.area)

    @cached_property
    def areas(self) -> AreaSet:
        """Return the areas, or raise ConfigError."""
        return wire_areas.from_geojson(self.area_text, self.area.path or "[areas]")

    @property
    def handsets(self) -> int:
        """Return how many handsets of our network there are."""
        if self.world.handsets:
            return self.world.handsets
        residents = float(np.nansum(self.areas.residents))
        if residents * self.population.share < 1:
            raise ConfigError("[world]", ["handsets = 0: the areas give no residents; say how many handsets"])
        return round(residents * self.population.share)


def shipped() -> dict[str, str]:
    """Return {name: TOML text} of the scenarios that come with the program."""
    folder = files("simulator.scenarios")
    found = {f.name.removesuffix(".toml"): f for f in folder.iterdir() if f.name.endswith(".toml")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def load(name_or_path: str, sets: list[str]) -> Scenario:
    """Return a shipped scenario or one of a TOML file, changed by KEY=VALUE settings.

    Raises ConfigError with every problem of every section at once.
    """
    scenario, problems = read(name_or_path, sets)
    if problems:
        raise ConfigError(f"scenario {scenario.name}", problems)
    return scenario


def read(name_or_path: str, sets: list[str]) -> tuple[Scenario, list[str]]:
    """Return a scenario and its problems; a section with problems has its defaults.

    For whoever knows more sections than the world does and wants to name all problems at once.
    """
    document = document_of(name_or_path)
    problems = apply_sets(document, sets) + data_missing(document)
    about = document.pop("about", "")
    for key in [key for key in document if key not in SECTIONS]:
        problems.append(f'unknown section "{key}"{did_you_mean(key, SECTIONS)}')
    sections = {name: document.get(name, {}) for name in SECTIONS}
    for name, content in sections.items():
        if not isinstance(content, dict):
            problems.append(f"{name} = {content!r}: is no section; write [{name}]")
            sections[name] = {}
    world = section(WorldSettings, sections, "world", problems)
    population = section(PopulationSettings, sections, "population", problems)
    area = section(AreaSettings, sections, "areas", problems)
    problems += plain_problems(sections)
    rest = {name: sections[name] for name in SECTIONS if name not in ("world", "population", "areas")}
    return Scenario(Path(name_or_path).stem, str(about), world, population, area, **rest), problems


def text_of(name_or_path: str) -> str:
    """Return the TOML text of a shipped scenario or a file."""
    known = shipped()
    if name_or_path in known:
        return known[name_or_path]
    if Path(name_or_path).suffix == ".toml":
        return read_text(Path(name_or_path), "the scenario file", 1 << 20)
    hint, names = did_you_mean(name_or_path, known), ", ".join(known)
    problem = f'no scenario "{name_or_path}"{hint}; shipped: {names}; or name a .toml file'
    raise ConfigError("scenario", [problem])


def document_of(name_or_path: str) -> dict[str, Any]:
    """Return the parsed TOML; paths in a file are relative to its folder."""
    try:
        document = tomllib.loads(text_of(name_or_path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(name_or_path, [f"is not TOML: {error}"]) from None
    for content in document.values():
        given = content.get("path") if isinstance(content, dict) else None
        if isinstance(given, str) and given and not given.startswith("{data}"):
            content["path"] = str(Path(name_or_path).parent / given)
    return document


def apply_sets(document: dict[str, Any], sets: list[str]) -> list[str]:
    """Put KEY=VALUE settings into a document; return what is wrong with them."""
    problems = []
    pairs = [text.partition("=") for text in sets]
    for key, equals, text in sorted(pairs, key=lambda pair: not pair[0].endswith(".kind")):
        name, dot, rest = key.strip().partition(".")
        if key == "data":
            problems += put_data(document, text)
        elif not equals or not dot or not rest:
            problems.append(
                f"--set {key}{equals}{text}: write SECTION.KEY=VALUE, such as world.hours=6, or data=DIR"
            )
        elif name not in SECTIONS:
            problems.append(f'--set {key}: unknown section "{name}"{did_you_mean(name, SECTIONS)}')
        else:
            put(document, name, rest.split("."), value_of(text))
    return problems


def put(document: dict[str, Any], name: str, keys: list[str], value: Any) -> None:
    """Set one value.  Another kind of plugin starts its section afresh: it knows no key of the old one."""
    content = document.setdefault(name, {})
    if keys == ["kind"] and content.get("kind") != value:
        content.clear()
    for key in keys[:-1]:
        inner = content.get(key)
        if not isinstance(inner, dict):
            inner = content[key] = {}
        content = inner
    content[keys[-1]] = value


def value_of(text: str) -> Any:
    """Return text as a TOML value, or as it is where it is none."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def put_data(content: dict[str, Any], folder: str) -> list[str]:
    """Replace every {data} by a folder; return what is wrong with it."""
    if not Path(folder).is_dir():
        return [f"--set data={folder}: is no folder"]
    for key, value in content.items():
        if isinstance(value, dict):
            put_data(value, folder)
        elif isinstance(value, str):
            content[key] = value.replace("{data}", folder.rstrip("/"))
    return []


def data_missing(content: dict[str, Any], place: str = "") -> list[str]:
    """Return a problem for every value that still waits for a data folder."""
    problems = []
    for key, value in content.items():
        if isinstance(value, dict):
            problems += data_missing(value, f"{place}{key}.")
        elif isinstance(value, str) and "{data}" in value:
            problems.append(f"{place}{key} = {value!r}: give the folder, --set data=DIR")
    return problems


def section(settings_type, sections, name: str, problems: list[str]):
    """Return one section's settings, its defaults where it has problems (which are kept)."""
    try:
        return parse(settings_type, f"[{name}]", sections[name])
    except ConfigError as error:
        problems += [f"[{name}] {problem}" for problem in error.problems]
        return settings_type()


def plain_problems(sections: dict[str, dict]) -> list[str]:
    """Return what is wrong with sections whose settings live in other rooms, as far as the world can tell."""
    problems = [f"[{name}] kind is missing; name a plugin" for name in ("layout", "propagation")
                if not isinstance(sections[name].get("kind"), str)]  # fmt: skip
    grade = sections["probe"].get("grade", "trace")
    if grade not in GRADES:
        problems.append(
            f"[probe] grade = {grade!r}{did_you_mean(str(grade), GRADES)}: use one of {', '.join(GRADES)}"
        )
    return problems
