import importlib.util
import io
import struct

import numpy as np
import pytest
from PIL import Image

from genjax import images
from genjax.errors import UserError
from genjax.video import clips


def _frames(channels: int = 3, side: int = 9) -> list[np.ndarray]:
    """A bright square that moves along a dark picture."""
    frames = []
    for i in range(4):
        frame = np.full((side, side, channels), 40, np.uint8)
        frame[2:5, i : i + 3] = 200
        frames.append(frame)
    return frames


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_has_the_frames_and_plays_for_ever(channels):
    frames = _frames(channels)
    with Image.open(io.BytesIO(clips.encoded(frames, "gif"))) as found:
        assert (found.n_frames, found.info["loop"], found.info["duration"]) == (4, 0, 50)
        for i, frame in enumerate(frames):
            found.seek(i)
            np.testing.assert_array_equal(np.asarray(found.convert("L")), frame[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_mp4_has_the_frames(channels):
    """Of even sides; to what the coding loses."""
    av = pytest.importorskip("av")
    frames = _frames(channels, side=33)
    with av.open(io.BytesIO(clips.encoded(frames, "mp4"))) as container:
        found = [x.to_ndarray(format="rgb24") for x in container.decode(video=0)]
    assert len(found) == 4 and found[0].shape == (34, 34, 3)
    for ours, frame in zip(found, frames, strict=True):
        assert np.abs(ours[:33, :33].astype(int) - frame).mean() < 5


@pytest.mark.parametrize(("asked", "found"), [(25, 25), (24, 25), (1000, 50)])
def test_a_gif_is_read_as_it_was_written(asked, found, tmp_path):
    """Of rates, those that whole hundredths of a second can say, and viewers show."""
    (tmp_path / "x").write_bytes(clips.encoded(_frames(), "gif", asked))
    clip = clips.read(tmp_path / "x")
    assert clip.frames.dtype == np.uint8 and clip.per_second == pytest.approx(found)
    np.testing.assert_array_equal(clip.frames, _frames())


@pytest.mark.parametrize("rate", [25, 30000 / 1001])
def test_an_mp4_is_read_as_it_was_written(rate, tmp_path):
    pytest.importorskip("av")
    (tmp_path / "x").write_bytes(clips.encoded(_frames(side=32), "mp4", rate))
    clip = clips.read(tmp_path / "x")
    assert clip.frames.shape == (4, 32, 32, 3) and clip.per_second == pytest.approx(rate)
    assert np.abs(clip.frames.astype(int) - _frames(side=32)).mean() < 5


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_animations(kind, tmp_path):
    first, *others = map(Image.fromarray, _frames())
    options = {"save_all": True, "append_images": others, "duration": 40, "lossless": True}
    first.save(tmp_path / "x", kind, **options)
    clip = clips.read(tmp_path / "x")
    assert clip.per_second == pytest.approx(25)
    np.testing.assert_array_equal(clip.frames, _frames())


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_what_does_not_move_is_one_frame(kind, tmp_path):
    """The pages of a TIFF are no moments."""
    first, *others = map(Image.fromarray, _frames())
    more = {"save_all": True, "append_images": others} if kind == "TIFF" else {}
    first.save(tmp_path / "x", kind, **more)
    clip = clips.read(tmp_path / "x")
    assert clip.per_second == clips.PER_SECOND
    np.testing.assert_array_equal(clip.frames, _frames()[:1])


def test_transparent_frames_lie_over_white(tmp_path):
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    clear.save(tmp_path / "x.png", save_all=True, append_images=[Image.new("RGBA", (4, 4), "red")])
    frames = clips.read(tmp_path / "x.png").frames
    assert frames[:, 0, 0].tolist() == [[255, 255, 255], [255, 0, 0]]


def test_frames_are_changed_as_they_come(tmp_path):
    (tmp_path / "x.gif").write_bytes(clips.encoded(_frames(), "gif"))
    clip = clips.read(tmp_path / "x.gif", lambda frame: images.fit(frame, 4))
    assert clip.frames.shape == (4, 4, 4, 3)


def test_a_telephone_held_upright(tmp_path):
    """It films lying pictures, and says in the file that they are to be turned."""
    av = pytest.importorskip("av")
    film = io.BytesIO()
    with av.open(film, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write it")
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        stream.set_display_rotation(90)
        lying = np.zeros((16, 32, 3), np.uint8)
        lying[:, 16:] = 255  # to the right, which a quarter turn against the clock brings up
        container.mux(stream.encode(av.VideoFrame.from_ndarray(lying, format="rgb24")))
        container.mux(stream.encode())
    (tmp_path / "x.mp4").write_bytes(film.getvalue())
    (frame,) = clips.read(tmp_path / "x.mp4").frames
    assert frame.shape == (32, 16, 3) and frame[:12].min() > 200 and frame[20:].max() < 50


def _cut(data: bytes) -> bytes:
    return data[: len(data) * 7 // 10]


def _index_first(data: bytes) -> bytes:
    """An MP4 with its index before its pictures, as those of the web are, cut off."""
    boxes, at = {}, 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        boxes[data[at + 4 : at + 8]] = data[at : at + size]
        at += size
    index, before = boxes[b"moov"], len(boxes[b"ftyp"]) + len(boxes.get(b"free", b""))
    place = index.index(b"stco") + 4 + 8  # of the only chunk
    (old,) = struct.unpack(">I", index[place : place + 4])
    moved = old - before + len(boxes[b"ftyp"]) + len(index)
    index = index[:place] + struct.pack(">I", moved) + index[place + 4 :]
    film = boxes[b"ftyp"] + index + boxes[b"mdat"]
    return film[: -len(boxes[b"mdat"]) // 2]


@pytest.mark.parametrize(
    ("kind", "damaged", "message"),
    [
        ("gif", _cut, "x cannot be decoded, it may be cut off"),
        ("mp4", _cut, "x is no clip: "),
        ("mp4", _index_first, "x (is cut off: it has|cannot be decoded after frame) "),
        ("mp4", lambda data: b"", "x is no clip: "),
        ("mp4", lambda data: b"#EXTM3U\nx.mp4\n" * 100, "x is no clip: "),
        ("mp4", lambda data: b"a film about a table\n" * 100, "x is no clip: "),
    ],
)
def test_damaged_files(kind, damaged, message, tmp_path, monkeypatch):
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (12, 64, 64, 3), np.uint8)
    (tmp_path / "x").write_bytes(damaged(clips.encoded(noise, kind)))
    with pytest.raises(UserError, match=f"^{message}") as error:
        clips.read("x")
    assert "\n" not in str(error.value)


def test_what_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^no\.mp4 cannot be read: No such file or directory$"):
        clips.read("no.mp4")
    with pytest.raises(UserError, match=r"^\. cannot be read: Is a directory$"):
        clips.read(".")


def test_frames_of_other_shapes():
    frames = [np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)]
    with pytest.raises(UserError, match=r"^x: frame 2 is 2 x 3 px, and the first one 3 x 2: give"):
        clips.stacked("x", iter(frames), 2)
    many = 10**12
    with pytest.raises(UserError, match=r"^this needs 18000.0 GB .* smaller size, or cut the clip"):
        clips.stacked("x", iter(frames), many)


def test_a_missing_extra_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "x.mp4").write_bytes(b"\0" * 99)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    clips.check("gif", "sample.animation")
    with pytest.raises(UserError, match=r"needs PyAV: pip install av, or set .*animation=gif$"):
        clips.check("mp4", "sample.animation")
    with pytest.raises(UserError, match=r"x\.mp4 is no picture; .* pip install av, or give a GIF"):
        clips.read(tmp_path / "x.mp4")
