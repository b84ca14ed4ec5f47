"""footfall scenario: which scenarios are shipped and what they say."""

import click

from simulator import scenario


@click.group("scenario")
def command():
    """Look at scenarios."""


@command.command("list")
def list_shipped():
    """List the shipped scenarios."""
    for name in scenario.shipped():
        click.echo(f"{name:10}  {scenario.document_of(name).get('about', '')}")


@command.command("show")
@click.argument("name", metavar="SCENARIO")
def show(name: str):
    """Print a scenario as TOML, with the source of each figure."""
    click.echo(scenario.text_of(name), nl=False)
