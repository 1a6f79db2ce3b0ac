"""Import of `timm` that also works where torchvision's compiled operators do not match torch.

A CPU-only torch beside a torchvision wheel built for another torch leaves `torchvision::nms` unregistered, and
`import torchvision` (which timm does) then stops with a RuntimeError although no image classifier ever calls that
operator. Declaring the two operator schemas that torchvision attaches fake kernels to is enough to import it.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

_MISSING_OPERATORS = ("nms", "qnms")
_kept_libraries: list[torch.library.Library] = []  # a Library un-registers its operators when it is collected


def _declare_missing_operators() -> None:
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _MISSING_OPERATORS:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _kept_libraries.append(library)


def _forget_half_imported(package: str) -> None:
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


def import_timm() -> ModuleType:
    """Return the `timm` module, repairing a torchvision whose compiled operators are absent.

    Raises ImportError when timm is not installed and RuntimeError when torchvision fails for any other reason.
    """
    if "timm" not in sys.modules:
        try:
            importlib.import_module("torchvision")
        except ImportError:
            pass  # timm itself says clearly what is missing
        except RuntimeError as error:
            if "torchvision::" not in str(error) or _kept_libraries:
                raise
            _forget_half_imported("torchvision")
            _declare_missing_operators()
    return importlib.import_module("timm")
