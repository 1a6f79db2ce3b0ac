"""Virtual IHC: H&E patch in, IHC patch out, scored as an image and as a clinical read-out.

PAST states no split; patches of IHC4BC overlap by half, so folds are by patient and an audit proves that no pixel is on
both sides. Pairs are neighbouring sections: a perfect answer does not reach a perfect score, and the oracle and scores
that tolerate small shifts say by how much.
"""

from __future__ import annotations

from protocols.ihc.protocol import ImageProtocol

PROTOCOL = ImageProtocol(
    name="ihc4bc",
    version="1",
    title="Virtual IHC",
    question="Train on some patients' pairs of H&E and IHC patches, draw the IHC of the other patients' H&E.",
    source="PAST (arXiv 2507.06418), virtual immunohistochemistry; IHC4BC (data set)",
    target="the IHC patch of the neighbouring section, 8-bit RGB",
)
