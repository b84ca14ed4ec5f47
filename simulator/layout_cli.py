"""footfall layout: which tower layouts can be read, and what one of them says and leaves open."""

import json
import tomllib

import click


command = click.Group("layout", help="Look at tower layouts.")


@command.command("list")
def list_installed():
    """List the layouts that are installed, ours and others'."""
    from probe.base import config, plugins

    for name in sorted(plugins.installed("footfall.layouts")):
        try:
            about = (plugins.load("footfall.layouts", name).__doc__ or "").strip().partition("\n")[0]
        except config.ConfigError as error:
            about = f"cannot be used: {error.problems[0]}"
        click.echo(f"{name:14}  {about}")


@command.command("check")
@click.argument("what", metavar="FILE_OR_KIND")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="A setting of the layout, as in [layout].")
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def check(what: str, sets: tuple[str, ...], as_json: bool):
    """Say what is in a layout: cells, sites, rows left out and why, fields imputed and how.

    A name of `footfall layout list` is built and held against the contract of a layout; anything
    else is read as a CSV file, columns of other names by --set columns.height_m=Antennaht.
    """
    from probe.base import config, plugins
    from simulator.layouts import check as contract

    kind = what if what in plugins.installed("footfall.layouts") else "table"
    file = {} if kind == what else {"path": what, "drop_bad_rows": True}
    try:
        values = tomllib.loads("\n".join(map(as_toml, sets)))
    except tomllib.TOMLDecodeError:
        raise config.ConfigError("--set", [f"{' '.join(sets)}: write KEY=VALUE, each key once"]) from None
    settings = plugins.settings("footfall.layouts", "layout", {"kind": kind, **file, **values})
    if broken := contract.broken(settings):
        raise config.ConfigError(what, broken)
    layout = settings.build()  # type: ignore[attr-defined]
    report = contract.complete(layout, contract.frame_of(layout))[1]
    found = {"format": kind, **report._asdict(),
             "dropped": [{"row": row, "reason": reason} for row, reason in report.dropped],
             "imputed": {name: count for name, (count, _) in report.imputed.items()}}
    words = [f"{kind}: {report.cells} cells on {report.sites} sites",
             *(f"imputed {name} ({count} cells): {rule}" for name, (count, rule) in report.imputed.items()),
             *(f"dropped row {row}: {reason}" for row, reason in report.dropped),
             *(f"left alone: column {name}" for name in report.unasked)]
    click.echo(json.dumps(found) if as_json else "\n".join(words))


def as_toml(text: str) -> str:
    """Return KEY=VALUE as TOML; words need no quotes."""
    try:
        tomllib.loads(text)
        return text
    except tomllib.TOMLDecodeError:
        key, _, value = text.partition("=")
        return f"{key} = {json.dumps(value)}"
