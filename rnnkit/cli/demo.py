# SPDX-License-Identifier: BSD-3-Clause
"""``rnnkit demo``: from text to next words in about a minute, beside n-grams."""

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnkit.cli.predict import shown

if TYPE_CHECKING:
    from rnnkit.estimators import RNNLanguageModel

# Little text wants much dropout and a rate that falls to 0.
RECIPE: dict[str, Any] = {
    "cell": "lstm",
    "hidden_size": 256,
    "tie_weights": True,
    "dropout": 0.5,
    "bptt": 35,
    "batch_size": 20,
    "max_iter": 25,
    "learning_rate_init": 6e-3,
    "learning_rate": "cosine",
    "carry_state": True,
    "random_state": 0,
    "verbose": 1,
}
CONTEXTS = (
    "The built-in function",
    "If the file does not",
    "a list of",
    "raises a",
)
BEGINNINGS = ("The", "If a", "This method")


def add_commands(commands: Any) -> None:
    """Add the command to a parser."""
    text = "train on the English inside Python and ask for next words, in a minute"
    parser = commands.add_parser("demo", help=text, description=text + ".")
    parser.set_defaults(run=run)
    parser.add_argument("-o", "--output", metavar="MODEL", help="keep the model")
    parser.add_argument("--max-iter", type=int, default=RECIPE["max_iter"])


def run(arguments: argparse.Namespace) -> None:
    """Train, compare, show."""
    from rnnkit.datasets import load_python_topics
    from rnnkit.estimators import RNNLanguageModel
    from rnnkit.tokenizers import WordTokenizer

    train, test = load_python_topics()
    print(
        "Training an LSTM on Python's own language reference, "
        f"{len(train):,} paragraphs;\n"
        f"{len(test):,} paragraphs of other topics are held out.\n",
        flush=True,
    )
    tokenizer = WordTokenizer(min_count=2)
    recipe = {**RECIPE, "max_iter": arguments.max_iter}
    lm = RNNLanguageModel(tokenizer=tokenizer, **recipe)
    begin = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        lm.fit(train)
    print(f"\nTrained in {time.monotonic() - begin:.0f} s. Perplexity of the held-out")
    compare(lm, train, test)
    show(lm)
    if arguments.output:
        lm.save(arguments.output)
        command = sys.argv[0] if Path(sys.argv[0]).name == "rnnkit" else "rnnkit"
        print(
            f"\nThe model is in {arguments.output}. Ask it yourself:\n"
            f'  {command} next {arguments.output} "the name of the"\n'
            f'  {command} generate {arguments.output} "the name of the"'
        )


def compare(lm: "RNNLanguageModel", train: list[str], test: list[str]) -> None:
    """Print held-out perplexities on the very same tokens and vocabulary."""
    from rnnkit.cli.ngram import WittenBell

    encoder = lm._model.encoder
    pairs = []
    for texts in (train, test):
        corpus = encoder.encode(texts)
        end = encoder.end_id
        pairs.append((corpus.inputs(end).ids, corpus.targets(end).ids))
    n_grams = WittenBell(*pairs[0], len(encoder.tokens))
    unigram, bigram = n_grams.perplexities(*pairs[1])
    report = lm.evaluate(test)
    print(
        f"{report.n_tokens:,} tokens ({report.n_unknown:,} unknown, "
        f"vocabulary of {len(encoder.tokens):,}):\n"
        f"  unigram, Witten-Bell  {unigram:8.1f}\n"
        f"  bigram, Witten-Bell   {bigram:8.1f}\n"
        f"  LSTM                  {report.perplexity:8.1f}    "
        f"({bigram / report.perplexity:.2f} times better than the bigram model)\n"
        f"It is right about the next token in {report.accuracy:.1%} of the cases."
    )


def show(lm: "RNNLanguageModel") -> None:
    """Print next words for some contexts, and a sample."""
    print("\nNext words:")
    for context, found in zip(
        CONTEXTS, lm.predict_next(list(CONTEXTS), k=4), strict=True
    ):
        words = ", ".join(f"{shown(token)} {p:.2f}" for token, p in found)
        print(f"  {context} ...  {words}")
    print("\nSamples:")
    texts = lm.generate(
        list(BEGINNINGS), max_new_tokens=60, temperature=0.8, random_state=0
    )
    for beginning, text in zip(BEGINNINGS, texts, strict=True):
        print(f"  {beginning} {text}")
