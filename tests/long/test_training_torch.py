# SPDX-License-Identifier: BSD-3-Clause
"""Two epochs of the estimator against PyTorch, from the same weights.

Run as a script it prints the curves that tests/test_training_recorded.py holds.
"""

import itertools
from typing import Any

import numpy as np
import pytest

from rnnkit import RNNLanguageModel
from rnnkit.runtime.corpus import Corpus
from rnnkit.training.windows import Windows

torch = pytest.importorskip("torch")

N_IDS, H, LAYERS, EPOCHS = 20, 13, 2, 2
RECIPE: dict[str, Any] = {
    "tokenizer": None, "vocabulary": N_IDS, "hidden_size": H, "num_layers": LAYERS,
    "bptt": 10, "batch_size": 4, "max_grad_norm": 0.5, "alpha": 0.01,
    "carry_state": True, "dtype": "float64", "n_threads": 1,
}  # fmt: skip
RATES = {"adam": 0.01, "adamw": 0.01, "sgd": 0.5}
CASES = list(itertools.product(("rnn", "lstm", "gru"), RATES, (False, True)))


def documents() -> list[np.ndarray]:
    """Documents of 0 to 59 ids with something to learn in them."""
    return [(np.arange(n * n % 60) ** 2 + n) % N_IDS for n in range(200)]


def first_values(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Values that need no generator of random numbers."""
    return {
        name: 0.3 * np.sin(np.arange(np.prod(shape)) + k).reshape(shape)
        for k, (name, shape) in enumerate(shapes.items())
    }


def make(cell: str, solver: str, tie_weights: bool) -> RNNLanguageModel:
    """The estimator with those values, and nothing learned yet."""
    lm = RNNLanguageModel(
        cell=cell, solver=solver, tie_weights=tie_weights, max_iter=0,
        learning_rate_init=RATES[solver], **RECIPE,
    )  # fmt: skip
    lm.fit(documents())
    lm.set_weights(first_values({k: v.shape for k, v in lm.params_.items()}))
    return lm.set_params(max_iter=EPOCHS, warm_start=True)


def train_in_torch(
    cell: str, solver: str, values: dict[str, np.ndarray]
) -> tuple[list[float], dict[str, np.ndarray]]:
    """The loss of each epoch, and the weights after them."""
    parameters = {k: torch.tensor(v, requires_grad=True) for k, v in values.items()}
    kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell]
    net = kind(H, H, LAYERS, dtype=torch.float64)
    for name, parameter in net.named_parameters():
        parameter.data = parameters["rnn." + name].detach().clone()
        parameters["rnn." + name] = parameter
    embedding = parameters["embedding.weight"]
    output = parameters.get("output.weight", embedding)
    decayed = {name: "weight" in name for name in parameters}
    groups = [
        {
            "params": [p for k, p in parameters.items() if decayed[k] is d],
            "weight_decay": w,
        }
        for d, w in ((True, RECIPE["alpha"]), (False, 0.0))
    ]
    kinds = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}
    optimizer = getattr(torch.optim, kinds[solver])(groups, lr=RATES[solver])
    corpus = Corpus.from_documents(documents()).targets(N_IDS)
    windows = Windows(corpus, batch_size=4, bptt=10, carry_state=True)
    curve = []
    for _ in range(EPOCHS):
        state, total = None, 0.0
        for batch in windows.epoch():
            ids, targets = (
                torch.from_numpy(a.astype(np.int64)) for a in (batch.ids, batch.targets)
            )
            weights = torch.ones(ids.shape, dtype=torch.float64)
            if batch.weights is not None:
                weights = torch.from_numpy(batch.weights.astype(np.float64))
            h, state = net(torch.nn.functional.embedding(ids, embedding), state)
            state = (
                tuple(s.detach() for s in state) if cell == "lstm" else state.detach()
            )
            logits = h @ output.T + parameters["output.bias"]
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="none"
            )
            loss = (loss.reshape(ids.shape) * weights).sum() / weights.sum()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(
                list(parameters.values()), RECIPE["max_grad_norm"]
            )
            optimizer.step()
            total += loss.item() * weights.sum().item()
        curve.append(total / windows.n_tokens)
    return curve, {k: p.detach().numpy() for k, p in parameters.items()}


@pytest.mark.parametrize(("cell", "solver", "tie_weights"), CASES)
def test_two_epochs_equal_pytorchs(cell: str, solver: str, tie_weights: bool) -> None:
    lm = make(cell, solver, tie_weights)
    curve, values = train_in_torch(cell, solver, dict(lm.params_))
    lm.fit(documents())
    # Float64 over some 150 steps; Adam divides by small numbers at first.
    assert lm.loss_curve_ == pytest.approx(curve, rel=1e-10)
    for name, value in lm.params_.items():
        error = np.linalg.norm(value - values[name]) / np.linalg.norm(values[name])
        assert error < 1e-8, name


if __name__ == "__main__":
    for case in CASES:
        values = dict(make(*case).params_)
        print(f"    {case}: {train_in_torch(*case[:2], values)[0]},")
