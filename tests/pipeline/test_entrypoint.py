"""The command line of a stage: paths in, a user's mistake out as one line."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple

import pytest
from helpers import DEADLINE, fails, fails_here
from safetensors import SafetensorError

from stages import sample
from yelp_stars.pipeline.entrypoint import SIGNALS, Live, call, run
from yelp_stars.pipeline.files import finished


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOMP_SPINCOUNT", "10")  # so that what `run` sets ends with the test
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Nothing(NamedTuple):
    pass


class Data(NamedTuple):
    data: Path


class One(NamedTuple):
    out: Path


class Several(NamedTuple):
    first: Path
    second: Path
    curves: Live


def stage_that_raises(error):
    def main(given: Nothing, made: One) -> None:
        made.out.write_text("half")
        raise error

    return main


def stage_that_notes(notes, look):
    def main(given: Nothing, made: Nothing) -> None:
        notes.append(look())

    return main


def test_the_paths_of_the_command_line_are_inputs_and_outputs_in_order(monkeypatch):
    def main(given: Data, made: Several) -> None:
        passed.append(given)
        assert made.curves == Path("curves")  # people watch it
        for path in made:
            path.mkdir()
        assert not Path("out/a").exists()
        assert not Path("out/b").exists()

    passed = []
    monkeypatch.setattr(sys, "argv", ["stages/x.py", "data/raw", "out/a", "out/b", "curves"])
    run(main)
    assert passed == [Data(Path("data/raw"))]
    assert sorted(map(str, Path.cwd().rglob("*"))) == [
        str(Path.cwd() / name) for name in ("curves", "out", "out/a", "out/b")
    ]


@pytest.mark.parametrize("missing", ["first", "second"])
def test_all_outputs_are_replaced_or_none(missing):
    def main(given: Nothing, made: Several) -> None:
        for name in {"first", "second"} - {missing}:
            getattr(made, name).write_text("new")

    with pytest.raises(FileNotFoundError):
        call(main, Path("a"), Path("b"), Path("curves"))
    assert list(Path.cwd().iterdir()) == []


def test_only_the_first_of_several_processes_renames(monkeypatch):
    def main(given: Nothing, made: One) -> None:
        names.append(made.out)

    names = []
    monkeypatch.setenv("RANK", "1")
    Path(".out.partial").touch()  # of the first process
    call(main, Path("out"))
    assert names == list(Path().iterdir()) == [Path(".out.partial")]
    assert finished(names[0]) == Path("out")


def test_threads_sleep_soon_unless_the_user_decides_otherwise(monkeypatch):
    main = stage_that_notes(seen := [], lambda: os.environ["GOMP_SPINCOUNT"])
    monkeypatch.setattr(sys, "argv", ["stages/x.py"])
    run(main)
    monkeypatch.delenv("GOMP_SPINCOUNT")
    run(main)
    assert seen == ["10", "10000"]


# What a notebook, an image, a cluster or another launcher leaves in the environment.
FOREIGN = [
    *(f"ACCELERATE_{name}" for name in ("MIXED_PRECISION", "USE_CPU", "USE_FSDP", "USE_DEEPSPEED")),
    *(f"ACCELERATE_{name}" for name in ("GRADIENT_ACCUMULATION_STEPS", "DYNAMO_BACKEND")),
    *("FSDP_CPU_RAM_EFFICIENT_LOADING", "MEGATRON_LM_TP_DEGREE", "PARALLELISM_CONFIG_TP_SIZE"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "PYTORCH_TUNABLEOP_ENABLED"),
    *("TORCH_BLAS_PREFER_CUBLASLT", "TORCH_LINALG_PREFER_CUSOLVER", "TORCH_COMPILE_DISABLE"),
    *("TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_USE_FAST_MATH", "XLA_USE_BF16", "DVCLIVE_RESUME"),
    *("MPLBACKEND", "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("PMI_SIZE", "OMPI_COMM_WORLD_RANK"),
]
OWN = [
    *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "TORCHINDUCTOR_CACHE_DIR", "TORCH_HOME"),
    *("HF_HUB_OFFLINE", "HF_TOKEN", "STARS_LAUNCHER", "TORCH_NCCL_BLOCKING_WAIT"),
    *("DASK_SCHEDULER_ADDRESS", "PYTORCH_CUDA_ALLOC_CONF", "MASTER_ADDR"),
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_stage_does_not_see_variables_that_would_change_its_result(monkeypatch, name):
    main = stage_that_notes(seen := [], lambda: name in os.environ)
    monkeypatch.setattr(sys, "argv", ["stages/x.py"])
    monkeypatch.setenv(name, "1")
    run(main)
    assert seen == [False]


def test_a_stage_sees_what_is_the_users_own_and_what_torchrun_sets(monkeypatch):
    ranks = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"]
    main = stage_that_notes(seen := [], lambda: {*OWN, *ranks} - {*os.environ})
    monkeypatch.setattr(sys, "argv", ["stages/x.py"])
    for name in [*OWN, *ranks]:
        monkeypatch.setenv(name, "1")
    run(main)
    assert seen == [set()]


@pytest.mark.parametrize("paths", [(), ("data/tokenized",), ("a", "b", "c", "d")])
def test_a_wrong_number_of_paths_is_reported_with_the_usage_before_params_are_read(paths):
    assert fails_here(sample.main, *paths).startswith(
        "usage: python -m stages.sample tokenized audit sampled (`dvc repro` runs it)"
    )


def test_a_user_error_is_one_line_on_stderr_and_exit_code_1(data_project):
    (data_project / "params.yaml").unlink()
    error = fails("python", "-m", "stages.download", "a", "b", "raw", "u", "m", cwd=data_project)
    assert error == "no file 'params.yaml' here; run from the project's folder"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOENT, "run `dvc repro` or `dvc pull`"),
        (errno.EISDIR, "a file is expected there: move the folder away"),
        (errno.EACCES, "change its permissions"),
        (errno.EFBIG, "free some space and run again"),
    ],
)
def test_an_error_of_the_operating_system_is_one_line_with_the_file_and_what_to_do(number, advice):
    error = fails_here(stage_that_raises(OSError(number, os.strerror(number), "a\x1b[3m")), "out")
    assert error == rf"{os.strerror(number)} 'a\x1b[3m'; {advice}"


def test_no_space_for_temporary_files_is_reported_as_that():
    def main(given: Nothing, made: One) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", None)
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
            try:
                tempfile.gettempdir()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    error = fails_here(main, "out")
    assert error.startswith("No usable temporary directory found in ['")
    assert error.endswith("]; free some space and run again")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "the memory is exhausted; close other programs"),
        (UnpicklingError("weights only"), "models/checkpoints has a file that could hold code"),
        (RecursionError("maximum\ndepth"), "an input is nested too deeply: maximum depth"),
        (SafetensorError("I/O error"), "the weights could not be read or written: I/O error"),
    ],
)
def test_an_exhausted_machine_is_one_line(error, message):
    assert fails_here(stage_that_raises(error), "out").startswith(message)


@pytest.mark.parametrize("error", [OSError("of a library"), KeyError("x")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr(sys, "argv", ["stages/x.py", "out"])
    with pytest.raises(type(error)) as caught:
        run(stage_that_raises(error))
    assert caught.value is error
    assert list(Path.cwd().iterdir()) == []


STUBBORN = """
import signal, sys
from pathlib import Path
from pickle import UnpicklingError
from typing import NamedTuple
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import remove_on_error

class Number(NamedTuple):
    number: Path

class Out(NamedTuple):
    out: Path

class Swallowing:
    def __del__(self):  # as in pyarrow's import of pandas: an exception here is only printed
        signal.raise_signal(int(sys.argv[1]))

def main(given: Number, made: Out) -> None:
    with remove_on_error(Path("curves")):
        made.out.mkdir()
        (made.out / "half").write_text("half")
        Path("curves").mkdir()
        try:
            del (lambda: Swallowing())().x
        except BaseException:
            print("swallowed")

run(main)
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_stage_wherever_it_is_and_leaves_nothing(number, code):
    command = [sys.executable, "-c", STUBBORN, str(int(number)), "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")
    assert list(Path.cwd().iterdir()) == []


def test_a_stage_that_runs_already_is_one_line_and_one_that_has_ended_is_not(monkeypatch):
    main = stage_that_notes(calls := [], os.getpid)
    script = Path("x.py")
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script)])
    with script.open() as running:
        fcntl.flock(running, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="the stage 'x' is running in this folder already"):
            run(main)
    assert calls == []
    run(main)
    assert len(calls) == 1


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    main = stage_that_notes(seen := [], lambda: signal.getsignal(signal.SIGINT))
    monkeypatch.setattr(sys, "argv", ["stages/x.py"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup does
    run(main)
    assert seen == [signal.SIG_IGN]


def test_a_stage_that_has_finished_exits_with_0_whatever_arrives_then():
    script = STUBBORN[: STUBBORN.index("class Swallowing")]
    script += "def main(given: Number, made: Number) -> None: made.number.touch()\nrun(main); "
    script += "signal.raise_signal(int(sys.argv[1])); print('still here')"
    command = [sys.executable, "-c", script, str(int(signal.SIGINT)), "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")
