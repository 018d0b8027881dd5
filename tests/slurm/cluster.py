"""A real SLURM of one node in a folder of its own, for tests.

    python tests/slurm/cluster.py start FOLDER [--no-accounting]
    SLURM_CONF=FOLDER/slurm.conf PATH=FOLDER/bin:$PATH sinfo
    python tests/slurm/cluster.py stop FOLDER

Configuration, sockets, keys, database and logs lie in FOLDER; ports are free ones on loopback.
(slurmdbd of this version knows no address to listen at; like the others it answers only to the
cluster's own munge key.) Every daemon's process id is written down when it starts, and `stop` ends
these processes alone.
Needs root and Debian's packages slurm-wlm, slurmdbd, mariadb-server, munge.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd")
DAEMONS = ("slurmctld", "slurmd", "slurmdbd")
"""None of them may run already."""
N_GPUS = 2
MEMORY_MB = 64_000
"""What the node is said to have: jobs of two cores at a time need no real limit."""
GRACE_SECONDS = 20
"""What a job has to save its state when a job of the partition `urgent` takes its place."""


class ClusterError(Exception):
    """Why there can be no cluster here, in one line."""


class Cluster:
    """One node with two GPUs that are none, three partitions, and its daemons.

    Parameters
    ----------
    folder : Path
        Where everything of it lies; made if it does not exist.
    accounting : bool
        Whether jobs are kept in a database, which `sacct` asks.
    """

    def __init__(self, folder: Path, accounting: bool = True) -> None:
        self.folder = folder.resolve()
        self.accounting = accounting
        self.node = socket.gethostname().split(".")[0]
        self._record = self.folder / "processes.json"

    @property
    def env(self) -> dict[str, str]:
        """What SLURM's commands need to be told."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Write the configuration and start the daemons.

        Raises
        ------
        ClusterError
            If this is not root, a program is missing, or a SLURM runs already.
        """
        refuse_unless_possible()
        self.folder.mkdir(parents=True, exist_ok=True)
        # munge refuses keys and sockets in folders that others may write to.
        self.folder.chmod(0o755)
        ports = free_ports(4)
        self._write_configuration(*ports)
        try:
            self._start_munge()
            if self.accounting:
                self._start_accounting(ports[3])
            self._spawn("slurmctld", ["slurmctld", "-D", "-c"])
            self._wait(lambda: self._says("scontrol", "ping", "is UP"), "slurmctld")
            self._spawn("slurmd", ["slurmd", "-D", "-N", self.node])
            self._wait(lambda: self._says("sinfo", "--noheader", "idle"), "slurmd")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all jobs, then the recorded processes, the last one first."""
        recorded = self._recorded()
        if "slurmctld" in recorded:
            self.call("scancel", "--user=root", check=False)
            self.call("scancel", "--user=root", "--signal=KILL", check=False)
            end = time.monotonic() + 15
            while self.call("squeue", "--noheader", check=False) and time.monotonic() < end:
                time.sleep(0.5)
        for process in reversed(recorded.values()):
            end_process(process)
        self._record.unlink(missing_ok=True)

    def be_out_of_reach(self, seconds: float) -> None:
        """End slurmctld, and start it again after a while; jobs go on meanwhile."""
        end_process(self._recorded()["slurmctld"])
        time.sleep(seconds)
        self._spawn("slurmctld", ["slurmctld", "-D"])
        self._wait(lambda: self._says("scontrol", "ping", "is UP"), "slurmctld")

    def call(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands and give what it prints."""
        finished = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        if check and finished.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {finished.stderr.strip()}")
        return finished.stdout

    def _says(self, command: str, argument: str, expected: str) -> bool:
        return expected in self.call(command, argument, check=False)

    def _spawn(self, name: str, command: Sequence[str], log: str | None = None) -> None:
        with open(self.folder / f"{log or name}.log", "ab") as handle:
            process = subprocess.Popen(
                command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
            )
        recorded = {**self._recorded(), name: [process.pid, began(process.pid)]}
        self._record.write_text(json.dumps(recorded, indent=2))

    def _wait(self, ready: Callable[[], bool], name: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end or name not in self._alive():
                raise ClusterError(f"{name} does not answer; see {self.folder}/{name}.log")
            time.sleep(0.2)

    def _recorded(self) -> dict[str, tuple[int, int]]:
        """Give the process id and the start of each daemon, in the order they began in."""
        return json.loads(self._record.read_text()) if self._record.exists() else {}

    def _alive(self) -> set[str]:
        return {name for name, process in self._recorded().items() if is_alive(process)}

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        socket_file = self.folder / "munge.socket"
        self._spawn(
            "munged",
            [
                "munged",
                "--foreground",
                "--force",
                f"--socket={socket_file}",
                f"--key-file={key}",
                f"--pid-file={self.folder}/munge.pid",
                f"--seed-file={self.folder}/munge.seed",
                f"--log-file={self.folder}/munged.log",
            ],
            "munged.out",
        )
        self._wait(socket_file.exists, "munged")

    def _start_accounting(self, database_port: int) -> None:
        data = self.folder / "database"
        if not data.exists():
            subprocess.run(
                [
                    "mariadb-install-db",
                    "--no-defaults",
                    "--user=root",
                    f"--datadir={data}",
                    "--skip-test-db",
                ],
                check=True,
                capture_output=True,
            )
        users = self.folder / "users.sql"
        users.write_text(
            "CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';\n"
            "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';\n"
        )
        self._spawn(
            "mariadbd",
            [
                "mariadbd",
                "--no-defaults",
                "--user=root",
                f"--datadir={data}",
                f"--socket={self.folder}/database.socket",
                f"--pid-file={self.folder}/database.pid",
                "--bind-address=127.0.0.1",
                f"--port={database_port}",
                f"--init-file={users}",
                "--skip-name-resolve",
                "--innodb-buffer-pool-size=64M",
            ],
        )
        self._wait(lambda: answers(database_port), "mariadbd")
        self._spawn("slurmdbd", ["slurmdbd", "-D"])
        self._wait(self._add_account, "slurmdbd")

    def _add_account(self) -> bool:
        """Make the cluster and an account known; False while slurmdbd is not ready."""
        for what in (
            ["cluster", "tests"],
            ["account", "tests", "cluster=tests"],
            ["user", "root", "account=tests", "cluster=tests"],
        ):
            finished = subprocess.run(
                ["sacctmgr", "--immediate", "add", *what],
                env=self.env,
                capture_output=True,
                text=True,
                timeout=60,
            )
            # What is there already "adds nothing", with an exit status of 1.
            if finished.returncode != 0 and "lready exist" not in finished.stdout:
                return False
        return True

    def _write_configuration(
        self, controller_port: int, node_port: int, accounting_port: int, database_port: int
    ) -> None:
        here = self.folder
        storage = (
            f"AccountingStorageType=accounting_storage/slurmdbd\n"
            f"AccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={accounting_port}\n"
            # With munge, the "password" is the socket.
            f"AccountingStoragePass={here}/munge.socket\n"
            "AccountingStorageTRES=gres/gpu\n"
            "AccountingStoreFlags=job_comment\n"
            "JobAcctGatherType=jobacct_gather/linux\n"
            if self.accounting
            else "AccountingStorageType=accounting_storage/none\n"
        )
        (here / "slurm.conf").write_text(f"""\
ClusterName=tests
SlurmctldHost={self.node}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
# A job that goes back into the queue waits there until its credential is surely void.
AuthInfo=socket={here}/munge.socket,cred_expire=10
SlurmUser=root
SlurmdUser=root
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdLogFile={here}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2
GresTypes=gpu
JobRequeue=1
KillWait=10
MinJobAge=300
ReturnToService=1
SlurmdTimeout=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
{storage}
NodeName={self.node} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory={MEMORY_MB} \
Gres=gpu:{N_GPUS} State=UNKNOWN
PartitionName=cpu Nodes={self.node} Default=YES PriorityTier=1
PartitionName=gpu Nodes={self.node} PriorityTier=1 GraceTime={GRACE_SECONDS}
PartitionName=urgent Nodes={self.node} PriorityTier=10 PreemptMode=OFF
""")
        devices = [here / f"gpu{number}" for number in range(N_GPUS)]
        for device in devices:
            if not device.exists():
                # The null device under another name: something that can be allocated.
                os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        lines = [f"NodeName={self.node} Name=gpu File={device}" for device in devices]
        (here / "gres.conf").write_text("\n".join(["AutoDetect=off", *lines]) + "\n")
        (here / "cgroup.conf").write_text("CgroupAutomount=no\n")
        # The executor plugin drops all SLURM_* variables before it calls srun in a job.
        srun = here / "bin/srun"
        srun.parent.mkdir(exist_ok=True)
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={here}/slurm.conf exec /usr/bin/srun "$@"\n')
        srun.chmod(0o755)
        secret = here / "slurmdbd.conf"
        secret.write_text(f"""\
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
DbdHost={self.node}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
LogFile={here}/slurmdbd.log
PidFile={here}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
""")
        secret.chmod(0o600)
        for name in ("state", "spool"):
            (here / name).mkdir(exist_ok=True)


def refuse_unless_possible() -> None:
    """Raise `ClusterError` where a cluster of our own would be impossible, or not alone."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster needs root; run this as root, in a container, say.")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        raise ClusterError(
            f"{', '.join(missing)}: not here; install slurm-wlm, slurmdbd, mariadb-server, munge."
        )
    for name in DAEMONS:
        pids = running(name)
        if pids:
            raise ClusterError(f"{name} runs already (process {pids[0]}); stop that cluster first.")


def running(name: str) -> list[int]:
    """List the processes of this name."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if entry.read_text().strip() == name:
                found.append(int(entry.parent.name))
    return [pid for pid in found if began(pid)]


def began(pid: int) -> int:
    """Give when a process began, in clock ticks since boot; 0 where it has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        # After the name in brackets, which may hold anything.
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def is_alive(process: tuple[int, int]) -> bool:
    """Tell whether a recorded process runs; one that has its number but is another does not."""
    pid, start = process
    return began(pid) == start


def end_process(process: tuple[int, int], seconds: float = 20) -> None:
    """End a recorded process, kindly at first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_alive(process):
            os.kill(process[0], number)
        end = time.monotonic() + seconds
        while is_alive(process) and time.monotonic() < end:
            time.sleep(0.1)


def free_ports(n: int) -> list[int]:
    """Find ports on loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def answers(port: int) -> bool:
    """Tell whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Start or stop a cluster from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-accounting", action="store_true", help="no database, no sacct")
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder, accounting=not arguments.no_accounting)
    try:
        cluster.start() if arguments.action == "start" else cluster.stop()
    except ClusterError as error:
        sys.exit(f"Error: {error}")
    if arguments.action == "start":
        print(f"export SLURM_CONF={cluster.folder}/slurm.conf PATH={cluster.folder}/bin:$PATH")


if __name__ == "__main__":
    main()
