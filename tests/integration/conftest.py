"""A bundle and a log for the engine's tests."""

from pathlib import Path

import pytest

from tests.integration.engine_room import log_lines, make_bundle, need_engine


@pytest.fixture(scope="session")
def engine_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_engine()
    return make_bundle(tmp_path_factory.mktemp("engine-bundles")).path


@pytest.fixture(scope="session")
def engine_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine-log") / "app.log"
    path.write_text("".join(log_lines(20_000, seed=7)))
    return path
