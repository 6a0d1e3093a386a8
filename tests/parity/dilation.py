"""Torch networks with finer feature maps: torchvision's, whose constructors have no such option."""

from torch import nn


def dilate(module: nn.Module, output_stride: int) -> nn.Module:
    """Turns strides past `output_stride` into dilation, in place.

    The convolution that loses its stride keeps the dilation so far, those after it see twice as
    far. The module's convolutions must stand in it in the order in which they are applied.
    """
    reached, dilation = 1, 1
    for conv in module.modules():
        if not isinstance(conv, nn.Conv2d) or conv.kernel_size == (1, 1):
            continue
        rate, stride = dilation, conv.stride[0]
        if reached * stride > output_stride:
            dilation *= stride
            conv.stride = (1, 1)
        else:
            reached *= stride
        conv.dilation = (rate, rate)
        conv.padding = (rate * (conv.kernel_size[0] // 2),) * 2
    return module
