"""The dashboard: is it well, and what changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from components.dashboard import Dashboard, DashboardArgs
from tests.components.test_alarms import RESPONSE_TIME_MS, WATCHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from naming import Names
    from tests.components.conftest import Deployment


@pytest.fixture
def widgets(deploy: Callable[..., Deployment], names: Names) -> list[dict[str, Any]]:
    declared = deploy(
        lambda: Dashboard(
            "dashboard",
            DashboardArgs(
                names=names,
                watched=WATCHED,
                alarm_arns=["one alarm", "another"],
                response_time_ms=RESPONSE_TIME_MS,
                log_group="the log",
            ),
        )
    )
    [dashboard] = declared.of("cloudwatch/dashboard:Dashboard").values()
    assert "product-api-dev-overview" == dashboard["dashboardName"]
    body = json.loads(dashboard["dashboardBody"])
    assert "-PT3H" == body["start"]
    found: list[dict[str, Any]] = body["widgets"]
    return found


def _titled(widgets: list[dict[str, Any]], title: str) -> dict[str, Any]:
    [found] = [widget["properties"] for widget in widgets if widget["properties"]["title"].startswith(title)]
    properties: dict[str, Any] = found
    return properties


def test_whether_it_is_well_comes_first_and_over_the_whole_width(widgets: list[dict[str, Any]]) -> None:
    first = widgets[0]
    assert ("alarm", ["one alarm", "another"]) == (first["type"], first["properties"]["alarms"])
    assert (0, 0, 24) == (first["x"], first["y"], first["width"])


def test_what_changed_is_one_line_a_version_also_of_versions_to_come(widgets: list[dict[str, Any]]) -> None:
    """A namespace with a hyphen is quoted, or CloudWatch finds nothing."""
    search = 'SEARCH(\'{{"product-api",Function,Version}} Function="product-api-dev-api" MetricName="{}"\', \'{}\', 60)'
    assert {
        "What changed": search.format("Requests", "Sum"),
        "Failed requests": search.format("ServerErrors", "Sum"),
        "Response time by version": search.format("Latency", "p95"),
    } == {
        title: _titled(widgets, title)["metrics"][0][0]["expression"]
        for title in ("What changed", "Failed requests", "Response time by version")
    }


@pytest.mark.parametrize(
    ("title", "levels"),
    [("Response time, ms", [1000, 3000]), ("Memory", [80, 95]), ("Database connections, of 200", [160, 190])],
)
def test_thresholds_are_drawn_where_the_alarms_have_them(
    widgets: list[dict[str, Any]], title: str, levels: list[float]
) -> None:
    assert levels == [each["value"] for each in _titled(widgets, title)["annotations"]["horizontal"]]


def test_the_latest_errors_stand_beside(widgets: list[dict[str, Any]]) -> None:
    [log] = [widget["properties"] for widget in widgets if widget["type"] == "log"]
    assert log["query"].startswith("SOURCE 'the log' | fields ")
    assert "filter level = 'ERROR'" in log["query"]


def test_widgets_fill_the_grid_and_none_lies_on_another(widgets: list[dict[str, Any]]) -> None:
    cells = [
        (x, y)
        for widget in widgets
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(set(cells)) == len(cells)
    assert {*range(24)} == {x for x, _ in cells}


def test_every_graph_is_of_this_region_and_of_what_is_watched(widgets: list[dict[str, Any]]) -> None:
    assert {"eu-central-1"} == {
        widget["properties"]["region"] for widget in widgets if widget["type"] in {"metric", "log"}
    }
    shown = json.dumps(widgets)
    for thing in ("the api", "the function", "the migrator", "the probe", "the database", "the proxy", "the queue"):
        assert f'"{thing}"' in shown
