"""What RDS offers before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sandbox.cloud.harness import Cloud


@pytest.mark.parametrize(
    ("wanted", "offered"), [("db.t4g.micro", True), ("db.m7g.large", True), ("db.m7g.huge", False), ("large", False)]
)
def test_classes_are_offered_by_their_names(cloud: Cloud, wanted: str, offered: bool) -> None:
    answer = cloud.client("rds").describe_orderable_db_instance_options(Engine="postgres", DBInstanceClass=wanted)
    options = answer["OrderableDBInstanceOptions"]
    assert offered == bool(options)
    for option in options:
        assert (option["Engine"], option["DBInstanceClass"]) == ("postgres", wanted)
        zones = [zone["Name"] for zone in option["AvailabilityZones"]]
        assert zones == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]


def test_instances_are_counted_against_their_quota(cloud: Cloud) -> None:
    [quota] = cloud.client("rds").describe_account_attributes()["AccountQuotas"]
    assert (quota["AccountQuotaName"], quota["Used"], quota["Max"]) == ("DBInstances", 0, 40)
