"""The service as the emulator calls it: requests in, answers out, everything saved and taken up again."""

from __future__ import annotations

import asyncio
import copy
import functools
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from sandbox.cloud import patches, scope
from sandbox.cloud.codedeploy import model
from sandbox.cloud.codedeploy.deployment import Run, Surroundings
from sandbox.cloud.codedeploy.model import ServiceError
from sandbox.cloud.codedeploy.operations import ACTIVE, Region

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from sandbox.cloud.clock import Clock
    from sandbox.cloud.codedeploy.deployment import Halt
    from sandbox.cloud.codedeploy.operations import Record
    from sandbox.cloud.scope import Answer

_log = logging.getLogger("sandbox.codedeploy")

_NAME: Final = "codedeploy"
_TARGET: Final = "CodeDeploy_20141006"
_HEADERS: Final = {"Content-Type": "application/x-amz-json-1.1"}
_STORES: Final = ("applications", "configs", "deployments")
_SERVED_SOON: Final = 0.05


class CodeDeploy:
    """The service. To the emulator it is one more of its own modules."""

    def __init__(self, clock: Clock, endpoint: str) -> None:
        """Have the emulator serve it; nothing runs yet.

        Args:
            clock: the sandbox's.
            endpoint: the sandbox's own, `http://127.0.0.1:PORT`.
        """
        self._regions: dict[tuple[str, str], Region] = {}
        self._runs: dict[str, tuple[Run, asyncio.Task[None]]] = {}
        self._around = Surroundings(endpoint=endpoint, clock=clock, ended=self._ended)
        patches.add_service(_NAME, _TARGET, self)

    def resume(self) -> None:
        """Take up the deployments that had not ended when the state was saved, once the sandbox is served."""
        for region in self._regions.values():
            for record in list(region.deployments.values()):
                if record["info"]["status"] in ACTIVE:
                    _log.info("%s goes on", record["info"]["deploymentId"])
                    run = self._run(region, record)
                    self._start(run, self._when_served(run))

    async def close(self) -> None:
        """Let go of what runs, as it is."""
        runs = list(self._runs.values())
        for run, task in runs:
            run.abandon()
            task.cancel()
        await asyncio.gather(*(task for _, task in runs), return_exceptions=True)

    def region(self, account: str, home: str) -> Region:
        """Return what an account has in a region."""
        made = Region(account=account, home=home, begin=self._begin, stop=self._stop)
        return self._regions.setdefault((account, home), made)

    # -- what the emulator asks of a module --------------------------------------------------------------------------

    async def handle_request(
        self, _method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Mapping[str, Any]
    ) -> Answer:
        """Answer a request that was authorised."""
        from ministack.core.responses import get_account_id

        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            answer = self._answer(self.region(str(get_account_id()), scope.region()), operation, body)
        except ServiceError as error:
            return 400, _HEADERS.copy(), json.dumps({"__type": error.code, "message": str(error)}).encode()
        return 200, _HEADERS.copy(), json.dumps(answer).encode()

    def get_state(self) -> dict[str, Any]:
        """Return a copy of everything, as JSON has it."""
        return copy.deepcopy(
            {
                f"{account}/{home}": {name: getattr(region, name) for name in _STORES}
                for (account, home), region in self._regions.items()
            }
        )

    def load_persisted_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `get_state` returned."""
        for where, stores in state.items():
            account, _, home = where.partition("/")
            region = self.region(account, home)
            for name in _STORES:
                getattr(region, name).update(stores[name])

    def reset(self) -> None:
        """Forget everything."""
        self._regions.clear()

    # -- deployments -------------------------------------------------------------------------------------------------

    def _answer(self, region: Region, operation: str, body: bytes) -> Record:
        act: Callable[[Record], Record] | None = getattr(region, played().get(operation, ""), None)
        if act is None:
            message = f"the sandbox does not play {operation} of CodeDeploy: it has what deployments to Lambda need"
            raise ServiceError("OperationNotSupportedException", message)
        try:
            asked = json.loads(body or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", "the request is no JSON") from error
        model.check(operation, asked)
        return act({name: value for name, value in asked.items() if value is not None})

    def _run(self, region: Region, record: Record) -> Run:
        return Run((region.account, region.home), record, self._around)

    def _begin(self, region: Region, record: Record) -> None:
        run = self._run(region, record)
        self._start(run, run.run())

    def _start(self, run: Run, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        identifier = run.info["deploymentId"]
        self._runs[identifier] = run, task
        task.add_done_callback(lambda _: self._runs.pop(identifier, None))

    async def _when_served(self, run: Run) -> None:
        host, _, port = self._around.endpoint.rpartition("/")[2].partition(":")
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(_SERVED_SOON)
            else:
                writer.close()
                break
        await run.run()

    def _stop(self, identifier: str, rollback: bool | None) -> None:
        self._runs[identifier][0].stop(rollback)

    def _ended(self, run: Run, halt: Halt | None) -> Record | None:
        """Note a deployment's end, and begin its rollback in the same moment, where its configuration wants that."""
        region = self.region(*run.owner)
        region.ended(run.record)
        if halt is None or not halt.event or run.is_rollback or run.record["plan"]["shift"] is None:
            return None
        configured = run.info["autoRollbackConfiguration"]
        wanted = bool(configured.get("enabled")) and halt.event in (configured.get("events") or ())
        if halt.event == "DEPLOYMENT_STOP_ON_REQUEST" and run.rollback_wanted is not None:
            wanted = run.rollback_wanted
        return region.roll_back(run.record) if wanted else None


@functools.cache
def played() -> dict[str, str]:
    """Return the operations that are played, and the methods of `Region` that do."""
    from botocore import xform_name

    names = {name: xform_name(name) for name in model.service().operation_names}
    return {name: method for name, method in names.items() if hasattr(Region, method)}
