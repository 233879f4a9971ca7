# SPDX-License-Identifier: BSD-3-Clause
"""Record what Keras computes, for tests/test_interchange_keras.py; needs Keras.

    python tests/record_keras.py

writes tests/data/keras_*.npz: of small models of random weights the weights by their
paths, ids (B, T), and the logits (B, T, V); and keras_mixed.keras, a file of one of
them.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

V, E, H = 9, 4, 5
MODELS = {
    "rnn": [(layers.SimpleRNN, {}), (layers.SimpleRNN, {})],
    "lstm": [(layers.LSTM, {}), (layers.LSTM, {})],
    "gru": [(layers.GRU, {}), (layers.GRU, {})],
    "gru_before": [(layers.GRU, {"reset_after": False})],
    "no_bias": [(layers.LSTM, {"use_bias": False})],
    "relu": [(layers.SimpleRNN, {"activation": "relu"})],
    "hard": [
        (layers.LSTM, {"recurrent_activation": "hard_sigmoid", "activation": "elu"})
    ],
    "mixed": [
        (layers.GRU, {"reset_after": False}),
        (layers.LSTM, {"activation": "softsign"}),
        (layers.GRU, {}),
        (layers.SimpleRNN, {"activation": "relu"}),
    ],
}


def model_of(stack: list) -> keras.Model:
    """Embedding, recurrent layers, dense output; all weights random, biases too."""
    rnns = [kind(H, return_sequences=True, **settings) for kind, settings in stack]
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(V, E),
            *rnns,
            layers.Dense(V),
        ]
    )
    rng = np.random.default_rng(len(stack))
    for weight in model.weights:
        weight.assign(rng.normal(0, 0.4, weight.shape))
    return model


def main() -> None:
    folder = Path(__file__).parent / "data"
    ids = np.random.default_rng(0).integers(0, V, (3, 6)).astype(np.int32)
    for name, stack in MODELS.items():
        model = model_of(stack)
        weights = {w.path.replace("/", ":"): w.numpy() for w in model.weights}
        logits = np.asarray(model(ids))
        np.savez_compressed(
            folder / f"keras_{name}.npz", ids=ids, logits=logits, **weights
        )
        if name == "mixed":
            model.save(folder / "keras_mixed.keras")


if __name__ == "__main__":
    main()
