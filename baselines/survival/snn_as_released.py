"""SNN trained as MCAT's released code would train it, were its class not misnamed"""

from __future__ import annotations

from typing import ClassVar

from baselines.survival.snn import SNN
from protocols.contract import Card


class SNNAsReleased(SNN):
    as_released: ClassVar[bool] = True
    card: ClassVar[Card] = Card(
        name="snn_as_released",
        title="SNN, as released: last epoch, weighted draws, L1 for every patient",
        task="survival",
        licence="BSD-3-Clause (this repository)",
        summary="As snn, trained without early stopping; the L1 term is added for each of an update's 32 patients.",
        paper="Klambauer et al., NeurIPS 2017; as the baseline of MCAT, ICCV 2021",
        needs=("genomic",),
        training_overlap="none: fitted on the training fold alone",
        notes=(
            "Features are chosen by name: the released tables may have held the outcome, see docs/survival.md.",
            "Bins come from training patients: the released edges look at test outcomes.",
        ),
    )
