"""Chromium for tests of pages: found, started, and watched for errors."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("RTSTYLE_TEST_BROWSER") == "required"
PATIENCE = 60.0
"""Seconds after which a test fails instead of waiting on; nothing takes nearly as long."""


def missing() -> str:
    """What keeps these tests from running, or an empty string."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "Playwright is not installed (group `dev`)"
    return "" if CHROMIUM else "there is no Chromium (apt install chromium)"


@contextmanager
def chromium(*arguments: str) -> Iterator[Any]:
    """A browser of Playwright."""
    from playwright.sync_api import sync_playwright

    # As root, as in most containers, Chromium refuses to start with its sandbox.
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*arguments, *sandbox], timeout=1000 * PATIENCE
        )
        yield browser
        browser.close()


@contextmanager
def opened(context: Any, url: str) -> Iterator[Any]:
    """A tab; what goes wrong on the page, its security policy included, fails the test."""
    errors: list[str] = []
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(url)
    yield page
    page.close()
    assert errors == []
