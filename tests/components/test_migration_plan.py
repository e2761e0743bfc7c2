"""The plan as a resource: what a preview shows, and what the policies judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from components.migration_plan import MigrationPlan
from migrations.rendering import Plan, Revision

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.components.conftest import Deployment

FIRST = Revision(revision="0001", down_revision=None, summary="Products.", sql="CREATE TABLE products ()")
SECOND = Revision(revision="0002", down_revision="0001", summary="More.", sql="", undecidable="it reads rows")


@pytest.mark.parametrize(
    "plan", [Plan(base=None, revisions=(FIRST, SECOND)), Plan(base="0001", revisions=(SECOND,))], ids=["all", "rest"]
)
def test_its_inputs_are_the_plans(deploy: Callable[..., Deployment], plan: Plan) -> None:
    """Every revision with its SQL, and why there is none where there is none; nothing else is declared."""
    [declared] = deploy(lambda: MigrationPlan("migrations", plan)).resources
    assert ("product-api:index:MigrationPlan", "migrations") == (declared.type, declared.name)
    # An input that is null is not sent.
    expected = {key: value for key, value in plan.inputs().items() if value is not None}
    expected["revisions"] = [
        {key: value for key, value in revision.items() if value is not None} for revision in expected["revisions"]
    ]
    assert expected == declared.inputs
