"""What a script needs around its work: log, errors, threads, device, random streams."""

import hashlib
import logging
import os
import platform
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from genosiege import code_digest, slurm_jobs
from genosiege.errors import InputError

if TYPE_CHECKING:
    import torch


SCRIPTS = Path(__file__).resolve().parents[1]

MODELLING = {
    "torch": "torch",
    "transformers": "transformers",
    "tokenizers": "tokenizers",
    "scikit-learn": "sklearn",
    "xgboost": "xgboost",
}
"""Packages whose version a model's numbers hang on, with the modules that they are."""


class Job(Protocol):
    """What a script is given, of Snakemake's object."""

    @property
    def log(self) -> Sequence[str]:
        """Paths of its log."""

    @property
    def params(self) -> Any:
        """Its rule's parameters, `code` among them."""


@contextmanager
def script(job: Job, is_part: bool = False) -> Iterator[None]:
    """Run a script's body: output to its log, a user's mistake as one line.

    Parameters
    ----------
    job : Job
        What Snakemake calls `snakemake`; the folder of its log is created.
    is_part : bool
        Whether this process does a part of the job for another, whose log it goes on with.

    Raises
    ------
    SystemExit
        With code 1 after an `InputError`, whose one line goes to the log and to the
        terminal, as warnings of ours do; also where the code says something else, when the body
        begins or when it has ended, than when the workflow was called. Other exceptions leave
        their traceback in the log and pass on.
    """
    log, code = job.log[0], job.params.code
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    if not is_part:
        # A job left over from a killed call may still be writing to the old file.
        Path(log).unlink(missing_ok=True)
    terminal = sys.stderr
    # Line by line, so that a reader can follow a long job.
    with (
        open(log, "a", buffering=1) as handle,
        redirect_stdout(handle),
        redirect_stderr(handle),
    ):
        logging.basicConfig(
            stream=handle,
            level=logging.INFO,
            format="%(asctime)s %(name)s: %(message)s",
            datefmt="%H:%M:%S",
            force=True,
        )
        # Of ours alone: a library's are for who reads the log.
        ours, warnings = logging.getLogger(__package__), logging.StreamHandler(terminal)
        warnings.setLevel(logging.WARNING)
        warnings.setFormatter(logging.Formatter("Warning: %(message)s"))
        ours.addHandler(warnings)
        try:
            # A cluster that takes the node back says so: what runs may save its state.
            signal.signal(signal.SIGTERM, _stop)
            code_digest.check(code, SCRIPTS)
            yield
            code_digest.check(code, SCRIPTS)
        except _Stopped:
            if not is_part:
                slurm_jobs.requeue_if_preempted()
            raise
        except InputError as error:
            # A path may have line ends.
            line = " ".join(str(error).splitlines())
            for reader in (handle, terminal):
                reader.write(f"Error: {line}\n")
                reader.flush()
            raise SystemExit(1) from None
        except Exception:
            logging.getLogger(__name__).exception("This job failed through no fault of its input:")
            raise
        finally:
            ours.removeHandler(warnings)


class _Stopped(SystemExit):
    """Somebody asked this process to stop; it may save its state on the way out."""


def _stop(number: int, _frame: object) -> None:
    # Whoever saves its state is not to be stopped once more.
    signal.signal(number, signal.SIG_IGN)
    logging.getLogger(__name__).info("stopped by signal %d", number)
    raise _Stopped(128 + number)


def use(threads: int) -> None:
    """Bind this process to a number of threads, and fp32 to mean fp32.

    Thread counts are part of what makes two runs equal: a sum split over other threads
    rounds otherwise. On a GPU, convolutions and matrix products would take TF32 for fp32,
    and cuDNN would choose its algorithms by their speed of the day.
    """
    import torch

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


DEVICE = "GENOSIEGE_DEVICE"
"""Environment variable that tells jobs the setting `compute: device`, which is no parameter."""


def device() -> "torch.device":
    """Return the device that the settings ask for; `auto`: the first of CUDA, else the CPU.

    Raises
    ------
    InputError
        If this job was given a GPU, or asks for one, and torch finds none: days of work on a GPU
        would take months on the CPU, and nobody would know.
    """
    import torch

    asked = os.environ.get(DEVICE, "auto")
    if asked == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    names = ("SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES")
    given = [f"{name}={os.environ[name]}" for name in names if _names_a_gpu(os.environ.get(name))]
    if asked == "cuda" or given:
        why = f"this job was given a GPU ({given[0]})" if given else "compute: device is cuda"
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
        raise InputError(
            f"{why}, and torch {torch.__version__}, built {built}, finds none ({_driver()}); "
            "install a build of torch for this driver, or set compute: device: cpu."
        )
    return torch.device("cpu")


def _names_a_gpu(value: str | None) -> bool:
    """Whether CUDA_VISIBLE_DEVICES and the like name a GPU; −1 and nothing hide all."""
    return value is not None and value.strip() not in ("", "-1", "NoDevFiles")


def _driver() -> str:
    try:
        line = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    except (OSError, IndexError):
        return "there is no driver of NVIDIA"
    version = re.search(r"\d+\.\d+[.\d]*", line)
    return f"NVIDIA's driver {version[0] if version else 'of unknown version'}"


def machine(device: "torch.device | None" = None) -> str:
    """Name the processor of this machine, or the GPU where the device is one."""
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def made_with() -> dict[str, Any]:
    """Say what this process makes its results with: versions of what it has loaded, the machine."""
    loaded = {name: module for name, module in MODELLING.items() if module in sys.modules}
    versions = {"Python": platform.python_version()}
    versions |= {name: metadata.version(name).split("+")[0] for name in loaded}
    return {"versions": versions, "machine": machine(device() if "torch" in loaded else None)}


def stream(*names: str | int) -> np.random.Generator:
    """Make the random stream that belongs to these names.

    Parameters
    ----------
    *names : str or int
        Whose stream it is: (seed, sequence id, purpose). Equal names give equal
        streams, whatever else ran before, on any machine.

    Returns
    -------
    numpy.random.Generator
        A PCG64 generator seeded from SHA-256 of the names.
    """
    digest = hashlib.sha256("\x1f".join(str(name) for name in names).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def choose_precision(requested: str, device: "torch.device", n_parameters: int) -> str:
    """Settle `auto`: bf16 where the device is fast at it and the model is large enough.

    Parameters
    ----------
    requested : str
        `auto`, `fp32` or `bf16`.
    device : torch.device
        Where the model runs.
    n_parameters : int
        Size of the model. Below ten million, a forward is not bound by its matrix
        products, and fp32 costs nothing.

    Returns
    -------
    str
        `fp32` or `bf16`.

    Raises
    ------
    InputError
        If there is no such precision.
    """
    if requested not in ("auto", "fp32", "bf16"):
        raise InputError(f'precision "{requested}": choose auto, fp32 or bf16.')
    if requested != "auto":
        return requested
    return "bf16" if n_parameters >= 10_000_000 and _fast_bf16(device) else "fp32"


def _fast_bf16(device: "torch.device") -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return not flags.isdisjoint({"avx512_bf16", "amx_bf16"})
