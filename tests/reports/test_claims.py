from __future__ import annotations

import pytest

from reports.claims import HEADLINE, Status, all_claims, claims_of, measured_key
from reports.metrics import metrics_of
from tests.reports.synthetic import COHORT, PUBLISHED, record, skipped

CARD = {"name": "uni", "title": "UNI", "kind": "model", "published": [PUBLISHED]}
HUB = [{"part": "encoder", "source": "org/uni", "revision": "abc", "sha256": None}]
REAL = {**COHORT, "phantom": False}


@pytest.mark.parametrize(("cohort", "weights", "expected"), [
    (COHORT, None, (Status.PHANTOM, Status.RANDOM_WEIGHTS)),
    (COHORT, HUB, (Status.PHANTOM,)),
    (REAL, None, (Status.OTHER_COHORT, Status.RANDOM_WEIGHTS)),
    (REAL, HUB, (Status.OTHER_COHORT,)),
    (REAL, [], (Status.OTHER_COHORT, Status.UNKNOWN_WEIGHTS)),
    ({**REAL, "published_in": [PUBLISHED["source"]]}, HUB, (Status.COMPARABLE,)),
    # A phantom stays one, whatever it calls itself.
    ({**COHORT, "published_in": [PUBLISHED["source"]]}, HUB, (Status.PHANTOM,)),
])  # fmt: skip
def test_every_reason_is_stated(cohort: dict, weights: list | None, expected: tuple) -> None:  # type: ignore[type-arg]
    changes = {} if weights is None else {"weights": weights}
    (claim,) = claims_of(record(card=CARD, cohort=cohort, **changes))
    assert claim.statuses == expected
    assert claim.measured == pytest.approx(0.4)


def test_verdict_says_not_comparable_once() -> None:
    (claim,) = claims_of(record(card=CARD))
    assert claim.verdict == "not comparable: phantom cohort; random weights"


def test_claims_of_protocols_that_were_not_run_or_were_skipped() -> None:
    other = {**PUBLISHED, "protocol": "cross_cancer"}
    card = {**CARD, "published": [PUBLISHED, other]}
    one = all_claims([record(card=card)], seed=0)
    assert [(c.protocol, c.statuses) for c in one] == [
        ("cross_cancer", (Status.NOT_RUN,)),
        ("intra_patient", (Status.PHANTOM, Status.RANDOM_WEIGHTS)),
    ]
    two = all_claims([record(card=card), skipped("cross_cancer", "uni", "why")], seed=0)
    assert two[0].statuses == (Status.SKIPPED,)


def test_each_claim_stands_once_though_every_record_carries_the_card() -> None:
    assert len(all_claims([record("intra_patient", card=CARD), record("inter_patient", card=CARD)], seed=0)) == 1


def test_undefined_and_other_metrics() -> None:
    (claim,) = claims_of(record(card=CARD, per_patient={}))
    assert (claim.measured, claim.statuses) == (None, (Status.UNDEFINED,))
    odd = {**CARD, "published": [{**PUBLISHED, "metric": "C-index"}]}
    (claim,) = claims_of(record(card=odd))
    assert (claim.measured, claim.statuses) == (None, (Status.OTHER_METRIC,))


@pytest.mark.parametrize(("metric", "key"), [
    ("pearson_per_slide", HEADLINE),
    ("pearson_pooled", "pearson_pooled"),
    ("ari", "ari"),
    ("rare_f1", "rare_f1"),
    ("ARI", None),
    ("harrell_mean", None),
    ("", None),
])  # fmt: skip
def test_keys_of_cards(metric: str, key: str | None) -> None:
    """A card names a metric by the key that its protocol declared; the paper's words name nothing."""
    assert measured_key(metric, metrics_of([record()])) == key
