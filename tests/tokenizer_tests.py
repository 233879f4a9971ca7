# SPDX-License-Identifier: BSD-3-Clause
"""What every tokenizer must do, as one class: a subclass names one and some texts.

class TestSpam(TokenizerTests):
    tokenizer = SpamTokenizer()
    texts = ("spam and eggs", ...)
"""

import copy
import json
import pickle
from types import MappingProxyType

import numpy as np
import pytest

import rnnkit
from rnnkit import plugins
from rnnkit.errors import (
    InputError,
    InputTypeError,
    ModelFormatError,
    NotFittedError,
    ParameterError,
)


class TokenizerTests:
    """The tests.

    Attributes
    ----------
    tokenizer : Tokenizer
        Not fitted.
    texts : sequence of str
        To learn from; each is decoded as it was where `is_exact`.
    odd_texts : sequence of str
        Texts to encode whose characters may be unknown.
    is_exact : bool, default=True
        Whether decoding gives the same text; else encoding it again gives the same ids.
    broken : dict of str to object
        Values of the state that must be refused.
    refused : sequence of (dict, str)
        Parameters that are out of range, and what the error says of them.
    """

    tokenizer = None
    texts = ()
    odd_texts = ("", " ", "\n\n a", "Zoë & 日本 \x00", "<eos> <unk>", "a\tb\r\nc")
    is_exact = True
    broken = MappingProxyType({})
    refused = ()

    @pytest.fixture
    def fitted(self):
        return copy.deepcopy(self.tokenizer).fit(iter(self.texts))

    # -------------------------------------------------------------------------- ids

    def test_a_text_is_ids_of_the_vocabulary(self, fitted):
        for text in (*self.texts, *self.odd_texts):
            ids = fitted.encode(text)
            assert ids.dtype == np.int32
            assert ids.ndim == 1
            assert all(0 <= i < fitted.n_tokens for i in ids)
            assert fitted.end_id not in ids or "<eos>" in text
        assert fitted.encode("").size == 0

    def test_every_token_has_a_name_of_its_own(self, fitted):
        assert len(set(fitted.vocabulary_)) == fitted.n_tokens
        assert all(isinstance(token, str) and token for token in fitted.vocabulary_)
        assert fitted.vocabulary_[fitted.end_id] == "<eos>"
        if fitted.unk_id is not None:
            assert fitted.vocabulary_[fitted.unk_id] == "<unk>"

    def test_a_text_has_the_same_ids_alone_and_among_others(self, fitted):
        texts = [*self.texts, *self.odd_texts]
        ids, offsets = fitted.encode_documents(iter(texts))
        assert offsets[0] == 0
        assert offsets[-1] == len(ids)
        for i, text in enumerate(texts):
            alone = fitted.encode(text)
            assert np.array_equal(ids[offsets[i] : offsets[i + 1]], alone)
        assert [len(a) for a in fitted.encode_documents([])] == [0, 1]

    def test_what_is_decoded_reads_like_the_text(self, fitted):
        for text in self.texts:
            ids = fitted.encode(text)
            decoded = fitted.decode(ids)
            assert np.array_equal(fitted.encode(decoded), ids)
            if self.is_exact:
                assert decoded == text

    def test_the_end_is_a_line_break(self, fitted):
        first, second = (fitted.encode(text) for text in self.texts[:2])
        decoded = fitted.decode([*first, fitted.end_id, *second])
        assert decoded == f"{fitted.decode(first)}\n{fitted.decode(second)}"
        assert fitted.decode([]) == ""

    # ---------------------------------------------------------------- what is learned

    def test_the_same_texts_give_the_same_tokenizer(self, fitted):
        twin = copy.deepcopy(self.tokenizer).fit(self.texts)
        assert twin == fitted
        assert twin.get_state() == fitted.get_state()
        assert twin != copy.deepcopy(self.tokenizer)

    def test_a_state_gives_the_tokenizer_back_through_json(self, fitted):
        state = json.loads(json.dumps(fitted.get_state()))
        self.assert_equal(type(fitted).from_state(state), fitted)

    def test_pickle_gives_the_tokenizer_back(self, fitted):
        self.assert_equal(pickle.loads(pickle.dumps(fitted)), fitted)
        unfitted = pickle.loads(pickle.dumps(self.tokenizer))
        assert unfitted.get_params() == self.tokenizer.get_params()
        with pytest.raises(NotFittedError):
            unfitted.encode("a")

    def assert_equal(self, found, fitted):
        assert found == fitted
        assert found.vocabulary_ == fitted.vocabulary_
        for text in (*self.texts, *self.odd_texts):
            assert np.array_equal(found.encode(text), fitted.encode(text))

    def test_malformed_states_are_refused(self, fitted):
        state = fitted.get_state()
        for name in {"parameters", "vocabulary", *self.broken}:
            without = {key: value for key, value in state.items() if key != name}
            with pytest.raises(ModelFormatError):
                type(fitted).from_state(without)
            with pytest.raises(ModelFormatError):
                type(fitted).from_state(state | {name: 7})
        for name, value in self.broken.items():
            with pytest.raises(ModelFormatError):
                type(fitted).from_state(state | {name: value})

    def test_a_model_of_it_is_saved_and_loaded_by_its_name(self, tmp_path):
        cls = type(self.tokenizer)
        if plugins.origin("tokenizer", cls) is None:  # its package is not installed
            plugins.register_tokenizer(f"tested-{cls.__name__}", cls)
        name = plugins.origin("tokenizer", cls).name
        model = rnnkit.RNNLanguageModel(
            tokenizer=copy.deepcopy(self.tokenizer), hidden_size=3, max_iter=1
        ).fit(self.texts)
        model.save(tmp_path / "model.rnn")
        with pytest.raises(ImportError, match=name):
            rnnkit.load(tmp_path / "model.rnn")
        loaded = rnnkit.load(tmp_path / "model.rnn", plugins=[name])
        assert loaded.score(self.texts) == model.score(self.texts)
        assert loaded.tokenizer_ == model.tokenizer_

    # -------------------------------------------------------------- what is no input

    def test_it_asks_for_fit_first(self):
        unfitted = copy.deepcopy(self.tokenizer)
        for method, argument in (("encode", "a"), ("decode", [0])):
            with pytest.raises(NotFittedError, match="fit"):
                getattr(unfitted, method)(argument)
        with pytest.raises(NotFittedError, match="fit"):
            unfitted.get_state()

    def test_what_is_no_text_is_refused(self, fitted):
        for bad in (b"bytes", 7, None):
            with pytest.raises(InputTypeError, match=type(bad).__name__):
                fitted.encode(bad)
            with pytest.raises(InputTypeError, match=type(bad).__name__):
                copy.deepcopy(self.tokenizer).fit(["a", bad])
        with pytest.raises(InputError, match="surrogate"):
            fitted.encode("a\ud800")
        with pytest.raises(InputError, match="string"):
            copy.deepcopy(self.tokenizer).fit("a single text")
        for empty in ([], [""], ["", ""]):
            with pytest.raises(InputError):
                copy.deepcopy(self.tokenizer).fit(empty)

    def test_what_are_no_ids_is_refused(self, fitted):
        for bad in ([fitted.n_tokens], [-1], [0, 1 << 40]):
            with pytest.raises(InputError, match=str(bad[-1])):
                fitted.decode(bad)
        for bad in ([0.5], [[0]], "a", [None]):
            with pytest.raises(InputTypeError):
                fitted.decode(bad)

    def test_parameters_out_of_range_are_refused(self):
        for params, message in self.refused:
            with pytest.raises(ParameterError, match=message):
                copy.deepcopy(self.tokenizer).set_params(**params).fit(self.texts)
