"""Priors over codes, end to end on tiny runs: trained, resumed, sampled, and what is refused."""

import json
import re
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from genjax import config as config_lib
from genjax import runs
from genjax.errors import UserError
from genjax.evaluate import evaluate
from genjax.sample import sample
from genjax.train import train
from genjax.vae import code_prior
from genjax.vae.quantizers import CodeBook
from genjax.workdir import config_file
from tests.tiny import ROOT, metrics_of, state_of, with_values

_VALUES = {
    "train.batch_size": 8,
    "train.steps_per_call": 5,
    "log.every": 2,
    "sample.every": 4,
    "sample.n": 20,
    "evaluate.every": 4,
    "checkpoint.every": 2,
    "score.metrics": (),
    "model.heads": 2,
}


def _config(run, steps=4, **values):
    config = config_lib.read(f"{ROOT}/configs/codes.py:size=8,width=8,layers=1")
    of_run = {"codes.run": str(run), "train.steps": steps}
    return with_values(config, **(_VALUES | of_run | values))


@pytest.fixture(scope="module", params=["vqvae", pytest.param("fsq", marks=pytest.mark.slow)])
def prior(request, finished, tmp_path_factory):
    """(config, workdir, the run of the codes) of a prior that was trained."""
    workdir = epath.Path(tmp_path_factory.mktemp(request.param)) / "prior"
    run = finished(request.param)
    train(_config(run), workdir)
    return _config(run), workdir, run


def test_a_run_that_was_stopped_goes_on_to_the_same_bits_without_the_other(prior, tmp_path):
    _, workdir, run = prior
    copy = shutil.copytree(run, tmp_path / "run")
    train(_config(copy, steps=2), tmp_path / "stopped")
    shutil.rmtree(copy)
    train(_config(copy), tmp_path / "stopped")
    state = [state_of(folder) for folder in (workdir, tmp_path / "stopped")]
    assert all((state[0][key] == state[1][key]).all() for key in state[0])
    assert metrics_of(workdir)[-1] == metrics_of(tmp_path / "stopped")[-1]


def test_the_autoencoder_stays_and_the_prior_learns(prior):
    _, workdir, run = prior
    there, here = state_of(run), state_of(workdir)
    parts = ("encoder/", "decoder/", "quantizer/")
    networks = [key for key in there if key.startswith(parts)]
    assert networks and all((here[f"autoencoder/{key}"] == there[key]).all() for key in networks)
    line = metrics_of(workdir)[-1]
    positions = 4  # of 8 px
    assert line["eval/nll"] == pytest.approx(line["eval/bits_per_code"] * np.log(2) * positions)


def test_pictures_are_drawn_and_scored_without_the_run(prior, tmp_path):
    """Of each class in turn; the networks are in the state, and their form in the workdir. A run of
    before it was kept there reads it again."""
    config, workdir, _ = prior
    copy = epath.Path(shutil.copytree(workdir, tmp_path / "prior"))
    sample(config, copy)
    found = np.load(copy / "samples.npz")
    assert found["images"].shape == (20, 8, 8, 1) and found["labels"].tolist() == [*range(10)] * 2
    gone = _config(tmp_path / "gone")
    evaluate(gone, copy)
    (copy / "task.json").unlink()
    with pytest.raises(UserError, match="gone: there is no run"):
        sample(gone, copy)
    sample(config, copy)
    assert (np.load(copy / "samples.npz")["images"] == found["images"]).all()
    records = [json.loads(line) for line in (copy / "scores.jsonl").read_text().splitlines()]
    assert {record["metric"] for record in records} == {"eval/nll", "eval/bits_per_code"}


def test_codes_and_pictures_of_an_autoencoder(prior):
    """Codes decoded are the run's reconstructions."""
    config, _, run = prior
    trained = runs.open_trained(config_file.load(run), run)
    there = code_prior.read_config(config.codes.run, (8, 8, 1))
    autoencoder = code_prior.autoencoder_of(there, (8, 8, 1), "float32")
    variables = code_prior.read_arrays(config.codes.run)
    batch = {"image": np.stack([trained.run.dataset.test[i]["image"] for i in range(8)])}
    codes = autoencoder.codes(variables, batch["image"])
    assert codes.shape == (8, 4)
    drawn = autoencoder.decoded(variables, codes.reshape(8, 2, 2))
    sheet = trained.run.task.pictures(trained.state, batch, None)["reconstructions"]
    difference = np.int32(drawn) - np.int32(sheet[1])
    assert np.abs(difference).max() <= 1  # rounding of what was added and taken away again


def test_vectors_of_codes():
    book = np.arange(6.0).reshape(3, 2)
    for learned_by, kind in (("loss", "params"), ("average", "codebook")):
        layer = CodeBook(3, 2, learned_by)
        found = layer.apply({kind: {"codes": book}}, jnp.array([[2, 0]]), method="vectors")
        assert found.tolist() == [[[4, 5], [0, 1]]]


def test_runs_that_have_no_codes_are_refused(finished, tmp_path):
    for name, shape, message in (
        ("", (8, 8, 1), "codes.run is empty: name a run of configs/vqvae.py"),
        (f"{tmp_path}/none", (8, 8, 1), "there is no run: train one with --config="),
        (f"{finished('vae')}", (28, 28, 1), "is a run of task='vae', which has no codes"),
        (f"{finished('vqvae')}", (16, 16, 1), "is of pictures 8x8x1, and the data here of 16x16x1"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            code_prior.read_config(name, shape)


def test_heads_divide_the_width(finished):
    with pytest.raises(UserError, match=r"model.heads=3 does not divide model.width=8"):
        runs.build(_config(finished("vqvae"), **{"model.heads": 3}))


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["fsdp", "pmap"])
def test_other_ways_to_share_it(prior, parallel, tmp_path):
    config, workdir, _ = prior
    train(with_values(config, parallel=parallel), tmp_path)
    for ours, theirs in zip(metrics_of(tmp_path), metrics_of(workdir), strict=True):
        for key, value in theirs.items():
            assert ours[key] == pytest.approx(value, rel=1e-4), key
