"""What is said of samples while a run trains."""

import json

import pytest
from etils import epath

from genjax import runs
from genjax.errors import UserError
from genjax.evaluate import evaluate
from genjax.scores import record, watch
from genjax.scores.measure import Value
from genjax.train import train
from genjax.workdir import at_step
from tests import reading
from tests.scores.stub import stub  # noqa: F401
from tests.tiny import metrics_of, tiny


def test_training_scores_and_keeps_the_best(stub, tmp_path, capsys):  # noqa: F811
    keys = {"score.every": 4, "score.few": 40, "score.n": 50, "score.metrics": ("nll", "kid")}
    config = tiny("vae", **keys, **{"checkpoint.best": "", "score.k": 3})
    tmp_path = epath.Path(tmp_path)
    with reading.recorded() as found:
        train(config, tmp_path)
        evaluate(config, tmp_path)
    assert not [key for key in reading.unread(config, found) if key.startswith("score.")]
    (kid,) = [x for x in record.read(tmp_path) if x["metric"] == "kid_lite0"]
    assert (kid["n_fake"], kid["n_real"], kid["real"]) == (50, 4500, "mnist:train")
    name = "eval/frechet_lite0"
    scored = {line["step"]: line[name] for line in metrics_of(tmp_path) if name in line}
    assert list(scored) == [4, 8, 12]
    assert len(set(scored.values())) == 3
    best = min(scored, key=scored.get)
    assert at_step.steps_of(tmp_path, "best") == [best]
    assert f"best eval/frechet_lite0 {scored[best]:.5g} at step {best}" in capsys.readouterr().err
    # Fixed latents: the same state has the same score.
    run = runs.build(config)
    trained = runs.open_trained(config, tmp_path)
    again = watch.Watch(run, tmp_path, print)(trained.state, 12)
    assert again["eval/frechet_lite0"] == pytest.approx(scored[12], rel=1e-6)


def test_a_collapse_is_far_above_the_best_and_beyond_chance():
    assert watch.is_collapsed(Value(21, 1), best=10)
    assert not watch.is_collapsed(Value(19, 1), best=10)
    assert not watch.is_collapsed(Value(21, 3), best=10)
    assert not watch.is_collapsed(Value(0.002, 0.001), best=-0.001)  # KID may be negative


def test_a_collapse_is_said_once_and_known_after_a_resume(stub, tmp_path):  # noqa: F811
    run, said = runs.build(tiny("vae", **{"score.every": 4})), []
    lines = [{"step": 4, "eval/frechet_lite0": 8.0}, {"step": 8}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    watched = watch.Watch(run, tmp_path, said.append)
    for step, value in enumerate([9.0, 30.0, 31.0, 7.0, 15.0]):
        watched._tell(Value(value, 0.1), step)
    (first, second) = said
    assert first.startswith("step 1: the samples have collapsed: eval/frechet_lite0 is 30")
    assert "its best was 8" in first and "step 4" in second and "its best was 7" in second


def test_a_discriminator_that_wins_for_long_is_said_once():
    said = []
    saturation = watch.Saturation(lambda values: values["d"] > 0.9, said.append)
    for step, value in enumerate([1, 1, 0] + [1] * 30):
        saturation(step, {"d": value})
    assert len(said) == 1 and said[0].startswith("step 12: the discriminator has told")


def test_the_keys_are_checked_before_anything_is_compiled():
    with pytest.raises(UserError, match=r"score\.metric='recall' is unknown"):
        runs.build(tiny("dcgan", **{"score.metric": "recall"}))
