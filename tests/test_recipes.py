# SPDX-License-Identifier: BSD-3-Clause
"""Recipes: what they hold is accepted, and the command line takes them."""

import json
from pathlib import Path

import pytest

from rnnkit import RNNLanguageModel, load, recipes
from rnnkit.cells import LSTM
from rnnkit.cli import main
from rnnkit.errors import PluginError, UnknownNameError
from rnnkit.estimators.checks import check_parameters

SMALL = ["--hidden-size", "8", "--max-iter", "1", "--random-state", "0"]


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_says_where_it_comes_from_and_is_accepted(name: str) -> None:
    assert recipes.RECIPES[name]["source"]
    try:
        parameters = recipes.parameters(name)
    except (UnknownNameError, PluginError) as error:
        pytest.skip(str(error))  # a plugin's cell
    check_parameters(RNNLanguageModel(**parameters).get_params(deep=False))


def test_parameters_of_the_cell_make_an_instance_and_the_answer_is_a_copy() -> None:
    found = recipes.parameters("zaremba_small")
    assert isinstance(found["cell"], LSTM)
    assert found["cell"].forget_bias == 0.0
    assert not [key for key in found if "__" in key]
    found["hidden_size"] = 1
    assert recipes.parameters("zaremba_small")["hidden_size"] == 200
    assert "cell__forget_bias" in recipes.RECIPES["zaremba_small"]["parameters"]


def test_an_unknown_recipe_names_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"no recipe 'zaremba'.*zaremba_small"):
        recipes.parameters("zaremba")


def test_fit_takes_a_recipe_and_options_change_it(tmp_path: Path) -> None:
    text, model = tmp_path / "text.txt", tmp_path / "model.rnn"
    text.write_text("the cat sat\nthe dog ran\n" * 20, "utf-8")
    command = ["fit", str(text), "-o", str(model), "--recipe", "zaremba_small"]
    assert main([*command, *SMALL, "--verbose", "0"]) == 0
    params = load(model).get_params()
    assert (params["hidden_size"], params["max_iter"]) == (8, 1)
    assert (params["bptt"], params["solver"]) == (20, "sgd")
    assert params["cell__forget_bias"] == 0.0
    other = ["--cell", "gru", "--cell-param", "reset_bias=1"]
    assert main([*command, *SMALL, *other]) == 2  # a GRU has no such parameter
    assert main([*command, *SMALL, "--cell", "gru", "--verbose", "0"]) == 0
    assert load(model).get_params()["cell"] == "gru"


def test_the_command_lists_recipes_and_shows_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed) == set(recipes.RECIPES)
    assert main(["recipes", "char_rnn"]) == 0
    assert "learning_rate_decay  0.97" in capsys.readouterr().out
    assert main(["recipes", "none"]) == 2
    assert "char_rnn" in capsys.readouterr().err
