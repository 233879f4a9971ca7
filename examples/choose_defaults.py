# SPDX-License-Identifier: BSD-3-Clause
"""What the defaults of `RNNLanguageModel` were chosen by.

    python examples/choose_defaults.py --data $RNNKIT_DATA -o defaults

trains small models on texts of five kinds, each with the settings that became the
defaults and with one of them changed at a time, and writes `defaults.json` and
`defaults.md`, a table of validation losses. It goes on behind the last model that is in
the file.
"""

import argparse
import gzip
import json
import os
from pathlib import Path

import numpy as np

from rnnkit import RNNLanguageModel
from rnnkit.datasets import load_python_topics
from rnnkit.errors import NonFiniteError

CHOSEN = {
    "learning_rate": "one_cycle",
    "learning_rate_init": 8e-3,
    "max_grad_norm": 1.0,
    "dropout": 0.1,
    "alpha": 0.0,
}
CHANGES = [
    {},
    {"alpha": None},  # the default, chosen last
    {"learning_rate_init": 1e-3},
    {"learning_rate_init": 2e-3},
    {"learning_rate_init": 4e-3},
    {"learning_rate_init": 1.6e-2},
    {
        "learning_rate": "constant",
        "learning_rate_init": 1e-3,
        "max_grad_norm": 5.0,
        "dropout": 0.0,
    },
    {"dropout": 0.0},
    {"dropout": 0.2},
    {"batch_size": 16},
    {"bptt": 32},
]


def main():
    arguments = parse()
    texts = {name: load(Path(arguments.data)) for name, load in TEXTS.items()}
    path = Path(f"{arguments.output}.json")
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for change in CHANGES:
        for name, (train, valid, reading) in texts.items():
            key = f"{name}: {label(change)}"
            if key not in found:
                found[key] = loss(train, valid, CHOSEN | reading | change, arguments)
                write(path, json.dumps(found, indent=1) + "\n")
                print(key, found[key], flush=True)
    write(path.with_suffix(".md"), table(found, list(texts)))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RNNKIT_DATA"), required=False)
    parser.add_argument("-o", "--output", default="defaults", help="names of the files")
    parser.add_argument("--n-threads", type=int)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("say where the texts are: --data FOLDER, or RNNKIT_DATA")
    return arguments


def loss(train, valid, settings, arguments):
    """Return nats a token of the validation text, or None where training failed."""
    model = RNNLanguageModel(**settings, random_state=0, n_threads=arguments.n_threads)
    try:
        return round(-model.fit(train).score(valid), 4)
    except NonFiniteError:
        return None


def label(change):
    return ", ".join(f"{name} {value}" for name, value in change.items()) or "chosen"


def table(found, names):
    """Losses, a row for each setting; and its mean difference from the first one."""
    lines = [
        "| setting | " + " | ".join(names) + " | mean difference |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    base = np.array([found[f"{name}: chosen"] for name in names])
    for change in CHANGES:
        row = np.array([found[f"{name}: {label(change)}"] for name in names], float)
        cells = " | ".join(f"{value:.3f}" for value in row)
        mean = float(np.mean(row - base))
        lines.append(f"| {label(change)} | {cells} | {mean:+.3f} |")
    return "\n".join(lines) + "\n"


def write(path, text):
    """Write a file as a whole, or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


# ---------------------------------------------------------------------------- texts
# Each: documents to learn, documents to validate on, and how they are read.


def topics(folder):
    train, valid = load_python_topics()
    return train, valid, {}


def newspaper(folder):
    folder = folder / "ptb_word"
    with gzip.open(folder / "ptb.train.txt.gz", "rt", encoding="utf-8") as file:
        train = file.read().splitlines()[:10_000]
    valid = (folder / "ptb.valid.txt").read_text("utf-8").splitlines()[:1_500]
    return train, valid, {"tokenizer": "whitespace"}


def drama(folder):
    text = (folder / "tinyshakespeare" / "input.txt").read_text("utf-8")
    return [text[:300_000]], [text[-50_000:]], {"tokenizer": "char"}


def novel(folder):
    path = folder / "zh_classics" / "hongloumeng.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = file.read()
    return [text[:200_000]], [text[-30_000:]], {"tokenizer": "char"}


def names(folder):
    lines = (folder / "names" / "names.txt").read_text("utf-8").split()
    lines = np.random.default_rng(0).permutation(lines).tolist()
    return lines[1_000:], lines[:1_000], {"tokenizer": "char"}


TEXTS = {
    "reference (words)": topics,
    "newspaper (words)": newspaper,
    "drama (characters)": drama,
    "novel (Chinese characters)": novel,
    "names (characters)": names,
}

if __name__ == "__main__":
    main()
