# SPDX-License-Identifier: BSD-3-Clause
"""Where a network in training is masked, and how often."""

from dataclasses import dataclass

# Numbers kept for one layer's masks, so that layers never share one: the input, the
# output, and up to 64 states.
SITES_PER_LAYER = 128


@dataclass(frozen=True)
class Dropout:
    """Rates in [0, 1) by place.

    Parameters
    ----------
    input : float, default=0.0
        Of embedded tokens.
    hidden : float, default=0.0
        Of what a layer hands to the one above it.
    output : float, default=0.0
        Of what the output layer reads.
    state : float, default=0.0
        Of states where products read them.
    per_sequence : bool, default=False
        Draw masks once for each row of a window, the same at all its steps, instead of
        anew at each (Gal & Ghahramani, 2016).
    """

    input: float = 0.0
    hidden: float = 0.0
    output: float = 0.0
    state: float = 0.0
    per_sequence: bool = False

    def sites(self, layer: int, num_layers: int) -> dict[str, float]:
        """Return the rates at the places of one layer, as `with_masks` takes them.

        What stands above the cells reads the output that the top one masks.
        """
        if layer >= num_layers:
            return {}
        is_top = layer == num_layers - 1
        return {
            "input": self.hidden if layer else self.input,
            "output": self.output if is_top else 0.0,
            "state": self.state,
        }


NO_DROPOUT = Dropout()
