"""The language of IAM's wildcards: `*` is any text, `?` is one character, everything else is itself."""

from __future__ import annotations

import re

_WILDCARDS = re.compile(r"[*?]+")


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern covers a text; both are compared as they are, so lower them where letter case is nothing.

    Runs in time proportional to the product of the lengths: a pattern is input, and must not be able to stall.
    """
    at, star, resume = 0, -1, 0
    position = 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:
            at = star + 1
            resume += 1
            position = resume
        else:
            return False
    return pattern[at:].strip("*") == ""


def covers_everything(pattern: str) -> bool:
    """Whether a pattern leaves nothing out: `*`, `**`, `?*` and the like. `?*` leaves out the empty text only."""
    return "*" in pattern and _WILDCARDS.fullmatch(pattern) is not None


def covers_everything_in(pattern: str, separators: str) -> bool:
    """Like `covers_everything`, for texts that always contain these separators: `*:*` covers every action."""
    return covers_everything("".join(c for c in pattern if c not in separators))


def split_action(pattern: str) -> tuple[str, str]:
    """Service and name of an action pattern, in small letters: letter case means nothing in actions.

    A pattern without a colon can only be one that covers everything; its service is then the pattern itself.
    """
    service, colon, name = pattern.lower().partition(":")
    return (service, name) if colon else (service, service)


def unbounded(resource: str) -> bool:
    """Whether a resource pattern names every resource of a type, or more: `*`, `arn:aws:iam::*:role/*`, `arn:*`.

    The partition, region and account do not count: they bound where, not which.
    """
    if covers_everything_in(resource, ":/"):
        return True
    parts = resource.split(":", 5)
    if len(parts) < 6:
        # A pattern that stops before the resource part can only match if a `*` swallows the rest.
        return parts[0].lower() == "arn" and resource.endswith("*")
    name = parts[5]
    # `role/*`, `user/?*`, `table:*`: a type, then anything. `role/team-a/*` is bounded, and so is S3's `bucket/*`,
    # which starts with a name and not with a type.
    _, _, after = name.partition("/") if "/" in name else name.partition(":")
    if parts[2].lower() == "s3":
        after = ""
    return covers_everything_in(name, ":/") or (after != "" and covers_everything_in(after, ":/"))
