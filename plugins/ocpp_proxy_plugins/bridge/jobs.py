"""Updates of firmware and uploads of logs that are under way: who asked for them, under which number.

1.6 without its security extension has no numbers: what its stations report is stamped with that of the job that runs.
"""

from ocpp_proxy_plugins.bridge.desk import Desk
from ocpp_proxy_plugins.bridge.kept import MOST_STATUS, Job

FIRMWARE, LOG = "firmware", "log"
MOST_JOBS = 16
TAKEN = ("Accepted", "AcceptedCanceled")
SECURITY = "security_extension"             # in ``Kept.can``: the station knows the security extension of 1.6
ENDS = frozenset({
    "Installed", "InstallationFailed", "DownloadFailed", "InvalidSignature", "InstallVerificationFailed", "Uploaded",
    "UploadFailure", "UploadFailed", "BadMessage", "NotSupportedOperation", "PermissionDenied", "AcceptedCanceled",
})
"""Statuses behind which nothing more is told of a job."""


def running(desk: Desk, kind: str) -> Job | None:
    """The job of that kind that was begun last and has not ended."""
    return next((job for job in reversed(desk.kept.jobs) if job.kind == kind and job.state not in ENDS), None)


def last(desk: Desk, kind: str) -> Job | None:
    """The job of that kind that was begun last."""
    return next((job for job in reversed(desk.kept.jobs) if job.kind == kind), None)


def of(desk: Desk, kind: str, request_id: object) -> Job | None:
    """The job with that number."""
    return next((job for job in desk.kept.jobs if (job.kind, job.request_id) == (kind, request_id)), None)


def begun(desk: Desk, kind: str, request_id: int, *, signed: bool = False) -> None:
    """Remember a job before it is asked for. One of that kind that runs goes on should the station not take it."""
    others = [job for job in desk.kept.jobs if (job.kind, job.request_id) != (kind, request_id)]
    desk.keep(jobs=(*others, Job(kind, request_id, "", signed))[-MOST_JOBS:])


def settled(desk: Desk, kind: str, request_id: int, took: bool) -> None:
    """What the station said to it. It was taken: what ran before is over."""
    if not took:
        return forgotten(desk, kind, request_id)
    desk.keep(jobs=tuple(
        job for job in desk.kept.jobs if job.kind != kind or job.request_id == request_id or job.state in ENDS))


def forgotten(desk: Desk, kind: str, request_id: int) -> None:
    """It was not taken."""
    desk.keep(jobs=tuple(job for job in desk.kept.jobs if (job.kind, job.request_id) != (kind, request_id)))


def reported(desk: Desk, job: Job, status: str) -> None:
    """Remember the status of a job."""
    status = status[:MOST_STATUS]
    if status != job.state:
        desk.keep(jobs=tuple(
            Job(one.kind, one.request_id, status, one.signed) if one == job else one for one in desk.kept.jobs))


def number(desk: Desk) -> int:
    """A request number of our own; kept with what is kept next."""
    request_id = desk.kept.next_request_id
    desk.keep(next_request_id=request_id + 1)
    return request_id
