"""What Slurm says of jobs, by its own commands: no accounting is needed, and they are wherever jobs can be sent off."""

import re
import subprocess
from dataclasses import dataclass

from rgan_bench.locks import cluster_job

TIMEOUT = 60.0  # seconds in which a busy controller answers


@dataclass(frozen=True)
class Queued:
    """A job that has not ended.

    Attributes:
        state: PENDING, RUNNING, COMPLETING and so on.
        reason: why it is pending.
        script: what it runs.
    """

    state: str
    reason: str
    script: str


def queue() -> dict[str, Queued] | None:
    """This user's jobs that have not ended, by number (12, or 12_3 in an array).

    Returns:
        None: Slurm does not answer; that says nothing of the jobs.
    """
    text = _asked("squeue", "--me", "--noheader", "--array", "--format=%i|%T|%r|%o")
    if text is None:
        return None
    lines = [line.split("|", 3) for line in text.splitlines()]
    return {line[0].strip(): Queued(*map(str.strip, line[1:])) for line in lines if len(line) == 4}


def ended_as(job: str) -> str | None:
    """CANCELLED, FAILED, OUT_OF_MEMORY, TIMEOUT and so on; None: it cannot be told (any more)."""
    return _field(job, "JobState")


def being_preempted() -> bool:
    """Whether this process's job has to give way, and would be at its end, for Slurm, if it just left.

    Slurm first sends SIGTERM and grants some time. It starts a job anew if it must kill it then, not if it leaves.
    """
    job = cluster_job()
    return job is not None and _field(job, "JobState") == "RUNNING" and _preempted(job)


def requeue_if_preempted(job: str) -> bool:
    """For a job that has ended without a word: it may have been told to give way before it could listen."""
    return _preempted(job) and _asked("scontrol", "requeue", job) is not None


def _preempted(job: str) -> bool:
    return _field(job, "PreemptTime") not in (None, "None")


def _field(job: str, name: str) -> str | None:
    found = re.search(rf"\b{name}=(\S+)", _asked("scontrol", "show", "job", "--oneliner", job) or "")
    return found and found[1]


def _asked(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout
    except (OSError, subprocess.SubprocessError):
        return None
