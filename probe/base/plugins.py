"""The one door for plugins: entry points, found by group and name, loaded when used."""

from importlib.metadata import entry_points
from typing import Any

from probe.base.config import ConfigError, Settings, did_you_mean, parse


def installed(group: str) -> dict:
    """Return {name: entry point} of a group."""
    return {entry.name: entry for entry in entry_points(group=group)}


def load(group: str, name: str) -> type[Settings]:
    """Return the settings class registered as name in group, or say what there is."""
    found = installed(group)
    if name not in found:
        names = ", ".join(sorted(found)) or "none"
        raise ConfigError(group, [f'no plugin "{name}"{did_you_mean(name, found)}; installed: {names}'])
    try:
        if issubclass(loaded := found[name].load(), Settings):
            return loaded
        raise TypeError("it is no subclass of probe.base.config.Settings")
    except Exception as error:
        raise ConfigError(group, [f'plugin "{name}" of {found[name].dist.name} does not load: {error}']) from error


def build(settings: Any, *given) -> Any:
    """Return what a plugin builds; whatever goes wrong in it is a problem with its name."""
    try:
        return settings.build(*given)
    except ConfigError:
        raise
    except Exception as error:
        name = type(settings).__name__
        raise ConfigError(name, [f"{name} does not build: {type(error).__name__}: {error}"]) from error


def settings(group: str, section: str, mapping: dict) -> Any:
    """Return the parsed settings of the plugin that mapping["kind"] names."""
    kind, rest = mapping.get("kind"), {key: value for key, value in mapping.items() if key != "kind"}
    if not isinstance(kind, str):
        raise ConfigError(f"[{section}]", [f"kind = {kind!r}: name one of {', '.join(sorted(installed(group)))}"])
    return parse(load(group, kind), f"[{section}]", rest)
