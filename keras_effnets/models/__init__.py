"""The architectures, one module per family."""

from keras_effnets.models.alexnet import (
    AlexNet,
    AlexNet2012,
)
from keras_effnets.models.builder import CommonOptions
from keras_effnets.models.densenet import (
    DenseNet121,
    DenseNet161,
    DenseNet169,
    DenseNet201,
    DenseNet264,
)
from keras_effnets.models.densenet_cifar import DenseNetCIFAR
from keras_effnets.models.efficientnet import (
    CompoundScaling,
    EfficientNet,
    EfficientNetB0,
    EfficientNetB1,
    EfficientNetB2,
    EfficientNetB3,
    EfficientNetB4,
    EfficientNetB5,
    EfficientNetB6,
    EfficientNetB7,
    compound_scaling,
)
from keras_effnets.models.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
    EfficientNetLite3,
    EfficientNetLite4,
)
from keras_effnets.models.efficientnet_v2 import (
    EfficientNetV2L,
    EfficientNetV2M,
    EfficientNetV2S,
)
from keras_effnets.models.googlenet import GOOGLENET_LOSS_WEIGHTS, GoogLeNet, InceptionV1
from keras_effnets.models.mobilenet_v1 import (
    MobileNetV1,
    MobileNetV1_025,
    MobileNetV1_050,
    MobileNetV1_075,
)
from keras_effnets.models.mobilenet_v2 import MobileNetV2
from keras_effnets.models.mobilenet_v3 import MobileNetV3Large, MobileNetV3Small
from keras_effnets.models.nin import (
    NiN,
    NiNCIFAR,
)
from keras_effnets.models.preact_cifar import (
    PreActResNet164CIFAR,
    PreActResNet1001CIFAR,
    WideResNetCIFAR,
)
from keras_effnets.models.preact_resnet import ResNet50V2, ResNet101V2, ResNet152V2
from keras_effnets.models.resnet import ResNet18, ResNet34, ResNet50, ResNet101, ResNet152
from keras_effnets.models.resnet_cifar import (
    ResNet20CIFAR,
    ResNet32CIFAR,
    ResNet44CIFAR,
    ResNet56CIFAR,
    ResNet110CIFAR,
    StochasticDepthResNet110,
)
from keras_effnets.models.resnext import (
    ResNeXt50_32x4d,
    ResNeXt101_32x8d,
    ResNeXt101_64x4d,
)
from keras_effnets.models.resnext_cifar import ResNeXt29CIFAR
from keras_effnets.models.senet import (
    SEResNet50,
    SEResNet101,
    SEResNet152,
    SEResNeXt50_32x4d,
    SEResNeXt101_32x4d,
)
from keras_effnets.models.squeezenet import (
    SqueezeNet,
    SqueezeNet1_0,
    SqueezeNet1_1,
)
from keras_effnets.models.vgg import (
    VGG11,
    VGG11BN,
    VGG13,
    VGG13BN,
    VGG16,
    VGG16BN,
    VGG19,
    VGG19BN,
)
from keras_effnets.models.wide_resnet import WideResNet50_2, WideResNet101_2
from keras_effnets.models.zfnet import (
    ZFNet,
    ZFNet512,
)

__all__ = [
    "GOOGLENET_LOSS_WEIGHTS",
    "VGG11",
    "VGG11BN",
    "VGG13",
    "VGG13BN",
    "VGG16",
    "VGG16BN",
    "VGG19",
    "VGG19BN",
    "AlexNet",
    "AlexNet2012",
    "CommonOptions",
    "CompoundScaling",
    "DenseNet121",
    "DenseNet161",
    "DenseNet169",
    "DenseNet201",
    "DenseNet264",
    "DenseNetCIFAR",
    "EfficientNet",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "EfficientNetLite3",
    "EfficientNetLite4",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "GoogLeNet",
    "InceptionV1",
    "MobileNetV1",
    "MobileNetV1_025",
    "MobileNetV1_050",
    "MobileNetV1_075",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NiN",
    "NiNCIFAR",
    "PreActResNet164CIFAR",
    "PreActResNet1001CIFAR",
    "ResNeXt29CIFAR",
    "ResNeXt50_32x4d",
    "ResNeXt101_32x8d",
    "ResNeXt101_64x4d",
    "ResNet18",
    "ResNet20CIFAR",
    "ResNet32CIFAR",
    "ResNet34",
    "ResNet44CIFAR",
    "ResNet50",
    "ResNet50V2",
    "ResNet56CIFAR",
    "ResNet101",
    "ResNet101V2",
    "ResNet110CIFAR",
    "ResNet152",
    "ResNet152V2",
    "SEResNeXt50_32x4d",
    "SEResNeXt101_32x4d",
    "SEResNet50",
    "SEResNet101",
    "SEResNet152",
    "SqueezeNet",
    "SqueezeNet1_0",
    "SqueezeNet1_1",
    "StochasticDepthResNet110",
    "WideResNet50_2",
    "WideResNet101_2",
    "WideResNetCIFAR",
    "ZFNet",
    "ZFNet512",
    "compound_scaling",
]
