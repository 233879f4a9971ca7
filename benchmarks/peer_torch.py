# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch at the same work: its recurrent layers, its fused Adam, no gradients kept."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from rnnkit.cli.shapes import Shape
from rnnkit.cli.workload import LEARNING_RATE, MAX_GRAD_NORM, Tokens, Values

LAYERS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}

# How a layer is made from input size, hidden size and number of layers.
Recurrent = Callable[[int, int, int], torch.nn.Module]


class LanguageModel(torch.nn.Module):
    """Embedding, recurrent layers, output layer; parameters have rnnkit's names."""

    def __init__(self, recurrent: Recurrent, shape: Shape) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(shape.V, shape.E)
        self.rnn = recurrent(shape.E, shape.H, shape.L)
        self.output = torch.nn.Linear(shape.H, shape.V)

    def forward(self, ids, state=None):
        """Logits (T, B, V) and the state behind the last step."""
        hidden, state = self.rnn(self.embedding(ids), state)
        return self.output(hidden), state


class TorchPeer:
    """PyTorch with given tokens and weights (None: its own); works as `Workload`."""

    def __init__(
        self,
        recurrent: Recurrent,
        shape: Shape,
        values: Values | None,
        tokens: Tokens,
        *,
        n_threads: int,
        solver: str = "adam",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.n_threads = n_threads
        self.model = LanguageModel(recurrent, shape).to(dtype)
        if values is not None:
            tensors = {n: torch.tensor(v, dtype=dtype) for n, v in values.items()}
            self.model.load_state_dict(tensors)
        self._ids = torch.from_numpy(tokens.ids.astype(np.int64))
        self._targets = torch.from_numpy(tokens.targets.astype(np.int64)).reshape(-1)
        self._solver_kind = solver
        self._solver: torch.optim.Optimizer | None = None
        self._state = None

    def prepare(self) -> None:
        """Set the number of threads, which is the process's."""
        torch.set_num_threads(self.n_threads)

    def train_step(self) -> float:
        """Forward, loss, backward, clip, update, over one window; return the loss."""
        if self._solver is None:
            kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
            self._solver = kinds[self._solver_kind](
                self.model.parameters(), lr=LEARNING_RATE, fused=True
            )
        loss = self._backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRAD_NORM)
        self._solver.step()
        return loss

    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        """Loss of the window and the gradient of every parameter by name."""
        loss = self._backward()
        named = self.model.named_parameters()
        return loss, {name: parameter.grad.numpy() for name, parameter in named}

    def score(self) -> float:
        """Mean log-likelihood of the window's targets."""
        with torch.inference_mode():
            return -self._loss().item()

    def next_token(self) -> np.ndarray:
        """Read one token, the state carried; return the next one's logits."""
        with torch.inference_mode():
            logits, self._state = self.model(self._ids[:1, :1], self._state)
            return logits.view(-1).numpy()

    def _backward(self) -> float:
        self.model.zero_grad(set_to_none=True)
        loss = self._loss()
        loss.backward()
        return loss.item()

    def _loss(self) -> torch.Tensor:
        logits, _ = self.model(self._ids)
        return functional.cross_entropy(logits.flatten(0, 1), self._targets)


class EagerCIFG(torch.nn.Module):
    """The LSTM with coupled gates as its equations, step by step; names as rnnkit's.

    With `hoist` the products of x are made for all steps at once, as nn.LSTM does.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, *, hoist: bool
    ) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.hoist = hoist
        for k in range(num_layers):
            columns = {"ih": input_size if k == 0 else hidden_size, "hh": hidden_size}
            for operand, n in columns.items():
                weight = torch.empty(3 * hidden_size, n)
                bias = torch.empty(3 * hidden_size)
                setattr(self, f"weight_{operand}_l{k}", torch.nn.Parameter(weight))
                setattr(self, f"bias_{operand}_l{k}", torch.nn.Parameter(bias))

    def forward(self, x, state=None):
        """Outputs of the top layer, and the state behind the last step."""
        if state is None:
            zero = x.new_zeros(x.shape[1], self.weight_hh_l0.shape[1])
            state = [(zero, zero)] * self.num_layers
        final = []
        for k, (h, c) in enumerate(state):
            x, h, c = self._layer(k, x, h, c)
            final.append((h, c))
        return x, final

    def _layer(self, k, x, h, c):
        w_x, b_x = getattr(self, f"weight_ih_l{k}"), getattr(self, f"bias_ih_l{k}")
        w_h, b_h = getattr(self, f"weight_hh_l{k}"), getattr(self, f"bias_hh_l{k}")
        steps = functional.linear(x, w_x, b_x) if self.hoist else x
        outputs = []
        for step in steps:
            on_x = step if self.hoist else functional.linear(step, w_x, b_x)
            f, g, o = (on_x + functional.linear(h, w_h, b_h)).chunk(3, dim=1)
            f = torch.sigmoid(f)
            c = f * c + (1 - f) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs), h, c
