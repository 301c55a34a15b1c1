"""The command line: what is understood, and one line for what is not."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from PIL import Image

import main
from genjax import command
from tests.tiny import STEPS, command_line

ROOT = Path(__file__).resolve().parents[1]
GAN = "--config=configs/dcgan.py:size=8,width=2"
STYLE = "--config=configs/style.py:size=8 --config.content_loss.layers=relu1_1"


@pytest.fixture(autouse=True)
def _in_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def parse(line):
    config, workdir, options = command.of_run(["main.py", *shlex.split(line)])
    return config, workdir, options.mode


def test_defaults():
    config, workdir, mode = parse("--config=configs/dcgan.py")
    assert (config.task, workdir, mode) == ("gan", epath.Path("runs/dcgan"), "train")
    assert config.is_locked


def test_everything_given():
    config, workdir, mode = parse(
        "--config=configs/vae.py:arch=conv,width=8 --workdir=a/b --mode=sample"
        " --config.train.steps=7 --config.optimizer.learning_rate=1e-4 --config.data.flip=true"
        " --config.data.name=folder:a=b"
    )
    assert (workdir, mode) == (epath.Path("a/b"), "sample")
    assert (config.model.name, config.model.width, config.train.steps) == ("conv", 8, 7)
    assert (config.optimizer.learning_rate, config.data.flip) == (1e-4, True)
    assert config.data.name == "folder:a=b"


def test_a_value_may_follow_its_option_and_the_last_one_counts():
    config, _, mode = parse(
        "--mode train --config configs/dcgan.py --config.train.steps=5 --config.seed=1"
        " --config.seed=2 --mode evaluate"
    )
    assert (config.train.steps, config.seed, mode) == (5, 2, "evaluate")


def test_overrides_may_come_before_the_config():
    assert parse("--config.train.steps=5 --config=configs/dcgan.py")[0].train.steps == 5


def test_the_default_workdir_tells_arguments_apart():
    assert parse("--config=configs/dcgan.py:size=64")[1] == epath.Path("runs/dcgan-size-64")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_mode(flag, capsys):
    assert main.main(["main.py", "--config=nonsense", flag]) == 0
    out, err = capsys.readouterr()
    assert not err
    for mode in command.MODES:
        assert f"\n  {mode} " in out


def test_help_imports_nothing_heavy():
    code = "import sys, main; main.main(['main.py', '--help']); print(*sys.modules, sep='\\n')"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0
    heavy = {"jax", "flax", "optax", "orbax", "PIL", "grain", "matplotlib", "tensorflow_datasets"}
    assert not heavy & set(process.stdout.splitlines())


BAD_COMMANDS = [
    ("", "--config is missing: try --config=configs/dcgan.py, or --help"),
    ("--config=", "--config is missing"),
    ("--config=configs/dcgn.py", "configs/dcgn.py does not exist; did you mean configs/dcgan.py?"),
    ("--config=dcgan", "config file dcgan does not exist; did you mean configs/dcgan.py?"),
    ("--config=nowhere/vae.py", "does not exist; did you mean configs/vae.py?"),
    ("--config=LICENSE", "config file LICENSE is not a .py file"),
    ("--config=configs", "config file configs is not a .py file"),
    ("--config=main.py", "config file main.py defines no get_config"),
    ("--config=configs/dcgan.py:sise=3", "argument 'sise' is unknown; did you mean 'size'?"),
    ("--config=configs/dcgan.py:size=big", "argument size='big' is not a whole number"),
    ("--config=configs/dcgan.py:size", "argument 'size' lacks a value: write size=VALUE"),
    ("--config=configs/vae.py:arch=mpl", "arch='mpl' is unknown; did you mean 'mlp'?"),
    ("--config=configs/dcgan.py stray", "argument 'stray' is not understood: --KEY=VALUE is"),
    ("--config=configs/dcgan.py --workdr=x", "argument '--workdr=x' is not understood"),
    ("--config=configs/dcgan.py --mode", "argument --mode: expected one argument"),
    ("--config --mode=train", "argument --config: expected one argument"),
    ("--config=configs/dcgan.py --mode=trian", "--mode='trian' is unknown; did you mean 'train'?"),
]

BAD_KEYS = [
    ("train.stepz=3", "config key 'train.stepz' is unknown; did you mean 'train.steps'?"),
    ("trainn.steps=3", "config key 'trainn.steps' is unknown; did you mean 'train.steps'?"),
    ("steps=3", "config key 'steps' is unknown; did you mean 'train.steps'?"),
    ("train.steps.more=3", "config key 'train.steps.more' is unknown; did you mean 'train.steps'?"),
    ("train=3", "config key 'train' is a group: set train.steps, train.steps_per_call"),
    ("=3", "config key '' is unknown"),
    ("train.steps=many", "config key train.steps='many' is not a whole number"),
    ("data.size=128x96", "data.size='128x96' is two numbers, where one is needed"),
    ("train.steps=1.5", "config key train.steps='1.5' is not a whole number"),
    ("data.flip=x", "config key data.flip='x' is not true or false"),
    ("ema.ramp=x", "config key ema.ramp='x' is not a number"),
    ("data.flip", "argument '--config.data.flip' is not understood: --KEY=VALUE is"),
]


def fails(line, capsys):
    """The line on stderr of a command that ends with exit code 2."""
    assert main.main(["main.py", *shlex.split(line)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(("line", "message"), BAD_COMMANDS)
def test_bad_command(line, message, capsys):
    assert message in fails(line, capsys)


@pytest.mark.parametrize(("key", "message"), BAD_KEYS)
def test_bad_key(key, message, capsys):
    assert message in fails(f"--config=configs/dcgan.py --config.{key}", capsys)


def test_a_fault_inside_a_config_file_keeps_its_traceback(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def get_config():\n    return undefined\n")
    with pytest.raises(NameError):
        main.main(["main.py", f"--config={file}"])


def test_a_config_file_has_to_return_a_config(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text("def get_config():\n    return {'task': 'gan'}\n")
    assert "get_config returns a dict, not a ConfigDict" in fails(f"--config={file}", capsys)


@pytest.fixture
def files(tmp_path):
    """The folder of what goes wrong, which the command lines below call FILES."""
    np.savez(tmp_path / "good.npz", x_train=np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:200])
    np.savez(tmp_path / "weights.npz", **{"conv1_1/kernel": np.zeros((3, 3, 3, 63), np.float32)})
    Image.new("RGB", (9, 9)).save(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "file").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{GAN} --config.data.name=minst", "minst is no data set"),
        (f"{GAN} --config.data.name=npz:FILES/god.npz", "god.npz"),
        (
            f"{GAN} --config.data.name=npz:FILES/cut.npz",
            "cut.npz is not a readable .npz of arrays: it is cut off",
        ),
        (f"{GAN} --config.data.name=folder:FILES/none", "there is no such folder"),
        (f"{GAN} --config.data.name=folder:FILES/run", "no images in"),
        (f"{GAN} --config.data.name=tfds:cifar1", "did you mean tfds:cifar10?"),
        (f"{GAN} --workdir=FILES/file", "FILES/file: File exists; a folder is needed"),
        (f"{GAN} --workdir=FILES/file/run", "FILES/file/run: Not a directory; a folder is needed"),
        (f"{GAN} --workdir=FILES/none --mode=sample", "none is not a run's workdir"),
        (f"{GAN} --workdir=FILES/run --mode=evaluate", "run/config.json is not a config"),
        (f"{GAN} --config.parallel=foo", "parallel='foo' is unknown"),
        (f"{GAN} --config.precision=float16", "did you mean 'bfloat16'?"),
        (f"{GAN} --config.task=gam", "task='gam' is unknown; did you mean 'gan'?"),
        (f"{STYLE} --config.style=", "style is not set"),
        (f"{STYLE} --config.style=coffe", "did you mean coffee?"),
        (f"{STYLE} --config.style=FILES/phot.png", "did you mean photo.png"),
        (f"{STYLE} --config.style=FILES/text.png", "text.png is not an image"),
        (f"{STYLE} --config.content=run:FILES/none", "none is not a run's workdir"),
        (f"{STYLE} --config.features.name=vgg16:FILES/weights.npz", "has shape (3, 3, 3, 63), not"),
        (f"{STYLE} --config.features.name=cnn:FILES/run", "run/config.json is not a config"),
    ],
)
def test_what_a_run_cannot_be_built_from(line, message, files, capsys):
    workdir = "" if "--workdir" in line else f" --workdir={files}/new"
    assert message.replace("FILES", str(files)) in fails(
        line.replace("FILES", str(files)) + workdir, capsys
    )
    assert not (files / "new").exists()


def test_a_batch_that_does_not_divide_names_both_numbers(tmp_path):
    process = subprocess.run(
        [
            *(sys.executable, "main.py", "--config=configs/dcgan.py:size=8,width=2"),
            *("--config.train.batch_size=6", f"--workdir={tmp_path}/run"),
        ],
        env=os.environ
        | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert process.stderr.startswith("error: 6 images a step do not divide over 4 devices")
    assert process.stderr.count("\n") == 1


@pytest.mark.slow
def test_the_last_line_says_that_it_is_done(tmp_path, capsys):
    assert main.main(command_line("vae", tmp_path)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith(f"done: {STEPS} steps in ")
    assert lines[-1].endswith(f": {tmp_path}/report.html")
    assert lines[-2].startswith(f"step {STEPS}/{STEPS} ")


def test_where_several_processes_meet(capsys):
    line = ["main.py", "--config=configs/vae.py", "--coordinator=a:1", "--processes=2"]
    options = command.of_run([*line, "--process_id=1"])[2]
    assert (options.coordinator, options.processes, options.process_id) == ("a:1", 2, 1)
    assert "argument --processes" in fails("--config=configs/vae.py --processes=two", capsys)
