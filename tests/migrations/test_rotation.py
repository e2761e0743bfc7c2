"""The rotation on a real database: four steps, each killed anywhere and repeated, and nobody is ever locked out."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.database import Database
from migrations import access, rotation
from migrations.access import Access, AccessError, Secrets
from migrations.environment import RotationEnvironment
from migrations.rotation import Rotation, RotationError
from tests.migrations.test_users import NOTHING
from tests.support.secrets_manager import arn

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.postgres import Cluster
    from tests.support.world import World

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
SECRETS = {"api-secret": "product_api", "migrator-secret": "product_migrator"}


class Killed(BaseException):
    """What ends a function's process."""


@dataclass
class Fuse:
    """Kills whoever makes the n-th call to the outside, before it has an effect or after.

    Attributes:
        left: Calls until then; negative for never.
        afterwards: Whether the call takes effect.
    """

    left: int = -1
    afterwards: bool = False

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            kill = self.left == 0
            self.left -= 1
            if kill and not self.afterwards:
                raise Killed
            try:
                return call(*args, **kwargs)
            finally:
                if kill:
                    raise Killed

        return counted


class Wire:
    """A Secrets Manager at the other end of a wire that can be cut."""

    def __init__(self, manager: object, fuse: Fuse) -> None:
        self._manager, self._fuse = manager, fuse

    def __getattr__(self, name: str) -> Any:
        return self._fuse.around(getattr(self._manager, name))


def rotation_of(world: World, fuse: Fuse | None = None, **environment: str) -> Rotation:
    """A rotation function for a database, whose calls to the outside can be cut off."""
    variables = {
        "ENVIRONMENT": "test",
        "DATABASE_HOST": str(world.cluster.server.sockets),
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": world.database,
        "DATABASE_CA": __file__,
        "MIGRATOR_SECRET": "migrator-secret",
        "API_SECRET": "api-secret",
    }
    fuse = fuse or Fuse()
    way = Access(
        parameters=world.cluster.parameters(world.database),
        secrets=Secrets(client=Wire(world.secrets, fuse)),  # type: ignore[arg-type] - has what is asked of it
        driver=fuse.around(psycopg.connect),
    )
    return Rotation(environment=RotationEnvironment.read(variables | environment), access=way)


def rotate(world: World, secret: str, version: str, *steps: str) -> None:
    """Rotate a secret as Secrets Manager does, to its end or as far as it is told."""
    turn = world.secrets.rotate(secret, version)
    for step in steps or STEPS:
        rotation_of(world).run({"Step": step, **turn})


def enters(world: World, login: dict[str, str]) -> bool:
    """Whether the database lets somebody in."""
    try:
        psycopg.connect(
            **world.cluster.parameters(world.database), user=login["username"], password=login["password"]
        ).close()
    except psycopg.OperationalError:
        return False
    return True


def nobody_is_locked_out(world: World) -> None:
    """The API opens a new connection, the migrator logs in, and the users step finds nothing to mend."""
    database = Database(
        parameters=world.cluster.parameters(world.database), secret="api-secret", secrets=lambda: world.secrets
    )
    assert database.read(lambda c: c.info.user) == "product_api"
    database.close()
    assert world.migrator().run({"action": "status"})["head"] is None
    assert world.migrator().run({"action": "users"}) == NOTHING


@pytest.mark.parametrize("secret", SECRETS)
def test_a_rotation_gives_one_user_a_new_password(ready: World, secret: str) -> None:
    """The old one is refused from then on, and is the secret's previous version; the other user keeps its own."""
    before = {name: ready.secrets.login(name) for name in SECRETS}
    rotate(ready, secret, "version-1")

    after = {name: ready.secrets.login(name) for name in SECRETS}
    assert after[secret]["username"] == SECRETS[secret]
    assert {name for name in SECRETS if before[name] != after[name]} == {secret}
    assert enters(ready, after[secret])
    assert not enters(ready, before[secret])
    assert ready.secrets.login(secret, "AWSPREVIOUS") == before[secret]
    assert ready.secrets.versions[secret]["AWSCURRENT"] == "version-1"
    nobody_is_locked_out(ready)


def test_the_next_rotation_works_like_the_first(ready: World) -> None:
    """The first has left its version pending and current, as the contract allows."""
    rotate(ready, "api-secret", "version-1")
    first = ready.secrets.login("api-secret")
    rotate(ready, "api-secret", "version-2")

    assert first != ready.secrets.login("api-secret")
    assert enters(ready, ready.secrets.login("api-secret"))
    nobody_is_locked_out(ready)


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_after_any_step_everybody_can_log_in(ready: World, done: int) -> None:
    """With a connection that is opened just then; and a deployment at that moment breaks nothing."""
    turn = ready.secrets.rotate("api-secret", "version-1")
    for step in STEPS[:done]:
        rotation_of(ready).run({"Step": step, **turn})
    nobody_is_locked_out(ready)

    for step in STEPS[max(0, done - 1) :]:
        rotation_of(ready).run({"Step": step, **turn})
    assert enters(ready, ready.secrets.login("api-secret"))
    nobody_is_locked_out(ready)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("afterwards", [False, True])
def test_a_rotation_killed_at_any_call_is_finished_by_the_next_run(
    ready: World, secret: str, *, afterwards: bool
) -> None:
    """One kill at every call to the outside in turn, before and after its effect; then the step runs again."""
    calls = 0
    while True:
        fuse = Fuse(left=calls, afterwards=afterwards)
        turn = ready.secrets.rotate(secret, f"version-{calls}")
        killed = 0
        for step in STEPS:
            with contextlib.suppress(Killed):
                rotation_of(ready, fuse).run({"Step": step, **turn})
                continue
            killed += 1
            nobody_is_locked_out(ready)
            rotation_of(ready, fuse).run({"Step": step, **turn})
        assert ready.secrets.versions[secret]["AWSCURRENT"] == f"version-{calls}"
        assert enters(ready, ready.secrets.login(secret))
        calls += 1
        if not killed:  # there was no such call: all have had their turn
            break
    assert calls > 12


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    runs=st.lists(
        st.tuples(st.sampled_from([*STEPS, "users"]), st.integers(-1, 6), st.booleans()), min_size=1, max_size=10
    )
)
def test_steps_in_any_order_and_killed_anywhere_lock_nobody_out(
    ready: World, runs: list[tuple[str, int, bool]]
) -> None:
    """A step too early is refused, one too often changes nothing, and the right order ends it well after all that."""
    number = int(ready.secrets.versions["api-secret"]["AWSCURRENT"].rpartition("-")[2], 16) + 1
    version = f"version-{number:x}"
    turn = ready.secrets.rotate("api-secret", version)
    for step, left, afterwards in runs:
        with contextlib.suppress(Killed, RotationError):
            if step == "users":
                assert ready.migrator().run({"action": "users"}) == NOTHING
            else:
                rotation_of(ready, Fuse(left=left, afterwards=afterwards)).run({"Step": step, **turn})
        stages = [stage for stage in ("AWSCURRENT", "AWSPENDING") if stage in ready.secrets.secrets["api-secret"]]
        assert any(enters(ready, ready.secrets.login("api-secret", stage)) for stage in stages)
    for step in STEPS:
        rotation_of(ready).run({"Step": step, **turn})

    assert ready.secrets.versions["api-secret"]["AWSCURRENT"] == version
    assert enters(ready, ready.secrets.login("api-secret"))
    nobody_is_locked_out(ready)


def test_every_step_done_twice_changes_nothing_the_second_time(ready: World) -> None:
    """Neither the secret nor the stored verifier, whose salt would differ."""
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname = 'product_api'"
    turn = ready.secrets.rotate("api-secret", "version-1")
    for step in STEPS:
        rotation_of(ready).run({"Step": step, **turn})
        once = ready.cluster.server.sql(stored), json.dumps(ready.secrets.secrets), json.dumps(ready.secrets.versions)
        rotation_of(ready).run({"Step": step, **turn})
        assert once == (
            ready.cluster.server.sql(stored),
            json.dumps(ready.secrets.secrets),
            json.dumps(ready.secrets.versions),
        )


def test_the_test_of_a_configuration_passes_and_changes_nothing(ready: World) -> None:
    """RotateSecret that is not to rotate at once has testSecret run, on a pending version with the current value."""
    turn = ready.secrets.rotate("api-secret", "version-1")
    before = ready.secrets.login("api-secret")
    ready.secrets.secrets["api-secret"]["AWSPENDING"] = json.dumps(before)
    rotation_of(ready).run({"Step": "testSecret", **turn})

    assert before == ready.secrets.login("api-secret")
    assert enters(ready, before)


def test_the_new_password_is_not_shown_before_the_database_wants_it(ready: World) -> None:
    """Out of order, or after a hand has changed something."""
    turn = ready.secrets.rotate("api-secret", "version-1")
    for step in ("testSecret", "finishSecret", "setSecret"):
        with pytest.raises(RotationError, match="no value at AWSPENDING: createSecret comes first"):
            rotation_of(ready).run({"Step": step, **turn})
    rotation_of(ready).run({"Step": "createSecret", **turn})
    for step in ("testSecret", "finishSecret"):
        with pytest.raises(RotationError, match="product_api cannot log in with its pending password"):
            rotation_of(ready).run({"Step": step, **turn})

    nobody_is_locked_out(ready)


def test_a_user_whom_no_password_lets_in_is_an_error_with_the_remedy(ready: World) -> None:
    """And the remedy works: the rotation goes on from there."""
    ready.cluster.server.sql("ALTER ROLE product_api PASSWORD 'by hand'")
    turn = ready.secrets.rotate("api-secret", "version-1")
    rotation_of(ready).run({"Step": "createSecret", **turn})
    with pytest.raises(RotationError, match=r"neither with its current nor .* runs the users step"):
        rotation_of(ready).run({"Step": "setSecret", **turn})

    assert ready.migrator().run({"action": "users"}) == NOTHING | {"repaired": ["product_api"]}
    for step in STEPS[1:]:
        rotation_of(ready).run({"Step": step, **turn})
    assert enters(ready, ready.secrets.login("api-secret"))


@pytest.mark.parametrize("step", STEPS)
def test_a_secret_that_is_none_of_the_two_is_refused(ready: World, step: str) -> None:
    """Whatever it holds: the master's login would be changed as readily."""
    turn = ready.secrets.rotate("master-secret", "version-1")
    with pytest.raises(RotationError, match=r"master-secret.* is none of migrator-secret and api-secret"):
        rotation_of(ready).run({"Step": step, **turn})
    with pytest.raises(AccessError, match=r"nowhere.* cannot be described"):
        rotation_of(ready).run({"Step": step, "SecretId": arn("nowhere"), "ClientRequestToken": "version-1"})


def test_the_environment_may_name_the_secrets_by_arn(ready: World) -> None:
    """As that of the other functions may."""
    turn = ready.secrets.rotate("api-secret", "version-1")
    rotation_of(ready, API_SECRET=arn("api-secret")).run({"Step": "createSecret", **turn})

    assert "AWSPENDING" in ready.secrets.secrets["api-secret"]


@pytest.mark.parametrize("step", STEPS)
def test_a_version_that_is_not_pending_is_refused(ready: World, step: str) -> None:
    """Somebody invokes the function by hand, say, or an old event comes again."""
    turn = ready.secrets.rotate("api-secret", "version-1")
    for version in ("version-0", ""):
        with pytest.raises(RotationError, match="is not pending: only Secrets Manager begins a rotation"):
            rotation_of(ready).run({"Step": step, **turn, "ClientRequestToken": version})


@pytest.mark.parametrize("step", STEPS)
def test_a_rotation_that_is_not_enabled_is_refused(ready: World, step: str) -> None:
    """It was cancelled, say."""
    turn = ready.secrets.rotate("api-secret", "version-1")
    ready.secrets.rotating.clear()
    with pytest.raises(RotationError, match="is not enabled: enable it"):
        rotation_of(ready).run({"Step": step, **turn})


@pytest.mark.parametrize("step", ["", "dropSecret"])
def test_an_unknown_step_is_refused_with_the_known_ones(ready: World, step: str) -> None:
    """Before anything is looked at."""
    with pytest.raises(RotationError, match="createSecret, setSecret, testSecret, finishSecret"):
        rotation_of(ready).run({"Step": step})


def test_a_secret_with_another_users_login_is_refused(ready: World) -> None:
    """Or the API would be given the migrator's rights."""
    ready.secrets.create("api-secret", **ready.secrets.login("migrator-secret"))
    turn = ready.secrets.rotate("api-secret", "version-1")
    with pytest.raises(RotationError, match=r"names the user product_migrator at AWSCURRENT; .* product_api's own"):
        rotation_of(ready).run({"Step": "createSecret", **turn})


def test_an_empty_secret_is_refused_with_the_remedy(world: World) -> None:
    """The users step fills it."""
    turn = world.secrets.rotate("api-secret", "version-1")
    with pytest.raises(RotationError, match="no value at AWSCURRENT: run the users step first"):
        rotation_of(world).run({"Step": "createSecret", **turn})


def test_passwords_are_neither_logged_nor_told_to_the_server(
    world: World, other_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The server keeps every statement here, and gets a verifier; also when a step fails."""
    other_cluster.server.configure({"log_statement": "all"})
    caplog.set_level(logging.DEBUG)
    with other_cluster.database() as database:
        world.cluster, world.database = other_cluster, database
        world.__post_init__()
        world.migrator().run({"action": "users"})
        passwords = [world.secrets.login("api-secret")["password"]]
        rotate(world, "api-secret", "version-1")
        passwords.append(world.secrets.login("api-secret")["password"])
        with pytest.raises(RotationError) as failed:
            rotate(world, "api-secret", "version-2", "createSecret", "finishSecret")
        passwords.append(world.secrets.login("api-secret", "AWSPENDING")["password"])

    assert "ALTER ROLE" in other_cluster.log()
    assert len(set(passwords)) == 3
    for password in passwords:
        assert password not in other_cluster.log()
        assert password not in caplog.text
        assert password not in str(failed.value)


def test_the_handler_rotates_what_the_environment_names(ready: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a step that failed fails its invocation, so that it is tried again."""
    variables = {
        "ENVIRONMENT": "test",
        "DATABASE_HOST": str(ready.cluster.server.sockets),
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": ready.database,
        "DATABASE_CA": __file__,
        "MIGRATOR_SECRET": "migrator-secret",
        "API_SECRET": "api-secret",
    }
    monkeypatch.setattr(os, "environ", variables)
    monkeypatch.setattr(rotation, "secrets_manager", lambda: ready.secrets)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    rotation._rotation.cache_clear()
    turn = ready.secrets.rotate("api-secret", "version-1")
    try:
        for step in STEPS:
            rotation.handler({"Step": step, **turn}, None)
        with pytest.raises(RotationError, match="unknown step"):
            rotation.handler({**turn}, None)
    finally:
        rotation._rotation.cache_clear()

    assert enters(ready, ready.secrets.login("api-secret"))
    assert access.new_password() != access.new_password()
