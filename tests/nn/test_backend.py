import jax

from genjax.nn import backend, correlation


def test_the_cpu_is_spelled_out_and_others_are_not(monkeypatch):
    for name, expected in (("cpu", True), ("gpu", False), ("tpu", False)):
        monkeypatch.setattr(jax, "default_backend", lambda name=name: name)
        assert backend.spelled_out() is expected


def test_native_counts_within_and_not_after():
    with backend.native():
        assert not backend.spelled_out()
    assert backend.spelled_out() is (jax.default_backend() == "cpu")


def test_programs_without_gradients():
    """What a program may have is as it was, afterwards and within `native` again."""
    assert backend.gradients() and backend.filtering()
    for often in (True, False):
        with backend.forward(often):
            assert not backend.gradients()
            assert backend.filtering() is often
            assert backend.spelled_out() is (jax.default_backend() == "cpu")
            with backend.native():
                assert not backend.spelled_out()
    assert backend.gradients() and backend.filtering()


def test_filtering_is_for_programs_that_run_often():
    shapes = (1, 128, 128), (3, 3, 128, 128), "float32"
    assert correlation.tile(*shapes)
    with backend.forward(often=False):
        assert not correlation.tile(*shapes)
    with backend.forward(often=True):
        assert correlation.tile(*shapes)
