# SPDX-License-Identifier: BSD-3-Clause
"""Record what PyTorch computes, for tests/test_against_torch.py; needs PyTorch.

    python tests/record_torch.py

writes tests/data/torch_*.npz: for each cell and number of layers a network of random
weights (exact in float32), one window with non-zero initial states, and, in float64 and
float32, the log-likelihoods, outputs, final states, and the gradient of

    loss = mean of -log p(target)  +  sum of outputs * outputs_gradient

by every parameter and every initial state. Names are PyTorch's; a recorded result is
"<what>:<dtype>".
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

CELLS = {
    "rnn": lambda *sizes: nn.RNN(*sizes, nonlinearity="tanh"),
    "relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


@dataclass(frozen=True)
class Sizes:
    """How large a model and its window are."""

    num_layers: int
    hidden_size: int
    embedding_size: int = 5
    vocab_size: int = 7
    n_steps: int = 4
    batch_size: int = 3


# A panel has 16 floats or 8 doubles: neither width is a multiple of it.
RECORDED = (Sizes(num_layers=1, hidden_size=17), Sizes(num_layers=2, hidden_size=5))


def network(cell: str, sizes: Sizes) -> nn.ModuleDict:
    """The whole model: embedding, recurrent layers, output layer."""
    e, h = sizes.embedding_size, sizes.hidden_size
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(sizes.vocab_size, e),
            "rnn": CELLS[cell](e, h, sizes.num_layers),
            "output": nn.Linear(h, sizes.vocab_size),
        }
    )


def inputs(cell: str, sizes: Sizes, model: nn.ModuleDict) -> dict[str, np.ndarray]:
    """Weights, one window and its initial states, all exact in float32."""
    rng = np.random.default_rng([sizes.num_layers, *cell.encode()])
    window = (sizes.n_steps, sizes.batch_size)
    state = (sizes.num_layers, sizes.batch_size, sizes.hidden_size)
    normal = {name: tuple(p.shape) for name, p in model.named_parameters()}
    normal |= {f"{name}0": state for name in ("hc" if cell == "lstm" else "h")}
    normal["outputs_gradient"] = (*window, sizes.hidden_size)
    deviation = 1 / np.sqrt(3 * sizes.hidden_size)  # that of PyTorch's first weights
    return {
        "ids": rng.integers(sizes.vocab_size, size=window, dtype=np.int32),
        "targets": rng.integers(sizes.vocab_size, size=window, dtype=np.int32),
        **{
            name: rng.normal(0, deviation, shape).astype(np.float32)
            for name, shape in normal.items()
        },
    }


def results(
    model: nn.ModuleDict, given: dict[str, np.ndarray], dtype: torch.dtype
) -> dict[str, np.ndarray]:
    """Everything that one forward and one backward pass give."""
    model = model.to(dtype)
    value = {
        name: torch.tensor(array).to(dtype if array.dtype == np.float32 else torch.long)
        for name, array in given.items()
    }
    model.load_state_dict({name: value[name] for name, _ in model.named_parameters()})
    states = [value[name].requires_grad_() for name in ("h0", "c0") if name in value]
    outputs, final = model["rnn"](
        model["embedding"](value["ids"]),
        tuple(states) if len(states) > 1 else states[0],
    )
    log_p = nn.functional.log_softmax(model["output"](outputs), -1)
    log_likelihood = log_p.gather(-1, value["targets"][..., None])[..., 0]
    loss = -log_likelihood.mean() + (outputs * value["outputs_gradient"]).sum()
    model.zero_grad()
    loss.backward()
    found = {"log_likelihood": log_likelihood, "outputs": outputs}
    finals = final if isinstance(final, tuple) else (final,)
    found |= dict(zip(("h", "c"), finals, strict=False))
    found |= {f"d{name}": p.grad for name, p in model.named_parameters()}
    found |= dict(zip(("dh0", "dc0"), (state.grad for state in states), strict=False))
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def record(cell: str, sizes: Sizes) -> dict[str, np.ndarray]:
    """Inputs and results, in both types, under the names of the files."""
    model = network(cell, sizes)
    given = inputs(cell, sizes, model)
    recorded = dict(given)
    for dtype in ("float64", "float32"):
        found = results(model, given, getattr(torch, dtype))
        recorded |= {f"{name}:{dtype}": array for name, array in found.items()}
    return recorded


def main() -> None:
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for cell in CELLS:
        for sizes in RECORDED:
            path = folder / f"torch_{cell}_{sizes.num_layers}.npz"
            np.savez_compressed(path, **record(cell, sizes))


if __name__ == "__main__":
    main()
