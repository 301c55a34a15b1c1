"""`--mode=score`: two sets in, records out."""

import json

import numpy as np
import pytest
from etils import epath

import main
from genjax import images
from genjax.errors import UserError
from genjax.metrics import rulers
from genjax.score import score
from genjax.scores.record import MEASURED
from tests.scores.stub import pictures, ruler, stub  # noqa: F401


def scored(real, fake, workdir, metrics="frechet,precision_recall", n=0, size=0):
    score(str(real), str(fake), "lite0", metrics, n, size, epath.Path(workdir))
    return [json.loads(x) for x in (workdir / "scores.jsonl").read_text().splitlines()]


def test_a_record_says_all_that_it_depends_on(stub, tmp_path, capsys):  # noqa: F811
    for name, seed in (("a", 1), ("b", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(60, seed=seed))
    records = scored(tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "out", n=50)
    assert [x["metric"] for x in records] == ["frechet_lite0", "precision_lite0", "recall_lite0"]
    for each in records:
        of_runs = {"parameters", "batch_norm", "split", "n", "data_digest"}
        of_runs |= {"psi", "threshold", "label", "temperature", "prior"}
        assert set(MEASURED) - of_runs <= each.keys()
        assert (each["n_real"], each["n_fake"], each["size"]) == (50, 50, [12, 12])
        assert (each["net"], each["resizer"], len(each["weights"])) == ("lite0", "clean", 16)
        assert each["real_digest"] != each["fake_digest"]
    assert records[1]["setting"] == {"neighbours": 3, "border": "<="}
    out = capsys.readouterr().out
    assert "50 pictures of" in out and "frechet_lite0 " in out and " ± " in out
    again = scored(tmp_path / "a.npz", tmp_path / "b.npz", tmp_path / "out", n=50)
    assert len(again) == 6 and again[0]["value"] == again[3]["value"]


def test_a_run_is_scored_as_its_pictures_are(stub, finished, tmp_path):  # noqa: F811
    workdir = finished("vae")
    fresh = scored("mnist:test", f"run:{workdir}", tmp_path / "a", metrics="frechet", n=100)[0]
    assert fresh["fake"] == f"run:{workdir}" and fresh["n_fake"] == fresh["n_real"] == 100
    assert (fresh["parameters"], fresh["step"], fresh["sample_seed"]) == ("raw", 12, 0)
    assert fresh["fake_digest"] == ""


def test_the_page_of_neighbours_shows_copies_beside_their_originals(stub, tmp_path):  # noqa: F811
    real, fake = pictures(40, seed=1), pictures(40, seed=2)
    fake[7], fake[30] = real[3], real[21]
    np.savez(tmp_path / "a.npz", images=real)
    np.savez(tmp_path / "b.npz", images=fake)
    records = scored(tmp_path / "a.npz", tmp_path / "b.npz", tmp_path, metrics="memorisation")
    assert {x["metric"] for x in records} == {"copies_lite0", "nearest_lite0"}
    page = images.read(tmp_path / "neighbours.png")
    assert page.shape == (8 * 14 + 2, 8 * 14 + 2, 3)
    for top in (2, 16):
        first, second = page[top : top + 12, 2:14], page[top : top + 12, 16:28]
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(page[30:42, 2:14], page[30:42, 16:28])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--fake=x", "--real is missing"),
        ("--real=x", "--fake is missing"),
        ("--real=x --fake=y --n=-1", "--n=-1 has to be at least 0"),
        ("--real=x --fake=y --config.score.n=3", "is not for --mode=score"),
        ("--real=x --fake=y --metrics=fid", "metric='fid' is unknown"),
        ("--real=x --fake=y --net=lite1", "net='lite1' is unknown; did you mean 'lite0'?"),
        ("--real=x --fake=y --net=lite0:x", "net=lite0 takes no 'x'"),
        ("--real=x --fake=y --net=inception", "write inception:PATH"),
        ("--real=x --fake=y --net=inception:nowhere.pth", "nowhere.pth does not exist"),
        ("--real=x --fake=y --net=inception:x@bicubic", "'bicubic' is unknown"),
        ("--real=x --fake=y --net=cnn", "write cnn:WORKDIR"),
        ("--real=nowhere --fake=y --net=vgg16", "nowhere does not exist"),
    ],
)
def test_a_wrong_command_is_one_line(line, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.main(["main.py", "--mode=score", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert not out and said in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_can_be_refused_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    for name, n in (("many", 60), ("few", 2)):
        np.savez(tmp_path / f"{name}.npz", images=pictures(n))
    (tmp_path / "file").touch()
    monkeypatch.setattr(rulers, "load", lambda _: ruler())
    monkeypatch.setattr(rulers.Meter, "__call__", lambda *_: pytest.fail("it measures"))
    with pytest.raises(UserError, match=r"few\.npz has 2 pictures, too few for kid"):
        scored(tmp_path / "many.npz", tmp_path / "few.npz", tmp_path / "out", metrics="kid")
    with pytest.raises(FileExistsError):  # which is one line
        scored(tmp_path / "many.npz", tmp_path / "many.npz", tmp_path / "file", metrics="kid")
