"""The API: a version that is published when the schema is ready, behind an alias, behind a route for each operation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi_aws import lambda_, ssm

from app.routes import ROUTES, Route
from components.api_function import ApiFunction, ApiFunctionArgs
from components.http_api import Domain, HttpApi, HttpApiArgs, Issuer, Throttle
from tests.components.conftest import GATED, PLACEMENT, open_gate
from tests.components.test_function import own_statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from components.database import Database
    from components.function import Runtime
    from naming import Names
    from tests.components.conftest import Deployment


@pytest.fixture
def function_of(
    deploy: Callable[..., Deployment], runtime_of: Callable[[], Runtime], database_of: Callable[..., Database]
) -> Callable[..., Deployment]:
    def declare(**changes: Any) -> Deployment:
        given: dict[str, Any] = {"memory_mb": 512, "timeout_seconds": 10, "concurrency": 20, "provisioned": 0}
        return deploy(
            lambda: ApiFunction(
                "api",
                ApiFunctionArgs(
                    runtime=runtime_of(),
                    placement=PLACEMENT,
                    database=database_of(),
                    database_ca="/opt/certs/rds-ca.pem",
                    **(given | changes),
                ),
                after=ssm.Parameter("ready", type="String", value="the last step"),
            )
        )

    return declare


@pytest.fixture
def function(function_of: Callable[..., Deployment]) -> Deployment:
    return function_of()


def test_a_version_is_published_only_after_the_schema_is_ready(function: Deployment) -> None:
    """As an edge of the graph: a component's own dependency is none of its children's."""
    assert "Parameter ready" in function.the("lambda/function:Function", "api").after
    assert "Parameter ready" not in function.the("iam/role:Role", "api").after


def test_the_alias_begins_at_the_first_version_and_is_then_moved_by_others(function: Deployment) -> None:
    alias = function.the("lambda/alias:Alias", "api")
    assert ["functionVersion", "routingConfig"] == alias.ignored
    assert {
        "name": "live",
        "description": "The version that serves; releases and rollbacks move it",
        "functionName": "product-api-dev-api",
        "functionVersion": "7",
    } == alias.inputs
    assert {"Function api"} == alias.after


def test_instances_are_kept_initialised_where_asked(function_of: Callable[..., Deployment]) -> None:
    kind = "lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig"
    assert {} == function_of().of(kind)
    assert {
        "api": {
            "functionName": "product-api-dev-api",
            "qualifier": "live",
            "provisionedConcurrentExecutions": 3,
        }
    } == function_of(provisioned=3).of(kind)


def test_it_runs_with_its_own_users_secret_and_no_other(function: Deployment) -> None:
    [declared] = function.of("lambda/function:Function").values()
    assert {
        "ENVIRONMENT": "dev",
        "DATABASE_HOST": "endpoint of Proxy database",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "products",
        "DATABASE_SECRET": "product-api-dev-database-api",
        "DATABASE_CA": "/opt/certs/rds-ca.pem",
        "LOG_LEVEL": "INFO",
    } == declared["environment"]["variables"]
    assert ("app.api.handler", 512, 10, 20, True) == tuple(
        declared[key] for key in ("handler", "memorySize", "timeout", "reservedConcurrentExecutions", "publish")
    )
    own = own_statements(function.the("iam/rolePolicy:RolePolicy", "api").inputs)
    assert [
        {
            "Sid": "ReadOwnSecret",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:product-api-dev-database-api-??????"],
        },
        {
            "Sid": "UseKeyThroughSecretsmanager",
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
def gateway_of(deploy: Callable[..., Deployment], names: Names) -> Callable[..., Deployment]:
    def declare(**changes: Any) -> Deployment:
        given: dict[str, Any] = {
            "routes": ROUTES,
            "timeout_seconds": 10,
            "log_retention_days": 14,
            "log_key_arn": "the log's key",
            "issuer": None,
            "cors_origins": (),
            "throttle": Throttle(rate=50, burst=100),
            "domain": None,
        }

        def program() -> None:
            alias = lambda_.Alias("live", name="live", function_name="the function", function_version="7")
            function = pulumi.Output.from_input("the function")
            HttpApi(
                "gateway",
                HttpApiArgs(names=names, function_name=function, alias=alias, gate=open_gate(), **(given | changes)),
            )

        return deploy(program)

    return declare


@pytest.fixture
def gateway(gateway_of: Callable[..., Deployment]) -> Deployment:
    return gateway_of()


def test_each_operation_of_the_application_has_one_route(gateway: Deployment) -> None:
    routes = gateway.of("apigatewayv2/route:Route")
    target = "integrations/id of Integration gateway"
    assert sorted((f"{each.method} {each.path}", "id of Api gateway", target) for each in ROUTES) == sorted(
        (route["routeKey"], route["apiId"], route["target"]) for route in routes.values()
    )
    assert {"NONE"} == {route["authorizationType"] for route in routes.values()}
    assert {"apiId", "routeKey", "target", "authorizationType"} == {key for route in routes.values() for key in route}
    assert [GATED] * len(ROUTES) == [each.hooks for each in gateway.resources if each.type.endswith(":Route")]
    assert "gateway-get-api-products-id" in routes


OWN = Route(method="DELETE", path="/api/products/{id}", handler="delete_product", public=False)


def test_a_route_that_is_not_public_asks_for_the_issuers_token(gateway_of: Callable[..., Deployment]) -> None:
    declared = gateway_of(routes=(*ROUTES, OWN), issuer=Issuer(url="https://login.example/", audience=["product-api"]))
    assert {
        "gateway": {
            "apiId": "id of Api gateway",
            "name": "tokens",
            "authorizerType": "JWT",
            "identitySources": ["$request.header.Authorization"],
            "jwtConfiguration": {"issuer": "https://login.example/", "audiences": ["product-api"]},
        }
    } == declared.of("apigatewayv2/authorizer:Authorizer")
    route = declared.the("apigatewayv2/route:Route", "gateway-delete-api-products-id").inputs
    assert ("JWT", "id of Authorizer gateway") == (route["authorizationType"], route["authorizerId"])
    others = [each for each in declared.of("apigatewayv2/route:Route").values() if each is not route]
    assert {"NONE"} == {each["authorizationType"] for each in others}
    assert not any("authorizerId" in each for each in others)


def test_without_an_issuer_a_route_that_is_not_public_does_not_exist(gateway_of: Callable[..., Deployment]) -> None:
    """Rather than being open to everybody."""
    declared = gateway_of(routes=(*ROUTES, OWN))
    assert {each.key for each in ROUTES} == {
        route["routeKey"] for route in declared.of("apigatewayv2/route:Route").values()
    }


def test_pages_of_named_origins_may_call_it(gateway_of: Callable[..., Deployment]) -> None:
    [api] = gateway_of(cors_origins=("https://shop.example",)).of("apigatewayv2/api:Api").values()
    assert {
        "allowOrigins": ["https://shop.example"],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["authorization", "content-type"],
        "maxAge": 600,
    } == api["corsConfiguration"]


def test_a_domain_of_its_own_is_the_one_way_in(gateway_of: Callable[..., Deployment]) -> None:
    declared = gateway_of(domain=Domain(name="api.example.com", certificate_arn="the certificate"))
    assert {
        "gateway": {
            "domainName": "api.example.com",
            "domainNameConfiguration": {
                "certificateArn": "the certificate",
                "endpointType": "REGIONAL",
                "securityPolicy": "TLS_1_2",
            },
        }
    } == declared.of("apigatewayv2/domainName:DomainName")
    assert {
        "gateway": {
            "apiId": "id of Api gateway",
            "domainName": "id of DomainName gateway",
            "stage": "id of Stage gateway",
        }
    } == declared.of("apigatewayv2/apiMapping:ApiMapping")
    [api] = declared.of("apigatewayv2/api:Api").values()
    assert api["disableExecuteApiEndpoint"] is True


def test_all_lead_to_the_alias(gateway: Deployment) -> None:
    """The gateway gives up a second after the function, so that its own timeout is told as such."""
    assert {
        "gateway": {
            "name": "product-api-dev-api",
            "protocolType": "HTTP",
            "description": "The product API",
            "disableExecuteApiEndpoint": False,
        }
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
        "defaultRouteSettings": {
            "throttlingBurstLimit": 100,
            "throttlingRateLimit": 50,
            "detailedMetricsEnabled": True,
        },
    } == stage.inputs
    assert "arn of LogGroup gateway" == log["destinationArn"]
    assert {
        "requestId": "$context.requestId",
        "time": "$context.requestTime",
        "caller": "$context.identity.sourceIp",
        "subject": "$context.authorizer.claims.sub",
        "agent": "$context.identity.userAgent",
        "route": "$context.routeKey",
        "status": "$context.status",
        "latencyMs": "$context.responseLatency",
        "integrationError": "$context.integrationErrorMessage",
    } == json.loads(log["format"])
    assert {
        "gateway": {
            "name": "/aws/apigateway/product-api-dev-api",
            "retentionInDays": 14,
            "kmsKeyId": "the log's key",
        }
    } == gateway.of("cloudwatch/logGroup:LogGroup")


def test_it_opens_only_when_routes_and_permission_are_there(gateway: Deployment) -> None:
    after = gateway.the("apigatewayv2/stage:Stage", "gateway").after
    routes = {f"Route {name}" for name in gateway.of("apigatewayv2/route:Route")}
    assert {"Permission gateway", "Api gateway", "LogGroup gateway"} | routes <= after
    assert len(ROUTES) == len(routes)
