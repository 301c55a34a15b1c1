"""Configs: what can be written in one, what may differ in a resume, and that each key is read."""

import json
import re

import pytest
from ml_collections import ConfigDict

from genjax import config as config_lib
from genjax import runs, sample_keys
from genjax.errors import UserError
from tests import reading
from tests.tiny import CONFIGS, ROOT, VARIANTS, kinds_first, tiny, with_values


@pytest.fixture
def config():
    values = config_lib.base("gan")
    values.data = config_lib.dataset("mnist", 0)
    values.optimizer = {"learning_rate": 1e-3, "b1": 0.5}
    values.model = {"latent": 4, "hidden": (8, 4), "width": 4}
    values.train.batch_size = 8
    return values.lock()


def test_parse_arg_takes_the_type_of_each_default():
    arg = config_lib.parse_arg(
        "n=7,rate=1e-3,flip=TRUE,name=tfds:a/b=c", n=1, rate=0.1, flip=False, name="", rest="kept"
    )
    expected = {"n": 7, "rate": 1e-3, "flip": True, "name": "tfds:a/b=c", "rest": "kept"}
    assert arg.to_dict() == expected


@pytest.mark.parametrize("arg", ["", None, ","])
def test_parse_arg_of_nothing(arg):
    assert config_lib.parse_arg(arg, n=1).n == 1


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("sise=1", "'sise' is unknown; did you mean 'size'?"),
        ("xyz=1", "'xyz' is unknown$"),
        ("size", "'size' lacks a value: write size=VALUE"),
        ("size=", "size='' is not a whole number"),
        ("size=1.0", "size='1.0' is not a whole number"),
        (
            "size=128x96",
            "size='128x96' is two numbers, where one is needed: no network takes other",
        ),
        ("flip=yes", "flip='yes' is not true or false"),
        ("rate=fast", "rate='fast' is not a number"),
    ],
)
def test_parse_arg_refuses(arg, message):
    with pytest.raises(UserError, match=re.escape(message).replace(r"\$", "$")):
        config_lib.parse_arg(arg, size=1, flip=False, rate=0.1)


@pytest.mark.parametrize(
    ("config", "key", "value"),
    [
        ("dcgan.py:size=16,data", "data.name", "folder:/x/a,b"),
        ("vae.py:data", "data.name", "npz:/x/a, b,c.npz"),
        ("style.py:features", "features.name", "vgg19:/x/a,b.npz"),
        ("style.py:content", "content", "a,b.jpg"),
    ],
)
def test_a_comma_in_a_value_of_arg(config, key, value):
    """What the message advises works."""
    with pytest.raises(UserError, match=re.escape(f" --config.{key}=VALUE")):
        config_lib.read(f"{ROOT}/configs/{config}={value}")
    file = config.partition(":")[0]
    read = config_lib.read(f"{ROOT}/configs/{file}", [f"--config.{key}={value}"])
    assert config_lib.flatten(read)[key] == value


def test_choose():
    assert config_lib.choose("loss", "a", {"a": 1, "b": 2}) == 1
    with pytest.raises(UserError, match="loss='hing' is unknown; did you mean 'hinge'"):
        config_lib.choose("loss", "hing", {"hinge": 1, "minimax": 2})
    with pytest.raises(UserError, match=re.escape("'q' is unknown (known: hinge, minimax)")):
        config_lib.choose("loss", "q", {"hinge": 1, "minimax": 2})


def test_nearest():
    assert config_lib.nearest("train.stepz", ["train.steps", "seed"]) == (
        "; did you mean 'train.steps'?"
    )
    assert config_lib.nearest("q", ["train.steps"]) == ""
    assert config_lib.nearest("q", []) == ""


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("configs/dcgan.py", "runs/dcgan"),
        ("dcgan.py:", "runs/dcgan"),
        ("/a/b/vae.py:arch=conv", "runs/vae-arch-conv"),
        ("configs/vae.py:data=folder:/a b/ü,size=64", "runs/vae-data-folder-a-b-size-64"),
    ],
)
def test_default_workdir(file, expected):
    assert config_lib.default_workdir(file) == expected


def test_flatten_has_every_leaf_as_json(config):
    flat = config_lib.flatten(config)
    assert flat["train.batch_size"] == 8
    assert flat["model.hidden"] == [8, 4]
    assert flat["task"] == "gan"
    assert not any(isinstance(value, dict) for value in flat.values())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config(arg='none'):\n"
        "    return ConfigDict({'arg': arg, 'a': {'rate': 0.5, 'flip': False, 'widths': (1, 2)},\n"
        "                       'layers': ('x',), 'empty': (), 'weights': (0.5, 2.0)})\n"
    )
    return path


@pytest.mark.parametrize(("suffix", "arg"), [("", "none"), (":", ""), (":k=a:b", "k=a:b")])
def test_read_passes_what_follows_the_colon(file, suffix, arg):
    config = config_lib.read(f"{file}{suffix}")
    assert config.arg == arg
    assert config.is_locked
    assert config.a.is_locked


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("a.rate", "3", 3.0),
        ("a.rate", "1e-3", 1e-3),
        ("a.flip", "true", True),
        ("a.flip", "False", False),
        ("arg", "", ""),
        ("arg", "1", "1"),
        ("a.widths", "5", (5,)),
        ("a.widths", "5,6,7", (5, 6, 7)),
        ("a.widths", "(5, 6,)", (5, 6)),
        ("a.widths", "()", ()),
        ("layers", "relu1_1,relu2_1", ("relu1_1", "relu2_1")),
        ("layers", "('relu1_1', 'relu2_1')", ("relu1_1", "relu2_1")),
        ("empty", "x", ("x",)),
        ("weights", "1,1", (1.0, 1.0)),
        ("weights", "1", (1.0,)),
        ("weights", "(1, 0.5, 1e2)", (1.0, 0.5, 100.0)),
    ],
)
def test_overrides_have_the_type_of_the_default(file, key, text, value):
    config = config_lib.read(str(file), [f"--config.{key}={text}"])
    for part in key.split("."):
        config = config[part]
    assert config == value
    assert type(config) is type(value)
    if isinstance(value, tuple):
        assert [*map(type, config)] == [*map(type, value)]


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("a.rat", "1", "config key 'a.rat' is unknown; did you mean 'a.rate'?"),
        ("a", "1", "config key 'a' is a group: set a.rate, a.flip, a.widths"),
        ("a.widths", "1,x", "a.widths='1,x' is not a tuple such as"),
        ("weights", "1,True", "weights='1,True' is not a tuple such as"),
        ("weights", "1,x", "weights='1,x' is not a tuple such as"),
        ("weights", f"1,{10**400}", "is not a tuple such as"),
        ("a.flip", "", "a.flip='' is not true or false"),
    ],
)
def test_overrides_that_are_refused(file, key, text, message):
    with pytest.raises(UserError, match=re.escape(message)):
        config_lib.read(str(file), [f"--config.{key}={text}"])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_config_passes_the_check(name):
    config_lib.check(tiny(name))


PRESETS = {"small": {"width": 4, "data": "mnist"}, "large": {"width": 64, "data": "cifar"}}


@pytest.mark.parametrize(
    ("arg", "expected"),
    [
        ("", ("small", 4, "mnist", 32)),
        ("preset=large", ("large", 64, "cifar", 32)),
        ("size=16,width=8,preset=large", ("large", 8, "cifar", 16)),
        ("width=8", ("small", 8, "mnist", 32)),
    ],
)
def test_presets_are_defaults(arg, expected):
    """What ARG gives itself counts, wherever it stands."""
    found = config_lib.parse_preset(arg, PRESETS, size=32)
    assert (found.preset, found.width, found.data, found.size) == expected


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("preset=lage", "preset='lage' is unknown; did you mean 'large'? (known: small, large)"),
        ("preset", "config argument 'preset' lacks a value"),
        ("preset=large,widht=8", "config argument 'widht' is unknown; did you mean 'width'?"),
        ("data=a,preset=large,width=x", "width='x' is not a whole number"),
    ],
)
def test_presets_that_are_refused(arg, message):
    with pytest.raises(UserError, match=re.escape(message)):
        config_lib.parse_preset(arg, PRESETS, size=32)


def test_never_is_zero(config):
    never = dict.fromkeys(("log.every", "sample.every", "evaluate.every", "checkpoint.every"), 0)
    config_lib.check(with_values(config, **never))


@pytest.mark.parametrize(
    ("key", "value", "possible"),
    [
        ("train.steps", 0, "at least 1"),
        ("train.steps_per_call", 0, "at least 1"),
        ("train.batch_size", -8, "at least 1"),
        ("sample.n", 0, "at least 1"),
        ("checkpoint.keep", 0, "at least 1"),
        ("model.latent", 0, "at least 1"),
        ("model.hidden", (8, 0), "at least 1"),
        ("log.every", -1, "at least 0"),
        ("seed", -1, "from 0 to 2**32 - 1"),
        ("sample.seed", 2**32, "from 0 to 2**32 - 1"),
        ("train.steps", 2**31, "less than 2**31"),
        ("checkpoint.every", 2**31, "less than 2**31"),
        ("model.width", 2**30, "from 1 to 2**16"),
        ("optimizer.learning_rate", 0.0, "more than 0"),
        ("style_loss.scale.relu1_1", 0.0, "more than 0"),
        ("optimizer.b1", 1.0, "at least 0 and less than 1"),
        ("optimizer.learning_rate", float("nan"), "finite"),
        ("data.test_fraction", float("inf"), "finite"),
    ],
)
def test_numbers_that_make_no_sense(key, value, possible, config):
    config = with_values(config)
    with config.unlocked():
        config.style_loss = {"scale": {"relu1_1": 1.0}}
    with pytest.raises(UserError, match=f"^{re.escape(key)}=.* has to be {re.escape(possible)}$"):
        config_lib.check(with_values(config, **{key: value}))


def test_best_mode_is_one_of_two(config):
    with pytest.raises(UserError, match="best_mode='maxx' is unknown; did you mean 'max'"):
        config_lib.check(with_values(config, **{"checkpoint.best_mode": "maxx"}))


# What is not read as they are built are keys of dcgan, as is shown below, and the same code's.
_OF_OTHERS = {"r1", "lsgan", "wgan", "ssgan", "cgan", "sagan", "biggan", "stylegan2", "r3gan"}


# Variants that read what is an option of these configs, too, but not of their own variants.
_PRIORS = ("vamp", "iwae-iaf")
_READ_BY = {
    **{"vae": _PRIORS, "cvae": _PRIORS, "iwae": _PRIORS, "vamp": _PRIORS},
    "style_video": ("style-lbfgs",),  # has the optimizer's `memory`
}


# Whose variants are trained in slow tests alone: most of what they read, a sibling reads as well.
_DEAR = {"vqgan", "vdvae", "factor_vae", "tcvae", "beta_vae", "cvae", "vamp", "iwae", "fsq"}
_DEAR |= {"style_fast", "style_fast_video", "style_adain", "style_video"}


@pytest.mark.parametrize("file", kinds_first(CONFIGS, {*CONFIGS} - _OF_OTHERS - _DEAR))
def test_every_key_is_read_by_something(file, finished):
    keys, read = set(), set()
    for name, (of, *_) in VARIANTS.items():
        if of == file or name in _READ_BY.get(file, ()):  # such a run evaluates and samples too
            unread = json.loads((finished(name).parent / "unread.json").read_text())
            known = config_lib.flatten(tiny(name)).keys()
            others = ("score.", "stylize.")  # tests/scores, tests/test_stylize.py
            known = {key for key in known if not key.startswith(others)}
            known -= {f"sample.{key}" for key in sample_keys.OF_TOOLS}  # tests/explore
            keys |= known if of == file else set()
            read |= known - set(unread)
    assert not keys - read


_GANS = [name for name in VARIANTS if tiny(name).task == "gan"]


def _unread_as_it_is_built(name):
    config = tiny(name)
    with reading.recorded() as found:
        runs.build(config)
    return {*reading.unread(config, found)}


@pytest.fixture(scope="module")
def left_to_the_step():
    return _unread_as_it_is_built("dcgan")


@pytest.mark.parametrize("name", [name for name in _GANS if not name.startswith("dcgan")])
def test_keys_that_dcgan_has_not_are_read_as_a_gan_is_built(name, left_to_the_step):
    assert _unread_as_it_is_built(name) <= left_to_the_step


def test_a_key_that_nothing_reads_is_found():
    config = ConfigDict({"a": {"read": 1, "unread": 2}, "copied": 3})
    with reading.recorded() as found:
        assert config.a.read == 1 and config.to_dict()
    assert list(reading.unread(config, found)) == ["a.unread", "copied"]
