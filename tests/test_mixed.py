"""MixedVAEDetector: encoding and likelihood against closed forms, kinds of columns, gaps."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch.nn import functional as F

import skvae
from skvae import AEDetector, MixedVAEDetector
from skvae.detectors._columns import Columns
from skvae.detectors._encoding import Encoding
from skvae.likelihoods import Mixed
from skvae.model_selection import StackedGridSearchCV
from skvae.networks import MixedAutoencoder
from skvae.networks.mixed import HIDDEN_BELOW, slot_softmax
from skvae.plotting import ErrorMapDisplay, ScoreHistogramDisplay
from skvae.scores import Ensemble

TINY = {"max_steps": 5, "hidden_layer_sizes": (8,), "score": "elbo", "random_state": 0}


def table(n=200, seed=0):
    rng = np.random.RandomState(seed)
    kind = rng.choice(["cat", "dog", "horse"], n)
    size = np.select([kind == "cat", kind == "dog"], [30, 60], 150)
    return pd.DataFrame(
        {
            "kind": kind,
            "cm": size * rng.uniform(0.9, 1.1, n),
            "tame": rng.rand(n) < 0.7,
            "born": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.randint(0, 1000, n), "D"),
            "size": pd.Categorical(rng.choice(["S", "M"], n)),
        }
    )


def with_gaps(frame, share=0.2, seed=0):
    rng = np.random.RandomState(seed)
    frame = frame.astype({"tame": "boolean"})
    for name in frame:
        frame.loc[rng.rand(len(frame)) < share, name] = None
    return frame


# -- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, kind",
    [
        ([1, 2], "number"),
        (np.array([1.5, 2], dtype=object), "number"),
        (pd.array([1, None], dtype="Int64"), "number"),
        (np.array([1, None], dtype=object), "number"),
        ([True, False], "boolean"),
        (pd.array([True, None], dtype="boolean"), "boolean"),
        (np.array([True, None], dtype=object), "boolean"),
        (["a", "b"], "category"),
        (np.array(["a", 1], dtype=object), "category"),
        (pd.Categorical([1, 2]), "category"),
        (pd.Categorical([True, False]), "category"),
        (pd.array(["a", None], dtype="string"), "category"),
        (pd.to_datetime(["2020-01-01", None]), "date"),
        (pd.to_datetime(["2020-01-01", None]).tz_localize("Europe/Berlin"), "date"),
        (np.array([pd.Timestamp("2020-01-01").date(), None], dtype=object), "date"),
    ],
)
def test_kinds(values, kind):
    frame = pd.DataFrame({"a": values})
    columns = Columns.of(frame, "from_dtype")
    assert columns.kinds == [kind]
    rows = columns.read(frame)
    assert rows.dtype == np.float64 and np.array_equal(np.isnan(rows), frame.isna())


def test_what_is_read_and_written():
    frame = with_gaps(table())
    columns = Columns.of(frame, "from_dtype")
    assert columns.kinds == ["category", "number", "boolean", "date", "category"]
    assert [list(each) for each in columns.categories] == [
        ["cat", "dog", "horse"],
        [],
        [],
        [],
        ["M", "S"],
    ]
    rows = columns.read(frame)
    whole = frame.dropna()
    assert len(whole) > 20
    back = columns.frame(rows[frame.notna().all(axis=1)], whole.index, whole.columns)
    pd.testing.assert_frame_equal(back, whole, check_dtype=False, check_categorical=False)
    assert back["tame"].dtype == bool and back["born"].dtype.kind == "M"


def test_numbers_as_categories():
    frame = pd.DataFrame({"a": [3, 1, 1, 2], "b": [0.5, 1, 2, 3]})
    for named in (["a"], [0], [True, False]):
        columns = Columns.of(frame, named)
        assert columns.kinds == ["category", "number"]
        assert columns.categories[0].tolist() == [1, 2, 3]
    new = pd.DataFrame({"a": np.array([1.0, "2", 7, None, "x"], dtype=object), "b": 0})
    assert columns.read(new)[:, 0].tolist()[:3] == [0, 1, -1]
    assert np.isnan(columns.read(new)[3, 0]) and columns.read(new)[4, 0] == -1


@pytest.mark.parametrize(
    "given, message",
    [
        (["c"], r"names \['c'\], which X has no columns of"),
        ([2], "positions from 0 to 1"),
        ([True], r"mask of shape \(1,\), but X has 2 columns"),
        ([], "column 'a' holds text or categories, but categorical_features does not name it"),
        (None, "column 'a' holds text or categories"),
    ],
)
def test_categorical_features_that_do_not_fit(given, message):
    frame = pd.DataFrame({"a": ["x", "y"], "b": [1, 2]})
    with pytest.raises(ValueError, match=message):
        MixedVAEDetector(categorical_features=given).fit(frame)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("cm", "heavy", "column 'cm' is a number column, .* Unable to parse"),
        ("cm", np.inf, "column 'cm' holds infinity"),
        ("cm", 1e30, r"column 'cm' holds 1e\+30"),
        ("tame", 2, "column 'tame' is a boolean column, .* it holds 2"),
        ("born", 5, "column 'born' is a date column, .* it holds numbers"),
    ],
)
def test_a_cell_of_another_kind_is_named(name, value, message):
    detector = MixedVAEDetector(**TINY).fit(table())
    with pytest.raises(ValueError, match=message):
        detector.predict(table(3).assign(**{name: value}))


def test_kinds_that_are_none():
    for values in (pd.to_timedelta([1, 2]), pd.period_range("2020", periods=2)):
        with pytest.raises(ValueError, match="column 'a' is of the type"):
            MixedVAEDetector().fit(pd.DataFrame({"a": values}))
    with pytest.raises(ValueError, match="Complex data not supported: column 'a'"):
        MixedVAEDetector().fit(pd.DataFrame({"a": [1j, 2]}))


def test_a_column_without_a_value():
    with pytest.raises(ValueError, match="column 'cm' holds nothing but missing values in the 200"):
        MixedVAEDetector(**TINY).fit(table().assign(cm=np.nan))


@pytest.mark.parametrize("rows, message", [(0, "0 sample"), (1, "minimum of 2 is required")])
def test_frames_without_rows(rows, message):
    with pytest.raises(ValueError, match=message):
        MixedVAEDetector().fit(table(5).iloc[:rows])


@pytest.mark.parametrize(
    "texts, found, remedy",
    [
        (["1.5", "2"], "numbers stored as text, such as '1.5'", "pd.to_numeric(X['a'])"),
        (["2020-01-01", "2020-01-02 12:00"], "dates stored as text", "format='ISO8601')"),
        (["01.02.2020", "31.12.2020"], "dates stored as text", "format='%d.%m.%Y')"),
        ([f"p{i}" for i in range(40)], "40 different texts in 40 rows", "X.set_index('a')"),
    ],
)
def test_text_that_is_no_category_is_warned_of(texts, found, remedy):
    frame = pd.DataFrame({"a": np.resize(np.array(texts, dtype=object), 40), "x": range(40)})
    with pytest.warns(UserWarning, match="column 'a' holds ") as caught:
        detector = MixedVAEDetector(**TINY).fit(frame)
    assert len(caught) == 1 and found in str(caught[0].message)
    assert remedy in str(caught[0].message)
    assert detector.column_kinds_ == ["category", "number"]
    MixedVAEDetector(**TINY).fit(frame.astype({"a": "category"}))  # as the warning says
    MixedVAEDetector(**TINY, categorical_features=["a"]).fit(frame)


@pytest.mark.parametrize(
    "texts", [["a", "b"], ["1", "2", "x"], ["may", "june"], ["", "7"], ["n1", "n2"] * 10]
)
def test_other_text_is_not(texts):
    frame = pd.DataFrame({"a": np.resize(np.array(texts, dtype=object), 40), "x": range(40)})
    MixedVAEDetector(**TINY).fit(frame)
    MixedVAEDetector(**TINY).fit(pd.DataFrame({"a": [f"p{i}" for i in range(10)], "x": range(10)}))


# -- encoding --------------------------------------------------------------------------------


def test_encoding_of_a_small_table():
    frame = pd.DataFrame(
        {
            "c": ["a", "a", "a", "b", "b", "d"],
            "x": [0.0, 2, 0, 2, None, None],
            "t": [True] * 5 + [False],
        }
    )
    columns = Columns.of(frame, "from_dtype")
    encoding = Encoding.of(columns, columns.read(frame), max_categories=2)
    assert encoding.shape == (1, 2, 2) and encoding.n_known == [6, 6]
    assert encoding.owners.tolist() == [1, 0, 0, 2, 2, 1, 0, 2]
    new = pd.DataFrame(
        {
            "c": ["a", "b", "d", "new", None],
            "x": [2, None, 0, 1, 1],
            "t": [True, None, False, True, True],
        }
    )
    x = encoding.encode(columns.read(new))
    costs = [0, -np.log(3 / 6), -np.log(2 / 6), -np.log(1 / 6), 0]  # 2 rare ones, 3 values of them
    expected = [
        # x, a or rare, false or true, x is known, costs
        [1, 1, 0, 0, 1, 1, costs[0], 0],
        [0, 0, 1, 0, 0, 0, costs[1], 0],
        [-1, 0, 1, 1, 0, 1, costs[2], 0],
        [0, 0, 1, 0, 1, 1, costs[3], 0],
        [0, 0, 0, 0, 1, 1, costs[4], 0],
    ]
    np.testing.assert_allclose(x, expected)


def test_dates_have_a_time_and_cycles():
    dates = pd.to_datetime(["2021-01-01 00:00", "2021-01-01 06:00", "2021-01-08 00:00"])
    frame = pd.DataFrame({"d": dates})
    columns = Columns.of(frame, "from_dtype")
    encoding = Encoding.of(columns, columns.read(frame), 20)
    numbers = encoding.scaler.inverse_transform(encoding.encode(columns.read(frame))[:, :7])
    days, sin_day, sin_week, _, cos_day, cos_week, _ = numbers.T
    np.testing.assert_allclose(days - days[0], [0, 0.25, 7])
    np.testing.assert_allclose(sin_day, [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(cos_day, [1, 0, 1], atol=1e-9)
    np.testing.assert_allclose([sin_week[0], cos_week[0]], [sin_week[2], cos_week[2]], atol=1e-9)


@given(
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any),
    max_categories=st.integers(2, 10),
)
@settings(deadline=None, max_examples=50)
def test_costs_beside_a_slot_are_a_distribution(counts, max_categories):
    values = np.repeat([f"{i}" for i in range(len(counts))], counts).astype(object)
    frame = pd.DataFrame({"c": values})
    columns = Columns(["category"], [np.array([f"{i}" for i in range(len(counts))], dtype=object)])
    encoding = Encoding.of(columns, columns.read(frame), max_categories)
    (slots,), (costs,) = encoding.slots, encoding.costs
    assert encoding.sizes[0] <= max_categories
    rare = slots == slots[-1]
    seen = rare & (np.append(counts, 1) > 0)  # the last stands for all that were not seen
    assert np.exp(-costs[seen]).sum() == pytest.approx(1)
    assert (costs[~rare] == 0).all() and np.isfinite(costs).all()
    assert min(np.array(counts)[~rare[:-1]]) >= max(np.array(counts)[rare[:-1]], default=0)


# -- network and likelihood -------------------------------------------------------------------


def test_softmax_of_each_column():
    logits = torch.randn(3, 7, 11, generator=torch.Generator().manual_seed(0))
    expected = torch.cat([part.softmax(-1) for part in logits.split([2, 5, 4], -1)], -1)
    torch.testing.assert_close(slot_softmax(logits, (2, 5, 4)), expected)


def test_likelihood_against_closed_forms():
    likelihood = Mixed((2, 3, 2))
    likelihood.numbers.log_scale.data[..., :2] = torch.tensor([0.0, np.log(2)])
    likelihood.smooth([10, 4], [3, 2])
    x = torch.tensor(
        [[1.0, 0, 0, 1, 0, 0, 0, 1, 0, 0.7, 0]]
    )  # second number and column are missing
    x_hat = torch.tensor([[0.0, 5, 0.2, 0.5, 0.3, 0.9, 0.1, 0, 0, 0, 0]])
    error = likelihood(x, x_hat[None])[0].detach()
    expected = np.zeros(11)
    expected[0] = 0.5 * np.log(2 * np.pi) + 0.5
    expected[3] = -np.log((10 * 0.5 + 1) / (10 + 3))
    expected[9] = 0.7
    np.testing.assert_allclose(error[0], expected, rtol=1e-6)


def test_an_impossible_category_costs_the_logarithm_of_the_rows():
    likelihood = Mixed((0, 4))
    likelihood.smooth([96], [4])
    x = torch.tensor([[0.0, 0, 0, 1, 0]])
    assert likelihood(x, x.flip(-1)[None]).sum() == pytest.approx(np.log(100), rel=1e-6)


def test_what_is_missing_is_not_seen():
    network = MixedAutoencoder(
        (2, 3), 2, (8,), activation="relu", generator=torch.Generator().manual_seed(0)
    )
    whole = torch.tensor([[1.0, 2, 0, 1, 0, 1, 1, 0.3]])
    missing = torch.tensor([[1.0, 0, 0, 0, 0, 1, 0, 0]])
    in_training = network(missing, torch.zeros(1, 1, network.noise_width)).x_hat[0]
    assert torch.equal(in_training[:, 1:5], missing[:, 1:5]) and in_training[0, 0] != 1
    first, second = network.decode(network.encode(missing)[0])[0], network(missing).x_hat[0]
    filled = torch.cat([first[:, :2], F.one_hot(first[:, 2:5].argmax(1), 3), missing[:, 5:]], 1)
    filled[0, 0], filled[0, 6] = 1, 1
    torch.testing.assert_close(
        filled[:, :5] - network(filled).x_hat[0, :, :5], (missing - second)[:, :5]
    )
    assert torch.equal(network(missing).latent, network(filled).latent)
    assert torch.equal(network(whole).x_hat[0, :, 5:], whole[:, 5:])
    zero = whole.clone()
    zero[0, 1] = 0
    unknown = zero.clone()
    unknown[0, 6] = 0
    assert torch.equal(network.encode(zero)[0], network.encode(unknown)[0]), "until it is learned"
    assert torch.equal(network(whole).latent, network(whole - torch.eye(8)[7] * 0.3).latent)


def test_hidden_cells_are_seen_as_missing_and_reconstructed():
    network = MixedAutoencoder(
        (3, 3), 2, (8,), activation="relu", generator=torch.Generator().manual_seed(0)
    )
    network.cells = (1, 1, 0, 2, 2, 2, 1, 1, 0, 2)  # as of a number and a date
    assert network.noise_dims == (5,) and network.noise_width == 3 + network.code_dim
    whole = torch.tensor([[[1.0, 2, 3, 0, 1, 0, 1, 1, 1, 0.3]]])
    draws = torch.zeros(1, 1, network.noise_width)
    assert torch.equal(network(whole, draws).x_hat, network(whole).x_hat)
    for cell in range(3):
        draws[..., :3] = 0
        draws[..., cell] = HIDDEN_BELOW - 0.01
        own = torch.tensor(network.cells) == cell
        missing = whole.masked_fill(own, 0)
        output = network(whole, draws)
        assert torch.equal(output.latent, network.encode(missing)[0][..., :2])
        values = torch.arange(10) < 6
        assert (output.x_hat != whole)[..., own & values].all(), "it is to be learned"
        known = missing @ network.tells_known() > 0
        assert known.flatten().tolist() == [each != cell for each in range(3)]
    share = (
        torch.randn(100_000, generator=torch.Generator().manual_seed(0)) < HIDDEN_BELOW
    ).float()
    assert share.mean().item() == pytest.approx(0.05, abs=0.003)


def test_a_missing_cell_counts_as_on_average():
    """Of a sum of terms the effect of a cell is the mean of its term, which no row has then."""
    rng = np.random.RandomState(0)
    gaps = with_gaps(table(400), 0.1)
    score = "reconstruction_probability"
    detector = MixedVAEDetector(**TINY | {"score": score}).fit(gaps)
    corrected = detector.score_.scores[0]
    assert corrected.effects_.shape == (5,) and (corrected.effects_ < 0).all()
    terms = detector._summed_maps(detector._validate(table(400)))
    np.testing.assert_allclose(-corrected.effects_, terms.mean(0), rtol=0.1)
    whole = table(30, seed=rng.randint(100))
    plain = detector._by_block(Ensemble([corrected.score]), detector._validate(whole))
    np.testing.assert_array_equal(detector.anomaly_score(whole), plain)


def test_too_few_rows_tell_nothing_of_gaps():
    detector = MixedVAEDetector(**TINY, contamination=0).fit(table(12))
    assert (detector.score_.scores[0].effects_ == 0).all()


# -- detector ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    return MixedVAEDetector(random_state=0, contamination=0, score="elbo").fit(table(600))


def test_a_rare_combination_beside_the_true_density():
    """Category and number are both usual, each by itself; together they are 13 deviations off."""
    rng = np.random.RandomState(0)

    def rows(n, swapped=False):
        is_a = rng.rand(n) < 0.5
        x = np.where(is_a, -2, 2) * (-1 if swapped else 1) + 0.3 * rng.randn(n)
        return pd.DataFrame({"c": np.where(is_a, "a", "b"), "x": x})

    train, new = rows(1000), pd.concat([rows(300), rows(100, swapped=True)])
    is_odd = np.arange(400) >= 300
    detector = MixedVAEDetector(contamination=0, score="elbo", max_steps=600, random_state=0)
    score = detector.fit(train).anomaly_score(new)
    truth = np.log(2) - norm.logpdf(new["x"], np.where(new["c"] == "a", -2, 2), 0.3)
    assert roc_auc_score(is_odd, truth) == 1 and roc_auc_score(is_odd, score) > 0.99
    assert spearmanr(score, truth).statistic > 0.8
    numbers = AEDetector(contamination=0, max_steps=100, random_state=0).fit(train[["x"]])
    assert numbers.score(new[["x"]], is_odd) == pytest.approx(0.5, abs=0.1)


def test_only_the_combination_is_odd(fitted):
    usual = table(300, seed=1)
    odd = usual.assign(cm=usual["cm"].sample(frac=1, random_state=0).to_numpy())
    swapped = (odd["cm"] / usual["cm"] - 1).abs() > 0.3
    scores = [fitted.anomaly_score(each[swapped]) for each in (usual, odd)]
    assert np.mean(scores[1] > np.quantile(scores[0], 0.99)) > 0.9
    assert fitted.error_map(odd[swapped]).idxmax(axis=1).isin(["kind", "cm"]).mean() > 0.9


def test_unseen_categories_are_rare_and_finite(fitted):
    new = table(20, seed=2)
    error = fitted.error_map(new.assign(kind="whale"))["kind"]
    n_slots = 4
    assert (error + fitted.usual_error_map_[0] <= np.log(600 + n_slots) + 1e-3).all()
    assert (error > fitted.error_map(new)["kind"].max() + 2).all()
    assert (fitted.predict(new.assign(kind="whale", size="XL")) == -1).all()


def test_missing_cells_cost_nothing(fitted):
    new = table(20, seed=2)
    for name in new:
        gap = new.astype({"tame": "boolean"})
        gap[name] = None
        errors = fitted.error_map(gap)
        assert (errors[name] == 0).all(), "a column that was never missing in training"
        assert (errors.drop(columns=name) != 0).all(axis=None)
    nothing = pd.DataFrame(np.nan, index=new.index, columns=new.columns)
    assert (fitted.error_map(nothing) == 0).all(axis=None)
    assert np.isfinite(fitted.anomaly_score(nothing)).all()
    assert fitted.reconstruct(nothing).notna().all(axis=None)
    gaps = with_gaps(table(40))
    detector = MixedVAEDetector(**TINY | {"score": ["density", "neighbors"]}).fit(gaps)
    assert (detector.error_map(gaps).to_numpy()[gaps.isna()] == 0).all()


def test_gaps_that_training_had_not_are_no_news():
    detector = MixedVAEDetector(random_state=0).fit(table(800))
    new = table(2000, seed=1).astype({"tame": "boolean"})
    alarms = (detector.predict(new) == -1).mean()
    for name in new:
        with_a_gap = (detector.predict(new.assign(**{name: None})) == -1).mean()
        assert with_a_gap < alarms + 0.05, name


def test_the_map_sums_to_the_score_beyond_the_usual():
    detector = MixedVAEDetector(**TINY | {"score": "reconstruction_probability"}).fit(
        with_gaps(table())
    )
    X = with_gaps(table(50, seed=1), seed=1)
    usual = X.notna() @ detector.usual_error_map_
    np.testing.assert_allclose(
        detector.error_map(X).sum(axis=1) + usual - X.isna() @ detector.score_.scores[0].effects_,
        detector.anomaly_score(X),
        rtol=1e-5,
    )
    whole = detector.error_map(table())
    assert np.abs(whole.median()).max() < 0.5


@pytest.mark.parametrize("score", ["elbo", "iwae", "mahalanobis", ["density", "neighbors"]])
def test_a_row_scores_the_same_in_any_company(score):
    X = with_gaps(table(1500))
    detector = MixedVAEDetector(**TINY | {"score": score}, n_estimators=2).fit(X.iloc[:200])
    for method in (detector.anomaly_score, detector.error_map, detector.reconstruct):
        expected = pd.DataFrame(method(X))
        order = np.random.RandomState(0).permutation(len(X))
        own = pd.DataFrame(method(X.iloc[order]))
        pd.testing.assert_frame_equal(
            own.reset_index(drop=True),
            expected.iloc[order].reset_index(drop=True),
            check_exact=True,
        )
        own = pd.DataFrame(method(X.iloc[7:9])).reset_index(drop=True)
        pd.testing.assert_frame_equal(
            own, expected.iloc[7:9].reset_index(drop=True), check_exact=True
        )


def test_frames_come_back_as_frames(fitted):
    X = table(5, seed=3).set_index(pd.Index(list("abcde")))
    for made in (fitted.reconstruct(X), fitted.error_map(X)):
        assert list(made.columns) == list(X.columns) and list(made.index) == list(X.index)
    X_hat = fitted.reconstruct(X)
    assert (X_hat["kind"] == X["kind"]).mean() > 0.7 and X_hat["born"].dtype.kind == "M"
    latent = fitted.inverse_transform(fitted.transform(X))
    pd.testing.assert_frame_equal(latent, X_hat.reset_index(drop=True))


def test_arrays_of_numbers_with_gaps():
    X = np.random.RandomState(0).randn(200, 4)
    X[::7, 1] = np.nan
    detector = MixedVAEDetector(**TINY).fit(X)
    assert detector.column_kinds_ == ["number"] * 4
    assert detector.reconstruct(X).dtype == float and np.isfinite(detector.reconstruct(X)).all()
    assert detector.error_map(X).shape == X.shape and (detector.error_map(X)[::7, 1] == 0).all()
    expected = detector.anomaly_score(X)
    as_objects = MixedVAEDetector(**TINY).fit(X.astype(object)).anomaly_score(X.astype(object))
    np.testing.assert_array_equal(as_objects, expected)


def test_the_encoding_is_that_of_the_rows_that_are_trained_on():
    X = table(400).assign(name=pd.Categorical([f"n{i}" for i in range(400)]))
    detector = MixedVAEDetector(**TINY, calibration_fraction=0.5, max_categories=5).fit(X)
    slots, n = detector._encoding.slots[-1], detector._encoding.n_known[-1]
    assert n == 200 and slots.max() == 4
    # Each name is one of 200, whether it has a slot or not, and others are a little less probable.
    q = detector.net_.module_.likelihood
    costs = detector._encoding.costs[-1]
    rare = slots[:-1] == 4
    assert set(np.round(np.exp(-costs[:-1][rare]) * (196 + 196 + 1)).astype(int)) == {1, 2}
    assert q.reserved[0, 0, -1] == 0


# -- with the rest ----------------------------------------------------------------------------


def test_persistence(tmp_path):
    X = with_gaps(table())
    detector = MixedVAEDetector(**TINY, categorical_features=["kind", "size"], n_estimators=2).fit(
        X
    )
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    buffer = io.BytesIO()
    joblib.dump(detector, buffer)
    buffer.seek(0)
    for other in (loaded, pickle.loads(pickle.dumps(detector)), joblib.load(buffer)):
        np.testing.assert_array_equal(other.anomaly_score(X), detector.anomaly_score(X))
        pd.testing.assert_frame_equal(other.reconstruct(X), detector.reconstruct(X))
        pd.testing.assert_frame_equal(other.error_map(X), detector.error_map(X))
    expected = clone(detector).fit(X).anomaly_score(X)
    np.testing.assert_array_equal(loaded.fit(X).anomaly_score(X), expected)


def test_warm_start_keeps_the_columns():
    X = table()
    detector = MixedVAEDetector(**TINY, warm_start=True).fit(X)
    slots = detector._encoding.slots
    detector.fit(X.assign(kind="new"))
    assert detector._encoding.slots is slots
    with pytest.raises(ValueError, match="'max_categories': 3"):
        detector.set_params(max_categories=3).fit(X)


def test_a_stacked_search_gives_the_scores_of_lone_fits():
    X = with_gaps(table(90)).assign(name=[f"n{i % 7}" for i in range(90)])  # folds with other slots
    grid = {"beta": [0.5, 1.0], "max_categories": [3, 20]}
    search = StackedGridSearchCV(MixedVAEDetector(**TINY), grid, cv=3, refit=False).fit(X)
    lone = GridSearchCV(MixedVAEDetector(**TINY), grid, cv=3, refit=False).fit(X)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], lone.cv_results_["mean_test_score"]
    )


def test_tables_of_one_width_and_other_columns_are_no_stack():
    """Here a number and a date, there a date and a number: cells are not the same values."""
    rng = np.random.RandomState(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(60) % 3, "D")
    X = pd.DataFrame({"first": days, "x": rng.randn(60), "last": days})
    grid = {"categorical_features": [["first"], ["last"]]}
    search = StackedGridSearchCV(MixedVAEDetector(**TINY), grid, cv=2, refit=False).fit(X)
    lone = GridSearchCV(MixedVAEDetector(**TINY), grid, cv=2, refit=False).fit(X)
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], lone.cv_results_["mean_test_score"]
    )


def test_pipeline_and_displays():
    X = table()
    as_is = FunctionTransformer(feature_names_out="one-to-one")
    detector = make_pipeline(as_is, MixedVAEDetector(**TINY)).fit(X)
    display = ErrorMapDisplay.from_estimator(detector, X.head(4))
    assert display.feature_names == list(X.columns) and display.error_map.shape == (4, 5)
    ScoreHistogramDisplay.from_estimator(detector, X)
    numbers = make_column_transformer((StandardScaler(), ["cm"]), remainder="passthrough")
    numbers.set_output(transform="pandas")
    detector = make_pipeline(numbers, MixedVAEDetector(**TINY)).fit(X)
    assert detector[-1].column_kinds_ == ["number", "category", "boolean", "date", "category"]
