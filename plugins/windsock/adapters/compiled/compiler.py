"""``PipelineCompiler``: fitted pipelines into their compiled form, and back into something that answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from windsock.adapters.bundle_files import limit_of
from windsock.adapters.compiled.form import CompiledForm
from windsock.adapters.compiled.linear import LinearModel
from windsock.adapters.compiled.probing import probe
from windsock.adapters.compiled.trees import Trees, TreesModel
from windsock.exceptions import NotCompilableError, UnverifiedBundleError
from windsock.ports import CompiledModel
from windsock.records import COMPILED_FILE, TREES_FILE, InputSchema
from windsock.spec import canonical_json

LINEAR = ("LogisticRegression", "Ridge")
BOOSTED = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
CODES = 256
"""Most codes that a category of boosted trees may have."""
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
            known, trees = _estimator(estimator, name)
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
        return TreesModel(form, schema, trees)


def _estimator(estimator: Any, name: str) -> tuple[dict[str, Any], bytes]:
    """Return what the form says of an estimator, and its trees."""
    import numpy as np

    if name in LINEAR:
        coefficients = np.atleast_2d(estimator.coef_).tolist()
        intercepts = np.broadcast_to(estimator.intercept_, len(coefficients)).tolist()
        link = "none" if name == "Ridge" else "logistic" if len(coefficients) == 1 else "softmax"
        known = {"engine": "linear", "outputs": len(coefficients), "link": link}
        return {**known, "coefficients": coefficients, "intercepts": intercepts}, b""
    import treelite

    model = treelite.sklearn.import_model(_with_all_codes(estimator) if name in BOOSTED else estimator)
    content: bytes = model.serialize_bytes()
    outputs = Trees(model).outputs
    link = _boosted_link(estimator, outputs) if name in BOOSTED else "none"
    return {"engine": "trees", "outputs": outputs, "link": link, "rounded": name in FORESTS}, content


def _with_all_codes(estimator: Any) -> Any:
    """Return a copy of boosted trees, for treelite to read, in which a category's code stands for itself.

    Windsock's codes are 0, 1, 2 ... already, and scikit-learn's own list of them ends with a NaN. Its splits
    may name codes beyond the list; treelite would look them up past its end, take the NaN for code 0, and
    send a known category the wrong way. A list of all 256 codes has neither end nor NaN.

    :raises NotCompilableError: if the codes are others.
    """
    import numpy as np

    encoding = getattr(estimator, "_preprocessor", None)
    if encoding is None:
        return estimator
    (name, encoder, columns), *others = encoding.transformers_
    for codes in encoder.categories_:
        known = codes[~np.isnan(codes)]
        if known.tolist() != list(range(len(known))):
            raise NotCompilableError("its codes of categories have gaps")
    every = SimpleNamespace(categories_=[np.arange(CODES)] * len(encoder.categories_))
    readable = copy.copy(estimator)
    readable._preprocessor = SimpleNamespace(transformers_=[(name, every, columns), *others])
    return readable


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
    import treelite

    try:
        return Trees(treelite.Model.deserialize_bytes(content))
    except (treelite.TreeliteError, ValueError) as error:
        raise _misfit(f"{TREES_FILE} cannot be read ({type(error).__name__})") from None


def _misfit(fault: str) -> UnverifiedBundleError:
    return UnverifiedBundleError(
        f"the bundle's compiled form does not fit: {fault}",
        code="WS-BUNDLE-012",
        next_action="Use the version of Windsock that wrote it, or train the model again with this one.",
    )
