"""Systems Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource

if TYPE_CHECKING:
    from sandbox.provider.resource import Context

PUT = Call(
    "put_parameter",
    {"Overwrite": "{overwrite}"},
    ("name", "type", "description", "keyId", "allowedPattern", "tier", "dataType"),
    whole=True,
)
VALUES = ("value", "insecureValue", "valueWo")


def _put(context: Context) -> None:
    parameters = context.parameters(PUT)
    if context.id:
        parameters.setdefault("Description", "")
    parameters["Value"] = next((context.inputs[name] for name in VALUES if name in context.inputs), "")
    parameters["Overwrite"] = bool(context.inputs.get("overwrite", bool(context.id)))
    if not context.id and not parameters["Overwrite"] and context.inputs.get("tagsAll"):
        parameters["Tags"] = [{"Key": key, "Value": text} for key, text in context.inputs["tagsAll"].items()]
    context.call("put_parameter", **parameters)


def _verify(inputs: Any) -> list[tuple[str, str]]:
    given = [name for name in VALUES if name in inputs]
    return (
        []
        if len(given) == 1
        else [("value", f"give exactly one of {', '.join(VALUES)}; got {', '.join(given) or 'none'}")]
    )


def _refine(context: Context, outputs: dict[str, Any]) -> None:
    """The plain text of a parameter that is no secret stands in insecureValue too, and the other way round."""
    value = outputs.get("value")
    if outputs.get("type") != "SecureString":
        outputs["insecureValue"] = value
    outputs["hasValueWo"] = "valueWo" in context.inputs
    outputs["version"] = int(outputs.get("version") or 0)


ENTRIES = (
    Resource(
        "aws:ssm/parameter:Parameter",
        "ssm",
        create=Do(_put, (*VALUES, *(PUT.carries or ()), "valueWoVersion"), PUT),
        id="{name}",
        reads=(
            Read("get_parameter", {"Name": "{id}", "WithDecryption": True}, "Parameter", outputs={"arn": "ARN"}),
            Read(
                "describe_parameters",
                {"ParameterFilters": [{"Key": "Name", "Option": "Equals", "Values": ["{id}"]}]},
                "Parameters[0]",
                only=("description", "allowedPattern", "keyId", "tier", "dataType"),
            ),
        ),
        update=(Do(_put, (*VALUES, "description", "keyId", "allowedPattern", "tier", "type", "valueWoVersion")),),
        delete=Call("delete_parameter", {"Name": "{id}"}, ()),
        name="name",
        replaces=("name",),
        local=("overwrite",),
        write_only=("valueWo", "valueWoVersion"),
        unsupported=("arn",),
        refine=_refine,
        verify=_verify,
        recomputed={"version": ("*",)},
        gone=("ParameterNotFound",),
    ),
)
