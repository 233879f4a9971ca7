# SPDX-License-Identifier: BSD-3-Clause
"""A language model in NumPy, float64: what the core's windows are compared with.

Layers are run by the interpreter of graphs (rnnkit.testing.reference); embedding, head
and loss are written down here, as plainly as they can be. Beside it, a model as both
sides see it: programs and weights for the core, graphs and arrays for the oracle.
"""

from dataclasses import dataclass, field

import numpy as np

from rnnkit.compiler import differentiate, trace, with_masks, with_resets
from rnnkit.core import Program, State, Weights, Window
from rnnkit.testing import reference

SITES_PER_LAYER = 16


@dataclass
class Result:
    """What one window gives; gradients are in the order of the core's tensors."""

    loss: float
    log_likelihood: np.ndarray
    hits: np.ndarray
    outputs: np.ndarray
    states: list[list[np.ndarray]]
    gradients: list[np.ndarray] = field(default_factory=list)
    initial_state_gradients: list[list[np.ndarray]] = field(default_factory=list)


@dataclass
class Model:
    """A network for the core and for the oracle, with the same random weights."""

    cell: object
    vocab_size: int = 17
    embedding_size: int = 5
    hidden_size: int = 7
    num_layers: int = 1
    tie_weights: bool = False
    output_bias: bool = True
    dtype: str = "float64"
    flags: bool = False
    dropout: dict[str, float] = field(default_factory=dict)
    per_sequence: bool = False
    seed: int = 0
    scale: float = 0.5
    head: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain = self._traced()
        self.graphs = [
            differentiate(self._flagged(self._masked(layer, graph)))
            for layer, graph in enumerate(plain)
        ]
        self.programs = self._programs(plain)
        self.running = self._programs([self._flagged(graph) for graph in plain])
        self.training = self._programs(self.graphs)
        self.weights = Weights(
            self.vocab_size,
            self.embedding_size,
            self.programs,
            tie_weights=self.tie_weights,
            dtype=self.dtype,
            output_bias=self.output_bias,
            **self.head,
        )
        rng = np.random.default_rng(self.seed)
        self.values = [
            rng.normal(0, self.scale, shape).astype(self.dtype)
            for shape in self.weights.shapes
        ]
        for i, value in enumerate(self.values):
            self.weights.set(i, value)

    def _traced(self):
        """One graph a layer; a layer is as wide as its cell's output makes it."""
        graphs, width = [], self.embedding_size
        for _ in range(self.num_layers):
            graphs.append(trace(self.cell, width, self.hidden_size))
            width = graphs[-1].output_width
        return graphs

    def _flagged(self, graph):
        return with_resets(graph) if self.flags else graph

    def _masked(self, layer, graph):
        first_site = SITES_PER_LAYER * layer
        if not self.dropout:
            return graph
        return with_masks(graph, self.dropout, first_site, self.per_sequence)

    def _programs(self, graphs):
        return [Program(graph.to_words(), self.dtype) for graph in graphs]

    def window(self, n_steps, batch_size, *, training=False):
        programs = self.training if training else self.running
        return Window(self.weights, programs, n_steps, batch_size, training=training)

    def state(self, batch_size, seed=None):
        """The cells' initial state, or a random one."""
        state = State(self.weights, self.programs, batch_size)
        if seed is not None:
            rng = np.random.default_rng(seed)
            for layer, graph in enumerate(self.graphs):
                for k, spec in enumerate(graph.states):
                    value = rng.normal(0, 0.5, (batch_size, spec.width))
                    state.set(layer, k, value.astype(self.dtype))
        return state

    def state_arrays(self, state):
        return [
            [state.get(layer, k) for k in range(len(graph.states))]
            for layer, graph in enumerate(self.graphs)
        ]

    def head_tensors(self, values):
        """Those of the head among all tensors, a tied weight with them."""
        n = 1 + sum(len(graph.parameters) for graph in self.graphs)
        return [values[0], *values[n:]] if self.tie_weights else values[n:]

    def parts(self):
        """Embedding, parameters by layer, output weight, output bias; float64."""
        values = [value.astype(np.float64) for value in self.values]
        layers, at = [], 1
        for graph in self.graphs:
            layers.append(values[at : at + len(graph.parameters)])
            at += len(graph.parameters)
        output = values[0] if self.tie_weights else values[at]
        bias = values[-1] if self.output_bias else np.zeros(self.vocab_size)
        return values[0], layers, output, bias


def log_softmax(logits):
    """Log-probabilities along the last axis."""
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al., 2011): four words from a counter and a key."""
    x = [np.asarray(word, np.uint64) for word in counter]
    k, half, low = list(key), np.uint64(32), np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p, q = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        x[0], x[2] = (
            (q >> half) ^ x[1] ^ np.uint64(k[0]),
            (p >> half) ^ x[3] ^ np.uint64(k[1]),
        )
        x[1], x[3] = q & low, p & low
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(x)


def dropout_mask(shape, site, rate, seed, update, first_step=0):
    """0 or 1 / (1 - rate), (T, B, width): word unit % 4 of each four's counter."""
    n_steps, batch_size, width = shape
    sizes = n_steps, batch_size, -(-width // 4)
    step, row, quad = np.meshgrid(*(np.arange(n) for n in sizes), indexing="ij")
    step = step + first_step
    place = np.full(sizes, (update + site * 0x9E3779B9) & 0xFFFFFFFF)
    words = philox((quad, row, step, place), (seed & 0xFFFFFFFF, seed >> 32))
    by_unit = np.moveaxis(words, 0, -1).reshape(n_steps, batch_size, -1)[..., :width]
    return np.where(by_unit < int(rate * 2**32), 0, 1 / (1 - rate))


def layer_masks(model, layer, shape, seed, update):
    """A layer's masks by site."""
    graph, first = model.graphs[layer], SITES_PER_LAYER * layer
    sites = {
        "input": (first, graph.input_width),
        "output": (first + 1, graph.output_width),
    }
    places = [(name, *place) for name, place in sites.items()]
    places += [("state", first + 2 + k, s.width) for k, s in enumerate(graph.states)]
    masks = {
        site: dropout_mask((*shape, width), site, model.dropout[name], seed, update)
        for name, site, width in places
        if name in model.dropout
    }
    if model.per_sequence:
        masks = {site: np.stack([mask[0]] * len(mask)) for site, mask in masks.items()}
    return masks


def run(
    model,
    ids,
    states,
    targets,
    *,
    target_weights=None,
    outputs_gradient=None,
    seed=0,
    update=0,
    **flags,
):
    """Forward and backward of one window, from states by layer and number."""
    embedding, layers, output, bias = model.parts()
    below, runs = embedding[ids], []
    for layer, graph in enumerate(model.graphs):
        initial = [np.asarray(s, np.float64) for s in states[layer]]
        masks = layer_masks(model, layer, ids.shape, seed, update)
        given = reference.Window(
            graph, layers[layer], below, initial, masks=masks, **flags
        )
        runs.append(reference.forward(given))
        below = runs[-1].outputs

    log_p = log_softmax(below @ output.T + bias)
    weight = np.ones(ids.shape) if target_weights is None else target_weights
    weight = weight.astype(np.float64)
    scored = np.where(weight > 0, targets, 0)
    picked = np.take_along_axis(log_p, scored[..., None], axis=-1)[..., 0]
    total = weight.sum() or 1.0
    result = Result(
        loss=-(weight * picked).sum() / total,
        log_likelihood=np.where(weight > 0, picked, 0),
        hits=(log_p.argmax(axis=-1) == scored) & (weight > 0),
        outputs=below,
        states=[run.states for run in runs],
    )
    wanted = np.eye(model.vocab_size)[scored]
    d_logits = (np.exp(log_p) - wanted) * (weight / total)[..., None]
    d_below = d_logits @ output
    if outputs_gradient is not None:
        d_below = d_below + outputs_gradient
    by_layer = []
    for layer_run in reversed(runs):
        found = reference.backward(layer_run, d_below)
        d_below = found.x
        by_layer.insert(0, found)
    d_embedding = np.zeros_like(embedding)
    np.add.at(d_embedding, ids, d_below)
    d_output = np.einsum("tbv,tbh->vh", d_logits, runs[-1].outputs)
    if model.tie_weights:
        d_embedding += d_output
    gradients = [d_embedding]
    gradients += [g for found in by_layer for g in found.parameters]
    gradients += [] if model.tie_weights else [d_output]
    gradients += [d_logits.sum(axis=(0, 1))] if model.output_bias else []
    result.gradients = gradients
    result.initial_state_gradients = [found.states for found in by_layer]
    return result


def run_core(
    model, ids, state, targets, *, n_threads=1, outputs_gradient=None, **given
):
    """The same by the core; moves `state` on."""
    window = model.window(*ids.shape, training=True)
    loss, _ = window.forward(ids, state, targets=targets, n_threads=n_threads, **given)
    outputs = window.outputs()
    window.backward(outputs_gradient=outputs_gradient, n_threads=n_threads)
    return Result(
        loss=loss,
        log_likelihood=window.log_likelihood,
        hits=window.hits.astype(bool),
        outputs=outputs,
        states=model.state_arrays(state),
        gradients=[window.gradient(i) for i in range(len(model.values))],
        initial_state_gradients=[
            [window.initial_state_gradient(layer, k) for k in range(len(graph.states))]
            for layer, graph in enumerate(model.graphs)
        ],
    )


def arrays_of(result):
    """Everything in a result, as a flat list of arrays."""
    by_layer = [*result.states, *result.initial_state_gradients]
    return [
        np.float64(result.loss),
        result.log_likelihood,
        result.outputs,
        *result.gradients,
        *(array for layer in by_layer for array in layer),
    ]


def bytes_of(result):
    return [np.asarray(array).tobytes() for array in arrays_of(result)]
