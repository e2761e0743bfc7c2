"""AWS Budgets."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sandbox.provider.table import Call, Do, Read, Resource, Tagging

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.provider.resource import Context

GONE = ("NotFoundException",)
MOMENT = "%Y-%m-%d_%H:%M"
SUBSCRIBERS = {"subscriberEmailAddresses": "EMAIL", "subscriberSnsTopicArns": "SNS"}
PLAIN = Call(
    "create_budget",
    {"AccountId": "{account}"},
    ("budgetType", "costTypes", "name", "timeUnit"),
    into="Budget",
    names={"name": "BudgetName"},
)
BUDGET = ("costFilters", "limitAmount", "limitUnit", "timePeriodEnd", "timePeriodStart")


def _budget(context: Context) -> dict[str, Any]:
    """Return the budget as the API takes it, without what notifies."""
    inputs = context.inputs
    budget: dict[str, Any] = context.parameters(PLAIN)["Budget"]
    if inputs.get("costFilters"):
        budget["CostFilters"] = {one["name"]: one["values"] for one in inputs["costFilters"]}
    if inputs.get("limitAmount"):
        budget["BudgetLimit"] = {"Amount": inputs["limitAmount"], "Unit": inputs["limitUnit"]}
    moments = {"Start": inputs.get("timePeriodStart"), "End": inputs.get("timePeriodEnd")}
    period = {name: dt.datetime.strptime(text, MOMENT).replace(tzinfo=dt.UTC) for name, text in moments.items() if text}
    return {**budget, **({"TimePeriod": period} if period else {})}


def _notification(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "NotificationType": given["notificationType"],
        "ComparisonOperator": given["comparisonOperator"],
        "Threshold": float(given["threshold"]),
        "ThresholdType": given["thresholdType"],
    }


def _subscribers(given: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {"SubscriptionType": kind, "Address": address}
        for name, kind in SUBSCRIBERS.items()
        for address in given.get(name) or ()
    ]


def _create(context: Context) -> Any:
    notified = [
        {"Notification": _notification(one), "Subscribers": _subscribers(one)}
        for one in context.inputs.get("notifications") or ()
    ]
    tags = [{"Key": key, "Value": value} for key, value in (context.inputs.get("tagsAll") or {}).items()]
    more = {"NotificationsWithSubscribers": notified, "ResourceTags": tags}
    given: dict[str, Any] = {name: items for name, items in more.items() if items}
    return context.call("create_budget", AccountId=context.cloud.account, Budget=_budget(context), **given)


def _update(context: Context) -> None:
    context.call("update_budget", AccountId=context.cloud.account, NewBudget=_budget(context))


def _put_notifications(context: Context) -> None:
    """Replace those that are not as the program says."""
    whose = {"AccountId": context.cloud.account, "BudgetName": context.inputs["name"]}
    had, wanted = _read_notifications(context), context.inputs.get("notifications") or []
    for old in had:
        if old not in wanted:
            context.call("delete_notification", **whose, Notification=_notification(old))
    for new in wanted:
        if new not in had:
            notified: dict[str, Any] = {"Notification": _notification(new), "Subscribers": _subscribers(new)}
            context.call("create_notification", **whose, **notified)


def _read_notifications(context: Context) -> list[dict[str, Any]]:
    whose = {"AccountId": context.cloud.account, "BudgetName": context.scope("name")}
    read = []
    for found in context.call("describe_notifications_for_budget", **whose).get("Notifications", []):
        key = {name: found[name] for name in ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")}
        people = context.call("describe_subscribers_for_notification", **whose, Notification=key)["Subscribers"]
        addresses = {
            name: [one["Address"] for one in people if one["SubscriptionType"] == kind]
            for name, kind in SUBSCRIBERS.items()
        }
        plain = {f"{name[0].lower()}{name[1:]}": value for name, value in key.items()}
        read.append({**plain, **{name: given for name, given in addresses.items() if given}})
    return read


def _refine(context: Context, outputs: dict[str, Any]) -> None:
    found = context.found
    filters = found.get("CostFilters") or {}
    outputs["costFilters"] = [{"name": name, "values": values} for name, values in filters.items()]
    outputs["notifications"] = _read_notifications(context)
    outputs["accountId"] = context.cloud.account
    for name, member in (("timePeriodStart", "Start"), ("timePeriodEnd", "End")):
        if moment := found.get("TimePeriod", {}).get(member):
            outputs[name] = moment.astimezone(dt.UTC).strftime(MOMENT)


def _verify(inputs: Mapping[str, Any]) -> list[tuple[str, str]]:
    silent = [
        at for at, one in enumerate(inputs.get("notifications") or []) if not any(one.get(name) for name in SUBSCRIBERS)
    ]
    faults = [("notifications", f"the one at {at} tells nobody; give {' or '.join(SUBSCRIBERS)}") for at in silent]
    if ("limitAmount" in inputs) != ("limitUnit" in inputs):
        faults.append(("limitAmount", "goes together with limitUnit"))
    return faults


ENTRIES = (
    Resource(
        "aws:budgets/budget:Budget",
        "budgets",
        create=Do(_create, (*(PLAIN.carries or ()), *BUDGET, "notifications"), PLAIN),
        id="{account}:{name}",
        imports="{accountId}:{name}",
        reads=(
            Read(
                "describe_budget",
                {"AccountId": "{account}", "BudgetName": "{name}"},
                "Budget",
                outputs={"limitAmount": "BudgetLimit.Amount", "limitUnit": "BudgetLimit.Unit", "name": "BudgetName"},
                only=("budgetType", "costTypes", "timeUnit"),
            ),
        ),
        update=(
            Do(_update, ("budgetType", "costTypes", "timeUnit", *BUDGET), PLAIN),
            Do(_put_notifications, ("notifications",)),
        ),
        delete=Call("delete_budget", {"AccountId": "{account}", "BudgetName": "{name}"}, ()),
        name="name",
        replaces=("name",),
        sets=(
            "costFilters",
            "costFilters.values",
            "notifications",
            *(f"notifications.{name}" for name in SUBSCRIBERS),
        ),
        defaults={"timePeriodEnd": "2087-06-15_00:00"},
        local=("accountId",),
        unsupported=("autoAdjustData", "billingViewArn", "filterExpression", "metrics", "namePrefix", "plannedLimits"),
        outputs={"arn": "arn:{partition}:budgets::{account}:budget/{name}"},
        refine=_refine,
        verify=_verify,
        gone=GONE,
        tagging=Tagging(
            Call("tag_resource", {"ResourceARN": "{arn}"}),
            Call("untag_resource", {"ResourceARN": "{arn}"}),
            Read("list_tags_for_resource", {"ResourceARN": "{arn}"}, "ResourceTags"),
        ),
    ),
)
