"""The doctor finds every planted fault, by its rule, and raises no false alarm."""

import json
import shutil
import socket
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from scripts.local.workspace import complete_plan
from scripts.partition.preparation import make_phantoms, site_folders
from src.plan import plan as plans
from src.preflight import doctor, machine
from src.preflight import plan as plan_checks
from src.preflight.finding import Examination
from src.trust import audit, key_transport, revocation
from src.trust.gate import SiteGate
from tests import ceremonies
from tests.ceremonies import ADDRESS, ROOT, approve, open_desk
from tests.ledgers import begun
from tests.preflight import machine_faults

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor") / "sites"
    make_phantoms(folder, 1, "5", seed=1, size=32, spacing_mm=5.5)
    return next(iter(site_folders(folder).values()))


@pytest.fixture
def parties(encrypted_parties):
    return encrypted_parties


@pytest.fixture
def healthy(parties, phantoms):
    """The aggregator's and a site's workspace, ready to start."""
    shutil.copytree(phantoms, parties / "one" / "data" / "one")
    return parties


LISTENERS: list[socket.socket] = []


@pytest.fixture(autouse=True)
def close_listeners():
    yield
    while LISTENERS:
        LISTENERS.pop().close()


def examine(parties, name: str | None, clock) -> list:
    workspace = parties / (name or "aggregator")
    return doctor.examine(workspace, name, offline=True, now=clock)


def wrong(findings) -> list[tuple[str, str]]:
    return [(finding.rule, finding.text) for finding in findings if finding.state != "ok"]


def causes(findings) -> list[tuple[str, str]]:
    """What is wrong, without the rules that another one's finding has kept from being examined."""
    return wrong([finding for finding in findings if finding.state != "skip"])


@pytest.mark.parametrize("name", [None, "one"])
def test_there_is_no_false_alarm(healthy, clock, name):
    findings = examine(healthy, name, clock)
    assert wrong(findings) == []
    expected = set(doctor.RULES) - {"noise", "liars"}  # the default plan has none
    expected -= {"encryption key", "mask keys", "data", "training"} if name is None else set()
    expected -= {"roster", "earlier run", "port"} if name else set()
    assert {finding.rule for finding in findings} == expected


# -- planted faults: (who, what is done to the folder) -> the rule that must find it -----------


def change_plan(*assignments: str):
    def plant(parties, clock, patch):
        for party in ("aggregator", "one", "two"):
            path = parties / party / "plan" / "plan.yaml"
            plan = yaml.safe_load(path.read_text())
            plans.change(plan, assignments)
            path.write_text(yaml.safe_dump(plan))
        for site in ("one", "two"):
            approve(parties / site, site, clock)

    return plant


def write(path: str, text: str):
    def plant(parties, clock, patch):
        (parties / path).parent.mkdir(parents=True, exist_ok=True)
        (parties / path).write_text(text)

    return plant


def remove(path: str):
    def plant(parties, clock, patch):
        target = parties / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    return plant


def copy(source: str, target: str):
    def plant(parties, clock, patch):
        (parties / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(parties / source, parties / target)

    return plant


def open_to_others(path: str):
    return lambda parties, clock, patch: (parties / path).chmod(0o644)


def let_pass(days: float):
    return lambda parties, clock, patch: clock.pass_days(days)


def append(path: str, text: str):
    def plant(parties, clock, patch):
        with (parties / path).open("a") as file:
            file.write(text)

    return plant


def revoke(name: str, at: str):
    def plant(parties, clock, patch):
        desk = open_desk(parties / "desk", clock)
        desk.revoke(name, "keyCompromise")
        revocation.write_atomically(parties / at / revocation.FILE, desk.delivery.revocation_list())

    return plant


def roll_back_revocation_list(parties, clock, patch):
    old = (parties / "one" / revocation.FILE).read_bytes()
    revoke("two", "one")(parties, clock, patch)
    signing = open_desk(parties / "desk", clock).authority.signing
    revocation.RevocationList(parties / "one", signing, clock)  # it was seen here
    (parties / "one" / revocation.FILE).write_bytes(old)


def renew_without_taking(parties, clock, patch):
    """A new member list came, but not the new certificate."""
    desk = open_desk(parties / "desk", clock)
    desk.renew("one", early=True)
    (parties / "one" / "cert" / "members.json").write_bytes(desk.delivery.signed_members())


def keep_old_sealing(parties, clock, patch):
    old = (parties / "one/cert/encryption/col_one.crt").read_bytes()
    desk = open_desk(parties / "desk", clock)
    desk.renew("one", early=True)
    ceremonies.hand_out(desk, parties, clock)
    (parties / "one/cert/encryption/col_one.crt").write_bytes(old)


def other_versions(parties, clock, patch):
    found = machine.version
    patch.setattr(machine, "version", lambda name: "0.0.1" if name == "torch" else found(name))


def other_python(parties, clock, patch):
    patch.setattr(machine.platform, "python_version", lambda: "3.12.1")


def free_bytes(number: float):
    def plant(parties, clock, patch):
        patch.setattr(machine.shutil, "disk_usage", lambda path: Usage(1, 1, number))

    return plant


def turn_clock_back_behind_the_log(parties, clock, patch):
    log = audit.AuditLog(parties / "one" / audit.FILE, "one", clock)
    clock.now += timedelta(hours=2)
    log.write("started")
    clock.now -= timedelta(hours=1)


def listen_on_the_port(family: int, address: str):
    def plant(parties, clock, patch):
        listener = socket.socket(family)
        LISTENERS.append(listener)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, 0))
        listener.listen()
        change_plan(f"network.agg_port={listener.getsockname()[1]}")(parties, clock, patch)

    return plant


def leave_a_finished_run(parties, clock, patch):
    folder = parties / "aggregator" / "local_state"
    (folder / "tensor.db").write_bytes(b"x")
    (folder / "run.json").write_text(json.dumps({"bundle": "x", "ended": True}))


def leave_another_run(parties, clock, patch):
    folder = parties / "aggregator" / "local_state"
    (folder / "tensor.db").write_bytes(b"x")
    (folder / "run.json").write_text(json.dumps({"bundle": "x", "ended": False}))


def huge_weights(parties, clock, patch):
    with (parties / "one" / "save" / "init.pbuf").open("wb") as file:
        file.truncate(2**30 + 1)


def weights_whose_sum_is_too_large(parties, clock, patch):
    with (parties / "one" / "save" / "init.pbuf").open("wb") as file:
        file.truncate(6 * 10**8)  # twice that, encrypted


def learn(parties, clock, patch):
    """A task whose name tells OpenFL nothing."""
    path = parties / "aggregator" / "plan" / "plan.yaml"
    plan = yaml.safe_load(path.read_text())
    plan["tasks"]["learn"] = plan["tasks"].pop("train")
    path.write_text(yaml.safe_dump(plan))


def replace_part(place: str, template: str, changed: str = "aggregator"):
    def plant(parties, clock, patch):
        path = parties / changed / "plan" / "plan.yaml"
        plan = yaml.safe_load(path.read_text())
        *sections, last = place.split(".")
        node = plan
        for section in sections:
            node = node[section]
        node[last] = {"template": template, "settings": {}}
        path.write_text(yaml.safe_dump(plan))

    return plant


def another_role(parties, clock, patch):
    """The aggregator's own certificate and key where a site's should be."""
    for suffix in ("crt", "key"):
        own = parties / f"aggregator/cert/server/agg_{ADDRESS}.{suffix}"
        shutil.copy2(own, parties / f"one/cert/client/col_one.{suffix}")


def cases(parties) -> list[Path]:
    return sorted(p for p in (parties / "one/data/one").iterdir() if p.is_dir())


def rename_a_case(parties, clock, patch):
    case = cases(parties)[0]
    case.rename(case.with_name(case.name.lower() + " (1)"))


def another_encoding(parties, clock, patch):
    (parties / "one/plan/data.yaml").write_bytes("one,data/Röntgen\n".encode("cp1252"))


def requirements_as_utf_16(parties, clock, patch):
    path = parties / "one/requirements.txt"
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))


def keep_cases(number: int):
    def plant(parties, clock, patch):
        for case in cases(parties)[number:]:
            shutil.rmtree(case)

    return plant


def lose_a_sequence(parties, clock, patch):
    next(cases(parties)[0].glob("*t1ce*")).unlink()


def damage_an_image(parties, clock, patch):
    next(cases(parties)[0].glob("*flair*")).write_bytes(b"not an image")


def same_patient_twice(parties, clock, patch):
    first, second = cases(parties)[:2]
    for path in first.iterdir():
        target = second / path.name.replace(first.name, second.name)
        target.write_bytes(path.read_bytes())


def no_encryption(parties, clock, patch):
    for party in ("aggregator", "one"):
        path = parties / party / "plan" / "plan.yaml"
        plan = yaml.safe_load(path.read_text())
        plain = plans.read(ROOT / "plan" / "plain.yaml")
        plan |= {name: plain[name] for name in ("aggregator", "compression_pipeline", "tasks")}
        path.write_text(yaml.safe_dump(plan))


def too_many_liars(parties, clock, patch):
    no_encryption(parties, clock, patch)
    rule = "{template: src.aggregation.krum.Krum, settings: {liars: 1}}"
    change_plan(f"tasks.train.aggregation_type.rule={rule}")(parties, clock, patch)


def private_plan(parties, clock, patch):
    """The ledgers lie in the workspace, and would go with it."""
    plan = complete_plan(ROOT / "plan" / "dp.yaml", address=ADDRESS, port=50061)
    (parties / "one/plan/plan.yaml").write_text(yaml.safe_dump(plan))
    gate = SiteGate(str(parties / "one"), clock)
    gate.identify("one")
    patch.setenv("GLIOMA_LEDGER", str(begun(parties / "one/local_state/ledger", gate)))


def private_plan_without_a_ledger(parties, clock, patch):
    private_plan(parties, clock, patch)
    patch.setenv("GLIOMA_LEDGER", str(parties / "ledger"))


def mask_keys_on_a_disk(parties, clock, patch):
    patch.setenv("GLIOMA_MEMORY", str(ROOT))


def ledgers_in_the_workspace(parties, clock, patch):
    patch.setenv("GLIOMA_LEDGER", str(parties / "one/local_state/ledger"))


def other_keys(parties, clock, patch):
    """The desk has made new keys for another run; the old list is still here."""
    desk = open_desk(parties / "desk", clock)
    desk.delivery.write_packages(
        parties / "packages", workspace=parties / "aggregator", new_run=True
    )
    new = next((parties / "desk" / "sealed" / desk.register.run).glob("col_one.cms"))
    shutil.copy2(new, parties / "one" / "cert" / "keys" / "col_one.cms")


def no_openssl(parties, clock, patch):
    patch.setattr(key_transport.shutil, "which", lambda name: None)


SITE, AGG = "one", None
PLANTED = {
    # keys of encrypted sums
    "no keys of sums": (SITE, remove("one/cert/keys"), "keys of sums"),
    "another site's keys of sums": (
        SITE,
        copy("two/cert/keys/col_two.cms", "one/cert/keys/col_one.cms"),
        "keys of sums",
    ),
    "another run's keys of sums": (SITE, other_keys, "keys of sums"),
    "keys of sums that are damaged": (
        SITE,
        append("one/cert/keys/col_one.cms", "x"),
        "keys of sums",
    ),
    "keys for another plan": (SITE, change_plan("task_runner.seed=8"), "keys of sums"),
    "no openssl": (SITE, no_openssl, "keys of sums"),
    "keys of sums at the aggregator": (
        AGG,
        copy("one/cert/keys/col_one.cms", "aggregator/cert/keys/col_one.cms"),
        "keys of sums",
    ),
    "the desk's folder at the aggregator": (
        AGG,
        copy("desk/desk.key", "aggregator/desk/desk.key"),
        "keys of sums",
    ),
    "more sites needed than enrolled": (
        AGG,
        change_plan("compression_pipeline.min_sites=4"),
        "encryption",
    ),
    "nothing encrypted": (SITE, no_encryption, "encryption"),
    "more liars than three sites withstand": (AGG, too_many_liars, "liars"),
    "mask keys on a disk": (SITE, mask_keys_on_a_disk, "mask keys"),
    "sealed rounds noted in the workspace": (SITE, ledgers_in_the_workspace, "mask keys"),
    "privacy per site with three sites": (
        SITE,
        change_plan(
            "compression_pipeline.most_cases=1",
            "compression_pipeline.noise={template: src.differential_privacy.site_level.SiteDP, "
            "settings: {epsilon: 8, delta: 0.001, clip_norm: 0.5, trainable: [head]}}",
            "data_loader.split=independent",
            "task_runner.reported_metrics={template: "
            "src.differential_privacy.reported_metrics.NoMetrics, settings: {}}",
        ),
        "noise",
    ),
    # R1, R2, R5, R7-R13 of OpenFL's traps: the plan
    "secure aggregation": (AGG, change_plan("aggregator.secure_aggregation=true"), "plan"),
    "TLS off": (SITE, change_plan("network.use_tls=false"), "plan"),
    "clients unasked": (SITE, change_plan("network.require_client_auth=false"), "plan"),
    "REST": (SITE, change_plan("network.transport_protocol=rest"), "plan"),
    "address auto": (SITE, change_plan("network.agg_addr=auto"), "plan"),
    "address a number": (SITE, change_plan("network.agg_addr=10.0.0.5"), "plan"),
    "endless cut-off": (
        AGG,
        change_plan(
            "straggler_handling_policy.template="
            "openfl.component.aggregator.straggler_handling.CutoffTimePolicy",
            "straggler_handling_policy.settings={straggler_cutoff_time: .inf}",
        ),
        "plan",
    ),
    "one stored round": (AGG, change_plan("aggregator.db_store_rounds=1"), "plan"),
    "optimiser state travels": (
        SITE,
        change_plan("collaborator.opt_treatment=CONTINUE_GLOBAL"),
        "plan",
    ),
    "delta updates": (AGG, change_plan("aggregator.use_delta_updates=true"), "plan"),
    "single certificate": (
        AGG,
        change_plan("aggregator.single_col_cert_common_name=x"),
        "plan",
    ),
    "a lossy pipeline": (
        SITE,
        replace_part("compression_pipeline", "openfl.pipelines.STCPipeline", "one"),
        "plan",
    ),
    "no aggregation": (
        AGG,
        replace_part("tasks.train.aggregation_type", "src.aggregation.weighted_mean.WeightedMean"),
        "plan",
    ),
    "a task of no known kind": (AGG, learn, "plan"),
    "a typing error": (SITE, change_plan("task_runner.sed=1"), "plan"),
    "an open gate": (SITE, change_plan("collaborator.gate={template: x.Y}"), "plan"),
    "plan not YAML": (SITE, write("one/plan/plan.yaml", "a: [b"), "plan"),
    # R3, R4, R6, R22: certificates, keys, roster
    "address of another host": (SITE, change_plan("network.agg_addr=b.example.org"), "address"),
    "no chain": (SITE, remove("one/cert/cert_chain.crt"), "member list"),
    "no member list": (SITE, remove("one/cert/members.json"), "member list"),
    "altered member list": (SITE, append("one/cert/members.json", "x"), "member list"),
    "expired": (SITE, let_pass(91), "member list"),
    "not yet valid": (AGG, let_pass(-2), "member list"),
    "soon to expire": (SITE, let_pass(80), "expiry"),
    "no certificate": (SITE, remove("one/cert/client/col_one.crt"), "own certificate"),
    "a certificate for another role": (SITE, another_role, "own certificate"),
    "an older certificate": (SITE, renew_without_taking, "own certificate"),
    "another's key": (
        SITE,
        copy("two/cert/client/col_two.key", "one/cert/client/col_one.key"),
        "own certificate",
    ),
    "no key": (AGG, remove(f"aggregator/cert/server/agg_{ADDRESS}.key"), "own certificate"),
    "key open to others": (SITE, open_to_others("one/cert/client/col_one.key"), "keys"),
    "no encryption key": (SITE, remove("one/cert/encryption/col_one.key"), "encryption key"),
    "an older encryption certificate": (SITE, keep_old_sealing, "encryption key"),
    "the authority's key at the aggregator": (
        AGG,
        copy("desk/signing.key", "aggregator/cert/signing.key"),
        "keys",
    ),
    "a site's key at the aggregator": (
        AGG,
        copy("one/cert/client/col_one.key", "aggregator/cert/client/col_one.key"),
        "keys",
    ),
    "another site's key": (
        SITE,
        copy("two/cert/client/col_two.key", "one/cert/client/col_two.key"),
        "keys",
    ),
    "an old request": (SITE, write("one/cert/client/col_old.csr", "x"), "requests"),
    "a roster of other names": (
        AGG,
        write("aggregator/plan/cols.yaml", "collaborators: [one]"),
        "roster",
    ),
    "no roster": (AGG, remove("aggregator/plan/cols.yaml"), "roster"),
    "revoked": (SITE, revoke("one", "one"), "revocation list"),
    "aggregator revoked": (SITE, revoke(ADDRESS, "one"), "revocation list"),
    "a member revoked": (AGG, revoke("two", "aggregator"), "revocation list"),
    "a revocation list that ends soon": (AGG, let_pass(10), "revocation list"),
    "a revocation list that has ended": (SITE, let_pass(15), "revocation list"),
    "an old revocation list": (SITE, roll_back_revocation_list, "revocation list"),
    "no revocation list": (AGG, remove("aggregator/cert/revoked.crl"), "revocation list"),
    # R19, R20, R21, R14: the bundle and what was left of another
    "nothing approved": (SITE, remove("one/approvals"), "bundle"),
    "one byte of code": (SITE, append("one/src/model_vector.py", "#"), "bundle"),
    "no initial weights": (SITE, remove("one/save/init.pbuf"), "bundle"),
    "a finished run": (AGG, leave_a_finished_run, "earlier run"),
    "another run": (AGG, leave_another_run, "earlier run"),
    "a model too large": (SITE, huge_weights, "message size"),
    "a model whose sum is too large": (SITE, weights_whose_sum_is_too_large, "message size"),
    # R17 and the machine
    "another torch": (SITE, other_versions, "versions"),
    "another Python": (SITE, other_python, "versions"),
    "a full disk": (SITE, free_bytes(5e8), "disk"),
    "a nearly full disk": (SITE, free_bytes(2e9), "disk"),
    "a clock gone back": (SITE, turn_clock_back_behind_the_log, "clock"),
    "a used port": (AGG, listen_on_the_port(socket.AF_INET, "127.0.0.1"), "port"),
    "a port used on IPv6": (AGG, listen_on_the_port(socket.AF_INET6, "::1"), "port"),
    "a port used on another interface": (
        AGG,
        listen_on_the_port(socket.AF_INET, "127.0.0.7"),
        "port",
    ),
    # R23, R26: data
    "no data folder named": (SITE, write("one/plan/data.yaml", ""), "data"),
    "a byte order mark before the first name": (
        SITE,
        write("one/plan/data.yaml", "\ufeffone,data/one\n"),
        "data",
    ),
    "a blank before the folder": (SITE, write("one/plan/data.yaml", "one, data/one\n"), "data"),
    "data.yaml in another encoding": (SITE, another_encoding, "data"),
    "requirements in another encoding": (SITE, requirements_as_utf_16, "versions"),
    "a case under another name": (SITE, rename_a_case, "data"),
    "a row of no case": (SITE, append("one/data/one/clinical.csv", "phantom-1,40\n"), "data"),
    "no data": (SITE, remove("one/data/one"), "data"),
    "no kind": (SITE, remove("one/data/one/dataset.yaml"), "data"),
    "one patient": (SITE, keep_cases(1), "data"),
    "three patients": (SITE, keep_cases(3), "data"),
    "a missing sequence": (SITE, lose_a_sequence, "data"),
    "a damaged image": (SITE, damage_an_image, "data"),
    "one patient twice": (SITE, same_patient_twice, "data"),
    # differential privacy; more of it in test_privacy_check.py
    "ledgers in the workspace": (SITE, private_plan, "privacy"),
    "no ledger begun": (SITE, private_plan_without_a_ledger, "privacy"),
    **machine_faults.FAULTS,
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_by_its_rule(healthy, clock, monkeypatch, fault):
    name, plant, rule = PLANTED[fault]
    plant(healthy, clock, monkeypatch)
    found = causes(examine(healthy, name, clock))
    assert rule in {rule for rule, _ in found}, found
    assert all(text for _, text in found)


ONE_CAUSE = {
    "a clock a day behind": (SITE, let_pass(-2), "member list"),
    "a clock a day behind at the aggregator": (AGG, let_pass(-2), "member list"),
    "a clock far ahead": (SITE, let_pass(91), "member list"),
    "a clock a little too far ahead": (SITE, let_pass(15), "revocation list"),
    "no member list": (SITE, remove("one/cert/members.json"), "member list"),
    "no chain": (SITE, remove("one/cert/cert_chain.crt"), "member list"),
    "plan not YAML": (SITE, write("one/plan/plan.yaml", "a: [b"), "plan"),
    "no initial weights": (SITE, remove("one/save/init.pbuf"), "bundle"),
    "no list of packages": (SITE, remove("one/requirements.txt"), "bundle"),
}


@pytest.mark.parametrize("fault", ONE_CAUSE)
def test_one_cause_is_one_finding_and_the_other_rules_point_to_it(
    healthy, clock, monkeypatch, fault
):
    name, plant, rule = ONE_CAUSE[fault]
    plant(healthy, clock, monkeypatch)
    findings = examine(healthy, name, clock)
    assert [found for found, _ in causes(findings)] == [rule]
    skipped = {finding.text for finding in findings if finding.state == "skip"}
    assert skipped <= {f"not examined: see {rule}"}


@pytest.mark.parametrize("days", [-2, 91])
def test_a_certificate_out_of_its_time_asks_for_the_clock(healthy, clock, days):
    clock.pass_days(days)
    ((_, text),) = causes(examine(healthy, "one", clock))
    assert "clock" in text


def test_every_rule_has_its_planted_fault():
    assert {rule for _, _, rule in PLANTED.values()} == set(doctor.RULES)


def test_the_readme_tells_how_many_faults_are_planted():
    assert f"| {len(PLANTED)} of {len(PLANTED)} and " in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("length", "state"), [(10**9, "ok"), (10**9 + 1, "fail")])
def test_without_encryption_the_checkpoint_sets_the_limit(parties, clock, length, state):
    no_encryption(parties, clock, None)
    with (parties / "one" / "save" / "init.pbuf").open("wb") as file:
        file.truncate(length)
    ((found, _),) = plan_checks.size(Examination(parties / "one", "one", clock()))
    assert found == state


def test_the_table_shows_every_finding(healthy, clock):
    findings = examine(healthy, "one", clock)
    assert doctor.table(findings).row_count == len(findings)
