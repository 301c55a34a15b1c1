import json

import pytest

from genjax import style_keys
from genjax.errors import UserError
from genjax.workdir import config_file
from tests.tiny import tiny


def test_a_run_from_before_the_keys_goes_on(tmp_path):
    config = tiny("style-adam")
    values = json.loads(config.to_json())
    for key, default in style_keys.defaults().items():
        for inner in default if isinstance(default, dict) else ():
            del values[key][inner]
        if not isinstance(default, dict):
            del values[key]
    (tmp_path / "config.json").write_text(json.dumps(values))
    config.scales.steps = style_keys.defaults()["scales"]["steps"]  # of one scale: not used
    assert json.loads(config_file.load(tmp_path).to_json()) == json.loads(config.to_json())
    config.scales.steps = (7,)
    assert not config_file.changes(config, tmp_path)
    config.content_fit = "own"
    with pytest.raises(UserError, match=r"content_fit .*scales.steps"):
        config_file.changes(config, tmp_path)
