import os
import shutil

import numpy as np
import pytest
from PIL import Image

from genjax.errors import UserError
from genjax.style.sources import names

FRAMES = ("img1.png", "img2.png", "img10.png")


def picture(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((2, 2, 3), value, np.uint8)).save(path, format="PNG")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with `frames/`, three frames beside what is none."""
    monkeypatch.chdir(tmp_path)
    for name in (*FRAMES, ".hidden.png", "deeper/img3.png"):
        picture(tmp_path / "frames" / name)
    (tmp_path / "frames" / "notes.txt").write_text("no picture")
    return tmp_path


def in_frames(*files, root="frames"):
    return [f"{root}/{file}" for file in files]


def test_commas():
    assert names("a, b ,c.png") == ["a", "b", "c.png"]
    assert names("") == names(" , ") == []
    assert names(",".join(["a"] * 5000)) == ["a"] * 5000  # in a moment
    assert names("astronaut,astronaut") == ["astronaut"] * 2  # asked for twice


def test_a_folder_in_natural_order(here):
    assert names("frames") == names("frames/") == in_frames(*FRAMES)
    assert names(f"{here}/frames") == in_frames(*FRAMES, root=f"{here}/frames")
    assert names("cat, frames ,x.jpg") == ["cat", *in_frames(*FRAMES), "x.jpg"]


def test_a_folder_of_other_pictures_than_their_suffix_says(here):
    picture(here / "mixed" / "without_suffix")
    (here / "mixed" / "cut.png").touch()  # to be missed, not passed over
    assert names("mixed") == ["mixed/cut.png", "mixed/without_suffix"]


def test_linked_folders_and_frames(here):
    (here / "link").symlink_to("frames", target_is_directory=True)
    (here / "frames" / "img11.png").symlink_to("img10.png")  # a frame that is held
    assert names("link") == in_frames(*FRAMES, "img11.png", root="link")
    assert names("link/*.png") == in_frames(*FRAMES, "img11.png", root="./link")


def test_the_home_folder(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    expected = in_frames(*FRAMES, root=f"{here}/frames")
    assert names("cat,~/frames") == names("cat, ~/frames/*.png") == ["cat", *expected]
    assert names("~/frames/img1.png") == expected[:1]
    with pytest.raises(UserError, match=r"^~nobody-here/x: ~nobody-here is nobody's home"):
        names("~nobody-here/x,cat")


def test_globs(here):
    assert names("frames/*.png") == in_frames(*FRAMES, root="./frames")
    assert names("frames/*") == in_frames(*FRAMES, root="./frames")
    assert names("frames/img?.png,cat") == [*in_frames(*FRAMES[:2], root="./frames"), "cat"]
    assert names(f"{here}/frames/img[12].png") == in_frames(*FRAMES[:2], root=f"{here}/frames")
    assert names("fr*/img10*") == ["./frames/img10.png"]


def test_a_glob_of_any_depth_takes_each_file_once(here):
    found = ["./frames/deeper/img3.png", *in_frames(*FRAMES, root="./frames")]
    assert sorted(names("**/*.png")) == sorted(found)
    assert sorted(names("frames/**")) == sorted(found)
    assert names("**/deeper/*") == names("**/deeper/**/*.png") == found[:1]
    # Two links to the top make 2**40 paths, which the system would follow.
    for i in range(2):
        (here / "frames" / f"link{i}").symlink_to(here, target_is_directory=True)
    assert len(names("**/*.png")) == len(names("**/**/*.png")) == 4


def test_files_named_like_globs_are_taken_as_they_are(here):
    for name in ("img[1].png", "what?.png", "a*.png", "shots [night]/img1.png"):
        picture(here / name)
    assert names("img[1].png, what?.png,a*.png") == ["img[1].png", "what?.png", "a*.png"]
    assert names("shots [night]") == ["shots [night]/img1.png"]


def test_names_with_commas(here):
    for name in ("a,b.png", "night, late/img2.png", "night, late/img1.png"):
        picture(here / name)
    assert names("a,b.png") == ["a,b.png"]
    assert names("cat, a,b.png ,frames/img1.png") == ["cat", "a,b.png", "frames/img1.png"]
    night = in_frames(*FRAMES[:2], root="night, late")
    assert names("night, late") == names("night, late/") == night
    assert names("cat,night, late/*.png,frames/*1.png") == [
        "cat",
        *(f"./{file}" for file in night),
        "./frames/img1.png",
    ]


def test_built_in_names_and_runs_go_through_untouched(here):
    picture(here / "cat" / "img1.png")
    picture(here / "run:x.png")
    picture(here / "~x.png")
    assert names("cat,run:runs/d[1]@best,run:~/d") == ["cat", "run:runs/d[1]@best", "run:~/d"]
    assert names("./cat") == ["./cat/img1.png"] and names("cat/") == ["cat/img1.png"]
    # Whereas a glob finds files, whatever they are called.
    assert names("*x.png") == ["./run:x.png", "./~x.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("none", "there are no pictures in the folder none"),
        ("deep", "there are no pictures in the folder deep; those in its sub-folders are deep/**"),
        ("frames/*.jpg", "no pictures match frames/*.jpg"),
        ("frames/im*1.pgn", "no pictures match frames/im*1.pgn; did you mean img1.png"),
        ("frmes/*.png", "no pictures match frmes/*.png: there is no folder frmes; did you mean f"),
        ("frames/**/*.jpg", "no pictures match frames/**/*.jpg"),
        ("frames/*.txt", "no pictures match frames/*.txt"),
        ("x\n*", r"no pictures match 'x\n*'"),
        ("x\0*", r"no pictures match 'x\x00*'"),
        ("[", "no pictures match ["),
    ],
)
def test_nothing_to_take(text, message, here):
    (here / "none").mkdir()
    picture(here / "deep" / "er" / "img1.png")
    with pytest.raises(UserError) as error:
        names(f"cat,{text}")
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_what_an_error_advises_works(here):
    picture(here / "deep [1]" / "er" / "img1.png")
    with pytest.raises(UserError) as error:
        names("deep [1]")
    assert names(str(error.value).rpartition(" are ")[2]) == ["./deep [1]/er/img1.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_may_not_be_listed(here):
    (here / "frames").chmod(0)
    with pytest.raises(UserError, match="frames cannot be listed: Permission denied"):
        names("frames")
    (here / "frames").chmod(0o700)


def test_a_folder_that_vanished_is_a_missing_file(here):
    shutil.rmtree(here / "frames")
    assert names("frames") == ["frames"]  # what reads it says so, with the names that are near
