# SPDX-License-Identifier: BSD-3-Clause
"""ARPA files, read and mixed, against a reading of the definition by hand."""

import gzip
import importlib.machinery
import math
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from small_models import make_text_model

from rnnkit.errors import ConversionError, MissingPackageError, ParameterError
from rnnkit.interchange.arpa import Interpolation, KenLM, NGram, read_ngrams
from rnnkit.tokenizers import WordTokenizer

TEXTS = ["the cat sat", "the dog sat on the cat", "a bird"]
# p(w), p(w | v), p(w | u v); the weights make each sum 1.
ONE = {"</s>": 0.2, "<unk>": 0.1, "the": 0.3, "cat": 0.2, "dog": 0.1, "sat": 0.1}
TWO = {
    ("<s>", "the"): 0.5,
    ("the", "cat"): 0.4,
    ("the", "dog"): 0.3,
    ("cat", "sat"): 0.6,
}
THREE = {("<s>", "the", "cat"): 0.7, ("the", "cat", "sat"): 0.8}


def probability(context, word):
    """The definition, written out."""
    if not context:
        return ONE[word]
    table = {1: TWO, 2: THREE}[len(context)]
    if (*context, word) in table:
        return table[*context, word]
    return weight(context) * probability(context[1:], word)


def weight(context):
    """What is left of 1, over what shorter contexts give to the words that are left."""
    table = {1: TWO, 2: THREE}[len(context)]
    after = [gram[-1] for gram in table if gram[:-1] == context]
    left = 1 - sum(table[*context, word] for word in after)
    return left / (1 - sum(probability(context[1:], word) for word in after))


def arpa():
    lines = ["\\data\\", "ngram 1=7", "ngram 2=4", "ngram 3=2", "", "\\1-grams:"]
    lines += [f"-99\t<s>\t{math.log10(weight(('<s>',)))}"]
    lines += [
        f"{math.log10(p)}\t{w}\t{math.log10(weight((w,)))}" for w, p in ONE.items()
    ]
    lines += ["", "\\2-grams:"]
    for gram, p in TWO.items():
        lines.append(f"{math.log10(p)}\t{' '.join(gram)}\t{math.log10(weight(gram))}")
    lines += ["", "\\3-grams:"]
    lines += [f"{math.log10(p)}\t{' '.join(gram)}" for gram, p in THREE.items()]
    return "\n".join([*lines, "", "\\end\\", ""])


class StandIn:
    """What rnnkit uses of `kenlm.Model`, by the definition; states are lists."""

    def __init__(self, path, config):
        assert not config.show_progress
        if not path.endswith(".arpa"):
            raise OSError(f"Cannot read model '{path}'")
        self.order = 3

    def __contains__(self, word):
        return word == "<s>" or (word in ONE and word != "<unk>")

    def NullContextWrite(self, state):  # noqa: N802
        state[:] = []

    def BeginSentenceWrite(self, state):  # noqa: N802
        state[:] = ["<s>"]

    def BaseScore(self, state, word, after):  # noqa: N802
        known = word if word in ONE else "<unk>"
        after[:] = [*state, known][-2:]
        return math.log10(probability(tuple(state), known))


def stand_in():
    module = ModuleType("kenlm")
    module.__spec__ = importlib.machinery.ModuleSpec("kenlm", None)
    module.Model, module.State = StandIn, list
    module.Config = lambda: SimpleNamespace(show_progress=True)
    return module


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.arpa"
    path.write_text(arpa(), "utf-8")
    return path


@pytest.fixture(params=["NGram", "stand-in", "kenlm"])
def ngram(path, request, monkeypatch):
    """The model, read in each way; kenlm computes in single precision."""
    if request.param == "NGram":
        monkeypatch.setitem(sys.modules, "kenlm", None)
        return NGram(path)
    if request.param == "kenlm":
        pytest.importorskip("kenlm", reason="reads ARPA files in its own way")
    else:
        monkeypatch.setitem(sys.modules, "kenlm", stand_in())
    found = read_ngrams(path)
    assert isinstance(found, KenLM)
    return found


CONTEXTS = ["", "<s>", "the", "<s> the", "the cat", "dog cat", "cat dog", "sat the cat"]


@pytest.mark.parametrize("context", [tuple(words.split()) for words in CONTEXTS])
def test_probabilities_are_those_of_the_definition_and_sum_to_one(ngram, context):
    assert ngram.order == 3
    ids = tuple(ngram.id_of(word) for word in context)
    words = [ngram.id_of(word) for word in ONE]
    p = np.exp(ngram.log_probabilities(ids, np.array(words)))
    assert p.sum() == pytest.approx(1, abs=1e-6)
    for word, found in zip(ONE, p, strict=True):
        expected = probability(context[-2:], word)
        assert found == pytest.approx(expected, rel=2e-6)
        alone = ngram.log_probability(ids, ngram.id_of(word))
        assert math.exp(alone) == pytest.approx(expected, rel=2e-6)
    assert ngram.id_of("zebra") is None


def test_our_reader_is_exact(path):
    ngram = NGram(path)
    p = np.exp(ngram.log_distribution((ngram.words["the"], ngram.words["cat"])))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    expected = probability(("the", "cat"), "dog")
    assert p[ngram.words["dog"]] == pytest.approx(expected, rel=1e-12)


def test_a_packed_file_is_the_same(tmp_path, path):
    packed = tmp_path / "model.arpa.gz"
    packed.write_bytes(gzip.compress(arpa().encode()))
    ngram, found = NGram(path), NGram(packed)
    the = (ngram.words["the"],)
    np.testing.assert_array_equal(
        found.log_distribution(the), ngram.log_distribution(the)
    )


def test_a_word_may_hold_a_space_of_another_kind(path):
    path.write_text(arpa().replace("dog", "hot\u00a0dog"), "utf-8")
    assert "hot\u00a0dog" in NGram(path).words


def test_kenlm_is_used_where_it_is_and_named_where_it_is_not(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kenlm", None)
    with pytest.raises(MissingPackageError, match="pip install kenlm"):
        KenLM(path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(read_ngrams(path), NGram)
    monkeypatch.setitem(sys.modules, "kenlm", stand_in())
    with pytest.raises(ConversionError, match="Cannot read model"):
        KenLM("model.bin")


@pytest.fixture
def model():
    return make_text_model(WordTokenizer(), TEXTS)


def expected_p(model, text, share, weight):
    """Mixed probabilities of a text's tokens, one after the other."""
    words = [*text.split(), "</s>"]
    log_p = model.score_tokens([text])[0].log_probabilities
    history, found = ["<s>"], []
    for word, mine in zip(words, log_p, strict=True):
        known = word if word in ONE else "<unk>"
        theirs = probability(tuple(history[-2:]), known)
        theirs /= share if known == "<unk>" else 1
        found.append((1 - weight) * math.exp(mine) + weight * theirs)
        history.append(known)
    return found


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_mixture_scores_as_the_mean_of_both(model, ngram, weight):
    mixture = Interpolation(model, ngram, weight=weight)
    unknown = [t for t in model.encoder.tokens if t not in ONE and t != "<eos>"]
    assert mixture.n_unknown == len(unknown) + 1 == 4  # and <unk> itself
    texts = ["the cat sat", "the dog on a bird", "zebra the the cat", ""]
    expected = [
        sum(map(math.log, expected_p(model, text, 4, weight))) for text in texts
    ]
    np.testing.assert_allclose(mixture.score_samples(texts), expected, rtol=1e-6)
    assert mixture.evaluate(texts).log_likelihood == pytest.approx(
        sum(expected), rel=1e-6
    )


def test_what_comes_next_is_mixed_as_well(model, ngram):
    mixture = Interpolation(model, ngram, weight=0.4)
    p = mixture.predict_next_proba(["the cat"])[0]
    assert p.sum() == pytest.approx(1, abs=1e-6)
    for word in ("sat", "bird"):
        i = list(model.encoder.tokens).index(word)
        mine = model.predict_next_proba(["the cat"])[0][i]
        known = word if word in ONE else "<unk>"
        theirs = probability(("the", "cat"), known) / (1 if word in ONE else 4)
        assert p[i] == pytest.approx(0.6 * mine + 0.4 * theirs, rel=1e-6)
    only = Interpolation(model, ngram, weight=1.0)
    assert only.generate("the cat", max_new_tokens=1, temperature=0) == "sat"
    hits = only.evaluate(["the cat sat"]).n_hits
    contexts = [("<s>",), ("<s>", "the"), ("the", "cat"), ("cat", "sat")]
    ranked = [max(ONE, key=lambda w, c=c: probability(c, w)) for c in contexts]
    truth = ["the", "cat", "sat", "</s>"]
    assert hits == sum(a == b for a, b in zip(ranked, truth, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:-6], "does not end with"),
        (lambda t: t.replace("ngram 2=4", "ngram 2=5"), "it announces {1: 7, 2: 5"),
        (lambda t: t.replace("\tthe\t", "\tthe cat dog\t"), "line 10: 5 fields|no num"),
        (lambda t: t.replace("the dog", "the zebra"), "'zebra' is no 1-gram"),
        (lambda t: t.replace("-99", "much"), "line 7: no number where"),
        (lambda t: "", "holds {}"),
    ],
)
def test_a_malformed_file_is_refused_by_its_line(tmp_path, change, message):
    path = tmp_path / "model.arpa"
    path.write_text(change(arpa()), "utf-8")
    with pytest.raises(ConversionError, match=message):
        NGram(path)


def test_without_unk_both_must_know_the_same(tmp_path, model):
    path = tmp_path / "model.arpa"
    path.write_text(arpa().replace("<unk>", "other"), "utf-8")
    with pytest.raises(ConversionError, match="does not know 4 tokens of the model"):
        Interpolation(model, NGram(path))


def test_a_weight_is_a_share(model, ngram):
    with pytest.raises(ParameterError, match="weight=2"):
        Interpolation(model, ngram, weight=2)
