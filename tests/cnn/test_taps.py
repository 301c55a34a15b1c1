from genjax.cnn.taps import Taps


def test_complete_with_the_last_one_asked_for():
    taps = Taps(("a", "c"))
    assert [taps.complete(name, name.upper()) for name in "abc"] == [False, False, True]
    assert taps.found == {"a": "A", "c": "C"}


def test_pools_cover_the_border_for_pictures_alone():
    asked = ((), ("a",), ("a", "pool"), ("logits",))
    assert [Taps(names).to_the_border for names in asked] == [False, True, False, False]


def test_nothing_asked_for_is_never_complete():
    taps = Taps(())
    assert not taps.complete("a", 1) and not taps.found
