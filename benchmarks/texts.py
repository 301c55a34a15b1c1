"""Numbers as a report writes them."""

from collections.abc import Mapping

DASH = "\N{EN DASH}"  # for what there is not, and in ranges


def number(value: float) -> str:
    """Three digits, or whole thousands with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def seconds(value: float | None) -> str:
    """A duration with its unit, or a dash."""
    return DASH if value is None else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def ranged(spread: Mapping[str, float]) -> str:
    """A median with its range: `95.2 (90.1 to 99.8)` with a dash."""
    return f"{number(spread['median'])} ({number(spread['low'])}{DASH}{number(spread['high'])})"


def ratio_text(spread: Mapping[str, float]) -> str:
    """A ratio with its range: `1.31 (1.25 to 1.40)` with a dash."""
    return f"{spread['median']:.2f} ({spread['low']:.2f}{DASH}{spread['high']:.2f})"


def percent(value: float | None) -> str:
    """A share, or a dash."""
    return (
        DASH if value is None else f"{100 * value:.0f} %" if value > 0.1 else f"{100 * value:.1f} %"
    )


def flop_rate(rate: float) -> str:
    """FLOP a second with the unit."""
    return f"{rate / 1e12:.3g} TFLOP/s" if rate >= 1e12 else f"{rate / 1e9:.3g} GFLOP/s"
