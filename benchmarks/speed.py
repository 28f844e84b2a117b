"""How fast skvae is, beside PyOD's VAE and beside bare torch: one run, one thread, CPU seconds.

    python benchmarks/speed.py [--quick] [--full] [--out results/]

prints a Markdown table, one row a claim, with the target and whether it was met. The sides of a
comparison take turns (A, B, A, B, ...), a ratio is the median over the turns, and its range stands
behind it. CPU time of the process is counted, so that a busy machine disturbs little. ``--quick``
runs everything on tiny sizes, which shows that it works and measures nothing.
"""

import os

# Before torch and numpy are imported: they read it once.
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))

import argparse
import copy
import math
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from skvae import VAEDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import MLPAutoencoder
from skvae.studies.report import markdown_table, write_table, write_text
from skvae.training import Autoencoder, Member, fit_autoencoders, lr_factor

N_FEATURES = 20
PYOD_EPOCHS = 30
PACKAGES = ("torch", "scikit-learn", "skorch", "numpy", "pandas", "pyod")


class Sizes(NamedTuple):
    """What is measured, and how often; ``--quick`` has the tiny one."""

    small: int = 5_000
    large: int = 100_000
    memory: tuple = (100_000, 400_000)
    fits: int = 5
    large_fits: int = 3
    epochs: int = PYOD_EPOCHS
    loops: int = 11
    loop_steps: int = 600
    scorings: int = 9
    calls: int = 1000
    imports: int = 7


QUICK = Sizes(400, 1_000, (2_000, 4_000), 1, 1, 2, 1, 20, 1, 20, 1)


class Row(NamedTuple):
    """A line of the table; ``value`` is compared with ``target``, where there is one."""

    claim: str
    skvae: str
    beside: str
    value: float
    measured: str
    target: float | None = None
    at_least: bool = True

    @property
    def met(self):
        if self.target is None:
            return "-"
        good = self.value >= self.target if self.at_least else self.value <= self.target
        return "yes" if good else "NO"

    def cells(self):
        target = "-"
        if self.target is not None:
            target = f"{'≥' if self.at_least else '≤'} {self.target:g}"
        return {
            "claim": self.claim,
            "skvae": self.skvae,
            "beside it": self.beside,
            "measured": self.measured,
            "target": target,
            "met": self.met,
        }


# -- how to measure ------------------------------------------------------------------------------


def cpu_seconds(function):
    start = process_time()
    function()
    return process_time() - start


def wall_seconds(function):
    start = perf_counter()
    function()
    return perf_counter() - start


def take_turns(repeats, measure=cpu_seconds, **functions):
    """Seconds of each function, an array over the turns; every second turn goes backwards."""
    seconds = {name: [] for name in functions}
    for turn in range(repeats):
        for name in list(functions)[:: -1 if turn % 2 else 1]:
            seconds[name].append(measure(functions[name]))
    return {name: np.array(values) for name, values in seconds.items()}


def spread(values, form):
    """Median of the turns, and their range where there are several; ``form`` has the unit."""
    text = form.format(np.median(values))
    if len(set(values)) > 1:
        low, high = (form.format(value).split(" ")[0] for value in (min(values), max(values)))
        text += f" ({low} to {high})"
    return text


def ratio_row(claim, ours, theirs, beside, target=None, *, at_least=True, ratio=None, unit=None):
    """A row for two arrays of CPU seconds; the ratio is theirs to ours unless it is given.

    With a number of rows as ``unit`` the cells hold thousands of rows a second.
    """
    ratio = theirs / ours if ratio is None else ratio

    def cell(seconds):
        if unit is None:
            return spread(seconds, "{:.3g} s")
        return spread(unit / seconds / 1000, "{:,.0f} k rows/s")

    value, text = float(np.median(ratio)), spread(ratio, "{:.2f} x")
    return Row(claim, cell(ours), f"{beside}: {cell(theirs)}", value, text, target, at_least)


def run_python(code, *arguments):
    """What a fresh interpreter prints, as floats."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"A part of the benchmark failed:\n{done.stderr}")
    return [float(word) for word in done.stdout.split()]


def make_rows(n_rows, seed=0):
    """Correlated rows, a tenth of them strayed."""
    mixing = np.random.default_rng(1).standard_normal((5, N_FEATURES))
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 5)) @ mixing
    X += 0.3 * rng.standard_normal(X.shape)
    X[rng.permutation(n_rows)[: n_rows // 10]] += 3 * rng.standard_normal((n_rows // 10, 1))
    return X


# -- 1 and 2: fits beside PyOD -------------------------------------------------------------------


def pyod_vae(**parameters):
    from pyod.models.vae import VAE

    return VAE(verbose=0, **parameters)


def default_fit(sizes):
    X = make_rows(sizes.small)
    seconds = take_turns(
        sizes.fits,
        ours=lambda: VAEDetector(random_state=0).fit(X),
        theirs=lambda: pyod_vae(epoch_num=sizes.epochs).fit(X),
    )
    claim = f"default fit, {sizes.small:,} x {N_FEATURES}"
    yield ratio_row(claim, seconds["ours"], seconds["theirs"], "PyOD VAE, default", 10)


def default_fit_large(sizes, full):
    X = make_rows(sizes.large)
    claim = f"default fit, {sizes.large:,} x {N_FEATURES}"
    ours = {"ours": lambda: VAEDetector(random_state=0).fit(X)}
    if full:
        seconds = take_turns(1, **ours, theirs=lambda: pyod_vae().fit(X))
        yield ratio_row(claim, seconds["ours"], seconds["theirs"], "PyOD VAE, default", 100)
        return
    seconds = take_turns(
        sizes.large_fits,
        **ours,
        one=lambda: pyod_vae(epoch_num=1).fit(X),
        two=lambda: pyod_vae(epoch_num=2).fit(X),
    )
    theirs = seconds["one"] + (sizes.epochs - 1) * (seconds["two"] - seconds["one"])
    beside = f"PyOD VAE, default, its {sizes.epochs} epochs extrapolated from 1 and 2"
    yield ratio_row(claim, seconds["ours"], theirs, beside, 100)


def same_architecture(sizes, batch_size, target):
    """Both train PyOD's network, PyOD with its dropout and weight decay and without them."""
    X = make_rows(sizes.small)
    ours = VAEDetector(
        hidden_layer_sizes=(128, 64, 32),
        latent_dim=2,
        likelihood="mse",
        score="reconstruction",
        contamination=0,
        max_steps=None,
        max_epochs=sizes.epochs,
        batch_size=batch_size,
        lr=1e-3,
        random_state=0,
    )
    theirs = {"epoch_num": sizes.epochs, "batch_size": batch_size}
    bare = pyod_vae(**theirs, dropout_rate=0, optimizer_params={})
    whole = pyod_vae(**theirs)
    seconds = take_turns(
        sizes.fits,
        ours=lambda: ours.fit(X),
        bare=lambda: bare.fit(X),
        whole=lambda: whole.fit(X),
    )
    claim = f"fit, PyOD's network, {sizes.epochs} epochs, batch {batch_size}"
    beside = "PyOD VAE"
    yield ratio_row(claim, seconds["ours"], seconds["whole"], beside, target)
    beside = "PyOD VAE without dropout and weight decay"
    yield ratio_row(f"{claim}, equal work", seconds["ours"], seconds["bare"], beside, target)


# -- 3: the training loop beside a bare one ------------------------------------------------------


def bare_loop(module, X, generator, batch_size, n_epochs, lr=3e-3):
    """The loop that one would write by hand for this module: equal work, step for step."""
    n_steps = n_epochs * math.ceil(len(X) / batch_size)
    optimizer = torch.optim.Adam(module.parameters(), lr=lr, fused=True)
    network, step = module.network, 0
    module.train()
    for _ in range(n_epochs):
        total = torch.zeros(())
        for rows in X[torch.randperm(len(X), generator=generator)].split(16 * batch_size):
            noise = torch.zeros(1, len(rows), network.code_dim)
            drawn = torch.randn(len(rows), network.latent_dim, generator=generator)
            noise[0, :, : network.latent_dim] = drawn
            for x, e in zip(rows.split(batch_size), noise.split(batch_size, dim=1), strict=True):
                optimizer.param_groups[0]["lr"] = lr * lr_factor(step, n_steps)
                optimizer.zero_grad()
                output, error = module(x, e)
                loss = (error.sum() + output.penalty.sum()) / len(x)
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(x)
                step += 1
        if not math.isfinite(total.item()):
            raise FloatingPointError("The bare loop diverged.")
    return module


def training_loop(sizes, batch_size):
    X = torch.as_tensor(make_rows(sizes.small), dtype=torch.float32)
    X = (X - X.mean(0)) / X.std(0)
    n_epochs = math.ceil(sizes.loop_steps / math.ceil(len(X) / batch_size))
    network = MLPAutoencoder(N_FEATURES, 8, (64, 32), generator=torch.Generator().manual_seed(0))
    fresh = Autoencoder(network, LIKELIHOODS["gaussian"](N_FEATURES))

    def ours(max_epochs=n_epochs):
        member = Member(copy.deepcopy(fresh), X, torch.Generator().manual_seed(1))
        settings = {"max_steps": None, "max_epochs": max_epochs, "batch_size": batch_size}
        (net,) = fit_autoencoders([[member]], **settings)
        return net.module_

    def bare(n_epochs=n_epochs):
        generator = torch.Generator().manual_seed(1)
        return bare_loop(copy.deepcopy(fresh), X, generator, batch_size, n_epochs)

    for a, b in zip(ours(1).parameters(), bare(1).parameters(), strict=True):
        # After one epoch, before rounding has grown.
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg="Not the same work.")
    seconds = take_turns(sizes.loops, ours=ours, bare=bare)
    claim = f"training loop (skorch), {n_epochs} epochs, batch {batch_size}"
    yield ratio_row(
        claim,
        seconds["ours"],
        seconds["bare"],
        "bare torch loop, same module",
        1.10,
        at_least=False,
        ratio=seconds["ours"] / seconds["bare"],
    )


# -- 4: scoring ----------------------------------------------------------------------------------


def plain_forward(network):
    """The network's reconstruction in plain products: no members, no padding, no KL."""

    def cut(layer):
        n = layer.out_features
        return layer.bias[0, 0, :n].contiguous(), layer.weight[0, :, :n].contiguous()

    weights = [[cut(layer) for layer in part] for part in (network.encoder, network.decoder)]
    bias, weight = weights[1][0]
    weights[1][0] = bias, weight[: network.latent_dim]

    def run(layers, x):
        for bias, weight in layers[:-1]:
            x = torch.addmm(bias, x, weight).relu_()
        return torch.addmm(layers[-1][0], x, layers[-1][1])

    def forward(x):
        return run(weights[1], run(weights[0], x)[:, : network.latent_dim])

    return forward


def in_chunks(forward, x, chunk):
    with torch.inference_mode():
        for part in x.split(chunk):
            forward(part)


def best_chunk(forward, x):
    """The size of chunk that takes the least CPU time for all rows."""

    def cost(chunk):
        return np.median([cpu_seconds(lambda: in_chunks(forward, x, chunk)) for _ in range(5)])

    return min((256, 512, 1024, 2048, 4096, 8192, 16384, 65536), key=cost)


def scoring(sizes):
    X_train, X = make_rows(sizes.small), make_rows(sizes.large, seed=1)
    quick, default = (
        VAEDetector(score="reconstruction", max_steps=100, random_state=0).fit(X_train),
        VAEDetector(max_steps=100, random_state=0).fit(X_train),
    )
    pyod = pyod_vae(epoch_num=1).fit(X_train)
    pyod_small = pyod_vae(
        epoch_num=1, encoder_neuron_list=[64, 32], decoder_neuron_list=[32, 64], latent_dim=8
    ).fit(X_train)
    x = torch.as_tensor(quick.scaler_.transform(X), dtype=torch.float32)
    X32 = X.astype(np.float32)
    network = quick.net_.module_.network.eval()
    plain = plain_forward(network)
    with torch.inference_mode():
        close = torch.isclose(plain(x), network(x).x_hat[0], rtol=1e-3, atol=1e-3)
    if not close.all():
        raise RuntimeError("The plain forward pass is not that of the network.")

    forwards = {"network": network, "plain": plain}
    best = {name: best_chunk(forward, x) for name, forward in forwards.items()}
    seconds = take_turns(
        sizes.scorings,
        ours=lambda: quick.anomaly_score(X),
        ours32=lambda: quick.anomaly_score(X32),
        network=lambda: in_chunks(network, x, best["network"]),
        plain=lambda: in_chunks(plain, x, best["plain"]),
    )
    slow = take_turns(
        sizes.fits,
        ours=lambda: quick.anomaly_score(X),
        default=lambda: default.anomaly_score(X),
        pyod=lambda: pyod.decision_function(X),
        pyod_small=lambda: pyod_small.decision_function(X),
    )

    name = f"score {sizes.large:,} x {N_FEATURES}"
    for claim, who, beside in (
        (f"{name}, reconstruction", "pyod", "PyOD decision_function"),
        (
            f"{name}, reconstruction, same layers",
            "pyod_small",
            "PyOD decision_function, our layers",
        ),
    ):
        yield ratio_row(claim, slow["ours"], slow[who], beside, 50, unit=len(X))
    beside = f"bare forward pass of the network, chunks of {best['network']}"
    for claim, mine, target in (
        (f"{name}, reconstruction, float32 in", seconds["ours32"], 0.8),
        (f"{name}, reconstruction, float64 in", seconds["ours"], None),
    ):
        yield ratio_row(claim, mine, seconds["network"], beside, target, unit=len(X))
    beside = f"the same map in six plain products, chunks of {best['plain']}"
    claim = f"{name}, reconstruction, float32 in, strictest"
    yield ratio_row(claim, seconds["ours32"], seconds["plain"], beside, unit=len(X))
    beside = "PyOD decision_function"
    yield ratio_row(f"{name}, default score", slow["default"], slow["pyod"], beside, unit=len(X))

    for name, detector in (("reconstruction", quick), ("default score", default)):
        yield one_row_latency(name, detector, X[:1], sizes.calls)


def one_row_latency(name, detector, row, calls):
    """Wall clock of calls with one row."""
    detector.anomaly_score(row)
    milliseconds = []
    for _ in range(calls):
        start = perf_counter()
        detector.anomaly_score(row)
        milliseconds.append(1000 * (perf_counter() - start))
    median = float(np.median(milliseconds))
    low, high = np.percentile(milliseconds, [10, 90])
    measured = f"{median:.2f} ms (80 % within {low:.2f} to {high:.2f})"
    return Row(f"one row, {name}, wall clock", measured, "-", median, measured, 2, False)


# The peak is that of the process since the mark, and the input stands in memory before it.
MEMORY = """
import sys
import numpy as np
from skvae import VAEDetector

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

n_rows, n_features = int(sys.argv[1]), int(sys.argv[2])
train = np.random.default_rng(0).standard_normal((2000, n_features))
X = np.random.default_rng(1).standard_normal((n_rows, n_features))
for score in (["reconstruction"], ["density", "neighbors"]):
    detector = VAEDetector(max_steps=20, score=score, random_state=0).fit(train)
    detector.anomaly_score(train)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = status("VmRSS")
    scores = detector.anomaly_score(X)
    print(max(0, status("VmHWM") - before - scores.nbytes / 1024) / 1024)
"""


def memory(sizes):
    """Growth of the peak while rows are scored, without the input and the returned scores."""
    if not Path("/proc/self/clear_refs").exists():
        yield Row("peak memory of scoring", "not measured: needs Linux", "-", math.nan, "-")
        return
    few, many = (run_python(MEMORY, n, N_FEATURES) for n in sizes.memory)
    for score, low, high in zip(("reconstruction", "default score"), few, many, strict=True):
        yield Row(
            f"peak memory, {sizes.memory[1]:,} rows scored, {score}",
            f"{high:.1f} MB above input and scores",
            f"{sizes.memory[0]:,} rows: {low:.1f} MB",
            high - low,
            f"{high - low:+.1f} MB",
            # What the allocator rounds; growing with n would show as tens.
            target=4,
            at_least=False,
        )


# -- 5: import -----------------------------------------------------------------------------------

IMPORT = """
from time import process_time
start = process_time()
import torch, sklearn
between = process_time()
import skvae
print(between - start, process_time() - between)
"""


def import_time(sizes):
    turns = [run_python(IMPORT) for _ in range(sizes.imports)]
    alone, ours = np.array(turns).T
    yield Row(
        "import skvae, after torch and scikit-learn",
        spread(ours, "{:.3f} s"),
        f"torch and scikit-learn alone: {spread(alone, '{:.2f} s')}",
        float(np.median(ours)),
        f"{np.median(ours):.3f} s",
        0.2,
        False,
    )


# -- the run -------------------------------------------------------------------------------------


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def surroundings():
    libraries = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{processor()}, {os.cpu_count()} CPUs, {torch.backends.cpu.get_cpu_capability()}, "
        f"one thread; {platform.platform()}; Python {platform.python_version()}, {libraries}."
    )


def warm_up():
    """Pay for what the first use alone costs: late imports, allocators, kernels."""
    X = make_rows(200)
    VAEDetector(max_steps=5, random_state=0).fit(X).anomaly_score(X)
    pyod_vae(epoch_num=1).fit(X)


def parts(sizes, full):
    warm_up()
    yield from default_fit(sizes)
    yield from default_fit_large(sizes, full)
    yield from same_architecture(sizes, 32, 2.5)
    yield from same_architecture(sizes, 256, 3)
    for batch_size in (32, 64, 256):
        yield from training_loop(sizes, batch_size)
    yield from scoring(sizes)
    yield from memory(sizes)
    yield from import_time(sizes)


def run(name, about, parts, sizes, quick, arguments=None):
    """Print the table of a benchmark, and keep it where ``--out`` says."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs")
    parser.add_argument("--full", action="store_true", help="no extrapolation: minutes more")
    parser.add_argument("--out", type=Path, help=f"folder for {name}.md and {name}.csv")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)

    rows = []
    for row in parts(quick if options.quick else sizes, options.full):
        print(f"{row.claim}: {row.measured}", file=sys.stderr, flush=True)
        rows.append(row)
    cells = pd.DataFrame([row.cells() for row in rows])
    title = ""
    if options.quick:
        title, cells["met"] = "A quick run on tiny sizes: no target can be judged by it.", "-"
    table = markdown_table(cells)
    text = "\n\n".join(part for part in (title, surroundings(), table) if part)
    print(text)
    if options.out:
        write_text(options.out / f"{name}.md", text)
        write_table(options.out / f"{name}.csv", cells.assign(value=[row.value for row in rows]))


if __name__ == "__main__":
    run("speed", __doc__, parts, Sizes(), QUICK)
