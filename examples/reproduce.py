# SPDX-License-Identifier: BSD-3-Clause
"""The results of docs/results.md, row by row, each with one command.

    python examples/reproduce.py                     # lists the rows
    python examples/reproduce.py ptb_zaremba_small --data $RNNKIT_DATA -o results

trains the row's model, chooses on the validation text, scores the test text once, and
writes `results/ROW-SEED.json` (figures) beside `results/ROW-SEED.rnn` (the model). A
run that was broken off goes on from its last checkpoint when the command is given
again.
"""

import argparse
import gzip
import json
import math
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import rnnkit
from rnnkit import RNNLanguageModel, recipes
from rnnkit.runtime import NeuralCache
from rnnkit.runtime.scorer import Scorer, unwrapped

N_TRAIN_CHARACTERS = 1_003_854  # of tinyshakespeare: nanoGPT's split
N_NAMES_HELD_OUT = 1_000  # as in makemore


@dataclass(frozen=True)
class Row:
    """What is trained, on which text, and what others have reached."""

    text: str
    recipe: str
    reference: str
    changes: dict = field(default_factory=dict)
    adapts: bool = False  # is scored with a neural cache, too


PTB, SHAKESPEARE, NAMES = "ptb_word", "tinyshakespeare", "names"
SIX = {"max_iter": 6}
# As wide as the LSTM of 2 x 200 has parameters, 2.65 million.
RNN = {"cell": "rnn", "hidden_size": 241, "learning_rate_init": 5.0}  # 20 diverges
GRU = {"cell": "gru", "hidden_size": 211}
LONG = {"hidden_size": 512, "dropout": 0.4, "max_time": 2640.0}
ROWS = {
    "ptb_zaremba_small": Row(PTB, "zaremba_small", "114.5; 115.9 in a rerun"),
    "ptb_words_6": Row(PTB, "words_fast", "110.44 by SGD on a plateau"),
    "ptb_pytorch_6": Row(PTB, "pytorch_small", "110.44", SIX),
    "ptb_pytorch_40": Row(PTB, "pytorch_small", "87.17"),
    "ptb_press_wolf_small": Row(PTB, "press_wolf_small", "100.9"),
    "ptb_3m": Row(PTB, "words", "87.17; 85.1, 82.7 (Inan)", adapts=True),
    "ptb_rnn_6": Row(PTB, "words_fast", "114.50 at 13 M", RNN),
    "ptb_gru_6": Row(PTB, "words_fast", "92.48 at 13 M", GRU),
    "shakespeare_fast": Row(SHAKESPEARE, "characters_fast", "1.88; 1.577 in 155 s"),
    "shakespeare": Row(SHAKESPEARE, "characters", "1.4697; 1.548"),
    "shakespeare_45": Row(SHAKESPEARE, "characters", "1.4697; 1.548", LONG),
    "names": Row(NAMES, "names", "1.92"),
}


def main():
    arguments = parse()
    if not arguments.rows:
        for name, row in ROWS.items():
            print(f"{name:20} {row.text}, recipe {row.recipe}; known: {row.reference}")
    for name in arguments.rows:
        for seed in arguments.seeds:
            report(run(name, seed, arguments))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="by default: list them")
    parser.add_argument("--data", default=os.environ.get("RNNKIT_DATA"), help="folder")
    parser.add_argument("-o", "--output", default="results", help="folder of results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--n-threads", type=int, help="by default as many as there are")
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}; known: {', '.join(ROWS)}")
    if arguments.rows and not arguments.data:
        parser.error("say where the texts are: --data FOLDER, or RNNKIT_DATA")
    return arguments


def run(name, seed, arguments):
    """Train and score one row with one seed, unless its figures are there."""
    row, folder = ROWS[name], Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / f"{name}-{seed}.json"
    if figures.exists():
        return json.loads(figures.read_text())
    train, valid, test = TEXTS[row.text](Path(arguments.data))
    model = RNNLanguageModel(
        **recipes.parameters(row.recipe) | row.changes,
        random_state=seed,
        n_threads=arguments.n_threads,
        verbose=1,
    )
    stopwatch = Stopwatch(folder / f"{name}-{seed}.time")
    checkpoint = folder / f"{name}-{seed}.checkpoint"
    try:
        model.fit(train, X_val=valid, checkpoint=checkpoint, resume=True)
    finally:
        seconds = stopwatch.stop()
    model.save(folder / f"{name}-{seed}.rnn")
    found = {
        "row": name,
        "seed": seed,
        "command": " ".join(["python", *sys.argv]),
        "commit": commit(),
        "rnnkit": rnnkit.__version__,
        "machine": platform.machine(),
        "threads": arguments.n_threads or os.cpu_count(),
        "parameters": model.n_parameters_,
        "epochs": model.n_iter_,
        "tokens_trained": model.n_tokens_seen_,
        "seconds": round(seconds, 1),
        "reference": row.reference,
        "training_loss": model.loss_curve_[-1],
        "validation_curve": [round(loss, 4) for loss in model.validation_loss_curve_],
        "validation": scored(model, valid),
    }
    if test is not None:
        found["test"] = scored(model, test)
    if row.adapts:
        found |= with_cache(model, valid, test)
    write(figures, json.dumps(found, indent=1) + "\n")
    return found


class Stopwatch:
    """Seconds of a run, those before it was broken off included."""

    def __init__(self, path):
        self.path = path
        self.before = float(path.read_text()) if path.exists() else 0.0
        self.begin = time.monotonic()

    def stop(self):
        seconds = self.before + time.monotonic() - self.begin
        write(self.path, str(seconds))
        return seconds


def with_cache(model, valid, test):
    """Return the figures of a neural cache that is chosen on the validation text."""
    cache = NeuralCache.tuned(model, valid)
    chosen = {name: getattr(cache, name) for name in ("window", "theta", "weight")}
    figures = {"validation": scored(cache, valid), "test": scored(cache, test)}
    return {"cache": chosen | figures}


def scored(model, documents):
    """Return nats a token, how many tokens, and the perplexity."""
    evaluation = unwrapped(model, Scorer).evaluate(documents)
    return {
        "nats": round(-evaluation.score, 4),
        "perplexity": round(math.exp(-evaluation.score), 2),
        "tokens": evaluation.n_tokens,
    }


def report(found):
    parts = [
        f"{name} {found[name]}" for name in ("validation", "test") if name in found
    ]
    print(f"{found['row']} seed {found['seed']}: {'; '.join(parts)}", flush=True)


def commit():
    """Return the commit of the sources, where this is a clone."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def write(path, text):
    """Write a file as a whole, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


# ---------------------------------------------------------------------------- texts


def ptb_word(folder):
    """Penn Treebank: a document a line, whose end is a token."""
    folder = folder / "ptb_word"
    with gzip.open(folder / "ptb.train.txt.gz", "rt", encoding="utf-8") as file:
        train = file.read().splitlines()
    rest = [
        (folder / f"ptb.{part}.txt").read_text("utf-8").splitlines()
        for part in ("valid", "test")
    ]
    return train, *rest


def tinyshakespeare(folder):
    """The first 90 % to learn, the rest to validate; there is no test text."""
    text = (folder / "tinyshakespeare" / "input.txt").read_text("utf-8")
    return [text[:N_TRAIN_CHARACTERS]], [text[N_TRAIN_CHARACTERS:]], None


def names(folder):
    """1,000 random names held out; some of them stand among the others, too."""
    lines = (folder / "names" / "names.txt").read_text("utf-8").split()
    order = np.random.default_rng(0).permutation(len(lines))
    held_out, rest = order[:N_NAMES_HELD_OUT], order[N_NAMES_HELD_OUT:]
    return [lines[i] for i in rest], [lines[i] for i in held_out], None


TEXTS = {PTB: ptb_word, SHAKESPEARE: tinyshakespeare, NAMES: names}

if __name__ == "__main__":
    main()
