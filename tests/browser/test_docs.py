"""The API's page: complete in what it tells, in a real browser, under the policy that all pages have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from tests.integration.serve_room import Serving, serving

METHODS = ("get", "post", "put", "delete")


def operations(plane: Serving) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, methods in plane.get("/openapi.json")["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def test_every_operation_is_told_of(plane: Serving) -> None:
    whole, found = plane.get("/openapi.json"), operations(plane)
    assert len(found) > 40
    tags = {tag["name"] for tag in whole["tags"]}
    names = [operation["operationId"] for operation in found.values()]
    assert len(set(names)) == len(names)
    for word in ("summary", "description"):
        assert [name for name, operation in found.items() if not operation.get(word)] == []
    for name, operation in found.items():
        assert set(operation.get("tags", ())) & tags, name
        assert set(operation["responses"]) >= {"401", "404", "422", "429"}, name
        for parameter in operation.get("parameters", ()):
            assert parameter["in"] != "path" or parameter["schema"]["examples"], (name, parameter)
    assert set(whole["components"]["securitySchemes"]) == {"token", "session"}
    assert found["get /health"]["security"] == []
    assert {"token": []} in found["post /storms"]["security"]


def test_every_body_has_an_example_that_is_taken(plane: Serving) -> None:
    whole = plane.get("/openapi.json")

    def examples(schema: dict[str, Any]) -> bool:
        if "$ref" in schema:
            schema = whole["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return bool(schema.get("examples")) or all(
            "default" in of or of.get("examples") or of.get("type") == "boolean"
            for of in schema.get("properties", {"": {}}).values()
        )

    for name, operation in operations(plane).items():
        if "requestBody" in operation:
            assert examples(operation["requestBody"]["content"]["application/json"]["schema"]), name


def test_its_files_and_no_others(plane: Serving) -> None:
    page = plane.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in page.text
    assert "style=" not in page.text
    for name, kind in (("docs.js", "text/javascript"), ("docs.css", "text/css")):
        assert plane.client.get(f"/docs/{name}").headers["content-type"].startswith(kind)
    for name in ("nosuch.js", "%2e%2e%2frun.py", "..%2f..%2frun.py", "docs.js%00"):
        assert plane.client.get(f"/docs/{name}").status_code == 404


def opened(chromium: Browser, url: str, width: int = 1280, **more: Any) -> tuple[Any, list[str]]:
    """A page, and what it complained of."""
    page = chromium.new_page(viewport={"width": width, "height": 800}, **more)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.extend([said.text] * (said.type in ("error", "warning"))))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    return page, complaints


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "dark")])
def test_it_shows_every_operation(plane: Serving, chromium: Browser, width: int, scheme: str) -> None:
    page, complaints = opened(chromium, f"{plane.url}/docs", width, color_scheme=scheme)
    page.wait_for_selector(".operation")
    assert page.locator(".operation").count() == len(operations(plane))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    for node in page.locator(".operation").all():
        node.evaluate("node => { node.open = true; }")
    page.wait_for_function("document.querySelectorAll('.operation .try').length > 40")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    page.close()


def test_an_operation_is_tried(plane: Serving, chromium: Browser) -> None:
    page, complaints = opened(chromium, f"{plane.url}/docs#put-scenarios-name")
    form = page.locator("#put-scenarios-name .try")
    form.locator("input").fill("from-the-page")
    assert "/scenarios/from-the-page" in form.locator(".curl").inner_text()
    form.locator(".primary").click()
    page.wait_for_selector("#put-scenarios-name .said")
    assert form.locator(".badge").inner_text().startswith("200")
    assert json.loads(form.locator(".said").inner_text())["name"] == "from-the-page"
    assert plane.get("/scenarios/from-the-page")["name"] == "from-the-page"
    # What an answer holds is text, whatever it says.
    hostile = "name: '<img src=x onerror=alert(1)>'\nsteps: [{rate: 1k, duration: 1s}]"
    form.locator("textarea").fill(json.dumps({"text": hostile}))
    form.locator(".primary").click()
    form.locator(".said", has_text="onerror").wait_for()
    assert page.locator("#put-scenarios-name .said img, #put-scenarios-name .said script").count() == 0
    form.locator("textarea").fill("{")
    assert form.locator(".wrong").is_visible()
    assert complaints == []
    page.close()


def test_it_is_searched_and_speaks_korean(plane: Serving, chromium: Browser) -> None:
    page, complaints = opened(chromium, f"{plane.url}/docs", locale="ko-KR")
    page.wait_for_selector(".operation")
    assert page.get_by_placeholder("작업 찾기").count() == 1
    page.fill("#filter", "mute")
    shown = page.locator(".operation:not([hidden])")
    assert 0 < shown.count() < 6
    page.fill("#filter", "no such thing")
    assert shown.count() == 0
    assert page.get_by_text("그런 이름의 작업이 없습니다.").is_visible()
    assert complaints == []
    page.close()


def test_the_description_needs_the_token(tmp_path: Path, chromium: Browser) -> None:
    with serving(tmp_path, demand_token=True, requests_per_second=1000) as plane:
        assert httpx.get(f"{plane.url}/docs").status_code == 200
        assert httpx.get(f"{plane.url}/openapi.json").status_code == 401
        page, _ = opened(chromium, f"{plane.url}/docs")
        page.wait_for_selector("dialog[open]")
        page.fill("#session-token", (tmp_path / "state" / "token").read_text().strip())
        page.keyboard.press("Enter")
        page.wait_for_selector(".operation")
        page.close()
