"""The study of families, on small data."""

import pandas as pd
import pytest
from PIL import Image

from skvae.datasets import load_digits_images
from skvae.studies import families, families_summary
from skvae.studies.families import (
    CONTROLS,
    DOMAINS,
    IMAGES,
    QUICK,
    ROWS,
    TABLES,
    _run,
    families_shown,
)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("families")
    return families(seeds=(0,), out=out, quick=True, progress=False), out


def test_every_family_meets_every_domain_that_it_can(report):
    results, _ = report
    domains = set(DOMAINS) - {"brain MRI"}
    assert set(results["domain"]) == domains
    for domain, own in results.groupby("domain"):
        families_ = {*ROWS, *CONTROLS} | (set() if domain in TABLES else set(IMAGES))
        assert set(own["family"]) == families_
        assert own.groupby("family").size().nunique() == 1, "every family meets every case"
    assert results["auroc"].between(0, 1).all() and (results["fit_seconds"] > 0).all()
    noise = results.query("domain == 'shifted digits' and case == 'noise sd 0.3'")
    assert noise.set_index("family").loc["convolutional VAE", "auroc"] > 0.8


def test_summary_is_means_over_cases_then_seeds():
    rows = [
        {"domain": "d", "family": "f", "seed": seed, "case": case, "auroc": a, "fit_seconds": 1.0}
        for seed, case, a in [(0, "a", 0.5), (0, "b", 0.7), (1, "a", 0.9), (1, "b", 0.7)]
    ]
    (row,) = families_summary(pd.DataFrame(rows)).to_dict("records")
    assert row["auroc"] == pytest.approx(0.7)
    assert row["spread"] == pytest.approx(0.02**0.5)
    shown = families_shown(pd.DataFrame([row]))
    assert shown["AUROC"].to_numpy().tolist() == [["f", "0.700 ± 0.141"]]
    assert shown["CPU seconds of a fit"].to_numpy().tolist() == [["f", "1.00"]]


def test_report_on_disk_and_a_later_run_takes_what_is_there(report):
    results, out = report
    text = (out / "report.md").read_text()
    assert "| convolutional VAE | - | - | 0." in text and "Quick run" in text
    assert (out / "families.png").read_bytes().startswith(b"\x89PNG")
    stored = pd.read_csv(out / "results.csv")
    pd.testing.assert_frame_equal(stored, results, check_dtype=False)
    again = families(seeds=(0,), out=out, quick=True, progress=False)
    pd.testing.assert_frame_equal(again, results)


def test_slices_of_a_folder_reach_every_family_of_images(tmp_path):
    digits, labels = load_digits_images()
    for i, (image, digit) in enumerate(zip(digits[:120], labels, strict=False)):
        name = "no_tumor" if digit < 5 else "tumor"
        folder = tmp_path / "brain_mri" / ("train" if i < 80 else "test") / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    settings = QUICK | {"quick": True, "slice_size": 16}
    for name in IMAGES:
        (row,) = _run(DOMAINS["brain MRI"], tmp_path, settings, 0, name)
        assert row["case"] == "tumour" and 0 <= row["auroc"] <= 1


def test_an_unknown_family_is_named():
    with pytest.raises(ValueError, match=r"unknown family 'VAEs'; known are: VAE, AE, hier"):
        families(detectors=["VAEs"], quick=True)
