from __future__ import annotations

import pytest

from windsock.adapters.charts import MatplotlibCharts
from windsock.ports import Charts

PNG = b"\x89PNG\r\n\x1a\n"
CHARTS: Charts = MatplotlibCharts()

DRAWINGS = {
    "confusion": lambda: CHARTS.confusion_matrix(["no", "yes"], [[50, 3], [0, 0]]),
    "many classes": lambda: CHARTS.confusion_matrix([str(n) for n in range(30)], [[1] * 30] * 30),
    "curves": lambda: CHARTS.curves(([0, 0.5, 1], [0, 0.8, 1]), ([1, 0.5, 0], [0.2, 0.7, 1])),
    "residuals": lambda: CHARTS.residuals([1.0, 2.0, 3.0], [0.1, -0.2, 0.0]),
    "importances": lambda: CHARTS.importances(["tenure", "x" * 90], [0.2, -0.01], [0.01, 0.0]),
    "no importances": lambda: CHARTS.importances([], [], []),
    "formula": lambda: CHARTS.importances(["$\\broken{ price$", "ärger 價"], [0.2, 0.1], [0.0, 0.0]),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_a_png_and_the_same_each_time(name):
    first = DRAWINGS[name]()
    assert first.startswith(PNG)
    assert len(first) > 2000
    assert DRAWINGS[name]() == first


def test_different_numbers_give_different_pictures():
    assert CHARTS.confusion_matrix(["a", "b"], [[5, 1], [1, 5]]) != CHARTS.confusion_matrix(
        ["a", "b"], [[1, 5], [5, 1]]
    )


def test_the_module_is_light_and_the_global_state_stays_untouched(modules_after):
    assert modules_after("charts") & {"matplotlib", "numpy"} == set()
    drawn = modules_after("a chart")
    assert "matplotlib" in drawn
    assert "matplotlib.pyplot" not in drawn
