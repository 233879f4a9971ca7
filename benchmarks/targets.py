# SPDX-License-Identifier: BSD-3-Clause
"""What rnnkit wants to reach on two cores with AVX2: ratios to the peers, and shares.

Functions give None where no figure was set; then only "not slower" counts.
"""

from rnnkit.cli.shapes import Shape

TRAINING = {
    "seed": {"rnn": 3.3, "lstm": 2.35, "gru": 3.3},
    "ptb-small": {"rnn": 1.65, "lstm": 1.5, "gru": 2.6},
    "ptb-medium": {"rnn": 1.8, "lstm": 1.7, "gru": 2.05},
    "char128": {"rnn": 5.0, "lstm": 1.85, "gru": 3.6},
    "char512": {"rnn": 2.7, "lstm": 1.5, "gru": 2.4},
}
TRAINING_KERAS = {"rnn": 1.7, "lstm": 2.4, "gru": 2.4}
SHARE_OF_PRODUCT = {  # of the whole training step, LSTM
    "seed": 0.75,
    "ptb-small": 0.75,
    "ptb-medium": 0.83,
    "char128": 0.75,
    "char512": 0.83,
}
ONE_TOKEN = {  # times PyTorch, times ONNX Runtime
    "seed": {"rnn": (7, 2), "lstm": (15, 2.5), "gru": (10, 2)},
    "char128": {"rnn": (7, 2), "lstm": (15, 2.5), "gru": (10, 2)},
    "ptb-small": {"lstm": (8, 1.5)},
    "ptb-medium": {cell: (1, 0.95) for cell in ("rnn", "lstm", "gru")},
}
SHARE_OF_READING = {"ptb-medium": 0.85}
SCALING = 1.8  # two threads
EAGER = 3.5
LARGE_VOCABULARY = {"adaptive": 4.0, "sampled": 6.0}  # times the full softmax, training
MEMORY = {"adam": 0.65, "sgd": 0.5}  # of PyTorch's
START_SECONDS = 0.1  # import, load, predict, beyond `import numpy`
LOADING = 0.8  # of the speed of reading the file into fresh memory
C_START_SECONDS = 0.02  # of a process that loads 10 MB and predicts
INSTALLED = 0.5  # of PyTorch's
TOKENIZER_MB = 20.0  # a second


def training(engine: str, shape: str, cell: str) -> float:
    """Times a peer's training step."""
    if engine == "torch":
        return TRAINING.get(shape, {}).get(cell, 1.0)
    return TRAINING_KERAS.get(cell, 1.0)


def scoring(engine: str, name: str, shape: Shape, cell: str) -> float:
    """Times a peer's scoring of a window."""
    if engine == "onnx" and cell == "rnn" and name in ("seed", "char128", "char512"):
        return 2.0
    return 1.2 if shape.H <= 200 else 1.0


def one_token(engine: str, shape: str, cell: str) -> float:
    """Times a peer's step of one token."""
    torch, onnx = ONE_TOKEN.get(shape, {}).get(cell, (1.0, 1.0))
    return {"torch": torch, "onnx": onnx}[engine]
