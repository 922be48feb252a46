"""A Redis server that a test starts, stops, freezes and kills."""

import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from redis import Redis, RedisError

from tests.database.servers import wait_until
from tests.processes import free_port


class RedisServer:
    """A Redis server on a port of this machine. It writes its data to `folder` only on SAVE."""

    def __init__(self, folder: Path, *options: str, password: str = "") -> None:
        """`options` are words of the command line."""
        self.port = free_port()
        account = f":{quote(password, safe='')}@" if password else ""
        self.url = f"redis://{account}127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = [*options, *(["--requirepass", password] if password else [])]

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._options]
        self.process = subprocess.Popen(  # noqa: S603
            ["redis-server", *options],  # noqa: S607 -- the one of the system
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def client(self) -> Redis:
        return Redis.from_url(self.url)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        self.thaw()
        self.process.terminate()
        self.process.wait(10)
