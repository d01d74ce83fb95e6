"""``PipelineCompiler``: fitted pipelines into their compiled form, and back into something that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windsock.adapters.bundle_files import limit_of
from windsock.adapters.compiled.boosting import Boosting
from windsock.adapters.compiled.ensemble import forest_trees, write_ensemble
from windsock.adapters.compiled.form import CompiledForm
from windsock.adapters.compiled.linear import LinearModel
from windsock.adapters.compiled.probing import Probed, probe
from windsock.adapters.compiled.trees import Trees, TreesModel, give_back_memory, packed_trees
from windsock.exceptions import NotCompilableError, UnverifiedBundleError
from windsock.ports import CompiledModel
from windsock.records import COMPILED_FILE, TREES_FILE, InputSchema
from windsock.spec import canonical_json

LINEAR = ("LogisticRegression", "Ridge")
BOOSTED = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
FORESTS = ("RandomForestClassifier", "RandomForestRegressor")


class PipelineCompiler:
    """Compiles pipelines of Windsock's own preprocessing and scikit-learn's linear models and trees."""

    def compile(self, pipeline: Any, schema: InputSchema) -> dict[str, bytes]:
        """Return the files of the compiled form, by name.

        :raises NotCompilableError: if this pipeline has no compiled form; the message says why.
        """
        steps: Any = getattr(pipeline, "steps", ())
        if [name for name, _ in steps] != ["preprocessing", "estimator"]:
            raise NotCompilableError("it is no pipeline of preprocessing and estimator")
        estimator = steps[1][1]
        name = type(estimator).__name__
        if not type(estimator).__module__.startswith("sklearn.") or name not in (*LINEAR, *BOOSTED, *FORESTS):
            raise NotCompilableError(f"a {name} cannot be compiled")
        if list(getattr(estimator, "classes_", ())) != list(schema.classes):
            raise NotCompilableError("its classes are not the schema's")
        try:
            probed = probe(steps[0][1], schema.fields)
            known, trees, probed = _estimator(estimator, name, probed)
            form = CompiledForm(
                fields=tuple(field.name for field in schema.fields),
                width=probed.width,
                numbers=probed.numbers,
                numbers_at=probed.numbers_at,
                tables=probed.tables,
                **known,
            )
            files = {COMPILED_FILE: canonical_json(form.model_dump(mode="json")).encode()}
        except NotCompilableError:
            raise
        except Exception as error:  # whatever a library raises, the pipeline itself goes on serving
            raise NotCompilableError(f"a {name} could not be compiled ({type(error).__name__})") from error
        if trees:
            files[TREES_FILE] = trees
        for file, content in files.items():
            if len(content) > limit_of(file):
                raise NotCompilableError(
                    f"{file} would have {len(content):,} bytes; the limit is {limit_of(file):,}"
                )
        if fault := next(iter(form.faults(schema)), None):
            raise NotCompilableError(f"the form would not fit: {fault}")
        return files

    def load(self, files: Mapping[str, bytes], schema: InputSchema) -> CompiledModel:
        """Return the compiled model that verified files hold.

        :raises UnverifiedBundleError: if they hold none, or one that does not fit the schema.
        """
        form = _read_form(files)
        if fault := next(iter(form.faults(schema)), None):
            raise _misfit(fault)
        if (TREES_FILE in files) != (form.engine == "trees"):
            raise _misfit("trees are there without their tables, or tables without their trees")
        if form.engine == "linear":
            return LinearModel(form, schema)
        trees = _read_trees(files[TREES_FILE])
        if (trees.width, trees.outputs) != (form.width, form.outputs):
            raise _misfit(
                f"the trees have {trees.width} columns and {trees.outputs} outputs, "
                f"their tables {form.width} and {form.outputs}"
            )
        packed = packed_trees(files[TREES_FILE], form)
        give_back_memory()
        return TreesModel(form, schema, trees, packed)


def _estimator(estimator: Any, name: str, probed: Probed) -> tuple[dict[str, Any], bytes, Probed]:
    """Return what the form says of an estimator, its trees, and the preprocessing that they need."""
    if name in LINEAR:
        return _linear(estimator, name), b"", probed
    if name in FORESTS:
        known, trees = _forest(estimator, probed.width)
        return known, trees, probed
    boosting = Boosting(estimator, probed)
    wider, outputs = boosting.columns(), boosting.outputs
    known = {"outputs": outputs, "link": _boosted_link(estimator, outputs), "base": boosting.base}
    trees = write_ensemble(list(boosting.trees()), width=wider.width, outputs=outputs)
    return {"engine": "trees", **known}, trees, wider


def _linear(estimator: Any, name: str) -> dict[str, Any]:
    import numpy as np

    coefficients = np.atleast_2d(estimator.coef_).tolist()
    return {
        "engine": "linear",
        "outputs": len(coefficients),
        "link": "none" if name == "Ridge" else "logistic" if len(coefficients) == 1 else "softmax",
        "coefficients": coefficients,
        "intercepts": np.broadcast_to(estimator.intercept_, len(coefficients)).tolist(),
    }


def _forest(estimator: Any, width: int) -> tuple[dict[str, Any], bytes]:
    classes = len(getattr(estimator, "classes_", ()))
    outputs = classes if classes > 2 else 1
    known = {
        "engine": "trees",
        "outputs": outputs,
        "link": "share" if classes == 2 else "none",
        "base": [0.0] * outputs,
        "divisor": float(len(estimator.estimators_)),
        "rounded": True,
    }
    return known, write_ensemble(list(forest_trees(estimator)), width=width, outputs=outputs)


def _boosted_link(estimator: Any, outputs: int) -> str:
    if hasattr(estimator, "classes_"):
        return "logistic" if outputs == 1 else "softmax"
    return "exp" if estimator.loss in ("poisson", "gamma") else "none"


def _read_form(files: Mapping[str, bytes]) -> CompiledForm:
    try:
        return CompiledForm.model_validate_json(files[COMPILED_FILE])
    except (KeyError, ValueError) as error:
        raise _misfit(f"{COMPILED_FILE} cannot be read ({type(error).__name__})") from None


def _read_trees(content: bytes) -> Trees:
    try:
        return Trees(content)
    except Exception as error:  # ONNX Runtime's own kinds derive from nothing narrower
        raise _misfit(f"{TREES_FILE} cannot be read ({type(error).__name__})") from None


def _misfit(fault: str) -> UnverifiedBundleError:
    return UnverifiedBundleError(
        f"the bundle's compiled form does not fit: {fault}",
        code="WS-BUNDLE-012",
        next_action="Use the version of Windsock that wrote it, or train the model again with this one.",
    )
