import pytest
from ml_collections import ConfigDict

from configs.biggan import get_config
from genjax.errors import UserError
from genjax.gan import biggan
from tests.gan.test_gan_resnet import counts

STUDIOGAN = {"width": 96, "shared": 128}


def test_parameter_counts_of_the_authors_script():
    assert counts(biggan.networks, {"width": 64}) == (4_304_387, 4_207_361)


def test_parameter_counts_of_studiogan():
    """At 32 px those of its log; of ImageNet at 128 px, those that compare_gan's tests expect."""
    assert counts(biggan.studiogan_networks, STUDIOGAN, latent=80) == (9_416_196, 2_415_170)
    imagenet = {"size": 128, "classes": 1000, "latent": 120}
    found = counts(biggan.studiogan_networks, STUDIOGAN, **imagenet)
    assert found == (70_433_988, 87_982_370)


def test_the_authors_embeddings_of_the_generator_have_no_spectral_norm():
    generator, discriminator = biggan.networks(ConfigDict({"width": 4}), (8, 8, 1), classes=3)
    assert generator.layers.condition_norm is None and generator.layers.kernel_norm
    assert discriminator.condition == "projection" and not generator.attention


@pytest.mark.parametrize(("size", "latent"), [(8, 40), (16, 60), (32, 80), (64, 100), (128, 120)])
def test_the_config_has_latents_that_divide_at_every_size(size, latent):
    model = get_config(f"arch=studiogan_biggan,size={size}").model
    assert model.latent == latent
    generator, _ = biggan.studiogan_networks(model, (size, size, 1), classes=10)
    assert len(generator.features) == latent // 20


def test_what_is_refused():
    for networks in (biggan.networks, biggan.studiogan_networks):
        with pytest.raises(UserError, match="biggan needs classes"):
            networks(ConfigDict(STUDIOGAN | {"latent": 80}), (32, 32, 3), classes=0)
    model = ConfigDict(STUDIOGAN | {"latent": 128})
    with pytest.raises(UserError, match="latent=128 has to be a multiple of 5"):
        biggan.studiogan_networks(model, (64, 64, 3), classes=10)
    biggan.studiogan_networks(model, (32, 32, 3), classes=10)
