# SPDX-License-Identifier: BSD-3-Clause
"""nbdcopy, which copies from the source server to the target server."""
from ..plan.commands import client_command
from .process import Process


class Client:
    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, source_uri: str, target_uri: str, bar: bool = False,
                    percent_to: int | None = None) -> "Client":
        """bar: shows a progress bar. percent_to: a file descriptor to which it writes its progress instead, as
        lines of N/100."""
        progress = "--progress" if bar else None
        if percent_to is not None:
            progress = f"--progress={percent_to}"
        inherited = [] if percent_to is None else [percent_to]
        return cls(await Process.start(client_command(source_uri, target_uri, progress), inherited))

    async def wait(self) -> int:
        """Until it ends. Returns its exit status."""
        return await self._process.wait()

    async def stop(self) -> None:
        self._process.terminate()
        await self._process.wait()

    def kill(self) -> None:
        self._process.kill()
