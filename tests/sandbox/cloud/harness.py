"""Driving a cloud process, and what its tests make of it: clients, functions, databases."""

# ruff: noqa: S310 — all that is fetched is on loopback

from __future__ import annotations

import datetime as dt
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[3]
REGION = "eu-central-1"
ACCOUNT = "000000000001"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"},
    ],
}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def zipped(**files: str) -> bytes:
    """Return a zip of Python files; `__` in a name is a folder, e.g. python__answer=… is python/answer.py."""
    return zip_of({f"{name.replace('__', '/')}.py": content for name, content in files.items()})


def zip_of(files: Mapping[str, str]) -> bytes:
    """Return a zip of files by path."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def descendants(pid: int) -> set[int]:
    """Return all processes below one."""
    import psutil  # type: ignore[import-untyped]

    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def alive(pids: set[int], *, after: float = 0) -> set[int]:
    """Return the processes that still run, having given them some seconds to end."""
    import psutil

    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    _, left = psutil.wait_procs(processes, timeout=after)
    return {process.pid for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE}


class Cloud:
    """A running cloud process and clients of it."""

    def __init__(
        self, directory: Path, *, layers: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory
        self.layers = layers
        self.environment = dict(environment or {})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes]

    def start(self) -> Cloud:
        """Start the process and wait until it answers."""
        command = [sys.executable, "-m", "sandbox.cloud", "--directory", str(self.directory), "--port", str(self.port)]
        if self.layers:
            command += ["--layers", str(self.layers)]
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, env={**os.environ, **self.environment})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                self.get("/_sandbox/health")
            except OSError:
                assert self.process.poll() is None, self.log()
                time.sleep(0.05)
            else:
                return self
        raise AssertionError(self.log())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> float:
        """End the process; return how many seconds that took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(10)
        return time.monotonic() - began

    def log(self) -> str:
        """Return what all processes over this folder have written."""
        return (self.directory / "log").read_text()

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON at a path."""
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            read: dict[str, Any] = json.load(response)
        return read

    def save(self, stamp: str) -> dict[str, Any]:
        """Save the state under a stamp."""
        request = urllib.request.Request(
            f"{self.url}/_sandbox/save", data=json.dumps({"stamp": stamp}).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            read: dict[str, Any] = json.load(response)
        return read

    def pace(self, scale: float) -> None:
        """Let time pass so many times as fast from now on."""
        body = json.dumps({"scale": scale}).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/clock", data=body, method="POST")
        urllib.request.urlopen(request, timeout=5).close()

    def measured(
        self, namespace: str, name: str, dimensions: Mapping[str, str], statistic: str = "Sum"
    ) -> float | None:
        """Return a statistic of all that was measured of a metric in the last minutes; None where nothing was."""
        now = dt.datetime.now(dt.UTC)
        points = self.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - dt.timedelta(minutes=10),
            EndTime=now + dt.timedelta(minutes=1),
            Period=86400,
            **({"ExtendedStatistics": [statistic]} if statistic[0] == "p" else {"Statistics": [statistic]}),
        )["Datapoints"]
        values = [point.get("ExtendedStatistics", point)[statistic] for point in points]
        return sum(values) if values else None

    def client(self, service: str, account: str = ACCOUNT, **credentials: str) -> Any:
        """Return a client of an account's root, or of somebody's temporary credentials."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=credentials.get("AccessKeyId", account),
            aws_secret_access_key=credentials.get("SecretAccessKey", "any"),
            aws_session_token=credentials.get("SessionToken"),
            config=Config(retries={"max_attempts": 0}),
        )

    def role(self, name: str, *statements: Mapping[str, Any]) -> str:
        """Make a role for functions (and for this account's root to assume); return its ARN."""
        iam = self.client("iam")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if statements:
            document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}
            iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(document))
        return arn

    def acting_as(self, role: str, service: str) -> Any:
        """Return a client with the credentials of an assumed role."""
        session = self.client("sts").assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        session.pop("Expiration")
        return self.client(service, **session)

    def function(self, name: str, source: str, role: str, **options: Any) -> str:
        """Make a function of one module and wait for it; return its ARN."""
        client = self.client("lambda")
        options = {"Runtime": "python3.13", "Architectures": ["arm64"], "Handler": "index.handler", **options}
        made = client.create_function(FunctionName=name, Role=role, Code={"ZipFile": zipped(index=source)}, **options)
        wait(client.get_waiter("function_active_v2"), FunctionName=name)
        return str(made["FunctionArn"])

    def invoke(self, name: str, event: Any = None, **options: Any) -> Any:
        """Invoke a function and return what it answers, or the failure that it ends with."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode(), **options)
        return json.load(answer["Payload"])

    def database(self, identifier: str, **options: Any) -> dict[str, Any]:
        """Make a database instance and wait until it answers; return its description."""
        rds = self.client("rds")
        defaults = {
            "Engine": "postgres",
            "DBInstanceClass": "db.t4g.micro",
            "AllocatedStorage": 20,
            "DBName": "product",
            "MasterUsername": "master",
        }
        rds.create_db_instance(DBInstanceIdentifier=identifier, **{**defaults, **options})
        return self.available(identifier)

    def available(self, identifier: str) -> dict[str, Any]:
        """Wait until a database answers; return its description."""
        rds = self.client("rds")
        wait(rds.get_waiter("db_instance_available"), DBInstanceIdentifier=identifier)
        found: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
        return found

    def connection(self, instance: Mapping[str, Any], password: str, **options: Any) -> Any:
        """Connect to a database as its master, its certificate verified unless the options say otherwise."""
        import psycopg

        defaults = {
            "host": instance["Endpoint"]["Address"],
            "port": instance["Endpoint"]["Port"],
            "user": instance["MasterUsername"],
            "dbname": "product",
            "sslmode": "verify-full",
            "sslrootcert": str(self.directory / "tls" / "ca.pem"),
            "connect_timeout": 5,
        }
        return psycopg.connect(password=password, **{**defaults, **options})


def wait(waiter: Any, **options: Any) -> None:
    """Wait, asking often: nothing here takes long."""
    waiter.wait(**options, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})


def until(probe: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait for a true answer: how long that takes depends on the machine, whether it comes does not."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.05)
    raise AssertionError(what)


def fetch(url: str) -> tuple[int, Any]:
    """Return status and JSON body of a plain HTTP request."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
