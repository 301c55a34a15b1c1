"""Scores of codes: by hand where they are known, and as records."""

import json
import math
import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from genjax import data, runs
from genjax.errors import UserError
from genjax.evaluate import Evaluator, evaluate
from genjax.scores import codes
from genjax.vae import code_prior
from tests.tiny import tiny


def test_scores_by_hand():
    """Of 50 digits a class, a code for the label and code 10 beside it: shares of 1/20 and 1/2.
    Batches that are filled up have further noughts, which count for nothing."""
    run = runs.build(tiny("cnn"))

    def code(state, batch, key):
        return jnp.stack([batch["label"], jnp.full_like(batch["label"], 10)], axis=1)

    trained = runs.Trained(run._replace(task=run.task._replace(code=code, codes=13)), (), 0)
    found, chart = codes.of(trained, Evaluator(trained.run).batches())
    bits = 0.5 * math.log2(2) + 0.5 * math.log2(20)
    assert found["code_perplexity"][0].value == pytest.approx(2**bits)
    assert found["bits_per_picture"][0].value == pytest.approx(2 * bits)
    assert found["dead_codes"] == ((2.0, None, {"codes": 13}), {})
    assert chart.dtype == np.uint8 and chart.ndim == 3
    counts = np.array([*10 * [50], 500, 0, 0])
    assert (codes.chart(np.random.default_rng(0).permutation(counts)) == chart).all()


def test_bars_are_as_tall_as_shares():
    """Two codes of shares 3/4 and 1/4: the first bar has three times the colour of the second."""
    chart = np.int32(codes.chart(np.array([1, 3])))
    blue = (chart[..., 2] - chart[..., 0]) > 100
    columns = blue.sum(0)[blue.any(0)]
    first, second = columns[: len(columns) // 2], columns[len(columns) // 2 :]
    assert np.median(first) / np.median(second) == pytest.approx(3, rel=0.03)


def test_a_run_writes_them(finished, tmp_path):
    workdir = epath.Path(shutil.copytree(finished("vqvae"), tmp_path / "run"))
    evaluate(tiny("vqvae", **{"score.metrics": ("codes",)}), workdir)
    records = [json.loads(line) for line in (workdir / "scores.jsonl").read_text().splitlines()]
    found = {each["metric"]: each["value"] for each in records}
    assert (workdir / "codes.png").exists()
    run = runs.build(tiny("vqvae"))
    test = data.examples(run.dataset.test, len(run.dataset.test))["image"]
    config = code_prior.read_config(str(workdir), (8, 8, 1))
    autoencoder = code_prior.autoencoder_of(config, (8, 8, 1), "float32")
    index = autoencoder.codes(code_prior.read_arrays(str(workdir)), test)
    counts = np.bincount(index.ravel(), minlength=8)
    share = counts[counts > 0] / (4 * 500)  # four positions
    bits = -(share * np.log2(share)).sum()
    assert found["bits_per_picture"] == pytest.approx(4 * bits, rel=1e-6)
    assert found["code_perplexity"] == pytest.approx(2**bits, rel=1e-6)
    assert found["dead_codes"] == (counts == 0).sum()


def test_what_has_no_codes_is_refused(finished):
    trained = runs.open_trained(tiny("vae"), finished("vae"))
    with pytest.raises(UserError, match="task='vae' has no codes: leave codes out of"):
        codes.of(trained, [])
