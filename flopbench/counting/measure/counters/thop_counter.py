"""Counts with the installed THOP, under its current rules.

Transposed convolutions are charged at the size of their output, which is too high by a factor of
the stride squared. That is THOP's figure, so it is kept.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils.rnn import PackedSequence

from flopbench.counting.measure.counters.base import Counted, Subject
from flopbench.counting.measure.counters.thop_ledger import RuleBook, count_by_rules, todays_rules

GATES = ((nn.LSTM, 4), (nn.LSTMCell, 4), (nn.GRU, 3), (nn.GRUCell, 3), (nn.RNNBase, 1))
"""Matrix products of input and of state in one recurrent step."""


class ThopCounter:
    """Count with the rules of the installed THOP.

    Args:
        custom_ops: additional rules, or replacements, by class, as for ``thop.profile``.
    """

    convention = "MACs under THOP's current rules"
    needs_values = False

    def __init__(self, custom_ops: RuleBook | None = None) -> None:
        self._custom = dict(custom_ops or {})

    def count(self, subject: Subject) -> Counted:
        """Count one forward pass.

        Raises:
            MeasureError: a charge is not a whole number.
        """
        return count_by_rules(subject, {**todays_rules(), **self._custom}, dense=dense_today)


def dense_today(module: nn.Module, inputs: tuple[Any, ...], _output: Any, charge: int) -> int:
    """Return the multiply-accumulates in a charge by today's rules.

    Convolutions and linear layers are charged these and nothing else. Recurrent layers are also
    charged for pointwise work, so their MACs are counted from the dimensions as the rules do:
    whole batch, all steps, state as wide as ``hidden_size``.
    """
    if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        return charge
    gates = next((n for kind, n in GATES if isinstance(module, kind)), 1)
    hidden = module.hidden_size
    first = module.input_size + hidden
    if isinstance(module, nn.RNNCellBase):
        return int(inputs[0].size(0) * gates * hidden * first)
    if isinstance(inputs[0], PackedSequence):
        batch, steps = int(inputs[0].batch_sizes.max()), len(inputs[0].batch_sizes)
    else:
        batch, steps = inputs[0].size(0), inputs[0].size(1)  # in either order: a product
    directions = 2 if module.bidirectional else 1
    later = (module.num_layers - 1) * (directions * hidden + hidden)
    return int(batch * steps * directions * gates * hidden * (first + later))
