"""Network In Network in torch, as no library has it: the original of `sequential` checkpoints."""

from collections.abc import Iterator
from typing import Any

from keras_effnets.models.nin import NiNConfig, plan


def network(torch: Any, config: NiNConfig, classes: int) -> Any:
    """Returns the paper's network as one sequence, followed by the mean of each class's map.

    Args:
        torch: The torch module.
        config: The config of our network.
        classes: The number of classes in the checkpoint.
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
        padding = row.padding if isinstance(row.padding, int) else row.kernel_size // 2
        for number, width in enumerate(row.widths):
            if number:
                yield nn.Conv2d(channels, width, 1)
            else:
                yield nn.Conv2d(channels, width, row.kernel_size, row.strides, padding)
            yield nn.ReLU()
            channels = width
    yield nn.Conv2d(channels, classes, 1)
    yield nn.ReLU()
