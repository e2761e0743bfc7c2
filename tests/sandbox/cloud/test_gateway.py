"""An HTTP API is reachable by any client, calls what it may call, and splits traffic as its alias does."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.sandbox.cloud.harness import ACCOUNT, REGION, TRUST, Cloud, fetch, wait, zipped

ECHO = """
import json
def handler(event, context):
    if event["rawPath"] == "/raise": raise ValueError("no")
    return {"statusCode": 200, "headers": {"content-type": "application/json"},
            "body": json.dumps({"event": event, "version": context.function_version,
                                "arn": context.invoked_function_arn})}
"""


@dataclasses.dataclass(frozen=True)
class Api:
    """An HTTP API in front of an alias with two versions behind it."""

    endpoint: str
    identifier: str
    function: str


@pytest.fixture(scope="module")
def api(cloud: Cloud) -> Api:
    """Make it, with the permission that AWS asks for."""
    return build(cloud, "echo")


def build(cloud: Cloud, name: str, account: str = ACCOUNT) -> Api:
    """Make function, versions, alias, API and permission."""
    lambda_, gateway, iam = (cloud.client(service, account) for service in ("lambda", "apigatewayv2", "iam"))
    trust = json.dumps(TRUST)
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    made = lambda_.create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.13",
        Handler="index.handler",
        Code={"ZipFile": zipped(index=ECHO)},
    )
    for version in ("1", "2"):
        lambda_.update_function_code(FunctionName=name, ZipFile=zipped(index=f"{ECHO}\n# {version}"))
        wait(lambda_.get_waiter("function_updated_v2"), FunctionName=name)
        assert lambda_.publish_version(FunctionName=name)["Version"] == version
    alias = lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")["AliasArn"]
    made_api = gateway.create_api(Name=name, ProtocolType="HTTP")
    integration = gateway.create_integration(
        ApiId=made_api["ApiId"], IntegrationType="AWS_PROXY", IntegrationUri=alias, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    for route in ("GET /items/{id}", "$default"):
        gateway.create_route(ApiId=made_api["ApiId"], RouteKey=route, Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=made_api["ApiId"], StageName="$default", AutoDeploy=True)
    lambda_.add_permission(
        FunctionName=name,
        Qualifier="live",
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{REGION}:{account}:{made_api['ApiId']}/*",
    )
    endpoint = gateway.get_api(ApiId=made_api["ApiId"])["ApiEndpoint"]
    assert endpoint == made_api["ApiEndpoint"]
    return Api(endpoint, made_api["ApiId"], made["FunctionArn"])


def test_a_path_is_appended_to_the_endpoint(api: Api) -> None:
    """By a client that knows nothing of host names."""
    status, body = fetch(f"{api.endpoint}/api/products?limit=2&limit=3")
    event = body["event"]
    assert status == 200
    assert event["version"] == "2.0"
    assert event["rawPath"] == "/api/products"
    assert event["rawQueryString"] == "limit=2&limit=3"
    assert event["queryStringParameters"] == {"limit": "2,3"}
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["requestContext"]["http"]["path"] == "/api/products"
    assert event["requestContext"]["stage"] == "$default"
    assert event["requestContext"]["accountId"] == ACCOUNT
    assert event["routeKey"] == "$default"


@pytest.mark.parametrize("path", ["", "/", "/health"])
def test_short_paths_reach_the_api_too(api: Api, path: str) -> None:
    """The root, with and without its slash, and the emulator's own health path."""
    status, body = fetch(api.endpoint + path)
    assert (status, body["event"]["rawPath"]) == (200, path or "/")


def test_a_route_has_its_parameters(api: Api) -> None:
    """Path parameters and the route's key."""
    _, body = fetch(f"{api.endpoint}/items/a%20b")
    assert body["event"]["routeKey"] == "GET /items/{id}"
    assert body["event"]["pathParameters"] == {"id": "a b"}


def test_a_function_error_is_a_500_without_its_inside(api: Api) -> None:
    """As AWS answers it; the trace is in the log only."""
    assert fetch(f"{api.endpoint}/raise") == (500, {"message": "Internal Server Error"})


def test_traffic_follows_the_alias(cloud: Cloud, api: Api) -> None:
    """Weights, then the pointer."""
    client = cloud.client("lambda")
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    client.update_alias(FunctionName="echo", Name="live", FunctionVersion="1", RoutingConfig=weights)
    answers = [fetch(f"{api.endpoint}/health")[1] for _ in range(40)]
    assert {answer["version"] for answer in answers} == {"1", "2"}
    assert {answer["arn"] for answer in answers} == {f"{api.function}:live"}
    client.update_alias(FunctionName="echo", Name="live", FunctionVersion="2", RoutingConfig={})
    assert {fetch(f"{api.endpoint}/health")[1]["version"] for _ in range(10)} == {"2"}


def test_a_gateway_without_permission_is_refused(cloud: Cloud) -> None:
    """Also when it has one on the function but not on the alias, or for another API."""
    api = build(cloud, "guarded")
    client = cloud.client("lambda")
    assert fetch(f"{api.endpoint}/health")[0] == 200
    client.remove_permission(FunctionName="guarded", Qualifier="live", StatementId="gateway")
    refused = (500, {"message": "Internal Server Error"})
    assert fetch(f"{api.endpoint}/health") == refused
    common = {"Action": "lambda:InvokeFunction", "Principal": "apigateway.amazonaws.com"}
    client.add_permission(FunctionName="guarded", StatementId="function", **common)
    assert fetch(f"{api.endpoint}/health") == refused
    elsewhere = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:another/*"
    client.add_permission(FunctionName="guarded", Qualifier="live", StatementId="other", SourceArn=elsewhere, **common)
    assert fetch(f"{api.endpoint}/health") == refused


def test_an_api_of_another_account_is_served_in_that_account(cloud: Cloud) -> None:
    """An unsigned request has no account but the API's."""
    api = build(cloud, "second", "000000000002")
    _, body = fetch(f"{api.endpoint}/health")
    assert body["event"]["requestContext"]["accountId"] == "000000000002"


def test_an_unknown_api_is_not_found(cloud: Cloud) -> None:
    """In an API's words, not in a bucket's."""
    assert fetch(f"{cloud.url}/_aws/execute-api/00000000/health") == (404, {"message": "Not Found"})


def test_a_stage_outlives_its_access_log_settings(cloud: Cloud) -> None:
    """DeleteAccessLogSettings takes the settings away, not the stage."""
    gateway = cloud.client("apigatewayv2")
    identifier = gateway.create_api(Name="logged", ProtocolType="HTTP")["ApiId"]
    settings = {"DestinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access", "Format": "$context.requestId"}
    gateway.create_stage(ApiId=identifier, StageName="$default", AccessLogSettings=settings)
    gateway.delete_access_log_settings(ApiId=identifier, StageName="$default")
    assert "AccessLogSettings" not in gateway.get_stage(ApiId=identifier, StageName="$default")
