"""The review as data: schema `product-api/review/1`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ops.review.changes import ABSENT
from ops.review.preview import LATER
from ops.review.words import notes, plain, sentence

if TYPE_CHECKING:
    from ops.review.changes import Change
    from ops.review.model import Review
    from ops.review.permissions import PermissionChange, Sentence
    from ops.review.reachability import Way


def document(review: Review) -> dict[str, Any]:
    """Give a review as JSON has it; a value that is known after the update is `{"known": "after the update"}`."""
    return {
        "stack": review.stack,
        "target": review.target,
        "account": review.account,
        "region": review.region,
        "fresh": review.fresh,
        "changed": review.changed,
        "blocked": review.blocked,
        "counts": dict(review.counts),
        "attention": [asdict(each) for each in review.attention],
        "changes": [_change(change) for group in review.groups for change in group.changes],
        "permissions": [_permission(change, review.account) for change in review.permissions],
        "reachability": {
            "gained": [_way(way) for way in review.reachability.gained],
            "lost": [_way(way) for way in review.reachability.lost],
            "kept": [_way(way) for way in review.reachability.kept],
            "leadNowhere": [_way(way) for way in review.reachability.halves],
        },
        "migrations": [
            {
                "revision": each.revision,
                "summary": each.summary,
                "state": each.state,
                "class": each.judged,
                "undecidable": each.undecidable or None,
                "effects": [
                    {
                        "tables": list(effect.tables),
                        "what": effect.what,
                        "class": effect.judged,
                        "findings": [{"message": why, "remedy": remedy} for why, remedy in effect.reasons],
                        "sql": effect.sql,
                    }
                    for effect in each.effects
                ],
            }
            for each in review.migrations
        ],
        "policies": {"packs": dict(review.packs), "findings": [asdict(verdict) for verdict in review.verdicts]},
        "notes": list(review.notes),
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "urn": change.resource.urn,
        "type": change.resource.type,
        "name": change.resource.name,
        "component": change.group,
        "operation": change.operation,
        "because": change.because or None,
        "properties": [
            {
                "path": each.path,
                **({} if each.old is ABSENT else {"old": _value(each.old)}),
                **({} if each.new is ABSENT else {"new": _value(each.new)}),
                "replaces": each.replaces,
                **({"note": each.note} if each.note else {}),
            }
            for each in change.properties
        ],
        **({"inputs": _value(dict(change.resource.inputs))} if change.operation == "create" else {}),
    }


def _value(value: Any) -> Any:
    if value is LATER:
        return {"known": "after the update"}
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    return [_value(item) for item in value] if isinstance(value, list) else value


def _permission(change: PermissionChange, account: str) -> dict[str, Any]:
    return {
        "holder": {"kind": change.holder.kind, "name": change.holder.name, "urn": change.holder.urn or None},
        "state": change.state,
        "gained": [_sentence(said, change, account) for said in change.gained],
        "lost": [_sentence(said, change, account) for said in change.lost],
        "unknown": list(change.unknown),
    }


def _sentence(said: Sentence, change: PermissionChange, account: str) -> dict[str, Any]:
    return {
        "text": plain(sentence(said, change.holder, account)),
        "principals": list(said.line.principals),
        "actions": list(said.line.actions),
        "resources": list(said.line.resources),
        "conditions": list(said.line.when),
        "newlyCovers": list(said.line.named),
        "notes": notes(said, account),
        "notable": said.notable or None,
        "certain": not said.uncertain,
    }


def _way(way: Way) -> dict[str, Any]:
    return {
        "text": str(way),
        "source": way.source,
        "target": way.target,
        "how": way.how or None,
        "behind": way.behind or None,
        "guard": way.guard or None,
        "anybody": way.open,
        "resources": list(way.urns),
    }
