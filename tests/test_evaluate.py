"""Scores are means over every held-out example, once each, whatever the batch."""

import shutil

import numpy as np
import pytest
from etils import epath

from genjax import evaluate as evaluate_module
from genjax import rng, runs
from genjax.errors import UserError
from genjax.evaluate import Evaluator, evaluate
from genjax.scores.measure import Value
from tests.tiny import kinds_first, metrics_of, tiny


@pytest.fixture
def counting(monkeypatch):
    """`counting(batch_size)`: a run on the digits whose scores are known functions of the batch."""

    def make(batch_size: int):
        run = runs.build(tiny("cnn", **{"train.batch_size": batch_size}))

        def score(state, batch, key):
            return {
                "label": batch["label"].astype(np.float32),
                "brightness": batch["image"].astype(np.float32).mean(axis=(1, 2, 3)),
                "state": state * np.ones(len(batch["label"]), np.float32),
            }

        return run._replace(task=run.task._replace(evaluate=score))

    return make


@pytest.mark.parametrize("batch_size", [8, 500, 64, 501])  # 500 is a multiple of one of them
def test_mean_over_a_split_that_does_not_divide(counting, batch_size):
    run = counting(batch_size)
    test = run.dataset.test
    everything = [test[i] for i in range(len(test))]
    scores = Evaluator(run)(np.float32(3))
    assert scores["eval/label"] == np.mean([x["label"] for x in everything]) == 4.5
    np.testing.assert_allclose(
        scores["eval/brightness"], np.mean([x["image"].mean() for x in everything]), rtol=1e-6
    )
    assert scores["eval/state"] == 3
    assert Evaluator(run).examples == 500


@pytest.mark.parametrize("batch_size", [100, 64])
def test_examples_have_noise_of_their_own(counting, batch_size):
    """The same in batches of any size."""
    run = counting(batch_size)

    def noise(state, batch, key):
        return {"noise": rng.normal(key, batch["index"], ())}

    evaluator = Evaluator(run._replace(task=run.task._replace(evaluate=noise)))
    expected = rng.normal(rng.stream(0, rng.Stream.EVALUATE), 500, ())
    assert len(set(expected.tolist())) == 500
    score = evaluator(np.float32(0))
    np.testing.assert_allclose(score["eval/noise"], np.mean(expected), rtol=1e-4)
    assert evaluator(np.float32(0)) == score


@pytest.mark.parametrize("name", kinds_first(["cnn", "vae", "sngan"], ["cnn", "vae"]))
def test_another_batch_size_scores_the_same_state_the_same(name, finished):
    trained = runs.open_trained(tiny(name), finished(name))
    other = runs.build(tiny(name, **{"train.batch_size": 48}))
    scores = Evaluator(other)(trained.state)
    for metric, value in scores.items():
        np.testing.assert_allclose(metrics_of(finished(name))[-1][metric], value, rtol=1e-5)


@pytest.mark.parametrize(
    ("batch_size", "size", "together"),
    [(8, 28, 64), (24, 28, 48), (64, 28, 64), (100, 28, 100), (8, 256, 16), (8, 1024, 8)],
)
def test_small_batches_are_taken_together(batch_size, size, together, counting, monkeypatch):
    run = counting(batch_size)
    run = run._replace(dataset=run.dataset._replace(shape=(size, size, 1)))
    asked = []
    monkeypatch.setattr(
        evaluate_module.data,
        "evaluation_batches",
        lambda split, n, rows: asked.append((n, len(rows))),
    )
    Evaluator(run).batches()
    assert asked == [(together, together)]


@pytest.mark.parametrize("binarize", ["dynamic", "grey"])
def test_bits_a_dimension_by_hand(binarize, monkeypatch):
    """Of 784 pixels, 784 log 2 nats are a bit each. Grey levels have no probability."""
    trained = runs.Trained(runs.build(tiny("vae", binarize=binarize)), (), 0)
    nats = 784 * np.log(2)
    monkeypatch.setattr(
        evaluate_module.likelihoods, "nll", lambda *given: Value(3 * nats, 0.5 * nats)
    )
    found = evaluate_module.OF_HELD_OUT["nll"](trained, Evaluator(trained.run), None)
    if binarize == "grey":
        assert found.keys() == {"nll"}
        return
    value, setting = found["bits_per_dim"]
    assert (value.value, value.error) == pytest.approx((3, 0.5))
    assert setting["dimensions"] == 784


def test_a_task_without_scores_says_so(finished, tmp_path, monkeypatch):
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    opened = runs.open_trained

    def without(*arguments):
        trained = opened(*arguments)
        run = trained.run._replace(task=trained.run.task._replace(evaluate=None))
        return trained._replace(run=run)

    monkeypatch.setattr(evaluate_module.runs, "open_trained", without)
    with pytest.raises(UserError, match="task='vae' has no scores"):
        evaluate(tiny("vae"), workdir)
    assert not (workdir / "scores.jsonl").exists()
