"""config.json: what is saved is loaded, and with which other values a run goes on."""

import json
import re

import pytest
from etils import epath

from configs import cnn
from genjax import config as config_lib
from genjax import score_keys
from genjax.config import flatten
from genjax.errors import UserError
from genjax.workdir import config_file
from tests.tiny import with_values


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path)


@pytest.fixture
def config():
    values = config_lib.base("gan")
    values.data = config_lib.dataset("mnist", 0)
    values.score = score_keys.defaults()
    optimizer = {"name": "adam", "learning_rate": 1e-3, "discriminator_factor": 1.0}
    values.optimizer = optimizer | {"linear_decay": 100}
    values.regularizer = {"interval": 1}
    values.model = {"latent": 4, "hidden": (8, 4)}
    values.train.batch_size = 8
    values.evaluate.augment = False
    return values.lock()


def test_what_is_saved_is_loaded(config, workdir):
    config_file.save(config, workdir)
    loaded = config_file.load(workdir)
    assert flatten(loaded) == flatten(config)
    assert loaded.is_locked
    assert [path.name for path in workdir.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is not a run's workdir: it has no config.json"),
        ("{", "is not a config"),
        ("[1]", "is not a config .it is no JSON object"),
    ],
)
def test_load_says_what_is_wrong(text, message, workdir):
    if text is not None:
        (workdir / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        config_file.load(workdir)


def test_load_of_bytes_that_are_no_text(workdir):
    (workdir / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not a config"):
        config_file.load(workdir)


def test_free_keys_may_differ(config, workdir):
    config_file.save(config, workdir)
    others = {bool: True, int: 9, float: 0.5, str: "other", list: (2, 4)}
    flat = flatten(config)
    of_others = ("score.k", "sample.temperature", "sample.prior", "stylize.")  # a GAN has none
    free = [key for key in config_file.FREE_KEYS if not key.startswith(of_others)]
    changed = {key: others[type(flat[key])] for key in free}
    assert config_file.changes(with_values(config, **changed), workdir) == {}


@pytest.mark.parametrize("key", ["seed", "train.batch_size", "model.latent", "data.size"])
def test_other_keys_may_not_differ(key, config, workdir):
    config_file.save(config, workdir)
    was = flatten(config)[key]
    with pytest.raises(UserError, match=re.escape(f"{key} ({was} there, 99 here)")):
        config_file.changes(with_values(config, **{key: 99}), workdir)


def test_keys_that_one_side_lacks_are_named(config, workdir):
    config_file.save(config, workdir)
    with config.unlocked():
        config.extra = 1
        del config.data
    with pytest.raises(UserError) as error:
        config_file.changes(config, workdir)
    assert "extra ('absent' there, 1 here)" in str(error.value)
    assert "data.name ('mnist' there, 'absent' here)" in str(error.value)
    assert "seed" not in str(error.value)


def test_continuations_are_told(config, workdir):
    config_file.save(config, workdir)
    changed = {"optimizer.learning_rate": 3e-4, "data.max_corrupt": 20, "train.steps": 2000}
    assert config_file.changes(with_values(config, **changed), workdir) == {
        "optimizer.learning_rate": [1e-3, 3e-4],
        "data.max_corrupt": [10, 20],
    }
    longer = with_values(config, **{"optimizer.linear_decay": 200})
    assert config_file.changes(longer, workdir) == {"optimizer.linear_decay": [100, 200]}


def test_a_schedule_does_not_end_or_begin(config, workdir):
    """The optimiser's state counts its steps."""
    config_file.save(config, workdir)
    with pytest.raises(UserError, match=r"linear_decay .100 there, 0 here"):
        config_file.changes(with_values(config, **{"optimizer.linear_decay": 0}), workdir)


def test_the_history_is_beside_the_config_and_no_part_of_it(config, workdir):
    history = [{"step": 3, "changed": {"optimizer.learning_rate": [1.0, 0.5]}}]
    config_file.save(config, workdir, history)
    assert config_file.history(workdir) == history
    assert flatten(config_file.load(workdir)) == flatten(config)
    config_file.save(config, workdir)
    assert config_file.history(workdir) == []


def test_runs_from_before_a_key_was_there_go_on(config, workdir):
    """As they did: with what was then the only possibility."""
    config_file.save(config, workdir)
    values = json.loads((workdir / "config.json").read_text())
    before = ("init_from", "data.labels", "data.changed", "sample.format", "sample.kind")
    for key in (*before, "data.flip_in_turn", "data.border", "data.classes"):
        *groups, name = key.split(".")
        (values[groups[0]] if groups else values).pop(name, None)
    (workdir / "config.json").write_text(json.dumps(values))
    assert config_file.changes(config, workdir) == {}
    assert config_file.load(workdir).data == config.data  # without --config, too
    with pytest.raises(UserError, match="init_from"):
        config_file.changes(with_values(config, init_from="elsewhere"), workdir)


def test_classifiers_from_before_there_were_two_go_on(workdir):
    config = cnn.get_config()
    config_file.save(config, workdir)
    values = json.loads((workdir / "config.json").read_text())
    del values["model"]["name"], values["label_smoothing"], values["evaluate"]["augment"]
    (workdir / "config.json").write_text(json.dumps(values))
    assert config_file.changes(config, workdir) == {}
    with pytest.raises(UserError, match=r"model.name .'small' there, 'airbench' here"):
        config_file.changes(cnn.get_config("arch=airbench"), workdir)
