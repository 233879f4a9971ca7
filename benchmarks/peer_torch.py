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
        width = getattr(self.rnn, "output_width", shape.H)
        self.output = torch.nn.Linear(width, shape.V)

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
