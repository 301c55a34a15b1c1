from genjax.cnn.taps import Taps


def test_complete_with_the_last_one_asked_for():
    taps = Taps(("a", "c"))
    assert [taps.complete(name, name.upper()) for name in "abc"] == [False, False, True]
    assert taps.found == {"a": "A", "c": "C"}


def test_nothing_asked_for_is_never_complete():
    taps = Taps(())
    assert not taps.complete("a", 1) and not taps.found
