# SPDX-License-Identifier: BSD-3-Clause
"""Commands that use a model, without scikit-learn: score, next, complete and others."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from rnnkit.cli.options import add_json, paths_of, print_json, print_table
from rnnkit.errors import InputError, ModelFormatError, ParameterError

if TYPE_CHECKING:
    from rnnkit.runtime import Ensemble, Evaluation, LanguageModel, TokenScores
    from rnnkit.runtime.scorer import Scorer

GENERATION: dict[str, tuple[Any, str]] = {  # the fields of runtime.GenerationConfig
    "max_new_tokens": (int, "stop after so many (default: 50)"),
    "min_new_tokens": (int, "do not end before so many"),
    "temperature": (float, "below 1 safer, above 1 bolder (default: 1)"),
    "top_k": (int, "draw from this many likeliest tokens only"),
    "top_p": (float, "draw from the fewest tokens of this probability"),
    "random_state": (int, "seed of the draws"),
    "repetition_penalty": (float, "above 1: say less again (default: 1)"),
    "no_repeat_ngram_size": (int, "write no sequence of so many tokens twice"),
    "bad_words": (str, "a text not to write; may be given several times"),
    "stop": (str, "end before this text; may be given several times"),
    "num_beams": (int, "above 1: search for likely texts, draw nothing"),
    "length_penalty": (float, "of the search; above 1 favours long texts (default: 1)"),
    "num_return_sequences": (int, "how many texts (default: 1)"),
}
SEVERAL = ("bad_words", "stop")


def add_commands(commands: Any) -> None:
    """Add the commands to a parser."""
    score = add_model_command(
        commands, "score", run_score, "how well a model predicts texts"
    )
    score.add_argument(
        "files", nargs="+", metavar="FILE", help="texts; .gz is unpacked"
    )
    score.add_argument(
        "--carry-state",
        action=argparse.BooleanOptionalAction,
        help="read the documents as one running text (default: as in training)",
    )
    score.add_argument(
        "--tokens",
        action="store_true",
        help="print the log-probability of every token instead",
    )
    score.add_argument(
        "--cache",
        metavar="VALID",
        help="add a neural cache, its settings chosen on this text",
    )
    score.add_argument(
        "--dynamic",
        metavar="VALID",
        help="let the weights go on learning, settings chosen on this text",
    )
    score.add_argument(
        "--statistics",
        metavar="TRAIN",
        help="of --dynamic: scale steps by the gradients of this text of training",
    )
    score.add_argument(
        "--segment", type=int, default=5, help="of --dynamic: tokens between steps"
    )
    following = add_model_command(
        commands, "next", run_next, "the likeliest next tokens"
    )
    following.add_argument("text", nargs="?", default="", help="what stands before")
    following.add_argument("-k", type=int, default=5, help="how many (default: 5)")
    following.add_argument(
        "--words", action="store_true", help="whole words, whatever the tokens are"
    )
    completing = add_model_command(
        commands, "complete", run_complete, "end a half-typed word"
    )
    completing.add_argument("text", help="a text that breaks off within a word")
    completing.add_argument("-k", type=int, default=5, help="how many (default: 5)")
    generate = add_model_command(
        commands, "generate", run_generate, "write on from a text"
    )
    generate.add_argument("text", nargs="?", default="", help="what stands before")
    for name, (kind, text) in GENERATION.items():
        generate.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            action="append" if name in SEVERAL else "store",
            default=argparse.SUPPRESS,
            help=text,
        )
    add_model_command(commands, "info", run_info, "what a model file holds")


def add_model_command(
    commands: Any, name: str, run: Any, text: str
) -> argparse.ArgumentParser:
    """A command that asks a model, or several as one."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar="MODEL", help="a file that `rnnkit fit` wrote")
    add_json(parser)
    if name != "info":
        parser.add_argument(
            "--with",
            dest="others",
            action="append",
            default=[],
            metavar="MODEL",
            help="average with this model's probabilities; may be given several times",
        )
        parser.add_argument(
            "--n-threads", type=int, help="threads (default: all cores)"
        )
    return parser


def load(path: str, n_threads: int | None = None) -> "LanguageModel":
    """The model of a file."""
    from rnnkit import runtime

    try:
        model = runtime.load(path)
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from None
    return model.with_options(input="filename", n_threads=n_threads)


def asked(arguments: argparse.Namespace) -> "LanguageModel | Ensemble":
    """The model that a command asks, or several as one."""
    from rnnkit.runtime import Ensemble

    names = [arguments.model, *arguments.others]
    models = [load(name, arguments.n_threads) for name in names]
    return Ensemble(models) if len(models) > 1 else models[0]


def run_score(arguments: argparse.Namespace) -> None:
    """``rnnkit score MODEL FILE...``"""
    model = asked(arguments)
    if arguments.carry_state is not None:
        model = model.with_options(carry_state=arguments.carry_state)
    paths = paths_of(arguments.files)
    scorer, settings = adapted(model, arguments)
    if arguments.tokens:
        print_tokens(scorer.score_tokens(paths), arguments.json)
        return
    report = scorer.evaluate(paths)
    if arguments.json:
        print_json({**report_of(report), **settings})
    else:
        print_report(report, settings)


def adapted(
    model: "LanguageModel | Ensemble", arguments: argparse.Namespace
) -> "tuple[Scorer, dict[str, float]]":
    """The model, with what adapts it to the text it reads, and what was chosen."""
    scorer: Scorer = model
    settings: dict[str, float] = {}
    if arguments.dynamic is not None:
        from rnnkit.training import DynamicEvaluation, gradient_rms

        train, segment = arguments.statistics, arguments.segment
        rms = gradient_rms(model, paths_of([train]), bptt=segment) if train else None
        valid = paths_of([arguments.dynamic])
        scorer = DynamicEvaluation.tuned(model, valid, rms=rms, segment=segment)
        settings |= chosen_of(scorer, "dynamic", ("learning_rate", "decay", "segment"))
    elif arguments.statistics is not None:
        raise ParameterError("--statistics is a part of --dynamic VALID: give both")
    if arguments.cache is not None:
        from rnnkit.runtime import NeuralCache

        scorer = NeuralCache.tuned(scorer, paths_of([arguments.cache]))
        settings |= chosen_of(scorer, "cache", ("window", "theta", "weight"))
    return scorer, settings


def chosen_of(scorer: Any, kind: str, names: tuple[str, ...]) -> dict[str, float]:
    """Settings by name, as a report shows them."""
    return {f"{kind}_{name}": getattr(scorer, name) for name in names}


def print_tokens(documents: "list[TokenScores]", as_json: bool) -> None:
    """A token a line with its log-probability, and an empty line after a document."""
    if as_json:
        answer = [
            {"tokens": d.tokens, "log_probabilities": d.log_probabilities.tolist()}
            for d in documents
        ]
        print_json(answer)
        return
    for document in documents:
        for token, score in zip(
            document.tokens, document.log_probabilities, strict=True
        ):
            print(f"{score:9.4f}  {shown(token)}")
        print()


def report_of(report: "Evaluation") -> dict[str, float | int | None]:
    """A report of quality by name; logarithms are natural but for bits."""
    return {
        "log_likelihood_per_token": report.score,
        "perplexity": report.perplexity,
        "accuracy": report.accuracy,
        "bits_per_character": report.bits_per_character,
        "n_tokens": report.n_tokens,
        "n_unknown_tokens": report.n_unknown,
        "n_documents": report.n_documents,
    }


def print_report(report: "Evaluation", settings: dict[str, float]) -> None:
    """A report of quality for a person."""
    bits = report.bits_per_character
    rows = {
        "log-likelihood": f"{report.score:.4f} nats per token",
        "perplexity": f"{report.perplexity:.2f}",
        "accuracy": f"{report.accuracy:.4f}",
        "bits per character": "-" if bits is None else f"{bits:.4f}",
        "tokens": f"{report.n_tokens:,}, ends of documents included",
        "unknown tokens": f"{report.n_unknown:,}",
        "documents": f"{report.n_documents:,}",
        **{name.replace("_", " "): f"{value:g}" for name, value in settings.items()},
    }
    print_table(rows)


def prompt_of(model: "LanguageModel | Ensemble", text: str) -> Any:
    """A prompt: text, or ids for a model of ids; - is all of standard input."""
    return document_of(
        model, sys.stdin.read().removesuffix("\n") if text == "-" else text
    )


def document_of(model: "LanguageModel | Ensemble", text: str) -> Any:
    """A document as the model reads it: text, or ids for a model of ids."""
    if model.encoder.tokenizer is not None:
        return text
    try:
        return [int(word) for word in text.split()]
    except ValueError:
        raise InputError(
            f"this model has no tokenizer: give ids, as in '3 1 2', not {text!r}"
        ) from None


def shown(token: Any) -> str:
    """A token on one line."""
    text = str(token)
    return text if text.isprintable() and text.strip() == text else repr(text)


def run_next(arguments: argparse.Namespace) -> None:
    """``rnnkit next MODEL TEXT``"""
    model = asked(arguments)
    ask, name = (
        (model.predict_next_words, "word")
        if arguments.words
        else (model.predict_next, "token")
    )
    (found,) = ask([prompt_of(model, arguments.text)], k=arguments.k)
    print_ranked(found, name, arguments.json)


def run_complete(arguments: argparse.Namespace) -> None:
    """``rnnkit complete MODEL TEXT``"""
    model = asked(arguments)
    (found,) = model.complete([prompt_of(model, arguments.text)], k=arguments.k)
    print_ranked(found, "word", arguments.json)


def print_ranked(found: list[tuple[Any, float]], name: str, as_json: bool) -> None:
    """Answers with their probabilities, best first."""
    if as_json:
        print_json([{name: answer, "probability": float(p)} for answer, p in found])
        return
    for answer, probability in found:
        print(f"{probability:.4f}  {shown(answer)}")


def run_generate(arguments: argparse.Namespace) -> None:
    """``rnnkit generate MODEL TEXT``: prints what follows the text."""
    model = asked(arguments)
    options = {
        name: getattr(arguments, name) for name in GENERATION if name in arguments
    }
    if "bad_words" in options:
        options["bad_words"] = [prompt_of(model, w) for w in options["bad_words"]]
    (written,) = model.generate([prompt_of(model, arguments.text)], **options)
    several = options.get("num_return_sequences", 1) > 1
    texts = [shown_document(text) for text in (written if several else [written])]
    if arguments.json:
        print_json(
            [{"text": text} for text in texts] if several else {"text": texts[0]}
        )
    else:
        print(*texts, sep="\n")


def shown_document(document: Any) -> str:
    """A text, or ids with blanks between them."""
    if isinstance(document, str):
        return document
    return " ".join(str(token) for token in document)


def run_info(arguments: argparse.Namespace) -> None:
    """``rnnkit info MODEL``"""
    model = load(arguments.model)
    answer = model.describe()
    if arguments.json:
        print_json(answer)
    else:
        print_table({name: str(value) for name, value in answer.items()})
