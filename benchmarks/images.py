"""How fast the convolutional network trains and scores, beside bare torch and PyOD's loader.

    python benchmarks/images.py [--quick] [--out results/]

prints a Markdown table, one row a claim, with the target and whether it was met. It measures as
``speed.py`` does: one thread, CPU seconds, the sides of a comparison take turns, and a ratio is the
median over the turns with its range behind it. The images are random: the time of a convolution
does not depend on what it sees. Training on a folder decodes its files in other threads, so there
the wall clock counts, and a busy machine disturbs it.
"""

# First, because it sets the number of threads before torch is imported.
from speed import Row, ratio_row, surroundings, take_turns, wall_seconds  # isort: skip

import argparse
import copy
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from skvae.base._images import as_floats
from skvae.base._lazy import LazyImages
from skvae.datasets import load_image_folder
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import ConvAutoencoder
from skvae.studies.report import markdown_table, write_table, write_text
from skvae.training import Autoencoder, Member, fit_autoencoders, lr_factor

LATENT_DIM = 16
LR = 2e-3


class Sizes(NamedTuple):
    """What is measured, and how often; ``--quick`` has the tiny one."""

    images: int = 4096
    large_images: int = 1024
    scored: int = 8192
    files: int = 2048
    turns: int = 9


QUICK = Sizes(256, 64, 300, 128, 1)


def make_images(n, shape):
    rng = np.random.default_rng(0)
    return torch.as_tensor(rng.integers(0, 256, (n, *shape), dtype=np.uint8))


def make_module(shape, likelihood="bernoulli"):
    """The default network for images and a likelihood."""
    network = ConvAutoencoder(shape, LATENT_DIM, generator=torch.Generator().manual_seed(0))
    return Autoencoder(network, LIKELIHOODS[likelihood](shape))


# -- training ------------------------------------------------------------------------------------


def bare_loop(module, X, batch_size):
    """The loop that one would write by hand for this module, one epoch."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(module.parameters(), lr=LR, fused=True)
    module.train()
    total, n_steps = torch.zeros(()), math.ceil(len(X) / batch_size)
    batches = torch.randperm(len(X), generator=generator).split(batch_size)
    for step, rows in enumerate(batches):
        x = as_floats(X[rows])
        optimizer.param_groups[0]["lr"] = LR * lr_factor(step, n_steps)
        noise = torch.randn((1, len(x), LATENT_DIM), generator=generator)
        optimizer.zero_grad()
        output, error = module(x, noise)
        loss = (error.sum() + output.penalty.sum()) / len(x)
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(x)
    if not math.isfinite(total.item()):
        raise FloatingPointError("The bare loop diverged.")
    return module


def skvae_epoch(module, X, batch_size):
    """An epoch through ``skvae.training``."""
    member = Member(module, X, torch.Generator().manual_seed(1))
    options = {"max_steps": None, "max_epochs": 1, "batch_size": batch_size, "lr": LR}
    return fit_autoencoders([[member]], **options)[0].module_


class PlainVAE(nn.Module):
    """The same shape as users write it: torch's layers in their default order of memory."""

    def __init__(self, shape):
        super().__init__()
        n_channels, *sides = shape
        small = [side // 4 for side in sides]
        n_flat = 32 * math.prod(small)
        self.encoder = nn.Sequential(
            nn.Conv2d(n_channels, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(n_flat, 128),
            nn.ReLU(),
            nn.Linear(128, 2 * LATENT_DIM),
        )
        self.decoder = nn.Sequential(
            nn.Linear(LATENT_DIM, 128),
            nn.ReLU(),
            nn.Linear(128, n_flat),
            nn.ReLU(),
            nn.Unflatten(1, (32, *small)),
            nn.ConvTranspose2d(32, 16, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, n_channels, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        mean, log_var = self.encoder(x).chunk(2, dim=1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)
        return self.decoder(z), mean, log_var


def plain_loop(module, X, batch_size):
    """An epoch of eager torch with the default Adam, over float images."""
    optimizer = torch.optim.Adam(module.parameters(), lr=LR)
    module.train()
    for rows in torch.randperm(len(X)).split(batch_size):
        x = X[rows]
        optimizer.zero_grad()
        x_hat, mean, log_var = module(x)
        error = F.binary_cross_entropy(x_hat, x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
        loss = (error + kl) / len(x)
        loss.backward()
        optimizer.step()
    return module


def training(n_images, shape, batch_size, turns):
    X = make_images(n_images, shape)
    floats = as_floats(X)
    ours, plain = make_module(shape), PlainVAE(shape)
    n_ours, n_plain = (sum(p.numel() for p in m.parameters()) for m in (ours, plain))
    if n_ours != n_plain:
        raise RuntimeError(f"The networks differ: {n_ours} and {n_plain} weights.")
    seconds = take_turns(
        turns,
        ours=lambda: skvae_epoch(copy.deepcopy(ours), X, batch_size),
        bare=lambda: bare_loop(copy.deepcopy(ours), X, batch_size),
        plain=lambda: plain_loop(copy.deepcopy(plain), floats, batch_size),
    )
    size = " x ".join(map(str, shape))
    claim = f"epoch, {n_images:,} images of {size}, batch {batch_size}"
    for other, beside, target in (
        ("bare", "bare torch loop, same module", 1.05),
        ("plain", "plain NCHW module, default Adam", 0.85),
    ):
        yield ratio_row(
            f"{claim}, {other}",
            seconds["ours"],
            seconds[other],
            beside,
            target,
            at_least=False,
            ratio=seconds["ours"] / seconds[other],
        )


def training_on_files(n_images, side, batch_size, turns):
    """An epoch on JPEG files, decoded by two threads, beside the bare loop on a tensor of them."""
    with TemporaryDirectory() as path:
        for i, image in enumerate(make_images(n_images, (8, 8)).numpy()):
            Image.fromarray(image).resize((side, side)).save(Path(path, f"{i:05}.jpg"))
        folder = load_image_folder(path, side, n_workers=2, max_bytes_in_memory=0)
        X = torch.as_tensor(np.asarray(folder))
        module = make_module(tuple(X.shape[1:]))
        seconds = take_turns(
            turns,
            wall_seconds,
            ours=lambda: skvae_epoch(copy.deepcopy(module), LazyImages(folder), batch_size),
            bare=lambda: bare_loop(copy.deepcopy(module), X, batch_size),
        )
    yield ratio_row(
        f"epoch, {n_images:,} JPEG files of {side} x {side}, batch {batch_size}, wall clock",
        seconds["ours"],
        seconds["bare"],
        "bare torch loop on a tensor in memory",
        0.85,
    )


# -- scoring -------------------------------------------------------------------------------------


def loader_scores(module, data, batch_size=32):
    """PyOD's way to score: a DataLoader of 32, gradients off, scores put together at the end."""
    scores = []
    with torch.no_grad():
        for x in DataLoader(data, batch_size=batch_size, shuffle=False):
            x_hat, _, _ = module(x)
            error = F.mse_loss(x_hat, x, reduction="none")
            scores.append(error.flatten(1).sum(1).numpy())
    return np.concatenate(scores)


def block_scores(module, X, block):
    """Blocks of one fixed shape, the last one padded with zeros."""
    scores = np.empty(len(X))
    with torch.inference_mode():
        for start in range(0, len(X), block):
            x = as_floats(X[start : start + block])
            x = F.pad(x, (0, 0, 0, 0, 0, 0, 0, block - len(x)))
            _, error = module(x)
            values = error[0].flatten(1).sum(1)
            scores[start : start + block] = values[: len(scores) - start].numpy()
    return scores


def scoring(n_images, shape, turns):
    from pyod.utils.torch_utility import TorchDataset

    X = make_images(n_images, shape)
    module, plain = make_module(shape, "mse").eval(), PlainVAE(shape).eval()
    floats = as_floats(X).numpy()
    data = TorchDataset(floats, mean=floats.mean(0), std=floats.std(0))  # standardises one by one
    seconds = take_turns(
        turns,
        ours=lambda: block_scores(module, X, 256),
        large=lambda: block_scores(module, X, 1024),
        loader=lambda: loader_scores(plain, data),
    )
    claim = f"score {n_images:,} images of {' x '.join(map(str, shape))}"
    for name, block in (("ours", 256), ("large", 1024)):
        yield ratio_row(
            f"{claim}, blocks of {block}",
            seconds[name],
            seconds["loader"],
            "PyOD's loader design, batch 32",
            1.5,
            unit=n_images,
        )


# -- the run -------------------------------------------------------------------------------------


def parts(sizes):
    for shape in ((1, 28, 28), (3, 32, 32)):  # the first use of everything is paid for here
        list(training(64, shape, 32, 1))
    for batch_size in (64, 128):
        yield from training(sizes.images, (1, 28, 28), batch_size, sizes.turns)
    yield from training(sizes.large_images, (1, 64, 64), 64, sizes.turns)
    yield from training(sizes.large_images, (3, 32, 32), 64, sizes.turns)
    for side in (64, 128):
        yield from training_on_files(sizes.files, side, 64, sizes.turns)
    yield from scoring(sizes.scored, (1, 28, 28), sizes.turns)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs")
    parser.add_argument("--out", type=Path, help="folder for images.md and images.csv")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)  # of the plain modules

    rows: list[Row] = []
    for row in parts(QUICK if options.quick else Sizes()):
        print(f"{row.claim}: {row.measured}", file=sys.stderr, flush=True)
        rows.append(row)
    cells = pd.DataFrame([row.cells() for row in rows])
    title = ""
    if options.quick:
        title, cells["met"] = "A quick run on tiny sizes: no target can be judged by it.", "-"
    text = "\n\n".join(part for part in (title, surroundings(), markdown_table(cells)) if part)
    print(text)
    if options.out:
        write_text(options.out / "images.md", text)
        write_table(options.out / "images.csv", cells.assign(value=[row.value for row in rows]))


if __name__ == "__main__":
    main()
