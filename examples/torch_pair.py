# SPDX-License-Identifier: BSD-3-Clause
"""One epoch of a recipe by rnnkit and by PyTorch, from the same weights.

    python examples/torch_pair.py --data $RNNKIT_DATA --dropout 0 -o pair.json

The recipe is that of PyTorch's own word_language_model example (`pytorch_small`) on the
Penn Treebank. Without dropout both make the same steps, and differ by rounding; with it
they draw other masks, and differ as two seeds do. PyTorch must be installed.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch
from reproduce import ptb_word, scored, write
from torch.nn.functional import cross_entropy, dropout

from rnnkit import RNNLanguageModel, recipes
from rnnkit.runtime.corpus import Corpus
from rnnkit.training.windows import Windows


def main():
    arguments = parse()
    train, valid, _ = ptb_word(Path(arguments.data))
    settings = recipes.parameters("pytorch_small") | {
        "dropout": arguments.dropout,
        "random_state": arguments.seed,
        "n_threads": arguments.n_threads,
        "max_iter": 0,
    }
    first = RNNLanguageModel(**settings).fit(train)
    found = {"dropout": arguments.dropout, "seed": arguments.seed}
    for name, epoch in (("rnnkit", by_rnnkit), ("pytorch", by_torch)):
        begin = time.monotonic()
        model, training_loss = epoch(first, train, arguments)
        seconds = round(time.monotonic() - begin, 1)
        found[name] = {
            "training_loss": training_loss,
            "validation": scored(model, valid),
            "seconds": seconds,
        }
        print(name, found[name], flush=True)
    write(Path(arguments.output), json.dumps(found, indent=1) + "\n")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("RNNKIT_DATA"))
    parser.add_argument("-o", "--output", default="pair.json")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-threads", type=int)
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("say where the texts are: --data FOLDER, or RNNKIT_DATA")
    return arguments


def by_rnnkit(first, train, arguments):
    model = RNNLanguageModel(**first.get_params(deep=False))
    model.set_params(max_iter=1).fit(train)
    return model, model.loss_curve_[0]


def by_torch(first, train, arguments):
    """The same windows through PyTorch's LSTM and SGD; the weights come back."""
    torch.manual_seed(arguments.seed)
    if arguments.n_threads:
        torch.set_num_threads(arguments.n_threads)
    network = TiedLSTM(first, arguments.dropout)
    total, n_tokens, state = 0.0, 0, None
    for batch in windows_of(first, train).epoch(None):
        ids = torch.from_numpy(batch.ids).long()
        targets = torch.from_numpy(batch.targets).long().reshape(-1)
        weights = torch.ones(targets.shape)
        if batch.weights is not None:
            weights = torch.from_numpy(batch.weights).reshape(-1)
        logits, state = network(ids, state)
        losses = cross_entropy(logits.flatten(0, 1), targets, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        network.zero_grad()
        loss.backward()
        parameters = list(network.parameters())
        torch.nn.utils.clip_grad_norm_(parameters, first.max_grad_norm)
        with torch.no_grad():
            for parameter in parameters:
                parameter -= first.learning_rate_init * parameter.grad
        state = tuple(part.detach() for part in state)
        total += loss.item() * weights.sum().item()
        n_tokens += int(weights.sum())
    values = {name: p.detach().numpy() for name, p in network.named_parameters()}
    model = RNNLanguageModel(**first.get_params(deep=False)).fit(train)
    return model.set_weights(values), total / n_tokens


def windows_of(model, train):
    """The windows that rnnkit cuts."""
    encoder = model.to_runtime().encoder
    corpus: Corpus = encoder.encode(train).targets(encoder.end_id)
    return Windows(
        corpus, batch_size=model.batch_size, bptt=model.bptt, carry_state=True
    )


class TiedLSTM(torch.nn.Module):
    """The example's model with rnnkit's first weights and names."""

    def __init__(self, first, rate):
        super().__init__()
        size, layers, n = first.hidden_size, first.num_layers, len(first.vocabulary_)
        self.rate = rate
        self.embedding = torch.nn.Embedding(n, size)
        self.rnn = torch.nn.LSTM(size, size, layers, dropout=rate)
        self.output = torch.nn.Module()
        self.output.bias = torch.nn.Parameter(torch.zeros(n))
        values = {name: torch.tensor(v) for name, v in first.params_.items()}
        self.load_state_dict(values)

    def forward(self, ids, state):
        hidden, state = self.rnn(dropout(self.embedding(ids), self.rate), state)
        hidden = dropout(hidden, self.rate)
        return hidden @ self.embedding.weight.T + self.output.bias, state


if __name__ == "__main__":
    main()
