"""HTTP APIs ask for tokens, throttle, write their access log, and answer at their own domain."""

# ruff: noqa: S310 — all that is fetched is on loopback

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.cloud.gateway import Bucket
from sandbox.cloud.jwt import SigningKey
from sandbox.session import Sandbox, SandboxError
from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ECHO = """
import json
def handler(event, context):
    if event["rawPath"] == "/raise": raise ValueError("no")
    return {"statusCode": 200, "body": json.dumps(event)}
"""
ISSUER = "https://login.example/"
AUDIENCE = "the-api"
FORMAT = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "caller": "$context.identity.sourceIp",
    "subject": "$context.authorizer.claims.sub",
    "why": "$context.authorizer.error",
    "agent": "$context.identity.userAgent",
    "route": "$context.routeKey",
    "status": "$context.status",
    "latencyMs": "$context.responseLatency",
    "integrationError": "$context.integrationErrorMessage",
}


@dataclass(frozen=True)
class Api:
    """An API with a public route, one for tokens, and one for tokens with a scope."""

    cloud: Cloud
    id: str
    url: str

    def get(self, path: str, token: str = "", **headers: str) -> tuple[int, dict[str, str], Any]:
        """Request a path; return status, headers and body."""
        return get(f"{self.url}{path}", {**({"Authorization": token} if token else {}), **headers})

    def token(self, subject: str = "anna", **asked: Any) -> str:
        """A token that the sandbox hands out."""
        body = {"issuer": ISSUER, "audience": AUDIENCE, "subject": subject, **asked}
        request = urllib.request.Request(f"{self.cloud.url}/_sandbox/token", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as response:
            value: str = json.load(response)["value"]
        return value

    def signed(self, key: SigningKey | None = None, **claims: Any) -> str:
        """A token of the issuer that says something else."""
        now = int(time.time())
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "iat": now - 5, "exp": now + 60, **claims}
        own = key or SigningKey(self.cloud.directory / "login")
        return own.sign({name: value for name, value in said.items() if value is not None})


def get(url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], Any]:
    """Request a URL; return status, headers (lower case) and body."""
    request = urllib.request.Request(url, headers={"User-Agent": 'a "test"', **headers})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            status, found, body = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, found, body = error.code, error.headers, error.read()
    return status, {name.lower(): value for name, value in found.items()}, json.loads(body)


def build(cloud: Cloud, name: str, **stage: Any) -> Api:
    """Make an API in front of a function."""
    gateway = cloud.client("apigatewayv2")
    arn = cloud.function(name, ECHO, cloud.role(name))
    cloud.client("lambda").add_permission(
        FunctionName=name,
        StatementId="gateway",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    api = gateway.create_api(Name=name, ProtocolType="HTTP")
    identifier = api["ApiId"]
    integration = gateway.create_integration(
        ApiId=identifier, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    authorizer = gateway.create_authorizer(
        ApiId=identifier,
        AuthorizerType="JWT",
        Name="tokens",
        IdentitySource=["$request.header.Authorization"],
        JwtConfiguration={"Issuer": ISSUER, "Audience": [AUDIENCE, "another-api"]},
    )["AuthorizerId"]
    target = {"ApiId": identifier, "Target": f"integrations/{integration}"}
    for path in ("/open", "/raise"):
        gateway.create_route(RouteKey=f"GET {path}", **target)
    for path, scopes in (("/closed", []), ("/scoped", ["write", "admin"])):
        gateway.create_route(
            RouteKey=f"GET {path}",
            AuthorizationType="JWT",
            AuthorizerId=authorizer,
            AuthorizationScopes=scopes,
            **target,
        )
    gateway.create_stage(ApiId=identifier, StageName="$default", AutoDeploy=True, **stage)
    return Api(cloud, identifier, api["ApiEndpoint"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud for this module's tests."""
    running = Cloud(tmp_path_factory.mktemp("cloud")).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def api(cloud: Cloud) -> Api:
    """An API that writes an access log."""
    cloud.client("logs").create_log_group(logGroupName="access")
    arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:access"
    return build(cloud, "main", AccessLogSettings={"DestinationArn": arn, "Format": json.dumps(FORMAT)})


class TestTokens:
    def test_a_route_that_is_public_needs_none(self, api: Api) -> None:
        assert api.get("/open")[0] == 200

    @pytest.mark.parametrize("prefix", ["", "Bearer ", "bearer "])
    def test_one_of_the_issuer_opens_the_route(self, api: Api, prefix: str) -> None:
        status, _, event = api.get("/closed", f"{prefix}{api.token('berta', scopes=['read', 'write'])}")
        assert status == 200
        claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
        assert (claims["sub"], claims["iss"], claims["aud"]) == ("berta", ISSUER, AUDIENCE)
        assert claims["exp"].isdigit()
        assert event["requestContext"]["authorizer"]["jwt"]["scopes"] == ["read", "write"]

    def test_without_one_the_route_is_closed(self, api: Api) -> None:
        status, headers, body = api.get("/closed")
        assert (status, body, headers["www-authenticate"]) == (401, {"message": "Unauthorized"}, "Bearer")

    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (lambda api, _: api.token(seconds=-5), "expired"),
            (lambda api, _: api.token(issuer="https://login.other/"), "issuer"),
            (lambda api, _: api.token(audience="elsewhere"), "audience"),
            (lambda api, _: api.signed(aud=None), "audience"),
            (lambda api, _: api.signed(aud="elsewhere", client_id=AUDIENCE), "audience"),
            (lambda api, _: api.signed(exp=None), "expired"),
            (lambda api, _: api.signed(exp="tomorrow"), "no moment"),
            (lambda api, _: api.signed(nbf=time.time() + 600), "future"),
            (lambda api, _: api.signed(iat=time.time() + 600), "future"),
            (lambda api, folder: api.signed(SigningKey(folder)), "no key"),
            (lambda api, _: api.token()[:-8] + "AAAAAAAA", "signature"),
            (lambda api, _: _with_head(api.token(), alg="none"), "signature"),
            (lambda api, _: _with_head(api.token(), alg="HS256"), "signature"),
            (lambda api, _: _with_head(api.token(), kid="another"), "no key"),
            (lambda *_: "no token", "malformed"),
        ],
    )
    def test_one_that_is_not_valid_does_not(
        self, api: Api, make: Callable[[Api, Path], str], why: str, tmp_path: Path
    ) -> None:
        status, headers, body = api.get("/closed", make(api, tmp_path))
        assert (status, body) == (401, {"message": "Unauthorized"})
        assert why in headers["www-authenticate"]

    @pytest.mark.parametrize("claims", [{"aud": ["x", AUDIENCE]}, {"aud": None, "client_id": "another-api"}])
    def test_an_audience_may_be_one_of_several(self, api: Api, claims: dict[str, Any]) -> None:
        assert api.get("/closed", api.signed(**claims))[0] == 200

    def test_a_route_may_ask_for_one_of_its_scopes(self, api: Api) -> None:
        status, headers, body = api.get("/scoped", api.token(scopes=["read"]))
        assert (status, body) == (403, {"message": "Forbidden"})
        assert "insufficient_scope" in headers["www-authenticate"]
        assert api.get("/scoped", api.token(scopes=["read", "admin"]))[0] == 200
        assert api.get("/scoped", api.signed(scp=["write"]))[0] == 200

    def test_a_rehearsal_gets_one(self, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        box = Sandbox(directory=tmp_path, account=ACCOUNT, region=REGION, engine=tmp_path)
        monkeypatch.setattr(Sandbox, "_port", lambda _: api.cloud.port)
        token = box.token(issuer=ISSUER, audience=AUDIENCE, subject="dora", scopes=["admin"])
        assert api.get("/scoped", token)[2]["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] == "dora"
        foreign = Sandbox(directory=tmp_path, account=ACCOUNT, region=REGION, engine=tmp_path, endpoint="http://x")
        with pytest.raises(SandboxError, match="plays no issuer"):
            foreign.token(issuer=ISSUER, audience=AUDIENCE, subject="dora")

    def test_a_request_for_one_must_be_whole(self, api: Api) -> None:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(f"{api.cloud.url}/_sandbox/token", b'{"issuer": 1}', method="POST"), timeout=5
            )
        assert refused.value.code == 400


def _with_head(token: str, **changed: str) -> str:
    """The same token under another head."""
    head, rest = token.split(".", 1)
    said = json.loads(base64.urlsafe_b64decode(head + "=="))
    text = base64.urlsafe_b64encode(json.dumps({**said, **changed}).encode()).rstrip(b"=").decode()
    return f"{text}.{rest}"


def logged(cloud: Cloud, request: str) -> dict[str, str]:
    """The line of a request in the access log."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        events = cloud.client("logs").filter_log_events(logGroupName="access")["events"]
        for event in events:
            line: dict[str, str] = json.loads(event["message"])
            if line["requestId"] == request:
                return line
        time.sleep(0.05)
    raise AssertionError(cloud.log())


class TestAccessLog:
    def test_a_line_says_who_asked_for_what(self, cloud: Cloud, api: Api) -> None:
        _, headers, event = api.get("/closed", api.token("clara"))
        line = logged(cloud, headers["apigw-requestid"])
        assert event["requestContext"]["requestId"] == headers["apigw-requestid"]
        assert line.pop("latencyMs").isdigit()
        time.strptime(line.pop("time"), "%d/%b/%Y:%H:%M:%S +0000")
        assert line == {
            "requestId": headers["apigw-requestid"],
            "caller": "127.0.0.1",
            "subject": "clara",
            "why": "-",
            "agent": 'a "test"',
            "route": "GET /closed",
            "status": "200",
            "integrationError": "-",
        }

    def test_what_was_refused_is_in_it(self, cloud: Cloud, api: Api) -> None:
        line = logged(cloud, api.get("/closed", api.token(seconds=-5))[1]["apigw-requestid"])
        assert (line["status"], line["subject"], line["why"]) == ("401", "-", "the token has expired")

    def test_what_failed_is_in_it(self, cloud: Cloud, api: Api) -> None:
        status, headers, _ = api.get("/raise")
        line = logged(cloud, headers["apigw-requestid"])
        assert (status, line["status"]) == (500, "500")
        assert line["integrationError"].startswith("The Lambda function returned the following error: Unhandled.")

    def test_a_group_that_is_gone_fails_no_request(self, cloud: Cloud) -> None:
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:gone"
        lost = build(cloud, "lost", AccessLogSettings={"DestinationArn": arn, "Format": "$context.requestId"})
        assert lost.get("/open")[0] == 200
        assert "cannot be written to gone" in cloud.log()


class TestThrottling:
    def test_a_route_has_its_burst_and_no_more(self, cloud: Cloud) -> None:
        settings = {"ThrottlingBurstLimit": 2, "ThrottlingRateLimit": 0.001}
        throttled = build(cloud, "throttled", DefaultRouteSettings=settings)
        answers = [throttled.get("/open") for _ in range(3)]
        assert [status for status, _, _ in answers] == [200, 200, 429]
        assert answers[2][2] == {"message": "Too Many Requests"}
        # Each route has its own; and what is refused for want of a token counts too.
        assert [throttled.get("/closed")[0] for _ in range(3)] == [401, 401, 429]

    def test_a_route_may_have_settings_of_its_own(self, cloud: Cloud) -> None:
        closed = {"GET /open": {"ThrottlingBurstLimit": 0, "ThrottlingRateLimit": 0.0}}
        own = build(cloud, "own-settings", RouteSettings=closed)
        assert [own.get(path)[0] for path in ("/open", "/closed")] == [429, 401]

    def test_a_bucket_fills_again(self) -> None:
        bucket = Bucket(rate=2, burst=3, left=3, at=0)
        assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
        assert [bucket.take(0.5), bucket.take(0.5), bucket.take(9)] == [True, False, True]
        assert bucket.left == 2

    def test_a_function_without_concurrency_is_unavailable(self, cloud: Cloud) -> None:
        busy = build(cloud, "busy")
        cloud.client("lambda").put_function_concurrency(FunctionName="busy", ReservedConcurrentExecutions=0)
        status, _, body = busy.get("/open")
        assert (status, body) == (503, {"message": "Service Unavailable"})


def test_a_domain_of_its_own_leads_to_the_api(cloud: Cloud) -> None:
    """And the gateway's endpoint can then be closed."""
    mapped = build(cloud, "mapped")
    gateway = cloud.client("apigatewayv2")
    certificate = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/11111111-1111-4111-8111-111111111111"
    gateway.create_domain_name(
        DomainName="api.example.com",
        DomainNameConfigurations=[
            {"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
        ],
    )
    gateway.create_api_mapping(ApiId=mapped.id, DomainName="api.example.com", Stage="$default")
    gateway.update_api(ApiId=mapped.id, DisableExecuteApiEndpoint=True)
    assert mapped.get("/open")[::2] == (404, {"message": "Not Found"})
    status, _, event = get(f"{cloud.url}/open", {"Host": "api.example.com"})
    assert (status, event["rawPath"], event["requestContext"]["apiId"]) == (200, "/open", mapped.id)
    assert get(f"{cloud.url}/closed", {"Host": "api.example.com"})[0] == 401
