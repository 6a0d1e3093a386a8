"""What a network looks at: heat maps of a class, and its feature maps, as arrays and pictures."""

from keras_effnets.analysis.seeing.drawing import feature_grid, overlay
from keras_effnets.analysis.seeing.grad_cam import GradCAM, grad_cam
from keras_effnets.analysis.seeing.maps import feature_maps

__all__ = ["GradCAM", "feature_grid", "feature_maps", "grad_cam", "overlay"]
