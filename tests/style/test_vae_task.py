"""A VAE of styles with the decoder of another run: its step in PyTorch, its styles, end to end."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from PIL import Image

import main
from genjax import config as config_lib
from genjax import data, images, rng, runs
from genjax.nn import backend
from genjax.style import vae_task
from genjax.task import Inputs
from genjax.train import train
from tests.style.theirs import Theirs
from tests.tiny import ROOT, metrics_of, state_of, with_values

_VALUES = {
    "model.hidden": (8,),
    "train.batch_size": 8,
    "train.steps": 2,
    "train.steps_per_call": 2,
    "log.every": 2,
    "sample.every": 0,
    "sample.n": 3,
    "evaluate.every": 2,
    "checkpoint.every": 1,
}
_ARG = "data=mnist,size=16,crop=0,layer=relu2_1,latent=2,beta=2.0"
_KEY = rng.stream(0, rng.Stream.SAMPLE)


def _config(run, **values):
    config = config_lib.read(f"{ROOT}/configs/style_vae.py:{_ARG}")
    return with_values(config, **(_VALUES | {"decoder.run": str(run)} | values))


@pytest.fixture(scope="module")
def workdir(finished, tmp_path_factory):
    """Of a trained run, whose decoder's own run is gone."""
    folder = epath.Path(tmp_path_factory.mktemp("style_vae"))
    run = epath.Path(shutil.copytree(finished("adain"), folder / "adain"))
    train(_config(run), folder / "run")
    run.rename(folder / "gone")
    return folder / "run"


@pytest.fixture(scope="module")
def begun():
    """(dataset, task, state) of a new run, with a decoder that knows nothing."""
    config = _config("gone")
    dataset = data.open_dataset(config.data)
    task = vae_task.build(config, Inputs(dataset, runs.read_picture, {"decoder": "gone"}))
    with backend.native():
        state = jax.jit(task.init)(rng.stream(0, rng.Stream.INIT), task.constants)
    random = np.random.default_rng(0)
    standard = {"mean": random.normal(size=256), "deviation": random.uniform(0.5, 2, 256)}
    content = random.uniform(size=state.content.shape)
    state = state.replace(
        standard=jax.tree.map(jnp.float32, standard), content=jnp.float32(content)
    )
    return dataset, task, state


@pytest.mark.slow
def test_what_a_run_keeps(workdir):
    there, here = state_of(workdir.parent / "gone"), state_of(workdir)
    kernels = [key for key in there if key.startswith("decoder/")]
    assert kernels and all((here[key] == there[key]).all() for key in kernels)
    assert here["content"].shape == (1, 8, 8, 128)
    line = metrics_of(workdir)[-1]
    assert {"train/kl", "eval/negative_elbo", "eval/style", "eval/adain_style"} <= line.keys()
    assert [path.name for path in (workdir / "samples").glob("*styles*")]
    # Squares of the data are standardised by what the state has.
    trained = runs.open_trained(_config(workdir.parent / "adain"), workdir)
    task, state = trained.run.task, trained.state
    squares = np.concatenate([*vae_task._squares(trained.run.dataset.train, 16, 0)])
    theirs = Theirs(pytest.importorskip("torch"), state, task.constants["weights"])
    x = _numbers(theirs, squares).numpy()
    np.testing.assert_allclose(x.mean(0), state.standard["mean"], atol=1e-4)
    wanted = np.maximum(x.std(0), 0.01)
    np.testing.assert_allclose(wanted, state.standard["deviation"], rtol=1e-3)


def _numbers(theirs, pictures):
    """f32[B, 256] of pictures u8[B, 16, 16, 3]: means, and logarithms of unbiased deviations."""
    pictures = theirs.torch.tensor(np.array(pictures)).permute(0, 3, 1, 2) / 255
    flat = theirs.encode(pictures)[1].flatten(2)
    deviation = (flat.var(dim=2, correction=1) + 1e-5).sqrt()
    return theirs.torch.cat([flat.mean(2), deviation.log()], dim=1)


def test_a_step_against_pytorch(begun):
    """The terms, the loss with beta = 2, and the norm of all gradients."""
    torch = pytest.importorskip("torch")
    dataset, task, state = begun
    pictures = np.stack([dataset.test[i]["image"] for i in range(2)])
    batch, key = {"image": pictures} | task.constants, jax.random.key(0)
    with backend.native():
        after, metrics = jax.jit(lambda *x: task.step(*x, None))(state, batch, key)
    noise = torch.tensor(np.array(rng.normal(jax.random.split(key)[1], 2, (2,))))
    mean, deviation = (torch.tensor(np.array(x)) for _, x in sorted(state.standard.items())[::-1])
    x = _numbers(Theirs(torch, state, batch["weights"]), pictures)
    x = (x - mean) / deviation
    params = {
        (part, layer, name): torch.tensor(np.array(value), requires_grad=True)
        for part, layers in state.vae["params"].items()
        for layer, values in layers.items()
        for name, value in values.items()
    }

    def through(part, h):
        for i in range(2):
            h = torch.nn.functional.silu(h) if i else h
            h = h @ params[part, f"Dense_{i}", "kernel"] + params[part, f"Dense_{i}", "bias"]
        return h

    mean, log_variance = through("encoder", x).chunk(2, dim=1)
    q = torch.distributions.Normal(mean, (log_variance / 2).exp())
    decoded = through("decoder", mean + q.scale * noise)
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    error = -torch.distributions.Normal(decoded, 1.0).log_prob(x).sum(1).mean()
    loss = error + 2 * kl
    loss.backward()
    norm = torch.stack([x.grad.square().sum() for x in params.values()]).sum().sqrt()
    wanted = {"kl": kl, "reconstruction": error, "loss": loss, "grad_norm": norm}
    for name, value in wanted.items():
        np.testing.assert_allclose(metrics[name], value.item(), rtol=1e-4, err_msg=name)
    assert int(after.step) == 1


def test_styles_are_mixed_in_the_space_of_latents(begun):
    """One of two is that one; the half is what the mean of both posteriors' means decodes to."""
    _, task, state = begun
    random = np.random.default_rng(0)
    pixels = [random.integers(0, 256, (1, 16, 16, 3), np.uint8) for _ in range(2)]
    some = [jnp.float32(x) / 255 for x in pixels]

    @jax.jit
    @backend.native()
    def chosen(weights):
        return task.stylization.choose(state, task.constants, some, weights)

    first, second, half = (chosen(jnp.float32(weights)) for weights in ([1, 0], [0, 1], [0.5, 0.5]))
    theirs = Theirs(pytest.importorskip("torch"), state, task.constants["weights"])
    x = np.concatenate([_numbers(theirs, x) for x in pixels])
    x = (x - state.standard["mean"][None]) / state.standard["deviation"][None]
    vae = vae_task.latent_styles.StyleVae((8,), 2, 256)
    z, _ = vae.apply(state.vae, x, method="encode")
    for weights, found in (([1, 0], first), ([0, 1], second), ([0.5, 0.5], half)):
        decoded = vae.apply(state.vae, (jnp.float32(weights) @ z)[None], method="decode")
        decoded = decoded[0] * state.standard["deviation"] + state.standard["mean"]
        np.testing.assert_allclose(found["mean"][0], decoded[:128], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found["deviation"][0], np.exp(decoded[128:]), rtol=1e-3)
    assert np.abs(first["mean"] - second["mean"]).max() > 1e-3


def test_samples_are_the_content_in_drawn_styles(begun):
    """Each is a function of the key and of its own number."""
    _, task, state = begun

    @jax.jit
    @backend.native()
    def found(state, index):
        z = task.latents.points(state, _KEY, index, jnp.float32(jnp.inf))
        styles = jax.vmap(lambda i: task.stylization.drawn(state, _KEY, i))(index)
        return task.sample(state, _KEY, index), task.decode(state, z, index), z, styles

    pictures, decoded, z, styles = found(state, jnp.arange(3))
    assert pictures.shape == (3, 16, 16, 3) and (pictures[0] != pictures[1]).any()
    np.testing.assert_array_equal(pictures, np.round(255 * np.asarray(decoded)))
    np.testing.assert_allclose(z, rng.normal(_KEY, jnp.arange(3), (2,)), atol=1e-6)
    network = vae_task.latent_styles.StyleVae((8,), 2, 256)
    wanted = network.apply(state.vae, z, method="decode") * state.standard["deviation"][None]
    wanted += state.standard["mean"][None]
    np.testing.assert_allclose(styles["mean"][:, 0], wanted[:, :128], rtol=1e-4, atol=1e-5)
    again = found(state, jnp.array([2, 0, 1]))[0]
    np.testing.assert_array_equal(again, pictures[jnp.array([2, 0, 1])])


@pytest.mark.slow
def test_stylising_in_drawn_styles(workdir, tmp_path, capsys):
    """The content painted in drawn style i is sample i."""
    trained = runs.open_trained(_config(workdir.parent / "adain"), workdir, with_data=False)
    samples = np.int32(runs.draw(trained, 3, 0))
    content = tmp_path / "content.png"
    images.write(content, images.crop_square(images.load("astronaut"), 16))
    argv = ["main.py", "--mode=stylize", f"--workdir={workdir}", "--config.stylize.style=sample"]
    argv += ["--config.sample.n=2", f"--input={content}", f"--output={tmp_path}/x"]
    assert main.main(argv) == 0
    found = [np.int32(Image.open(tmp_path / "x" / f"content_{i}.png")) for i in (1, 2)]
    assert np.abs(found - samples[:2]).max() <= 1
    assert main.main([*argv, "--config.stylize.weights=1,1"]) == 2
    assert "leave them away with stylize.style=sample" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["traversal", "interpolation", "map"])
def test_what_is_made_of_latents(kind, workdir, tmp_path):
    copied = shutil.copytree(workdir, tmp_path / "run")
    argv = ["main.py", "--mode=sample", f"--workdir={copied}", f"--config.sample.kind={kind}"]
    small = ["--config.sample.shown=2", "--config.sample.stops=2", "--config.sample.frames=2"]
    assert main.main([*argv, *small]) == 0
    assert [path for path in copied.glob("*.png")]
