"""Self-attention in convolutional networks."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import skvae
from skvae.networks import ConvAutoencoder
from skvae.networks._attention import SelfAttention


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images():
    return (load_digits().images[:300] * 15.9).astype(np.uint8)


def tiny(**params):
    settings = {"channels": (4, 8), "max_steps": 20, "random_state": 0, "attention": 2}
    return skvae.ConvVAEDetector(**(settings | params))


def test_attention_is_the_softmax_of_products_over_all_places():
    layer = SelfAttention(16, generator()).double()
    layer.gate.data.fill_(0.7)
    x = torch.randn(3, 16, 2, 5, generator=generator(1), dtype=torch.float64)

    def of(part, place):
        return (place @ part.weight[0] + part.bias[0])[:, : part.out_features]

    for image, result in zip(x, layer(x), strict=True):
        places = image.flatten(1).T
        query, key, value = (of(part, places) for part in (layer.query, layer.key, layer.value))
        weights = torch.softmax(query @ key.T / 2**0.5, dim=1)  # two queries wide
        expected = places + 0.7 * weights @ value
        torch.testing.assert_close(result.flatten(1).T, expected)


def test_a_new_network_is_the_one_without_attention_and_then_learns_its_gate(images):
    shared = {"image_shape": (1, 8, 8), "latent_dim": 3, "channels": (4, 8)}
    x = torch.rand(5, 1, 8, 8, generator=generator(2))
    network = ConvAutoencoder(**shared, attention=(2, 4), generator=generator())
    plain = ConvAutoencoder(**shared, generator=generator())
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if "attention" not in k})
    torch.testing.assert_close(network(x).x_hat, plain(x).x_hat)
    trained = tiny(attention=[2, 4]).fit(images).net_.module_.network
    gates = [value for name, value in trained.state_dict().items() if name.endswith("gate")]
    assert len(gates) == 4, "of two maps, in encoder and decoder"
    assert all(gate != 0 for gate in gates)


def test_the_same_bits_alone_after_loading_and_again(images, tmp_path):
    detector = tiny(score="reconstruction").fit(images)
    scores = detector.anomaly_score(images)
    assert np.array_equal(tiny(score="reconstruction").fit(images).anomaly_score(images), scores)
    assert np.array_equal(detector.anomaly_score(images[7:9]), scores[7:9])
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    assert loaded.attention == 2
    assert np.array_equal(loaded.anomaly_score(images), scores)


def test_what_is_no_height_of_a_map_is_refused(images):
    message = r"attention=3 finds no place in this network: its feature maps have the heights 4, 2."
    with pytest.raises(ValueError, match=message):
        tiny(attention=3).fit(images)
    with pytest.raises(ValueError, match=r"attention=\[0\] must hold integers of at least 1."):
        tiny(attention=[0]).fit(images)
    large = np.zeros((3, 128, 128))
    with pytest.raises(ValueError, match=r"attention=64 would compare 4096 places of an image"):
        tiny(attention=64).fit(large)


def test_a_warm_start_cannot_add_attention(images):
    detector = tiny(attention=None, warm_start=True).fit(images)
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        detector.set_params(attention=2).fit(images)
