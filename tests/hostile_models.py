"""2,000 model files that are not what they were, each loaded; prints what came of them as JSON.

    python -m tests.hostile_models FOLDER

FOLDER holds the ``model.safetensors`` that they are made of, a detector of three columns.

Nothing but a ValueError or OSError that names the file may come of a load, or the same model; where
the digest was made anew over other content, another model as well, which is then scored with. The
process ends at once if anything is unpickled, or another process or program starts.
"""

import copy
import json
import os
import pickle
import resource
import struct
import sys
import time
from collections import Counter
from itertools import islice, permutations
from pathlib import Path

import joblib
import numpy as np
import torch

import skvae
from skvae.persistence._file import MAX_HEADER_BYTES, opened, write

HUGE = (2**31, 2**40, 2**62, 2**63 - 1, 2**64, 10**30, -1, 0)


class Payload:
    """What a pickle can do: leave a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


# -- files whose digest does not hold --------------------------------------------------------


def split(content):
    (n,) = struct.unpack("<Q", content[:8])
    return content[8 : 8 + n], content[8 + n :]


def joined(header, data):
    return struct.pack("<Q", len(header)) + header + data


def flipped(content, rng):
    content = bytearray(content)
    start, end = rng.choice([[0, 8], [8, 8 + len(split(content)[0])], [0, len(content)]])
    for _ in range(rng.choice([1, 1, 2, 8])):
        content[rng.integers(start, end)] ^= 1 << rng.integers(8)
    return bytes(content)


def truncated(content, rng):
    return content[: rng.integers(len(content))]


def spliced(content, rng):
    a, b = sorted(rng.integers(len(content), size=2))
    more = bytes(rng.integers(256, size=rng.integers(1, 64), dtype=np.uint8))
    return [
        content[:a] + content[b:],
        content[:b] + content[a:],
        content[:a] + more + content[a:],
        content + more,
        content[:a] + more + content[a + len(more) :],
    ][rng.integers(5)]


def with_other_header(content, rng):
    header, data = split(content)
    header = json.loads(header)
    name = rng.choice([name for name in header if name != "__metadata__"])
    tensor, huge = header[name], HUGE[rng.integers(len(HUGE))]
    choice = rng.integers(8)
    if choice == 0:
        tensor["dtype"] = str(rng.choice(["F64", "F32", "BF16", "I8", "F8_E4M3", "C64", "O", ""]))
    elif choice == 1:
        tensor["shape"] = [huge, *tensor["shape"]]
    elif choice == 2:
        tensor["shape"] = [[huge, 0], [], [1] * 70, [0, huge], None, "x"][rng.integers(6)]
    elif choice == 3:
        tensor["data_offsets"][rng.integers(2)] = huge
    elif choice == 4:
        header[name + "_"] = header.pop(name)
    elif choice == 5:
        header[name] = header[rng.choice(list(header))]
    elif choice == 6:
        header["__metadata__"] = [{}, None, {"skvae": "{}"}, {"skvae": "[" * 10**5}][
            rng.integers(4)
        ]
    else:
        return struct.pack("<Q", huge % 2**64) + content[8:]
    return joined(json.dumps(header).encode(), data)


# -- files whose digest holds ----------------------------------------------------------------


def places(tree, path=()):
    """Paths of all that a tree holds."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, each in items:
        yield (*path, key)
        if isinstance(each, (dict, list)):
            yield from places(each, (*path, key))


def other_value(model, old, rng):
    some = [None, True, -1, 0, 2**31, 2**62, 1e308, "", "x" * 1000, "os.system", [], {}, [[]] * 50]
    some += [{"part": ["Popen", {}]}, {"part": ["Combined", {"scores": []}]}, {"tensor": ["x", []]}]
    some += [{"float": "nan"}, {"tuple": [2**40] * 3}, {"optimizer": "Adam"}, {"member": -7}]
    some += [{"neighbors": [10**9, {"array": ["calibration_scores_", None]}]}, {"text": ["x"]}]
    if type(old) is int and rng.random() < 0.7:
        return [old + 1, -old, old * 1000 + 7, 2**40, 2**63 - 1, 0][rng.integers(6)]
    if rng.random() < 0.5:
        paths = list(places(model))
        for key in paths[rng.integers(len(paths))]:
            model = model[key]
        return copy.deepcopy(model)
    return some[rng.integers(len(some))]


def with_other_model(model, arrays, rng):
    paths = list(places(model))
    *path, key = paths[rng.integers(len(paths))]
    inside = model
    for each in path:
        inside = inside[each]
    choice = rng.integers(4)
    if choice == 0:
        del inside[key]
    elif choice == 1 and isinstance(inside, dict):
        inside[str(rng.choice(["fit", "__class__", "__dict__", "x", "score_"]))] = inside[key]
    else:
        inside[key] = other_value(model, inside[key], rng)


def with_other_arrays(model, arrays, rng):
    name = str(rng.choice(list(arrays)))
    array = arrays[name]
    choice = rng.integers(7)
    if choice == 0:
        arrays[name] = array.astype(rng.choice([np.float16, np.float64, np.int64, np.uint8, bool]))
    elif choice == 1:
        arrays[name] = array[..., None] if rng.random() < 0.5 else array.reshape(-1)
    elif choice == 2:
        arrays[name] = array[:0] if array.ndim else array[None]
    elif choice == 3:
        arrays[name] = np.full_like(array, -1 if array.dtype.kind in "iu" else np.nan)
    elif choice == 4:
        arrays[name] = np.concatenate([np.atleast_1d(array)] * 2)
    elif choice == 5:
        arrays["more"] = array
    else:
        del arrays[name]


# -- the run -----------------------------------------------------------------------------------


def stop_at_pickles_and_processes(event, args):
    if event in ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.fork"):
        sys.stderr.write(f"{event} {args}\n")
        os._exit(1)


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Run:
    def __init__(self, folder):
        self.path = Path(folder) / "model.safetensors"
        self.content = self.path.read_bytes()
        self.X = np.random.RandomState(0).randn(20, 3)
        self.expected = skvae.load(self.path).anomaly_score(self.X)
        self.hostile = Path(folder) / "hostile.safetensors"
        self.counts, self.messages, self.slowest = Counter(), Counter(), 0.0

    def load(self, kind):
        """Load the hostile file; the model, or None where it is refused."""
        start = time.perf_counter()
        try:
            return skvae.load(self.hostile)
        except (ValueError, OSError) as error:
            words = str(error)
            assert str(self.hostile) in words and len(words) < 1000, words
            self.counts[f"{kind} refused"] += 1
            self.messages[words.partition(": ")[2][:60]] += 1
        finally:
            self.slowest = max(self.slowest, time.perf_counter() - start)

    def damaged(self, change, n):
        for seed in range(n):
            self.hostile.write_bytes(change(self.content, np.random.default_rng(seed)))
            detector = self.load(change.__name__)
            if detector is not None:
                self.counts[f"{change.__name__} same"] += 1
                assert np.array_equal(detector.anomaly_score(self.X), self.expected)

    def original(self):
        """Model and arrays of the file, to be changed."""
        with opened(self.path) as stored:
            return stored.model, {name: stored.array(name) for name in stored.names}

    def forged(self, change, n):
        model, arrays = self.original()
        text = json.dumps(model)
        for seed in range(n):
            model, own = json.loads(text), dict(arrays)
            change(model, own, np.random.default_rng(seed))
            write(self.hostile, model, own)
            detector = self.load(change.__name__)
            if detector is not None:
                self.counts[f"{change.__name__} another"] += 1
                self.score(detector)

    def score(self, detector):
        """A forged model may be unable to score, but not take long or much over it."""
        start = time.perf_counter()
        try:
            detector.anomaly_score(self.X)
        except Exception as error:
            self.counts[f"unable to score: {type(error).__name__}"] += 1
        self.slowest = max(self.slowest, time.perf_counter() - start)

    def foreign(self):
        trace = self.hostile.with_name("trace")
        writers = {
            "pickle": lambda path: path.write_bytes(pickle.dumps(Payload(trace))),
            "protocol 0": lambda path: path.write_bytes(pickle.dumps(Payload(trace), 0)),
            "joblib": lambda path: joblib.dump(Payload(trace), path, compress=3),
            "torch": lambda path: torch.save(Payload(trace), path),
            "text": lambda path: path.write_text("{}" * 1000),
            "zeros": lambda path: path.write_bytes(bytes(10**6)),
            "empty": lambda path: path.write_bytes(b""),
            "nested": lambda path: path.write_bytes(joined(b"[" * 10**6, b"")),
            "torch weights": lambda path: torch.save({"x": torch.ones(3)}, path),
        }
        for name, write_file in writers.items():
            write_file(self.hostile)
            assert self.load("foreign") is None, name
            assert not trace.exists()

    def bomb(self):
        """A header of half the greatest length, full of what takes most memory a letter."""
        model, arrays = self.original()
        model["state"]["bomb"] = [[[]]] * (MAX_HEADER_BYTES // 12)
        write(self.hostile, model, arrays)
        assert len(self.load("bomb").bomb) > 300_000

    def bombs_of_one_array(self):
        """An array of 1 MB, thousands of copies of which are asked for."""
        flat = np.zeros(1 << 20, np.uint8)
        orders = islice(permutations(range(9)), 1, 3000)
        bombs = {
            "text": (flat.view(np.uint32)[:, None], [{"text": ["x", None]}] * 3000),
            "orders": (flat.reshape(1 << 12, *[2] * 8), [{"array": ["x", o]} for o in orders]),
            "list": (flat, [{"array": ["x", None]}] * 3000),
            "columns": (
                flat,
                {"table": [None, [[f"{i}", {"array": ["x", None]}] for i in range(3000)]]},
            ),
            "constants": (
                flat,
                {"table": [{"array": ["x", None]}, [[f"{i}", 0] for i in range(3000)]]},
            ),
            "neighbors": (
                flat[:, None],
                [{"neighbors": [1, {"array": ["x", None]}]} for _ in range(3000)],
            ),
        }
        for name, (array, tree) in bombs.items():
            model, arrays = self.original()
            model["state"]["bomb_"] = tree
            write(self.hostile, model, arrays | {"x": array})
            assert self.load("bombs of one array") is None, name


def main(folder):
    run = Run(folder)
    before = peak_megabytes()
    sys.addaudithook(stop_at_pickles_and_processes)
    run.foreign()
    run.bomb()
    run.bombs_of_one_array()
    run.damaged(flipped, 700)
    run.damaged(truncated, 300)
    run.damaged(spliced, 300)
    run.damaged(with_other_header, 300)
    run.forged(with_other_model, 300)
    run.forged(with_other_arrays, 100)
    result = {
        "files": sum(n for outcome, n in run.counts.items() if "score" not in outcome),
        "megabytes": peak_megabytes() - before,
        "slowest": run.slowest,
        "counts": run.counts,
        "messages": run.messages.most_common(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(sys.argv[1])
