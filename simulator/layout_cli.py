"""footfall layout: which tower layouts can be read, and what one of them says and leaves open."""

import json
import tomllib

import click

from probe.base.config import ConfigError


@click.group("layout")
def command():
    """Look at tower layouts."""


@command.command("list")
def list_installed():
    """List the layouts that are installed, ours and others'."""
    from probe.base import plugins

    for name, entry in sorted(plugins.installed("footfall.layouts").items()):
        about = (plugins.load("footfall.layouts", name).__doc__ or "").strip().splitlines()
        owner = entry.dist.name if entry.dist else "?"
        click.echo(f"{name:14}  {about[0] if about else ''}  [{owner}]")


@command.command("check")
@click.argument("what", metavar="FILE_OR_KIND")
@click.option(
    "--set", "sets", multiple=True, metavar="KEY=VALUE", help="A setting of the layout, as in [layout]."
)
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def check(what: str, sets: tuple[str, ...], as_json: bool):
    """Say what is in a layout: cells, sites, rows left out and why, fields imputed and how.

    A name of `footfall layout list` is built and held against the contract of a layout; anything
    else is read as a CSV file, columns of other names by --set columns.height_m=Antennaht.
    """
    from probe.base import plugins
    from simulator.layouts import check as contract
    from simulator.layouts.complete import complete

    kind = what if what in plugins.installed("footfall.layouts") and what != "table" else "table"
    given = {"kind": kind, **({"path": what, "drop_bad_rows": True} if kind == "table" else {})}
    settings = plugins.settings("footfall.layouts", "layout", {**given, **values_of(sets)})
    layout = settings.build()  # type: ignore[attr-defined]
    _, report = complete(layout, contract.frame_of(layout), f"[layout] {what}")
    broken = contract.broken(settings)
    if broken:
        raise ConfigError(f"layout {what} breaks the contract of a layout", broken)
    found = {
        "format": kind,
        "cells": report.cells,
        "sites": report.sites,
        "dropped": [{"row": row, "reason": reason} for row, reason in report.dropped],
        "imputed": {name: count for name, (count, _) in report.imputed.items()},
        "unasked": list(report.unasked),
    }
    click.echo(json.dumps(found) if as_json else "\n".join([f"format {kind}", *report.lines()]))


def values_of(sets: tuple[str, ...]) -> dict:
    """Return KEY=VALUE settings as TOML would read them; words need no quotes, keys may have one dot."""
    found: dict = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError("--set", [f"{text}: write KEY=VALUE"])
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value
        outer, dot, inner = key.partition(".")
        if dot:
            found.setdefault(outer, {})[inner] = parsed
        else:
            found[key] = parsed
    return found
