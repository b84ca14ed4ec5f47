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


@command.command("check")
@click.argument("name", metavar="SCENARIO")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="As for run.")
def check(name: str, sets: tuple[str, ...]):
    """Say everything that is wrong with a scenario, or what it would run."""
    from simulator.deployment import checked
    from simulator.report import layout_in_words

    stage = checked(name, list(sets))
    click.echo(f"{stage.scenario.handsets:,} handsets of {stage.persons:,} people, "
               f"{len(stage.scenario.areas.area_id) - 1} areas, {stage.scenario.world.hours:g} h")
    click.echo(layout_in_words(stage.layout[1]))
