"""Lambda."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sandbox.provider.resource import GoneError, ResourceError
from sandbox.provider.table import Call, Do, Read, Resource, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("ResourceNotFoundException",)
INVOKE_ARN = "arn:{partition}:apigateway:{region}:lambda:path/2015-03-31/functions/%s/invocations"
CODE = ("code", "s3Bucket", "s3Key", "s3ObjectVersion", "sourceCodeHash", "sourceKmsKeyArn")
CONFIGURATION = (
    "deadLetterConfig",
    "description",
    "environment",
    "ephemeralStorage",
    "handler",
    "kmsKeyArn",
    "layers",
    "loggingConfig",
    "memorySize",
    "role",
    "runtime",
    "snapStart",
    "timeout",
    "tracingConfig",
    "vpcConfig",
)
CREATE = Call(
    "create_function",
    {},
    ("name", "packageType", "publish", "architectures", "codeSigningConfigArn", *CONFIGURATION, *CODE),
    names={
        "code": "",
        "sourceCodeHash": "",
        "s3Bucket": "Code.S3Bucket",
        "s3Key": "Code.S3Key",
        "s3ObjectVersion": "Code.S3ObjectVersion",
        "sourceKmsKeyArn": "Code.SourceKMSKeyArn",
    },
)
UPDATE_CODE = Call(
    "update_function_code",
    {"FunctionName": "{id}"},
    ("architectures", *CODE),
    names={"code": "", "sourceCodeHash": ""},
    whole=True,
)
RELEASED = ("architectures", *CODE, *CONFIGURATION, "publish")


def _create_function(context: Context) -> Any:
    parameters = context.parameters(CREATE, tagged=True)
    if "code" in context.inputs:
        parameters.setdefault("Code", {})["ZipFile"] = context.inputs["code"].content()
    return context.call("create_function", **parameters)


def _update_code(context: Context) -> None:
    parameters = context.parameters(UPDATE_CODE)
    if "code" in context.inputs:
        parameters["ZipFile"] = context.inputs["code"].content()
    context.call("update_function_code", **parameters)
    context.settle()


def _update_configuration(context: Context) -> None:
    changed = [name for name in CONFIGURATION if context.changed(name)]
    step = Call("update_function_configuration", {"FunctionName": "{id}"}, CONFIGURATION)
    context.call("update_function_configuration", **context.parameters(step, only=changed))
    context.settle()


def _publish(context: Context) -> None:
    """Each change of code or configuration is a version of its own, where the program publishes."""
    if context.inputs.get("publish") and not context.creating:
        context.call("publish_version", FunctionName=context.id)


def _put_concurrency(context: Context) -> None:
    reserved = context.inputs.get("reservedConcurrentExecutions", -1)
    if reserved >= 0:
        context.call("put_function_concurrency", FunctionName=context.id, ReservedConcurrentExecutions=reserved)
    else:
        context.call("delete_function_concurrency", FunctionName=context.id)


def _refine_function(context: Context, outputs: dict[str, Any]) -> None:
    arn, qualified = outputs["arn"], f"{outputs['arn']}:{outputs.get('version', '$LATEST')}"
    base = context.render("arn:{partition}:apigateway:{region}:lambda:path")
    outputs["invokeArn"] = f"{base}/2015-03-31/functions/{arn}/invocations"
    outputs["qualifiedArn"] = qualified
    outputs["qualifiedInvokeArn"] = f"{base}/2015-03-31/functions/{qualified}/invocations"
    outputs["responseStreamingInvokeArn"] = f"{base}/2021-11-15/functions/{arn}/response-streaming-invocations"
    outputs.setdefault("sourceCodeHash", outputs.get("codeSha256"))
    outputs.setdefault("signingJobArn", "")
    outputs.setdefault("signingProfileVersionArn", "")
    if not (outputs.get("vpcConfig") or {}).get("subnetIds"):  # a function that left its VPC answers with empty lists
        outputs.pop("vpcConfig", None)
    if (outputs.get("snapStart") or {}).get("applyOn") == "None":
        outputs.pop("snapStart")
    if "logGroup" in (outputs.get("loggingConfig") or {}):
        outputs["loggingConfig"] = {key: value for key, value in outputs["loggingConfig"].items() if value}


def _verify_function(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    sources = [name for name in ("code", "s3Bucket", "imageUri") if name in inputs]
    faults = []
    if len(sources) != 1:
        faults.append(("code", f"give exactly one of code, s3Bucket and imageUri; got {', '.join(sources) or 'none'}"))
    if inputs.get("packageType") == "Zip":
        faults += [
            (name, "missing; a function of a zip needs it") for name in ("handler", "runtime") if name not in inputs
        ]
    if ("s3Bucket" in inputs) != ("s3Key" in inputs):
        faults.append(("s3Key", "s3Bucket and s3Key are given together"))
    return faults


def _publish_layer(context: Context) -> Any:
    parameters = context.parameters(LAYER)
    if "code" in context.inputs:
        parameters.setdefault("Content", {})["ZipFile"] = context.inputs["code"].content()
    return context.call("publish_layer_version", **parameters)


LAYER = Call(
    "publish_layer_version",
    {},
    (
        "layerName",
        "code",
        "compatibleArchitectures",
        "compatibleRuntimes",
        "description",
        "licenseInfo",
        "s3Bucket",
        "s3Key",
        "s3ObjectVersion",
        "sourceCodeHash",
    ),
    names={
        "code": "",
        "sourceCodeHash": "",
        "s3Bucket": "Content.S3Bucket",
        "s3Key": "Content.S3Key",
        "s3ObjectVersion": "Content.S3ObjectVersion",
    },
)


def _refine_layer(_context: Context, outputs: dict[str, Any]) -> None:
    outputs.setdefault("sourceCodeHash", outputs.get("codeSha256"))
    outputs.setdefault("signingJobArn", "")
    outputs.setdefault("signingProfileVersionArn", "")


def _refine_alias(context: Context, outputs: dict[str, Any]) -> None:
    context.id = outputs["arn"]
    outputs["invokeArn"] = context.render(INVOKE_ARN % outputs["arn"])
    if not (outputs.get("routingConfig") or {}).get("additionalVersionWeights"):
        outputs.pop("routingConfig", None)


def _update_alias(context: Context) -> None:
    """Move an alias; a routing that is no longer given is taken away, which an absent member would not do."""
    parameters = context.parameters(
        Call("update_alias", {}, ("functionName", "name", "functionVersion", "description"))
    )
    weights = (context.inputs.get("routingConfig") or {}).get("additionalVersionWeights") or {}
    context.call("update_alias", **parameters, RoutingConfig={"AdditionalVersionWeights": weights})


def _refine_event_config(context: Context, outputs: dict[str, Any]) -> None:
    if qualifier := context.scope("qualifier"):
        context.id = f"{outputs['functionName'].removesuffix(f':{qualifier}')}:{qualifier}"
    kinds = outputs.get("destinationConfig") or {}
    told = {kind: value for kind, value in kinds.items() if value.get("destination")}
    outputs.pop("destinationConfig", None)
    if told:
        outputs["destinationConfig"] = told


# Permissions are statements of a function's policy.

CONDITIONS = {
    "aws:sourcearn": "sourceArn",
    "aws:sourceaccount": "sourceAccount",
    "lambda:eventsourcetoken": "eventSourceToken",
    "aws:principalorgid": "principalOrgId",
    "lambda:functionurlauthtype": "functionUrlAuthType",
    "lambda:invokedviafunctionurl": "invokedViaFunctionUrl",
}


def _refine_permission(context: Context, outputs: dict[str, Any]) -> None:
    statements = json.loads(context.found)["Statement"]
    statement = next((one for one in statements if one.get("Sid") == context.scope("statementId")), None)
    if statement is None:
        raise GoneError(f"{context.entry.token}: {context.id} is gone")
    principal = statement.get("Principal")
    if isinstance(principal, dict):
        principal = next(iter(principal.values()))
    given = str(context.inputs.get("principal", ""))
    outputs["principal"] = (
        given if given.isdigit() and principal == context.render(f"arn:{{partition}}:iam::{given}:root") else principal
    )
    outputs["action"] = statement["Action"]
    outputs["statementId"] = statement["Sid"]
    read: dict[str, Any] = {}
    for pairs in (statement.get("Condition") or {}).values():
        read |= {CONDITIONS[key.lower()]: value for key, value in pairs.items() if key.lower() in CONDITIONS}
    for name in CONDITIONS.values():
        outputs.pop(name, None)
        if name in read:
            value = read[name]
            outputs[name] = str(value).lower() == "true" if name == "invokedViaFunctionUrl" else value


# Invocations happen once, or at each step of their life.


def _payload(context: Context, action: str) -> bytes:
    """The input, which in a CRUD scope also says what is happening and what the former input was."""
    text: str = context.inputs.get("input", "")
    if context.inputs.get("lifecycleScope") != "CRUD":
        return text.encode()
    former = context.old_inputs.get("input") if action == "update" else text if action == "delete" else None
    event = {
        **json.loads(text),
        context.inputs.get("terraformKey", "tf"): {"action": action, "prev_input": json.loads(former or "null")},
    }
    return json.dumps(event).encode()


def _invoke(context: Context, action: str) -> str:
    """Invoke the function, and make its error ours.

    Raises:
        ResourceError: the function failed.
    """
    name, qualifier = context.inputs["functionName"], context.inputs.get("qualifier", "$LATEST")
    tenant = {"TenantId": context.inputs["tenantId"]} if context.inputs.get("tenantId") else {}
    response = context.call(
        "invoke", FunctionName=name, Qualifier=qualifier, Payload=_payload(context, action), **tenant
    )
    result: str = response["Payload"].read().decode()
    if response.get("FunctionError"):
        raise ResourceError(f"{context.entry.token}: function {name} failed: {_function_error(result)}")
    return result


def _function_error(payload: str) -> str:
    try:
        error = json.loads(payload)
        return ": ".join(str(error[key]) for key in ("errorType", "errorMessage") if error.get(key)) or payload
    except (ValueError, AttributeError, TypeError):
        return payload


def _invoke_create(context: Context) -> None:
    context.state = {**context.state, "result": _invoke(context, "create")}
    digest = hashlib.md5(str(context.inputs["input"]).encode(), usedforsecurity=False).hexdigest()
    context.id = f"{context.inputs['functionName']}_{context.inputs.get('qualifier', '$LATEST')}_{digest}"


def _invoke_update(context: Context) -> None:
    context.state = {**context.state, "result": _invoke(context, "update")}


def _invoke_delete(context: Context) -> None:
    if context.inputs.get("lifecycleScope") == "CRUD":
        _invoke(context, "delete")


def _invocation_replaces(news: Mapping[str, Any]) -> tuple[str, ...]:
    always = ("functionName", "qualifier", "tenantId")
    return always if news.get("lifecycleScope") == "CRUD" else (*always, "input", "triggers", "terraformKey")


def _verify_invocation(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    text = inputs.get("input")
    if not isinstance(text, str):
        return []
    try:
        event = json.loads(text)
    except ValueError as error:
        return [("input", f"not JSON: {error}")]
    if inputs.get("lifecycleScope") == "CRUD" and not isinstance(event, dict):
        return [("input", "a lifecycleScope of CRUD needs a JSON object, to which it adds what is happening")]
    return []


ENTRIES = (
    Resource(
        "aws:lambda/function:Function",
        "lambda",
        create=Do(_create_function, CREATE.carries or (), CREATE),
        id="{name}",
        reads=(
            Read(
                "get_function_configuration",
                {"FunctionName": "{id}"},
                outputs={"arn": "FunctionArn", "sourceCodeSize": "CodeSize", "layers": "Layers[].Arn"},
            ),
            Read(
                "list_versions_by_function",
                {"FunctionName": "{id}"},
                "Versions",
                outputs={"version": "[-1].Version"},
                only=(),
            ),
            Read(
                "get_function_concurrency",
                {"FunctionName": "{id}"},
                outputs={"reservedConcurrentExecutions": "ReservedConcurrentExecutions || `-1`"},
                only=(),
            ),
            Read(
                "get_function_code_signing_config", {"FunctionName": "{id}"}, only=("codeSigningConfigArn",), unset=GONE
            ),
        ),
        update=(
            Call(
                "put_function_code_signing_config",
                {"FunctionName": "{id}"},
                ("codeSigningConfigArn",),
                clear=Call("delete_function_code_signing_config", {"FunctionName": "{id}"}, ()),
            ),
            Do(_update_configuration, CONFIGURATION),
            Do(_update_code, ("architectures", *CODE)),
            Do(_publish, RELEASED),
        ),
        settings=(Do(_put_concurrency, ("reservedConcurrentExecutions",)),),
        delete=Call("delete_function", {"FunctionName": "{id}"}, ()),
        names={"name": "FunctionName"},
        name="name",
        replaces=("name", "packageType"),
        sets=("vpcConfig.subnetIds", "vpcConfig.securityGroupIds"),
        defaults={
            "memorySize": 128,
            "packageType": "Zip",
            "publish": False,
            "reservedConcurrentExecutions": -1,
            "skipDestroy": False,
            "timeout": 3,
            "vpcConfig.ipv6AllowedForDualStack": False,
        },
        initial={"reservedConcurrentExecutions": -1},
        local=("skipDestroy", "publish", "useResourceTimeoutForPropagation"),
        write_only=("sourceCodeHash",),
        unsupported=(
            "capacityProviderConfig",
            "codeSha256",
            "durableConfig",
            "fileSystemConfig",
            "imageConfig",
            "imageUri",
            "publishTo",
            "replaceSecurityGroupsOnDestroy",
            "replacementSecurityGroupIds",
            "tenancyConfig",
        ),
        refine=_refine_function,
        verify=_verify_function,
        recomputed={
            **dict.fromkeys(("version", "qualifiedArn", "qualifiedInvokeArn"), RELEASED),
            "lastModified": (*CONFIGURATION, "architectures", *CODE),
            **dict.fromkeys(
                ("codeSha256", "sourceCodeSize", "sourceCodeHash", "signingJobArn", "signingProfileVersionArn"), CODE
            ),
        },
        gone=GONE,
        ready=Wait(
            "State == 'Active' && LastUpdateStatus || State",
            ("Active", "Successful", "Inactive"),
            ("Failed",),
            "StateReason || LastUpdateStatusReason",
        ),
    ),
    Resource(
        "aws:lambda/layerVersion:LayerVersion",
        "lambda",
        create=Do(_publish_layer, LAYER.carries or (), LAYER),
        id="LayerVersionArn",
        reads=(
            Read(
                "get_layer_version_by_arn",
                {"Arn": "{id}"},
                outputs={
                    "arn": "LayerVersionArn",
                    "layerArn": "LayerArn",
                    "codeSha256": "Content.CodeSha256",
                    "sourceCodeSize": "Content.CodeSize",
                    "signingJobArn": "Content.SigningJobArn",
                    "signingProfileVersionArn": "Content.SigningProfileVersionArn",
                },
            ),
        ),
        delete=Call("delete_layer_version", {"LayerName": "{layerName}", "VersionNumber": "{version}"}, ()),
        replaces=LAYER.carries or (),
        sets=("compatibleArchitectures", "compatibleRuntimes"),
        defaults={"skipDestroy": False},
        local=("skipDestroy",),
        write_only=("sourceCodeHash",),
        refine=_refine_layer,
        gone=GONE,
    ),
    Resource(
        "aws:lambda/codeSigningConfig:CodeSigningConfig",
        "lambda",
        create=Call("create_code_signing_config"),
        id="CodeSigningConfig.CodeSigningConfigArn",
        reads=(
            Read(
                "get_code_signing_config",
                {"CodeSigningConfigArn": "{id}"},
                "CodeSigningConfig",
                outputs={"arn": "CodeSigningConfigArn", "configId": "CodeSigningConfigId"},
            ),
        ),
        update=(
            Call(
                "update_code_signing_config",
                {"CodeSigningConfigArn": "{id}"},
                ("allowedPublishers", "description", "policies"),
            ),
        ),
        delete=Call("delete_code_signing_config", {"CodeSigningConfigArn": "{id}"}, ()),
        names={"policies": "CodeSigningPolicies"},
        sets=("allowedPublishers.signingProfileVersionArns",),
        recomputed={"lastModified": ("allowedPublishers", "description", "policies")},
        gone=GONE,
    ),
    Resource(
        "aws:lambda/alias:Alias",
        "lambda",
        create=Call("create_alias"),
        id="AliasArn",
        imports="{functionName}/{name}",
        reads=(Read("get_alias", {"FunctionName": "{functionName}", "Name": "{name}"}, outputs={"arn": "AliasArn"}),),
        update=(Do(_update_alias, ("functionVersion", "description", "routingConfig")),),
        delete=Call("delete_alias", {"FunctionName": "{functionName}", "Name": "{name}"}, ()),
        name="name",
        replaces=("name", "functionName"),
        arns=("functionName",),
        refine=_refine_alias,
        gone=GONE,
    ),
    Resource(
        "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig",
        "lambda",
        create=Call("put_provisioned_concurrency_config"),
        id="{functionName},{qualifier}",
        reads=(
            Read(
                "get_provisioned_concurrency_config",
                {"FunctionName": "{functionName}", "Qualifier": "{qualifier}"},
                outputs={"provisionedConcurrentExecutions": "RequestedProvisionedConcurrentExecutions"},
            ),
        ),
        update=(
            Call(
                "put_provisioned_concurrency_config",
                {"FunctionName": "{functionName}", "Qualifier": "{qualifier}"},
                ("provisionedConcurrentExecutions",),
            ),
        ),
        delete=Call(
            "delete_provisioned_concurrency_config", {"FunctionName": "{functionName}", "Qualifier": "{qualifier}"}, ()
        ),
        replaces=("functionName", "qualifier"),
        defaults={"skipDestroy": False},
        local=("skipDestroy",),
        gone=(*GONE, "ProvisionedConcurrencyConfigNotFoundException"),
        ready=Wait("Status", ("READY",), ("FAILED",), "StatusReason"),
    ),
    Resource(
        "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
        "lambda",
        create=Call("put_function_event_invoke_config"),
        id="{functionName}",
        reads=(
            Read("get_function_event_invoke_config", {"FunctionName": "{functionName}", "Qualifier": "{qualifier}"}),
        ),
        update=(
            Call(
                "put_function_event_invoke_config",
                {"FunctionName": "{functionName}", "Qualifier": "{qualifier}"},
                ("destinationConfig", "maximumEventAgeInSeconds", "maximumRetryAttempts"),
                whole=True,
            ),
        ),
        delete=Call(
            "delete_function_event_invoke_config", {"FunctionName": "{functionName}", "Qualifier": "{qualifier}"}, ()
        ),
        replaces=("functionName", "qualifier"),
        arns=("functionName",),
        defaults={"maximumRetryAttempts": 2},
        initial={"maximumEventAgeInSeconds": 21600},
        refine=_refine_event_config,
        gone=GONE,
    ),
    Resource(
        "aws:lambda/permission:Permission",
        "lambda",
        create=Call("add_permission"),
        id="{statementId}",
        imports="{function}/{statementId}",
        reads=(Read("get_policy", {"FunctionName": "{function}", "Qualifier": "{qualifier}"}, "Policy", only=()),),
        delete=Call(
            "remove_permission",
            {"FunctionName": "{function}", "StatementId": "{statementId}", "Qualifier": "{qualifier}"},
            (),
        ),
        names={"function": "FunctionName"},
        name="statementId",
        replaces=(
            "action",
            "eventSourceToken",
            "function",
            "functionUrlAuthType",
            "invokedViaFunctionUrl",
            "principal",
            "principalOrgId",
            "qualifier",
            "sourceAccount",
            "sourceArn",
            "statementId",
        ),
        unsupported=("statementIdPrefix",),
        refine=_refine_permission,
        gone=GONE,
    ),
    Resource(
        "aws:lambda/invocation:Invocation",
        "lambda",
        create=Do(
            _invoke_create,
            ("functionName", "input", "lifecycleScope", "qualifier", "tenantId", "terraformKey", "triggers"),
        ),
        id="{id}",
        reads=(),
        update=(Do(_invoke_update, ("input", "triggers")),),
        delete=Do(_invoke_delete),
        replaces=_invocation_replaces,
        documents=("input",),
        defaults={"lifecycleScope": "CREATE_ONLY", "qualifier": "$LATEST", "terraformKey": "tf"},
        allowed={"lifecycleScope": ("CREATE_ONLY", "CRUD")},
        verify=_verify_invocation,
        recomputed={"result": ("input", "triggers", "qualifier", "functionName")},
    ),
)
