"""The convolutional network: its map, shapes, generators, and bits that no neighbour changes."""

import copy
import io
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from skvae.networks.conv import (
    ConvAutoencoder,
    ConvEncoder,
    DoublingConv,
    HalvingConv,
    smallest_side,
)
from skvae.networks.mlp import ACTIVATIONS


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make(image_shape=(1, 28, 28), latent_dim=4, seed=0, **params):
    params = {"channels": (4, 6), "hidden_layer_sizes": (16,), **params}
    return ConvAutoencoder(image_shape, latent_dim, generator=generator(seed), **params)


def images(n, image_shape=(1, 28, 28), seed=1):
    return torch.rand(n, *image_shape, generator=generator(seed))


# -- the map --------------------------------------------------------------------------------


@pytest.mark.parametrize("n_out", [1, 3])
def test_doubling_is_the_transposed_convolution(n_out):
    layer = DoublingConv(6, n_out, generator()).double()
    x = torch.randn(5, 6, 3, 4, generator=generator(1), dtype=torch.float64, requires_grad=True)
    weight, bias = layer.weight, layer.bias
    expected = F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    torch.testing.assert_close(layer(x), expected)
    ours = torch.autograd.grad(layer(x).square().sum(), (x, weight, bias))
    theirs = torch.autograd.grad(expected.square().sum(), (x, weight, bias))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def connected(layer, x):
    return (x @ layer.weight[0] + layer.bias[0])[:, : layer.out_features]


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_forward_is_the_plain_network_of_the_same_weights(activation, n_channels):
    network = make((n_channels, 8, 12), activation=activation).double()
    x = images(5, (n_channels, 8, 12)).double()
    act = ACTIVATIONS[activation]
    first, second = network.encoder.convolutions
    h = act(F.conv2d(x, first.weight, first.bias, 2, 1))
    h = act(F.conv2d(h, second.weight, second.bias, 2, 1)).movedim(1, 3).flatten(1)
    hidden, code = network.encoder.connected
    h = connected(code, act(connected(hidden, h)))
    mean, log_var = h[:, :4], h[:, 4:]
    hidden, flat = network.decoder.connected
    h = act(connected(flat, act(connected(hidden, mean))))
    first, second = network.decoder.convolutions
    h = h.view(5, 2, 3, 6).movedim(3, 1)
    h = act(F.conv_transpose2d(h, first.weight, first.bias, 2, 1))
    x_hat = torch.sigmoid(F.conv_transpose2d(h, second.weight, second.bias, 2, 1))
    kl = 0.5 * (mean**2 + log_var.exp() - log_var - 1).sum(1)

    output = network(x)
    expected = (x_hat, mean, log_var, kl)
    for part, value in zip(output.tensors, expected, strict=True):
        torch.testing.assert_close(part, value[None])


def test_noise_moves_the_code_by_posterior_standard_deviations():
    network, x = make(), images(3)
    noise = torch.randn(1, 3, 4, generator=generator(2))
    output = network(x, noise)
    mean, log_var = network.encode(x)
    z = mean + noise * (log_var / 2).exp()
    torch.testing.assert_close(output.x_hat, network.decode(z))
    assert torch.equal(output.latent, mean)


# -- shapes ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    n_channels=st.integers(1, 5),
    height=st.integers(4, 19),
    width=st.integers(4, 19),
    n=st.integers(1, 3),
    variational=st.booleans(),
    norm=st.sampled_from([None, "batch", "group"]),
)
def test_any_size_comes_back_with_a_member_dimension(
    n_channels, height, width, n, variational, norm
):
    shape = (n_channels, height, width)
    network = make(shape, variational=variational, norm=norm)
    assert (network.n_members, network.latent_dim) == (1, 4)
    assert network.variational is variational
    output = network(images(n, shape))
    assert output.x_hat.shape == (1, n, *shape)
    assert output.latent.shape == (1, n, 4)
    assert 0 <= output.x_hat.min() and output.x_hat.max() <= 1
    if variational:
        assert output.log_var.shape == (1, n, 4)
        assert output.penalty.shape == (1, n)
        assert output.penalty.min() >= 0
    else:
        assert output.log_var is None and output.penalty is None


def test_a_member_dimension_of_the_input_changes_nothing():
    network, x = make(), images(3)
    for with_member, without in zip(network(x[None]).tensors, network(x).tensors, strict=True):
        assert torch.equal(with_member, without)


def test_what_lies_beyond_the_image_is_zero():
    network = make((1, 5, 6), channels=(4, 6))
    wide = make((1, 8, 8), channels=(4, 6))
    x = images(3, (1, 5, 6))
    expected = wide(F.pad(x, (0, 2, 0, 3)))
    output = network(x)
    torch.testing.assert_close(output.latent, expected.latent)
    torch.testing.assert_close(output.x_hat, expected.x_hat[..., :5, :6])


@pytest.mark.parametrize("height, width", [(2, 2), (3, 28), (28, 3)])
def test_too_small_images_are_told_the_smallest_size(height, width):
    assert smallest_side((4, 6)) == 4
    message = (
        f"Images of {height} x {width} are too small for channels=(4, 6): each of the 2 "
        "convolutions halves the sides, so 4 x 4 is the smallest size. Use fewer channels, or "
        "enlarge the images."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make((1, height, width))
    assert make((1, 4, 4))(images(2, (1, 4, 4))).x_hat.shape == (1, 2, 1, 4, 4)


def test_encoder_alone_makes_rows():
    encoder = ConvEncoder(
        (3, 9, 9), 10, (4,), (8, 6), activation="relu", norm="batch", generator=generator()
    )
    assert encoder(images(5, (3, 9, 9))).shape == (1, 5, 10)


# -- weights --------------------------------------------------------------------------------


def test_weights_come_from_the_generator_alone():
    before = torch.get_rng_state()
    first, again, other = make(seed=3), make(seed=3), make(seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    weights = first.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in again.state_dict().items())
    assert any(not torch.equal(value, weights[key]) for key, value in other.state_dict().items())


def test_weights_fill_the_range_that_their_fan_in_gives():
    down, up = HalvingConv(8, 32, generator()), DoublingConv(32, 8, generator())
    # 8 * 4 * 4 and 32 * 2 * 2 values reach an output: 128 both
    for layer, gain in ((down, 6**0.5), (up, 1)):
        assert layer.weight.abs().max().item() == pytest.approx(gain * 128**-0.5, rel=0.01)
        assert layer.weight.mean().item() == pytest.approx(0, abs=0.005)
        assert layer.bias.abs().max() <= 128**-0.5


def test_a_new_network_passes_variance_on():
    network = make(channels=(16, 32), hidden_layer_sizes=(128,), variational=False)
    network.decoder.output_activation = "identity"
    x_hat = network(images(200)).x_hat[0] - network(images(1, seed=9)).x_hat[0]
    assert x_hat.std() > 0.02  # 0.0003 with +-1/sqrt(fan_in)


def test_unknown_norm_is_refused():
    with pytest.raises(ValueError, match=r"norm='layer' is none of \(None, 'batch', 'group'\)"):
        make(norm="layer")


def test_copies_and_stored_weights_are_the_same_network():
    network, x = make((3, 10, 10), norm="batch").eval(), images(3, (3, 10, 10))
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    loaded = make((3, 10, 10), norm="batch", seed=9).eval()
    loaded.load_state_dict(torch.load(file))
    for twin in (copy.deepcopy(network), loaded):
        assert torch.equal(twin(x).x_hat, network(x).x_hat)
    assert all(value.is_contiguous() for value in network.state_dict().values())


# -- training -------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, "batch", "group"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_every_weight_gets_a_gradient_and_the_loss_falls(norm, n_channels):
    shape = (n_channels, 8, 8)
    network, x = make(shape, norm=norm), 0.2 * images(16, shape)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    losses = []
    for _ in range(30):
        output = network(x, torch.zeros(1, 16, 4))
        loss = (output.x_hat - x).square().sum() + 1e-3 * output.penalty.sum()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_fused_optimizer_takes_the_same_step():
    def trained(**options):
        network = make((3, 8, 8))
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, **options)
        for _ in range(3):
            optimizer.zero_grad()
            network(images(8, (3, 8, 8))).x_hat.square().sum().backward()
            optimizer.step()
        return network.parameters()

    for fused, plain in zip(trained(fused=True), trained(foreach=False), strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5)


def test_batch_norm_takes_no_statistics_of_one_image():
    network = make(norm="batch")
    network.train()(images(8))  # moves the running statistics
    state = copy.deepcopy(network.state_dict())
    alone = network(images(1, seed=2))
    alone.x_hat.sum().backward()
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    torch.testing.assert_close(alone.x_hat, network.eval()(images(1, seed=2)).x_hat)


# -- the same bits --------------------------------------------------------------------------


@pytest.mark.parametrize("n_channels", [1, 3])
def test_strides_of_the_input_change_no_bit(n_channels):
    network = make((n_channels, 8, 8)).eval()
    x = images(5, (n_channels, 8, 8))
    expected = network(x).x_hat
    last = x.permute(0, 2, 3, 1).contiguous()
    rows = x.repeat(1, 1, 1, 2).split(8, dim=3)[1]
    for same in (last.permute(0, 3, 1, 2), last.view(5, 8, 8, -1).movedim(3, 1), rows):
        assert torch.equal(network(same).x_hat, expected)


@pytest.mark.parametrize("norm", [None, "batch", "group"])
@pytest.mark.parametrize(
    "image_shape, channels, latent_dim, n_rows",
    [
        ((1, 28, 28), (16, 32), 16, 256),
        ((1, 28, 28), (16, 32), 3, 1024),
        ((3, 13, 10), (5, 7), 5, 1024),
        ((2, 5, 7), (8,), 2, 256),
    ],
)
def test_a_row_is_bit_equal_in_any_place_of_a_block(
    norm, image_shape, channels, latent_dim, n_rows
):
    network = make(image_shape, latent_dim, channels=channels, norm=norm).eval()
    x = images(n_rows, image_shape)
    order = torch.randperm(n_rows, generator=generator(2))
    few = torch.cat([x[9:16], x.new_zeros(n_rows - 7, *image_shape)])
    last = torch.cat([images(n_rows - 1, image_shape, seed=5), x[:1]])
    with torch.inference_mode():
        expected, mixed, padded, moved = (network(rows) for rows in (x, x[order], few, last))
        decoded = network.decode(expected.latent[:, order])
    outputs = (output.tensors for output in (expected, mixed, padded, moved))
    for value, own_mixed, own_padded, own_moved in zip(*outputs, strict=True):
        assert torch.equal(own_mixed, value[:, order])
        assert torch.equal(own_padded[:, :7], value[:, 9:16])
        assert torch.equal(own_moved[:, -1], value[:, 0])
    assert torch.equal(decoded, expected.x_hat[:, order])
