# SPDX-License-Identifier: BSD-3-Clause
"""An LSTM language model in NumPy, with all that training adds to it, from the papers.

It takes complex numbers, so gradients are those of the complex step; masks come from
the counters that `core_oracle` knows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from core_oracle import dropout_mask

SITES_PER_LAYER, OUTPUT, ZONEOUT = 128, 1, 64
TENSOR_STEP = 1 << 31  # the step of masks that belong to a tensor


@dataclass
class RegularisedLSTM:
    """Settings; methods take parameters in the core's order, the embedding first."""

    num_layers: int = 2
    tied: bool = False
    embedding: float = 0.0
    weight: float = 0.0
    zoneout: Any = ()
    activation: float = 0.0
    temporal: float = 0.0
    output: float = 0.0
    seed: int = 0
    update: int = 0

    def mask(self, site: int, rate: float, shape: Any) -> np.ndarray:
        return dropout_mask(shape, site, rate, self.seed, self.update)

    def kept(self, site: int, shape: Any) -> dict[str, np.ndarray]:
        """Where the units of a layer's states keep their values, (T, B, H)."""
        rates = {"h": 0.0, "c": 0.0} | dict(self.zoneout)
        return {
            name: self.mask(site + k, rates[name], shape) == 0
            for k, name in enumerate("hc")
        }

    def tensor_mask(self, tensor: int, rate: float, shape: Any) -> np.ndarray:
        """Of (blocks, units, columns), the columns being the counter's rows."""
        blocks, units, columns = shape
        mask = dropout_mask(
            (blocks, columns, units), tensor, rate, self.seed, self.update, TENSOR_STEP
        )
        return mask.transpose(0, 2, 1).reshape(blocks * units, columns)

    def objective(
        self, p: Any, ids: Any, targets: Any, states: Any, resets: Any
    ) -> Any:
        """The loss of the tokens, and what training minimises."""
        words = self.tensor_mask(0, self.embedding, (1, len(p[0]), 1))
        outputs, changes = (p[0] * words)[ids], None
        for layer, initial in enumerate(states):
            outputs, changes = self.layer(layer, p, outputs, initial, resets)
        top = SITES_PER_LAYER * (self.num_layers - 1)
        outputs = outputs * self.mask(top + OUTPUT, self.output, outputs.shape)
        logits = outputs @ (p[0] if self.tied else p[-2]).T + p[-1]
        norm = np.log(np.exp(logits).sum(axis=-1))
        picked = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        loss = np.mean(norm - picked)
        penalty = self.activation * np.mean(outputs**2)
        return loss, loss + penalty + self.temporal * np.mean(changes**2)

    def layer(self, layer: int, p: Any, x: Any, initial: Any, resets: Any) -> Any:
        """Outputs, and how each differs from the one before it, (T, B, H)."""
        w_ih, w_hh, b_ih, b_hh = p[1 + 4 * layer : 5 + 4 * layer]
        h, c = initial
        n = w_hh.shape[1]
        w_hh = w_hh * self.tensor_mask(2 + 4 * layer, self.weight, (4, n, n))
        kept = self.kept(SITES_PER_LAYER * layer + ZONEOUT, (*resets.shape, n))
        outputs, changes = [], []
        for t, again in enumerate(resets[:, :, None] != 0):
            h, c = np.where(again, 0, h), np.where(again, 0, c)
            gates = x[t] @ w_ih.T + h @ w_hh.T + b_ih + b_hh
            i, f, g, o = np.split(gates, 4, axis=-1)
            new_c = sigma(f) * c + sigma(i) * np.tanh(g)
            new_h = np.where(kept["h"][t], h, sigma(o) * np.tanh(new_c))
            changes.append(np.where(again, 0, new_h - h))
            h, c = new_h, np.where(kept["c"][t], c, new_c)
            outputs.append(h)
        return np.stack(outputs), np.stack(changes)

    def minimised(self, p: Any, window: Any) -> Any:
        """What training minimises, for gradients."""
        return self.objective(p, *window)[1]


def sigma(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def assert_gradients(found: Any, values: Any, function: Any) -> None:
    """Compare gradients with complex steps along random directions of each array."""
    rng = np.random.default_rng(2)
    for index, gradient in enumerate(found):
        for _ in range(3):
            direction = rng.normal(size=gradient.shape)
            moved = list(values)
            moved[index] = values[index] + 1e-30j * direction
            expected = np.imag(function(moved)) / 1e-30
            np.testing.assert_allclose(
                np.sum(gradient * direction), expected, rtol=1e-9, atol=1e-12
            )
