"""Shows what a network looks at: heat maps of a class and feature maps, as arrays and as images."""

from keras_effnets.analysis.seeing.grad_cam import GradCAM, grad_cam
from keras_effnets.analysis.seeing.maps import feature_maps
from keras_effnets.analysis.seeing.panels import feature_grid, overlay

__all__ = ["GradCAM", "feature_grid", "feature_maps", "grad_cam", "overlay"]
