"""Check, Diff and previews: what the provider knows without AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.runtime.proto import provider_pb2

from sandbox.provider import compare, planning, schema, table, wire
from tests.sandbox.provider.client import CallError, Client, State
from tests.sandbox.provider.examples import EXAMPLES, Example, policy

if TYPE_CHECKING:
    from collections.abc import Callable

VPC = "aws:ec2/vpc:Vpc"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
LOGS = "aws:cloudwatch/logGroup:LogGroup"
FUNCTION = "aws:lambda/function:Function"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
QUEUE = "aws:sqs/queue:Queue"
TABLE = "aws:dynamodb/table:Table"  # of the many that are not emulated
ROLE = "arn:aws:iam::000000000001:role/r"
LAYER = "arn:aws:lambda:eu-central-1:000000000001:layer:things:"
CODE = wire.Archive(path="code.zip", digest="1")
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def state(client: Client, token: str, inputs: dict[str, Any], **outputs: Any) -> State:
    """A resource as if it had been created from these inputs."""
    checked = client.checked(token, inputs)
    values = {**{name: value for name, value in checked.values.items() if name != "__defaults"}, **outputs}
    return State(token, "it", "id", checked, wire.Document(values))


class TestCheckAgainstTheSdksTypes:
    """Every type of the SDK is checked, emulated or not."""

    @pytest.mark.parametrize(
        ("token", "inputs", "path", "says"),
        [
            (VPC, {"cidrBlok": "10.0.0.0/16"}, "cidrBlok", "unknown property; did you mean 'cidrBlock'?"),
            (VPC, {"cidrBlock": ["10.0.0.0/16"]}, "cidrBlock", "expected a string, got a list of 1"),
            (VPC, {"enableDnsSupport": "perhaps"}, "enableDnsSupport", "expected a boolean, got the string 'perhaps'"),
            (VPC, {"ipv4NetmaskLength": 5.5}, "ipv4NetmaskLength", "expected a whole number, got the number 5.5"),
            (VPC, {"tags": {"a": {}}}, "tags.a", "expected a string, got an object with nothing in it"),
            ("aws:ec2/subnet:Subnet", {}, "vpcId", "missing required property"),
            (
                GROUP,
                {"ingress": [{"protocol": "tcp", "fromPort": 1}]},
                "ingress[0].toPort",
                "missing required property",
            ),
            (GROUP, {"ingress": {"protocol": "tcp"}}, "ingress", "expected a list, got an object with protocol"),
            (FUNCTION, {"role": ROLE, "code": "code.zip"}, "code", "expected an archive, got the string 'code.zip'"),
            (QUEUE, {"delaySeconds": "soon"}, "delaySeconds", "expected a whole number, got the string 'soon'"),
            (QUEUE, {"fifo": True}, "fifo", "unknown property; did you mean 'fifoQueue'?"),
            (
                "aws:wafv2/webAcl:WebAcl",
                {"defaultAction": {}, "scope": "REGIONAL"},
                "visibilityConfig",
                "missing required property",
            ),
        ],
    )
    def test_a_mistake_is_named(self, client: Client, token: str, inputs: dict[str, Any], path: str, says: str) -> None:
        """The property, what it has, and what was expected."""
        _, failures = client.check(token, inputs)
        assert failures == {path: says}

    def test_what_the_bridge_converts_is_converted(self, client: Client) -> None:
        """Texts for booleans and numbers, numbers for texts."""
        values = client.checked(
            "aws:rds/instance:Instance",
            {
                "instanceClass": "db.t4g.micro",
                "multiAz": "true",
                "allocatedStorage": "20",
                "engine": "postgres",
                "engineVersion": 18,
                "username": "u",
            },
        ).values
        assert values["multiAz"] is True
        assert values["allocatedStorage"] == 20
        assert values["engineVersion"] == "18"

    def test_unknowns_pass(self, client: Client) -> None:
        """In a preview, what is not known yet cannot be wrong."""
        values = client.checked(VPC, {"cidrBlock": wire.UNKNOWN, "tags": {"a": wire.UNKNOWN}}).values
        assert values["cidrBlock"] is wire.UNKNOWN
        assert values["tagsAll"] is wire.UNKNOWN

    def test_a_document_given_as_an_object_is_its_text(self, client: Client) -> None:
        """A policy may be given as JSON or as its parts; AWS gets the text. One that is not wholly known is unknown."""
        token = "aws:iam/role:Role"
        document = {"Version": "2012-10-17", "Statement": []}
        assert json.loads(client.checked(token, {"assumeRolePolicy": document}).values["assumeRolePolicy"]) == document
        unknown = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": wire.UNKNOWN}]}
        assert client.checked(token, {"assumeRolePolicy": unknown}).values["assumeRolePolicy"] is wire.UNKNOWN

    def test_a_secret_is_not_in_an_error(self, client: Client) -> None:
        """The mistake is named, the value is not."""
        _, failures = client.check(VPC, {"enableDnsSupport": "hunter2"}, secrets={("enableDnsSupport",)})
        assert failures == {"enableDnsSupport": "expected a boolean, got a secret value"}

    def test_secrets_stay_secret(self, client: Client) -> None:
        """What went in sealed comes out sealed, in the merged tags too."""
        checked = client.checked(VPC, {"tags": {"a": "b"}}, secrets={("tags", "a")})
        assert checked.secrets == {("tags", "a"), ("tagsAll", "a")}

    def test_a_token_that_does_not_exist_is_named_with_its_neighbour(self, client: Client) -> None:
        """A misspelt type is an error, not an unchecked resource."""
        with pytest.raises(CallError, match="did you mean aws:ec2/vpc:Vpc"):
            client.check("aws:ec2/vpc:Vcp", {})

    def test_every_type_of_the_sdk_can_be_looked_at(self) -> None:
        """Of all tokens, the modules are found from the token alone; a sample of packages is loaded whole."""
        sample = [
            token
            for token in schema._registry()
            if token.split(":")[1].split("/")[0] in {"ec2", "rds", "sns", "signer", "backup"}
        ]
        assert len(sample) > 150
        for token in sample:
            assert schema.resource_type(token).outputs


class TestCheckOfEmulatedTypes:
    """What botocore's models and the table add."""

    @pytest.mark.parametrize(
        ("token", "inputs", "path", "says"),
        [
            (LOGS, {"retentionInDays": 8}, "retentionInDays", "8 is not allowed; expected one of 0, 1, 3, 5, 7"),
            (
                GROUP,
                {"ingress": [{"protocol": "tcp", "fromPort": 70000, "toPort": 70001}]},
                "ingress[0].fromPort",
                "70000 is out of range",
            ),
            (
                "aws:kms/key:Key",
                {"deletionWindowInDays": 3},
                "deletionWindowInDays",
                "3 is out of range; allowed is 7 to 30",
            ),
            ("aws:kms/key:Key", {"keyUsage": "PLAY"}, "keyUsage", "'PLAY' is not allowed; expected one of SIGN_VERIFY"),
            (
                FUNCTION,
                {"role": ROLE, "code": CODE, "handler": "h", "runtime": "python3.13", "timeout": 0},
                "timeout",
                "0 is out of range",
            ),
            (
                FUNCTION,
                {"role": "r", "code": CODE, "handler": "h", "runtime": "python3.13"},
                "role",
                "'r' does not match",
            ),
            (
                FUNCTION,
                {"role": ROLE, "handler": "h", "runtime": "python3.13"},
                "code",
                "give exactly one of code, s3Bucket",
            ),
            ("aws:lambda/invocation:Invocation", {"functionName": "f", "input": "{"}, "input", "not JSON"),
            (
                "aws:secretsmanager/secret:Secret",
                {"recoveryWindowInDays": 3},
                "recoveryWindowInDays",
                "allowed is 0, or 7 to 30",
            ),
            ("aws:ssm/parameter:Parameter", {"type": "String"}, "value", "give exactly one of value"),
        ],
    )
    def test_a_value_that_aws_would_refuse_is_refused(
        self, client: Client, token: str, inputs: dict[str, Any], path: str, says: str
    ) -> None:
        """Named with its value and with what is allowed."""
        _, failures = client.check(token, inputs)
        assert says in failures.get(path, str(failures))

    def test_defaults_of_the_official_provider_become_inputs(self, client: Client) -> None:
        """They are what rules see, and they are marked as no wish of the program's."""
        values = client.checked(FUNCTION, {"role": ROLE, "code": CODE, "handler": "h", "runtime": "python3.13"}).values
        assert (values["memorySize"], values["timeout"], values["packageType"]) == (128, 3, "Zip")
        assert {"memorySize", "timeout", "packageType", "name"} <= set(values["__defaults"])

    def test_default_tags_are_merged(self) -> None:
        """The provider's tags stand below the resource's own, ignored keys in neither."""
        client = Client(
            region="eu-central-1", defaultTags='{"tags": {"a": "1", "b": "1"}}', ignoreTags='{"keys": ["x"]}'
        )
        values = client.checked(VPC, {"tags": {"b": "2", "x": "y"}}).values
        assert values["tagsAll"] == {"a": "1", "b": "2"}

    def test_the_region_is_an_input(self, client: Client) -> None:
        """The official provider writes it into every regional resource, and into no other."""
        assert client.checked(VPC, {}).values["region"] == "eu-central-1"
        assert "region" not in client.checked("aws:iam/role:Role", {"assumeRolePolicy": "{}"}).values


class TestNames:
    """`<logical>-<7 hex digits>`, once and for all."""

    def test_a_name_is_made_from_the_engines_seed(self, client: Client) -> None:
        """The same seed gives the same name, another gives another."""
        names = [client.checked(LOGS, {}, name="logs", seed=seed).values["name"] for seed in (b"1", b"1", b"2")]
        assert names[0] == names[1] != names[2]
        assert names[0].startswith("logs-")
        assert len(names[0]) == len("logs-") + 7

    def test_a_made_name_stays(self, client: Client) -> None:
        """An update keeps it; one that the program gave is not kept when it gives it no more."""
        made = client.checked(LOGS, {}, seed=b"1").values
        assert client.checked(LOGS, {}, seed=b"2", olds=made).values["name"] == made["name"]
        given = client.checked(LOGS, {"name": "mine"}).values
        assert client.checked(LOGS, {}, seed=b"2", olds=given).values["name"] != "mine"

    @pytest.mark.parametrize(
        ("token", "inputs", "name", "start"),
        [
            ("aws:s3/bucket:Bucket", {}, "bucket", "thing-"),
            ("aws:kms/alias:Alias", {"targetKeyId": "k"}, "name", "alias/Thing-"),
            ("aws:rds/subnetGroup:SubnetGroup", {"subnetIds": ["a"]}, "name", "thing-"),
            ("aws:s3/bucketObjectv2:BucketObjectv2", {"bucket": "b"}, "key", "Thing"),
            (QUEUE, {}, "name", "Thing-"),
        ],
    )
    def test_each_type_has_its_name(
        self, client: Client, token: str, inputs: dict[str, Any], name: str, start: str
    ) -> None:
        """The property and the form that AWS takes."""
        assert client.checked(token, inputs, name="Thing").values[name].startswith(start)

    def test_the_projects_naming_is_obeyed(self, client: Client) -> None:
        """A proposed name is taken; where naming is off, a missing name is a mistake."""
        modes = provider_pb2.CheckRequest.AutonamingOptions
        request = provider_pb2.CheckRequest(urn=client.urn(LOGS, "it"), type=LOGS, name="it")
        request.autonaming.CopyFrom(modes(proposed_name="as-configured", mode=modes.ENFORCE))
        assert wire.decode(client.call("Check", request).inputs).values["name"] == "as-configured"
        request.autonaming.CopyFrom(modes(mode=modes.DISABLE))
        assert [failure.property for failure in client.call("Check", request).failures] == ["name"]


class TestDiff:
    """Changes that are ones, and no others."""

    def test_replaces_and_updates(self, client: Client) -> None:
        """Each changed path with its kind, and which of them need a new resource."""
        old = state(client, VPC, {"cidrBlock": "10.0.0.0/16", "tags": {"a": "1", "b": "1"}})
        change = client.diff(old, {"cidrBlock": "10.1.0.0/16", "tags": {"a": "2", "c": "1"}})
        assert change.replaces == ["cidrBlock"]
        assert change.kinds == {
            "cidrBlock": "UPDATE_REPLACE",
            **{
                f"{tags}.{key}": kind
                for tags in ("tags", "tagsAll")
                for key, kind in (("a", "UPDATE"), ("b", "DELETE"), ("c", "ADD"))
            },
        }

    @pytest.mark.parametrize(
        ("token", "old", "new"),
        [
            (
                "aws:iam/rolePolicy:RolePolicy",
                {
                    "role": "r",
                    "policy": '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["a:b","a:c"],'
                    '"Resource":"*"}]}',
                },
                {
                    "role": "r",
                    "policy": '{"Statement": {"Action": ["a:c", "a:b"], "Resource": ["*"], "Effect": "Allow"}, '
                    '"Version": "2012-10-17"}',
                },
            ),
            ("aws:rds/subnetGroup:SubnetGroup", {"subnetIds": ["a", "b"]}, {"subnetIds": ["b", "a"]}),
            (
                "aws:kms/alias:Alias",
                {"name": "alias/a", "targetKeyId": "1234"},
                {"name": "alias/a", "targetKeyId": "arn:aws:kms:eu-central-1:1:key/1234"},
            ),
            (VPC, {"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": True}, {"cidrBlock": "10.0.0.0/16"}),
            (VPC, {"tags": {}}, {}),
            (LOGS, {"name": "l"}, {"name": "l", "retentionInDays": 0}),
        ],
    )
    def test_a_change_that_is_none(self, client: Client, token: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        """Another spelling, another order, or what is left to AWS."""
        assert client.diff(state(client, token, old), new).kinds == {}

    @pytest.mark.parametrize(
        ("token", "old", "new", "path"),
        [
            (
                "aws:iam/rolePolicy:RolePolicy",
                {"role": "r", "policy": policy("a:b")},
                {"role": "r", "policy": policy("a:*")},
                "policy",
            ),
            (
                "aws:iam/rolePolicy:RolePolicy",
                {"role": "r", "policy": policy("a:b", AWS="*")},
                {"role": "r", "policy": policy("a:b", AWS="arn:aws:iam::1:root")},
                "policy",
            ),
            (
                "aws:lambda/layerVersion:LayerVersion",
                {"layerName": "a", "code": CODE},
                {"layerName": "a", "code": wire.Archive(digest="2")},
                "code",
            ),
            (FUNCTION, {"layers": [LAYER + "1", LAYER + "2"]}, {"layers": [LAYER + "2", LAYER + "1"]}, "layers[0]"),
        ],
    )
    def test_a_change_that_is_one(
        self, client: Client, token: str, old: dict[str, Any], new: dict[str, Any], path: str
    ) -> None:
        """Other permissions, other bytes, another order where order counts."""
        base = {"role": ROLE, "code": CODE, "handler": "h", "runtime": "python3.13"} if token == FUNCTION else {}
        assert path in client.diff(state(client, token, {**base, **old}), {**base, **new}).kinds

    @pytest.mark.parametrize(
        ("token", "old", "new", "first"),
        [
            (GROUP, {"name": "fixed", "vpcId": "vpc-1"}, {"name": "fixed", "vpcId": "vpc-2"}, True),
            (GROUP, {"vpcId": "vpc-1"}, {"vpcId": "vpc-2"}, False),
            (GROUP, {"name": "one", "vpcId": "vpc-1"}, {"name": "two", "vpcId": "vpc-1"}, False),
            (
                "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                {"role": "a", "policyArn": ROLE},
                {"role": "b", "policyArn": ROLE},
                False,
            ),
        ],
    )
    def test_the_old_one_goes_first_where_both_would_have_one_name(
        self, client: Client, token: str, old: dict[str, Any], new: dict[str, Any], first: bool
    ) -> None:
        """A fixed name that stays leaves no room for two; a made one, or another, does."""
        change = client.diff(state(client, token, old), new)
        assert change.replaces
        assert change.delete_first is first

    def test_an_unknown_new_value_is_a_change(self, client: Client) -> None:
        """What will be known only at the update may be another."""
        old = state(client, "aws:ec2/subnet:Subnet", {"vpcId": "vpc-1"})
        assert client.diff(old, {"vpcId": wire.UNKNOWN}).replaces == ["vpcId"]

    def test_an_invocation_that_happens_once_is_replaced_by_another(self, client: Client) -> None:
        """In the CRUD scope the same change is an update."""
        token = "aws:lambda/invocation:Invocation"
        for scope, replaces in (("CREATE_ONLY", ["input"]), ("CRUD", [])):
            inputs = {"functionName": "f", "lifecycleScope": scope}
            change = client.diff(state(client, token, {**inputs, "input": '{"a": 1}'}), {**inputs, "input": '{"a": 2}'})
            assert change.replaces == replaces
            assert "input" in change.kinds


class TestPreview:
    """What is known before anything is."""

    def test_a_creation_shows_inputs_and_unknowns(self, client: Client) -> None:
        """Given properties as given, computed ones unknown, absent ones absent."""
        outputs = client.preview(VPC, client.checked(VPC, {"cidrBlock": "10.0.0.0/16"}).values)
        assert outputs["cidrBlock"] == "10.0.0.0/16"
        assert outputs["arn"] is wire.UNKNOWN
        assert outputs["enableDnsHostnames"] is wire.UNKNOWN
        assert "ipv4IpamPoolId" not in outputs
        assert "__defaults" not in outputs

    def test_a_type_that_is_not_emulated_is_previewed_too(self, client: Client) -> None:
        """Any program can be previewed."""
        assert client.preview(TABLE, client.checked(TABLE, {"readCapacity": 5}).values)["arn"] is wire.UNKNOWN

    def test_an_update_makes_unknown_what_it_makes_anew(self, client: Client) -> None:
        """New code of a function that publishes is a new version; its ARN stays."""
        inputs = {"role": ROLE, "code": CODE, "handler": "h", "runtime": "python3.13", "publish": True}
        old = state(client, FUNCTION, inputs, version="3", arn="arn:f", qualifiedArn="arn:f:3")
        outputs = client.update(
            old, {**inputs, "code": wire.Archive(path="other.zip", digest="2")}, preview=True
        ).outputs.values
        assert outputs["version"] is wire.UNKNOWN
        assert outputs["arn"] == "arn:f"
        same = client.update(old, {**inputs, "reservedConcurrentExecutions": 5}, preview=True).outputs.values
        assert same["version"] == "3"

    def test_a_file_that_stays_is_still_where_the_program_has_it(self, client: Client) -> None:
        """The engine keeps the hash of a former one, and an SDK cannot make a file of that."""
        there = {"bucket": "b", "key": "k", "source": wire.Asset(path="page.html", digest="1")}
        old = state(client, OBJECT, {**there, "source": wire.Asset(digest="1")})
        outputs = client.update(old, {**there, "tags": {"team": "red"}}, preview=True).outputs.values
        assert outputs["source"] == there["source"]

    def test_a_creation_of_a_type_that_is_not_emulated_says_where_to_add_it(self, client: Client) -> None:
        """Never a pretence."""
        with pytest.raises(CallError, match=r"not emulated.*sandbox/provider/types/dynamodb\.py"):
            client.create(TABLE, {})


def values_of(kind: schema.Type, depth: int = 3) -> st.SearchStrategy[Any]:
    """Values that pass the check of a type."""
    match kind:
        case schema.Scalar():
            return SCALARS[kind.kind]
        case schema.ListOf():
            return st.lists(values_of(kind.item, depth - 1), max_size=2) if depth else st.just([])
        case schema.MapOf():
            return st.dictionaries(st.text("abc", min_size=1, max_size=3), values_of(kind.item, depth - 1), max_size=2)
        case schema.Object():
            return inputs_of(kind.fields, depth - 1)
        case schema.Content():
            return st.just(wire.Archive(path="x", digest="1") if kind.archive else wire.Asset(text="x", digest="1"))
        case schema.OneOf():
            return values_of(kind.options[0], depth)
    return st.text(max_size=3)


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text("abc:/-{}\"'[]", max_size=6) | st.just(wire.UNKNOWN),
    "boolean": st.booleans(),
    "integer": st.integers(-5, 100000),
    "number": st.floats(-5, 5, allow_nan=False),
}


def inputs_of(fields: dict[str, schema.Field], depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with all that is required and some of the rest."""
    required = {name: values_of(known.type, depth) for name, known in fields.items() if known.required}
    optional = {
        name: values_of(known.type, depth) for name, known in fields.items() if not known.required and depth > 0
    }
    return st.fixed_dictionaries(required, optional=optional)


ENTRIES = tuple({entry.token: entry for entry in table.entries().values()}.values())


def _planned(token: str, inputs: dict[str, Any]) -> planning.Plan:
    return planning.check(
        schema.resource_type(token),
        table.entries().get(token),
        wire.Document(inputs),
        wire.Document(),
        planning.Naming("it", b"seed"),
        planning.ProviderDefaults(region="eu-central-1"),
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.token)
def test_anything_well_typed_is_checked_and_differs_not_from_itself(entry: table.Resource) -> None:
    """For generated inputs of every emulated type: Check does not crash and is idempotent; Diff(x, x) is none."""
    type_ = schema.resource_type(entry.token)

    @quick
    @given(inputs_of(type_.inputs, 2))
    def holds(inputs: dict[str, Any]) -> None:
        plan = _planned(entry.token, inputs)
        assert all(path[0] in type_.inputs for path, _ in plan.failures)
        again = _planned(entry.token, {name: value for name, value in plan.inputs.items() if name != "tagsAll"})
        assert compare.plain(again.inputs) == compare.plain(plan.inputs)
        assert planning.diff(type_, entry, plan.inputs, plan.inputs, {}).changes == {}
        rules = compare.Rules.of(entry, type_)
        aligned = {name: compare.align(value, value, (name,), rules) for name, value in plan.inputs.items()}
        assert aligned == plan.inputs

    holds()


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.just(wire.UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "token", [VPC, GROUP, FUNCTION, "aws:rds/instance:Instance", "aws:iam/role:Role", QUEUE, "aws:wafv2/webAcl:WebAcl"]
)
def test_anything_at_all_is_checked(token: str) -> None:
    """Whatever a program sends, Check answers with failures, not with a crash."""
    names = [*schema.resource_type(token).inputs, "nonsense"]

    @quick
    @given(st.dictionaries(st.sampled_from(names), junk, max_size=4))
    def holds(inputs: dict[str, Any]) -> None:
        _planned(token, inputs)

    holds()


def same_after_shuffle(shuffle: Callable[[list[Any]], list[Any]], example: Example) -> bool:
    """Whether an example's sets in another order are no change."""
    entry, type_ = table.entries()[example.token], schema.resource_type(example.token)
    rules = compare.Rules.of(entry, type_)
    names = [name for name in entry.sets if isinstance(example.inputs.get(name), list)]
    return all(compare.same(example.inputs[name], shuffle(example.inputs[name]), (name,), rules) for name in names)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_sets_have_no_order(example: Example) -> None:
    """The table's sets are compared without it."""
    assert same_after_shuffle(lambda items: items[::-1], example)
