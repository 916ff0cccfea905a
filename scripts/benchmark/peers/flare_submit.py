"""Submit the job to a FLARE server and follow it to its end; runs in FLARE's environment."""

import sys
import time
from pathlib import Path

from nvflare.fuel.flare_api.flare_api import new_secure_session

SITES = 3
PATIENCE_S = 90


def main(kits: Path, job: Path) -> None:
    """Wait for the server and the sites, submit the job, and wait for its end.

    SystemExit: the job did not complete.
    """
    deadline = time.monotonic() + PATIENCE_S
    session = None
    while session is None:
        try:
            session = new_secure_session("admin@nvidia.com", str(kits / "admin@nvidia.com"))
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    while len(session.get_system_info().client_info) < SITES and time.monotonic() < deadline:
        time.sleep(0.5)
    number = session.submit_job(str(job))
    session.monitor_job(number, poll_interval=1.0)
    status = session.get_job_meta(number).get("status")
    session.close()
    if status != "FINISHED:COMPLETED":
        sys.exit(f"The job ended as {status}.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
