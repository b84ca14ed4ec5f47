"""One's own city from two files, as the README says it."""

import json
import re
from pathlib import Path

from tests.conftest import footfall

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_scenario_of_the_readme_runs_with_two_files(tmp_path):
    toml = next(block for block in re.findall(r"```toml\n(.*?)```", README, re.S) if block.startswith("# mycity.toml"))
    (tmp_path / "mycity.toml").write_text(toml)
    masts = [(f"{51 + north / 100:.3f}", f"{12 + east / 60:.3f}") for north in range(3) for east in range(3)]
    rows = [f"{at}-{bearing},{latitude},{longitude},{bearing}" for at, (latitude, longitude) in enumerate(masts)
            for bearing in (0, 120, 240)]
    (tmp_path / "mycity.csv").write_text("\n".join(["cell_id,latitude,longitude,bearing", *rows]))
    squares = [{"type": "Feature", "properties": {"area_id": name, "name": name, "residents": 900},
                "geometry": {"type": "Polygon", "coordinates": [[[w, 51], [e, 51], [e, 51.02], [w, 51.02], [w, 51]]]}}
               for name, w, e in (("west", 12.0, 12.016), ("east", 12.016, 12.033))]
    (tmp_path / "mycity.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": squares}))
    checked = footfall("layout", "check", "mycity.csv", "--set", "columns.azimuth_deg=bearing", "--json", cwd=tmp_path)
    assert json.loads(checked.stdout)["cells"] == 27, checked.stderr
    assert footfall("scenario", "check", "mycity.toml", cwd=tmp_path).returncode == 0
    said = footfall("run", "mycity.toml", "--hours", 1, "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["handsets"] == 540 and json.loads(said.stdout)["events"] > 0
