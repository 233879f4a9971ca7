# SPDX-License-Identifier: BSD-3-Clause
"""n-best lists of a speech recogniser, read and put in order."""

import pytest
from small_models import make_text_model

from rnnkit.errors import ConversionError
from rnnkit.interchange.nbest import read_nbest
from rnnkit.tokenizers import WordTokenizer

TEXT = "a-b-1 the cat sat\na-b-2 the cat\na-c-1 a dog\na-b-3\n"
ACOUSTIC = "a-b-1 10.5\na-b-2 11\na-c-1 3\na-b-3 40\n"
GRAPH = "a-c-1 1\na-b-3 2\na-b-1 3\na-b-2 4\n"


def written(folder, **files):
    paths = {name: folder / name for name in files}
    for name, text in files.items():
        paths[name].write_text(text, "utf-8")
    return paths


def test_lists_are_read_with_their_costs_and_rescored(tmp_path):
    paths = written(tmp_path, text=TEXT, ac=ACOUSTIC, lm=GRAPH)
    found = read_nbest(paths["text"], [paths["ac"], paths["lm"]], [0.5, 2.0])
    assert found.utterances == ["a-b", "a-c"]
    assert found.hypotheses == [["the cat sat", "the cat", ""], ["a dog"]]
    assert found.scores == [[-11.25, -13.5, -24.0], [-3.5]]
    model = make_text_model(WordTokenizer(), ["the cat sat", "a dog"])
    rankings = model.rescore(found.hypotheses, found.scores, weight=0.0)
    assert found.best(rankings) == "a-b the cat sat\na-c a dog\n"
    alone = read_nbest(paths["text"])
    assert alone.scores == [[0.0, 0.0, 0.0], [0.0]]


@pytest.mark.parametrize(
    ("files", "weights", "message"),
    [
        ({"text": "a 1"}, None, "'a' does not end in '-number'"),
        ({"text": "a-1 x\na-1 y"}, None, "'a-1' is there twice"),
        ({"text": "\n"}, None, "the file is empty"),
        ({"text": "a-1 x", "ac": "a-2 1"}, None, "'a-1' is in one of the files alone"),
        ({"text": "a-1 x", "ac": "a-1 y"}, None, "a-1: 'y' is no cost"),
        ({"text": "a-1 x", "ac": "a-1 1"}, [1, 2], "2 weights for 1 files"),
    ],
)
def test_what_is_malformed_is_refused(tmp_path, files, weights, message):
    text, *costs = written(tmp_path, **files).values()
    with pytest.raises(ConversionError, match=message):
        read_nbest(text, costs, weights)
