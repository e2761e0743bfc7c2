"""The route table: plain data, and every route has its operation."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.api import Application
from app.routes import ROUTES, Route
from migrations.rendering import ROOT


def test_the_table_is_imported_without_the_layer() -> None:
    """The infrastructure reads it, and has neither psycopg nor pydantic nor boto3."""
    script = "import sys; sys.path.insert(0, '.'); import app.routes; print(len(app.routes.ROUTES))"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == str(len(ROUTES))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_route_has_its_operation(route: Route) -> None:
    """A name in the table that nothing answers to would be a 500 in production."""
    assert callable(getattr(Application, route.handler))


def test_no_two_routes_are_the_same() -> None:
    """A gateway refuses a second one."""
    assert len(ROUTES) == len({route.key for route in ROUTES})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/products/7", {"id": "7"}),
        ("/api/products/a b", {"id": "a b"}),
        ("/api/products/", None),
        ("/api/products", None),
        ("/api/products/7/", None),
        ("/api/products/7/more", None),
        ("/API/products/7", None),
    ],
)
def test_a_path_matches_whole_or_not_at_all(path: str, expected: dict[str, str] | None) -> None:
    """The parameters are what stands in the braces' place."""
    route = Route(method="GET", path="/api/products/{id}", handler="get_product", public=True)

    assert route.match(path) == expected
