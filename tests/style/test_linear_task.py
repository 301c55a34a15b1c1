"""A linear transform with the decoder of another run, end to end, and its losses in PyTorch."""

import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from genjax import config as config_lib
from genjax import runs
from genjax.errors import UserError
from genjax.nn import backend
from genjax.train import train
from tests.style.theirs import Theirs
from tests.tiny import ROOT, metrics_of, state_of, with_values

_VALUES = {
    "style": "coffee",
    "model.matrix": 3,
    "features.judged": "relu2_1",
    "train.batch_size": 8,
    "train.steps_per_call": 2,
    "log.every": 2,
    "sample.every": 0,
    "evaluate.every": 2,
    "checkpoint.every": 1,
}
_ARG = "data=mnist,size=16,crop=0,layer=relu2_1"


def _config(run, steps=2, **values):
    config = config_lib.read(f"{ROOT}/configs/style_linear.py:{_ARG}")
    of_run = {"decoder.run": str(run), "train.steps": steps}
    return with_values(config, **(_VALUES | of_run | values))


@pytest.fixture(scope="module")
def transform(finished, tmp_path_factory):
    """(workdir, the run of the decoder) of a transform that was trained."""
    workdir = epath.Path(tmp_path_factory.mktemp("linear")) / "run"
    run = epath.Path(shutil.copytree(finished("adain"), workdir.parent / "adain"))
    train(_config(run), workdir)
    return workdir, run


@pytest.mark.slow
def test_the_decoder_stays_and_the_transform_learns(transform):
    workdir, run = transform
    there, here = state_of(run), state_of(workdir)
    kernels = [key for key in there if key.startswith("decoder/")]
    assert kernels and all((here[key] == there[key]).all() for key in kernels)
    assert {key.partition("/")[0] for key in here} == {
        "step",
        "decoder",
        "transform",
        "optimizer",
    }
    line = metrics_of(workdir)[-1]
    assert {"train/content", "eval/style", "eval/unchanged_style"} <= line.keys()


@pytest.mark.slow
def test_a_trained_run_paints_without_the_other(transform):
    """Whichever transform is asked for; each paints other pictures."""
    workdir, run = transform
    hidden = run.parent / "hidden"
    run.rename(hidden)
    try:
        config = _config(run)
        content, style = (
            jnp.float32(np.random.default_rng(i).uniform(size=(1, 9, 11, 3))) for i in range(2)
        )
        found = {}
        for kind in ("linear", "wct", "adain"):
            changed = with_values(config, **{"stylize.transform": kind})
            trained = runs.open_trained(changed, workdir, with_data=False)
            task, state = trained.run.task, trained.state
            with backend.native():
                one = task.stylization.choose(state, task.constants, [style], jnp.ones(1))
                found[kind] = task.stylization.apply(
                    state, task.constants, one, content, jnp.float32(1)
                )
            assert found[kind].shape == (1, 9, 11, 3) and np.isfinite(found[kind]).all()
        assert np.abs(found["linear"] - found["wct"]).max() > 1e-3
        assert np.abs(found["adain"] - found["wct"]).max() > 1e-3
    finally:
        hidden.rename(run)


@pytest.mark.slow
def test_losses_against_pytorch(transform):
    """Contents by their features at the last layer; styles by sums of squared differences of means
    and of Gram matrices over their numbers."""
    torch = pytest.importorskip("torch")
    workdir, run = transform
    trained = runs.open_trained(_config(run), workdir)
    task, state = trained.run.task, trained.state
    pictures = np.stack([trained.run.dataset.test[i]["image"] for i in range(2)])
    batch = {"image": pictures, "index": np.arange(2)} | task.constants
    found = jax.jit(task.evaluate)(state, batch, None)
    theirs = Theirs(torch, state, batch["weights"])
    contents, styles = (
        torch.tensor(np.array(x)).permute(0, 3, 1, 2) / 255
        for x in (batch["image"], batch["styles"].repeat(2, axis=0))
    )
    content, style = theirs.encode(contents), theirs.encode(styles)

    def gram(x):
        flat = x.flatten(2)
        return torch.bmm(flat, flat.transpose(1, 2)) / flat[0].numel()

    error = 0
    for ours, wanted in zip(content, style, strict=True):
        means = [x.mean(dim=(2, 3)) for x in (ours, wanted)]
        error += ((means[0] - means[1]) ** 2).sum() + ((gram(ours) - gram(wanted)) ** 2).sum()
    unchanged = found["unchanged_style"].mean()
    np.testing.assert_allclose(unchanged, 0.02 * error.item() / 2, rtol=1e-4)
    np.testing.assert_allclose(found["unchanged_content"], 0, atol=1e-9)
    assert (np.asarray(found["content"]) > 0).all()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("", "decoder.run is empty: name a run of configs/style_adain.py"),
        ("vae", "is a run of task='vae': name one of configs/style_adain.py"),
        pytest.param(
            "adain",
            "has features.layer='relu2_1', and this run 'relu3_1': set --config.features",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_decoders_that_are_refused(run, message, finished):
    name = str(finished(run)) if run else ""
    with pytest.raises(UserError, match=re.escape(message)):
        runs.build(_config(name, **{"features.layer": "relu3_1"}))
