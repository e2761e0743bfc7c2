"""The API: a version that is published when the schema is ready, behind an alias, behind a route for each operation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi_aws import lambda_, ssm

from app.routes import ROUTES
from components.api_function import ApiFunction, ApiFunctionArgs
from components.database import Database, DatabaseArgs
from components.http_api import HttpApi, HttpApiArgs
from tests.components.test_function import BASELINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.function import Artifacts
    from naming import Names
    from tests.components.conftest import Deployment


@pytest.fixture
def function(deploy: Callable[..., Deployment], names: Names, artifacts: Artifacts) -> Deployment:
    def program() -> None:
        ApiFunction(
            "api",
            ApiFunctionArgs(
                names=names,
                artifacts=artifacts,
                database=Database(
                    "database",
                    DatabaseArgs(
                        names=names,
                        vpc_id="the vpc",
                        subnet_ids=["subnet a", "subnet b"],
                        clients_group_id="the clients",
                        instance_class="db.t4g.micro",
                        storage_gb=20,
                        backup_days=7,
                        multi_az=False,
                        deletion_protection=False,
                    ),
                ),
                database_ca="/opt/certs/rds-ca.pem",
                memory_mb=512,
                timeout_seconds=10,
                subnet_ids=["subnet a", "subnet b"],
                security_group_id="the clients",
                log_retention_days=14,
                log_level="INFO",
            ),
            after=ssm.Parameter("ready", type="String", value="the last step"),
        )

    return deploy(program)


def test_a_version_is_published_only_after_the_schema_is_ready(function: Deployment) -> None:
    """As an edge of the graph: a component's own dependency is none of its children's."""
    assert "Parameter ready" in function.the("lambda/function:Function", "api").after
    assert "Parameter ready" not in function.the("iam/role:Role", "api").after


def test_the_alias_points_at_the_version_that_was_published(function: Deployment) -> None:
    alias = function.the("lambda/alias:Alias", "api")
    assert {
        "name": "live",
        "description": "The version that serves",
        "functionName": "product-api-dev-api",
        "functionVersion": "7",
    } == alias.inputs
    assert {"Function api"} == alias.after


def test_it_runs_with_its_own_users_secret_and_no_other(function: Deployment) -> None:
    [declared] = function.of("lambda/function:Function").values()
    assert {
        "ENVIRONMENT": "dev",
        "DATABASE_HOST": "address of Instance database",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "products",
        "DATABASE_SECRET": "product-api-dev-database-api",
        "DATABASE_CA": "/opt/certs/rds-ca.pem",
        "LOG_LEVEL": "INFO",
    } == declared["environment"]["variables"]
    assert ("app.api.handler", 512, 10, True) == tuple(
        declared[key] for key in ("handler", "memorySize", "timeout", "publish")
    )
    [policy] = function.of("iam/rolePolicy:RolePolicy").values()
    own = json.loads(policy["policy"])["Statement"][len(BASELINE) :]
    assert [
        {
            "Sid": "ReadOwnSecret",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-database-api-??????"],
        },
        {
            "Sid": "UseKeyForSecrets",
            "Effect": "Allow",
            "Action": ["kms:Decrypt"],
            "Resource": ["arn:aws:kms:eu-central-1:111122223333:key/*"],
            "Condition": {
                "StringEquals": {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/product-api-dev-database"},
            },
        },
    ] == own


@pytest.fixture
def gateway(deploy: Callable[..., Deployment], names: Names) -> Deployment:
    def program() -> None:
        alias = lambda_.Alias("live", name="live", function_name="the function", function_version="7")
        HttpApi(
            "gateway",
            HttpApiArgs(
                names=names,
                routes=ROUTES,
                function_name=pulumi.Output.from_input("the function"),
                alias=alias,
                timeout_seconds=10,
                log_retention_days=14,
            ),
        )

    return deploy(program)


def test_each_operation_of_the_application_has_one_route(gateway: Deployment) -> None:
    routes = gateway.of("apigatewayv2/route:Route")
    target = "integrations/id of Integration gateway"
    assert sorted((f"{each.method} {each.path}", "id of Api gateway", target) for each in ROUTES) == sorted(
        (route["routeKey"], route["apiId"], route["target"]) for route in routes.values()
    )
    assert {"apiId", "routeKey", "target"} == {key for route in routes.values() for key in route}
    assert "gateway-get-api-products-id" in routes


def test_all_lead_to_the_alias(gateway: Deployment) -> None:
    """The gateway gives up a second after the function, so that its own timeout is told as such."""
    assert {
        "gateway": {"name": "product-api-dev-api", "protocolType": "HTTP", "description": "The product API"}
    } == gateway.of("apigatewayv2/api:Api")
    assert {
        "gateway": {
            "apiId": "id of Api gateway",
            "integrationType": "AWS_PROXY",
            "integrationUri": "invoke arn of Alias live",
            "integrationMethod": "POST",
            "payloadFormatVersion": "2.0",
            "timeoutMilliseconds": 11000,
        }
    } == gateway.of("apigatewayv2/integration:Integration")


def test_this_api_and_no_other_may_invoke_the_alias_and_no_version(gateway: Deployment) -> None:
    """A statement's id is unique in its policy: the old one goes before the new one comes."""
    permission = gateway.the("lambda/permission:Permission", "gateway")
    assert {
        "statementId": "gateway",
        "action": "lambda:InvokeFunction",
        "principal": "apigateway.amazonaws.com",
        "function": "the function",
        "qualifier": "live",
        "sourceArn": "execution arn of Api gateway/*/*",
    } == permission.inputs
    assert {"delete_before_replace"} == permission.options


def test_the_stage_logs_who_called_what_and_throttles(gateway: Deployment) -> None:
    stage = gateway.the("apigatewayv2/stage:Stage", "gateway")
    log: dict[str, Any] = stage.inputs.pop("accessLogSettings")
    assert {
        "apiId": "id of Api gateway",
        "name": "$default",
        "autoDeploy": True,
        "defaultRouteSettings": {"throttlingBurstLimit": 100, "throttlingRateLimit": 50},
    } == stage.inputs
    assert "arn of LogGroup gateway" == log["destinationArn"]
    assert {
        "requestId": "$context.requestId",
        "time": "$context.requestTime",
        "caller": "$context.identity.sourceIp",
        "route": "$context.routeKey",
        "status": "$context.status",
        "latencyMs": "$context.responseLatency",
        "integrationError": "$context.integrationErrorMessage",
    } == json.loads(log["format"])
    assert {"gateway": {"name": "/aws/apigateway/product-api-dev-api", "retentionInDays": 14}} == gateway.of(
        "cloudwatch/logGroup:LogGroup"
    )


def test_it_opens_only_when_routes_and_permission_are_there(gateway: Deployment) -> None:
    after = gateway.the("apigatewayv2/stage:Stage", "gateway").after
    routes = {f"Route {name}" for name in gateway.of("apigatewayv2/route:Route")}
    assert {"Permission gateway", "Api gateway", "LogGroup gateway"} | routes <= after
    assert len(ROUTES) == len(routes)
