import shutil

import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import runs
from genjax.explore import truncation
from tests.explore import stub
from tests.tiny import tiny


@pytest.mark.parametrize("name", [pytest.param("stylegan2", marks=pytest.mark.slow), "vae"])
def test_rows_are_the_same_latents_truncated_less_and_less(name, finished, tmp_path):
    """The last row is samples; styles at psi 0, in the first one, give one picture."""
    workdir = epath.Path(shutil.copytree(finished(name), tmp_path / "run"))
    trained = runs.open_trained(tiny(name, **{"sample.shown": 3}), workdir)
    said = truncation.write(trained, workdir)
    sheet = np.asarray(Image.open(workdir / "truncation.png"))
    rows = stub.cells(sheet, trained.run.dataset.shape[0])
    assert rows.shape[:2] == (5, 3)
    expected = runs.draw(trained, 3, seed=0)[..., 0]
    assert np.abs(rows[-1].astype(int) - expected).max() <= 1
    if name == "stylegan2":
        np.testing.assert_array_equal(rows[0], rows[0][:1].repeat(3, 0))
        assert said.endswith("rows: sample.psi 0, 0.3, 0.5, 0.7, 1")
    else:
        assert said.endswith("rows: sample.threshold 0.1, 0.5, 1, 1.5, none")
    spread = rows.astype(float).std(1).mean((1, 2, 3)) if rows.ndim == 5 else rows.std(1)
    means = spread.reshape(5, -1).mean(1)
    assert means[0] < means[-1]
