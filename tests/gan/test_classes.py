import pytest
from ml_collections import ConfigDict

from genjax.errors import UserError
from genjax.gan import r3gan, resnet, stylegan2
from genjax.gan.classes import check_classes, known_classes


def test_classes_are_the_datas_where_the_config_asks_for_them():
    assert known_classes(ConfigDict({"condition": "none"}), 10) == 0
    assert known_classes(ConfigDict({"condition": "projection"}), 10) == 10


def test_data_without_classes_are_refused_with_what_to_change():
    with pytest.raises(UserError, match=r"^net needs classes, .*, or leave it$"):
        check_classes("net", 0, "leave it")
    with pytest.raises(UserError, match=r"or set --config\.model\.condition=none$"):
        known_classes(ConfigDict({"condition": "auxiliary"}), 0)


@pytest.mark.parametrize(
    ("networks", "model"),
    [
        (resnet.networks, {"norm": "none", "pool": "sum", "head": "none"}),
        (
            stylegan2.networks,
            {"generator": "skip", "discriminator": "orig", "base": 64, "style": 4, "mapping": 1}
            | {"mixing": 0.0, "group": 2},
        ),
        (r3gan.networks, {"widths": (2, 2), "groups": (1, 1), "blocks": 1, "embedding": 2}),
    ],
)
def test_what_the_error_advises_works(networks, model):
    model = ConfigDict({"width": 2, "condition": "projection"} | model)
    with pytest.raises(UserError, match=r"set --config\.model\.condition=none"):
        networks(model, (8, 8, 1))
    model.condition = "none"
    generator, _ = networks(model, (8, 8, 1))
    assert generator.classes == 0
