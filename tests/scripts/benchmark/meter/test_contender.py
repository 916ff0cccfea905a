"""What contenders share: processes that end, environments that match their pins."""

import subprocess

import pytest

from scripts.benchmark.meter.contender import own_environment, started


def test_processes_end_with_an_error_in_the_block(tmp_path):
    seen: list[subprocess.Popen] = []

    def interrupted() -> None:
        commands = [(["sleep", "300"], tmp_path / f"{number}.log") for number in range(2)]
        with started(commands, tmp_path) as processes:
            seen.extend(processes)
            raise ValueError("here")

    with pytest.raises(ValueError, match="here"):
        interrupted()
    assert len(seen) == 2
    assert all(process.poll() is not None for process in seen)


def test_processes_end_where_a_later_one_cannot_start(tmp_path):
    commands = [
        (["sh", "-c", "echo $$; exec sleep 300"], tmp_path / "first.log"),
        (["no-such-program"], tmp_path / "second.log"),
    ]
    with pytest.raises(FileNotFoundError), started(commands, tmp_path):
        pass
    written = (tmp_path / "first.log").read_text().strip()
    if written:  # it may be ended before it could say its number
        alive = subprocess.run(["kill", "-0", written], capture_output=True, check=False)
        assert alive.returncode != 0


def test_an_environment_with_other_pins_is_made_anew_and_with_the_same_is_kept(tmp_path):
    stale = tmp_path / "any" / "ready"
    stale.parent.mkdir()
    stale.write_text("pip==1")
    python = own_environment("any", ["pip"], tmp_path)  # pip is there already: no download
    assert stale.read_text() == "pip"
    assert subprocess.run([python, "-m", "pip", "--version"], check=False).returncode == 0
    made = stale.stat().st_mtime_ns
    assert own_environment("any", ["pip"], tmp_path) == python
    assert stale.stat().st_mtime_ns == made
