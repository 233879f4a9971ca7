# SPDX-License-Identifier: BSD-3-Clause
"""The child of `peer_keras`: reads requests, one a line, and answers each with a line.

It runs in TensorFlow's environment, so it imports nothing of rnnkit.
"""

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

# Keras's gates by their place in PyTorch's order: i f g o, and z r n.
GATES = {"rnn": (0,), "lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}


def in_order(array: np.ndarray, gates: tuple[int, ...]) -> np.ndarray:
    """Move blocks of rows, one a gate; Keras's order and PyTorch's map either way."""
    blocks = np.split(array, len(gates))
    return np.concatenate([blocks[i] for i in gates])


class Worker:
    """One model and its window of tokens; every method answers one kind of request."""

    def make(
        self, cell: str, shape: dict[str, int], n_threads: int, arrays: str
    ) -> dict[str, Any]:
        tf.config.threading.set_intra_op_parallelism_threads(n_threads)
        tf.config.threading.set_inter_op_parallelism_threads(n_threads)
        self.cell, self.n_layers = cell, shape["L"]
        self._make_model(shape)
        with np.load(arrays) as file:
            self._set_weights(file)
            self.ids = tf.constant(file["ids"].T)
            self.targets = tf.constant(file["targets"].T)
        return {}

    def train_step(self) -> dict[str, Any]:
        self.model.reset_metrics()  # or the loss would be the mean of all calls
        return {"loss": float(self._update())}

    def gradients(self, arrays: str) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            loss = self.model.loss(self.targets, self.model(self.ids))
        variables = self.model.trainable_variables
        found = tape.gradient(loss, variables)
        flat = [tf.convert_to_tensor(gradient).numpy() for gradient in found]
        np.savez(arrays, **dict(self._named(flat)))
        return {"loss": float(loss)}

    def sample(self, sample_seconds: float) -> dict[str, Any]:
        self._update()
        times = []
        end = time.perf_counter() + sample_seconds
        while not times or time.perf_counter() < end:
            begin = time.perf_counter()
            self._update()
            times.append(time.perf_counter() - begin)
        return {"seconds": float(np.median(times))}

    def _update(self) -> Any:
        return self.model.train_on_batch(self.ids, self.targets)

    def _make_model(self, shape: dict[str, int]) -> None:
        layers = tf.keras.layers
        kinds = {"rnn": layers.SimpleRNN, "lstm": layers.LSTM, "gru": layers.GRU}
        self.model = tf.keras.Sequential(
            [
                tf.keras.Input((shape["T"],), batch_size=shape["B"], dtype="int32"),
                layers.Embedding(shape["V"], shape["E"]),
                *(
                    kinds[self.cell](shape["H"], return_sequences=True)
                    for _ in range(shape["L"])
                ),
                layers.Dense(shape["V"]),
            ]
        )
        self.model.compile(
            tf.keras.optimizers.Adam(1e-3, epsilon=1e-8, global_clipnorm=5.0),
            tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def _set_weights(self, values: Any) -> None:
        """Take weights under PyTorch's names; only Keras's GRU has two biases."""
        gates = GATES[self.cell]
        arrays = [values["embedding.weight"]]
        for k in range(self.n_layers):
            w_x, w_h, b_x, b_h = (
                in_order(values[f"rnn.{name}_l{k}"], gates)
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            bias = np.stack([b_x, b_h]) if self.cell == "gru" else b_x + b_h
            arrays += [w_x.T, w_h.T, bias]
        arrays += [values["output.weight"].T, values["output.bias"]]
        self.model.set_weights(arrays)

    def _named(self, gradients: list[np.ndarray]) -> Any:
        """Give gradients in Keras's order the names and shapes of PyTorch."""
        gates = GATES[self.cell]
        yield "embedding.weight", gradients[0]
        for k in range(self.n_layers):
            w_x, w_h, bias = gradients[1 + 3 * k : 4 + 3 * k]
            yield f"rnn.weight_ih_l{k}", in_order(w_x.T, gates)
            yield f"rnn.weight_hh_l{k}", in_order(w_h.T, gates)
            b_x, b_h = bias if self.cell == "gru" else (bias, bias)
            yield f"rnn.bias_ih_l{k}", in_order(b_x, gates)
            yield f"rnn.bias_hh_l{k}", in_order(b_h, gates)
        yield "output.weight", gradients[-2].T
        yield "output.bias", gradients[-1]


if __name__ == "__main__":
    worker = Worker()
    for line in sys.stdin:
        request, arguments = json.loads(line)
        print(json.dumps(getattr(worker, request)(**arguments)), flush=True)
