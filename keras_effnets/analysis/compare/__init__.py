"""Comparison of networks: the chart of the lineage, the figures that explain it, diagrams."""

from keras_effnets.analysis.compare.draw import draw_chart
from keras_effnets.analysis.compare.figures import FIGURES, draw_figure, figure_data
from keras_effnets.analysis.compare.model_points import AXES, Point, collect, pareto_front

__all__ = [
    "AXES",
    "FIGURES",
    "Point",
    "collect",
    "draw_chart",
    "draw_figure",
    "figure_data",
    "pareto_front",
]
