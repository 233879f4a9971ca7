# SPDX-License-Identifier: BSD-3-Clause
"""Plugins that are found and loaded, and are wrong when they are used.

Numbers are those of the list of broken plugins. 1 to 9, which fail before, and 15, a
package that has gone, are in test_plugins.py; 13, what is not safe for threads, is in
test_conformance.py. 14, a C interface of another size, cannot be: no plugin has any C.
"""

import numpy as np
import pytest

from rnnkit import RNNLanguageModel, Tokenizer
from rnnkit.cells import Cell, log, tanh
from rnnkit.errors import CellError, NonFiniteError
from rnnkit.testing import check_cell, check_tokenizer
from rnnkit.tokenizers import WordTokenizer

TEXTS = ["the cat sat on the mat", "the dog sat on the rug"] * 5


class Words(Tokenizer):
    """A sound tokenizer of the simplest kind; the broken ones change one method."""

    def fit(self, texts):
        self._words = WordTokenizer().fit(texts)
        self.vocabulary_ = self._words.vocabulary_
        self.end_id, self.unk_id = self._words.end_id, self._words.unk_id
        return self

    def encode(self, text):
        return self._words.encode(text)

    def decode(self, ids):
        return self._words.decode(ids)

    def get_state(self):
        return self._words.get_state()

    @classmethod
    def from_state(cls, state):
        raise NotImplementedError


def model_of(tokenizer=None, cell="rnn"):
    return RNNLanguageModel(
        cell, tokenizer=tokenizer or Words(), hidden_size=4, max_iter=2, random_state=0
    )


def test_the_sound_one_works():
    model = model_of().fit(TEXTS)
    assert len(model.predict_next("the cat", k=3)[0]) == 3
    assert isinstance(model.generate("the cat", random_state=0), str)


# ----------------------------------------------------- 10: it raises at work


class Gives(Cell):
    states = ("h",)

    def step(self, x, h):
        raise KeyError("where is it")


def test_10_a_step_that_raises_is_an_error_of_the_cell_with_its_line():
    with pytest.raises(
        CellError, match=r"line \d+ .*the step raised KeyError"
    ) as caught:
        model_of(cell=Gives()).fit(TEXTS)
    assert isinstance(caught.value.__cause__, KeyError)


class GivesUpAtTheDog(Words):
    def encode(self, text):
        if "dog" in text:
            raise RuntimeError("dogs are not for me")
        return super().encode(text)


def test_10_what_a_tokenizer_raises_comes_through_and_the_old_model_stays():
    model = model_of().fit(TEXTS)
    before = model.score(TEXTS)
    model.set_params(tokenizer=GivesUpAtTheDog())
    with pytest.raises(RuntimeError, match="dogs are not for me"):
        model.fit(TEXTS)
    assert model.score(TEXTS) == before


# ----------------------------------------------------- 11: what it gives is wrong


class NaN(Cell):
    states = ("h",)

    def step(self, x, h):
        return tanh(log(h - 1) + self.linear("h", x))


def test_11_values_that_are_not_finite_stop_the_first_step():
    with pytest.raises(NonFiniteError, match=r"with the first weights.*check_cell"):
        model_of(cell=NaN()).fit(TEXTS)
    with pytest.raises(
        AssertionError, match=r"log gives nan .*line \d+ .*log\(h - 1\)"
    ):
        check_cell(NaN())


class Grows(Cell):
    states = ("h", "total")

    def step(self, x, h, total):
        total = 1.1 * total + self.linear("t", x)
        return tanh(self.linear("h", x, h) + total), total


def test_11_a_state_that_grows_without_bound_is_named_with_its_line():
    message = r"state total .*line \d+ \(total = 1\.1 \* total"
    with pytest.raises(AssertionError, match=message):
        check_cell(Grows())


class GivesReals(Words):
    def encode(self, text):
        return super().encode(text).astype(float)


class GivesTwoAxes(Words):
    def encode(self, text):
        return super().encode(text)[None]


class GivesNothing(Words):
    def encode(self, text):
        return None


class GivesIdsBeyondTheVocabulary(Words):
    def encode(self, text):
        return super().encode(text) + 100


class GivesNegativeIds(Words):
    def encode(self, text):
        return super().encode(text) - 100


class GivesShortOffsets(Words):
    def encode_documents(self, texts):
        ids, offsets = super().encode_documents(texts)
        return ids, offsets[:-1]


class GivesOffsetsThatGoBack(Words):
    def encode_documents(self, texts):
        ids, offsets = super().encode_documents(texts)
        offsets[1] = offsets[-1]
        return ids, offsets


class EndsBeyondTheVocabulary(Words):
    def fit(self, texts):
        super().fit(texts)
        self.end_id = 1000
        return self


class NamesTwoTokensAlike(Words):
    def fit(self, texts):
        super().fit(texts)
        self.vocabulary_ = ["<eos>", "<unk>", *["the"] * (self.n_tokens - 2)]
        return self


WRONG = {
    GivesReals: "array of float64",
    GivesTwoAxes: r"shape \(1, 6\)",
    GivesNothing: "must give whole numbers on one axis",
    GivesIdsBeyondTheVocabulary: "its vocabulary has the ids 0 to 8",
    GivesNegativeIds: "its vocabulary has the ids 0 to 8",
    GivesShortOffsets: "one more than there are documents",
    GivesOffsetsThatGoBack: "do not run from 0",
    EndsBeyondTheVocabulary: "end_id=1000",
    NamesTwoTokensAlike: "each id must have a token of its own",
}


@pytest.mark.parametrize("cls", WRONG)
def test_11_a_tokenizer_that_gives_no_ids_is_named(cls):
    with pytest.raises(ValueError, match=WRONG[cls]) as caught:
        model_of(cls()).fit(TEXTS)
    assert cls.__name__ in str(caught.value)


class DecodesToBytes(Words):
    def decode(self, ids):
        return super().decode(ids).encode()


def test_11_a_tokenizer_that_gives_no_text_is_named():
    with pytest.raises(ValueError, match=r"DecodesToBytes\.decode gave bytes"):
        model_of(DecodesToBytes()).fit(TEXTS).generate("the")


# ----------------------------------------------------- 12: it changes its input


class ChangesWhatItDecodes(Words):
    def decode(self, ids):
        text = super().decode(ids)
        if isinstance(ids, np.ndarray) and ids.flags.writeable:
            ids[:] = 0
        return text


def test_12_ids_that_a_tokenizer_changes_are_its_own():
    changed, sound = model_of(ChangesWhatItDecodes()).fit(TEXTS), model_of().fit(TEXTS)
    how = {"max_new_tokens": 8, "random_state": 1}
    for _ in range(2):
        assert changed.generate("the cat", **how) == sound.generate("the cat", **how)
    assert changed.score(TEXTS) == sound.score(TEXTS)


class KeepsItsBuffer(Words):
    """Gives the same array again and again, with other ids in it."""

    def encode(self, text):
        ids = super().encode(text)
        self._buffer = getattr(self, "_buffer", np.zeros(100, np.int32))
        self._buffer[: len(ids)] = ids
        return self._buffer[: len(ids)]


def test_12_ids_that_share_memory_are_copied():
    kept, sound = model_of(KeepsItsBuffer()).fit(TEXTS), model_of().fit(TEXTS)
    assert kept.loss_curve_ == sound.loss_curve_


# ----------------------------------------------------- 16: at random


class Random(Cell):
    states = ("h",)

    def step(self, x, h):
        return tanh(self.linear("h", x, h) * np.random.default_rng().random())


def test_16_a_step_with_random_numbers_is_found():
    with pytest.raises(AssertionError, match="traced to the same graph each time"):
        check_cell(Random())


class Shuffles(Words):
    def fit(self, texts):
        super().fit(texts)
        order = np.random.default_rng().permutation(len(self.vocabulary_) - 2)
        self.vocabulary_ = [
            "<eos>",
            "<unk>",
            *(self.vocabulary_[2 + i] for i in order),
        ]
        return self


def test_16_a_vocabulary_in_random_order_is_found():
    with pytest.raises(AssertionError, match="same texts give the same tokenizer"):
        for _ in range(3):  # an order may come twice
            check_tokenizer(Shuffles())
