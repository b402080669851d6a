"""Sigma's log sources and field names, as a processing pipeline of pySigma: which lines of a syslog a log
source stands for, and which field of a line a field of Sigma is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaTransformationError
from sigma.processing.conditions import LogsourceCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import AddConditionTransformation, FieldMappingTransformation
from sigma.processing.transformations.base import PreprocessingTransformation
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule

from haechi.rules.expression import FIELDS, TEXT_FIELDS, RuleError

# A field that is mapped into one of these is looked for within it (see WITHIN).
CONTAINERS = ("line", "message", "template")
# Ends the name of a container that a field was mapped into, between here and the backend.
WITHIN = "\x00within"

# The programs that write what Sigma calls a service of Linux. Compared in any case, as Sigma compares.
SERVICES: dict[str, tuple[str, ...]] = {
    "sshd": ("sshd", "sshd-session", "sshd-auth"),
    "sudo": ("sudo",),
    "su": ("su",),
    "cron": ("cron", "crond", "anacron", "crontab"),
    "kernel": ("kernel",),
    "auditd": ("audit", "auditd", "audispd", "audisp-syslog", "kernel"),
    "clamav": ("clamav", "clamd", "freshclam", "clamscan"),
    "vsftpd": ("vsftpd",),
    "guacamole": ("guacd",),
    "systemd": ("systemd",),
    "dovecot": ("dovecot",),
    "postfix": ("postfix", "postfix/*"),
    "named": ("named",),
}
# What goes to auth.log: by the facility where the header has one, else by who writes.
AUTH_PROGRAMS = (
    *SERVICES["sshd"],
    *"sudo su login systemd-logind polkitd pkexec passwd chpasswd useradd userdel usermod".split(),
    *"groupadd groupdel groupmod chage gdm-password lightdm unix_chkpwd".split(),
)
AUTH_FACILITIES = (4, 10)
# Services that stand for every line that syslog takes.
ALL_LINES = ("syslog", "messages", "journald", "rsyslog")
# Servers whose logs mostly have no program in the header; where there is one it has to be theirs.
SERVERS: dict[str, tuple[str, ...]] = {
    "apache": ("apache", "apache2", "httpd"),
    "nginx": ("nginx",),
    "django": ("django",),
    "bind": ("named",),
    "mysql": ("mysqld", "mariadbd"),
    "postgresql": ("postgres", "postgresql"),
}
# Names that other tools give to the fields that every line has.
NAMES: dict[str | None, str | list[str]] = {
    **dict.fromkeys(("Message", "msg", "syslog_message", "log.message"), "message"),
    **dict.fromkeys(("event.original", "raw", "_raw"), "line"),
    **dict.fromkeys(("hostname", "Hostname", "HostName", "host.name", "syslog_hostname"), "host"),
    **dict.fromkeys(("program", "programname", "process.name", "appname", "app_name", "ident"), "process"),
    **dict.fromkeys(("procid", "ProcessId", "ProcessID", "process.pid"), "pid"),
    **dict.fromkeys(("syslog_severity",), "severity"),
    **dict.fromkeys(("syslog_facility",), "facility"),
}


def read_map(wishes: Mapping[str, str]) -> dict[str, str]:
    """The user's mapping, checked: field of Sigma -> field of a line. RuleError."""
    for name, target in wishes.items():
        if target not in FIELDS:
            raise RuleError(
                f"map: {name}={target}: {target} is no field of a line; those are {', '.join(FIELDS)}"
            )
        if not name or name in FIELDS:
            raise RuleError(
                f"map: {name}={target}: {name or 'nothing'} is not a field of Sigma's to be mapped"
            )
    return dict(wishes)


def pipeline(wishes: Mapping[str, str]) -> ProcessingPipeline:
    """The pipeline with the user's mapping, which goes before what is known here.

    The order matters: a service's condition is added first, in the engine's own field names, which no mapping
    touches; then fields are renamed; then what is left over is refused by its name."""
    mapped: dict[str | None, str | list[str]] = {**NAMES}
    mapped |= {name: target + WITHIN if target in CONTAINERS else target for name, target in wishes.items()}
    return ProcessingPipeline(
        name="haechi",
        items=[
            ProcessingItem(KnownSource(), identifier="log source"),
            *_services(),
            *_servers(),
            ProcessingItem(FieldMappingTransformation(mapped), identifier="field names"),
            ProcessingItem(KnownFields(), identifier="fields of a line"),
        ],
    )


def _services() -> list[ProcessingItem]:
    items = [
        _adds(service, [{"process": list(programs)}], product="linux", service=service)
        for service, programs in SERVICES.items()
    ]
    auth: list[dict[str, Any]] = [{"facility": list(AUTH_FACILITIES)}, {"process": list(AUTH_PROGRAMS)}]
    return [*items, _adds("auth", auth, product="linux", service="auth")]


def _servers() -> list[ProcessingItem]:
    return [
        _adds(product, [{"process": list(programs)}, {"process": None}], product=product)
        for product, programs in SERVERS.items()
    ]


def _adds(name: str, either: list[dict[str, Any]], **source: str) -> ProcessingItem:
    """One of these has to fit as well, in rules of this log source."""
    added: Any = either  # pySigma takes such lists as alternatives, though it names only dictionaries
    return ProcessingItem(
        AddConditionTransformation(conditions=added, name=f"_source_{name}"),
        identifier=f"source {name}",
        rule_conditions=[LogsourceCondition(**source)],
    )


@dataclass
class KnownSource(PreprocessingTransformation):
    """Refuses log sources whose lines cannot be told from others."""

    def apply(self, rule: SigmaRule | SigmaCorrelationRule) -> None:
        super().apply(rule)
        if not isinstance(rule, SigmaRule):
            return
        source = rule.logsource
        if source.product in SERVERS or (source.product is None and source.category == "webserver"):
            return
        services = (None, "auth", *SERVICES, *ALL_LINES)
        if source.product in (None, "linux") and source.service in services:
            if source.product is None and source.service not in (None, *ALL_LINES):
                raise SigmaTransformationError(
                    f"log source: service {source.service} has no product; add linux"
                )
            return
        shown = "/".join(part for part in (source.product, source.category, source.service) if part)
        raise SigmaTransformationError(
            f"log source {shown}: its lines are not known here; known are linux with "
            f"{', '.join(s for s in services if s)} or no service, and {', '.join(SERVERS)}"
        )


@dataclass
class KnownFields(PreprocessingTransformation):
    """Refuses fields that lines do not have, all of a rule's at once."""

    def apply(self, rule: SigmaRule | SigmaCorrelationRule) -> None:
        super().apply(rule)
        if not isinstance(rule, SigmaRule):
            return
        unknown = sorted(
            {
                name
                for detection in rule.detection.detections.values()
                for name in _names(detection)
                if name.removesuffix(WITHIN) not in FIELDS
            }
        )
        if unknown:
            shown = ", ".join(unknown)
            are = "is a field" if len(unknown) == 1 else "are fields"
            raise SigmaTransformationError(
                f"{shown} {are} that log lines do not have; where the lines say it in their text, "
                f"--map {unknown[0]}=message looks for it there (to map to are {', '.join(TEXT_FIELDS)})"
            )


def _names(detection: SigmaDetection) -> set[str]:
    found = set[str]()
    for item in detection.detection_items:
        if isinstance(item, SigmaDetectionItem):
            found |= {item.field} if item.field is not None else set()
        else:
            found |= _names(item)
    return found
