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
    "route": "$context.routeKey",
    "status": "$context.status",
    "latencyMs": "$context.responseLatency",
    "integrationError": "$context.integrationErrorMessage",
}


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
    """

    names: Names
    routes: Sequence[Route]
    function_name: pulumi.Input[str]
    alias: lambda_.Alias
    timeout_seconds: int
    log_retention_days: int


class HttpApi(pulumi.ComponentResource):
    """An HTTP API whose routes all lead to one alias.

    Attributes:
        url: Where it answers; paths can be appended.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: HttpApiArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("product-api:index:HttpApi", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        api = apigatewayv2.Api(
            name, name=args.names.name("api"), protocol_type="HTTP", description="The product API", opts=child
        )
        log = cloudwatch.LogGroup(
            name,
            name=f"/aws/apigateway/{args.names.name('api')}",
            retention_in_days=args.log_retention_days,
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
        routes = [
            apigatewayv2.Route(
                f"{name}-{route.method.lower()}{route.path.replace('/', '-').replace('{', '').replace('}', '')}",
                api_id=api.id,
                route_key=route.key,
                target=integration.id.apply(lambda target: f"integrations/{target}"),
                opts=child,
            )
            for route in args.routes
        ]
        apigatewayv2.Stage(
            name,
            api_id=api.id,
            name="$default",
            auto_deploy=True,
            access_log_settings=apigatewayv2.StageAccessLogSettingsArgs(
                destination_arn=log.arn, format=json.dumps(ACCESS_LOG)
            ),
            default_route_settings=apigatewayv2.StageDefaultRouteSettingsArgs(
                throttling_burst_limit=100, throttling_rate_limit=50
            ),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission, *routes]),
        )
        self.url = api.api_endpoint
        self.register_outputs({"url": self.url})
