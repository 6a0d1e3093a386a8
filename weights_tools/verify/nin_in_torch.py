"""Network In Network in torch, for checkpoints of PyTorch's sequence: no library has it."""

from collections.abc import Iterator
from typing import Any

from keras_effnets.models.nin import NiNConfig, plan


def network(torch: Any, config: NiNConfig, classes: int) -> Any:
    """The paper's network as one sequence, and the mean of each class's map behind it.

    Args:
        torch: The library.
        config: Of our network.
        classes: Of the checkpoint's classifier.
    """
    nn = torch.nn
    features = nn.Sequential(*_layers(nn, config, classes))
    parts = {"features": features, "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    found = nn.Sequential()
    for name, part in parts.items():
        found.add_module(name, part)
    return found


def _layers(nn: Any, config: NiNConfig, classes: int) -> Iterator[Any]:
    channels = 3
    for index, (_, row, dropout) in enumerate(plan(config)):
        if index:
            yield nn.MaxPool2d(3, 2, ceil_mode=True)
        if row.dropped:
            yield nn.Dropout(dropout)
        margin = row.padding if isinstance(row.padding, int) else row.kernel_size // 2
        for number, width in enumerate(row.widths):
            if number:
                yield nn.Conv2d(channels, width, 1)
            else:
                yield nn.Conv2d(channels, width, row.kernel_size, row.strides, margin)
            yield nn.ReLU()
            channels = width
    yield nn.Conv2d(channels, classes, 1)
    yield nn.ReLU()
