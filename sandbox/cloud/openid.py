"""What the emulator's IAM lacks of OpenID Connect providers: clients, thumbprints, tags, and the form of their URL."""

# ruff: noqa: SLF001 — the emulator's records are what is changed

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cloud.scope import Answer, Handler, Request, Wrapper

    Record = dict[str, Any]
    Form = dict[str, str]

_MOST_CLIENTS: Final = 100


class _RefusedError(Exception):
    """IAM refuses; code and message."""


def providers(module: Any) -> Wrapper:
    """IAM, wrapped.

    Args:
        module: the emulator's.
    """
    steps: dict[str, Callable[[Record, Form], str]] = {
        "GetOpenIDConnectProvider": _describe,
        "AddClientIDToOpenIDConnectProvider": _add_client,
        "RemoveClientIDFromOpenIDConnectProvider": _remove_client,
        "UpdateOpenIDConnectProviderThumbprint": _put_thumbprints,
        "TagOpenIDConnectProvider": _tag,
        "UntagOpenIDConnectProvider": _untag,
        "ListOpenIDConnectProviderTags": _tags,
    }

    async def wrapper(inner: Handler, request: Request) -> Answer:
        form = {**{name: values[0] for name, values in request.query.items()}, **dict(parse_qsl(request.body.decode()))}
        action = form.get("Action", "")
        if action not in steps:
            return await inner(request)
        arn = form.get("OpenIDConnectProviderArn", "")
        record = module._oidc_providers.get(arn)
        answer: Answer
        if record is None:
            message = f"OpenIDConnect Provider not found for arn {arn}"
            answer = module._error(404, "NoSuchEntity", message, ns="iam")
            return answer
        try:
            result = steps[action](record, form)
        except _RefusedError as error:
            answer = module._error(400, *error.args, ns="iam")
            return answer
        inside = f"<{action}Result>{result}</{action}Result>" if result else ""
        answer = module._xml(200, f"{action}Response", inside, ns="iam")
        return answer

    return wrapper


def _describe(record: Record, _form: Form) -> str:
    """AWS answers with the issuer's host and path, without its scheme."""
    lists = "".join(
        f"<{name}>{''.join(f'<member>{escape(value)}</member>' for value in record[name])}</{name}>"
        for name in ("ClientIDList", "ThumbprintList")
    )
    url = escape(record["Url"].removeprefix("https://"))
    return f"<Url>{url}</Url>{lists}<CreateDate>{record['CreateDate']}</CreateDate>{_members(record)}"


def _add_client(record: Record, form: Form) -> str:
    if form["ClientID"] not in record["ClientIDList"]:
        if len(record["ClientIDList"]) >= _MOST_CLIENTS:
            raise _RefusedError(
                "LimitExceeded", f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {_MOST_CLIENTS}"
            )
        record["ClientIDList"].append(form["ClientID"])
    return ""


def _remove_client(record: Record, form: Form) -> str:
    if form["ClientID"] in record["ClientIDList"]:  # no error otherwise, as documented
        record["ClientIDList"].remove(form["ClientID"])
    return ""


def _put_thumbprints(record: Record, form: Form) -> str:
    record["ThumbprintList"] = _listed(form, "ThumbprintList.member.")
    return ""


def _tag(record: Record, form: Form) -> str:
    keys, values = (_listed(form, "Tags.member.", suffix) for suffix in (".Key", ".Value"))
    tags = {tag["Key"]: tag["Value"] for tag in record.get("Tags") or ()} | dict(zip(keys, values, strict=True))
    record["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return ""


def _untag(record: Record, form: Form) -> str:
    gone = _listed(form, "TagKeys.member.")
    record["Tags"] = [tag for tag in record.get("Tags") or () if tag["Key"] not in gone]
    return ""


def _tags(record: Record, _form: Form) -> str:
    return f"{_members(record)}<IsTruncated>false</IsTruncated>"


def _members(record: Record) -> str:
    members = "".join(
        f"<member><Key>{escape(tag['Key'])}</Key><Value>{escape(tag['Value'])}</Value></member>"
        for tag in record.get("Tags") or ()
    )
    return f"<Tags>{members}</Tags>"


def _listed(form: Form, prefix: str, suffix: str = "") -> list[str]:
    """Return the values of a numbered parameter, in order."""
    found: list[str] = []
    while (value := form.get(f"{prefix}{len(found) + 1}{suffix}")) is not None:
        found.append(value)
    return found
