"""The page in a real headless browser: no error, no request, and everything that can be worked works."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.cells import load_cells
from reports.claims import all_claims
from reports.leaderboard import build_leaderboards
from reports.maps import encode_maps, read_maps
from reports.page import page
from tests.reports import synthetic

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs chromium and chromedriver on the PATH"),
    # selenium leaves the closing of its own sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    scores = synthetic.write(synthetic.study(genes=60), root / "scores", cells=80)
    cells = load_cells(scores)
    records = [record for record, _ in cells]
    maps = {
        f"{protocol}-phantom": read_maps({r.model: folder for r, folder in cells if r.protocol == protocol})
        for protocol in synthetic.PROTOCOLS
    }
    path = root / "index.html"
    path.write_text(page(build_leaderboards(records, seed=0), all_claims(records, seed=0), encode_maps(maps, seed=0)))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # An explicit path keeps selenium's manager from looking for a driver on the network.
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def shown(browser: Any, html: Path) -> Iterator[Any]:
    """The page on its first leaderboard; afterwards, the console must be empty and nothing requested but the page."""
    browser.get_log("browser"), browser.get_log("performance")
    browser.get("about:blank")
    browser.get(f"{html.as_uri()}#b0")
    yield browser
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} <= {html.as_uri(), "about:blank"}
    assert html.as_uri() in asked, "the log of requests must have been on"


def _panel(driver: Any) -> Any:
    return driver.find_element("css selector", "[role=tabpanel].active")


def _models(driver: Any) -> list[str]:
    script = (
        "return [...document.querySelectorAll('.active tr.row')].filter(r => !r.hidden)"
        ".map(r => r.querySelector('th .open').innerText.replace(/\\s+(control|oracle)$/, ''))"
    )
    return list(driver.execute_script(script))


def _sort(driver: Any, key: str) -> str:
    from selenium.webdriver.common.keys import Keys

    button = _panel(driver).find_element("css selector", f"thead button[data-key={key}]")
    button.send_keys(Keys.ENTER)
    return str(button.find_element("xpath", "..").get_attribute("aria-sort"))


def _choose(driver: Any, selector: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(_panel(driver).find_element("css selector", selector)).select_by_value(value)


def _inside(driver: Any, selector: str) -> str:
    return str(_panel(driver).find_element("css selector", selector).get_attribute("innerHTML"))


def test_columns_sort_by_keyboard_with_missing_values_last(shown: Any) -> None:
    ranked = ["PAST (faithful)", "UNI", "CONCH", "ST-Net", "ResNet-50", "Oracle", "Stain statistics", "Shuffled labels"]
    assert _models(shown) == ranked
    assert _sort(shown, "mean") == "descending"
    assert _models(shown)[:2] == ["Oracle", "PAST (faithful)"]
    assert _sort(shown, "mean") == "ascending"
    assert _models(shown)[0] == "Shuffled labels"
    assert _sort(shown, "ari") == "descending"
    assert _models(shown)[-1] == "Shuffled labels", "it has no ARI"
    assert _sort(shown, "ari") == "ascending"
    assert _models(shown)[-1] == "Shuffled labels", "missing stays last in both directions"
    assert _sort(shown, "mse_per_slide") == "ascending", "less is better"
    assert _models(shown)[0] == "Oracle"
    assert _sort(shown, "rank") == "ascending"
    assert _models(shown) == ranked


def test_filters_by_text_and_kind(shown: Any) -> None:
    field = _panel(shown).find_element("css selector", ".text-filter")
    field.send_keys("conch")
    assert _models(shown) == ["CONCH"]
    assert "1 of 8 rows" in _panel(shown).text
    for _ in "conch":
        field.send_keys("\ue003")
    assert len(_models(shown)) == 8
    _panel(shown).find_element("css selector", "input[value=reference]").click()
    assert len(_models(shown)) == 5
    _panel(shown).find_element("css selector", "input[value=model]").click()
    assert _models(shown) == []


def test_details_open_and_close(shown: Any) -> None:
    button = _panel(shown).find_element("css selector", "tr.row .open")
    detail = shown.find_element("id", button.get_attribute("aria-controls"))
    assert not detail.is_displayed()
    button.click()
    assert detail.is_displayed()
    assert "MIT" in detail.text
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert not detail.is_displayed()


def test_plots_follow_their_selectors(shown: Any) -> None:
    assert _inside(shown, ".ranks-plot").count("<circle") == 5, "one dot a model; controls are diamonds"
    for value in shown.execute_script(
        "return [...document.querySelectorAll('.active .mean .value')].map(e => e.innerText)"
    ):
        assert f">{value}</text>" in _inside(shown, ".ranks-plot"), "plot and table round alike"
    genes = _inside(shown, ".genes-plot")
    assert genes.count("fill-invisible") == 10
    assert genes.count('class="gene') == 59, "one gene is undefined"
    _choose(shown, ".gene-model", "resnet50")
    other = _inside(shown, ".genes-plot")
    assert other != genes
    assert "r of ResNet-50" in other
    _choose(shown, ".gene-against", "past")
    assert "r of PAST (faithful)" in _inside(shown, ".genes-plot")
    _panel(shown).find_element("css selector", ".gene-find").send_keys("gene012")
    assert _inside(shown, ".genes-plot").count("fill-found") == 1


def test_maps_follow_their_selectors(shown: Any) -> None:
    def pixels(which: int) -> str:
        return str(shown.execute_script(f"return document.querySelectorAll('.active canvas')[{which}].toDataURL()"))

    truth, predicted = pixels(0), pixels(1)
    assert truth != predicted
    _choose(shown, ".map-model", "resnet50")
    assert pixels(0) != pixels(1) != predicted
    _choose(shown, ".map-scale", "own")
    own = pixels(1)
    _choose(shown, ".map-slide", "2")
    assert pixels(1) != own
    assert pixels(0) != truth
    assert "80 cells" in _inside(shown, ".maps-plot .caption")


def test_tabs_work_by_keyboard_and_the_staircase_highlights(shown: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    shown.find_element("id", "tab-b0").send_keys(Keys.ARROW_LEFT)
    assert _panel(shown).get_attribute("id") == "overview"
    before = _inside(shown, ".stair-plot")
    assert before.count("data-line") == 8
    _choose(shown, ".stair-model", "uni")
    assert _inside(shown, ".stair-plot").count("whisker") == 3
    shown.find_element("id", "tab-overview").send_keys(Keys.END)
    assert _panel(shown).get_attribute("id") == "guide"
    shown.find_element("id", "tab-claims").click()
    assert "not comparable: phantom cohort; random weights" in _panel(shown).text


@pytest.mark.parametrize("width", [390, 820])
@pytest.mark.parametrize("tab", ["overview", "b0", "b2", "claims", "guide"])
def test_no_sideways_scrolling_of_the_page(shown: Any, html: Path, width: int, tab: str) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        shown.get("about:blank")
        shown.get(f"{html.as_uri()}#{tab}")
        assert shown.execute_script("return document.documentElement.scrollWidth") == width
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_everything_is_on_paper(shown: Any) -> None:
    shown.execute_script("dispatchEvent(new Event('beforeprint'))")
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        panels = shown.find_elements("css selector", "[role=tabpanel]")
        assert all(panel.is_displayed() for panel in panels)
        assert all(panel.find_elements("css selector", ".ranks-plot svg") for panel in panels[1:4])
        assert not shown.find_element("css selector", "nav.tabs").is_displayed()
    finally:
        shown.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
