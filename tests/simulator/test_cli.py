"""What the commands say of what is not there."""

import pytest
from click.testing import CliRunner

from probe.base.config import ConfigError
from simulator import cli


@pytest.mark.parametrize(("what", "near"), [("crossroads", ""), ("hexagonl", ' (did you mean "hexagonal"?)')])
def test_a_layout_that_is_neither_installed_nor_a_file_is_told_so(what, near):
    found = CliRunner().invoke(cli.layout, ["check", what])
    assert isinstance(found.exception, ConfigError)
    (words,) = found.exception.problems
    assert words.startswith(f'no plugin "{what}"{near}, and no such file; installed: hexagonal, table')
    assert words.endswith("or a CSV file")
