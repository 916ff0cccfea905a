"""The network: shapes, and what later rooms rely on."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.utils import pixelshuffle
from torch import nn

from src.errors import SettingError
from src.model.unet import PRESETS, Convolution, GliomaUNet, voxel_shuffle


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_logits_have_the_inputs_resolution():
    assert GliomaUNet("lite")(torch.zeros(2, 4, 32, 16, 48)).shape == (2, 3, 32, 16, 48)


def test_the_full_preset_works_at_full_resolution():
    network = GliomaUNet("full").eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 4, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


def test_sizes_are_as_the_docstring_says():
    assert parameters(GliomaUNet("lite")) == pytest.approx(0.93e6, rel=0.02)
    assert parameters(GliomaUNet("full")) == pytest.approx(13.3e6, rel=0.02)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_tensor_of_the_state_can_be_averaged(preset):
    assert all(t.is_floating_point() for t in GliomaUNet(preset).state_dict().values())


@pytest.mark.parametrize("preset", PRESETS)
def test_no_batch_statistics_and_nothing_in_place(preset):
    for module in GliomaUNet(preset).modules():
        assert not isinstance(module, nn.modules.batchnorm._BatchNorm)
        assert not getattr(module, "inplace", False)


def test_a_samples_logits_do_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    network = GliomaUNet("lite").double()
    images = torch.randn(3, 4, 16, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=0, atol=1e-12)


def test_per_sample_gradients_of_opacus_equal_gradients_one_by_one():
    from opacus import GradSampleModule

    torch.manual_seed(0)
    images = torch.randn(2, 4, 16, 16, 16, requires_grad=True)  # Opacus needs it
    network = GliomaUNet("lite")
    wrapped = GradSampleModule(GliomaUNet("lite"), loss_reduction="sum")
    wrapped._module.load_state_dict(network.state_dict())
    wrapped(images).square().sum().backward()
    for sample in range(2):
        network.zero_grad()
        network(images[sample : sample + 1]).square().sum().backward()
        for name, parameter in network.named_parameters():
            per_sample = dict(wrapped._module.named_parameters())[name].grad_sample[sample]
            torch.testing.assert_close(per_sample, parameter.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("length", "dtype"), [(2, torch.float32), (4, torch.bfloat16)])
def test_bf16_spares_a_convolution_whose_output_is_two_long(length, dtype):
    layers = [Convolution(4, 4, 3, padding=1), Convolution(4, 4, 3, stride=2, padding=1)]
    for layer in layers:
        images = torch.randn(2, 4, length * layer.stride[0], 4, 6)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(images.bfloat16()).dtype == dtype
            assert layer(images).shape[2] == length


def test_the_spared_convolutions_gradient_is_float32s_to_the_bit():
    torch.manual_seed(0)
    layer, images = Convolution(8, 8, 3, padding=1), torch.randn(2, 8, 2, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        spared = layer(images)
    exact = nn.functional.conv3d(images, layer.weight, layer.bias, padding=1)
    gradients = [torch.autograd.grad(y.square().sum(), layer.weight)[0] for y in (spared, exact)]
    assert torch.equal(*gradients)


def test_in_float32_the_network_is_the_one_of_plain_convolutions():
    torch.manual_seed(0)
    network, images = GliomaUNet("lite"), torch.randn(2, 4, 16, 16, 16)
    plain = copy.deepcopy(network)
    for module in plain.modules():
        if type(module) is Convolution:
            module.__class__ = nn.Conv3d
    assert list(plain.state_dict()) == list(network.state_dict())
    assert torch.equal(plain(images), network(images))


def test_per_sample_gradients_of_opacus_work_under_autocast_too():
    from opacus import GradSampleModule

    torch.manual_seed(0)
    images = torch.randn(2, 4, 16, 16, 16, requires_grad=True)
    wrapped = GradSampleModule(GliomaUNet("lite"), loss_reduction="sum", force_functorch=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = wrapped(images)
    logits.float().square().sum().backward()
    for parameter in wrapped.parameters():
        assert parameter.grad_sample.shape == (2, *parameter.shape)
        assert parameter.grad_sample.isfinite().all()


@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(1, 3))
def test_voxel_shuffle_equals_monais(factor, channels):
    x = torch.randn(2, channels * factor**3, 2, 3, 4)
    torch.testing.assert_close(voxel_shuffle(x, factor), pixelshuffle(x, 3, factor))


def test_a_size_that_cannot_be_halved_often_enough_is_refused_with_the_remedy():
    with pytest.raises(SettingError, match=r"multiples of 16; got \(32, 24, 32\). Set data_loader"):
        GliomaUNet("lite")(torch.zeros(1, 4, 32, 24, 32))


def test_an_unknown_preset_is_refused_by_name():
    with pytest.raises(SettingError, match="preset must be one of lite, full; got 'huge'"):
        GliomaUNet("huge")
