"""AdaIN's losses and step against PyTorch, written out for both programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import rng, runs
from genjax.nn import backend
from genjax.style import adain_task
from tests.style.theirs import Theirs
from tests.tiny import tiny


@pytest.fixture(scope="module", params=adain_task.VARIANTS)
def begun(request):
    """(variant, task, state, a batch of two contents and the one style) of 16 px."""
    weight = {"pytorch": 10.0, "lua": 1e-2}[request.param]
    values = {"variant": request.param, "style_loss.weight": weight, "crop": 0}
    task = runs.build(tiny("adain", style="coffee", **values)).task
    with backend.native():
        state = jax.jit(task.init)(rng.stream(0, rng.Stream.INIT), task.constants)
    random = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    batch = {"image": random.repeat(4, axis=1).repeat(4, axis=2), "index": np.arange(2)}
    return request.param, task, state, batch | task.constants


def _losses(theirs, variant, contents, styles):
    """(content loss, weighted style loss) of a batch."""
    mse = theirs.functional.mse_loss
    content, style = theirs.encode(contents), theirs.encode(styles)

    def statistics(x, correction, epsilon):
        flat = x.flatten(2)
        variance = flat.var(dim=2, correction=correction) + epsilon
        return flat.mean(2)[..., None, None], variance.sqrt()[..., None, None]

    correction, of_style = (1, 1e-5) if variant == "pytorch" else (0, 0)
    mean, deviation = statistics(content[1], correction, 1e-5)
    wanted_mean, wanted_deviation = statistics(style[1], correction, of_style)
    target = (content[1] - mean) / deviation * wanted_deviation + wanted_mean
    found = theirs.encode(theirs.decode(target))
    total = 0
    for ours, theirs in zip(found, style, strict=True):
        if variant == "pytorch":
            pairs = zip(statistics(ours, 1, 1e-5), statistics(theirs, 1, 1e-5), strict=True)
            total += 10 * sum(mse(a, b) for a, b in pairs)
        else:
            pairs = zip(statistics(ours, 0, 1e-6), statistics(theirs, 0, 1e-6), strict=True)
            total += 1e-2 * sum(((a - b) ** 2).sum() for a, b in pairs) / len(ours)
    return mse(found[1], target), total


def test_a_step_against_pytorch(begun):
    torch = pytest.importorskip("torch")
    variant, task, state, batch = begun
    with backend.native():
        after, metrics = jax.jit(lambda *x: task.step(*x, None))(state, batch, jax.random.key(0))
    theirs = Theirs(torch, state, batch["weights"])
    contents, styles = (
        torch.tensor(np.array(x)).permute(0, 3, 1, 2) / 255
        for x in (batch["image"], batch["styles"].repeat(2, axis=0))
    )
    content, style = _losses(theirs, variant, contents, styles)
    np.testing.assert_allclose(metrics["content"], content.item(), rtol=1e-4)
    np.testing.assert_allclose(metrics["style"], style.item(), rtol=1e-4)
    (content + style).backward()
    gradients = [x.grad for layer in theirs.decoder for x in layer]
    norm = torch.stack([x.square().sum() for x in gradients]).sum().sqrt()
    np.testing.assert_allclose(metrics["grad_norm"], norm.item(), rtol=1e-4)
    # Adam's first update is the rate wherever there is a slope.
    moved = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), after.decoder, state.decoder)
    assert all(float(x) == pytest.approx(2e-4, rel=1e-2) for x in jax.tree.leaves(moved))


def test_what_an_evaluation_says_of_the_unchanged_contents(begun):
    """Their features are not the target's, and their style is not the style's."""
    torch = pytest.importorskip("torch")
    variant, task, state, batch = begun
    found = jax.jit(task.evaluate)(state, batch, None)
    theirs = Theirs(torch, state, batch["weights"])
    contents, styles = (
        torch.tensor(np.array(x)).permute(0, 3, 1, 2) / 255
        for x in (batch["image"], batch["styles"].repeat(2, axis=0))
    )
    content, style = _losses(theirs, variant, contents, styles)
    np.testing.assert_allclose(found["content"].mean(), content.item(), rtol=1e-4)
    np.testing.assert_allclose(found["style"].mean(), style.item(), rtol=1e-4)
    theirs.decode = lambda target: contents
    content, style = _losses(theirs, variant, contents, styles)
    np.testing.assert_allclose(found["unchanged_content"].mean(), content.item(), rtol=1e-4)
    np.testing.assert_allclose(found["unchanged_style"].mean(), style.item(), rtol=1e-4)
