# SPDX-License-Identifier: BSD-3-Clause
"""Settings that are known to work, as dictionaries of parameters, with their sources.

>>> from rnnkit import RNNLanguageModel, recipes
>>> lm = RNNLanguageModel(**recipes.parameters("zaremba_small"), random_state=0)

Papers give the loss of a window as the mean over its rows and the sum over its T steps;
here it is the mean over both. A learning rate of theirs is T times as large here, a
norm to clip to and a penalty on weights a T-th. `rnnkit recipes` lists them all, and
`rnnkit fit --recipe NAME` takes them.
"""

from typing import Any

from rnnkit import plugins
from rnnkit.errors import UnknownNameError

# A text of words as it stands, read as one stream.
STREAM = {"carry_state": True, "num_layers": 2, "alpha": 0.0}
WORDS = STREAM | {"tokenizer": "whitespace"}
CHARACTERS = STREAM | {"tokenizer": "char"}
ZAREMBA = WORDS | {
    "cell": "lstm",
    "cell__forget_bias": 0.0,
    "dropout": 0.0,
    "batch_size": 20,
    "solver": "sgd",
    "learning_rate": "exponential",
}
LAYER_NORM = CHARACTERS | {
    "cell": "layer_norm_lstm",
    "solver": "adam",
    "batch_size": 32,
    "bptt": 64,
    "learning_rate": "one_cycle",
    "max_grad_norm": 1.0,
    "max_iter": 10_000,
}
PYTORCH = WORDS | {
    "cell": "lstm",
    "cell__forget_bias": 0.0,
    "tie_weights": True,
    "batch_size": 20,
    "bptt": 35,
    "solver": "sgd",
    "learning_rate": "plateau",
    "learning_rate_init": 20.0,
    "max_grad_norm": 0.25,
    "max_iter": 40,
}

RECIPES: dict[str, dict[str, Any]] = {
    "zaremba_small": {
        "source": "Zaremba, Sutskever & Vinyals 2014 (arXiv:1409.2329), small: "
        "Penn Treebank test perplexity 114.5 in 13 epochs",
        "parameters": ZAREMBA
        | {
            "hidden_size": 200,
            "bptt": 20,
            "learning_rate_init": 1.0 * 20,
            "max_grad_norm": 5 / 20,
            "decay_start": 4,
            "max_iter": 13,
        },
    },
    "zaremba_medium": {
        "source": "Zaremba, Sutskever & Vinyals 2014, medium: 82.7 in 39 epochs",
        "parameters": ZAREMBA
        | {
            "hidden_size": 650,
            "bptt": 35,
            "dropout": 0.5,
            "learning_rate_init": 1.0 * 35,
            "learning_rate_decay": 1 / 1.2,
            "max_grad_norm": 5 / 35,
            "decay_start": 6,
            "max_iter": 39,
        },
    },
    "zaremba_large": {
        "source": "Zaremba, Sutskever & Vinyals 2014, large: 78.4 in 55 epochs",
        "parameters": ZAREMBA
        | {
            "hidden_size": 1500,
            "bptt": 35,
            "dropout": 0.65,
            "learning_rate_init": 1.0 * 35,
            "learning_rate_decay": 1 / 1.15,
            "max_grad_norm": 10 / 35,
            "decay_start": 14,
            "max_iter": 55,
        },
    },
    "pytorch_small": {
        "source": "PyTorch's word_language_model example, 200 units, tied: "
        "Penn Treebank 110.44 after 6 epochs, 87.17 after 40",
        "parameters": PYTORCH | {"hidden_size": 200, "dropout": 0.2},
    },
    "pytorch_medium": {
        "source": "PyTorch's word_language_model example, 650 units, tied: "
        "75.96 in 40 epochs",
        "parameters": PYTORCH | {"hidden_size": 650, "dropout": 0.5},
    },
    "press_wolf_small": {
        "source": "Press & Wolf 2017 (arXiv:1608.05859), small, tied, projection "
        "regularised: Penn Treebank 100.9",
        "parameters": ZAREMBA
        | {
            "hidden_size": 200,
            "tie_weights": True,
            "projection": True,
            "projection_alpha": 0.15 / (20 * 20),
            "bptt": 20,
            "learning_rate_init": 1.0 * 20,
            "max_grad_norm": 5 / 20,
            "decay_start": 4,
            "max_iter": 13,
        },
    },
    "words": {
        "source": "rnnkit: a model of words of 3 million parameters in two hours, one "
        "cell from the package rnnkit-deep-cells; Penn Treebank 82.38 "
        "(docs/results.md)",
        "parameters": WORDS
        | {
            "cell": "mogrifier",  # Melis et al. 2020 (arXiv:1909.01792)
            "cell__rank": 40,
            "hidden_size": 208,
            "tie_weights": True,
            "dropout": 0.0,
            "input_dropout": 0.25,
            "hidden_dropout": 0.25,
            "output_dropout": 0.3,
            "state_dropout": 0.15,
            "variational": True,
            "batch_size": 20,
            "bptt": 35,
            "solver": "sgd",
            "learning_rate": "cosine",
            "learning_rate_init": 20.0,
            "max_grad_norm": 0.25,
            "max_iter": 10_000,  # max_time ends the run
            "max_time": 6600.0,
        },
    },
    "words_fast": {
        "source": "rnnkit: the network of PyTorch's example in six epochs of one cycle "
        "(docs/results.md)",
        "parameters": PYTORCH
        | {
            "cell__forget_bias": 1.0,
            "hidden_size": 200,
            "dropout": 0.15,
            "learning_rate": "one_cycle",
            "max_iter": 6,
        },
    },
    "characters_fast": {
        "source": "rnnkit: a model of characters in three minutes; tinyshakespeare "
        "1.489 nats (docs/results.md)",
        "parameters": LAYER_NORM
        | {
            "hidden_size": 256,
            "dropout": 0.1,
            "learning_rate_init": 6e-3,
            "max_time": 172.0,
        },
    },
    "characters": {
        "source": "rnnkit: a model of characters in a quarter of an hour, wider and "
        "with more dropout (docs/results.md)",
        "parameters": LAYER_NORM
        | {
            "hidden_size": 384,
            "dropout": 0.3,
            "learning_rate_init": 4e-3,
            "max_time": 840.0,
        },
    },
    "names": {
        "source": "rnnkit: short documents of characters, 0.2 million parameters; "
        "names.txt 1.918 nats (docs/results.md)",
        "parameters": {
            "cell": "lstm",
            "tokenizer": "char",
            "documents": "line",
            "hidden_size": 160,
            "batch_size": 64,
            "bptt": 32,
            "dropout": 0.2,
            "alpha": 0.0,
            "solver": "adam",
            "learning_rate": "one_cycle",
            "learning_rate_init": 6e-3,
            "max_grad_norm": 1.0,
            "max_iter": 25,
        },
    },
    "char_rnn": {
        "source": "Karpathy's char-rnn, its default settings",
        "parameters": CHARACTERS
        | {
            "cell": "lstm",
            "hidden_size": 128,
            "dropout": 0.0,
            "batch_size": 50,
            "bptt": 50,
            "solver": "rmsprop",
            "beta_2": 0.95,
            "learning_rate": "exponential",
            "learning_rate_init": 2e-3,
            "learning_rate_decay": 0.97,
            "decay_start": 10,
            "max_grad_norm": 5.0,
            "max_iter": 50,
        },
    },
}


def parameters(name: str) -> dict[str, Any]:
    """Return a recipe's parameters, as `RNNLanguageModel` takes them.

    Parameters
    ----------
    name : str
        One of `RECIPES`.

    Returns
    -------
    dict
        A copy. A cell with parameters of its own is an instance.

    Raises
    ------
    UnknownNameError
        There is no recipe of this name.
    PluginError
        Its cell comes from a package that is not installed.
    """
    if name not in RECIPES:
        raise UnknownNameError(
            f"there is no recipe {name!r}; known: {', '.join(sorted(RECIPES))}"
        )
    found = dict(RECIPES[name]["parameters"])
    nested = [key for key in found if key.startswith("cell__")]
    if nested:
        own = {key.removeprefix("cell__"): found.pop(key) for key in nested}
        found["cell"] = plugins.make_cell(found["cell"]).set_params(**own)
    return found
