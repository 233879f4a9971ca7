# SPDX-License-Identifier: BSD-3-Clause
"""Where a network in training is masked, and how often; and what is held small."""

from dataclasses import dataclass

# Numbers kept for one layer's masks, so that layers never share one: the input, the
# output, states where products read them, and states that zoneout keeps.
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
    embedding : float, default=0.0
        Of word types, once a window.
    weight : float, default=0.0
        Of the elements of matrices that multiply states, once a window.
    """

    input: float = 0.0
    hidden: float = 0.0
    output: float = 0.0
    state: float = 0.0
    per_sequence: bool = False
    embedding: float = 0.0
    weight: float = 0.0

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


@dataclass(frozen=True)
class Penalties:
    """Factors of mean squares of the top layer's output that join the loss.

    Parameters
    ----------
    activation : float, default=0.0
        Of what the output layer reads.
    temporal_activation : float, default=0.0
        Of the output's change from step to step, before it is masked.
    """

    activation: float = 0.0
    temporal_activation: float = 0.0


NO_PENALTIES = Penalties()
