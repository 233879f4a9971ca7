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

from pathlib import Path

import numpy as np
import torch
from torch import nn

VOCAB_SIZE, EMBEDDING_SIZE, N_STEPS, BATCH_SIZE = 7, 5, 4, 3
CELLS = {
    "rnn": lambda *sizes: nn.RNN(*sizes, nonlinearity="tanh"),
    "relu": lambda *sizes: nn.RNN(*sizes, nonlinearity="relu"),
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}
HIDDEN_SIZE = {1: 17, 2: 5}  # by the number of layers; a panel has 16 floats, 8 doubles


def network(cell: str, num_layers: int) -> nn.ModuleDict:
    """The whole model: embedding, recurrent layers, output layer."""
    hidden_size = HIDDEN_SIZE[num_layers]
    return nn.ModuleDict(
        {
            "embedding": nn.Embedding(VOCAB_SIZE, EMBEDDING_SIZE),
            "rnn": CELLS[cell](EMBEDDING_SIZE, hidden_size, num_layers),
            "output": nn.Linear(hidden_size, VOCAB_SIZE),
        }
    )


def inputs(cell: str, num_layers: int, model: nn.ModuleDict) -> dict[str, np.ndarray]:
    """Weights, one window and its initial states, all exact in float32."""
    rng = np.random.default_rng([num_layers, *cell.encode()])
    window = (N_STEPS, BATCH_SIZE)
    hidden_size = HIDDEN_SIZE[num_layers]
    normal = {name: p.shape for name, p in model.named_parameters()}
    for state in ("h", "c") if cell == "lstm" else ("h",):
        normal[f"{state}0"] = torch.Size((num_layers, BATCH_SIZE, hidden_size))
    normal["outputs_gradient"] = torch.Size((*window, hidden_size))
    return {
        "ids": rng.integers(VOCAB_SIZE, size=window, dtype=np.int32),
        "targets": rng.integers(VOCAB_SIZE, size=window, dtype=np.int32),
        **{
            name: rng.normal(0, 0.5, shape).astype(np.float32)
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


def main() -> None:
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for cell in CELLS:
        for num_layers in HIDDEN_SIZE:
            model = network(cell, num_layers)
            given = inputs(cell, num_layers, model)
            recorded = dict(given)
            for dtype in ("float64", "float32"):
                found = results(model, given, getattr(torch, dtype))
                recorded |= {f"{name}:{dtype}": array for name, array in found.items()}
            np.savez_compressed(folder / f"torch_{cell}_{num_layers}.npz", **recorded)


if __name__ == "__main__":
    main()
