"""Fitted pipelines as skops files, loaded with Windsock's own list of types and nothing beyond it.

skops trusts some thousand names by itself and leaves the rest to the caller; MLflow reads that rest from the
file. Here every name in a file, those too that skops would trust, must stand on the list below.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from windsock.adapters.quiet import quiet_libraries
from windsock.exceptions import UnverifiedBundleError

SCHEMA = "schema.json"
MAX_UNPACKED = 4 * 1024**3
"""Most bytes that a model file may unpack to."""
MAX_ENTRIES = 200_000
SHOWN = 10

PLAIN = (
    *(
        f"builtins.{name}"
        for name in ("bool", "dict", "float", "int", "list", "set", "slice", "str", "tuple")
    ),
    "collections.OrderedDict",
    "functools.partial",  # of a function on this list: HistGradientBoosting keeps a check of its input so
)
NUMPY = (
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.random._generator.Generator",
    "numpy.random.mtrand.RandomState",
    *(f"numpy.{name}" for name in ("bool", "bool_", "datetime64", "timedelta64", "str_", "object_")),
    *(f"numpy.{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *(f"numpy.float{bits}" for bits in (16, 32, 64)),
)
BOOSTING = "sklearn.ensemble._hist_gradient_boosting"
LOSSES = (
    *("AbsoluteError", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss"),
    *("HalfPoissonLoss", "HalfSquaredError", "PinballLoss"),
)
LINKS = ("IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
SKLEARN = (
    "sklearn.compose._column_transformer.ColumnTransformer",
    "sklearn.dummy.DummyClassifier",
    "sklearn.dummy.DummyRegressor",
    "sklearn.ensemble._forest.RandomForestClassifier",
    "sklearn.ensemble._forest.RandomForestRegressor",
    f"{BOOSTING}.binning._BinMapper",
    f"{BOOSTING}.gradient_boosting.HistGradientBoostingClassifier",
    f"{BOOSTING}.gradient_boosting.HistGradientBoostingRegressor",
    f"{BOOSTING}.predictor.TreePredictor",
    *(f"sklearn._loss.loss.{name}" for name in LOSSES),
    *(f"sklearn._loss._loss.Cy{name}" for name in LOSSES),
    *(f"sklearn._loss.link.{name}" for name in LINKS),
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model._ridge.Ridge",
    "sklearn.pipeline.FeatureUnion",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
    "sklearn.preprocessing._label.LabelEncoder",
    "sklearn.tree._classes.DecisionTreeClassifier",
    "sklearn.tree._classes.DecisionTreeRegressor",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
OURS = ("windsock.training.preprocessing.DateParts",)

LOADERS = frozenset(
    f"{name}Node"
    for name in (
        *("Bytearray", "Bytes", "Dict", "Json", "List", "Set", "Slice", "Tuple"),
        *("DType", "MaskedArray", "NdArray", "RandomGenerator", "RandomState", "SparseMatrix"),
        *("Function", "Loss", "Object", "Partial", "Tree", "Type"),
    )
)
"""The ways of building an object that a file may ask for. Bound methods and operators are not among them."""


@lru_cache(maxsize=1)
def allowed_types() -> frozenset[str]:
    """Return the names of all types and functions that a model file may hold.

    Installed packages add to them by entry points in the group ``windsock.trusted_types``, whose values are
    the types: ``forest = "quantile_forest:ForestRegressor"`` allows ``quantile_forest.ForestRegressor``.
    Nothing is imported here.
    """
    points = entry_points(group="windsock.trusted_types")
    return frozenset((*PLAIN, *NUMPY, *SKLEARN, *OURS, *(f"{p.module}.{p.attr}" for p in points)))


def dump(pipeline: Any) -> bytes:
    """Return a fitted pipeline as the content of a skops file.

    :raises UnverifiedBundleError: if it needs a type that is not allowed, or cannot be written.
    """
    with _quiet_skops() as skops:
        try:
            content: bytes = skops.dumps(pipeline, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
        except Exception as error:
            raise UnverifiedBundleError(
                f"a {type(pipeline).__name__} cannot be written as a skops file ({type(error).__name__})",
                code="WS-BUNDLE-007",
                next_action="Use estimators and transformers that skops can write; it cannot write lambdas.",
            ) from None  # its text may quote what was fitted
    require_allowed(content)
    return content


def load(content: bytes) -> Any:
    """Return the pipeline in a skops file. The caller has verified the file's digest and signature.

    :raises UnverifiedBundleError: if the file asks for a type that is not allowed, or is no skops file.
    """
    require_allowed(content)
    with _quiet_skops() as skops:
        try:
            return skops.loads(content, trusted=sorted(allowed_types()))
        except Exception as error:
            raise _unreadable(error) from None


def type_names(content: bytes) -> tuple[str, ...]:
    """Return the names of the types and functions in a skops file, without importing any of them.

    :raises UnverifiedBundleError: if it is no skops file.
    """
    return tuple(sorted({name for name, _ in _asked(content)}))


def require_allowed(content: bytes) -> None:
    """Refuse a skops file that asks for anything that is not on the list.

    :raises UnverifiedBundleError: naming at most ten of the types.
    """
    asked = set(_asked(content))
    names = {name for name, _ in asked} - allowed_types()
    ways = {f"loader {loader}" for _, loader in asked} - {f"loader {loader}" for loader in LOADERS}
    if refused := [*sorted(names), *sorted(ways)]:
        shown = ", ".join(name[:100] for name in refused[:SHOWN])
        more = f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        raise UnverifiedBundleError(
            f"the model file asks for types that are not allowed: {shown}{more}",
            code="WS-BUNDLE-006",
            next_action="If they belong to an estimator of your own, name them by entry points in the group "
            "windsock.trusted_types; else do not load the file.",
        )


def _asked(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield each (type, loader) that a file names."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_ENTRIES or sum(entry.file_size for entry in entries) > MAX_UNPACKED:
                raise UnverifiedBundleError(
                    f"the model file unpacks to more than {MAX_UNPACKED:,} bytes or {MAX_ENTRIES:,} parts",
                    code="WS-BUNDLE-008",
                    next_action="Train a smaller model.",
                )
            schema = json.loads(archive.read(SCHEMA))
    except UnverifiedBundleError:
        raise
    except Exception as error:
        raise _unreadable(error) from None
    if not isinstance(schema, dict) or "__class__" not in schema:
        raise _unreadable(TypeError(SCHEMA))
    yield from _walk(schema)


def _walk(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if "__class__" in node or "__loader__" in node:
                yield f"{node.get('__module__')}.{node.get('__class__')}", str(node.get("__loader__"))
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _unreadable(error: Exception) -> UnverifiedBundleError:
    return UnverifiedBundleError(
        f"the model file cannot be read as a skops file ({type(error).__name__})",
        code="WS-BUNDLE-007",
        next_action="Train the model again with the installed versions of scikit-learn and skops.",
    )


@contextmanager
def _quiet_skops() -> Iterator[Any]:
    """Give ``skops.io`` without its warnings: it looks through every loaded module, deprecated names too."""
    with quiet_libraries():
        import skops.io

        yield skops.io


def beyond_skops(content: bytes) -> tuple[str, ...]:
    """Return the names in a skops file that skops does not trust by itself, for those who load it elsewhere.

    :raises UnverifiedBundleError: if the file asks for a type that is not allowed.
    """
    require_allowed(content)
    with _quiet_skops() as skops:
        return tuple(skops.get_untrusted_types(data=content))
