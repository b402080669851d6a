"""What types alone cannot say of a profile: whether its keys fit each other, and its lines their bounds."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from haechi.storm.document import Place
from haechi.storm.model import (
    FACILITIES,
    FLOWS_MAX,
    SEVERITIES,
    TEXTS_MAX,
    Burst,
    Failure,
    Flow,
    Profile,
    Rule,
    Value,
    Variable,
    rule_severity,
)

HEAD_BYTES = 46  # "host process[pid]: "
TEXT_BYTES = 1000
PIECES_MAX = 32
EXPANDED_MAX = 65_536  # a few aliases could ask for millions
PIECES_OF_A_VALUE = 6

Mistakes = list[tuple[Place, str]]


def check(profile: Profile) -> Mistakes:
    """What is wrong across keys: (place, sentence) each."""
    wrong = _check_heads(profile)
    for name, variable in profile.variables.items():
        wrong += [(("variables", name), sentence) for sentence in _check_variable(variable)]
    if wrong:
        return wrong
    copies = [len(profile.lists.get(flow.for_each or "", [""])) for flow in profile.flows]
    if sum(copies) > FLOWS_MAX:
        return [(("flows",), f"are {sum(copies)} with the values of for_each, at most {FLOWS_MAX}")]
    sizes = [sum(len(step.all_texts()) for step in flow.steps) for flow in profile.flows]
    total = sum(count * size for count, size in zip(copies, sizes, strict=True))
    if total > EXPANDED_MAX:
        return [(("flows",), f"have {total} texts with the values of for_each, at most {EXPANDED_MAX}")]
    for i, flow in enumerate(profile.flows):
        wrong += _check_flow(profile, flow, ("flows", i))
    if wrong:
        return wrong + _check_rules(profile, {})
    normal = profile.severities()
    total = len(normal) + len(profile.never) + len(profile.values) + len(profile.bursts)
    if total > TEXTS_MAX:
        return [(("flows",), f"have, with the anomalies, {total} texts, at most {TEXTS_MAX}")]
    return _check_severities(profile, normal) + _check_rules(profile, normal)


def _check_heads(profile: Profile) -> Mistakes:
    wrong: Mistakes = []
    for name, process in profile.processes.items():
        last_pid = profile.pids.first + profile.pids.count
        head = f"{profile.hosts.prefix}{profile.hosts.count:02d} {name}[{last_pid}]: "
        if len(head) > HEAD_BYTES:
            sentence = f"host, process and pid can take {len(head)} bytes, at most {HEAD_BYTES}"
            wrong.append((("processes", name), sentence))
        if process.facility not in FACILITIES:
            sentence = f"{process.facility!r} is none of {', '.join(FACILITIES)}"
            wrong.append((("processes", name, "facility"), sentence))
    return wrong


def _check_variable(variable: Variable) -> list[str]:
    kinds = variable.kinds()
    if len(kinds) != 1:
        known = "choice, choice_file, range, ipv4, random"
        return [f"has {' and '.join(kinds) or 'none'} of {known}; exactly one is needed"]
    if variable.range is not None and variable.range[0] > variable.range[1]:
        return [f"range: {variable.range[0]} is above {variable.range[1]}"]
    if variable.ipv4 is not None:
        try:
            IPv4Address(variable.ipv4.split("/")[0])
        except ValueError:
            return [f"ipv4: {variable.ipv4} is no address"]
    if (variable.random is None) != (variable.length is None):
        return ["length and random need each other"]
    return []


def _check_flow(profile: Profile, flow: Flow, place: Place) -> Mistakes:
    if flow.process not in profile.processes:
        return [((*place, "process"), _unknown_process(profile, flow.process))]
    if flow.for_each is not None and flow.for_each not in profile.lists:
        return [((*place, "for_each"), f"{flow.for_each!r} is none of the lists {', '.join(profile.lists)}")]
    wrong: Mistakes = []
    for i, step in enumerate(flow.steps):
        at: Place = (*place, "steps", i)
        if (step.text is None) == (step.texts is None):
            wrong.append((at, "needs either text or texts"))
            continue
        for k, text in enumerate(step.all_texts()):
            key: Place = (*at, "text") if step.texts is None else (*at, "texts", k)
            values = profile.lists[flow.for_each] if flow.for_each else [""]
            mistakes = [
                mistake
                for value in values
                for mistake in _check_text(profile, flow.process, text.replace(f"{{{flow.for_each}}}", value))
            ]
            wrong += [(key, mistake) for mistake in mistakes[:1]]
    return wrong


def _check_severities(profile: Profile, normal: dict[tuple[str, str], int]) -> Mistakes:
    """The same text of the same process always has the same severity, since it is one message."""
    wrong: Mistakes = []
    for i, flow in enumerate(profile.flows):
        for value in profile.lists[flow.for_each] if flow.for_each else [""]:
            for k, step in enumerate(flow.steps):
                for text in step.all_texts():
                    other = normal[flow.process, text.replace(f"{{{flow.for_each}}}", value)]
                    if SEVERITIES[other] != step.severity:
                        sentence = f"the same text has the severity {SEVERITIES[other]} elsewhere"
                        wrong.append((("flows", i, "steps", k), sentence))
    return list(dict.fromkeys(wrong))


def _check_rules(profile: Profile, normal: dict[tuple[str, str], int]) -> Mistakes:
    """normal is empty where the flows are wrong: what depends on them is then not looked at."""
    wrong: Mistakes = []
    texts = {text for _, text in normal}
    said = dict(normal)
    for key, rules in profile.rules():
        for i, rule in enumerate(rules):
            place: Place = (key, i)
            if rule.process not in profile.processes:
                wrong.append(((*place, "process"), _unknown_process(profile, rule.process)))
                continue
            found = [((*place, "text"), s) for s in _check_text(profile, rule.process, rule.text)]
            if not found and isinstance(rule, Failure | Burst):
                found = _check_times(profile, rule, place)
            if not found and isinstance(rule, Value):
                found = _check_value(profile, rule, place)
            if not found and normal and key == "never" and rule.text in texts:
                found = [((*place, "text"), "a normal flow says the same")]
            if not found and normal and key in ("failures", "values"):
                found = _check_normal(rule, normal, place)
            if not found and normal:
                number = rule_severity(rule, said)
                if said.setdefault((rule.process, rule.text), number) != number:
                    other = SEVERITIES[said[rule.process, rule.text]]
                    found = [((*place, "severity"), f"the same text has the severity {other} elsewhere")]
            wrong += found
    return wrong


def _check_normal(rule: Rule, normal: dict[tuple[str, str], int], place: Place) -> Mistakes:
    if (rule.process, rule.text) in normal:
        return []
    sentence = f"no normal flow says it; it has to be one of the texts of {rule.process}, letter by letter"
    return [((*place, "text"), sentence)]


def _check_times(profile: Profile, rule: Failure | Burst, place: Place) -> Mistakes:
    if rule.times[0] > rule.times[1]:
        return [((*place, "times"), f"{rule.times[0]} is above {rule.times[1]}")]
    if not profile.processes[rule.process].pid:
        return [((*place, "process"), f"{rule.process} has no pid, so its sessions do not end")]
    if isinstance(rule, Burst) and rule.times[1] > profile.pids.count // 2:
        sentence = (
            f"{rule.times[1]} messages need as many ids, at most half of pids.count: {profile.pids.count}"
        )
        return [((*place, "times"), sentence)]
    if isinstance(rule, Failure):
        longest = _longest_run(profile, rule)
        if rule.times[0] <= longest:
            return [
                (
                    (*place, "times"),
                    f"{rule.times[0]} is not above {longest}, as often as a normal flow says it",
                )
            ]
    return []


def _longest_run(profile: Profile, rule: Failure) -> int:
    longest = 0
    for flow in profile.flows:
        if flow.process != rule.process or (flow.for_each and flow.for_each not in profile.lists):
            continue
        for value in profile.lists[flow.for_each] if flow.for_each else [""]:
            run = 0
            for step in flow.steps:
                said = [text.replace(f"{{{flow.for_each}}}", value) for text in step.all_texts()]
                run = run + 1 if rule.text in said else 0
                longest = max(longest, run)
    return longest


def _check_value(profile: Profile, rule: Value, place: Place) -> Mistakes:
    """The values are those of no normal line, and lines with them are as long as lines may be."""
    if (rule.range is None) == (rule.choice is None):
        return [(place, "needs either range or choice")]
    variable = profile.variables.get(rule.variable)
    if variable is None:
        known = ", ".join(profile.variables)
        return [((*place, "variable"), f"{rule.variable!r} is none of the variables {known}")]
    if rule.variable not in _names(rule.text):
        return [((*place, "variable"), f"{{{rule.variable}}} does not stand in the text")]
    if rule.range is not None:
        low, high = rule.range
        if low > high:
            return [((*place, "range"), f"{low} is above {high}")]
        if variable.may_be_of(low, high):
            return [((*place, "range"), f"normal traffic has values from {low} to {high} as well")]
    for i, value in enumerate(rule.choice or []):
        if variable.may_be(value):
            return [((*place, "choice", i), f"normal traffic has the value {value!r} as well")]
    mistakes = _check_text(profile, rule.process, rule.text, {rule.variable: rule.bounds()})
    return [((*place, "range" if rule.range else "choice"), mistake) for mistake in mistakes]


def _unknown_process(profile: Profile, name: str) -> str:
    return f"{name!r} is none of the processes {', '.join(profile.processes)}"


def _names(text: str) -> list[str]:
    """The variables of a text, in order."""
    return re.findall(r"\{([^{}]*)\}", text.replace("{{", "").replace("}}", ""))


def _check_text(
    profile: Profile, process: str, text: str, other: dict[str, tuple[int, int]] | None = None
) -> list[str]:
    """Unknown variables, stray braces, and lines shorter or longer than is allowed.

    other: the bounds of variables that have other values than their own.
    """
    plain = text.replace("{{", "").replace("}}", "")
    names = _names(text)
    unknown = [name for name in names if name not in profile.variables]
    if unknown:
        return [f"{{{unknown[0]}}} is none of the variables {', '.join(profile.variables)}"]
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", plain)):
        return ["a brace that stands for itself is written twice"]
    pieces = [profile.variables[name].pieces() for name in names]
    if sum(pieces[:-1]) + PIECES_OF_A_VALUE > PIECES_MAX:
        return [f"has too many variables: {len(names)}, which the core writes as {sum(pieces)} parts"]
    rest = len(re.sub(r"\{[^{}]*\}", "", text.replace("{{", "(").replace("}}", ")")).encode())
    bounds = [(other or {}).get(name) or profile.variables[name].bounds() for name in names]
    least, most = rest + sum(low for low, _ in bounds), rest + sum(high for _, high in bounds)
    about = profile.processes[process]
    # RFC 5424 puts these before the message, and the core counts them with it.
    full = most + len(f"{about.msgid} {about.structured_data} ".encode())
    if full > TEXT_BYTES:
        return [f"can become {full} bytes long, msgid and structured data included, at most {TEXT_BYTES}"]
    shortest, longest = _head_bounds(profile, process)
    shortest += least
    longest += most
    low, high = profile.line_bytes
    # The newline counts for the longest, so that both readings of a line's length are met.
    if shortest < low or longest + 1 > high:
        return [f"its iso lines take {shortest} to {longest + 1} bytes, line_bytes allows {low} to {high}"]
    return []


def _head_bounds(profile: Profile, process: str) -> tuple[int, int]:
    """Bytes before the message in the iso form: <PRI>TIME HOST PROCESS[PID]: ."""
    hosts, pids, facility = profile.hosts, profile.pids, FACILITIES.index(profile.processes[process].facility)
    fixed = len("2025-08-30T10:15:30.123Z ") + len(hosts.prefix) + len(f" {process}: ")
    has_pid = profile.processes[process].pid
    low = fixed + len(f"<{facility * 8}>") + 2
    high = fixed + len(f"<{facility * 8 + 7}>") + max(2, len(str(hosts.count)))
    if has_pid:
        low += len(f"[{pids.first}]")
        high += len(f"[{pids.first + pids.count - 1}]")
    return low, high
