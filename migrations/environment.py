"""The environment variables of the functions that change the database, validated once per cold start."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self


class EnvironmentVariableError(Exception):
    """Environment variables that are missing or wrong, each named; values are left out, one of them may be a secret."""


def _certificate_file(value: str) -> str:
    # libpq has a "system" of its own; the one inside psycopg's wheel looks where no distribution keeps certificates.
    path = value
    if value == "system":
        known = ssl.get_default_verify_paths()
        candidates = (known.cafile, known.openssl_cafile, "/etc/pki/tls/certs/ca-bundle.crt")  # the last is Lambda's
        path = next((candidate for candidate in candidates if candidate and Path(candidate).is_file()), "")
        if not path:
            raise ValueError("this machine has no system store of certificates; give the path of a CA file")
    if not Path(path).is_file():
        raise ValueError("is neither 'system' nor the path of a readable CA file")
    return path


class _DatabaseEnvironment(BaseModel):
    """What every function beside the database is told; the field names in upper case are the variables' names.

    Secrets are ARNs or names.
    """

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    environment: Annotated[str, Field(min_length=1)]
    database_host: Annotated[str, Field(min_length=1)]
    database_port: Annotated[int, Field(ge=1, le=65535)]
    database_name: Annotated[str, Field(min_length=1)]
    database_ca: Annotated[str, AfterValidator(_certificate_file)]
    migrator_secret: Annotated[str, Field(min_length=1)]
    api_secret: Annotated[str, Field(min_length=1)]
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

    def parameters(self, function: str) -> dict[str, str | int]:
        """Libpq's parameters for a connection that verifies the server, without user and password.

        Args:
            function: Whose connection it is, as the server shows it in pg_stat_activity.
        """
        return {
            "host": self.database_host,
            "port": self.database_port,
            "dbname": self.database_name,
            "sslmode": "verify-full",
            "sslrootcert": self.database_ca,
            "application_name": f"product-api-{self.environment}-{function}",
            "connect_timeout": 10,
            "keepalives_idle": 30,  # an index is built for minutes without a byte on the wire
        }


class MigratorEnvironment(_DatabaseEnvironment):
    """What the migrator is told; RDS manages the master's secret, the users step fills the other two."""

    master_secret: Annotated[str, Field(min_length=1)]
    seeding: Literal["allowed"] | None = None


class RotationEnvironment(_DatabaseEnvironment):
    """What the rotation is told: which two secrets are its own."""
