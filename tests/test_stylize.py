"""`--mode=stylize`: pictures of any kind and size in the styles of a tiny trained network."""

import numpy as np
import pytest
from PIL import Image

import main
from genjax import images, runs
from genjax.stylize import _numbers


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder: two of one shape, an odd one with transparency, a grey one."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for name, shape in (("a.png", (12, 16, 3)), ("b.jpg", (12, 16, 3)), ("grey.png", (9, 7))):
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(folder / name)
    odd = random.integers(0, 256, (5, 13, 4), np.uint8)
    Image.fromarray(odd, "RGBA").save(folder / "odd.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture
def stylize(finished, capsys):
    """`stylize(input, output, *options) -> (exit code, what was printed)`."""

    def call(source, output, *options, workdir=None):
        argv = ["main.py", "--mode=stylize", f"--workdir={workdir or finished('fast-style')}"]
        capsys.readouterr()  # what the training said
        code = main.main([*argv, f"--input={source}", f"--output={output}", *options])
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


def _written(folder):
    return {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}


def test_a_folder_in_both_styles(photographs, stylize, tmp_path):
    code, told = stylize(photographs, tmp_path / "out")
    assert code == 0 and told.startswith("8 pictures, painted by step 12: ")
    found = _written(tmp_path / "out")
    assert [*found] == [
        *("a_1.png", "a_2.png", "b_1.jpg", "b_2.jpg"),
        *("grey_1.png", "grey_2.png", "odd_1.png", "odd_2.png"),
    ]
    assert found["odd_1.png"].shape == (5, 13, 3) and found["grey_2.png"].shape == (9, 7, 3)
    assert (found["a_1.png"] != found["a_2.png"]).any()
    # The same again, to the bit; and a picture does not depend on those beside it.
    stylize(photographs / "odd.png", tmp_path / "again")
    for name, picture in _written(tmp_path / "again").items():
        np.testing.assert_array_equal(picture, found[name])
    stylize(photographs / "a.png", tmp_path / "alone.png", "--config.stylize.style=2")
    alone = np.asarray(Image.open(tmp_path / "alone.png"))
    assert np.abs(np.int32(alone) - found["a_2.png"]).max() <= 1


def test_alpha_and_mixtures(photographs, stylize, tmp_path):
    source = photographs / "a.png"

    def painted(*options):
        assert stylize(source, tmp_path / "x.png", *options)[0] == 0
        return np.int32(Image.open(tmp_path / "x.png"))

    content = np.int32(images.load(source))
    np.testing.assert_array_equal(
        painted("--config.stylize.style=1", "--config.stylize.alpha=0"), content
    )
    full, half = (
        painted("--config.stylize.style=1", f"--config.stylize.alpha={a}") for a in (1, 0.5)
    )
    assert np.abs(half - (content + full) / 2).max() <= 1
    other = painted("--config.stylize.style=2")
    mixed = painted("--config.stylize.weights=3,1")
    assert (mixed != full).any() and (mixed != other).any()
    np.testing.assert_array_equal(painted("--config.stylize.weights=0,2"), other)
    np.testing.assert_array_equal(
        painted("--config.stylize.style=2,1", "--config.stylize.weights=1,3"), mixed
    )


def test_sizes(photographs, stylize, tmp_path):
    one = "--config.stylize.style=1"
    source = f"{photographs}/a.png,{photographs}/grey.png"
    assert stylize(source, tmp_path / "out", one, "--config.stylize.size=20")[0] == 0
    shapes = {name: x.shape[:2] for name, x in _written(tmp_path / "out").items()}
    assert shapes == {"a.png": (15, 20), "grey.png": (20, 16)}


@pytest.mark.slow
def test_samples_of_another_run(stylize, finished, tmp_path):
    """Alpha 0 gives the samples themselves, those that the run itself draws."""
    source = f"run:{finished('dcgan')}"
    options = ("--config.sample.n=5", "--config.stylize.batch=2", "--config.stylize.style=1")
    assert stylize(source, tmp_path / "out", *options, "--config.stylize.alpha=0")[0] == 0
    found = _written(tmp_path / "out")
    assert [*found] == [f"{i:06}.png" for i in range(5)]
    config = runs.config_file.load(finished("dcgan"))
    trained = runs.open_trained(config, finished("dcgan"), with_data=False)
    drawn = np.int32(runs.draw(trained, 5, 0))
    for expected, picture in zip(drawn, found.values(), strict=True):
        assert picture.shape == (8, 8, 3) and np.abs(expected - picture).max() <= 1
    assert stylize(source, tmp_path / "large", *options, "--config.stylize.size=18")[0] == 0
    assert {x.shape for x in _written(tmp_path / "large").values()} == {(18, 18, 3)}


@pytest.mark.parametrize(
    ("source", "output", "options", "message"),
    [
        ("IN/a.png", "OUT/x.png", (), "is one file for 2 pictures: name a folder"),
        ("IN", "IN", ("style=1",), "would overwrite IN/a.png: name another"),
        ("IN/a.png", "IN/b.jpg/x", ("style=1",), "a folder is needed there"),
        ("IN/gone.png", "OUT", (), "no such image: IN/gone.png"),
        ("IN/notes.txt", "OUT", (), "IN/notes.txt is not an image"),
        ("IN/*.gif", "OUT", (), "no pictures match"),
        ("IN/a.png,run:X", "OUT", (), "run:X has to stand alone"),
        ("IN/a.png,IN/./a.png", "OUT", ("style=1",), "would both be"),
        ("IN/a.png", "OUT", ("style=3",), "stylize.style='3' is no learned style: they are 1 to 2"),
        ("IN/a.png", "OUT", ("style=a.jpg",), "is no learned style"),
        ("IN/a.png", "OUT", ("weights=1",), "2 styles but 1 stylize.weights"),
        ("IN/a.png", "OUT", ("weights=0,0",), "stylize.weights are all 0"),
        ("IN/a.png", "OUT", ("alpha=2",), "stylize.alpha=2.0 has to be from 0 to 1"),
        ("IN/a.png", "OUT", ("batch=0",), "stylize.batch=0 has to be at least 1"),
        ("run:IN", "OUT", (), "is not a run's workdir"),
    ],
)
def test_refusals(source, output, options, message, photographs, stylize, tmp_path):
    def named(text):
        return text.replace("IN", str(photographs)).replace("OUT", str(tmp_path))

    options = [f"--config.stylize.{option}" for option in options]
    code, told = stylize(named(source), named(output), *options)
    assert code == 2 and named(message) in told and told.count("\n") == 1


def test_what_does_not_stylise(photographs, stylize, finished, tmp_path):
    code, told = stylize(photographs, tmp_path, workdir=finished("vae"))
    assert code == 2 and "is of task='vae', which does not stylise" in told
    code, told = stylize(f"run:{finished('fast-style')}", tmp_path)
    assert code == 2 and "draws no pictures (task='style_fast')" in told


@pytest.mark.parametrize("missing", ["input", "output"])
def test_missing_options(missing, finished, capsys):
    argv = ["main.py", "--mode=stylize", f"--workdir={finished('fast-style')}"]
    argv += [f"--{name}=x" for name in ("input", "output") if name != missing]
    assert main.main(argv) == 2
    assert f"error: --{missing} is missing: a " in capsys.readouterr().err


def test_numbers():
    assert _numbers("", 3) == [1, 2, 3]
    assert _numbers(" 3, 1,3", 3) == [3, 1]


def test_the_size_of_styles(photographs, stylize, finished, tmp_path):
    """Of a network for any style: as of a picture that is as small already."""
    small = tmp_path / "small.png"
    images.write(small, images.fit(images.load("coffee"), 24))

    def painted(style, side):
        options = f"--config.stylize.style={style}", f"--config.stylize.style_size={side}"
        target = tmp_path / "painted.png"
        assert stylize(photographs / "a.png", target, *options, workdir=finished("adain"))[0] == 0
        return images.read(target)

    expected = painted(small, 0)
    np.testing.assert_array_equal(painted("coffee", 24), expected)
    assert (painted("coffee", 48) != expected).any()
