"""Conv1dVAEDetector: its network against one-dimensional convolutions, layouts, scales, files."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, RobustScaler
from torch.nn import functional as F

import skvae
from skvae import Conv1dVAEDetector
from skvae.networks.conv import OF_SERIES, ConvAutoencoder, DoublingConv

TINY = {"max_steps": 5, "channels": (4,), "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.fixture(scope="module")
def X():
    """Series of two channels of unlike scales, (60, 2, 11)."""
    rng = np.random.RandomState(0)
    t = rng.uniform(0, 6, (60, 1)) + 0.5 * np.arange(11)
    return np.stack([100 + 10 * np.sin(t), np.cos(t)], 1) + 0.1 * rng.randn(60, 2, 11)


def network(shape, **params):
    params = {"channels": (4, 6), "hidden_layer_sizes": (16,), "output_activation": "identity"}
    return ConvAutoencoder(shape, 3, **params, generator=torch.Generator().manual_seed(0)).double()


# -- the network -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_out", [1, 3])
def test_doubling_is_the_transposed_convolution(n_out):
    generator = torch.Generator().manual_seed(0)
    layer = DoublingConv(6, n_out, generator, steps=OF_SERIES).double()
    x = torch.randn(5, 6, 1, 4, generator=generator, dtype=torch.float64)
    expected = F.conv_transpose1d(x[:, :, 0], layer.weight[:, :, 0], layer.bias, 2, 1)
    torch.testing.assert_close(layer(x)[:, :, 0], expected)


def test_convolutions_are_those_of_one_dimension():
    net = network((2, 1, 12))
    x = torch.rand(5, 2, 1, 12, generator=torch.Generator().manual_seed(1)).double()
    h = x[:, :, 0]
    for layer in net.encoder.convolutions:
        assert layer.weight.shape[2:] == (1, 4)
        h = torch.relu(F.conv1d(h, layer.weight[:, :, 0], layer.bias, 2, 1))
    h = h.movedim(1, 2).flatten(1)
    hidden, code = net.encoder.connected
    h = torch.relu((h @ hidden.weight[0] + hidden.bias[0])[:, :16])
    mean = (h @ code.weight[0] + code.bias[0])[:, :3]
    torch.testing.assert_close(net(x).latent[0], mean)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 33])
def test_series_of_any_length(length):
    net = network((1, 1, length))
    x = torch.rand(4, 1, 1, length, generator=torch.Generator().manual_seed(1)).double()
    assert net(x).x_hat.shape == (1, 4, 1, 1, length)
    x.requires_grad_()
    net(x).latent.sum().backward()
    assert (x.grad.abs().sum(0) > 0).all(), "every point counts"


# -- layouts and scales ----------------------------------------------------------------------


def test_layouts_mean_the_same(X):
    detector = Conv1dVAEDetector(**TINY).fit(X)
    assert detector.n_features_in_ == 22
    flat = X.reshape(60, 22)
    np.testing.assert_array_equal(detector.anomaly_score(flat), detector.anomaly_score(X))
    maps = detector.error_map(X)
    assert maps.shape == X.shape and detector.reconstruct(X).shape == X.shape
    np.testing.assert_array_equal(detector.error_map(flat), maps.reshape(60, 22))
    assert detector.inverse_transform(detector.transform(X)).shape == X.shape
    one = Conv1dVAEDetector(**TINY).fit(X[:, 0])
    again = Conv1dVAEDetector(**TINY).fit(X[:, :1])
    np.testing.assert_array_equal(one.anomaly_score(X[:, 0]), again.anomaly_score(X[:, :1]))
    assert one.inverse_transform(one.transform(X[:, 0])).shape == (60, 11)
    with pytest.raises(ValueError, match="series of 1 channels and 11 points, but fit saw 2"):
        detector.anomaly_score(X[:, :1])
    with pytest.raises(ValueError, match="X has 11 features, but .* is expecting 22"):
        detector.anomaly_score(X[:, 0])


@pytest.mark.parametrize("scaler", ["standard", RobustScaler(), None])
def test_channels_are_scaled_each_by_itself(X, scaler):
    detector = Conv1dVAEDetector(**TINY | {"scaler": scaler, "max_steps": 1}).fit(X)
    if scaler is None:
        assert detector.scaler_ is None
        return
    points = np.moveaxis(X, 1, 2).reshape(-1, 2)
    expected = np.moveaxis(detector.scaler_.transform(points).reshape(60, 11, 2), 2, 1)
    found = detector._network_rows(detector._validate(X))[:, :, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if scaler == "standard":
        np.testing.assert_allclose(detector.scaler_.mean_, X.mean((0, 2)))
        other = X * [[7], [0.01]] + [[3], [-5]]
        again = Conv1dVAEDetector(**TINY | {"max_steps": 1}).fit(other)
        scores = detector.anomaly_score(X)
        np.testing.assert_allclose(again.anomaly_score(other), scores, rtol=1e-3, atol=1e-3)


def test_values_in_0_1_may_have_the_cross_entropy(X):
    parameters = TINY | {"scaler": MinMaxScaler(clip=True), "likelihood": "bernoulli"}
    x_hat = Conv1dVAEDetector(**parameters).fit(X).reconstruct(X)
    assert (x_hat >= X.min((0, 2))[:, None] - 1e-4).all()
    assert (x_hat <= X.max((0, 2))[:, None] + 1e-4).all()


def test_reconstructions_are_in_the_units_of_X(X):
    detector = Conv1dVAEDetector(max_steps=300, random_state=0).fit(X)
    error = np.abs(detector.reconstruct(X) - X).mean((0, 2))
    assert (error < 0.3 * X.std((0, 2))).all()


def test_the_scale_of_each_channel_is_learned(X):
    many = np.concatenate([X] * 20)
    many[:, 1] += np.random.RandomState(1).randn(*many[:, 1].shape)
    detector = Conv1dVAEDetector(max_steps=300, random_state=0).fit(many)
    first, second = detector.net_.module_.likelihood.scale()[0].flatten().tolist()
    assert second > first + 0.2 and first < -0.4


# -- what it is for, and files ---------------------------------------------------------------


def test_an_anomaly_in_one_channel_is_found_there(X):
    detector = Conv1dVAEDetector(max_steps=300, random_state=0).fit(X[:50])
    broken = X[50:].copy()
    broken[:, 1, 6] *= -1
    broken[:, 1, 6] += 0.5
    assert detector.score(np.r_[X[50:], broken], np.repeat([1, -1], 10)) > 0.9
    maps = detector.error_map(broken).reshape(10, -1)
    assert (maps.argmax(1) == 11 + 6).mean() > 0.7


def test_ensembles_and_files(X, tmp_path):
    detector = Conv1dVAEDetector(**TINY, n_estimators=3).fit(X)
    alone = Conv1dVAEDetector(**TINY, score="reconstruction").fit(X)
    three = Conv1dVAEDetector(**TINY, n_estimators=3, score="reconstruction").fit(X)
    np.testing.assert_array_equal(three.transform(X)[:, :8], alone.transform(X))
    path = tmp_path / "model.safetensors"
    skvae.save(detector, path)
    loaded = skvae.load(path)
    assert set(vars(loaded)) == set(vars(detector))
    for method in ("anomaly_score", "error_map", "reconstruct", "transform"):
        expected = getattr(detector, method)(X)
        np.testing.assert_array_equal(getattr(loaded, method)(X), expected)
    detector._built = detector._built | {"image_shape": (1, 1, 22)}
    detector.n_features_in_ = 22
    skvae.save(detector, path)
    with pytest.raises(ValueError, match="cannot be loaded as a model: its network needs"):
        skvae.load(path)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"channels": ()}, "channels=.* and one at least"),
        ({"channels": (0,)}, "must hold integers of at least 1"),
        ({"score": "ssim"}, "compares images, but Conv1dVAEDetector takes"),
        ({"likelihood": "bernoulli"}, "needs training values in"),
    ],
)
def test_wrong_parameters_are_one_clear_error(X, params, message):
    with pytest.raises(ValueError, match=message):
        Conv1dVAEDetector(**TINY | params).fit(X)


@pytest.mark.parametrize("anomaly_weight", [0, 1])
def test_a_few_labels_are_learned_from(X, anomaly_weight):
    lifted = X.copy()
    lifted[::3, 0] += 6
    y = np.zeros(60, int)
    y[:30:3] = -1
    parameters = {"train_on": "labels", "anomaly_weight": anomaly_weight, "max_steps": 50}
    detector = Conv1dVAEDetector(**TINY | parameters).fit(lifted, y)
    assert detector.score(lifted[30:], np.arange(30) % 3 == 0) > 0.95
    np.testing.assert_allclose(detector.scaler_.mean_, np.mean(lifted[y != -1], (0, 2)))
