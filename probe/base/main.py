"""The command group `footfall`: every package adds its commands, loaded only when asked for."""

import sys
from importlib.metadata import entry_points, version

import click

from probe.base.config import ConfigError, RunError

LINES_MAX = 60  # of problems; nobody reads more at once


class LazyGroup(click.Group):
    """Commands from the entry-point group footfall.commands.

    Each entry is a dict {name: (module, attribute, short help)}, so that --help
    imports no command, and therefore no numba.
    """

    def commands_known(self) -> dict[str, tuple[str, str, str]]:
        return dict(sorted(pair for entry in entry_points(group="footfall.commands") for pair in entry.load().items()))

    def list_commands(self, ctx):
        return list(self.commands_known())

    def get_command(self, ctx, cmd_name):
        module, attribute, _ = self.commands_known().get(cmd_name, ("", "", ""))
        return getattr(__import__(module, fromlist=[attribute]), attribute) if module else None

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, _, help_text) in self.commands_known().items()])


@click.group(cls=LazyGroup)
@click.version_option(version("footfall"), prog_name="footfall")
def footfall():
    """Where people are while they are there, without telling who."""


def main() -> None:
    """Run the command line: exit 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    try:
        sys.exit(footfall.main(standalone_mode=False) or 0)
    except ConfigError as error:
        rest = [f"and {len(error.problems) - LINES_MAX} more"] if len(error.problems) > LINES_MAX else []
        words, code = "\n  ".join([f"{error.where}:", *error.problems[:LINES_MAX], *rest]), 2
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt, RunError) as error:
        words, code = (f"footfall: {error}", 1) if isinstance(error, RunError) else ("interrupted", 130)
    click.echo(words, err=True)
    sys.exit(code)
