"""The environment: one model, errors that name the variable and keep the value."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from app import environment
from app.environment import ApiEnvironment, EnvironmentVariableError, ProbeEnvironment

GOOD = {
    "ENVIRONMENT": "dev",
    "DATABASE_HOST": "db.example",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "products",
    "DATABASE_SECRET": "arn:aws:secretsmanager:eu-central-1:000000000001:secret:x",
    "DATABASE_CA": __file__,
    "PATH": "/usr/bin",
}


def test_a_good_environment_is_read_with_its_types() -> None:
    """The port is a number, what is optional has its default."""
    read = ApiEnvironment.read(GOOD)

    assert (read.environment, read.database_port, read.log_level) == ("dev", 5432, "INFO")
    assert read.aws_lambda_function_version == "$LATEST"


@pytest.mark.parametrize("name", [name for name in GOOD if name != "PATH"])
def test_a_missing_variable_is_named(name: str) -> None:
    """In the spelling of the environment."""
    with pytest.raises(EnvironmentVariableError, match=f"{name}: Field required"):
        ApiEnvironment.read({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_PORT", "postgres-7q"),
        ("DATABASE_PORT", "70007"),
        ("DATABASE_HOST", ""),
        ("ENVIRONMENT", "  "),
        ("DATABASE_CA", "/nowhere/7q.pem"),
        ("LOG_LEVEL", "LOUD-7q"),
    ],
)
def test_a_wrong_variable_is_named_and_its_value_is_not_shown(name: str, value: str) -> None:
    """One of them may hold a secret by mistake, and errors are logged."""
    with pytest.raises(EnvironmentVariableError, match=name) as error:
        ApiEnvironment.read(GOOD | {name: value})

    assert "7q" not in str(error.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A deployment is too slow a way to find them one by one."""
    with pytest.raises(EnvironmentVariableError, match=r"DATABASE_PORT.*DATABASE_CA"):
        ApiEnvironment.read(GOOD | {"DATABASE_PORT": "x", "DATABASE_CA": "x"})


def test_the_system_store_is_a_file_on_this_machine() -> None:
    """The one inside psycopg's wheel looks in a folder that nobody has."""
    assert Path(ApiEnvironment.read(GOOD | {"DATABASE_CA": "system"}).database_ca).is_file()


def test_a_machine_without_a_system_store_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a TLS error at the first request."""
    nothing = ssl.DefaultVerifyPaths(*[None] * 2, *["", "/nowhere", "", "/nowhere"])  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nothing)
    monkeypatch.setattr(environment, "Path", lambda path: Path("/nowhere") / str(path).lstrip("/"))

    with pytest.raises(EnvironmentVariableError, match=r"DATABASE_CA: .*no system store"):
        ApiEnvironment.read(GOOD | {"DATABASE_CA": "system"})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com:8443/stage/", "https://api.example.com:8443/stage"),
        ("http://127.0.0.1:4566/_aws/execute-api/x", "http://127.0.0.1:4566/_aws/execute-api/x"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_an_address_of_an_api_is_read(given: str, read: str) -> None:
    """Paths can be appended to it."""
    assert ProbeEnvironment.read({"ENVIRONMENT": "dev", "API_URL": given}).api_url == read


@pytest.mark.parametrize(
    "given",
    [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1",
        "http://localhost@api.example.com",
        "https://user:7q@api.example.com",
        "https://api.example.com/?key=7q",
        "https://api.example.com/#7q",
        "https://api.example.com:port7q",
        "https://",
        "https://[7q",
        "file:///etc/passwd",
        "ftp://127.0.0.1",
        "api.example.com",
        "",
    ],
)
def test_an_address_that_is_none_or_not_safe_is_refused(given: str) -> None:
    """Without TLS anybody on the way could answer in the API's place."""
    with pytest.raises(EnvironmentVariableError, match="API_URL") as error:
        ProbeEnvironment.read({"ENVIRONMENT": "dev", "API_URL": given})

    assert "7q" not in str(error.value)
