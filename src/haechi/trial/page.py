"""report.html: one file that needs nothing else. It holds no script, its policy allows none, and whatever
came from outside is text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from haechi.live.meter import short
from haechi.trial.plots import Line, plot, show_time
from haechi.trial.progress import search_lines
from haechi.trial.report import Json
from haechi.trial.wording import UNKNOWN, account_sentence, figure, kpi_rows, seconds

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STEP_FIGURES = (
    "achieved_eps",
    "achieved_ratio",
    "loss_ratio",
    "latency_p50",
    "latency_p99",
    "cpu",
    "recovery",
)
WORDS = {
    "met": "every criterion is met",
    "missed": "a criterion is not met",
    "interrupted": "interrupted: this is what was seen until then",
    "failed": "failed",
}
VERDICTS = {"met": "met", "missed": "not met", "unknown": "not known", "not_reached": "not reached"}

STYLE = (
    """
:root { color-scheme: light dark; --fg: #1c2330; --bg: #fff; --soft: #5b6577;
  --edge: #d8dde6; --card: #f5f7fa;
  --met: #1a7f4b; --missed: #b3261e; --unknown: #8a6100;
  --c0: #2563b8; --c1: #c2571a; --c2: #2e8b57; --c3: #8b4bb8; }
@media (prefers-color-scheme: dark) { :root { --fg: #e4e8f0; --bg: #12161d; --soft: #9aa5b8; --edge: #313a48;
  --card: #1a2029; --met: #4fc98a; --missed: #ff8a80; --unknown: #e5b54a;
  --c0: #6aa5f8; --c1: #f59a5c; --c2: #62cf97; --c3: #c792ea; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); margin: 0 auto;
  max-width: 1060px; padding: 24px 16px 60px; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 26px; } h2 { font-size: 18px; margin: 32px 0 10px; }
p { margin: 6px 0; } .soft { color: var(--soft); }
.state { display: inline-block; padding: 3px 12px; border-radius: 14px; border: 1px solid currentColor;
  font-weight: 600; }
.met { color: var(--met); } .missed, .failed { color: var(--missed); }
.unknown, .interrupted, .not_reached { color: var(--unknown); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px; }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 8px;
  padding: 10px 12px; }
.card b { display: block; font-size: 20px; } .card span { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--edge);
  vertical-align: top; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
th { overflow-wrap: normal; } .whole { white-space: nowrap; }
.name { display: inline-block; min-width: 9em; }
figure { margin: 0; break-inside: avoid; } .plots { display: grid; gap: 18px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 470px), 1fr)); }
figcaption { font-weight: 600; font-size: 14px; }
.legend { font-weight: 400; color: var(--soft); float: right; }
.legend span { margin-left: 12px; white-space: nowrap; }
.legend i { display: inline-block; width: 16px; border-top: 3px solid;
  margin-right: 4px; vertical-align: middle; }
.legend i.dashed { border-top-style: dashed; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
.grid { stroke: var(--edge); stroke-width: 1; }
.step { stroke: var(--soft); stroke-dasharray: 2 3; } .line { fill: none; stroke-width: 1.7; }
.dashed { stroke-dasharray: 5 4; }
"""
    + "".join(
        f"path.c{i} {{ stroke: var(--c{i}); }} i.c{i} {{ border-color: var(--c{i}); }}\n" for i in range(4)
    )
    + """@media print { body { max-width: none; padding: 0; font-size: 12px; } h2 { break-after: avoid; }
  tr, .card { break-inside: avoid; } }
"""
)


def render(report: Json) -> str:
    """The whole page."""
    sections = [
        _head(report),
        _section("Key figures", _cards(report)),
        _section("Criteria", _criteria(report["criteria"])),
        _section("Search", _search(report["search"])),
        _section("Steps", _steps(report["steps"])),
        _section("Over time", _plots(report)),
        _section(
            "Account", f"<p>{escape(account_sentence(report['account']))}</p>" if report["steps"] else ""
        ),
        _section("Detection", _detection(report["detection"])),
        _section("What follows", _list(advice["text"] for advice in report["recommendations"])),
        _section("Grade", _grade(report["grade"])),
        _section("Machine", _facts(report["host"])),
        _section("Scenario", _scenario(report)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report['name'])}: haechi trial</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(section for section in sections if section)
        + "\n</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def _head(report: Json) -> str:
    target, scale = report["target"], report["scale"]
    scaled = ""
    if scale["time"] != 1 or scale["rate"] != 1:
        scaled = f"<p>Tried out: durations times {scale['time']:g}, rates times {scale['rate']:g}.</p>"
    failure = f'<p class="failed">{escape(report["failure"])}</p>' if report["failure"] else ""
    where = f"{target['words']}, {target['transport']}, ports {target['ports']}"
    return (
        f"<header><h1>{escape(report['name'])}</h1>"
        f"<p>{escape(report['description'])}</p>"
        f'<p><span class="state {report["state"]}">{escape(WORDS[report["state"]])}</span></p>'
        f"{failure}{scaled}"
        f'<p class="soft">{escape(report["began"])}, '
        f"{escape(show_time(report['seconds'], report['seconds']))}; "
        f"{escape(where)}; haechi {escape(report['haechi'])}</p></header>"
    )


def _cards(report: Json) -> str:
    rows = [(words, value) for _, words, value in kpi_rows(report) if value != UNKNOWN]
    if report["grade"]["letter"]:
        rows.insert(0, (f"grade, {report['grade']['points']} of 100 points", report["grade"]["letter"]))
    cards = "".join(
        f'<div class="card"><b>{escape(value)}</b><span>{escape(words)}</span></div>' for words, value in rows
    )
    return f'<div class="cards">{cards}</div>' if cards else ""


def _criteria(criteria: Sequence[Json]) -> str:
    return _table(
        ("criterion", "came", ""),
        [
            (escape(each["text"]), escape(figure(each["figure"], each["value"])), _verdict(each["verdict"]))
            for each in criteria
        ],
    )


def _verdict(verdict: str) -> str:
    return f'<b class="{verdict}">{escape(VERDICTS[verdict])}</b>'


def _steps(steps: Sequence[Json]) -> str:
    rows = []
    for step in steps:
        words = f'<span class="soft">{escape(step["words"])}</span>'
        name = f'<b class="name">{escape(step["name"])}</b><br>{words}'
        if not step["reached"]:
            name += '<br><span class="not_reached">not reached</span>'
        criteria = "<br>".join(f"{escape(c['text'])} {_verdict(c['verdict'])}" for c in step["criteria"])
        figures = [figure(key, step["figures"].get(key)) for key in STEP_FIGURES]
        shown = [
            f'<span class="whole">{escape(text)}</span>' for text in (seconds(step["seconds"]), *figures)
        ]
        rows.append((name, *shown, criteria))
    return _table(("step", "time", *(key.replace("_", " ") for key in STEP_FIGURES), "criteria"), rows)


def _plots(report: Json) -> str:
    series = report["series"]
    if not series:
        return ""
    begins = [(step["begins_s"], step["name"]) for step in report["steps"] if step["reached"]]

    def of(title: str, show: Callable[[float], str], **lines: str) -> str:
        drawn = [
            Line(name.replace("_", " "), series[key], dashed=key == "offered_eps")
            for name, key in lines.items()
        ]
        return plot(title, series["at_s"], drawn, show, begins)

    def percent(value: float) -> str:
        return f"{value * 100:.3g} %"

    plots = [
        of("Rate, events a second", short, asked_for="offered_eps", sent="sent_eps", received="received_eps"),
        of("Loss ratio", percent, lost="loss_ratio"),
        of("Latency", seconds, p50="latency_p50_s", p95="latency_p95_s", p99="latency_p99_s"),
        of("Busy share of the processors", percent, all="cpu"),
        of("Processors taken", lambda v: f"{v:.2g}", storm="storm_cores", target="target_cores"),
        of(
            "Memory",
            lambda v: f"{short(v)}B",
            storm="storm_memory_bytes",
            target="target_memory_bytes",
        ),
        of("Memory in use on the machine", lambda v: f"{short(v)}B", all="memory_bytes"),
    ]
    return f'<div class="plots">{"".join(plots)}</div>'


def _search(search: Json | None) -> str:
    if search is None:
        return ""
    rows = [
        (
            f"{each['eps']:,.0f}",
            f"{each['sent_eps']:,.0f}",
            f"{each['sent']:,}",
            f"{each['lost']:,}",
            f"{each['loss_ratio']:.4%}",
            "closed" if each["closed"] else "open",
        )
        for each in search["attempts"]
    ]
    heads = ("events/s asked for", "sent", "events", "lost", "loss ratio", "account")
    return _list(search_lines(search)) + _table(heads, rows)


def _detection(detection: Json | None) -> str:
    if detection is None:
        return ""
    summary = (
        f"<p>Precision {detection['precision']:.4f}, recall {detection['recall']:.4f}, F1 "
        f"{detection['f1']:.4f}; {detection['alerts']:,} alerts, {detection['false_sessions']:,} sessions "
        "for nothing.</p>"
    )
    rows = [
        (escape(name.replace("_", " ")), str(kind["episodes"]), str(kind["found"]), f"{kind['recall']:.3f}")
        for name, kind in detection["kinds"].items()
    ]
    return summary + _table(("kind", "episodes", "found", "recall"), rows)


def _grade(grade: Json) -> str:
    if all(grade[part] is None for part in ("target", "uptime", "efficiency")):
        return ""
    rows = [
        (what, "-" if grade[part] is None else str(grade[part]), of)
        for part, what, of in (
            ("target", "rate achieved", "40"),
            ("uptime", "uptime", "30"),
            ("efficiency", "efficiency", "30"),
            ("points", "all", "100"),
        )
    ]
    return _table(("part", "points", "of"), rows)


def _facts(host: Json) -> str:
    return _table(("", ""), [(escape(name), escape(str(value))) for name, value in host.items()])


def _scenario(report: Json) -> str:
    import yaml

    text = yaml.safe_dump(report["scenario"], sort_keys=False, allow_unicode=True)
    return f"<pre>{escape(text)}</pre>"


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads) if any(heads) else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
