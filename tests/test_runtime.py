# SPDX-License-Identifier: BSD-3-Clause
"""The runtime against a NumPy reading of the same network, document by document."""

import copy
import math
import pickle
import threading

import numpy as np
import pytest
from small_models import (
    LENGTHS,
    N_IDS,
    log_likelihood,
    make_documents,
    make_model,
    read,
)

from rnnkit.cells import GRU
from rnnkit.compiler import trace
from rnnkit.errors import InputError, InputTypeError, ParameterError
from rnnkit.model import Network, NetworkConfig
from rnnkit.runtime import LanguageModel, Options
from rnnkit.runtime.encoder import IdEncoder
from rnnkit.runtime.sampling import draw, likeliest, seed_from


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return make_model()


def test_score_samples_is_the_log_likelihood_of_each_document(
    model: LanguageModel,
) -> None:
    documents = make_documents()
    expected = [log_likelihood(model, document) for document in documents]
    # Rounding of float64 over at most 66 steps.
    assert model.score_samples(documents) == pytest.approx(expected, rel=1e-12)


def test_score_perplexity_and_accuracy_are_means_over_tokens_and_ends(
    model: LanguageModel,
) -> None:
    documents = make_documents()
    n_tokens = sum(LENGTHS) + len(LENGTHS)
    mean = sum(log_likelihood(model, document) for document in documents) / n_tokens
    assert model.score(documents) == pytest.approx(mean, rel=1e-12)
    assert model.perplexity(documents) == pytest.approx(math.exp(-mean), rel=1e-12)
    hits = 0
    for document in documents:
        _, log_p = read(model, np.array([N_IDS, *document]))
        hits += int((log_p.argmax(axis=1) == [*document, N_IDS]).sum())
    assert model.accuracy(documents) == hits / n_tokens
    report = model.evaluate(documents)
    assert (report.n_documents, report.n_tokens) == (len(LENGTHS), n_tokens)
    assert (report.n_unknown, report.n_characters) == (0, None)
    assert report.bits_per_character is None


def test_carry_state_reads_one_running_text() -> None:
    model = make_model(carry_state=True)
    documents = make_documents()
    read_ids = np.concatenate([[N_IDS, *document] for document in documents])
    predicted = np.concatenate([[*document, N_IDS] for document in documents])
    outputs, log_p = read(model, read_ids)
    scores = log_p[np.arange(len(predicted)), predicted]
    ends = np.cumsum([len(document) + 1 for document in documents])
    expected = [part.sum() for part in np.split(scores, ends[:-1])]
    assert model.score_samples(documents) == pytest.approx(expected, rel=1e-12)
    means = [part.mean(axis=0) for part in np.split(outputs, ends[:-1])]
    np.testing.assert_allclose(model.transform(documents), means, rtol=1e-11)


def test_transform_is_the_mean_of_the_top_layer(model: LanguageModel) -> None:
    documents = make_documents()
    expected = [read(model, np.array([N_IDS, *d]))[0].mean(axis=0) for d in documents]
    np.testing.assert_allclose(model.transform(documents), expected, rtol=1e-11)


@pytest.mark.parametrize("carry_state", [False, True])
def test_score_tokens_is_the_log_probability_of_each_token(carry_state: bool) -> None:
    model = make_model(carry_state=carry_state)
    documents = make_documents()
    found = model.score_tokens(documents)
    whole = np.concatenate([[N_IDS, *document] for document in documents])
    running, start = read(model, whole)[1], 0
    for document, scores in zip(documents, found, strict=True):
        targets = [*document, N_IDS]
        log_p = read(model, np.array([N_IDS, *document]))[1]
        if carry_state:
            log_p = running[start : start + len(targets)]
        start += len(targets)
        expected = log_p[np.arange(len(targets)), targets]
        np.testing.assert_allclose(scores.log_probabilities, expected, rtol=1e-11)
        assert scores.ids.tolist() == targets
        assert scores.tokens == [*document, "<eos>"]
    sums = [scores.log_probabilities.sum() for scores in found]
    assert model.score_samples(documents) == pytest.approx(sums, rel=1e-12)


def test_predict_next_proba_is_the_softmax_after_each_prompt(
    model: LanguageModel,
) -> None:
    prompts = make_documents()
    expected = [np.exp(read(model, np.array([N_IDS, *p]))[1][-1]) for p in prompts]
    np.testing.assert_allclose(model.predict_next_proba(prompts), expected, rtol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_threads", [1, 2, 3, 8])
def test_a_document_gives_the_same_bits_alone_and_among_others(
    dtype: str, n_threads: int
) -> None:
    lengths = (
        *LENGTHS,
        *range(90),
        2100,
    )  # more than the rows of a batch, one very long
    documents = make_documents(lengths)
    model = make_model(dtype)
    together = model.with_options(n_threads=n_threads)
    scores = together.score_samples(documents)
    backwards = together.score_samples(documents[::-1])[::-1]
    assert scores.tobytes() == backwards.tobytes()
    vectors = together.transform(documents)
    chances = together.predict_next_proba(documents)
    for i in (0, 1, 4, 40, len(lengths) - 1):
        assert model.score_samples([documents[i]])[0] == scores[i]
        assert model.transform([documents[i]])[0].tobytes() == vectors[i].tobytes()
        assert (
            model.predict_next_proba(documents[i])[0].tobytes() == chances[i].tobytes()
        )


def test_a_stream_gives_the_bits_of_a_prompt_however_it_is_fed(
    model: LanguageModel,
) -> None:
    prompt = make_documents((65,))[0]
    expected = model.predict_next_proba(prompt)[0]
    whole = model.stream().feed(prompt)
    pieces = model.stream().feed(prompt[:17]).feed([]).feed(prompt[17:])
    single = model.stream()
    for token in prompt:
        single.feed([token])
    for stream in (whole, pieces, single):
        assert stream.predict_next_proba().tobytes() == expected.tobytes()
        assert stream.predict_next(3) == model.predict_next(prompt, k=3)[0]


def test_a_copied_stream_goes_its_own_way(model: LanguageModel) -> None:
    stream = model.stream().feed([1, 2])
    branch = stream.copy()
    before = stream.predict_next_proba()
    branch.feed([3])
    assert stream.predict_next_proba().tobytes() == before.tobytes()
    expected = model.predict_next_proba([1, 2, 3])[0]
    assert branch.predict_next_proba().tobytes() == expected.tobytes()
    start = model.stream().predict_next_proba()
    assert branch.reset().predict_next_proba().tobytes() == start.tobytes()


def test_predict_next_gives_the_likeliest_tokens_in_order(model: LanguageModel) -> None:
    chances = model.predict_next_proba([[], [1, 2]])
    best = model.predict_next([[], [1, 2]], k=3)
    for row, pairs in zip(chances, best, strict=True):
        tokens = [model.encoder.end_id if t == "<eos>" else t for t, _ in pairs]
        assert tokens == np.argsort(-row, kind="stable")[:3].tolist()
        assert [p for _, p in pairs] == sorted(row, reverse=True)[:3]
    assert len(model.predict_next([[]], k=100)[0]) == N_IDS + 1


def test_a_prompt_of_a_million_ids_takes_no_more_memory_than_a_short_one() -> None:
    graph = trace(GRU(), 1, 1)
    config = NetworkConfig(3, 1, (graph,))
    network = Network(config)
    values = network.initial_values(np.random.default_rng(0))
    model = LanguageModel.from_values(
        config, values, IdEncoder(2), Options(n_threads=1)
    )
    prompt = np.zeros(1_000_000, np.int32)
    chances = model.predict_next_proba(prompt)
    assert np.isfinite(chances).all()
    assert chances.sum() == pytest.approx(1.0, abs=1e-6)


def test_generate_follows_the_likeliest_tokens_at_temperature_0(
    model: LanguageModel,
) -> None:
    written = model.generate([1], temperature=0, max_new_tokens=20)
    ids = [1]
    for token in written:
        best = int(model.predict_next_proba(ids)[0].argmax())
        assert token == best != N_IDS
        ids.append(token)
    ended = int(model.predict_next_proba(ids)[0].argmax()) == N_IDS
    assert ended or len(written) == 20
    assert written.tolist() == model.generate([1], top_k=1, max_new_tokens=20).tolist()
    assert written.tolist() == model.generate([1], top_p=0, max_new_tokens=20).tolist()


def test_generate_depends_on_the_seed_and_on_nothing_else(model: LanguageModel) -> None:
    settings = {"max_new_tokens": 30, "random_state": 7}
    first = model.generate([2, 1], **settings)
    many = model.generate([[2, 1], [], [2, 1]], **settings)
    assert first.tolist() == many[0].tolist()
    assert many[0].tolist() != many[2].tolist()  # another prompt draws other numbers
    other = model.generate([2, 1], max_new_tokens=30, random_state=8)
    assert first.tolist() != other.tolist()
    assert model.generate([2, 1], max_new_tokens=0).tolist() == []


def test_draws_follow_the_distribution() -> None:
    p = np.array([0.1, 0.4, 0.0, 0.3, 0.2])
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
    grid = (np.arange(1000) + 0.5) / 1000

    def shares(**settings: object) -> np.ndarray:
        drawn = [draw(log_p, u, **settings) for u in grid]  # type: ignore[arg-type]
        return np.bincount(drawn, minlength=5) / 1000

    # One step of the grid on either side of each bound.
    np.testing.assert_allclose(shares(), p, atol=2e-3)
    sharp = p**2 / (p**2).sum()
    np.testing.assert_allclose(shares(temperature=0.5), sharp, atol=2e-3)
    np.testing.assert_allclose(shares(top_k=2), [0, 4 / 7, 0, 3 / 7, 0], atol=2e-3)
    np.testing.assert_allclose(shares(top_p=0.6), [0, 4 / 7, 0, 3 / 7, 0], atol=2e-3)
    np.testing.assert_allclose(
        shares(top_p=0.8), [0, 4 / 9, 0, 3 / 9, 2 / 9], atol=2e-3
    )
    np.testing.assert_allclose(shares(never=1), [1 / 6, 0, 0, 0.5, 1 / 3], atol=2e-3)
    np.testing.assert_allclose(shares(temperature=1e-300), [0, 1, 0, 0, 0])
    assert draw(log_p, 1.0 - 2**-53) == 0  # never a token of probability 0


@pytest.mark.parametrize("k", [1, 3, 4, 7, 100])
def test_likeliest_ranks_equal_tokens_by_their_ids(k: int) -> None:
    scores = np.array([1.0, 3.0, 2.0, 3.0, 2.0, 2.0, 0.0])
    assert likeliest(scores, k).tolist() == [1, 3, 2, 4, 5, 0, 6][:k]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": -1}, "max_new_tokens=-1; allowed: a whole number >= 0"),
        ({"max_new_tokens": True}, "max_new_tokens=True"),
        ({"max_new_tokens": 2.0}, "max_new_tokens=2.0"),
        ({"temperature": -0.5}, "temperature=-0.5; allowed: a number >= 0"),
        ({"temperature": math.nan}, "temperature=nan"),
        ({"temperature": "hot"}, "temperature='hot'"),
        ({"top_k": 0}, "top_k=0; allowed: a whole number >= 1"),
        ({"top_p": 1.5}, "top_p=1.5; allowed: a number 0 to 1"),
        ({"min_new_tokens": -1}, "min_new_tokens=-1"),
        ({"num_beams": 0}, "num_beams=0; allowed: a whole number >= 1"),
        ({"num_return_sequences": 1.5}, "num_return_sequences=1.5"),
        ({"num_beams": 2, "top_k": 5}, "num_beams=2 searches and draws nothing"),
        ({"num_beams": 2, "num_return_sequences": 3}, "allowed: at most num_beams=2"),
        ({"repetition_penalty": 0}, "repetition_penalty=0; allowed: a number > 0"),
        ({"no_repeat_ngram_size": 0}, "no_repeat_ngram_size=0"),
        ({"length_penalty": math.inf}, "length_penalty=inf"),
        ({"stop": "."}, "this model reads ids, it writes no text to stop at"),
        ({"stop": ""}, "stop=''; allowed: a text that is not empty"),
        ({"stop": [1]}, "stop=.1.; allowed"),
        ({"bad_words": "a"}, "bad_words='a'; allowed: a list"),
        ({"bad_words": [3]}, "allowed: a list of sequences of ids"),
        ({"bad_words": [[]]}, "one of them has no tokens"),
        ({"bad_words": [[9]]}, "holds the id 9"),
        ({"max_tokens": 3}, "generate has no option 'max_tokens'; allowed: max_new_"),
    ],
)
def test_a_bad_request_says_what_is_allowed(
    model: LanguageModel, settings: dict[str, object], message: str
) -> None:
    with pytest.raises((ParameterError, InputError), match=message):
        model.generate([1], **settings)


@pytest.mark.parametrize("k", [0, -1, 1.0, "3", True, None])
def test_a_bad_k_is_refused(model: LanguageModel, k: object) -> None:
    with pytest.raises(ParameterError, match="k="):
        model.predict_next([[1]], k=k)  # type: ignore[arg-type]


def test_seeds_come_from_all_that_scikit_learn_takes() -> None:
    assert seed_from(3) == seed_from(np.int64(3)) == 3
    assert seed_from(np.random.RandomState(0)) == seed_from(np.random.RandomState(0))
    assert seed_from(np.random.default_rng(0)) == seed_from(np.random.default_rng(0))
    assert seed_from(None) != seed_from(None)
    for wrong in (-1, 2**64):
        with pytest.raises(ParameterError, match="a seed lies in"):
            seed_from(wrong)
    for wrong in ("1", True, 0.5):
        with pytest.raises(ParameterError, match="allowed: None"):
            seed_from(wrong)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], InputError, "X is empty"),
        ([[0, 6]], InputError, "document 0 holds the id 6; allowed are 0 to 5"),
        ([[0], [-1]], InputError, "document 1 holds the id -1"),
        ([[0.5]], InputTypeError, "document 0 must be a flat sequence"),
        ([[True]], InputTypeError, "document 0 must be a flat sequence"),
        ([[[1]]], InputTypeError, "document 0 must be a flat sequence"),
        ([[[1], [2, 3]]], InputTypeError, "document 0 must be a flat sequence"),
        (["abc"], InputTypeError, "document 0 is of type str"),
        ([1, 2], InputTypeError, "document 0 is of type int"),
        ([None], InputTypeError, "document 0 is of type NoneType"),
        (None, InputTypeError, "NoneType object received"),
        ("abc", InputError, "string object received"),
        (7, InputTypeError, "int object received"),
        ({1: [2]}, InputTypeError, "dict object received"),
        ({(1,)}, InputTypeError, "it has no order"),
        (np.zeros((2, 2, 2), int), InputTypeError, "shape"),
    ],
)
def test_what_is_no_list_of_ids_is_refused(
    model: LanguageModel, X: object, error: type[Exception], message: str
) -> None:
    methods = (model.score, model.score_samples, model.transform, model.accuracy)
    for method in (*methods, model.score_tokens):
        with pytest.raises(error, match=message):
            method(X)  # type: ignore[arg-type]


def test_rows_of_a_matrix_and_iterators_are_documents(model: LanguageModel) -> None:
    matrix = np.array([[1, 2, 3], [3, 2, 1]])
    expected = model.score_samples([[1, 2, 3], [3, 2, 1]])
    assert model.score_samples(matrix).tolist() == expected.tolist()
    assert model.score_samples(iter(matrix)).tolist() == expected.tolist()
    assert model.score_samples((range(1, 4), (3, 2, 1))).tolist() == expected.tolist()


def test_threads_predict_at_once_from_one_model() -> None:
    model = make_model("float32")
    documents = make_documents()
    expected = model.score_samples(documents).tobytes()
    prompt = model.predict_next([[1, 2, 3]])
    failures = []

    def work() -> None:
        for _ in range(50):
            if model.score_samples(documents).tobytes() != expected:
                failures.append("score")
            if model.predict_next([[1, 2, 3]]) != prompt:
                failures.append("next")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_copies_and_pickles_predict_the_same(model: LanguageModel) -> None:
    documents = make_documents()
    expected = model.score_samples(documents).tobytes()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.score_samples(documents).tobytes() == expected


def test_params_cannot_be_written_to(model: LanguageModel) -> None:
    with pytest.raises(ValueError, match="read-only"):
        model.params["output.bias"][0] = 1.0
    with pytest.raises(TypeError):
        model.params["output.bias"] = 0  # type: ignore[index]
