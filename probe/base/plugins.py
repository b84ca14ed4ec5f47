"""The one door for plugins: entry points, found by group and name, loaded when used."""

from importlib.metadata import entry_points

from probe.base.config import ConfigError, Settings, did_you_mean, parse

GROUPS = ("footfall.layouts", "footfall.propagation", "footfall.locators", "footfall.metrics", "footfall.stores")


def installed(group: str) -> dict:
    """Return {name: entry point} of a group."""
    assert group in GROUPS, group
    return {entry.name: entry for entry in entry_points(group=group)}


def load(group: str, name: str) -> type[Settings]:
    """Return the settings class registered as name in group, or say what there is."""
    found = installed(group)
    if name not in found:
        names = ", ".join(sorted(found)) or "none"
        raise ConfigError(group, [f'no plugin "{name}"{did_you_mean(name, found)}; installed: {names}'])
    entry = found[name]
    try:
        return entry.load()
    except Exception as error:
        owner = entry.dist.name if entry.dist else "?"
        raise ConfigError(group, [f'plugin "{name}" of {owner} does not load: {error}']) from error


def settings(group: str, section: str, mapping: dict) -> Settings:
    """Return the parsed settings of the plugin that mapping["kind"] names."""
    rest = dict(mapping)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str):
        names = ", ".join(sorted(installed(group)))
        raise ConfigError(f"[{section}]", [f"kind = {kind!r}: name one of {names}"])
    return parse(load(group, kind), f"[{section}]", rest)
