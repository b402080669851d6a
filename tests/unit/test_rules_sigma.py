"""Sigma's rules to conditions of the engine: every rule of the folder sigma_rules against golden.json.

After a change that is meant: python -m tests.unit.test_rules_sigma writes golden.json anew, to be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sigma.collection import SigmaCollection
from sigma.conversion.base import Backend
from sigma.exceptions import SigmaFeatureNotSupportedByBackendError

from haechi.rules.evaluate import Line, fits
from haechi.rules.expression import RuleError, parse, render
from haechi.rules.load import load
from haechi.rules.sigma_backend import HaechiBackend
from haechi.rules.sigma_files import convert, read_documents
from haechi.rules.sigma_pipeline import pipeline, read_map

FOLDER = Path(__file__).resolve().parent / "sigma_rules"
MAP = {"CommandLine": "message", "User": "message", "Image": "process", "SourceIp": "message"}


def converted() -> dict[str, Any]:
    loaded = load([FOLDER], fields=MAP)
    rules = {rule.title: rule.as_json() for rule in loaded.rules}
    refused = {
        f"{Path(refusal.file).name}: {refusal.title}": [refusal.reason, refusal.mistake]
        for refusal in loaded.refused
    }
    return {"rules": rules, "refused": refused}


GOLDEN: dict[str, Any] = json.loads((FOLDER / "golden.json").read_text())


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    return converted()


@pytest.mark.parametrize("title", GOLDEN["rules"])
def test_what_a_rule_becomes(title: str, now: dict[str, Any]) -> None:
    assert now["rules"][title] == GOLDEN["rules"][title]


@pytest.mark.parametrize("name", GOLDEN["refused"])
def test_why_a_rule_is_refused(name: str, now: dict[str, Any]) -> None:
    assert now["refused"][name] == GOLDEN["refused"][name]


def test_every_rule_is_either(now: dict[str, Any]) -> None:
    assert now["rules"].keys() == GOLDEN["rules"].keys()
    assert now["refused"].keys() == GOLDEN["refused"].keys()
    assert len(GOLDEN["rules"]) + len(GOLDEN["refused"]) >= 60


def test_the_engine_form_is_read_back() -> None:
    rules = load([FOLDER], fields=MAP).rules
    assert parse(render(rules)) == rules


FITS = [
    ("Keywords of which one is enough", b"accepted PASSWORD for root from 192.0.2.1", "sshd", True),
    ("Keywords of which one is enough", b"accepted PASSWORD for root from 192.0.2.1", "SSHD-session", True),
    ("Keywords of which one is enough", b"Accepted password for root", "login", False),
    ("Keywords that have to be there together", b"Failed password for invalid user x", "sshd", True),
    ("Keywords that have to be there together", b"Failed password for x", "sshd", False),
    ("Wildcards within a keyword, and escaped ones", b"sh: rm -rf /home/tmp/cat", "", True),
    ("Wildcards within a keyword, and escaped ones", b"sh: rm -rf /home/tmp/at", "", False),
    ("Wildcards within a keyword, and escaped ones", b"what A * STAR is", "", True),
    ("Wildcards within a keyword, and escaped ones", b"what a big star is", "", False),
    ("Wildcards within a keyword, and escaped ones", rb"a BACK\SLASH and \\ two", "", True),
    ("Case that matters", b"kernel PANIC", "", True),
    ("Case that matters", b"kernel panic", "", False),
    ("A regular expression", b"from 1.2.3.4 port 22 ssh2", "", True),
    ("A regular expression", b"from 1.2.3.4 PORT 22 ssh2", "", False),
    ("A network, in a mapped field", b"from 192.0.2.77.", "", True),
    ("A network, in a mapped field", b"from 192.0.2.77:22", "", True),
    ("A network, in a mapped field", b"from 192.0.2.777", "", False),
    ("A network, in a mapped field", b"from 192.0.2.7.1", "", False),
    ("A network, in a mapped field", b"from 1192.0.2.7", "", False),
    ("base64 at any offset", b"echo eHgvYmluL3No | sh", "", True),
    ("A dash that may be a slash", b"powershell /e aaaa", "", True),
    ("A server", b"worker exited on signal 11", "", True),
    ("A server", b"worker exited on signal 11", "nginx", True),
    ("A server", b"worker exited on signal 11", "sshd", False),
]


@pytest.mark.parametrize(("title", "message", "process", "want"), FITS)
def test_what_a_rule_finds(title: str, message: bytes, process: str, want: bool) -> None:
    rule = next(rule for rule in load([FOLDER], fields=MAP).rules if rule.title == title)
    assert fits(rule.condition, Line({"message": message, "process": process.encode()})) is want


@pytest.mark.parametrize(
    ("address", "network", "want"),
    [
        (b"10.20.0.0", "10.20.0.0/14", True),
        (b"10.23.255.255", "10.20.0.0/14", True),
        (b"10.24.0.0", "10.20.0.0/14", False),
        (b"10.19.255.255", "10.20.0.0/14", False),
        (b"10.20.0.256", "10.20.0.0/14", False),
        (b"192.0.2.1", "192.0.2.1/32", True),
        (b"192.0.2.10", "192.0.2.1/32", False),
        (b"1.2.3.4", "0.0.0.0/0", True),
        (b"128.0.0.1", "128.0.0.0/1", True),
        (b"127.0.0.1", "128.0.0.0/1", False),
    ],
)
def test_networks(address: bytes, network: str, want: bool) -> None:
    text = f"""
        title: t
        logsource: {{product: linux}}
        detection: {{s: {{host|cidr: {network}}}, condition: s}}
    """
    rules, refused = convert([("t.yml", read_documents(text, "t.yml"))], {})
    assert not refused
    assert fits(rules[0].condition, Line({"host": address})) is want


def test_it_is_a_backend_of_pysigma() -> None:
    assert issubclass(HaechiBackend, Backend)
    text = (FOLDER / "contains.yml").read_text()
    made = HaechiBackend(pipeline({})).convert(SigmaCollection.from_yaml(text))
    assert [condition.as_json() for condition in made] == [
        {"field": "message", "op": "contains", "value": "segfault", "nocase": True}
    ]
    with pytest.raises(SigmaFeatureNotSupportedByBackendError, match="a rule here sees one line"):
        HaechiBackend(pipeline({})).convert(
            SigmaCollection.from_yaml((FOLDER / "correlation.yml").read_text())
        )


def test_one_id_twice_and_rules_without_one() -> None:
    text = (FOLDER / "sudo.yml").read_text()
    documents = [("a.yml", read_documents(text, "a")), ("b.yml", read_documents(text, "b"))]
    rules, refused = convert(documents, {})
    assert len(rules) == 1
    assert [(r.file, r.reason, r.mistake) for r in refused] == [
        ("b.yml", "an earlier rule has the same id", True)
    ]
    nameless = "\n".join(line for line in text.splitlines() if not line.startswith("id:"))
    first, again = (convert([("x/a.yml", read_documents(nameless, "a"))], {})[0][0].id for _ in range(2))
    assert first == again and first.startswith("sigma-")


def test_action_and_global_documents() -> None:
    text = """
action: global
title: One of two
logsource: {product: linux, service: sshd}
---
detection: {keywords: [first], condition: keywords}
---
title: Two of two
detection: {keywords: [second], condition: keywords}
"""
    rules, refused = convert([("g.yml", read_documents(text, "g.yml"))], {}, "escalate")
    assert not refused
    assert [rule.action for rule in rules] == ["escalate", "escalate"]


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"CommandLine": "text"}, "text is no field of a line"),
        ({"message": "line"}, "message is not a field of Sigma's to be mapped"),
        ({"": "line"}, "nothing is not a field"),
    ],
)
def test_mappings_that_cannot_be(wishes: dict[str, str], sentence: str) -> None:
    with pytest.raises(RuleError, match=sentence):
        read_map(wishes)


@pytest.mark.parametrize(
    "text",
    [
        "title: 3\nlogsource: 4\ndetection: 5\n",
        "title: t\nlogsource: {product: linux}\ndetection: {s: {message|re: 7}, condition: s}\n",
        "title: t\nlogsource: {product: linux}\ndetection: {s: {1: 2}, condition: s}\n",
        "title: t\nlogsource: {product: [linux]}\ndetection: {s: [x], condition: s}\n",
        "title: t\nlogsource: {product: linux}\ndetection: {condition: s}\n",
        "title: t\nlogsource: {product: linux}\ndetection: {s: [], condition: s}\n",
        "title: t\nlogsource: {product: linux}\ndetection: {s: [[x]], condition: 's s'}\n",
        "title: t\ncorrelation: 3\n",
        "title: t\nfilter: 3\nlogsource: {product: linux}\n",
        "title: t\ncorrelation: {type: event_count, rules: [{a: 1}], timespan: 1m, condition: {gte: 1}}\n",
        "title: t\ncorrelation: {type: event_count, rules: [[1]], group-by: {a: 1}, timespan: 1m}\n",
        "action: repeat\n",
        "action: fly\n",
        "detection: &a {s: *a, condition: s}\ntitle: t\nlogsource: {product: linux}\n",
    ],
)
def test_junk_is_refused_by_name_and_the_others_go_on(text: str) -> None:
    good = (FOLDER / "sudo.yml").read_text()
    documents = [("junk.yml", read_documents(text, "junk")), ("good.yml", read_documents(good, "good"))]
    rules, refused = convert(documents, {})
    assert [rule.title for rule in rules] == ["sudo"]
    assert refused and all(refusal.file == "junk.yml" and refusal.reason for refusal in refused)


def test_yaml_that_would_exhaust_the_parser() -> None:
    with pytest.raises(RuleError, match=r"deep\.yml: not YAML: nested deeper than 32"):
        read_documents("[" * 100_000, "deep.yml")
    with pytest.raises(RuleError, match=r"b\.yml: not YAML"):
        read_documents("a: !!timestamp x", "b.yml")


if __name__ == "__main__":
    (FOLDER / "golden.json").write_text(json.dumps(converted(), indent=1, ensure_ascii=False) + "\n")
