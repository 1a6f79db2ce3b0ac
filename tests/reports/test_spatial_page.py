"""The page of spatial maps: what is packed, what is left out, and nothing unescaped."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from protocols.errors import UserError
from protocols.seeds import generator
from reports.spatial_page import NO_VALUE, STEPS, SectionMaps, gene_limit, spatial_page

MODULES = ("MES-like", "AC-like", "NPC-like", "cell cycle")
NAMES = (
    "SEQUOIA (ViT)",
    "SEQUOIA (ViS)",
    "SEQUOIA, pre-trained",
    "HE2RNA",
    "HE2RNA, pre-trained",
    "Ridge",
    "k-NN",
)
CONTROLS = ("Train mean", "Shuffled labels", "Neighbour mean", "Constant")
ODD = '</script><img src=x onerror="document.title=1">'


def picture(size: tuple[int, int], mask: np.ndarray, seed: int) -> bytes:
    """A JPEG that looks a little like H&E: pink tissue with grain on a white slide."""
    from PIL import Image

    low = Image.fromarray((255 * mask).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    tissue = (np.asarray(low) / 255.0)[..., None]
    grain = generator(seed, "grain").normal(0, 14, (size[1], size[0], 1))
    pixels = 246 * (1 - tissue) + tissue * (np.array([206, 150, 190]) + grain * np.array([1, 1.4, 0.8]))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def percentiles(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    ranked: np.ndarray = rankdata(values, axis=0) / len(values) * 100
    return ranked


def section(
    name: str = "GBM-242", *, side: int = 12, genes: int = 6, models: int = 3, seed: int = 0, modules: bool = True
) -> SectionMaps:
    """A disc of tissue with smooth maps; model ``i`` sees the truth through growing noise."""
    from scipy.ndimage import gaussian_filter

    draw = generator(seed, "section", name)
    down, across = np.mgrid[0:side, 0 : side + 3]
    mask = (down - side / 2) ** 2 + ((across - side / 2 - 1) / 1.1) ** 2 < (side / 2.05) ** 2
    row, column = np.nonzero(mask)
    smooth = np.stack([gaussian_filter(draw.normal(size=mask.shape), side / 9)[mask] for _ in range(genes)], axis=1)
    smooth /= smooth.std(axis=0)
    titles = [*(*NAMES, *CONTROLS)[: models - 1], "Oracle"]
    predicted, scores = {}, {}
    for place, title in enumerate(titles):
        blur = np.stack([gaussian_filter(draw.normal(size=mask.shape), 1.2)[mask] for _ in range(genes)], axis=1)
        noise = 0.1 if title == "Oracle" else 1.2 + 0.8 * place
        predicted[title] = percentiles(smooth + noise * blur)
        predicted[title][:2] = np.nan
        r = [float(np.corrcoef(smooth[2:, g], predicted[title][2:, g])[0, 1]) for g in range(genes)]
        scores[title] = [
            {
                "pearson": v,
                "spearman": v * 0.97,
                "ssim": v * 0.6,
                "emd": 0.2 - 0.1 * v,
                "beyond_trend_p": (1.0005 - v) / 3,
            }
            for v in r
        ]
    names = tuple(f"GENE{i:02d}" for i in range(genes))
    kinds = {t: "oracle" if t == "Oracle" else "control" if t in CONTROLS else "model" for t in titles}
    scale = 24
    return SectionMaps(
        section=name,
        patient=f"P{seed}",
        phantom=True,
        thumbnail=picture((mask.shape[1] * scale, mask.shape[0] * scale), mask, seed),
        thumbnail_size=(mask.shape[1] * scale, mask.shape[0] * scale),
        um_per_pixel=128 / scale,
        tile_um=128.0,
        row=row,
        column=column,
        genes=names,
        truth=percentiles(smooth),
        models=predicted,
        scores=scores,
        modules={g: (MODULES[i % len(MODULES)],) for i, g in enumerate(names) if i % 5 < 4} if modules else {},
        kinds=kinds,  # type: ignore[arg-type]
    )


def data_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    loaded: dict[str, Any] = json.loads(found.group(1))
    return loaded


def unpacked(text: str, genes: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(genes, -1)


def test_maps_come_back_within_half_a_step() -> None:
    given_maps = section()
    packed = data_of(spatial_page([given_maps], notices=()))["sections"][0]
    truth = unpacked(packed["truth"], 6)
    assert np.abs(truth.T / STEPS * 100 - given_maps.truth).max() <= 100 / STEPS / 2 + 1e-9
    for entry in packed["models"]:
        levels = unpacked(entry["levels"], 6).T
        values = given_maps.models[entry["title"]]
        assert ((levels == NO_VALUE) == np.isnan(values)).all(), "no value is told apart from the highest value"
        known = np.isfinite(values)
        assert np.abs(levels[known] / STEPS * 100 - values[known]).max() <= 100 / STEPS / 2 + 1e-9
    row = np.frombuffer(base64.b64decode(packed["row"]), "<u2")
    assert (row == given_maps.row).all()


def test_genes_beyond_the_budget_are_left_out_from_the_end_and_counted_on_the_page() -> None:
    both = [section("a", genes=8), section("b", genes=5, seed=1)]
    assert gene_limit(both) == 8
    whole = spatial_page(both, notices=())
    assert "To stay small" not in whole
    pictures = sum(len(s.thumbnail) * 4 // 3 for s in both)
    tiles = len(both[0].row)
    budget = pictures + int(3.5 * 2 * (4 * tiles * 4 / 3 + 45 * 3))
    assert gene_limit(both, budget) == 3
    html = spatial_page(both, notices=(), budget=budget)
    assert "the first 3 of 8 genes" in html
    packed = data_of(html)["sections"]
    assert [s["genes"] for s in packed] == [["GENE00", "GENE01", "GENE02"]] * 2
    assert unpacked(packed[1]["truth"], 3).shape == (3, len(both[1].row))
    assert packed[0]["module_truth"] == data_of(whole)["sections"][0]["module_truth"], "modules use all genes"
    with pytest.raises(UserError, match="leave no room for a gene"):
        gene_limit(both, pictures)


def test_page_size_stays_near_the_budget() -> None:
    maps = section(side=20, genes=30, models=8)
    html = spatial_page([maps], notices=(), budget=120_000)
    fixed = len(spatial_page([section(side=4, genes=1, models=1)], notices=()))
    assert 60_000 < len(html) < 130_000 + fixed


def test_phantom_and_given_notices_stand_on_top() -> None:
    html = spatial_page([section()], notices=["3 of 4 models started from random weights."])
    top = html[: html.index("<main")]
    assert "All sections are phantoms: simulated" in top
    assert "3 of 4 models started from random weights." in top
    real = [section("a"), replace(section("b"), phantom=False)]
    assert "Phantoms (a): simulated" in spatial_page(real, notices=())
    assert "simulated" not in spatial_page([replace(section(), phantom=False)], notices=())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": np.zeros((3, 6))}, "maps of truth"),
        ({"models": {"m": np.full((119, 6), 101.0)}, "scores": {}}, "maps of m"),
        ({"scores": {"nobody": [{}] * 6}}, "scores of nobody"),
        ({"genes": ("A",) * 6}, "a gene twice"),
        ({"row": np.zeros(119, int), "column": np.zeros(119, int)}, "two tiles in one place"),
        ({"thumbnail": b"GIF89a"}, "picture or sizes"),
        ({"tile_um": 0.0}, "picture or sizes"),
    ],
)
def test_a_wrong_section_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    base = section()
    assert len(base.row) == 119
    with pytest.raises(UserError, match=message) as error:
        replace(base, **change)
    assert "\n" not in str(error.value)


def test_sections_must_be_there_and_differ_in_name() -> None:
    with pytest.raises(UserError, match="no sections"):
        spatial_page([], notices=())
    with pytest.raises(UserError, match="two sections of one name"):
        spatial_page([section(), section()], notices=())


def test_more_modules_than_colours_are_refused() -> None:
    many = section(genes=12)
    with pytest.raises(UserError, match="at most 10"):
        spatial_page([replace(many, modules={g: (f"M{i}",) for i, g in enumerate(many.genes)})], notices=())


def test_undefined_scores_and_missing_models_pass_through() -> None:
    base = section()
    scores = {"Oracle": [{"pearson": None, "emd": float("nan"), "ssim": 0.123456}, *[{}] * 5]}
    packed = data_of(spatial_page([replace(base, scores=scores)], notices=()))["sections"][0]["models"]
    by_title = {entry["title"]: entry["scores"] for entry in packed}
    assert by_title["Oracle"][0] == [None, None, None, 0.1235, None]
    assert by_title[NAMES[0]] == [[None] * 5] * 6


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen += [tag, *(name for name, _ in attrs)]


def test_every_name_is_escaped_and_nothing_is_fetched() -> None:
    base = section(ODD)
    odd = replace(
        base,
        patient=ODD,
        genes=(ODD, *base.genes[1:]),
        modules={ODD: (ODD,)},
        models={ODD: base.models["Oracle"]},
        scores={},
        kinds={},
    )
    html = spatial_page([odd], notices=[ODD])
    tags = _Tags()
    tags.feed(html)
    assert "img" not in tags.seen
    assert "onerror" not in tags.seen
    assert data_of(html)["sections"][0]["genes"][0] == ODD
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|index\.html|#main)""", html.split("<script")[0])
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)


def test_equal_input_gives_equal_bytes() -> None:
    assert spatial_page([section()], notices=("x",)) == spatial_page([section()], notices=("x",))
