# SPDX-License-Identifier: BSD-3-Clause
"""Dynamic evaluation against its equations, with gradients by a complex step."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_models import N_IDS, make_documents, make_model

from rnnkit.cells import IRNN, LSTM
from rnnkit.cells.base import Cell
from rnnkit.compiler import trace
from rnnkit.errors import InputError, InputTypeError, NonFiniteError, ParameterError
from rnnkit.model import Head, Network, NetworkConfig
from rnnkit.runtime import LanguageModel, NeuralCache, Options
from rnnkit.runtime.encoder import IdEncoder
from rnnkit.runtime.scorer import Scorer
from rnnkit.testing import reference
from rnnkit.training import DynamicEvaluation, gradient_rms

Values = dict[str, np.ndarray]
STEP = 1e-30  # of the imaginary part: far below what rounding would see
LENGTHS = (7, 0, 4, 11)


def tiny_model(cell: Cell | None = None, **options: Any) -> LanguageModel:
    """Few enough weights for a complex step of each; tied."""
    graphs = (trace(cell or LSTM(), 2, 2),)
    config = NetworkConfig(N_IDS + 1, 2, graphs, tie_weights=True, dtype="float64")
    rng = np.random.default_rng(6)
    values = {p.name: rng.normal(size=p.shape) for p in Network(config).parameters}
    return LanguageModel.from_values(
        config, values, IdEncoder(N_IDS), Options(**{"n_threads": 1, **options})
    )


def score(
    model: LanguageModel,
    values: Values,
    ids: list[int],
    targets: list[int],
    states: Any,
) -> tuple[np.ndarray, Any]:
    """Log-likelihoods of a segment, and the states after it."""
    (graph,) = model.network.config.graphs
    cell = [values[f"rnn.{p.name}_l0"] for p in graph.parameters]
    x = values["embedding.weight"][ids][:, None]
    run = reference.forward(reference.Window(graph, cell, x, states))
    logits = run.outputs[:, 0] @ values["embedding.weight"].T + values["output.bias"]
    norm = np.log(np.exp(logits).sum(axis=1))
    return logits[np.arange(len(targets)), targets] - norm, run.states


def gradient(
    model: LanguageModel,
    values: Values,
    ids: list[int],
    targets: list[int],
    states: Any,
) -> Values:
    """Of the mean loss, element by element."""
    found = {name: np.zeros(value.shape) for name, value in values.items()}
    for name, value in values.items():
        for place in np.ndindex(value.shape):
            moved = {n: v.astype(complex) for n, v in values.items()}
            moved[name][place] += STEP * 1j
            scores, _ = score(model, moved, ids, targets, states)
            found[name][place] = -scores.mean().imag / STEP
    return found


def slow_scores(dynamic: DynamicEvaluation, documents: list[np.ndarray]) -> np.ndarray:
    """Segment by segment, from the equations."""
    model, n = dynamic.model, dynamic.segment
    targets = [[*document.tolist(), N_IDS] for document in documents]
    if dynamic.options.carry_state:
        targets = [[token for text in targets for token in text]]
    first = {name: value.copy() for name, value in model.params.items()}
    s = {name: np.ones(v.shape) for name, v in first.items()}
    r = s
    if dynamic.rms is not None:
        mean = np.mean([v.mean() for v in dynamic.rms.values()])
        s = {name: v + dynamic.epsilon for name, v in dynamic.rms.items()}
        r = {
            name: np.minimum(v / mean, 1 / (dynamic.decay or 1e-300))
            for name, v in dynamic.rms.items()
        }
    result = []
    for text in targets:
        values, states = first, None
        for i in range(0, len(text), n):
            ids, here = [N_IDS, *text][i : i + n][: len(text) - i], text[i : i + n]
            scores, after = score(model, values, ids, here, states)
            result += scores.tolist()
            g = gradient(model, values, ids, here, states)
            norm = math.sqrt(sum((part**2).sum() for part in g.values()))
            clip = min(1.0, dynamic.max_grad_norm / norm)
            values = {
                p.name: np.clip(
                    values[p.name]
                    + dynamic.decay * r[p.name] * (first[p.name] - values[p.name])
                    - dynamic.learning_rate * clip * g[p.name] / s[p.name],
                    *(p.limits or (-np.inf, np.inf)),
                )
                for p in model.network.parameters
            }
            states = after
    return np.array(result)


def fast_scores(dynamic: Scorer, documents: list[np.ndarray]) -> np.ndarray:
    found = dynamic.score_tokens(documents)
    return np.concatenate([scores.log_probabilities for scores in found])


@pytest.mark.parametrize("carry_state", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.3},
        {"learning_rate": 0.2, "decay": 0.4, "segment": 3},
        {"learning_rate": 0.3, "segment": 3, "max_grad_norm": 0.7},
        {"learning_rate": 0.05, "decay": 0.5, "segment": 4, "with_rms": True},
        {"learning_rate": 0.05, "segment": 1, "with_rms": True},
    ],
)
def test_the_weights_move_as_the_equations_say(
    carry_state: bool, settings: dict[str, Any]
) -> None:
    model = tiny_model(carry_state=carry_state)
    documents = make_documents(LENGTHS)
    rms = gradient_rms(model, documents) if settings.pop("with_rms", False) else None
    dynamic = DynamicEvaluation(model, rms=rms, **settings)
    expected = slow_scores(dynamic, documents)
    static = DynamicEvaluation(model, learning_rate=0.0)
    assert abs(expected - fast_scores(static, documents)).max() > 0.01
    # Rounding grows with the steps; a wrong sign or order shows in the first digit.
    np.testing.assert_allclose(fast_scores(dynamic, documents), expected, rtol=1e-9)
    report = dynamic.evaluate(documents)
    assert report.log_likelihood == pytest.approx(expected.sum(), rel=1e-9)


def test_without_steps_it_is_the_model_itself() -> None:
    for carry_state in (False, True):
        model = make_model(carry_state=carry_state)
        dynamic = DynamicEvaluation(model, learning_rate=0.0, decay=0.5, segment=7)
        documents = make_documents()
        report = dynamic.evaluate(documents)
        assert report.score == pytest.approx(model.score(documents), rel=1e-12)
        assert report.accuracy == model.accuracy(documents)


def test_the_model_never_changes_and_calls_repeat_themselves() -> None:
    model, documents = make_model("float32"), make_documents()
    before = model.score_samples(documents).tobytes()
    dynamic = DynamicEvaluation(model, learning_rate=0.1)
    first = dynamic.score_samples(documents)
    assert dynamic.score_samples(documents).tobytes() == first.tobytes()
    assert model.score_samples(documents).tobytes() == before
    threads = dynamic.with_options(n_threads=3).score_samples(documents)
    assert threads.tobytes() == first.tobytes()
    assert dynamic.score_samples(documents[::-1])[::-1].tobytes() == first.tobytes()


def test_a_text_that_repeats_is_learned_while_it_is_read() -> None:
    model, documents = make_model(), [np.tile(make_documents((9,))[0], 30)]
    dynamic = DynamicEvaluation(model, learning_rate=0.1)
    assert dynamic.score(documents) > model.score(documents)
    rms = gradient_rms(model, make_documents())
    dynamic = DynamicEvaluation(model, rms=rms, learning_rate=5e-3, decay=1e-3)
    assert dynamic.score(documents) > model.score(documents)


def test_the_statistics_are_root_mean_squares_of_window_gradients() -> None:
    model = tiny_model(carry_state=True)
    (document,) = documents = make_documents((11,))
    text = [*document.tolist(), N_IDS]
    squares = {name: np.zeros(value.shape) for name, value in model.params.items()}
    states = None
    for i in range(0, 12, 4):
        ids, here = [N_IDS, *text][i : i + 4], text[i : i + 4]
        g = gradient(model, dict(model.params), ids, here, states)
        squares = {name: s + g[name] ** 2 for name, s in squares.items()}
        _, states = score(model, dict(model.params), ids, here, states)
    found = gradient_rms(model, documents, bptt=4)
    for name, square in squares.items():
        np.testing.assert_allclose(found[name], np.sqrt(square / 3), rtol=1e-10)


def test_weights_stay_within_the_limits_of_their_cell() -> None:
    class Limited(IRNN):
        limits = {"weight_hh": (-0.5, 0.5)}  # noqa: RUF012

    model = tiny_model(Limited())
    dynamic = DynamicEvaluation(model, learning_rate=0.3, segment=2)
    documents = make_documents(LENGTHS)
    expected = slow_scores(dynamic, documents)
    np.testing.assert_allclose(fast_scores(dynamic, documents), expected, rtol=1e-9)


@pytest.mark.parametrize("with_rms", [False, True])
def test_the_grid_holds_the_score_of_every_combination(with_rms: bool) -> None:
    model, documents = make_model("float32"), make_documents(LENGTHS)
    rms = gradient_rms(model, documents) if with_rms else None
    rates, decays = [1e-3, 1e-2], [0.0, 0.1]
    settings: dict[str, Any] = {"rms": rms, "segment": 3}
    grid = {"learning_rates": rates, "decays": decays}
    scores = DynamicEvaluation.grid(model, documents, **grid, **settings)
    expected = [
        [DynamicEvaluation(model, learning_rate=r, decay=d, **settings) for d in decays]
        for r in rates
    ]
    for found, row in zip(scores, expected, strict=True):
        assert found == pytest.approx([dynamic.score(documents) for dynamic in row])
    best = DynamicEvaluation.tuned(model, documents, **grid, **settings)
    assert best.score(documents) == pytest.approx(scores.max())
    assert (best.segment, best.rms is None) == (3, rms is None)


def test_the_usual_grid_grows_with_the_segment() -> None:
    model, documents = make_model("float32"), make_documents((3,))
    assert DynamicEvaluation.grid(model, documents).shape == (4, 2)
    short = DynamicEvaluation.tuned(model, documents, learning_rates=[1e-9])
    assert short.decay in (0.0, 1e-2)
    for segment in (10, 10_000):  # a decay is at most 1
        rms = gradient_rms(model, documents)
        dynamic = DynamicEvaluation.tuned(model, documents, rms=rms, segment=segment)
        longer = segment / 5
        assert dynamic.learning_rate in [r * longer for r in (3e-5, 5e-5, 1e-4)]
        assert dynamic.decay in [min(1, d * longer) for d in (1e-3, 2e-3, 5e-3)]


def test_no_grid_or_none_that_is_finite_is_refused() -> None:
    model, documents = make_model("float32"), make_documents()
    with pytest.raises(ParameterError, match="decays is empty"):
        DynamicEvaluation.grid(model, documents, decays=[])
    scores = DynamicEvaluation.grid(model, documents, learning_rates=[1e-9, 1e38])
    assert np.isfinite(scores[0]).all() and (scores[1] == -np.inf).all()
    with pytest.raises(NonFiniteError, match=r"any of learning_rates=\[1e\+38\]"):
        DynamicEvaluation.tuned(model, documents, learning_rates=[1e38])


@pytest.mark.parametrize("carry_state", [False, True])
def test_a_cache_stands_on_weights_that_go_on_learning(carry_state: bool) -> None:
    """Of the outputs that the adapted weights gave when they were read."""
    model = make_model(carry_state=carry_state)
    documents = make_documents(LENGTHS)
    still = DynamicEvaluation(model, learning_rate=0.0)
    settings = {"window": 8, "theta": 1.5, "weight": 0.3}
    found = NeuralCache(still, **settings).evaluate(documents)
    expected = NeuralCache(model, **settings).evaluate(documents)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-12)
    assert found.n_hits == expected.n_hits
    dynamic = DynamicEvaluation(model, learning_rate=0.2, segment=4)
    both = NeuralCache(dynamic, **settings).score_samples(documents)
    alone = NeuralCache(dynamic, weight=0.0).score_samples(documents)
    np.testing.assert_allclose(alone, dynamic.score_samples(documents), rtol=1e-12)
    assert abs(both - alone).max() > 0.01
    # The cache's share, from the outputs and likelihoods of each step.
    corpus = dynamic.encoder.encode(documents)
    steps = dynamic._steps(corpus, carry_state=carry_state, n_threads=1)
    outputs = np.concatenate([step.window.outputs()[:, 0] for step in steps])
    p = np.exp(fast_scores(dynamic, documents))
    targets = np.array([t for d in documents for t in (*d, N_IDS)])
    ends = np.cumsum([len(d) + 1 for d in documents])
    starts = np.array([0, *ends[:-1]])
    for i, token in enumerate(targets):
        start = 0 if carry_state else starts[np.searchsorted(ends, i, side="right")]
        past = np.arange(max(start, i - 8), i)
        if len(past):
            shares = np.exp(1.5 * outputs[past] @ outputs[i])
            p_cache = shares[targets[past] == token].sum() / shares.sum()
            p[i] = 0.7 * p[i] + 0.3 * p_cache
    np.testing.assert_allclose(
        fast_scores(NeuralCache(dynamic, **settings), documents), np.log(p), rtol=1e-9
    )


def test_steps_that_are_too_large_say_what_to_change() -> None:
    for rate in (1e3, 1e38):  # the first loss is huge, the second infinite
        dynamic = DynamicEvaluation(make_model("float32"), learning_rate=rate)
        with pytest.raises(NonFiniteError, match=r"ran away.*a smaller learning_rate"):
            dynamic.score(make_documents())


def test_a_sampled_head_is_scored_with_all_tokens() -> None:
    whole, documents = make_model(carry_state=True), make_documents()
    config = replace(whole.network.config, head=Head("sampled", n_samples=3))
    sampled = LanguageModel.from_values(
        config, dict(whole.params), whole.encoder, whole.options
    )
    rms = gradient_rms(sampled, documents)
    for name, expected in gradient_rms(whole, documents).items():
        np.testing.assert_array_equal(rms[name], expected)
    found, expected = (
        DynamicEvaluation(model, learning_rate=1e-3, rms=rms).score_samples(documents)
        for model in (sampled, whole)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": -1.0}, "learning_rate=-1.0; allowed: a number >= 0"),
        ({"decay": 1.5}, "decay=1.5; allowed: a number 0 to 1"),
        ({"segment": 0}, "segment=0; allowed: a whole number >= 1"),
        ({"epsilon": 0.0}, "epsilon=0; allowed: a number > 0"),
    ],
)
def test_settings_out_of_range_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        DynamicEvaluation(make_model(), **{"learning_rate": 0.1, **settings})


def test_statistics_of_another_model_are_refused() -> None:
    model = make_model()
    good = gradient_rms(model, make_documents())
    name = "output.bias"
    cases: list[tuple[Any, str]] = [
        ({}, "rms has no 'embedding.weight'"),
        ({**good, name: good[name][:2]}, r"rms\['output.bias'\] has the shape \(2,\)"),
        ({**good, name: -good[name]}, "a value that is not finite or < 0"),
        ({n: v * 0 for n, v in good.items()}, "no gradient was seen"),
    ]
    for rms, message in cases:
        with pytest.raises(InputError, match=message):
            DynamicEvaluation(model, learning_rate=0.1, rms=rms)
    with pytest.raises(InputTypeError, match="a model is of type NoneType"):
        DynamicEvaluation(None, learning_rate=0.1)
