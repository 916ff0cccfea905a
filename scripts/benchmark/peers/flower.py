"""Flower: SuperLink and SuperNodes over TLS with node authentication, FedAvg, message API.

The link and the nodes are started by Flower's own commands, the nodes register with keys made by
ssh-keygen, and the app runs through `flwr run`. The sites call another loopback address than the
server's own processes, so that their traffic can be told apart.
"""

import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.benchmark.meter.contender import (
    METER_FOLDER,
    PEER_FOLDER,
    ROOT,
    own_environment,
    start,
    started,
)
from scripts.benchmark.meter.workload import SITES

PACKAGES = ["flwr==1.41.0"]
PORT = 8000
NODES_AT = "127.0.0.2"  # so that the sites' traffic is told from the server's own
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "overhead"
version = "1.0.0"
description = "overhead"
license = "Apache-2.0"
dependencies = ["flwr>=1.28.0"]
[tool.hatch.build.targets.wheel]
packages = ["."]
[tool.flwr.app]
publisher = "overhead"
[tool.flwr.app.components]
serverapp = "overhead.flower_parts:server"
clientapp = "overhead.flower_parts:client"
[tool.flwr.app.config]
rounds = {rounds}
out = "{out}"
"""
FEDERATION = """
[superlink]
default = "here"
[superlink.here]
address = "127.0.0.1:{port}"
root-certificates = "{root}"
"""


@dataclass(frozen=True)
class Flower:
    """Flower with its default settings throughout.

    cache: where its environment lies.
    """

    cache: Path
    name: str = "Flower 1.41"
    server: str = r"bin/flower-superlink|bin/flwr-serverapp"
    endpoint: str = rf"^{NODES_AT}:{PORT}$"

    def prepare(self, folder: Path, rounds: int) -> list[str]:
        """Write certificates, node keys and the app, and return the command to measure.

        The app's settings (rounds, where the model goes) stand in its pyproject.toml.
        """
        python = own_environment("flower", PACKAGES, self.cache)
        app = folder / "app" / "overhead"
        app.mkdir(parents=True)
        (app / "__init__.py").write_text("", encoding="utf-8")
        shutil.copy2(PEER_FOLDER / "flower_parts.py", app)
        shutil.copy2(METER_FOLDER / "workload.py", app / "workload.py")
        project = PROJECT.format(rounds=rounds, out=folder / "final.npy")
        (folder / "app" / "pyproject.toml").write_text(project, encoding="utf-8")
        (folder / "flwr").mkdir()
        config = FEDERATION.format(port=PORT, root=folder / "ca.crt")
        (folder / "flwr" / "config.toml").write_text(config, encoding="utf-8")
        write_certificates(folder)
        for node in range(SITES):
            generate = ["ssh-keygen", "-t", "ecdsa", "-b", "384", "-N", "", "-q", "-C", ""]
            subprocess.run([*generate, "-f", str(folder / f"node{node}")], check=True)
        return [sys.executable, "-m", "scripts.benchmark.peers.flower", str(python), str(folder)]

    def environment(self, folder: Path) -> dict[str, str]:
        """Environment variables with a home of its own, and without telemetry."""
        own = {"HOME": str(folder), "FLWR_HOME": str(folder / "flwr"), "OMP_NUM_THREADS": "1"}
        path = f"{self.cache / 'flower' / 'bin'}:{os.environ['PATH']}"
        own |= {"PATH": path, "FLWR_TELEMETRY_ENABLED": "0", "PYTHONPATH": str(ROOT)}
        return os.environ | own

    def final_model(self, folder: Path) -> np.ndarray:
        """The model that the server app has saved."""
        return np.load(folder / "final.npy")


def write_certificates(folder: Path) -> None:
    """Write ca.crt, server.crt and server.key for a server on this machine, valid for a month."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.UTC)
    authority, server = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    hosts = [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", NODES_AT)]
    for key, name, is_authority in ((authority, "ca", True), (server, "server", False)):
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named("ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            names = x509.SubjectAlternativeName([x509.DNSName("localhost"), *hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(authority, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.crt").write_bytes(pem)
    private = server.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.key").write_bytes(private)
    (folder / "server.key").chmod(0o600)


def main(python: Path, folder: Path) -> None:
    """The command that is measured: start link and nodes, run the app, wait for the model.

    python: of Flower's environment. folder: where certificates, keys and app lie.
    """
    programs = python.parent
    tls = ["--ssl-ca-certfile", "ca.crt", "--ssl-certfile", "server.crt"]
    tls += ["--ssl-keyfile", "server.key"]
    link = [str(programs / "flower-superlink"), *tls, "--host", "0.0.0.0", "--port", str(PORT)]
    link += ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    with started([(link, folder / "link.log")], folder) as processes:
        wait_for_port()
        for node in range(SITES):
            register = [str(programs / "flwr"), "supernode", "register", f"node{node}.pub", "here"]
            subprocess.run(register, cwd=folder, check=True, stdin=subprocess.DEVNULL)
            command = [str(programs / "flower-supernode"), "--root-certificates", "ca.crt"]
            command += ["--superlink", f"{NODES_AT}:{PORT}", *tls]
            command += ["--auth-supernode-private-key", f"node{node}"]
            command += ["--host", "127.0.0.1", "--port", str(9100 + node)]
            command += ["--node-config", f"partition-id={node} num-partitions={SITES}"]
            processes.append(start(command, folder / f"node{node}.log", folder))
        subprocess.run([str(programs / "flwr"), "run", "app", "here"], cwd=folder, check=True)
        while not (folder / "final.npy").is_file():
            if any(process.poll() is not None for process in processes):
                sys.exit("Flower's SuperLink or a SuperNode ended before the model was made.")
            time.sleep(0.25)
        time.sleep(1)


def wait_for_port() -> None:
    """Wait until the link listens. SystemExit: it does not within a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", PORT)) == 0:
                return
        time.sleep(0.25)
    sys.exit("Flower's SuperLink does not listen.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
