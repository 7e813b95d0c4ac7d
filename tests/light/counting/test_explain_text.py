"""What ``explain`` says of the parts that a counter left out."""

from __future__ import annotations

from records import gap, op, profile

from flopbench.counting.explain_text import gap_lines


def test_a_layer_that_never_ran_is_not_said_to_do_no_work() -> None:
    """It is named as such; free is only what ran and multiplies nothing."""
    gaps = (
        gap("operator", "my::op", "conv"),
        gap("uncalled", "Conv2d", "aux", may_multiply=False),
        gap("operator", "aten::relu", "conv", may_multiply=False),
    )
    blind = profile("fvcore", op("conv", "conv", 4), gaps=gaps)
    assert gap_lines([blind, profile("torch", op("conv", "conv", 4))]) == [
        "fvcore: my::op (operator, 1 call in 1 module), Conv2d (uncalled, 1 call in 1 module)",
        "fvcore: aten::relu - these do no dense multiply-accumulates",
    ]
