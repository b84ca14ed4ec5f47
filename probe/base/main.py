"""The command group `footfall`: every package adds its commands, loaded only when asked for."""

import sys
from importlib.metadata import entry_points, version

import click

from probe.base.config import ConfigError


class LazyGroup(click.Group):
    """Commands from the entry-point group footfall.commands.

    Each entry is a dict {name: (module, attribute, short help)}, so that --help
    imports no command, and therefore no numba.
    """

    def commands_known(self) -> dict[str, tuple[str, str, str]]:
        found: dict[str, tuple[str, str, str]] = {}
        for entry in sorted(entry_points(group="footfall.commands"), key=lambda e: e.name):
            found.update(entry.load())
        return found

    def list_commands(self, ctx):
        return sorted(self.commands_known())

    def get_command(self, ctx, cmd_name):
        known = self.commands_known()
        if cmd_name not in known:
            return None
        module, attribute, _ = known[cmd_name]
        return getattr(__import__(module, fromlist=[attribute]), attribute)

    def format_commands(self, ctx, formatter):
        rows = [(name, help_text) for name, (_, _, help_text) in sorted(self.commands_known().items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(cls=LazyGroup)
@click.version_option(version("footfall"), prog_name="footfall")
def footfall():
    """Where people are while they are there, without telling who."""


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    try:
        sys.exit(footfall.main(standalone_mode=False) or 0)
    except ConfigError as error:
        click.echo(f"{error.where}:", err=True)
        for line in error.problems:
            click.echo(f"  {line}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except RunError as error:
        click.echo(f"footfall: {error}", err=True)
        sys.exit(1)


class RunError(RuntimeError):
    """The run failed for a reason outside the input: port in use, disk full, store unreachable."""
