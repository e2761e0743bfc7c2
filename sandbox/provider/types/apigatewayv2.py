"""API Gateway's HTTP and WebSocket APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Read, Resource, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("NotFoundException",)
ARN = "arn:{partition}:apigateway:{region}::/apis/"
EXECUTION = "arn:{partition}:execute-api:{region}:{account}:"
CORS = tuple(f"corsConfiguration.{name}" for name in ("allowHeaders", "allowMethods", "allowOrigins", "exposeHeaders"))


def _invoke_url(context: Context, outputs: dict[str, Any]) -> None:
    """Below the API's own endpoint, which says where it can be reached."""
    endpoint = context.call("get_api", ApiId=context.scope("apiId"))["ApiEndpoint"]
    outputs["invokeUrl"] = f"{endpoint}/" + ("" if outputs["name"] == "$default" else outputs["name"])


def _verify_authorizer(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    if inputs.get("authorizerType") != "JWT":
        return []
    wanted = ("identitySources", "jwtConfiguration")
    faults = [(name, "missing; an authorizer of tokens needs it") for name in wanted if not inputs.get(name)]
    issuer = (inputs.get("jwtConfiguration") or {}).get("issuer")
    if isinstance(issuer, str) and not issuer.startswith("https://"):
        faults.append(("jwtConfiguration.issuer", f"{issuer!r} is no https URL, as an issuer's must be"))
    return faults


ENTRIES = (
    Resource(
        "aws:apigatewayv2/api:Api",
        "apigatewayv2",
        create=Call("create_api"),
        id="ApiId",
        reads=(Read("get_api", {"ApiId": "{id}"}),),
        update=(
            Call(
                "update_api",
                {"ApiId": "{id}"},
                (
                    "apiKeySelectionExpression",
                    "description",
                    "disableExecuteApiEndpoint",
                    "ipAddressType",
                    "name",
                    "routeSelectionExpression",
                    "version",
                ),
            ),
            Call(
                "update_api",
                {"ApiId": "{id}"},
                ("corsConfiguration",),
                clear=Call("delete_cors_configuration", {"ApiId": "{id}"}, ()),
            ),
        ),
        delete=Call("delete_api", {"ApiId": "{id}"}, ()),
        name="name",
        replaces=("protocolType", "routeKey", "target", "credentialsArn"),
        sets=CORS,
        defaults={
            "apiKeySelectionExpression": "$request.header.x-api-key",
            "disableExecuteApiEndpoint": False,
            "routeSelectionExpression": "$request.method $request.path",
        },
        write_only=("routeKey", "target", "credentialsArn"),
        unsupported=("body", "failOnWarnings"),
        outputs={"arn": ARN + "{id}", "executionArn": EXECUTION + "{id}"},
        gone=GONE,
    ),
    Resource(
        "aws:apigatewayv2/integration:Integration",
        "apigatewayv2",
        create=Call("create_integration"),
        id="IntegrationId",
        imports="{apiId}/{id}",
        reads=(Read("get_integration", {"ApiId": "{apiId}", "IntegrationId": "{id}"}),),
        update=(
            Call(
                "update_integration",
                {"ApiId": "{apiId}", "IntegrationId": "{id}", "IntegrationType": "{integrationType}"},
                (
                    "connectionId",
                    "connectionType",
                    "contentHandlingStrategy",
                    "credentialsArn",
                    "description",
                    "integrationMethod",
                    "integrationUri",
                    "passthroughBehavior",
                    "payloadFormatVersion",
                    "requestParameters",
                    "requestTemplates",
                    "templateSelectionExpression",
                    "timeoutMilliseconds",
                    "tlsConfig",
                ),
            ),
        ),
        delete=Call("delete_integration", {"ApiId": "{apiId}", "IntegrationId": "{id}"}, ()),
        names={"timeoutMilliseconds": "TimeoutInMillis"},
        replaces=("apiId", "integrationType", "integrationSubtype"),
        defaults={"connectionType": "INTERNET", "passthroughBehavior": "WHEN_NO_MATCH", "payloadFormatVersion": "1.0"},
        initial={"integrationMethod": "POST"},
        allowed={"payloadFormatVersion": ("1.0", "2.0")},
        unsupported=("responseParameters",),
        gone=GONE,
    ),
    Resource(
        "aws:apigatewayv2/route:Route",
        "apigatewayv2",
        create=Call("create_route"),
        id="RouteId",
        imports="{apiId}/{id}",
        reads=(Read("get_route", {"ApiId": "{apiId}", "RouteId": "{id}"}),),
        update=(
            Call(
                "update_route",
                {"ApiId": "{apiId}", "RouteId": "{id}"},
                (
                    "apiKeyRequired",
                    "authorizationScopes",
                    "authorizationType",
                    "authorizerId",
                    "modelSelectionExpression",
                    "operationName",
                    "requestModels",
                    "routeKey",
                    "routeResponseSelectionExpression",
                    "target",
                ),
            ),
        ),
        delete=Call("delete_route", {"ApiId": "{apiId}", "RouteId": "{id}"}, ()),
        replaces=("apiId",),
        sets=("authorizationScopes",),
        defaults={"apiKeyRequired": False, "authorizationType": "NONE"},
        unsupported=("requestParameters",),
        gone=GONE,
    ),
    Resource(
        "aws:apigatewayv2/stage:Stage",
        "apigatewayv2",
        create=Call("create_stage"),
        id="{name}",
        imports="{apiId}/{name}",
        reads=(Read("get_stage", {"ApiId": "{apiId}", "StageName": "{name}"}),),
        update=(
            Call(
                "update_stage",
                {"ApiId": "{apiId}", "StageName": "{name}"},
                (
                    "autoDeploy",
                    "clientCertificateId",
                    "defaultRouteSettings",
                    "deploymentId",
                    "description",
                    "routeSettings",
                    "stageVariables",
                ),
            ),
            Call(
                "update_stage",
                {"ApiId": "{apiId}", "StageName": "{name}"},
                ("accessLogSettings",),
                clear=Call("delete_access_log_settings", {"ApiId": "{apiId}", "StageName": "{name}"}, ()),
            ),
        ),
        delete=Call("delete_stage", {"ApiId": "{apiId}", "StageName": "{name}"}, ()),
        names={"name": "StageName"},
        name="name",
        replaces=("apiId", "name"),
        sets=("routeSettings",),
        keyed={"routeSettings": "routeKey"},
        arns=("accessLogSettings.destinationArn",),
        defaults={"autoDeploy": False},
        outputs={"arn": ARN + "{apiId}/stages/{name}", "executionArn": EXECUTION + "{apiId}/{name}"},
        refine=_invoke_url,
        gone=GONE,
    ),
    Resource(
        "aws:apigatewayv2/authorizer:Authorizer",
        "apigatewayv2",
        create=Call("create_authorizer"),
        id="AuthorizerId",
        imports="{apiId}/{id}",
        reads=(Read("get_authorizer", {"ApiId": "{apiId}", "AuthorizerId": "{id}"}),),
        update=(
            Call(
                "update_authorizer",
                {"ApiId": "{apiId}", "AuthorizerId": "{id}"},
                (
                    "authorizerCredentialsArn",
                    "authorizerPayloadFormatVersion",
                    "authorizerResultTtlInSeconds",
                    "authorizerUri",
                    "enableSimpleResponses",
                    "identitySources",
                    "jwtConfiguration",
                    "name",
                ),
            ),
        ),
        delete=Call("delete_authorizer", {"ApiId": "{apiId}", "AuthorizerId": "{id}"}, ()),
        name="name",
        replaces=("apiId", "authorizerType"),
        sets=("identitySources", "jwtConfiguration.audiences"),
        verify=_verify_authorizer,
        gone=GONE,
    ),
    Resource(
        "aws:apigatewayv2/domainName:DomainName",
        "apigatewayv2",
        create=Call("create_domain_name"),
        id="{domainName}",
        reads=(Read("get_domain_name", {"DomainName": "{id}"}),),
        update=(
            Call(
                "update_domain_name",
                {"DomainName": "{id}"},
                ("domainNameConfiguration", "mutualTlsAuthentication", "routingMode"),
            ),
        ),
        delete=Call("delete_domain_name", {"DomainName": "{id}"}, ()),
        names={
            "domainNameConfiguration": "DomainNameConfigurations",
            "domainNameConfiguration.targetDomainName": "ApiGatewayDomainName",
        },
        replaces=("domainName",),
        arns=("domainNameConfiguration.certificateArn",),
        allowed={
            "domainNameConfiguration.endpointType": ("REGIONAL",),
            "domainNameConfiguration.securityPolicy": ("TLS_1_2",),
        },
        outputs={"arn": "arn:{partition}:apigateway:{region}::/domainnames/{domainName}"},
        gone=GONE,
        ready=Wait(
            "DomainNameConfigurations[0].DomainNameStatus",
            ("AVAILABLE",),
            ("PENDING_CERTIFICATE_REIMPORT",),
            "DomainNameConfigurations[0].DomainNameStatusMessage",
        ),
    ),
    Resource(
        "aws:apigatewayv2/apiMapping:ApiMapping",
        "apigatewayv2",
        create=Call("create_api_mapping"),
        id="ApiMappingId",
        imports="{id}/{domainName}",
        reads=(Read("get_api_mapping", {"ApiMappingId": "{id}", "DomainName": "{domainName}"}),),
        update=(
            Call(
                "update_api_mapping",
                {"ApiId": "{apiId}", "ApiMappingId": "{id}", "DomainName": "{domainName}"},
                ("apiMappingKey", "stage"),
            ),
        ),
        delete=Call("delete_api_mapping", {"ApiMappingId": "{id}", "DomainName": "{domainName}"}, ()),
        replaces=("apiId", "domainName"),
        gone=GONE,
    ),
)
