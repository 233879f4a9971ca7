# SPDX-License-Identifier: BSD-3-Clause
"""All cells side by side: as many parameters, as much time, the same text.

    python examples/compare_cells.py $RNNKIT_DATA/tinyshakespeare/input.txt -o cells

trains a model of characters with each cell that is installed and writes `cells.json`,
`cells.md` (a table) and, where matplotlib is installed, `cells.svg`. The width of each
is chosen so that all have the same number of parameters, the learning rate by short
trials. A run that was interrupted goes on behind the last cell that it has finished.
"""

import argparse
import json
import math
import os
import platform
import time
from pathlib import Path

from rnnkit import RNNLanguageModel, plugins
from rnnkit.errors import NonFiniteError

HELD_OUT = 0.1  # the end of the text
SETTINGS = {
    "tokenizer": "char",
    "documents": "file",
    "carry_state": True,
    "num_layers": 2,
    "batch_size": 32,
    "bptt": 64,
    "dropout": 0.1,
    "learning_rate": "one_cycle",
    "max_grad_norm": 1.0,
    "max_iter": 10_000,  # time ends a run, not this
    "random_state": 0,
}


def main():
    arguments = parse()
    text = Path(arguments.text).read_text("utf-8")
    cut = round(len(text) * (1 - HELD_OUT))
    train, valid = [text[:cut]], [text[cut:]]
    figures = Path(f"{arguments.output}.json")
    rows = json.loads(figures.read_text()) if figures.exists() else []
    done = {row["cell"] for row in rows}
    for name in arguments.cells or installed_cells():
        if name not in done:
            rows.append(run(name, train, valid, arguments))
            write(figures, json.dumps(rows, indent=1) + "\n")
            print(line(rows[-1]), flush=True)
    rows.sort(key=lambda row: row["nats"])
    write(Path(f"{arguments.output}.md"), table(rows))
    draw(rows, Path(f"{arguments.output}.svg"))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("text", help="a file of text")
    parser.add_argument("-o", "--output", default="cells", help="names of the results")
    parser.add_argument("--cells", nargs="+", help="names; by default all installed")
    parser.add_argument("--parameters", type=int, default=1_000_000, help="of a model")
    parser.add_argument("--seconds", type=float, default=300, help="of training")
    parser.add_argument("--trial", type=float, default=20, help="seconds of a trial")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[0.002, 0.006], help="to be tried"
    )
    parser.add_argument("--n-threads", type=int, help="by default as many as there are")
    return parser.parse_args()


def installed_cells():
    return [plugin.name for plugin in plugins.list_plugins("cell")]


def run(name, train, valid, arguments):
    """Train a model with one cell; return what there is to say of it."""
    width = width_for(name, arguments.parameters, train)
    for rate in best_rates(name, width, train, valid, arguments):
        model = new_model(name, width, arguments, rate)
        model.set_params(max_time=arguments.seconds)
        begin = time.monotonic()
        try:
            model.fit(train)
            break
        except NonFiniteError as error:
            print(f"{name}, learning rate {rate:g}: {error}", flush=True)
    return {
        "cell": name,
        "hidden_size": width,
        "parameters": model.n_parameters_,
        "learning_rate": rate,
        "seconds": round(time.monotonic() - begin, 1),
        "characters": model.n_tokens_seen_,
        "train": round(model.loss_curve_[-1], 4),
        "nats": round(-model.score(valid), 4),
        "threads": arguments.n_threads or os.cpu_count(),
        "machine": platform.machine(),
    }


def width_for(name, n_parameters, train):
    """Return the hidden_size whose model comes closest to so many parameters."""
    alphabet = ["".join(sorted(set(train[0])))]

    def excess(width):
        model = RNNLanguageModel(**SETTINGS | {"max_iter": 0, "hidden_size": width})
        return (
            model.set_params(cell=new_cell(name, width)).fit(alphabet).n_parameters_
            - n_parameters
        )

    low, high = 1, 2
    while excess(high) < 0:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return min(low, high, key=lambda width: abs(excess(width)))


def new_cell(name, width):
    """Return the cell with its defaults; a projection goes with the width."""
    cell = plugins.make_cell(name)
    if "proj_size" in cell.get_params():
        cell.set_params(proj_size=max(1, width // 2))
    return cell


def new_model(name, width, arguments, rate):
    return RNNLanguageModel(
        new_cell(name, width),
        hidden_size=width,
        learning_rate_init=rate,
        n_threads=arguments.n_threads,
        **SETTINGS,
    )


def best_rates(name, width, train, valid, arguments):
    """Return the rates, best first, by short runs of their own."""
    if len(arguments.rates) == 1:
        return arguments.rates

    def nats(rate):
        model = new_model(name, width, arguments, rate)
        try:
            return -model.set_params(max_time=arguments.trial).fit(train).score(valid)
        except NonFiniteError:
            return math.inf

    return sorted(arguments.rates, key=nats)


def line(row):
    return (
        f"{row['cell']:20} {row['nats']:.4f} nats  {row['characters']:12,} characters"
    )


def table(rows):
    """Return the rows as a table in Markdown."""
    titles = (
        "cell",
        "hidden_size",
        "parameters",
        "learning rate",
        "characters/s",
        "millions read",
        "training, nats",
        "validation, nats",
        "bits",
    )
    text = f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|\n"
    for row in rows:
        text += (
            f"| `{row['cell']}` | {row['hidden_size']} | {row['parameters']:,} "
            f"| {row['learning_rate']:g} | {row['characters'] / row['seconds']:,.0f} "
            f"| {row['characters'] / 1e6:.1f} | {row['train']:.3f} "
            f"| **{row['nats']:.3f}** | {row['nats'] / math.log(2):.3f} |\n"
        )
    return text


def draw(rows, path):
    """Draw loss over speed, a point for each cell."""
    try:
        import matplotlib
    except ImportError:
        print(f"{path} is not drawn: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for row in rows:
        place = row["characters"] / row["seconds"], row["nats"]
        axis.plot(*place, "o", color="#4477aa")
        axis.annotate(
            row["cell"], place, xytext=(5, 3), textcoords="offset points", fontsize=8
        )
    axis.set_xscale("log")
    axis.set_xlabel("characters a second, training")
    axis.set_ylabel("validation, nats per character")
    axis.set_title(
        f"{rows[0]['parameters'] / 1e6:.1f} million parameters, "
        f"{rows[0]['seconds'] / 60:.1f} minutes each"
    )
    axis.grid(alpha=0.3)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cells"}):
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def write(path, text):
    """Write a file that is whole or not there."""
    new = path.with_name(path.name + ".new")
    new.write_text(text, "utf-8")
    new.replace(path)


if __name__ == "__main__":
    main()
