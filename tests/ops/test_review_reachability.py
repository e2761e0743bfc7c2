"""What can be reached from where."""

from __future__ import annotations

from typing import Any

import pytest

from ops.review import reachability
from tests.support.previews import ACCOUNT, LATER, document, read, resource, statement, urn

GROUP = "aws:ec2/securityGroup:SecurityGroup"


def group(name: str, **inputs: Any) -> dict[str, Any]:
    return resource(GROUP, name, {"name": name, **inputs})


def member(name: str, *groups: str) -> dict[str, Any]:
    """A function in some groups, whose ids are not known yet."""
    return resource(
        "aws:lambda/function:Function",
        name,
        {"name": name, "vpcConfig": {"securityGroupIds": [LATER for _ in groups], "subnetIds": [LATER]}},
        uses={"vpcConfig": [urn(GROUP, each) for each in groups]},
    )


def database(*groups: str, **inputs: Any) -> dict[str, Any]:
    return resource(
        "aws:rds/instance:Instance",
        "data",
        {"identifier": "data", "vpcSecurityGroupIds": [LATER for _ in groups], **inputs},
        uses={"vpcSecurityGroupIds": [urn(GROUP, each) for each in groups]},
    )


def rule(kind: str, of: str, peer: str, port: int = 5432, **inputs: Any) -> dict[str, Any]:
    """A rule of a group, towards a group or an address range."""
    token = f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule"
    ranged = "/" in peer
    return resource(
        token,
        f"{of}-{peer}",
        {
            "securityGroupId": LATER,
            "ipProtocol": "tcp",
            "fromPort": port,
            "toPort": port,
            **({"cidrIpv4": peer} if ranged else {"referencedSecurityGroupId": LATER}),
            **inputs,
        },
        uses={
            "securityGroupId": [urn(GROUP, of)],
            **({} if ranged else {"referencedSecurityGroupId": [urn(GROUP, peer)]}),
        },
    )


def told(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    found = reachability.changes(read(before, after), ACCOUNT)
    return [
        f"{sign} {way}" for sign, ways in (("+", found.gained), ("-", found.lost), ("?", found.halves)) for way in ways
    ]


CLIENTS = [group("clients"), group("data"), member("api", "clients"), database("data")]
BOTH = [rule("Ingress", "data", "clients"), rule("Egress", "clients", "data")]


class TestGroups:
    def test_members_of_two_groups_meet_where_both_have_a_rule(self) -> None:
        assert told(CLIENTS, [*CLIENTS, *BOTH]) == ["+ function api → database data tcp 5432"]
        assert told([*CLIENTS, *BOTH], CLIENTS) == ["- function api → database data tcp 5432"]

    @pytest.mark.parametrize("one", BOTH, ids=["inward", "outward"])
    def test_a_rule_without_its_counterpart_leads_nowhere(self, one: dict[str, Any]) -> None:
        assert told(CLIENTS, [*CLIENTS, one]) == [
            "? function api → database data tcp 5432 (the other side has no rule for it)"
        ]

    def test_rules_for_other_ports_do_not_meet(self) -> None:
        other = [BOTH[0], rule("Egress", "clients", "data", port=443)]
        assert [line[0] for line in told(CLIENTS, [*CLIENTS, *other])] == ["?", "?"]

    def test_a_port_that_is_not_known_yet_may_be_any(self) -> None:
        later = [rule("Ingress", "data", "clients", fromPort=LATER), BOTH[1]]
        assert told(CLIENTS, [*CLIENTS, *later]) == ["+ function api → database data a port known after the update"]

    def test_ids_that_are_known_name_the_same_groups(self) -> None:
        groups = [resource(GROUP, name, {"name": name}, identifier=f"sg-{name}") for name in ("clients", "data")]
        rules = [
            resource(
                f"aws:vpc/securityGroup{kind}Rule:SecurityGroup{kind}Rule",
                kind,
                {"securityGroupId": f"sg-{of}", "referencedSecurityGroupId": f"sg-{peer}", "ipProtocol": "-1"},
            )
            for kind, of, peer in (("Ingress", "data", "clients"), ("Egress", "clients", "data"))
        ]
        stack = [*groups, *CLIENTS[2:]]
        assert told(stack, [*stack, *rules]) == ["+ function api → database data any port"]
        assert told([*stack, *rules], [*stack, *rules]) == []

    def test_a_function_that_joins_a_group_reaches_what_the_group_does(self) -> None:
        after = [*CLIENTS, *BOTH, member("batch", "clients")]
        assert told([*CLIENTS, *BOTH], after) == ["+ function batch → database data tcp 5432"]

    def test_rules_inside_of_a_group_count_too(self) -> None:
        office = group(
            "data", ingress=[{"protocol": "tcp", "fromPort": 22, "toPort": 25, "cidrBlocks": ["10.0.0.0/8"]}]
        )
        assert told([group("data")], [office]) == ["+ 10.0.0.0/8 → members of group data tcp 22 to 25"]

    def test_rules_of_the_older_type_count_too(self) -> None:
        token = "aws:ec2/securityGroupRule:SecurityGroupRule"
        said = {"type": "ingress", "protocol": "-1", "fromPort": 0, "toPort": 0, "self": True, "securityGroupId": LATER}
        older = [
            resource(token, kind, {**said, "type": kind}, uses={"securityGroupId": [urn(GROUP, "data")]})
            for kind in ("ingress", "egress")
        ]
        assert told(CLIENTS, [*CLIENTS, *older]) == ["+ database data → database data any port"]

    @pytest.mark.parametrize("world", ["0.0.0.0/0", "::/0"])
    def test_every_address_is_anybody(self, world: str) -> None:
        opened = rule("Ingress", "data", "0.0.0.0/0", **({"cidrIpv4": None, "cidrIpv6": world} if ":" in world else {}))
        (line,) = told(CLIENTS, [*CLIENTS, opened])
        assert line == "+ anybody on the internet → database data tcp 5432"
        assert reachability.changes(read(CLIENTS, [*CLIENTS, opened]), ACCOUNT).gained[0].open

    def test_a_network_without_a_gateway_is_said_to_have_none(self) -> None:
        vpc = resource("aws:ec2/vpc:Vpc", "net", {})
        inside = resource(GROUP, "data", {"name": "data", "vpcId": LATER}, uses={"vpcId": [vpc["urn"]]})
        gateway = resource(
            "aws:ec2/internetGateway:InternetGateway", "net", {"vpcId": LATER}, uses={"vpcId": [vpc["urn"]]}
        )
        opened = rule("Ingress", "data", "0.0.0.0/0")
        assert told([vpc, inside], [vpc, inside, opened]) == [
            "+ anybody on the internet → members of group data tcp 5432 (its network has no gateway to the internet)"
        ]
        assert told([vpc, inside, gateway], [vpc, inside, gateway, opened])[0].endswith("tcp 5432")

    def test_a_group_of_somebody_else_is_named_by_its_id(self) -> None:
        foreign = rule("Ingress", "data", "clients", referencedSecurityGroupId="sg-0abc")
        foreign["propertyDependencies"].pop("referencedSecurityGroupId")
        (line,) = told([group("data")], [group("data"), foreign])
        assert line.startswith("+ members of group sg-0abc, which is not of this stack → members of group data")


def route(key: str, kind: str = "NONE", **inputs: Any) -> list[dict[str, Any]]:
    """A route of an HTTP API, with all that it leads through."""
    function = resource("aws:lambda/function:Function", "api", {"name": "dev-api"})
    integration = resource(
        "aws:apigatewayv2/integration:Integration",
        "api",
        {"integrationUri": LATER},
        uses={"integrationUri": [function["urn"]]},
    )
    return [
        function,
        integration,
        resource("aws:apigatewayv2/api:Api", "front", {"name": "front"}),
        resource(
            "aws:apigatewayv2/authorizer:Authorizer",
            "tokens",
            {"jwtConfiguration": {"issuer": "https://issuer", "audiences": ["products"]}},
            identifier="auth1",
        ),
        resource(
            "aws:apigatewayv2/route:Route",
            "route",
            {"apiId": LATER, "routeKey": key, "authorizationType": kind, "target": LATER, **inputs},
            uses={"target": [integration["urn"]], "apiId": [urn("aws:apigatewayv2/api:Api", "front")]},
        ),
    ]


class TestApis:
    def test_a_route_without_authorisation_is_for_anybody(self) -> None:
        assert told([], route("GET /api/products")) == [
            "+ anybody on the internet → GET /api/products of function dev-api (no authorisation)"
        ]

    def test_a_route_that_asks_for_a_token_no_longer_is(self) -> None:
        asks = route("GET /api/products", "JWT", authorizerId="auth1")
        assert told(route("GET /api/products"), asks) == [
            "+ who has a token → GET /api/products of function dev-api (issued by https://issuer for products)",
            "- anybody on the internet → GET /api/products of function dev-api (no authorisation)",
        ]

    def test_an_api_whose_own_address_is_closed_and_that_has_no_other_is_not_reached(self) -> None:
        closed = [
            each | {"inputs": each["inputs"] | {"disableExecuteApiEndpoint": True}} if "Api::" in each["urn"] else each
            for each in route("GET /api/products")
        ]
        assert [] == told([], closed)

    def test_an_api_with_a_route_of_its_own_is_for_anybody(self) -> None:
        quick = resource("aws:apigatewayv2/api:Api", "front", {"name": "front", "target": "arn:aws:lambda:::f"})
        assert told([], [quick]) == ["+ anybody on the internet → every path of API front (no authorisation)"]

    @pytest.mark.parametrize(
        ("authorization", "said"),
        [("NONE", "anybody on the internet"), ("AWS_IAM", "who passes the API's authorisation (AWS_IAM)")],
    )
    def test_methods_of_rest_apis_count_too(self, authorization: str, said: str) -> None:
        method = resource("aws:apigateway/method:Method", "get", {"httpMethod": "GET", "authorization": authorization})
        (line,) = told([], [method])
        assert line.startswith(f"+ {said} → GET")


class TestFlags:
    @pytest.mark.parametrize("flag", [True, LATER])
    def test_a_public_database_is_told(self, flag: Any) -> None:
        (line,) = told([database("data")], [database("data", publiclyAccessible=flag)])
        assert line.startswith("+ anybody on the internet → database data by a public address")

    def test_a_function_s_url_without_authorisation_is_for_anybody(self) -> None:
        url = resource("aws:lambda/functionUrl:FunctionUrl", "u", {"functionName": "f", "authorizationType": "NONE"})
        assert told([], [url]) == ["+ anybody on the internet → function f by its URL (no authorisation)"]

    def test_a_route_to_a_gateway_is_told(self) -> None:
        def table(*routes: dict[str, str]) -> dict[str, Any]:
            return resource("aws:ec2/routeTable:RouteTable", "t", {"routes": list(routes), "tags": {"Name": "main"}})

        out = {"cidrBlock": "0.0.0.0/0", "gatewayId": LATER}
        assert told([table()], [table(out)]) == [
            (
                "+ subnets of route table main → the internet through an internet gateway "
                "(and back, to what has a public address)"
            )
        ]

    def test_a_bucket_that_loses_its_access_block_is_told(self) -> None:
        bucket = resource("aws:s3/bucket:Bucket", "data", {"bucket": "data"}, identifier="data")
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"

        def block(**off: bool) -> dict[str, Any]:
            return resource(token, "data", {"bucket": "data", **dict.fromkeys(flags, True), **off})

        assert [] == told([bucket, block()], [bucket, block()])
        assert told([bucket, block()], [bucket, block(blockPublicPolicy=False)]) == [
            "+ anybody on the internet → bucket data if a policy or an access list says so (blockPublicPolicy is off)"
        ]
        assert len(told([bucket, block()], [bucket])) == 1


class TestPolicies:
    def opened(self, principal: Any, **more: Any) -> list[dict[str, Any]]:
        text = document(statement("sqs:SendMessage", "*", Principal=principal, **more))
        return [resource("aws:sqs/queue:Queue", "jobs", {"name": "jobs", "policy": text})]

    def test_a_queue_for_anybody_is_told(self) -> None:
        found = reachability.changes(read([], self.opened("*")), ACCOUNT).gained
        assert [str(way) for way in found] == ["anybody on the internet → queue jobs to sqs:SendMessage (no condition)"]
        assert found[0].open

    def test_under_a_condition_it_is_told_but_not_open(self) -> None:
        bound = self.opened("*", Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}})
        (way,) = reachability.changes(read([], bound), ACCOUNT).gained
        assert (way.open, way.guard) == (False, f"only when aws:SourceAccount is {ACCOUNT}")

    def test_another_account_is_told_and_one_s_own_is_not(self) -> None:
        assert [] == told([], self.opened({"AWS": ACCOUNT}))
        assert told([], self.opened({"AWS": "999988887777"})) == [
            "+ account 999988887777 → queue jobs to sqs:SendMessage"
        ]


def test_nothing_of_what_stays_is_told() -> None:
    stack = [*CLIENTS, *BOTH, *route("GET /health")[2:]]
    found = reachability.changes(read(stack, stack), ACCOUNT)
    assert (found.gained, found.lost) == ((), ())
    assert len(found.kept) == 2
