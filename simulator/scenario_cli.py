"""footfall scenario: which scenarios are shipped and what they say."""

import tomllib

import click


@click.group("scenario")
def command():
    """Look at scenarios."""


@command.command("list")
def list_shipped():
    """List the shipped scenarios."""
    from simulator import scenario  # numba is behind it, and --help must be quick

    for name, text in scenario.shipped().items():
        click.echo(f"{name:10}  {tomllib.loads(text)['about']}")


@command.command("show")
@click.argument("name", metavar="SCENARIO")
def show(name: str):
    """Print a scenario as TOML, with the source of each figure."""
    from simulator import scenario

    click.echo(scenario.text_of(name), nl=False)
