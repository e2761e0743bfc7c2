"""The code zip as it is deployed, in functions beside a database: a release's events, metrics, a rotation."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from migrations.rendering import plan
from ops.artifact import build_code, build_layer, interpreter_at_hand
from tests.sandbox.cloud.harness import ACCOUNT, REGION, Cloud, wait
from tests.support.metrics import metrics_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRETS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A cloud with our functions in it.

    Attributes:
        cloud: The cloud.
        common: What each function is told of the database.
        options: What is the same in each function.
    """

    cloud: Cloud
    common: Mapping[str, str]
    options: Mapping[str, Any]

    def function(self, name: str, handler: str, *secrets: str, memory: int = 512, **environment: str) -> None:
        """Make a function whose role may use some secrets."""
        role = self.cloud.role(
            name,
            {"Action": ["secretsmanager:*"], "Resource": [f"{SECRETS}:{secret}-*" for secret in secrets]},
        )
        client = self.cloud.client("lambda")
        client.create_function(
            FunctionName=name,
            Role=role,
            Handler=handler,
            MemorySize=memory,
            Environment={"Variables": {**self.common, **environment}},
            **self.options,
        )
        wait(client.get_waiter("function_active_v2"), FunctionName=name)

    def log(self, name: str) -> str:
        """What a function has written so far."""
        events = self.cloud.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return "\n".join(event["message"].strip() for event in events)

    def sessions(self, application: str) -> int:
        """How many connections of an application the database has."""
        secret = self.cloud.client("secretsmanager").get_secret_value(SecretId=self.common["MASTER_SECRET"])
        instance = self.cloud.client("rds").describe_db_instances()["DBInstances"][0]
        with self.cloud.connection(instance, json.loads(secret["SecretString"])["password"]) as master:
            question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            [count] = master.execute(question, [application]).fetchone()
        return int(count)

    def documents(self, name: str) -> str:
        """The lines of its log that are documents."""
        return "\n".join(line for line in self.log(name).splitlines() if line.startswith("{"))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """A database, migrated by the migrator; the layer is that of this interpreter."""
    home = tmp_path_factory.mktemp("deployed")
    python, architecture = interpreter_at_hand()
    layer, code = build_layer(out_dir=home, python=python, architecture=architecture), build_code(out_dir=home)
    cloud = Cloud(home / "cloud", layers=home).start()
    try:
        instance = cloud.database("database", ManageMasterUserPassword=True)
        for user in ("database-api", "database-migrator"):
            cloud.client("secretsmanager").create_secret(Name=user)
        runtime = {"Runtime": f"python{python}", "Architectures": [architecture], "Timeout": 60}
        published = cloud.client("lambda").publish_layer_version(
            LayerName="dependencies", Content={"ZipFile": layer.path.read_bytes()}
        )
        functions = Deployed(
            cloud=cloud,
            common={
                "ENVIRONMENT": "test",
                "DATABASE_HOST": instance["Endpoint"]["Address"],
                "DATABASE_PORT": str(instance["Endpoint"]["Port"]),
                "DATABASE_NAME": "product",
                "DATABASE_CA": str(cloud.directory / "tls" / "ca.pem"),
                "MASTER_SECRET": instance["MasterUserSecret"]["SecretArn"],
                "MIGRATOR_SECRET": "database-migrator",
                "API_SECRET": "database-api",
                "DATABASE_SECRET": "database-api",
            },
            options={
                **runtime,
                "Layers": [published["LayerVersionArn"]],
                "Code": {"ZipFile": code.path.read_bytes()},
            },
        )
        functions.function(
            "migrator", "migrations.entry.handler", "database-api", "database-migrator", "rds!db", SEEDING="allowed"
        )
        carried = {"plan": plan().event()}
        for event in ({"action": "users"}, {"action": "migrate", **carried}, {"action": "seed"}):
            answer = cloud.invoke("migrator", event)
            assert "errorMessage" not in answer, answer
        functions.function("api", "app.api.handler", "database-api", memory=256)
        yield functions
    finally:
        cloud.stop()


def test_a_step_of_the_migrator_is_measured(deployed: Deployed) -> None:
    """Under the function's own name."""
    taken = metrics_in(deployed.documents("migrator"))

    assert [step["MigrationFailures", (("Function", "migrator"),)] for step in taken] == [(0, "Count")] * 3


def test_three_warm_ups_at_once_warm_three_instances(deployed: Deployed) -> None:
    """Also when one is warm already; each has a connection of its own."""
    assert deployed.cloud.invoke("api", {"warm": True})["warm"] is True
    client = deployed.cloud.client("lambda")
    with ThreadPoolExecutor(3) as pool:
        begun = [pool.submit(client.invoke, FunctionName="api", Payload=b'{"warm": true}') for _ in range(3)]
        answers = [json.load(each.result()["Payload"]) for each in begun]

    assert [(True, True)] * 3 == [(answer["warm"], answer["healthy"]) for answer in answers]
    assert deployed.sessions("product-api-test") == 3


def test_a_check_is_well_and_a_request_measures_its_memory(deployed: Deployed) -> None:
    """Which is the function's, and not that of the cloud's process, which started it."""
    checked = deployed.cloud.invoke("api", {"check": True})
    assert checked["healthy"] is True
    event = {"rawPath": "/api/products", "requestContext": {"http": {"method": "GET"}, "requestId": "r"}}
    assert deployed.cloud.invoke("api", event)["statusCode"] == 200

    [taken] = metrics_in(deployed.documents("api"))
    by = (("Function", "api"), ("Version", "$LATEST"))
    assert taken["Requests", by] == (1, "Count")
    memory, unit = taken["MemoryUsed", by]
    assert unit == "Percent"
    assert 100 * 30 / 256 < memory < 100 * 120 / 256


def test_the_rotation_changes_a_password_and_the_api_goes_on(deployed: Deployed) -> None:
    """Step by step, as its role; an instance that has not connected yet is asked between them."""
    deployed.function("rotation", "migrations.rotation.handler", "database-api", "database-migrator", memory=256)
    deployed.cloud.client("lambda").add_permission(
        FunctionName="rotation",
        StatementId="secrets-manager",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
    )
    secrets = deployed.cloud.client("secretsmanager")
    secrets.rotate_secret(
        SecretId="database-api",
        RotationLambdaARN=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotation",
        RotationRules={"AutomaticallyAfterDays": 30},
        RotateImmediately=False,
    )
    version = str(uuid.uuid4())
    pending = json.dumps({"username": "product_api", "password": f"next-{version}"})
    secrets.put_secret_value(
        SecretId="database-api", ClientRequestToken=version, SecretString=pending, VersionStages=["AWSPENDING"]
    )
    turn = {"SecretId": secrets.describe_secret(SecretId="database-api")["ARN"], "ClientRequestToken": version}
    for step in ("createSecret", "setSecret", "testSecret", "finishSecret", "finishSecret"):
        assert deployed.cloud.invoke("rotation", {"Step": step, **turn}) is None
        # Another environment makes new instances, which have to log in.
        name = f"api-after-{step}-{uuid.uuid4().hex[:4]}"
        deployed.function(name, "app.api.handler", "database-api")
        assert deployed.cloud.invoke(name, {"check": True})["healthy"] is True

    assert secrets.get_secret_value(SecretId="database-api")["SecretString"] == pending
    assert '"step": "setSecret"' in deployed.log("rotation")
    assert f"next-{version}" not in deployed.log("rotation")


def test_a_probe_measures_what_it_finds(deployed: Deployed) -> None:
    """Here nothing that is an API: the cloud's own answer to a path that it does not know."""
    url = f"{deployed.cloud.url}/_aws/execute-api/nothing"
    deployed.function("probe", "app.probe.handler", "none", memory=128, API_URL=url)
    found = deployed.cloud.invoke("probe", {})

    assert (found["success"], set(found["failures"])) == (False, {"POST /health", "GET /api/products"})
    [taken] = metrics_in(deployed.documents("probe"))
    assert taken["ProbeSuccess", (("Function", "probe"),)] == (0, "Count")
