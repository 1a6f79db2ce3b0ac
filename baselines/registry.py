"""From a model's name to its class: an entry of ``params.yaml``, an installed package, or a built-in."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from baselines.regression.sklearn_probe import is_sklearn_line, sklearn_model
from baselines.source_closure import source_closure
from protocols.contract import Card, Model
from protocols.errors import UserError, did_you_mean

__all__ = ["BUILTIN", "ENTRY_POINT_GROUP", "known_models", "load_model_class", "source_closure"]

ENTRY_POINT_GROUP = "slide2omics.models"

BUILTIN: dict[str, str] = {
    "train_mean": "baselines.expression.train_mean:TrainMean",
    "stain_statistics": "baselines.expression.stain_statistics:StainStatistics",
    "stain_statistics_centre": "baselines.expression.stain_statistics_centre:StainStatisticsCentre",
    "coordinates": "baselines.expression.coordinates:Coordinates",
    "shuffled": "baselines.expression.shuffled:Shuffled",
    "oracle": "baselines.expression.oracle:Oracle",
    "st_net": "baselines.expression.st_net:STNet",
    "st_net_own_target": "baselines.expression.st_net_own_target:STNetOwnTarget",
    "resnet50": "baselines.expression.resnet50:ResNet50",
    "uni": "baselines.expression.uni:UNI",
    "uni_hest": "baselines.expression.uni_hest:UNIHest",
    "uni_finetuned": "baselines.expression.uni_finetuned:UNIFinetuned",
    "conch": "baselines.expression.conch:CONCH",
    "ctranspath": "baselines.expression.ctranspath:CTransPath",
    "chief": "baselines.expression.chief:CHIEF",
    "plip": "baselines.expression.plip:PLIP",
    "hex": "baselines.expression.hex:HEX",
    "past": "baselines.expression.past:PAST",
    "past_faithful": "baselines.expression.past_faithful:PASTFaithful",
    "kaplan_meier": "baselines.survival.kaplan_meier:KaplanMeier",
    "shuffled_survival": "baselines.survival.shuffled_survival:ShuffledSurvival",
    "cox_clinical": "baselines.survival.cox_clinical:CoxClinical",
    "cox_elastic_net": "baselines.survival.cox_elastic_net:CoxElasticNet",
    "random_survival_forest": "baselines.survival.random_survival_forest:RandomSurvivalForest",
    "survival_oracle": "baselines.survival.survival_oracle:SurvivalOracle",
    "survival_oracle_image": "baselines.survival.survival_oracle_image:SurvivalOracleImage",
    "snn": "baselines.survival.snn:SNN",
    "attention_mil": "baselines.survival.attention_mil:AttentionMIL",
    "deep_sets": "baselines.survival.deep_sets:DeepSets",
    "mcat_resnet50": "baselines.survival.mcat_resnet50:McatResNet50",
    "mcat_ctranspath": "baselines.survival.mcat_ctranspath:McatCTransPath",
    "mcat_uni": "baselines.survival.mcat_uni:McatUNI",
    "mcat_plip": "baselines.survival.mcat_plip:McatPLIP",
    "mcat_conch": "baselines.survival.mcat_conch:McatCONCH",
    "mcat_chief": "baselines.survival.mcat_chief:McatCHIEF",
    "mcat_past": "baselines.survival.mcat_past:McatPAST",
    "mcat_resnet50_as_released": "baselines.survival.mcat_resnet50_as_released:McatResNet50AsReleased",
    "mcat_past_multi": "baselines.survival.mcat_past_multi:McatPASTMulti",
    "survival_oracle_genome": "baselines.survival.survival_oracle_genome:SurvivalOracleGenome",
    "bulk_oracle": "baselines.bulk.bulk_oracle:BulkOracle",
    "bulk_train_mean": "baselines.bulk.bulk_train_mean:BulkTrainMean",
    "bulk_shuffled": "baselines.bulk.bulk_shuffled:BulkShuffled",
    "ridge_mean_feature": "baselines.bulk.ridge_mean_feature:RidgeMeanFeature",
    "nearest_slides": "baselines.bulk.nearest_slides:NearestSlides",
    "he2rna": "baselines.bulk.he2rna:HE2RNA",
    "he2rna_pretrained": "baselines.bulk.he2rna_pretrained:HE2RNAPretrained",
    "he2rna_sequoia": "baselines.bulk.he2rna_sequoia:HE2RNASequoia",
    "he2rna_sequoia_pretrained": "baselines.bulk.he2rna_sequoia_pretrained:HE2RNASequoiaPretrained",
    "sequoia_vit": "baselines.bulk.sequoia_vit:SequoiaViT",
    "sequoia_vit_pretrained": "baselines.bulk.sequoia_vit_pretrained:SequoiaViTPretrained",
    "sequoia_vis": "baselines.bulk.sequoia_vis:SequoiaViS",
    "sequoia_vis_pretrained": "baselines.bulk.sequoia_vis_pretrained:SequoiaViSPretrained",
    "ihc_identity": "baselines.staining.ihc_identity:IhcIdentity",
    "ihc_mean": "baselines.staining.ihc_mean:IhcMean",
    "ihc_stain_transfer": "baselines.staining.ihc_stain_transfer:IhcStainTransfer",
    "ihc_oracle": "baselines.staining.ihc_oracle:IhcOracle",
    "ihc_unet": "baselines.staining.ihc_unet:IhcUNet",
    "pix2pix": "baselines.staining.pix2pix:Pix2pix",
    "reggan": "baselines.staining.reggan:RegGAN",
    "reggan_nc": "baselines.staining.reggan_nc:RegGANNC",
    "reggan_c": "baselines.staining.reggan_c:RegGANC",
    "reggan_c_r": "baselines.staining.reggan_c_r:RegGANCR",
    "reggan_nc_as_released": "baselines.staining.reggan_nc_as_released:RegGANNCAsReleased",
    "improved_diffusion": "baselines.staining.improved_diffusion:ImprovedDiffusion",
    "improved_diffusion_learned_sigma": "baselines.staining.improved_diffusion_learned_sigma:ImprovedDiffusionLearnedSigma",
    "past_generator": "baselines.staining.past_generator:PASTGenerator",
    "sequoia_vis_first_tile": "baselines.bulk.sequoia_vis_first_tile:SequoiaViSFirstTile",
    "sequoia_as_released": "baselines.bulk.sequoia_as_released:SequoiaAsReleased",
}
"""Name (= module = card name) to ``module:Class``; nothing is imported until a name is asked for."""


UNNAMED = "(given)"
"""The adapter name for a model that is looked at before it has one: its card may carry any."""


def known_models(adapters: Mapping[str, str]) -> dict[str, str]:
    """Every name that can be asked for and where it leads; adapters win over entry points, these over built-ins."""
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**BUILTIN, **installed, **adapters}


def load_model_class(name: str, adapters: Mapping[str, str], root: Path) -> type[Model]:
    """The class behind ``name``.

    ``adapters[name]`` may be ``path/to/file.py:Class`` (relative to ``root``), ``package.module:Class``, or a
    scikit-learn line (``sklearn.linear_model:Ridge(alpha=10) @ uni``). A file that does not import, a class that is
    not a model and a card with another name are :class:`UserError`; nothing is skipped in silence.
    """
    known = known_models(adapters)
    if name not in known:
        raise UserError(
            f"unknown model {name!r}", where="models", expected="a built-in, an entry point or an adapter",
            remedy=did_you_mean(name, known),
        )  # fmt: skip
    target = known[name]
    if is_sklearn_line(target):
        return cast(type[Model], sklearn_model(target, name))
    place, _, class_name = target.rpartition(":")
    if not place or not class_name.isidentifier():
        raise UserError(
            f"cannot read {target!r}",
            where=f"model {name}",
            expected="file.py:Class, package.module:Class or package.module:Regressor @ encoder",
            remedy="mend the entry",
        )
    module = _load_file(root / place, name) if place.endswith(".py") else _load_module(place, name)
    return _checked(module, class_name, name)


def _load_file(path: Path, name: str) -> ModuleType:
    """Import one file under a name of its own, so that two adapters called alike do not collide."""
    if not path.is_file():
        raise UserError("no such file", where=path, expected=f"the file of model {name}", remedy="mend its path")
    module_name = f"slide2omics_adapter_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UserError("not importable", where=path, expected="a Python file", remedy="name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses and pickling of annotations look the module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise _broken(error, path, name) from error
    return module


def _load_module(place: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except Exception as error:
        raise _broken(error, place, name) from error


def _broken(error: Exception, place: object, name: str) -> UserError:
    """Name the line of the model's own file where the import failed, not that of the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename == str(place)] or [f for f in frames if "importlib" not in f.filename]
        where = f"{own[-1].filename}:{own[-1].lineno}" if own else str(place)
    return UserError(
        f"{type(error).__name__}: {error}", where=where, expected=f"model {name} to import", remedy="mend the file"
    )


def _checked(module: ModuleType, class_name: str, name: str) -> type[Model]:
    where = getattr(module, "__file__", None) or module.__name__
    found: Any = getattr(module, class_name, None)
    own = [k for k, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__]
    if not inspect.isclass(found):
        raise UserError(
            f"no class {class_name!r}", where=where, expected=f"the class of model {name}",
            remedy=did_you_mean(class_name, own),
        )  # fmt: skip
    lacking = [part for part in ("fit", "predict") if not callable(getattr(found, part, None))]
    card = getattr(found, "card", None)
    if not isinstance(card, Card):
        lacking.insert(0, "card")
    if lacking:
        raise UserError(
            f"{class_name} lacks {', '.join(lacking)}", where=where, expected="card, fit and predict",
            remedy="see protocols/contract.py",
        )  # fmt: skip
    if isinstance(card, Card) and name != UNNAMED and card.name != name:
        raise UserError(
            f"its card is named {card.name!r}", where=where, expected=f"the model's name, {name!r}",
            remedy="give both the same name",
        )  # fmt: skip
    return cast(type[Model], found)
