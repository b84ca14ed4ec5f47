"""Commands of the edge.  Everything heavy is imported when one runs."""

import json
from datetime import date
from pathlib import Path

import click

from probe.base.config import RunError

COMMANDS = {"privacy": ("collector.edge.cli", "privacy", "What was promised and spent, in plain words, one page.")}


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
def privacy(run_dir: Path, as_json: bool) -> None:
    """Print what every person counted was promised, what was spent, and whether the books agree."""
    from collector.edge.privacy import page, read

    found = read(run_dir)
    click.echo(json.dumps(found) if as_json else page(found, run_dir, date.today()))
    if found["problems"]:
        raise RunError("; ".join(found["problems"]))
