"""An independent witness: the AWS command line reads what stands, and what was declared is compared with it.

It comes with a botocore of its own process, and knows nothing of the sandbox but its address. What is compared are the
inputs in an exported state: each must be shown, under the same name in AWS's spelling or where a `Shown` says.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jmespath

from tests.support.checkout import PATIENCE

# Inputs of the provider's own: which are defaults, where the resource is, and tags, which `tagsAll` repeats.
INTERNAL = {"__defaults", "tags", "region"}
Where = str | Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource of an exported state."""

    type: str
    name: str
    id: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def fill(self, template: str) -> str:
        """Fill `<name>` with an input or, where AWS has made it, an output; `<-name>` is an option, where it is set."""
        return re.sub(r"<(-?)(\w+)>", lambda match: self._filled(match[2], option=bool(match[1])), template)

    def _filled(self, key: str, *, option: bool) -> str:
        value = self._value(key)
        return ("" if value is None else f"--{key} {value}") if option else str(value)

    def _value(self, key: str) -> Any:
        return self.id if key == "id" else self.inputs.get(key, self.outputs.get(key))


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What an exported state says was declared."""

    resources: Sequence[Resource]

    @classmethod
    def of(cls, exported: Mapping[str, Any]) -> Declared:
        """Read an export; components, providers and the stack itself are no resources of AWS."""
        return cls(
            resources=[
                Resource(
                    type=each["type"].removeprefix("aws:"),
                    name=each["urn"].rpartition("::")[2],
                    id=each["id"],
                    inputs=each["inputs"],
                    outputs=each["outputs"],
                )
                for each in exported["deployment"]["resources"]
                if each["type"].startswith("aws:")
            ]
        )

    def all(self, kind: str) -> list[Resource]:
        """The resources of a type."""
        return [each for each in self.resources if each.type == kind]

    def one(self, kind: str, name: str | None = None) -> Resource:
        """The only resource of a type, or of a type and a name."""
        [found] = [each for each in self.all(kind) if name is None or each.name == name]
        return found


@dataclass(frozen=True, kw_only=True)
class Cli:
    """The AWS command line, at an emulated account.

    Attributes:
        endpoint: Where the account answers.
        account: Its id, which is its root's access key too.
        region: The region that is asked.
        answers: What was asked before.
    """

    endpoint: str
    account: str
    region: str
    answers: dict[str, Any] = field(default_factory=dict, repr=False)

    def __call__(self, command: str) -> Any:
        """Run a command once; texts that are JSON come parsed, since only what they mean is compared."""
        if command not in self.answers:
            self.answers[command] = self._run(command)
        return self.answers[command]

    def ask(self, commands: Iterable[str]) -> None:
        """Run commands that will be asked for, two at a time: each is a process that takes a second to start."""
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self, dict.fromkeys(commands)))

    def _run(self, command: str) -> Any:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | {
            "AWS_ACCESS_KEY_ID": self.account,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [
                sys.executable,
                str(Path(sys.executable).with_name("aws")),
                "--output",
                "json",
                "--endpoint-url",
                self.endpoint,
                *command.split(),
            ],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"aws {command} ended with {done.returncode}: {done.stderr.strip()}")
        return parsed(json.loads(done.stdout or "null"))


@dataclass(frozen=True)
class Shown:
    """Where the command line shows a type.

    Attributes:
        reads: command and JMESPath to an object of its answer, as templates over the resource (`<name>`, `<id>`);
            several objects are one.
        members: input → where it stands in that object, if not under its own name: a JMESPath, or a function of it.
        unseen: inputs that are not looked for: how the provider acts, what AWS shows nowhere, and tags where they take
            a question of their own.
    """

    reads: Sequence[tuple[str, str]]
    members: Mapping[str, Where] = field(default_factory=dict)
    unseen: Sequence[str] = ()

    def commands(self, resource: Resource) -> list[str]:
        """What is asked to see a resource."""
        return [resource.fill(command) for command, _ in self.reads]

    def differences(self, cli: Cli, resource: Resource) -> list[str]:
        """What is not shown as it was declared."""
        shown: dict[str, Any] = {}
        for command, at in self.reads:
            answer = cli(resource.fill(command))
            found = jmespath.search(resource.fill(at), answer) if at else answer
            if not isinstance(found, dict):
                return [f"{resource.type} {resource.name}: not shown by aws {resource.fill(command)}"]
            shown |= found
        # What the command asks by has been answered for.
        asked = {key for command, at in self.reads for key in re.findall(r"<-?(\w+)>", command + at)}
        ignored = INTERNAL | {*self.unseen} | (asked - self.members.keys())
        found = differences(parsed(resource.inputs), shown, self.members, ignored)
        return [f"{resource.type} {resource.name}: {line}" for line in found]


def parsed(value: Any) -> Any:
    """A value whose texts, where they are JSON objects, are what they say."""
    match value:
        case dict():
            return {key: parsed(item) for key, item in value.items()}
        case list():
            return [parsed(item) for item in value]
        case str() if value.lstrip().startswith("{"):
            try:
                return parsed(json.loads(value))
            except ValueError:
                return value
    return value


def differences(
    declared: Any,
    shown: Any,
    members: Mapping[str, Where] | None = None,
    ignored: Collection[str] = (),
    path: str = "",
) -> list[str]:
    """Where what is shown is not what was declared; more may be shown than was.

    Lists are sets, of texts as of objects: AWS answers them in any order. Numbers and booleans may be texts.

    Args:
        declared: an input, or a part of one.
        shown: what should be the same.
        members: path of an input → where it stands in the object that shows it.
        ignored: paths of inputs that are not looked for.
        path: where in the inputs this is.
    """
    members = members or {}
    match declared:
        case dict():
            shown = by_key(shown) if isinstance(shown, list) else shown
            if not isinstance(shown, dict):
                return [f"{path}: declared {declared}, shown {shown}"]
            found = []
            for key, item in declared.items():
                nested = f"{path}.{key}" if path else key
                if key in INTERNAL or nested in ignored or item is None:
                    continue
                found += differences(item, _member(shown, key, members.get(nested)), members, ignored, nested)
            return found
        case list():
            if isinstance(shown, dict) and "Quantity" in shown:  # CloudFront's way to say a list
                shown = shown.get("Items")
            left = shown if isinstance(shown, list) else [] if shown is None else [shown]
            if len(left) != len(declared):
                return [f"{path}: declared {declared}, shown {shown}"]
            left = list(left)
            for item in declared:
                same = [other for other in left if not differences(item, other, members, ignored, path)]
                if not same:
                    return [f"{path}: declared {item}, shown {left}"]
                left.remove(same[0])
            return []
    return [] if _text(declared) == _text(shown) else [f"{path}: declared {declared!r}, shown {shown!r}"]


def by_key(pairs: list[Any]) -> dict[str, Any]:
    """A list of pairs as the map that it is."""
    found = {}
    for pair in pairs:
        key = next((pair[name] for name in ("Key", "TagKey", "Name", "key") if name in pair), None)
        value = next((pair[name] for name in ("Value", "TagValue", "value", "Values") if name in pair), None)
        found[str(key)] = value
    return found


def _member(shown: Mapping[str, Any], key: str, where: Where | None) -> Any:
    if callable(where):
        return where(shown)
    if where is not None:
        return jmespath.search(where, shown)
    if key in shown:
        return shown[key]
    names = {_spelled(name): value for name, value in shown.items()}
    return names.get(_spelled(key))


@functools.cache
def _spelled(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
