"""SQS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging
from sandbox.provider.types.attributes import changed, given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.provider.resource import Context

GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
QUEUE = {
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "delaySeconds": "DelaySeconds",
    "fifoQueue": "FifoQueue",
    "fifoThroughputLimit": "FifoThroughputLimit",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}
LATER = {name: attribute for name, attribute in QUEUE.items() if name != "fifoQueue"}
ONLY_FIFO = ("contentBasedDeduplication", "fifoQueue")
NAMED = Call("create_queue", {}, ("name",), names={"name": "QueueName"})


def _create(context: Context) -> Any:
    attributes = given(context, QUEUE)
    for name in ONLY_FIFO:  # AWS refuses them on a standard queue, false or not
        if not context.inputs.get(name):
            attributes.pop(QUEUE[name], None)
    return context.call("create_queue", **context.parameters(NAMED, tagged=True), Attributes=attributes)


def _update(context: Context) -> None:
    context.call("set_queue_attributes", QueueUrl=context.id, Attributes=changed(context, LATER))


def _refine(_context: Context, outputs: dict[str, Any]) -> None:
    outputs["name"] = outputs["arn"].rpartition(":")[2]
    for name in ONLY_FIFO:
        outputs.setdefault(name, False)


def _verify(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    name, faults = inputs.get("name"), []
    if inputs.get("fifoQueue") and isinstance(name, str) and not name.endswith(".fifo"):
        faults.append(("name", f"{name!r} is the name of a FIFO queue, which must end with .fifo"))
    if inputs.get("contentBasedDeduplication") is True and not inputs.get("fifoQueue"):
        faults.append(("contentBasedDeduplication", "only a FIFO queue has it: set fifoQueue"))
    if inputs.get("kmsMasterKeyId") and inputs.get("sqsManagedSseEnabled") is not None:
        faults.append(("sqsManagedSseEnabled", "give either this or kmsMasterKeyId"))
    return faults


def _put(attribute: str, name: str) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        context.call(
            "set_queue_attributes", QueueUrl=context.inputs["queueUrl"], Attributes={attribute: context.inputs[name]}
        )

    return run


def _take(attribute: str) -> Callable[[Context], None]:
    def run(context: Context) -> None:
        context.call("set_queue_attributes", QueueUrl=context.id, Attributes={attribute: ""})

    return run


def _of_queue(token: str, name: str) -> Resource:
    """A policy of a queue that is a resource of its own."""
    attribute = QUEUE[name]
    step = Do(_put(attribute, name), ("queueUrl", name), Call("set_queue_attributes", {}, ("queueUrl",)))
    return Resource(
        token,
        "sqs",
        create=step,
        id="{queueUrl}",
        reads=(
            Read(
                "get_queue_attributes",
                {"QueueUrl": "{id}", "AttributeNames": [attribute]},
                f"[Attributes][?{attribute}] | [0]",
                outputs={name: attribute},
                only=(),
            ),
        ),
        update=(step,),
        delete=Do(_take(attribute)),
        replaces=("queueUrl",),
        documents=(name,),
        gone=GONE,
    )


ENTRIES = (
    Resource(
        "aws:sqs/queue:Queue",
        "sqs",
        create=Do(_create, ("name", *QUEUE), NAMED),
        id="QueueUrl",
        reads=(
            Read(
                "get_queue_attributes",
                {"QueueUrl": "{id}", "AttributeNames": ["All"]},
                "Attributes",
                outputs={**QUEUE, "arn": "QueueArn"},
                only=(),
            ),
        ),
        update=(Do(_update, tuple(LATER)),),
        delete=Call("delete_queue", {"QueueUrl": "{id}"}, ()),
        name="name",
        replaces=("name", "fifoQueue"),
        documents=("policy", "redriveAllowPolicy", "redrivePolicy"),
        defaults={
            "contentBasedDeduplication": False,
            "delaySeconds": 0,
            "fifoQueue": False,
            "maxMessageSize": 262144,
            "messageRetentionSeconds": 345600,
            "receiveWaitTimeSeconds": 0,
            "visibilityTimeoutSeconds": 30,
        },
        initial={"sqsManagedSseEnabled": True},
        allowed={
            "deduplicationScope": ("messageGroup", "queue"),
            "fifoThroughputLimit": ("perQueue", "perMessageGroupId"),
        },
        ranges={
            "delaySeconds": (0, 900),
            "kmsDataKeyReusePeriodSeconds": (60, 86400),
            "maxMessageSize": (1024, 1048576),
            "messageRetentionSeconds": (60, 1209600),
            "receiveWaitTimeSeconds": (0, 20),
            "visibilityTimeoutSeconds": (0, 43200),
        },
        unsupported=("namePrefix",),
        outputs={"url": "{id}"},
        refine=_refine,
        verify=_verify,
        gone=GONE,
        tagging=Tagging(
            Call("tag_queue", {"QueueUrl": "{id}"}),
            Call("untag_queue", {"QueueUrl": "{id}"}),
            Read("list_queue_tags", {"QueueUrl": "{id}"}, "Tags"),
        ),
    ),
    _of_queue("aws:sqs/queuePolicy:QueuePolicy", "policy"),
    _of_queue("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", "redriveAllowPolicy"),
)
