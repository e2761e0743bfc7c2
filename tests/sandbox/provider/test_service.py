"""What the provider says to the engine: configuration, functions, failures, secrets."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.provider import invokes, resource, service, wire
from tests.sandbox.provider.client import CallError, Client, State
from tests.sandbox.provider.examples import HANDLER, TRUST, code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.sandbox.provider.conftest import World

DOCUMENT = "aws:iam/getPolicyDocument:getPolicyDocument"


@pytest.fixture(scope="module")
def channel() -> Iterator[grpc.Channel]:
    """The provider as a process, the way the engine starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.provider", "127.0.0.1:1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield opened
    finally:
        process.terminate()
        assert process.wait(10) == 0


class TestProcess:
    """`python -m sandbox.provider`."""

    def test_it_prints_its_port_and_serves(self, channel: grpc.Channel) -> None:
        """The first line of stdout is the port; the version is the SDK's."""
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        assert stub.GetPluginInfo(empty_pb2.Empty()).version == "7.51.1"
        assert stub.Handshake(provider_pb2.ProviderHandshakeRequest()).accept_secrets
        stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))

    @pytest.mark.parametrize(
        ("method", "request_"),
        [
            ("GetSchema", provider_pb2.GetSchemaRequest()),
            ("Call", provider_pb2.CallRequest()),
            ("Construct", provider_pb2.ConstructRequest()),
        ],
    )
    def test_what_it_does_not_do_it_says_so(self, channel: grpc.Channel, method: str, request_: Any) -> None:
        """UNIMPLEMENTED, which the engine knows how to take."""
        with pytest.raises(grpc.RpcError) as failed:
            getattr(provider_pb2_grpc.ResourceProviderStub(channel), method)(request_)
        assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED

    def test_cancel_ends_it(self) -> None:
        """A cancelled provider takes no more, and gives up waiting."""
        ended = threading.Event()
        service.Provider(service.Engine(), ended).Cancel(empty_pb2.Empty(), None)
        assert ended.is_set()


class TestConfiguration:
    """The provider's own inputs."""

    def config(self, client: Client, **news: Any) -> dict[str, str]:
        request = provider_pb2.CheckRequest(urn=client.urn("pulumi:providers:aws", "default"), news=wire.encode(news))
        return {failure.property: failure.reason for failure in client.call("CheckConfig", request).failures}

    def test_it_is_checked_like_any_resource(self, client: Client) -> None:
        """What is not a string travels as JSON text."""
        good = {
            "region": "eu-central-1",
            "defaultTags": '{"tags":{"a":"b"}}',
            "skipCredentialsValidation": "true",
            "version": "7.51.1",
        }
        assert self.config(client, **good) == {}
        assert self.config(client, regoin="eu-central-1") == {"regoin": "unknown property; did you mean 'region'?"}
        assert self.config(client, maxRetries="many") == {
            "maxRetries": "expected a whole number, got the string 'many'"
        }

    def test_another_account_is_refused(self, world: World) -> None:
        """AllowedAccountIds and forbiddenAccountIds are held against what STS says."""
        world.client.configure(region="eu-central-1", allowedAccountIds='["000000000001"]')
        with pytest.raises(
            CallError, match="account 000000000001 is not allowed: aws:allowedAccountIds has 000000000002"
        ):
            Client(region="eu-central-1", allowedAccountIds='["000000000002"]')
        with pytest.raises(CallError, match="account 000000000001 is forbidden"):
            Client(region="eu-central-1", forbiddenAccountIds='["000000000001"]')

    def test_a_missing_region_is_named_with_the_remedy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before anything is created."""
        monkeypatch.delenv("AWS_REGION")
        with pytest.raises(CallError, match="no region: set aws:region"):
            Client().check("aws:ec2/vpc:Vpc", {})

    def test_a_configuration_that_is_not_known_yet_can_be_previewed(self) -> None:
        """Default tags that another resource gives make the tags unknown, and a creation impossible."""
        client = Client(region="eu-central-1", defaultTags=wire.UNKNOWN)
        inputs = client.checked("aws:ec2/vpc:Vpc", {"tags": {"a": "b"}}).values
        assert inputs["tagsAll"] is wire.UNKNOWN
        with pytest.raises(CallError, match="defaultTags is not known yet"):
            client.create("aws:ec2/vpc:Vpc", {})


class TestFunctions:
    """Invokes."""

    def test_who_and_where(self, world: World) -> None:
        """The account, the region, the partition, the zones."""
        client = world.client
        assert client.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "000000000001"
        assert client.invoke("aws:index/getRegion:getRegion", {}) == {
            "description": "Europe (Frankfurt)",
            "endpoint": "ec2.eu-central-1.amazonaws.com",
            "id": "eu-central-1",
            "name": "eu-central-1",
            "region": "eu-central-1",
        }
        assert client.invoke("aws:index/getPartition:getPartition", {}) == {
            "dnsSuffix": "amazonaws.com",
            "id": "aws",
            "partition": "aws",
            "reverseDnsPrefix": "com.amazonaws",
        }
        zones = client.invoke(
            "aws:index/getAvailabilityZones:getAvailabilityZones",
            {"state": "available", "excludeNames": ["eu-central-1b"]},
        )
        assert zones["names"] == ["eu-central-1a", "eu-central-1c"]
        assert zones["zoneIds"] == ["euc1-az1", "euc1-az3"] or len(zones["zoneIds"]) == 2

    def test_a_policy_document_is_the_official_providers_to_the_byte(self, client: Client) -> None:
        """Order of keys, falling lists, one value where there is one, `&{}` as a variable, escapes of Go's encoder."""
        given = {
            "policyId": "p",
            "statements": [
                {
                    "sid": "One",
                    "actions": ["s3:GetObject", "s3:PutObject", "s3:GetObject"],
                    "resources": ["arn:aws:s3:::b/&{aws:username}/*"],
                    "principals": [
                        {"type": "Service", "identifiers": ["lambda.amazonaws.com"]},
                        {"type": "AWS", "identifiers": ["b", "c", "a"]},
                    ],
                    "conditions": [
                        {"test": "StringLike", "variable": "s3:prefix", "values": ["z", "a<b"]},
                        {"test": "Bool", "variable": "aws:SecureTransport", "values": ["true"]},
                    ],
                },
                {
                    "effect": "Deny",
                    "notActions": ["iam:*"],
                    "notResources": ["*"],
                    "principals": [{"type": "*", "identifiers": ["*"]}],
                },
            ],
        }
        answer = client.invoke(DOCUMENT, given)
        assert answer["minifiedJson"] == (
            '{"Version":"2012-10-17","Id":"p","Statement":['
            '{"Sid":"One","Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"arn:aws:s3:::b/${aws:username}/*",'
            '"Principal":{"AWS":["c","b","a"],"Service":"lambda.amazonaws.com"},'
            '"Condition":{"Bool":{"aws:SecureTransport":"true"},"StringLike":{"s3:prefix":["z","a\\u003cb"]}}},'
            '{"Effect":"Deny","NotAction":"iam:*","NotResource":"*","Principal":"*"}]}'
        )
        assert json.loads(answer["json"]) == json.loads(answer["minifiedJson"])
        assert answer["json"].startswith(
            '{\n  "Version": "2012-10-17",\n  "Id": "p",\n  "Statement": [\n    {\n      "Sid": "One",'
        )

    def test_documents_are_merged_by_sid(self, client: Client) -> None:
        """Sources first, then the statements, then the overrides in the place of what they override."""

        def document(sid: str, action: str) -> str:
            return json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": "*"},
                }
            )

        answer = client.invoke(
            DOCUMENT,
            {
                "sourcePolicyDocuments": [document("a", "a:1"), document("b", "b:1")],
                "statements": [
                    {"sid": "b", "actions": ["b:2"], "resources": ["*"]},
                    {"sid": "c", "actions": ["c:1"], "resources": ["*"]},
                ],
                "overridePolicyDocuments": [document("a", "a:3")],
            },
        )
        assert [(one["Sid"], one["Action"]) for one in json.loads(answer["json"])["Statement"]] == [
            ("a", "a:3"),
            ("b", "b:2"),
            ("c", "c:1"),
        ]

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"statements": [{"sid": "a", "effect": "Permit"}]}, "statements[0].effect"),
            ({"statements": [{"sid": "a"}, {"sid": "a"}]}, "statements"),
            ({"sourcePolicyDocuments": ["{"]}, "sourcePolicyDocuments"),
            ({"version": "2020-01-01"}, "version"),
            ({"sourceJson": "{}"}, "sourceJson"),
        ],
    )
    def test_a_document_with_a_mistake_is_refused(self, client: Client, arguments: dict[str, Any], name: str) -> None:
        """The argument is named."""
        response = client.call("Invoke", provider_pb2.InvokeRequest(tok=DOCUMENT, args=wire.encode(arguments)))
        assert [failure.property for failure in response.failures] == [name]

    def test_a_function_that_is_not_emulated_is_named(self, client: Client) -> None:
        """With those that are, and where to add it."""
        with pytest.raises(CallError, match=r"getAmi is not emulated; there are .*invokes\.py"):
            client.invoke("aws:ec2/getAmi:getAmi", {})

    def test_every_function_is_one_of_the_sdk(self) -> None:
        """Its token stands in the SDK's sources."""
        from sandbox.provider import schema

        source = "".join(
            file.read_text()
            for file in [*schema._root().glob("get_*.py"), *(schema._root() / "iam").glob("get_policy*.py")]
        )
        assert all(f"'{token}'" in source for token in invokes.FUNCTIONS)


class TestFailures:
    """What goes wrong is one line, and leaves nothing behind that the state does not know."""

    def test_an_error_of_aws_is_one_line(self, world: World) -> None:
        """The resource, the operation, the code, the message."""
        role = world.state("role").id
        with pytest.raises(CallError) as failed:
            world.client.create("aws:iam/role:Role", {"name": role, "assumeRolePolicy": json.dumps(TRUST)})
        assert str(failed.value).startswith("aws:iam/role:Role 'it': CreateRole failed: EntityAlreadyExists: ")
        assert "\n" not in str(failed.value)

    def test_a_property_that_is_not_emulated_is_refused_at_creation(self, world: World) -> None:
        """With its type and the file of the table; a value that says nothing is no use of it."""
        with pytest.raises(
            CallError,
            match=r"aws:s3/bucket:Bucket: property 'lifecycleRules' is not emulated; add it to .*/types/s3\.py",
        ):
            world.client.create("aws:s3/bucket:Bucket", {"lifecycleRules": [{"enabled": True}]})
        state = world.client.create("aws:s3/bucket:Bucket", {"lifecycleRules": []})
        world.client.delete(state)

    def test_what_was_half_made_keeps_its_id(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """The engine learns the id and what is missing; the next update makes good what was left undone."""
        client, call = world.client, resource.Context.call

        def fails(context: resource.Context, operation: str, service: str = "", **params: Any) -> Any:
            if operation == "put_retention_policy":
                raise resource.ResourceError("no retention today")
            return call(context, operation, service, **params)

        with monkeypatch.context() as patch:
            patch.setattr(resource.Context, "call", fails)
            with pytest.raises(CallError, match="no retention today") as failed:
                client.create("aws:cloudwatch/logGroup:LogGroup", {"name": "half", "retentionInDays": 7})
        partial = failed.value.partial
        assert partial.id == "half"
        assert list(partial.reasons) == ["no retention today"]
        inputs = client.checked("aws:cloudwatch/logGroup:LogGroup", {"name": "half", "retentionInDays": 7})
        half = State("aws:cloudwatch/logGroup:LogGroup", "it", "half", inputs, wire.decode(partial.properties))
        whole = client.update(half, {"name": "half", "retentionInDays": 7})
        assert whole.outputs.values["retentionInDays"] == 7
        groups = world.api("logs").describe_log_groups(logGroupNamePrefix="half")["logGroups"]
        assert groups[0]["retentionInDays"] == 7
        client.delete(whole)

    def test_an_update_that_failed_half_way_is_finished_by_the_next(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The engine then holds the new inputs; what was not done is known from the outputs."""
        client, call, token = world.client, resource.Context.call, "aws:ec2/vpc:Vpc"
        inputs = {"cidrBlock": "10.9.0.0/16"}
        later = {**inputs, "enableDnsHostnames": True, "tags": {"a": "b"}}
        state = client.create(token, inputs)
        try:

            def fails(context: resource.Context, operation: str, service: str = "", **params: Any) -> Any:
                if operation == "create_tags":
                    raise resource.ResourceError("no tags today")
                return call(context, operation, service, **params)

            with monkeypatch.context() as patch:
                patch.setattr(resource.Context, "call", fails)
                with pytest.raises(CallError, match="no tags today") as failed:
                    client.update(state, later)
            outputs = wire.decode(failed.value.partial.properties)
            assert outputs.values["enableDnsHostnames"] is True
            half = State(token, "it", state.id, client.checked(token, later), outputs)
            whole = client.update(half, later)
            assert whole.outputs.values["tags"] == {"a": "b"}
        finally:
            client.delete(state)

    def test_a_functions_error_fails_its_invocation(self, world: World) -> None:
        """With the error's own words."""
        name = world.state("function").id
        with pytest.raises(CallError, match=f"function {name} failed: ValueError: asked to fail"):
            world.client.create("aws:lambda/invocation:Invocation", {"functionName": name, "input": '{"fail": true}'})

    def test_an_instance_without_a_last_snapshot_is_not_deleted(self, world: World) -> None:
        """FinalSnapshotIdentifier is required unless skipFinalSnapshot, as with the official provider."""
        values = {"identifier": "db", "skipFinalSnapshot": False}
        state = State("aws:rds/instance:Instance", "it", "db-1", wire.Document(values), wire.Document(values))
        with pytest.raises(CallError, match="finalSnapshotIdentifier is required when skipFinalSnapshot is false"):
            world.client.delete(state)

    def test_a_missing_archive_is_named(self, world: World) -> None:
        """Before anything is made."""
        inputs = {"layerName": "l", "code": wire.Archive(path="/nowhere.zip", digest="1")}
        with pytest.raises(CallError, match=r"cannot read the asset '/nowhere\.zip'"):
            world.client.create("aws:lambda/layerVersion:LayerVersion", inputs)


class TestLambda:
    """Functions, versions, aliases."""

    def test_each_change_of_a_publishing_function_is_a_version(self, world: World) -> None:
        """New code or configuration publishes; anything else does not."""
        client = world.client
        base = {
            "role": world.state("role").outputs.values["arn"],
            "handler": "code.handler",
            "runtime": "python3.13",
            "publish": True,
        }
        state = client.create("aws:lambda/function:Function", {**base, "code": code()})
        try:
            assert state.outputs.values["version"] == "1"
            state = client.update(state, {**base, "code": code(HANDLER + "#")})
            assert state.outputs.values["version"] == "2"
            assert state.outputs.values["qualifiedArn"].endswith(":2")
            state = client.update(state, {**base, "code": code(HANDLER + "#"), "tags": {"a": "b"}})
            assert state.outputs.values["version"] == "2"
        finally:
            client.delete(state)

    def test_the_result_of_an_invocation_is_an_output(self, world: World) -> None:
        """What the function answered; in the CRUD scope the event says what is happening."""
        client, name = world.client, world.state("function").id
        once = client.create("aws:lambda/invocation:Invocation", {"functionName": name, "input": '{"a": 1}'})
        assert json.loads(once.outputs.values["result"]) == {"got": {"a": 1}}
        inputs = {"functionName": name, "lifecycleScope": "CRUD"}
        kept = client.create("aws:lambda/invocation:Invocation", {**inputs, "input": '{"a": 1}'})
        assert json.loads(kept.outputs.values["result"])["got"]["tf"] == {"action": "create", "prev_input": None}
        kept = client.update(kept, {**inputs, "input": '{"a": 2}'})
        assert json.loads(kept.outputs.values["result"])["got"]["tf"] == {"action": "update", "prev_input": {"a": 1}}


class TestSecrets:
    """Secret outputs."""

    def test_what_the_sdk_calls_secret_is_sealed(self, world: World) -> None:
        """Whether or not the program sealed it, in Create and in Read."""
        state = world.state("secret version")
        assert ("secretString",) in state.outputs.secrets
        read = world.client.read(state)
        assert read is not None
        assert ("secretString",) in read.outputs.secrets

    def test_what_the_program_sealed_stays_sealed(self, world: World) -> None:
        """A tag, a description: the output of the same name is sealed in the same place."""
        state = world.client.create(
            "aws:ssm/parameter:Parameter",
            {"type": "SecureString", "value": "v", "description": "d", "tags": {"a": "b"}},
            secrets={("description",), ("tags", "a")},
        )
        try:
            read = world.client.read(state)
            assert read is not None
            assert {("description",), ("tags", "a"), ("tagsAll", "a"), ("value",)} <= read.outputs.secrets
            assert {("description",), ("tags", "a")} <= read.inputs.secrets
        finally:
            world.client.delete(state)
