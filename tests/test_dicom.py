"""DICOM files that pydicom writes here, against PS3.3's equations by hand."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from genjax import config as config_lib
from genjax import decoding, dicom, images, windows
from genjax.data import listing, open_dataset
from genjax.errors import UserError

pydicom = pytest.importorskip("pydicom")


def save(path, values, **tags):
    """Writes values of 8 or 16 bits, uncompressed; a tag of None is left out."""
    values = np.asarray(values)
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    found = pydicom.dataset.FileDataset(str(path), {}, preamble=bytes(128), file_meta=meta)
    bits = values.dtype.itemsize * 8
    every = dict(
        SOPClassUID=meta.MediaStorageSOPClassUID,
        SOPInstanceUID=meta.MediaStorageSOPInstanceUID,
        Modality="CT",
        Rows=values.shape[0],
        Columns=values.shape[1],
        SamplesPerPixel=1 if values.ndim == 2 else 3,
        PhotometricInterpretation="MONOCHROME2" if values.ndim == 2 else "RGB",
        PlanarConfiguration=None if values.ndim == 2 else 0,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(values.dtype.kind == "i"),
        PixelData=values.tobytes(),
    )
    for name, value in (every | tags).items():
        if value is not None:
            setattr(found, name, value)
    found.save_as(path, enforce_file_format=True)
    return path


def levels(path, window=""):
    return images.read(path, 1, window=windows.parse(window)).ravel().tolist()


# A scanner's units: -1960, 40, 80 and 1040, as 2 * stored + 40.
SIGNED = np.array([[-1000, 0, 20, 500]], np.int16)
UNITS = dict(RescaleSlope=2, RescaleIntercept=40)


def test_signed_values_with_slope_and_intercept(tmp_path):
    """Of 40,400: black at -160, white at 240; 40 is the middle, 80 a tenth beyond."""
    path = save(tmp_path / "a.dcm", SIGNED, **UNITS)
    assert levels(path, "40,400") == [0, 128, 153, 255]
    assert levels(path, "p0,p100") == [0, 170, 173, 255]  # 2000 / 3000, 2040 / 3000
    assert images.read(path, window=windows.parse("40,400")).shape == (1, 4, 3)
    path = save(tmp_path / "b.dcm", SIGNED, **UNITS, PhotometricInterpretation="MONOCHROME1")
    assert levels(path, "40,400") == [255, 127, 102, 0]


def test_the_window_of_the_file(tmp_path):
    """PS3.3 C.11.2.1.2: of level 2048 and width 4096, 0 is black and 4095 white."""
    ramp = np.array([[0, 1024, 2047, 2048, 4095]], np.uint16)
    own = dict(WindowCenter=2048, WindowWidth=4096)
    expected = [0, 64, 127, 128, 255]  # 255 * x / 4095
    assert levels(save(tmp_path / "a.dcm", ramp, **own)) == expected
    several = dict(WindowCenter=[2048, 40], WindowWidth=[4096, 400])
    assert levels(save(tmp_path / "a.dcm", ramp, **several)) == expected
    inverse = own | dict(PhotometricInterpretation="MONOCHROME1")
    assert levels(save(tmp_path / "a.dcm", ramp, **inverse)) == [255 - x for x in expected]
    # Another window than the file's own.
    assert levels(tmp_path / "a.dcm", "2048,2048") == [255, 255, 128, 127, 0]
    exact = own | dict(VOILUTFunction="LINEAR_EXACT")
    assert levels(save(tmp_path / "a.dcm", ramp, **exact)) == [0, 64, 127, 128, 255]
    # 1 / (1 + exp(-4 (x - c) / w)): at c ± w / 4, 1 / (1 + 1 / e) = 0.7311.
    curved = dict(WindowCenter=1024, WindowWidth=4096, VOILUTFunction="SIGMOID")
    found = levels(save(tmp_path / "a.dcm", ramp, **curved))
    assert found[:2] == [69, 128] and found[3] == 186
    # Width 1: all values above level - 0.5 are white.
    step = dict(WindowCenter=1024, WindowWidth=1)
    assert levels(save(tmp_path / "a.dcm", ramp, **step)) == [0, 255, 255, 255, 255]
    for width, function in ((0, "LINEAR"), (0, "SIGMOID"), (5, "SQUARE")):
        save(tmp_path / "a.dcm", ramp, WindowCenter=1, WindowWidth=width, VOILUTFunction=function)
        with pytest.raises(images.ImageError, match=f"means nothing: {function} of width {width}"):
            levels(tmp_path / "a.dcm")


def test_tables(tmp_path):
    """A modality's table makes units, and a table of grey levels does without a window."""
    item = pydicom.Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [3, 0, 16], "US"
    item.LUTData = [0, 100, 1000]
    item["LUTData"].VR = "US"
    stored = np.array([[0, 1, 2, 9]], np.uint16)
    path = save(tmp_path / "a.dcm", stored, ModalityLUTSequence=[item])
    assert levels(path, "500,1000") == [0, 26, 255, 255]
    item = pydicom.Dataset()
    item.LUTDescriptor = [3, 0, 10]
    item.LUTData = [0, 341, 1023]
    item["LUTData"].VR = "US"
    path = save(tmp_path / "b.dcm", stored, VOILUTSequence=[item])
    assert levels(path) == [0, 85, 255, 255]


def test_without_any_window(tmp_path):
    """8 bits are shown in full; of more nobody knows which, and is told."""
    path = save(tmp_path / "a.dcm", np.array([[0, 100, 255]], np.uint8))
    assert levels(path) == [0, 100, 255]
    path = save(tmp_path / "a.dcm", np.array([[0, 32, 63]], np.uint8), BitsStored=6, HighBit=5)
    assert levels(path) == [0, 130, 255]  # 255 * 32 / 63 = 129.5
    slope = dict(RescaleSlope=-1, RescaleIntercept=255)
    assert levels(save(tmp_path / "a.dcm", np.array([[0, 55]], np.uint8), **slope)) == [255, 200]
    path = save(tmp_path / "a.dcm", SIGNED, **UNITS)
    with pytest.raises(images.ImageError, match=r"has no window of its own: choose .*data\.window"):
        levels(path)


def test_padding_is_black_and_in_no_percentile(tmp_path):
    values = np.array([[-2000, -2000, 0, 50, 100]], np.int16)
    path = save(tmp_path / "a.dcm", values, PixelPaddingValue=-2000)
    assert levels(path, "p0,p100") == [0, 0, 0, 128, 255]
    path = save(
        tmp_path / "a.dcm",
        values,
        PixelPaddingValue=-2000,
        PixelPaddingRangeLimit=-1500,
        PhotometricInterpretation="MONOCHROME1",
    )
    assert levels(path, "p0,p100") == [0, 0, 255, 127, 0]


def test_bits_beyond_those_stored_do_not_count(tmp_path):
    """Twelve bits of sixteen: overlays above them, and a sign that is not carried on."""
    twelve = dict(BitsStored=12, HighBit=11)
    path = save(tmp_path / "a.dcm", np.array([[0xF000, 0x1800, 0x0FFF]], np.uint16), **twelve)
    assert levels(path, "2047.5,4095") == [0, 128, 255]
    path = save(tmp_path / "a.dcm", np.array([[0x0FFF, 0x0001]], np.int16), **twelve)
    assert levels(path, "0,4") == [64, 191]


def test_colours_and_what_no_window_is_for(tmp_path):
    colours = np.array([[[250, 20, 0], [0, 0, 9]]], np.uint8)
    path = save(tmp_path / "a.dcm", colours)
    assert (images.read(path) == colours).all()
    with pytest.raises(images.ImageError, match="has colours or 8 bits"):
        levels(path, "40,400")


def test_what_is_no_single_picture(tmp_path, monkeypatch):
    def message(window="", **tags):
        path = save(tmp_path / "a.dcm", tags.pop("values", SIGNED), **tags)
        with pytest.raises(images.ImageError) as caught:
            levels(path, window)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (tmp_path / "b.dcm").write_bytes(b"no scan" * 99)
    with pytest.raises(images.ImageError, match="is no DICOM file: DICM has to follow"):
        levels(tmp_path / "b.dcm")
    assert "without a picture (modality CT)" in message(PixelData=None)
    assert "several frames (2): save each" in message(NumberOfFrames=2, PixelData=bytes(16))
    assert "of the kind PALETTE COLOR" in message(PhotometricInterpretation="PALETTE COLOR")
    assert "cannot be decoded" in message("40,400", PixelData=bytes(2))
    assert "has no pixels" in message(Rows=0)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    assert "4 pixels, more than the limit of 3" in message("40,400")


def test_compression_that_needs_a_package(tmp_path):
    path = save(tmp_path / "a.dcm", SIGNED, **UNITS)
    found = pydicom.dcmread(path)
    found.compress(pydicom.uid.RLELossless)  # which needs none
    found.save_as(tmp_path / "b.dcm")
    assert levels(tmp_path / "b.dcm", "40,400") == levels(path, "40,400") == [0, 128, 153, 255]
    for syntax, expected in (
        (pydicom.uid.JPEGLosslessSV1, r"pip install pylibjpeg pylibjpeg-libjpeg"),
        (pydicom.uid.MPEG2MPML, "which is not read: save it as PNG"),
    ):
        found.file_meta.TransferSyntaxUID = syntax
        with pytest.raises(dicom.DicomError, match=f"is compressed as .*{expected}"):
            dicom.shades(found, None)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"))
    with pytest.raises(images.ImageError, match="deflated"):
        levels(path)


@pytest.mark.filterwarnings("ignore:::pydicom")  # of damage that it can live with
def test_damage_is_an_image_error_or_an_image(tmp_path):
    whole = save(tmp_path / "a.dcm", SIGNED, **UNITS, WindowCenter=4, WindowWidth=9).read_bytes()
    generator = np.random.default_rng(0)
    for trial in range(150):
        damaged = bytearray(whole)
        for at in generator.integers(132, len(whole), 3):
            damaged[at] = generator.integers(256)
        cut = bytes(damaged[: generator.integers(132, len(whole) + 1)] if trial % 2 else damaged)
        (tmp_path / "b.dcm").write_bytes(cut)
        try:
            assert images.read(tmp_path / "b.dcm").dtype == np.uint8
        except images.ImageError as error:
            assert "\n" not in str(error)


def opened(root, **changes):
    values = config_lib.dataset(f"folder:{root}", 1).to_dict()
    return open_dataset(ConfigDict({**values, "test_fraction": 0.0, "max_corrupt": 0, **changes}))


def fill(root):
    """A scan as it comes on a disc: files without suffixes, and a list of them."""
    (root / "IMAGES").mkdir(parents=True)
    for i, value in enumerate((0, 100)):
        save(root / f"IMAGES/IM{i:06}", np.full((2, 2), value, np.int16))
    save(root / "one.dcm", np.full((2, 2), 200, np.int16))
    (root / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    return root


def test_folders(tmp_path):
    data = opened(fill(tmp_path), window="100,200")
    names = ["IMAGES/IM000000", "IMAGES/IM000001", "one.dcm"]
    assert [data.train.file(i) for i in range(3)] == names
    assert [int(data.train[i]["image"][0, 0, 0]) for i in range(3)] == [0, 128, 255]
    assert not [note for note in data.notes if "left out" in note]


def test_without_pydicom_a_line_says_what_to_install(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(dicom, "installed", lambda: False)
    with pytest.raises(images.ImageError, match="is a DICOM file: pip install pydicom, or save it"):
        images.read(tmp_path / "one.dcm")
    assert not decoding.is_picture(tmp_path / "IMAGES/IM000000")
    assert not listing.is_picture(str(tmp_path / "one.dcm"))
    with pytest.raises(UserError, match=r"no images in .*: 3 \.dcm \(pip install pydicom reads"):
        opened(tmp_path)
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    assert opened(tmp_path).notes == ("left out: 3 .dcm (pip install pydicom reads these)",)
