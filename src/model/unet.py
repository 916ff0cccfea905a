"""The 3D U-Net (Cicek et al. 2016, doi:10.1007/978-3-319-46723-8_49) in two sizes.

It is built so that every other room can use it. It has GroupNorm (Wu & He 2018, arXiv:1803.08494)
instead of BatchNorm, because batch statistics couple patients and drift between sites; no in-place
operations, because per-sample gradients (differential privacy) do not survive them; and
floating-point tensors only, because the state is averaged.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from src import require
from src.errors import SettingError
from src.plan.parts import Declares

SEQUENCES_IN = 4  # T1, T1ce, T2, FLAIR
REGIONS_OUT = 3  # WT, TC, ET: they overlap, so each has its own sigmoid
GROUPS = 8


@dataclass(frozen=True)
class Preset:
    """Channels of each level from the finest down, and the stride of the first convolution."""

    widths: tuple[int, ...]
    stem_stride: int


PRESETS = {
    # 0.9 M parameters. The body works at half resolution: the size for CPU, CI and the demo.
    "lite": Preset((16, 32, 64, 96), stem_stride=2),
    # 13 M parameters at full resolution: for a GPU, 1 mm voxels and 128^3 patches.
    "full": Preset((32, 64, 128, 256, 320), stem_stride=1),
}


class GliomaUNet(nn.Module):
    """A network from four sequences to logits of three regions, at the input's resolution.

    preset: "lite" or "full". Spatial sizes must be multiples of `multiple`.
    """

    DECLARES = Declares(per_patient=True)  # no layer ties samples together or keeps a buffer

    def __init__(self, preset: str = "lite") -> None:
        super().__init__()
        require.one_of("preset", preset, PRESETS)
        widths, self.stride = PRESETS[preset].widths, PRESETS[preset].stem_stride
        self.multiple = self.stride * 2 ** (len(widths) - 1)
        kernel = 2 * self.stride if self.stride > 1 else 3
        self.stem = nn.Sequential(
            Convolution(SEQUENCES_IN, widths[0], kernel, self.stride, padding=1),
            ConvNormAct(widths[0], widths[0]),
        )
        self.down = nn.ModuleList(
            nn.Sequential(ConvNormAct(fine, coarse, stride=2), ConvNormAct(coarse, coarse))
            for fine, coarse in pairwise(widths)
        )
        up = [(coarse, fine) for fine, coarse in pairwise(widths)][::-1]
        self.narrow = nn.ModuleList(Convolution(c, f, 1, bias=False) for c, f in up)
        self.merge = nn.ModuleList(ConvNormAct(2 * fine, fine) for _, fine in up)
        self.head = Convolution(widths[0], REGIONS_OUT * self.stride**3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (B, 3, X, Y, Z) for images (B, 4, X, Y, Z). SettingError: sizes do not fit."""
        size = tuple(images.shape[2:])
        if any(length % self.multiple for length in size):
            raise SettingError(
                f"The network halves its input {self.multiple.bit_length() - 1} times, so X, Y and "
                f"Z must be multiples of {self.multiple}; got {size}. Set data_loader.patches.size."
            )
        skips = [self.stem(images)]
        for down in self.down:
            skips.append(down(skips[-1]))
        x = skips.pop()
        for narrow, merge in zip(self.narrow, self.merge, strict=True):
            x = functional.interpolate(narrow(x), scale_factor=2, mode="trilinear")
            x = merge(torch.cat([x, skips.pop()], dim=1))
        return voxel_shuffle(self.head(x), self.stride)


class Convolution(nn.Conv3d):
    """nn.Conv3d that computes in float32 on a CPU where its output has an X axis below 3.

    oneDNN in torch 2.13.0+cpu leaves the weight gradient of a 3x3x3 convolution partly
    uninitialised under bfloat16 on processors with AVX512-BF16 when that axis is 2. Axes of 1 and
    other kernels are spared as well: at this size float32 costs nothing.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As nn.Conv3d; float32 in the case above, whatever autocast says."""
        reach = self.dilation[0] * (self.kernel_size[0] - 1)
        length = (input.shape[-3] + 2 * int(self.padding[0]) - reach - 1) // self.stride[0] + 1
        if length > 2 or input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


class ConvNormAct(nn.Sequential):
    """A 3x3x3 convolution, GroupNorm, leaky ReLU."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__(
            Convolution(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.GroupNorm(GROUPS, channels_out),
            nn.LeakyReLU(0.01),
        )


def voxel_shuffle(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Rearrange channels (B, C*f^3, X, Y, Z) as voxels (B, C, fX, fY, fZ).

    This is the 3D form of the sub-pixel convolution (Shi et al. 2016, arXiv:1609.05158).
    """
    if factor == 1:
        return x
    batch, channels, *size = x.shape
    channels //= factor**3
    x = x.view(batch, channels, factor, factor, factor, *size)
    x = x.permute(0, 1, 5, 2, 6, 3, 7, 4)  # (B, C, X, f, Y, f, Z, f)
    return x.reshape(batch, channels, *(factor * length for length in size))
