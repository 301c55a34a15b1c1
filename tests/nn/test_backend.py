import jax

from genjax.nn import backend


def test_the_cpu_is_spelled_out_and_others_are_not(monkeypatch):
    for name, expected in (("cpu", True), ("gpu", False), ("tpu", False)):
        monkeypatch.setattr(jax, "default_backend", lambda name=name: name)
        assert backend.spelled_out() is expected


def test_native_counts_within_and_not_after():
    with backend.native():
        assert not backend.spelled_out()
    assert backend.spelled_out() is (jax.default_backend() == "cpu")
