"""The page of spatial maps in a real headless browser: it follows its controls, asks for nothing, and fits a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.spatial_page import STEPS, SectionMaps, spatial_page
from tests.reports.test_page_browser import browser, pytestmark
from tests.reports.test_spatial_page import ODD, data_of, section, unpacked

__all__ = ["browser", "pytestmark"]  # the fixture and the skip where there is no browser are the leaderboard page's

SECOND = "B & B/é"


def _sections() -> list[SectionMaps]:
    odd = section(SECOND, seed=1)
    titles = {**odd.models, ODD: odd.models["Oracle"]}
    renamed = replace(odd, genes=(*odd.genes[:5], ODD), models=titles, patient=ODD, modules={"GENE00": (ODD,)})
    return [section("A"), renamed]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spatial") / "spatial.html"
    path.write_text(spatial_page(_sections(), notices=[f"random weights {ODD}"]))
    return path


@pytest.fixture
def shown(browser: Any, html: Path) -> Iterator[Any]:
    """The page as first opened; afterwards, the console must be empty and nothing requested but the page."""
    browser.get_log("browser"), browser.get_log("performance")
    _open(browser, html)
    yield browser
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # A browser that has just started may still be loading its own new tab, which is no document of ours.
    asked = {p["request"]["url"].split("#")[0] for p in sent if not p["documentURL"].startswith("chrome:")}
    assert {url for url in asked if not url.startswith("data:")} <= {html.as_uri(), "about:blank"}
    assert html.as_uri() in asked, "the log of requests must have been on"
    assert browser.title != "1", "a name ran as a script"


def _open(driver: Any, html: Path, fragment: str = "") -> None:
    driver.get("about:blank")
    driver.get(html.as_uri() + fragment)
    # The picture is drawn when it has been decoded.
    driver.execute_async_script("shown.loaded.then(() => setTimeout(arguments[arguments.length - 1], 30))")


def _panels(driver: Any) -> list[dict[str, Any]]:
    """Title, pixels and facts of each panel, as they are on the page."""
    script = """return [...document.querySelectorAll('.tile-map')].map((p) => ({
      title: p.querySelector('h3').textContent, here: p.querySelector('output').textContent,
      pixels: (p.querySelector('.map') || p.querySelector('.under')).toDataURL(),
      facts: [...p.querySelectorAll('dd')].map((d) => d.textContent)}))"""
    return list(driver.execute_script(script))


def _texts(driver: Any, *ids: str) -> list[str]:
    return [driver.find_element("id", name).text for name in ids]


def _choose(driver: Any, name: str, text: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(driver.find_element("id", name)).select_by_visible_text(text)


def _press(driver: Any, key: str) -> None:
    driver.find_element("css selector", "body").send_keys(key)


def _hover(driver: Any, panel: int, row: int, column: int, kind: str = "pointermove") -> None:
    script = """
      const frame = document.querySelectorAll('.frame')[arguments[0]], f = shown.frame;
      const box = frame.getBoundingClientRect();
      const x = box.left + box.width * (arguments[2] - f.left + 0.5) / f.wide;
      const y = box.top + box.height * (arguments[1] - f.top + 0.5) / f.high;
      frame.dispatchEvent(new PointerEvent(arguments[3], { clientX: x, clientY: y, bubbles: true }));"""
    driver.execute_script(script, panel, row, column, kind)


def test_another_gene_changes_every_map_and_caption(shown: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    first = _panels(shown)
    assert [p["title"] for p in first[:2]] == ["H&E", "Truth"]
    assert len({p["pixels"] for p in first}) == 5, "five panels, five pictures"
    assert "GENE00 on A" in _texts(shown, "title")
    assert "gene 1 of 6 · patient P0 · 119 tiles of 128 µm" in _texts(shown, "about")[0]
    shown.find_element("id", "after").click()
    second = _panels(shown)
    assert "GENE01 on A" in _texts(shown, "title")
    assert second[0]["pixels"] == first[0]["pixels"], "the H&E stays"
    named = {p["title"]: p for p in first}
    for panel in second[1:]:
        assert panel["pixels"] != named[panel["title"]]["pixels"]
        assert panel["title"] == "Truth" or panel["facts"] != named[panel["title"]]["facts"]
    shown.execute_script("document.activeElement.blur()")
    _press(shown, Keys.ARROW_LEFT)
    _press(shown, Keys.ARROW_LEFT)
    assert "GENE05 on A" in _texts(shown, "title"), "before the first comes the last"


def test_facts_are_the_given_scores_and_order_follows_r(shown: Any) -> None:
    given = _sections()[0]
    models = _panels(shown)[2:]
    for panel in models:
        scores = given.scores[panel["title"]][0]
        wanted = [scores[name] for name in ("pearson", "spearman", "beyond_trend_p", "ssim", "emd")]
        assert [float(text.replace("−", "-").removeprefix("< ")) for text in panel["facts"]] == pytest.approx(
            wanted, abs=6e-4
        )
    r = [float(panel["facts"][0]) for panel in models]
    assert r == sorted(r, reverse=True)
    _choose(shown, "order", "by name")
    assert [p["title"] for p in _panels(shown)[2:]] == ["SEQUOIA (ViS)", "SEQUOIA (ViT)", "Oracle"]


def test_hover_reads_one_tile_in_all_maps_and_a_click_keeps_it(shown: Any, html: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    given, tile = _sections()[0], 50
    row, column = int(given.row[tile]), int(given.column[tile])
    _hover(shown, 2, row, column)
    packed = data_of(html.read_text())["sections"][0]
    wanted = {"H&E": "", "Truth": str(round(float(unpacked(packed["truth"], 6)[0, tile]) / STEPS * 100))}
    for entry in packed["models"]:
        wanted[entry["title"]] = str(round(float(unpacked(entry["levels"], 6)[0, tile]) / STEPS * 100))
    assert {p["title"]: p["here"] for p in _panels(shown)} == wanted
    assert f"row {row}, column {column}: truth {wanted['Truth']}" in _texts(shown, "readout")[0]
    _hover(shown, 0, row, column, "click")
    _hover(shown, 1, int(given.row[3]), int(given.column[3]))
    assert {p["title"]: p["here"] for p in _panels(shown)} == wanted, "kept, wherever the pointer goes"
    _press(shown, Keys.ESCAPE)
    assert {p["here"] for p in _panels(shown)} == {""}
    _hover(shown, 1, int(given.row[0]), int(given.column[0]))
    assert [p["here"] for p in _panels(shown)[2:]] == ["no value"] * 3
    _hover(shown, 1, int(given.row.min()), int(given.column.min()))
    assert {p["here"] for p in _panels(shown)} == {""}, "a corner without tissue"


def test_the_address_restores_a_view_and_follows_it(shown: Any, html: Path) -> None:
    _choose(shown, "section", SECOND)
    shown.find_element("id", "after").click()
    address = shown.current_url
    assert "section=B+%26+B%2F%C3%A9&gene=GENE01" in address
    kept = _panels(shown)
    _open(shown, html, address[address.index("#") :])
    assert _panels(shown) == kept
    assert f"GENE01 on {SECOND}" in _texts(shown, "title")
    shown.find_element("id", "tab-modules").click()
    assert shown.current_url.endswith("&view=modules")
    shown.execute_script("location.hash = '#section=A&gene=GENE02'")
    shown.execute_async_script("setTimeout(arguments[0], 50)")
    assert "GENE02 on A" in _texts(shown, "title")
    _open(shown, html, "#section=nowhere&gene=nothing&view=else")
    assert "GENE00 on A" in _texts(shown, "title")


def test_type_ahead_finds_a_gene(shown: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    field = shown.find_element("id", "gene")
    field.click()
    assert field.get_attribute("aria-expanded") == "true"
    field.send_keys("e04")
    offered = [item.text.split("\n")[0] for item in shown.find_elements("css selector", "#gene-list [role=option]")]
    assert offered == ["GENE04"]
    field.send_keys(Keys.ENTER)
    assert "GENE04 on A" in _texts(shown, "title")
    assert not shown.find_element("id", "gene-list").is_displayed()
    field.send_keys(Keys.CONTROL + "a")
    field.send_keys("zzz")
    assert "no such gene" in shown.find_element("id", "gene-list").text
    field.send_keys(Keys.ENTER)
    assert "GENE04 on A" in _texts(shown, "title"), "nothing found, nothing chosen"
    field.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    assert "GENE05 on A" in _texts(shown, "title")


def test_colours_and_the_overlay(shown: Any) -> None:
    first = _panels(shown)[1]["pixels"]
    _choose(shown, "scale", "cividis")
    assert _panels(shown)[1]["pixels"] != first
    under = shown.find_elements("css selector", ".models .under")[0]
    assert not under.is_displayed()
    shown.find_element("id", "over").click()
    assert under.is_displayed()
    shown.execute_script(
        "const o = document.getElementById('opacity'); o.value = 25; o.dispatchEvent(new Event('input'))"
    )
    drawn = shown.find_element("css selector", ".models .map")
    assert float(drawn.value_of_css_property("opacity")) == pytest.approx(0.25)
    assert drawn.value_of_css_property("image-rendering") == "pixelated"


def test_the_highest_and_the_lowest_tile_have_the_scale_s_ends(shown: Any) -> None:
    given = _sections()[0]
    # A copy for reading: the page's own canvas is never read back, which the browser would complain of.
    script = """const map = document.querySelector('.map'), f = shown.frame;
      const copy = document.createElement('canvas');
      copy.width = map.width; copy.height = map.height;
      const pen = copy.getContext('2d', { willReadFrequently: true });
      pen.drawImage(map, 0, 0);
      return [...pen.getImageData(arguments[1] - f.left, arguments[0] - f.top, 1, 1).data]"""
    ends = []
    for tile in (int(given.truth[:, 0].argmax()), int(given.truth[:, 0].argmin())):
        ends.append(shown.execute_script(script, int(given.row[tile]), int(given.column[tile])))
    assert ends[0] == [253, 231, 37, 255], "viridis ends in yellow"
    assert all(abs(a - b) <= 4 for a, b in zip(ends[1], [68, 1, 84, 255], strict=True)), "and begins in purple"


def test_modules_show_subtypes_with_a_legend(shown: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    genes = _panels(shown)[1]["pixels"]
    shown.find_element("id", "tab-modules").click()
    assert "Meta-modules on A" in _texts(shown, "title")
    assert not shown.find_element("id", "gene").is_displayed()
    panels = _panels(shown)
    assert panels[1]["pixels"] != genes
    packed = data_of(shown.page_source)["sections"][0]["models"]
    oracle = next(entry for entry in packed if entry["title"] == "Oracle")
    assert panels[2]["title"] == "Oracle"
    assert panels[2]["facts"] == [f"{oracle['agreement'][1]:.2f}", f"{100 * oracle['agreement'][0]:.0f} %"]
    legend = shown.find_elements("css selector", ".legend button")
    assert [b.text.split("\n")[0].split(" ")[0] for b in legend] == ["AC-like", "MES-like", "NPC-like", "cell"]
    legend[0].send_keys(Keys.ENTER)
    assert _panels(shown)[1]["pixels"] != panels[1]["pixels"], "one module alone"
    assert shown.find_elements("css selector", ".legend button")[0].get_attribute("aria-pressed") == "true"


def test_names_are_text_and_never_markup(shown: Any, html: Path) -> None:
    _open(shown, html, "#section=B+%26+B%2F%C3%A9")
    shown.find_element("id", "before").click()
    assert f"{ODD} on {SECOND}" in _texts(shown, "title")
    assert ODD in [p["title"] for p in _panels(shown)]
    shown.find_element("id", "gene").click()
    assert ODD in shown.find_element("id", "gene-list").text
    assert ODD in shown.find_element("css selector", ".notices").text
    shown.find_element("id", "tab-modules").click()
    assert ODD in shown.find_element("css selector", ".legend").text
    assert not shown.find_elements("css selector", "img")


@pytest.mark.parametrize("width", [360, 400, 820, 1200])
@pytest.mark.parametrize("view", ["genes", "modules"])
def test_no_sideways_scrolling(shown: Any, html: Path, width: int, view: str) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        for name in ("A", "B+%26+B%2F%C3%A9"):
            _open(shown, html, f"#section={name}&gene=GENE00&view={view}")
            assert shown.execute_script("return document.documentElement.scrollWidth") == width
    finally:
        shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
