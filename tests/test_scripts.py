"""The launchers: dry runs of each, and real ones against stand-ins for ssh, gcloud and Slurm."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
TRAINING = ["--config=configs/vae.py:arch=conv", "--config.train.steps=9"]
BUCKET = "--workdir=gs://bucket/run"
FOLDER = "--workdir=/shared/it's here"
CODE = "--repository=https://example.org/genjax.git"

# {name: (arguments of a complete command line, what its dry run has to begin its lines with)}.
COMMANDS = {
    "create": (["tpu_pod.sh", "create", "--zone=z"], ["gcloud", "gcloud"]),
    "install": (["tpu_pod.sh", "install", "--zone=z", CODE], ["gcloud"]),
    "train": (["tpu_pod.sh", "train", "--zone=z", BUCKET, *TRAINING], ["gcloud"]),
    "run": (["tpu_pod.sh", "run", "--zone=z", CODE, BUCKET, *TRAINING], ["gcloud"] * 6),
    "stop": (["tpu_pod.sh", "stop", "--zone=z"], ["gcloud"]),
    "status": (["tpu_pod.sh", "status", "--zone=z"], ["gcloud"]),
    "delete": (["tpu_pod.sh", "delete", "--zone=z", "--project=p"], ["gcloud"]),
    "slurm": (["slurm.sh", FOLDER, *TRAINING], ["sbatch", "#", "srun", "#", "scontrol"]),
    "jobset": (["jobset.sh", "--image=a/b:c", BUCKET, *TRAINING], ["kubectl"]),
    "ssh": (["ssh_hosts.sh", "--hosts=a,me@b", FOLDER, *TRAINING], ["ssh", "ssh"]),
}

# (arguments, what the one line says).
MISTAKES = [
    (["tpu_pod.sh", "--zone=z"], "one verb is needed"),
    (["tpu_pod.sh", "fly", "--zone=z"], "fly is no verb"),
    (["tpu_pod.sh", "create"], "--zone=... is missing"),
    (["tpu_pod.sh", "create", "--zone=z", "--type=v99-8"], "--type=v99-8 has no runtime"),
    (["tpu_pod.sh", "train", "--zone=z", *TRAINING], "--workdir=... is missing"),
    (["tpu_pod.sh", "train", "--zone=z", "--workdir=/x", *TRAINING], "has to be gs://"),
    (["slurm.sh", FOLDER], "--config=... is missing"),
    (["slurm.sh", FOLDER, *TRAINING, "--gpus=none"], "--gpus=none has to be a number"),
    (["slurm.sh", FOLDER, *TRAINING, "--gpsu=8"], "--gpsu is unknown"),
    (["slurm.sh", FOLDER, *TRAINING, "-n"], "-n is not understood"),
    (["jobset.sh", "--image=a/b:c", BUCKET, *TRAINING, "--chips=3"], "does not divide the 16"),
    (["jobset.sh", "--image=a/b:c", BUCKET, *TRAINING, "--topology=16"], "sides such as 4x4"),
    (["jobset.sh", '--image=a"b', BUCKET, *TRAINING], "a container image"),
    (["ssh_hosts.sh", FOLDER, *TRAINING], "--hosts=... is missing"),
    (["ssh_hosts.sh", "--hosts=a,-oProxyCommand=x", FOLDER, *TRAINING], "is no [USER@]HOST"),
    (["ssh_hosts.sh", "--hosts-file=/nowhere", FOLDER, *TRAINING], "cannot be read"),
]

# Stands in for main.py: saves when it is told to, as the real one does.
MAIN = """
import pathlib, signal, sys, time
arguments = dict(x.lstrip("-").split("=", 1) for x in sys.argv[1:])
def save(*_):
    print("saving", flush=True)
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
me = pathlib.Path(arguments["workdir"]) / arguments["process_id"]
print("process", arguments["process_id"], "of", arguments["processes"], flush=True)
me.with_suffix(".started").write_text(arguments["coordinator"])
code = me.with_suffix(".code")
while not code.exists():
    time.sleep(0.01)
sys.exit(int(code.read_text()))
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """`stand_in(name, script)`: puts a bash script in the place of a program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def write(name: str, script: str):
        (folder / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
        (folder / name).chmod(0o755)

    return write


def _run(script, *arguments):
    return subprocess.run(
        ["bash", SCRIPTS / script, *arguments], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.s*")), ids=lambda path: path.name)
def test_bash_can_read_it(path):
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_dry_run_prints_the_commands_and_runs_none(name, stand_in):
    arguments, beginnings = COMMANDS[name]
    for program in set(beginnings) - {"#"}:
        stand_in(program, "echo ran; exit 1")
    done = _run(*arguments, "--dry-run")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "ran" not in done.stdout.splitlines()
    lines = done.stdout.splitlines()
    if name == "jobset":
        lines = lines[:1]
    assert [shlex.split(line)[0] if line[0] != "#" else "#" for line in lines] == beginnings


@pytest.mark.parametrize("name", ["train", "slurm", "ssh"])
def test_the_training_arrives_as_it_was_typed(name):
    """Whatever is quoted how often: the last of the shells gets these arguments."""
    arguments, _ = COMMANDS[name]
    line = _run(*arguments, "--dry-run").stdout.splitlines()[0]
    command = shlex.split(line)
    if name == "ssh":
        command = shlex.split(shlex.split(command[-1])[-1])
    if name == "train":
        command = shlex.split(command[-1].removeprefix("--command="))
    workdir = BUCKET if name == "train" else FOLDER
    for argument in (*TRAINING, workdir):
        assert argument in command


@pytest.mark.parametrize(("arguments", "line"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, line):
    done = _run(*arguments, "--dry-run")
    assert done.returncode == 2 and not done.stdout
    assert line in done.stderr and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{arguments[0]}: ")


@pytest.mark.parametrize("script", ["tpu_pod.sh", "slurm.sh", "jobset.sh", "ssh_hosts.sh"])
def test_help_names_every_option(script):
    done = _run(script, "--help")
    assert done.returncode == 0
    (known,) = [x for x in (SCRIPTS / script).read_text().split("\nparse ")[1:]]
    for option in known.split('"')[1].replace("\\\n", "").split():
        assert f"--{option}=" in done.stdout


def _manifest(*more) -> dict:
    arguments, _ = COMMANDS["jobset"]
    lines = _run(*arguments, *more, "--dry-run").stdout.splitlines()
    assert lines[0].endswith("<<'MANIFEST'") and lines[-1] == "MANIFEST"
    return yaml.safe_load("\n".join(lines[1:-1]))


def test_the_manifest_is_a_jobset():
    manifest = _manifest("--topology=2x2x4", "--grace=15", '--config.data.name=a "b"\\c')
    assert manifest["apiVersion"] == "jobset.x-k8s.io/v1alpha2" and manifest["kind"] == "JobSet"
    assert manifest["metadata"]["name"] == "genjax"
    (rule,) = manifest["spec"]["failurePolicy"]["rules"]
    assert rule["action"] == "FailJobSet" and rule["onJobFailureReasons"] == ["PodFailurePolicy"]
    (slice_,) = manifest["spec"]["replicatedJobs"]
    assert slice_["replicas"] == 1 and slice_["name"]
    job = slice_["template"]["spec"]
    # GKE tells pods of their slice where the job is indexed; a pod's failure is the job's.
    assert job["completionMode"] == "Indexed" and job["backoffLimit"] == 0
    assert job["parallelism"] == job["completions"] == 4
    (fatal,) = job["podFailurePolicy"]["rules"]
    assert fatal["action"] == "FailJob" and fatal["onExitCodes"]["values"] == [2]
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # a condition of podFailurePolicy
    assert pod["terminationGracePeriodSeconds"] == 15
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": "2x2x4",
        "cloud.google.com/gke-spot": "true",
    }
    (container,) = pod["containers"]
    assert container["name"] == fatal["onExitCodes"]["containerName"]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    assert container["command"][:2] == ["python", "main.py"]
    assert {*TRAINING, BUCKET, '--config.data.name=a "b"\\c'} < set(container["command"])
    assert container["command"][-1] == "--coordinator=auto"


def test_a_manifest_without_spot():
    (slice_,) = _manifest("--spot=no")["spec"]["replicatedJobs"]
    assert (
        "cloud.google.com/gke-spot"
        not in slice_["template"]["spec"]["template"]["spec"]["nodeSelector"]
    )


def test_the_manifest_is_applied(stand_in, tmp_path):
    stand_in("kubectl", f'echo "$@" >{tmp_path}/arguments; cat >{tmp_path}/manifest')
    arguments, _ = COMMANDS["jobset"]
    assert _run(*arguments, "--namespace=mine").returncode == 0
    assert (tmp_path / "arguments").read_text() == "apply --namespace=mine -f -\n"
    assert yaml.safe_load((tmp_path / "manifest").read_text()) == _manifest()


@pytest.mark.parametrize("code", [0, 1, 2, 75])
def test_slurm_queues_again_what_was_interrupted(code, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    stand_in("srun", f'echo "$@"; exit {code}')
    stand_in("scontrol", f'echo "$@" >{tmp_path}/scontrol')
    done = _run("slurm.sbatch", "python", "main.py", FOLDER)
    assert done.returncode == code
    assert done.stdout == f"--kill-on-bad-exit=0 python main.py {FOLDER}\n"
    requeued = tmp_path / "scontrol"
    assert requeued.exists() == (code == 75)
    assert not requeued.exists() or requeued.read_text() == "requeue 17\n"


def _pod(stand_in, tmp_path, states: list[str], endings: list[str], *more):
    """`run` where the slice is in these states when asked, and the training prints these."""
    for name, lines in (("states", states), ("endings", endings)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    stand_in(
        "gcloud",
        f"""
        next() {{ head -n 1 {tmp_path}/$1; sed -i 1d {tmp_path}/$1; }}
        case "$*" in
          *queued-resources*) what=$4 ;;
          *main.py*) what=train ;;
          *) what=install ;;
        esac
        echo $what >>{tmp_path}/calls
        case $what in
          describe) state=$(next states); [[ $state != none ]] && echo $state ;;
          train) next endings | tr ';' '\\n'; exit 1 ;;
        esac
        """,
    )
    arguments, _ = COMMANDS["run"]
    done = _run(*arguments, "--poll=0", *more)
    return done.returncode, (tmp_path / "calls").read_text().split()


_ENDED = "genjax ended with exit code"


def test_a_preempted_pod_is_made_anew_and_goes_on(stand_in, tmp_path):
    code, calls = _pod(
        stand_in,
        tmp_path,
        ["none", "PROVISIONING", "ACTIVE", "SUSPENDED", "ACTIVE", "ACTIVE"],
        ["no more", f"{_ENDED} 75;{_ENDED} 75", f"{_ENDED} 0;{_ENDED} 0"],
    )
    first = ["describe", "create", "describe", "describe", "install", "train"]
    anew = ["describe", "delete", "create", "describe", "install", "train"]
    assert calls == [*first, *anew, "describe", "train"]
    assert code == 0


def test_a_mistake_in_a_pod_is_not_tried_again(stand_in, tmp_path):
    code, calls = _pod(stand_in, tmp_path, ["ACTIVE"], [f"{_ENDED} 1;{_ENDED} 2;{_ENDED} 1"])
    assert code == 2 and calls == ["describe", "install", "train"]


def test_a_pod_that_fails_and_fails_is_given_up(stand_in, tmp_path):
    code, calls = _pod(stand_in, tmp_path, ["ACTIVE"] * 2, [f"{_ENDED} 1"] * 2, "--failures=2")
    assert code == 1 and calls.count("train") == 2


@pytest.fixture
def hosts(stand_in, tmp_path):
    """`hosts(names, *more)`: starts ssh_hosts.sh, with an ssh that runs the command here.

    In a session of its own, as another machine's processes get no signal of this one's.
    """
    stand_in("ssh", 'shift 2; echo "on $1" >&2; shift; exec setsid --wait sh -c "$*"')
    (tmp_path / "main.py").write_text(MAIN)
    (tmp_path / "it's here").mkdir()
    started = []

    def start(names: str, *more):
        command = [
            *("bash", SCRIPTS / "ssh_hosts.sh", f"--hosts={names}", "--config=c.py"),
            *(f"--workdir={tmp_path}/it's here", f"--directory={tmp_path}", *more),
        ]
        started.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _await_start(tmp_path, count: int):
    """Waits for the stand-ins of main.py, and returns the coordinators that they were told."""
    paths = [tmp_path / "it's here" / f"{i}.started" for i in range(count)]
    deadline = time.monotonic() + 30
    while not all(path.exists() and path.read_text() for path in paths):
        assert time.monotonic() < deadline, "the processes did not start"
        time.sleep(0.01)
    return [path.read_text() for path in paths]


@pytest.mark.parametrize(
    ("codes", "result"), [((0, 0), 0), ((75, 75), 75), ((0, 1), 1), ((2, 1), 2), ((75, 1), 1)]
)
def test_the_exit_code_of_all_hosts(codes, result, hosts, tmp_path):
    for i, code in enumerate(codes):
        (tmp_path / "it's here" / f"{i}.code").write_text(str(code))
    launcher = hosts("one,me@two", "--port=99")
    output, errors = launcher.communicate(timeout=30)
    assert launcher.returncode == result, errors
    assert sorted(output.splitlines()) == sorted(
        [
            *("[one] on one", "[one] process 0 of 2"),
            *("[me@two] on me@two", "[me@two] process 1 of 2"),
        ]
    )
    assert _await_start(tmp_path, 2) == ["one:99"] * 2
    for host, code in zip(("one", "me@two"), codes, strict=True):
        assert (f"[{host}] ended with exit code {code}" in errors) == (code != 0)


@pytest.mark.parametrize("send", [os.kill, os.killpg])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_has_all_hosts_save(number, send, hosts, tmp_path):
    """To the launcher, or to all its processes, as a terminal sends Ctrl-C."""
    launcher = hosts("one,two,three")
    _await_start(tmp_path, 3)
    send(launcher.pid, number)
    output, errors = launcher.communicate(timeout=30)
    assert launcher.returncode == 75, errors
    assert output.count("saving") == 3
    assert "stopping" in errors


def test_hosts_save_where_the_launcher_is_killed(hosts, tmp_path):
    launcher = hosts("one,two")
    _await_start(tmp_path, 2)
    launcher.kill()
    output, _ = launcher.communicate(timeout=30)  # ends when the last process has let go of it
    assert output.count("saving") == 2


def test_hosts_from_a_file(tmp_path):
    (tmp_path / "hosts").write_text("# two\n10.0.0.1\n\nme@10.0.0.2\n")
    done = _run(
        "ssh_hosts.sh", f"--hosts-file={tmp_path / 'hosts'}", FOLDER, *TRAINING, "--dry-run"
    )
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert [line[3] for line in lines] == ["10.0.0.1", "me@10.0.0.2"]
    for i, line in enumerate(lines):
        assert f"--coordinator=10.0.0.1:8476 --processes=2 --process_id={i} " in line[-1]
