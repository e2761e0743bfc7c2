"""The HTTP API in front of the API function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from pulumi_aws import apigatewayv2, cloudwatch, lambda_

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.routes import Route
    from naming import Names

# https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "caller": "$context.identity.sourceIp",
    "subject": "$context.authorizer.claims.sub",
    "agent": "$context.identity.userAgent",
    "route": "$context.routeKey",
    "status": "$context.status",
    "latencyMs": "$context.responseLatency",
    "integrationError": "$context.integrationErrorMessage",
}


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """An OpenID Connect issuer.

    Attributes:
        url: Its https URL.
        audience: Of which a token must name one.
    """

    url: str
    audience: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """What the gateway lets through.

    Attributes:
        rate: Requests a second in the long run.
        burst: Requests at once.
    """

    rate: int
    burst: int


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A domain of our own; its record is set where the domain is kept.

    Attributes:
        name: The host name.
        certificate_arn: Its ACM certificate, in the same region.
    """

    name: str
    certificate_arn: str


@dataclass(frozen=True, kw_only=True)
class HttpApiArgs:
    """What the API routes, and to where.

    Attributes:
        names: The stack's names.
        routes: The application's route table.
        function_name: The function.
        alias: The alias of it that gets the traffic.
        timeout_seconds: Seconds a request may take; the gateway itself allows 30.
        log_retention_days: Days the access log is kept.
        log_key_arn: The key that encrypts it.
        issuer: Whose tokens open the routes that are not public; None where there is no issuer, and then these routes
            do not exist.
        cors_origins: Web origins whose pages may call the API.
        throttle: Requests a second, and requests at once, that the gateway lets through.
        domain: The API's own domain, where it has one.
        gate: What must be open before routes change.
    """

    names: Names
    routes: Sequence[Route]
    function_name: pulumi.Input[str]
    alias: lambda_.Alias
    timeout_seconds: int
    log_retention_days: int
    log_key_arn: pulumi.Input[str]
    issuer: Issuer | None
    cors_origins: Sequence[str]
    throttle: Throttle
    domain: Domain | None
    gate: pulumi.ResourceHookBinding


class HttpApi(pulumi.ComponentResource):
    """An HTTP API whose routes all lead to one alias.

    Attributes:
        id: The API.
        url: Where it answers; paths can be appended.
        stage: What must be there before it answers.
        domain_target: What the domain's record must name, where there is a domain.
    """

    id: pulumi.Output[str]
    url: pulumi.Output[str]
    stage: pulumi.Resource
    domain_target: pulumi.Output[str] | None

    def __init__(self, name: str, args: HttpApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:HttpApi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        api = apigatewayv2.Api(
            name,
            name=args.names.name("api"),
            protocol_type="HTTP",
            description="The product API",
            cors_configuration=apigatewayv2.ApiCorsConfigurationArgs(
                allow_origins=args.cors_origins,
                allow_methods=sorted({route.method for route in args.routes}),
                allow_headers=["authorization", "content-type"],
                max_age=600,
            )
            if args.cors_origins
            else None,
            # One way in: with a domain of its own, the gateway's is closed.
            disable_execute_api_endpoint=bool(args.domain),
            opts=child,
        )
        log = cloudwatch.LogGroup(
            name,
            name=f"/aws/apigateway/{args.names.name('api')}",
            retention_in_days=args.log_retention_days,
            kms_key_id=args.log_key_arn,
            opts=child,
        )
        integration = apigatewayv2.Integration(
            name,
            api_id=api.id,
            integration_type="AWS_PROXY",
            integration_uri=args.alias.invoke_arn,
            integration_method="POST",
            payload_format_version="2.0",
            timeout_milliseconds=(args.timeout_seconds + 1) * 1000,
            opts=child,
        )
        permission = lambda_.Permission(
            name,
            statement_id="gateway",
            action="lambda:InvokeFunction",
            principal="apigateway.amazonaws.com",
            function=args.function_name,
            qualifier=args.alias.name,
            source_arn=api.execution_arn.apply(lambda arn: f"{arn}/*/*"),
            # Lambda refuses a second statement of the same id.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        routes = self._routes(name, args, api, integration)
        stage = apigatewayv2.Stage(
            name,
            api_id=api.id,
            name="$default",
            auto_deploy=True,
            access_log_settings=apigatewayv2.StageAccessLogSettingsArgs(
                destination_arn=log.arn, format=json.dumps(ACCESS_LOG)
            ),
            default_route_settings=apigatewayv2.StageDefaultRouteSettingsArgs(
                throttling_burst_limit=args.throttle.burst,
                throttling_rate_limit=args.throttle.rate,
                detailed_metrics_enabled=True,
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission, *routes]),
        )
        self.id, self.stage = api.id, stage
        if args.domain:
            self.url = pulumi.Output.from_input(f"https://{args.domain.name}")
            self.domain_target = self._domain(name, args.domain, api, stage)
        else:
            self.url, self.domain_target = api.api_endpoint, None
        self.register_outputs({"url": self.url})

    def _routes(
        self, name: str, args: HttpApiArgs, api: apigatewayv2.Api, integration: apigatewayv2.Integration
    ) -> list[apigatewayv2.Route]:
        """Declare the application's routes; without an issuer nobody could open those that are not public."""
        authorizer = (
            apigatewayv2.Authorizer(
                name,
                api_id=api.id,
                name="tokens",
                authorizer_type="JWT",
                identity_sources=["$request.header.Authorization"],
                jwt_configuration=apigatewayv2.AuthorizerJwtConfigurationArgs(
                    issuer=args.issuer.url, audiences=args.issuer.audience
                ),
                opts=pulumi.ResourceOptions(parent=self),
            )
            if args.issuer
            else None
        )
        return [
            apigatewayv2.Route(
                f"{name}-{route.method.lower()}{route.path.replace('/', '-').replace('{', '').replace('}', '')}",
                api_id=api.id,
                route_key=route.key,
                target=integration.id.apply(lambda target: f"integrations/{target}"),
                authorization_type="NONE" if route.public else "JWT",
                authorizer_id=authorizer.id if authorizer and not route.public else None,
                opts=pulumi.ResourceOptions(parent=self, hooks=args.gate),
            )
            for route in args.routes
            if route.public or authorizer
        ]

    def _domain(
        self, name: str, domain: Domain, api: apigatewayv2.Api, stage: apigatewayv2.Stage
    ) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        own = apigatewayv2.DomainName(
            name,
            domain_name=domain.name,
            domain_name_configuration=apigatewayv2.DomainNameDomainNameConfigurationArgs(
                certificate_arn=domain.certificate_arn, endpoint_type="REGIONAL", security_policy="TLS_1_2"
            ),
            opts=child,
        )
        apigatewayv2.ApiMapping(name, api_id=api.id, domain_name=own.id, stage=stage.id, opts=child)
        return own.domain_name_configuration.target_domain_name
