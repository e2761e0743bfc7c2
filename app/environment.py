"""The environment variables of the functions of the API, validated once per cold start."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


class EnvironmentVariableError(Exception):
    """Environment variables that are missing or wrong, each named; values are left out, one of them may be a secret."""


def _certificate_file(value: str) -> str:
    """The CA file that a value stands for.

    libpq has its own "system", but the one inside psycopg's wheel looks where no distribution keeps certificates
    (/usr/lib/psycopg-openssl), so the interpreter's knowledge of the machine is used instead.
    """
    path = value
    if value == "system":
        known = ssl.get_default_verify_paths()
        # The second is where Lambda's Amazon Linux keeps it, should the interpreter be built with other paths.
        candidates = (known.cafile, known.openssl_cafile, "/etc/pki/tls/certs/ca-bundle.crt")
        path = next((candidate for candidate in candidates if candidate and Path(candidate).is_file()), "")
        if not path:
            raise ValueError("this machine has no system store of certificates; give the path of a CA file")
    if not Path(path).is_file():
        raise ValueError("is neither 'system' nor the path of a readable CA file")
    return path


def _api_url(value: str) -> str:
    """The address of an API, to which paths can be appended."""
    try:
        parts = urlsplit(value)
        host, secured, plain = parts.hostname, parts.scheme == "https", parts.scheme == "http"
        _ = parts.port  # raises where it is none
    except ValueError:
        raise ValueError("is no URL") from None
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("is no address of an API: it has a host, and neither user nor query nor fragment")
    if not secured and not (plain and _is_loopback(host)):
        raise ValueError("has to be https; http is for this machine only")
    return value.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


class _Environment(BaseModel):
    """What every function is told; the field names in upper case are the variables' names."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    environment: Annotated[str, Field(min_length=1)]
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self:
        """Validate the environment.

        Args:
            variables: The process environment.

        Raises:
            EnvironmentVariableError: Names every variable that is missing or wrong.
        """
        given = {name: variables[name.upper()] for name in cls.model_fields if name.upper() in variables}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(f"{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False))
            raise EnvironmentVariableError(f"the function's environment is not usable: {problems}") from None


class ApiEnvironment(_Environment):
    """What the API function is told by its environment."""

    database_host: Annotated[str, Field(min_length=1)]
    database_port: Annotated[int, Field(ge=1, le=65535)]
    database_name: Annotated[str, Field(min_length=1)]
    database_secret: Annotated[str, Field(min_length=1, description="ARN or name of a secret {username, password}")]
    database_ca: Annotated[str, AfterValidator(_certificate_file)]
    aws_lambda_function_version: str = "$LATEST"


class ProbeEnvironment(_Environment):
    """What the health probe is told by its environment."""

    api_url: Annotated[str, AfterValidator(_api_url)]
