# SPDX-License-Identifier: BSD-3-Clause
"""Heads for large vocabularies in NumPy, a row at a time, and whole networks with them.

Everything takes complex arrays, too: the derivative of a loss along a direction is then
its imaginary part after a step that is too small to be rounded away.
"""

import math

import numpy as np
from core_oracle import layer_masks, philox

from rnnkit.testing import reference

TINY = 1e-200


def log_softmax(logits):
    shifted = logits - np.real(logits).max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def adaptive_log_p(model, tensors, hidden):
    """Log-probabilities of all words, (..., V)."""
    weight, *rest = tensors
    bias = rest.pop(0) if model.output_bias else 0.0
    root = log_softmax(hidden @ weight.T + bias)
    cutoffs = [] if model.head["cutoffs"] is None else list(model.head["cutoffs"])
    common = cutoffs[0] if cutoffs else model.vocab_size
    parts = [root[..., :common]]
    for i in range(len(cutoffs)):
        projection, words = rest[2 * i], rest[2 * i + 1]
        within = log_softmax((hidden @ projection.T) @ words.T)
        parts.append(root[..., common + i, None] + within)
    return np.concatenate(parts, axis=-1)


def softmax_log_p(model, tensors, hidden):
    bias = tensors[1] if model.output_bias else 0.0
    return log_softmax(hidden @ tensors[0].T + bias)


def sample(n_samples, vocab, seed, update):
    """The words drawn for a window, in order, and the number of draws."""
    if n_samples >= vocab // 2:
        return list(range(vocab)), 0
    words, draws = {}, 0
    while len(words) < n_samples:
        counter = (draws // 2, 0xFFFFFFFF, 0xFFFFFFFF, update)
        x = [int(word) for word in philox(counter, (seed & 0xFFFFFFFF, seed >> 32))]
        low, high = x[2 * (draws % 2) : 2 * (draws % 2) + 2]
        u = (((high << 32 | low) >> 12) + 0.5) / 2**52
        words[int((vocab + 1) ** u) - 1] = None
        draws += 1
    return list(words), draws


def expected_count(word, vocab, draws):
    """How often a word is expected among the distinct ones of some draws."""
    p = math.log((word + 2) / (word + 1)) / math.log(vocab + 1)
    return 1 - (1 - p) ** draws if draws else 1.0


def sampled_log_likelihood(model, tensors, hidden, target, drawn):
    """Of one row: its target beside the drawn words that are another."""
    words, draws = drawn
    candidates = [target, *(word for word in words if word != target)]
    bias = tensors[1][candidates] if model.output_bias else 0.0
    expected = [expected_count(word, model.vocab_size, draws) for word in candidates]
    return log_softmax(tensors[0][candidates] @ hidden + bias - np.log(expected))[0]


def log_p_of(model, tensors, hidden):
    """What scoring and prediction use."""
    adaptive = model.head.get("head") == "adaptive"
    return (adaptive_log_p if adaptive else softmax_log_p)(model, tensors, hidden)


def likelihoods(model, tensors, hidden, targets, *, training, seed=0, update=0):
    """Log-likelihood of each target, (T, B)."""
    if training and model.head.get("head") == "sampled":
        drawn = sample(model.head["n_samples"], model.vocab_size, seed, update)
        rows = [
            [
                sampled_log_likelihood(
                    model, tensors, hidden[t, b], targets[t, b], drawn
                )
                for b in range(targets.shape[1])
            ]
            for t in range(len(targets))
        ]
        return np.array(rows)
    log_p = log_p_of(model, tensors, hidden)
    return np.take_along_axis(log_p, targets[..., None], -1)[..., 0]


def outputs(model, values, ids, seed=0, update=0):
    """The top layer's, from all tensors."""
    below, at = values[0][ids], 1
    for layer, graph in enumerate(model.graphs):
        parameters = values[at : at + len(graph.parameters)]
        at += len(graph.parameters)
        masks = layer_masks(model, layer, ids.shape, seed, update)
        given = reference.Window(graph, parameters, below, None, masks=masks)
        below = reference.forward(given).outputs
    return below


def loss(model, values, ids, targets, weights=None, *, seed=0, update=0):
    """Of training: the weighted mean of -log-likelihood."""
    weights = np.ones(ids.shape) if weights is None else weights.astype(np.float64)
    found = likelihoods(
        model,
        model.head_tensors(values),
        outputs(model, values, ids, seed, update),
        np.where(weights > 0, targets, 0),
        training=True,
        seed=seed,
        update=update,
    )
    return -(weights * found).sum() / weights.sum()


def slope(function, values, index, direction):
    """The derivative of a function of all tensors along a direction of one."""
    moved = list(values)
    moved[index] = values[index] + 1j * TINY * direction
    return function(moved).imag / TINY
