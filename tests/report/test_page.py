"""report.html: complete, safe, small, and written whatever the workdir holds."""

import html.parser
import json
import re

import numpy as np
import pytest
from etils import epath
from PIL import Image

from genjax import images
from genjax.errors import UserError
from genjax.report import write_page
from genjax.report.page import thin
from genjax.report.pictures import spread


@pytest.fixture
def workdir(tmp_path):
    return epath.Path(tmp_path)


def page(workdir, *, title="a run", status="done: 20 steps", facts=None):
    path = write_page(workdir, title=title, status=status, facts=facts or {})
    assert path == workdir / "report.html"
    assert not list(workdir.glob(".*partial"))
    return path.read_text(encoding="utf-8")


def write_metrics(workdir, records):
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))


def write_picture(path, height, width, *, noise=False):
    path.parent.mkdir(exist_ok=True)
    pixels = np.zeros((height, width, 3), np.uint8)
    if noise:
        pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8)
    Image.fromarray(pixels).save(str(path))


class References(html.parser.HTMLParser):
    """Everything by which a page could load something, and every tag."""

    def __init__(self):
        super().__init__()
        self.found, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.found.append(value)


def test_an_empty_workdir_has_a_page(workdir):
    text = page(workdir, facts={"devices": "1 x CPU"})
    assert "No metrics yet." in text
    assert "1 x CPU" in text
    assert "<svg" not in text and "<img" not in text


def test_the_page_needs_nothing_else(workdir):
    records = [{"step": s, "images": s, "seconds": s, "train/x": 1 / s} for s in range(1, 30)]
    write_metrics(workdir, records)
    write_picture(workdir / "samples" / "00000001.png", 8, 8)
    write_picture(workdir / "samples" / "00000002.png", 8, 8)
    write_picture(workdir / "result.png", 8, 9)
    text = page(workdir)
    parser = References()
    parser.feed(text)
    assert {"svg", "img"} <= set(parser.tags)
    assert not {"script", "link", "iframe", "object"} & set(parser.tags)
    assert all(re.match(r"data:image/|#", reference) for reference in parser.found)
    assert not re.search(r"https?://|file:|@import", text)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    # The result comes first; a picture's history needs two of it.
    order = [text.index(word) for word in (">Result<", ">Newest pictures<", ">Pictures over time<")]
    assert order == sorted(order)


def test_hostile_text_is_text(workdir):
    evil = "<script>alert('x')</script>\" onload=\"x"
    (workdir / "config.json").write_text(json.dumps({evil: {evil: evil}, "seed": evil}))
    write_metrics(workdir, [{"step": 1, f"train/{evil}": 1.0, f"perf/{evil}": 2.0}])
    write_picture(workdir / "samples" / '00000001-"><script>.png', 4, 4)
    text = page(workdir, title=evil, status=evil, facts={evil: evil})
    parser = References()
    parser.feed(text)
    assert "script" not in parser.tags
    assert "&lt;script&gt;" in text
    assert ' onload="x' not in text


def test_train_and_eval_share_a_plot_and_speeds_stand_apart(workdir):
    write_metrics(
        workdir,
        [
            {"step": 1, "train/loss": 2.0, "perf/images_per_second": 100.0},
            {"step": 2, "train/loss": 1.0, "eval/loss": 1.5, "eval/psnr": 20.0},
        ],
    )
    text = page(workdir)
    assert text.count("<svg") == 3
    assert re.search(r"<b>loss</b>\s*<span[^>]*>train 1</span>\s*<span[^>]*>eval 1.5</span>", text)
    assert text.index(">Curves<") < text.index(">psnr<") < text.index(">Speed<")
    assert text.index(">Speed<") < text.index(">images per second<")


def test_values_that_are_not_finite_are_counted_not_drawn(workdir):
    write_metrics(
        workdir,
        [
            {"step": 1, "train/a": None, "train/b": None},
            {"step": 2, "train/a": 0.5, "train/b": None},
        ],
    )
    text = page(workdir)
    assert "train: not finite once" in text
    assert "train: not finite 2 times" in text
    assert text.count("<svg") == 1  # b has nothing to draw


def test_more_than_two_positive_decades_are_drawn_on_a_log_axis(workdir):
    def labels(values):
        write_metrics(workdir, [{"step": i, "train/x": v} for i, v in enumerate(values)])
        return re.findall(r">([^<>]+)</text>", page(workdir))

    assert {"0.001", "0.01", "0.1", "1"} <= set(labels([1.5, 0.1, 0.0008]))
    assert "0.01" not in labels([1.5, 0.1, -0.0008])
    assert "0.01" not in labels([1.5, 0.1, 0.02])


def test_thinning_keeps_the_ends_and_the_spikes():
    steps = np.arange(100_000)
    values = np.sin(steps / 7000)
    values[54_321], values[77_777] = 9.0, -9.0
    thin_steps, thin_values = thin(steps, values, 2000)
    assert 1000 < len(thin_steps) <= 2000
    assert thin_steps[0] == 0 and thin_steps[-1] == 99_999
    assert (np.diff(thin_steps) > 0).all()
    assert {54_321, 77_777} <= set(thin_steps)
    np.testing.assert_array_equal(thin_values, values[thin_steps])
    assert len(thin(steps[:2000], values[:2000], 2000)[0]) == 2000


def test_history_is_spread_over_time(workdir):
    for step in range(1, 31):
        write_picture(workdir / "samples" / f"{step:08d}.png", 4, 4)
    text = page(workdir)
    assert text.count("<img") == 1 + 12
    assert "samples at step 30" in text
    assert spread(range(100), 12)[0] == 0 and spread(range(100), 12)[-1] == 99


def captions(workdir):
    """What stands below the pictures of the page, without those of the strips."""
    large = page(workdir).split(">Pictures over time<")[0]
    return re.findall(r"<figcaption>(.*?)</figcaption>", large)


def test_a_result_that_is_the_newest_picture_too_is_shown_once(workdir):
    write_picture(workdir / "samples" / "00000001.png", 8, 8)
    write_picture(workdir / "samples" / "00000002.png", 8, 8, noise=True)
    write_picture(workdir / "samples" / "00000002-other.png", 8, 8)
    Image.open(workdir / "samples" / "00000002.png").save(workdir / "result.png", compress_level=0)
    assert captions(workdir) == ["result.png", "other at step 2"]
    write_picture(workdir / "result.png", 9, 9)  # later than the newest sample, or another thing
    assert captions(workdir) == ["result.png", "samples at step 2", "other at step 2"]


@pytest.mark.parametrize("count", [2, 11])
def test_of_several_results_and_their_grid_each_is_shown_once(workdir, count):
    pictures = np.random.default_rng(0).integers(0, 256, (count, 6, 8, 3), np.uint8)
    names = [f"result_{i}.png" for i in range(1, count + 1)]
    for name, picture in zip(names, pictures, strict=True):
        images.write(workdir / name, picture)
    (workdir / "samples").mkdir()
    for name in ("result.png", "samples/00000007.png"):
        images.write(workdir / name, images.grid(pictures))
    assert captions(workdir) == names
    # One of which nothing is left but the grid: that is not a grid of the others then.
    (workdir / names[0]).unlink()
    assert captions(workdir) == ["result.png", *names[1:]]
    (workdir / names[1]).write_bytes(b"")
    assert captions(workdir)[1] == f"{names[1]}: the file cannot be read"


def test_incompressible_pictures_do_not_make_the_page_large(workdir):
    write_picture(workdir / "result.png", 1200, 1800, noise=True)
    write_picture(workdir / "result-coffee.png", 1200, 800, noise=True)
    for step in range(3):
        write_picture(workdir / "samples" / f"{step:08d}.png", 600, 600, noise=True)
    assert len(page(workdir)) < 5_000_000


def test_an_unreadable_picture_is_named(workdir):
    write_picture(workdir / "samples" / "00000001.png", 64, 64, noise=True)
    path = workdir / "samples" / "00000001.png"
    path.write_bytes(path.read_bytes()[:500])
    assert "samples at step 1: the file cannot be read" in page(workdir)


def test_the_config_is_shown_by_section(workdir):
    config = {"seed": 0, "model": {"name": "dcgan", "generator": {"channels": [64, 32]}, "x": {}}}
    (workdir / "config.json").write_text(json.dumps(config))
    text = page(workdir)
    assert "<h3>model</h3>" in text
    assert re.search(r">generator.channels</th><td>\[64, 32\]</td>", text)
    assert re.search(r">x</th><td>\{\}</td>", text)
    for broken in ("{", "[]"):
        (workdir / "config.json").write_text(broken)
        with pytest.raises(UserError, match="is not"):
            page(workdir)


def test_the_first_word_of_the_status_chooses_its_colour(workdir):
    assert '<p class="status failed">Failed: NaN' in page(workdir, status="Failed: NaN")
