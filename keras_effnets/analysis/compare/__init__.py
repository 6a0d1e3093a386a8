"""Networks side by side: the chart of the lineage, the figures that explain it, and diagrams."""

from keras_effnets.analysis.compare.chart import draw_chart
from keras_effnets.analysis.compare.figures import FIGURES, draw_figure, figure_data
from keras_effnets.analysis.compare.front import pareto_front
from keras_effnets.analysis.compare.names import resolve
from keras_effnets.analysis.compare.points import AXES, Point, collect

__all__ = [
    "AXES",
    "FIGURES",
    "Point",
    "collect",
    "draw_chart",
    "draw_figure",
    "figure_data",
    "pareto_front",
    "resolve",
]
