"""What a sweep costs when its networks are trained as one: one run, one thread, CPU seconds.

    python benchmarks/sweeps.py [--quick] [--full] [--out results/]

prints a Markdown table as ``speed.py`` does, and measures in the same way. A sweep is nine
candidates (three values of beta, three of latent_dim) on five folds, 45 fits.
"""

from speed import (  # first: it sets the number of threads before numpy and torch are imported
    N_FEATURES,
    bare_loop,
    make_rows,
    pyod_vae,
    ratio_row,
    run,
    take_turns,
)

# isort: split
import copy
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid, StratifiedKFold
from torch import nn
from torch.nn import functional as F

from skvae import VAEDetector
from skvae.base import fit_stack
from skvae.likelihoods import LIKELIHOODS
from skvae.model_selection import StackedGridSearchCV
from skvae.networks import MLPAutoencoder, Output
from skvae.training import Autoencoder, Member, fit_autoencoders

GRID = {"beta": [0.1, 1.0, 5.0], "latent_dim": [4, 8, 16]}


class Sizes(NamedTuple):
    """What is measured, and how often; ``--quick`` has the tiny one."""

    rows: int = 5_000
    epochs: int = 10
    turns: int = 3
    loops: int = 11
    images: int = 512


QUICK = Sizes(300, 2, 1, 1, 64)


def candidates(sizes, batch_size, grid=GRID):
    settings = {"score": "reconstruction", "max_steps": None, "max_epochs": sizes.epochs}
    detector = VAEDetector(batch_size=batch_size, random_state=0, **settings)
    return [clone(detector).set_params(**params) for params in ParameterGrid(grid)]


# -- 45 fits ---------------------------------------------------------------------------------------


def fits(sizes, batch_size, targets, full, grid=GRID, n_rows=0):
    """With a pure reconstruction score, so that the time is that of the training."""
    X = make_rows(n_rows or sizes.rows)
    folds = [X[train] for train, _ in KFold(5).split(X)]
    detectors = candidates(sizes, batch_size, grid)

    def stacked():
        jobs = [(clone(detector), rows, None) for detector in detectors for rows in folds]
        errors = [fit.error for fit in fit_stack(jobs) if fit.error]
        assert not errors, errors

    def one_by_one():
        for detector in detectors:
            for rows in folds:
                clone(detector).fit(rows)

    def pyod():
        for rows in folds if full else folds[:1]:
            for params in ParameterGrid(GRID):
                pyod_vae(
                    encoder_neuron_list=[64, 32],
                    decoder_neuron_list=[32, 64],
                    epoch_num=sizes.epochs,
                    batch_size=batch_size,
                    lr=3e-3,
                    dropout_rate=0,
                    optimizer_params={},
                    **params,
                ).fit(rows)

    seconds = take_turns(sizes.turns, ours=stacked, alone=one_by_one)
    claim = f"45 fits, {sizes.epochs} epochs, batch {batch_size}, reconstruction"
    claim += ", uneven" if n_rows else ""
    beside = "the same fits, one after another"
    yield ratio_row(claim, seconds["ours"], seconds["alone"], beside, targets and targets[0])
    if n_rows:
        return
    seconds = take_turns(1, ours=stacked, pyod=pyod)
    theirs = seconds["pyod"] * (1 if full else len(folds))
    beside = "PyOD VAE, same layers" + ("" if full else ", nine fits times five")
    yield ratio_row(claim, seconds["ours"], theirs, beside, targets[1])


# -- a whole search --------------------------------------------------------------------------------


def search(sizes, batch_size, score, target):
    X = make_rows(sizes.rows)
    y = np.zeros(len(X), dtype=int)
    y[: len(X) // 20] = 1
    X[y == 1] += 2 * np.random.default_rng(0).standard_normal((y.sum(), N_FEATURES))
    cv = StratifiedKFold(5, shuffle=True, random_state=0)
    detector = VAEDetector(
        score=score,
        batch_size=batch_size,
        max_steps=None,
        max_epochs=sizes.epochs,
        random_state=0,
    )
    done = {}

    def run_search(cls):
        done[cls] = cls(detector, GRID, cv=cv).fit(X, y)

    seconds = take_turns(
        sizes.turns,
        ours=lambda: run_search(StackedGridSearchCV),
        plain=lambda: run_search(GridSearchCV),
    )
    names = [f"split{fold}_test_score" for fold in range(5)]
    ours, plain = ([each.cv_results_[name] for name in names] for each in done.values())
    apart = np.abs(np.subtract(ours, plain)).max()
    assert apart <= 1e-4, f"The searches differ by {apart}."
    name = score if isinstance(score, str) else "default score"
    claim = f"whole search with scoring and refit, {name}, batch {batch_size}"
    beside = f"GridSearchCV; results differ by {apart:.0e}"
    yield ratio_row(claim, seconds["ours"], seconds["plain"], beside, target)


# -- members, and what the dimension costs ---------------------------------------------------------


def new_autoencoder(seed=0):
    generator = torch.Generator().manual_seed(seed)
    network = MLPAutoencoder(N_FEATURES, 8, (64, 32), generator=generator)
    return Autoencoder(network, LIKELIHOODS["gaussian"](N_FEATURES))


def scaled_rows(sizes):
    X = torch.as_tensor(make_rows(sizes.rows), dtype=torch.float32)
    return (X - X.mean(0)) / X.std(0)


def members(sizes, batch_size, n_members, target=None):
    X = scaled_rows(sizes)

    def train(n):
        generators = [torch.Generator().manual_seed(i) for i in range(n)]
        own = [Member(new_autoencoder(i), X, g, trim=0.2) for i, g in enumerate(generators)]
        fit_autoencoders([own], max_steps=None, max_epochs=sizes.epochs, batch_size=batch_size)

    seconds = take_turns(sizes.turns, many=lambda: train(n_members), one=lambda: train(1))
    claim = f"training {n_members} members, batch {batch_size}"
    ratio = seconds["many"] / seconds["one"]
    settings = {"at_least": False, "ratio": ratio}
    yield ratio_row(claim, seconds["many"], seconds["one"], "one member", target, **settings)


class PlainAutoencoder(nn.Module):
    """The default VAE as one would write it for itself: linear layers, no members, no padding."""

    def __init__(self):
        super().__init__()
        self.latent_dim = self.code_dim = 8
        relu = nn.ReLU()
        down = nn.Linear(N_FEATURES, 64), relu, nn.Linear(64, 32), relu, nn.Linear(32, 16)
        up = nn.Linear(8, 32), relu, nn.Linear(32, 64), relu, nn.Linear(64, N_FEATURES)
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)
        self.log_scale = nn.Parameter(torch.zeros(N_FEATURES))

    @property
    def network(self):
        return self

    def forward(self, x, noise):
        mean, log_var = self.encoder(x).split(8, dim=1)
        log_var = log_var.clamp(-20, 20)
        x_hat = self.decoder(mean + noise[0] * torch.exp(0.5 * log_var))
        kl = 0.5 * ((mean.square() + log_var.exp() - log_var).sum(1) - 8)
        log_scale = self.log_scale.clamp(-4.6, 4)
        error = 0.5 * ((x - x_hat) * torch.exp(-log_scale)).square() + log_scale + 0.919
        return Output(x_hat, mean, log_var, kl), error


def cost_of_the_dimension(sizes, batch_size, target):
    X = scaled_rows(sizes)

    def train(module):
        generator = torch.Generator().manual_seed(0)
        bare_loop(module, X, generator, batch_size, sizes.epochs)

    seconds = take_turns(
        sizes.loops,
        ours=lambda: train(copy.deepcopy(new_autoencoder())),
        plain=lambda: train(PlainAutoencoder()),
    )
    claim = f"one member in a bare loop, batch {batch_size}"
    ratio = seconds["ours"] / seconds["plain"]
    beside = "a plain network of nn.Linear in the same loop"
    settings = {"at_least": False, "ratio": ratio}
    yield ratio_row(claim, seconds["ours"], seconds["plain"], beside, target, **settings)


# -- images ----------------------------------------------------------------------------------------


def grouped_convolutions(sizes, n_members=8, batch_size=64):
    """An encoder of two convolutions, forward and backward: as groups of one, or in turn."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(sizes.images, 1, 28, 28, generator=generator)

    def weights(n):
        shapes = (16 * n, 1, 4, 4), (32 * n, 16, 4, 4)
        return [
            torch.randn(shape, generator=generator).mul_(0.1).requires_grad_() for shape in shapes
        ]

    def train(weights, n, x):
        for weight in weights:
            x = F.conv2d(x, weight, stride=2, padding=1, groups=n).relu()
        x.square().mean().backward()

    together, alone = weights(n_members), [weights(1) for _ in range(n_members)]

    def grouped():
        for x in images.split(batch_size):
            train(together, n_members, x.expand(-1, n_members, -1, -1))

    def in_turn():
        for x in images.split(batch_size):
            for own in alone:
                train(own, 1, x)

    seconds = take_turns(sizes.turns, grouped=grouped, in_turn=in_turn)
    claim = f"{n_members} convolutional encoders of 28 x 28 images as groups of one convolution"
    yield ratio_row(claim, seconds["grouped"], seconds["in_turn"], "one after another")


def parts(sizes, full):
    fit_stack([(each, make_rows(200), None) for each in candidates(QUICK, 32)])
    pyod_vae(epoch_num=1).fit(make_rows(200))
    yield from fits(sizes, 32, (10, 25), full)
    yield from fits(sizes, 64, (10, 25), full)
    # Two lengths of folds and two widths of padding: four stacks.
    uneven = GRID | {"latent_dim": [4, 8, 20]}
    yield from fits(sizes, 64, None, full, uneven, sizes.rows + 3)
    yield from search(sizes, 32, "reconstruction", 5)
    yield from search(sizes, 64, "reconstruction", 5)
    yield from search(sizes, 64, ("density", "neighbors"), 5)
    yield from members(sizes, 64, 10, 3)
    yield from members(sizes, 64, 45)
    yield from members(sizes, 256, 10)
    yield from cost_of_the_dimension(sizes, 64, 1.05)
    yield from grouped_convolutions(sizes)


if __name__ == "__main__":
    run("sweeps", __doc__, parts, Sizes(), QUICK)
