"""Separate hosts on one machine: Linux network namespaces, each with its own address and folder.

Hosts reach each other over a bridge that has a namespace of its own; nothing leaves this machine.
Each host sees only its own folder among the hosts'. Needs root, or the capabilities for it.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from src.errors import RunFailed

NETWORK = "10.77.0.{}"
HOSTS_FILES = Path("/etc/netns")  # `ip netns exec` lays NAME/hosts over /etc/hosts


class NotPermitted(RunFailed):
    """This machine does not allow network namespaces; the message says what was tried."""


@dataclass
class Hosts:
    """`with Hosts(folder, names, offline) as hosts:` the hosts exist inside the block.

    folder: holds one folder a host. names: of the hosts on the network, with their DNS names.
    offline: hosts without a network.
    """

    folder: Path
    names: dict[str, str]
    offline: tuple[str, ...] = ()
    _made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prefix = f"glioma-{token_hex(3)}"

    def __enter__(self) -> "Hosts":
        try:
            self._make()
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            raise NotPermitted(_reason(error)) from None
        return self

    def __exit__(self, *_) -> None:
        for namespace in reversed(self._made):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
            shutil.rmtree(HOSTS_FILES / namespace, ignore_errors=True)
        self._made.clear()

    def _make(self) -> None:
        switch = self._namespace("net")
        _run("ip", "-n", switch, "link", "add", "switch", "type", "bridge")
        _run("ip", "-n", switch, "link", "set", "switch", "up")
        known = ["127.0.0.1 localhost"]
        known += [f"{self.address(host)} {name}" for host, name in self.names.items()]
        for number, host in enumerate(self.names):
            namespace = self._namespace(host)
            port = f"port{number}"
            ends = ("eth0", "netns", namespace, "type", "veth", "peer", "name", port)
            _run("ip", "link", "add", *ends, "netns", switch)
            _run("ip", "-n", switch, "link", "set", port, "master", "switch", "up")
            _run("ip", "-n", namespace, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _run("ip", "-n", namespace, "link", "set", "eth0", "up")
            self._names(namespace, known)
        for host in self.offline:
            self._names(self._namespace(host), known[:1])
        for host in (*self.names, *self.offline):
            (self.folder / host).mkdir(parents=True, exist_ok=True)

    def _namespace(self, host: str) -> str:
        namespace = f"{self._prefix}-{host}"
        _run("ip", "netns", "add", namespace)
        self._made.append(namespace)
        _run("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    @staticmethod
    def _names(namespace: str, lines: list[str]) -> None:
        path = HOSTS_FILES / namespace / "hosts"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def address(self, host: str) -> str:
        """A host's IP address."""
        return NETWORK.format(10 + list(self.names).index(host))

    def home(self, host: str) -> Path:
        """A host's folder."""
        return self.folder / host

    def slow(self, host: str, rate: str, loss: float = 0.0) -> None:
        """Limit a host's line to `rate` (as tc has it: 4mbit) in both directions.

        loss: the share of packets that is dropped on each way, at random (needs iptables).
        (tc's token bucket and iptables, since not every kernel has netem.) NotPermitted: see there.
        """
        number = list(self.names).index(host)
        bucket = ("root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms")
        ends = ((f"{self._prefix}-{host}", "eth0"), (f"{self._prefix}-net", f"port{number}"))
        drop = ("-m", "statistic", "--mode", "random", "--probability", str(loss), "-j", "DROP")
        rule = ("iptables", "-A", "INPUT")
        try:
            for namespace, device in ends:
                _run("tc", "-n", namespace, "qdisc", "add", "dev", device, *bucket)
            if loss:
                _run("ip", "netns", "exec", f"{self._prefix}-{host}", *rule, *drop)
                for other in self.names:
                    source = ("-s", self.address(host))
                    namespace = f"{self._prefix}-{other}"
                    _run("ip", "netns", "exec", namespace, *rule, *source, *drop)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotPermitted(_reason(error)) from None

    def megabytes(self, host: str) -> tuple[float, float]:
        """(sent, received) by a host so far, from its interface's counters."""
        counters = Path("/sys/class/net/eth0/statistics")
        command = self.command(host, ["cat", counters / "tx_bytes", counters / "rx_bytes"])
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        sent, received = (int(number) / 1e6 for number in shown.split())
        return sent, received

    def command(self, host: str, command: Sequence[str | Path]) -> list[str | Path]:
        """The command as run on that host: its own network, the other hosts' folders hidden."""
        hide = (
            f'own=$(mktemp -d) && mount --bind "{self.home(host)}" "$own" '
            f'&& mount -t tmpfs none "{self.folder}" && mkdir "{self.home(host)}" '
            f'&& mount --bind "$own" "{self.home(host)}" && umount "$own" && rmdir "$own" '
            '&& exec "$@"'
        )
        namespace = f"{self._prefix}-{host}"
        return ["ip", "netns", "exec", namespace, "bash", "-c", hide, "bash", *command]


def _reason(error: Exception) -> str:
    said = getattr(error, "stderr", b"").decode().strip() or str(error)
    return (
        f"separate hosts are not possible here: {said}. Needed: root, iproute2; for packet loss "
        "iptables."
    )


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)
