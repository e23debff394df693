"""A fitted model as ONNX: raw columns in, probabilities or numbers out, the features inside.

The only file that imports onnx and skl2onnx.
"""

from copy import deepcopy
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from .contract import Contract
from .forest import Forest, attributes, forest_of, require
from .serving.runtime import DAY, NO_WORD, TENSORS

ML = "ai.onnx.ml"
OPSETS = {"": 18, ML: 3}
TREES = {"": 18, ML: 5}  # the first of ai.onnx.ml with TreeEnsemble
WEEK = 7 * DAY
MONDAY = pd.Timestamp(1970, 1, 5)
PROBES = 40_000  # days: from 1970 to 2079


def convert(model: Any, contract: Contract) -> bytes:
    """The model as an ONNX file: tensors `numbers`, `words` and `times`, each (rows, columns).

    Its only output has (rows, classes) probabilities, or (rows, 1) numbers.  Equal models give
    equal bytes.  Raises Unconvertible, or what a converter raises, where there is none.
    """
    graph = converted(arranged(model, contract), contract)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString(deterministic=True))


def converted(model: Any, contract: Contract) -> onnx.ModelProto:
    """The features by the converters, trees as one operator; another estimator by its converter."""
    forest = forest_of(model[-1]) if isinstance(model, Pipeline) and len(model) > 1 else None
    classes = not forest and hasattr(model, "predict_proba")
    graph = convert_sklearn(
        model[:-1] if forest else model,
        name="model",
        initial_types=inputs(contract),
        target_opset=OPSETS,
        options={id(model): {"zipmap": False}} if classes else None,
        custom_shape_calculators={OrdinalEncoder: wide, FunctionTransformer: wide},
        custom_conversion_functions={
            OrdinalEncoder: convert_encoder,
            FunctionTransformer: convert_times,
        },
    )
    if forest:
        add_forest(graph, forest)
    return select_model_inputs_outputs(graph, "probabilities") if classes else graph


def inputs(contract: Contract) -> list[tuple[str, Any]]:
    """The tensors of the graph with their types; one without columns is left out."""
    kinds = {"numbers": DoubleTensorType, "words": StringTensorType, "times": Int64TensorType}
    widths = {name: len(contract.inputs(*of)) for name, of in TENSORS.items()}
    return [(name, kinds[name]([None, width])) for name, width in widths.items() if width]


def arranged(model: Any, contract: Contract) -> Any:
    """A copy of the model that knows its columns by their places in the tensors, not by name."""
    model = deepcopy(model)
    step = model[0] if isinstance(model, Pipeline) else model
    if isinstance(step, ColumnTransformer):
        ordered = [name for of in TENSORS.values() for name in contract.inputs(*of)]
        place = {name: i for i, name in enumerate(ordered)}
        chosen = step._transformer_to_input_indices  # pylint: disable=protected-access
        step.transformers_ = [
            (
                name,
                "passthrough" if getattr(part, "func", part) is None else part,
                [place[step.feature_names_in_[i]] for i in chosen[name]],
            )
            for name, part, _ in step.transformers_
        ]
    return model


def wide(operator: Any) -> None:
    """The shape of an operator's output: as many rows as it gets, of float64."""
    operator.outputs[0].type = DoubleTensorType([operator.inputs[0].get_first_dimension(), None])


def convert_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Words to the numbers of their categories, each column by a table of its own."""
    encoder, (words,) = operator.raw_operator, operator.inputs
    require(isinstance(words.type, StringTensorType), "it encodes what are no words")
    require(encoder.handle_unknown == "use_encoded_value", "an unknown category is an error in it")
    require(encoder.max_categories is None and encoder.min_frequency is None, "rare categories")
    columns = [scope.get_unique_variable_name("word") for _ in encoder.categories_]
    codes = [scope.get_unique_variable_name("code") for _ in columns]
    container.add_node(
        "Split", [words.full_name], columns, op_version=18, axis=1, num_outputs=len(columns)
    )
    for column, code, categories in zip(columns, codes, encoder.categories_, strict=True):
        known = {str(word): float(number) for number, word in enumerate(categories)}
        require(len(known) == len(categories), f"{NO_WORD!r} is a category")
        require(all(isinstance(word, (str, float)) for word in categories), "no words")
        if not isinstance(categories[-1], str):
            known[NO_WORD] = float(encoder.encoded_missing_value)
        container.add_node(
            "LabelEncoder",
            [column],
            [code],
            op_domain=ML,
            op_version=2,
            keys_strings=list(known),
            values_floats=list(known.values()),
            default_float=float(encoder.unknown_value),
        )
    together = scope.get_unique_variable_name("codes")
    container.add_node("Concat", codes, [together], op_version=13, axis=1)
    container.add_node(
        "Cast", [together], operator.output_full_names, op_version=13, to=TensorProto.DOUBLE
    )


def convert_times(scope: Any, operator: Any, container: Any) -> None:
    """Times by a table of what the function says of each minute of the week."""
    (times,) = operator.inputs
    require(isinstance(times.type, Int64TensorType), "it calls a function on other than times")
    table = tabulated(operator.raw_operator, times.type.shape[1])
    constants = {
        "week": np.array(WEEK, dtype="int64"),
        "table": table,
        "flat": np.array([-1, table.shape[1] * times.type.shape[1]], dtype="int64"),
    }
    names = {name: scope.get_unique_variable_name(name) for name in (*constants, "minute", "found")}
    for name, value in constants.items():
        container.add_initializer(
            names[name],
            helper.np_dtype_to_tensor_dtype(value.dtype),
            value.shape,
            value.ravel().tolist(),
        )
    # fmod keeps the sign: -1, a missing time, stays -1, the last row of the table
    container.add_node(
        "Mod", [times.full_name, names["week"]], [names["minute"]], op_version=13, fmod=1
    )
    container.add_node(
        "Gather", [names["table"], names["minute"]], [names["found"]], op_version=13, axis=0
    )
    container.add_node(
        "Reshape", [names["found"], names["flat"]], operator.output_full_names, op_version=14
    )


def tabulated(transformer: FunctionTransformer, columns: int) -> np.ndarray:
    """What it says of a time in each minute of the week, and last of a missing one.

    Raises Unconvertible where it looks at more than that: it is tried on each day from 1970 to
    2079, at any microsecond.
    """
    names = getattr(transformer, "feature_names_in_", range(columns))
    week = MONDAY + pd.to_timedelta(np.arange(WEEK), unit="min")
    every = week.append(pd.DatetimeIndex([pd.NaT]))
    table = transformer.transform(pd.DataFrame({name: every for name in names}))
    table = np.asarray(table, dtype="float64")[:, : table.shape[1] // columns]
    random = np.random.default_rng(0)
    days = np.stack([random.permutation(PROBES) for _ in names], axis=1)
    instants = days * 86_400_000_000 + random.integers(0, 86_400_000_000, days.shape)
    minutes = (instants // 60_000_000 - 4 * DAY) % WEEK
    instants[:100, 0], minutes[:100, 0] = np.iinfo("int64").min, WEEK
    frame = pd.DataFrame(instants.astype("datetime64[us]"), columns=list(names))
    found = np.asarray(transformer.transform(frame), dtype="float64")
    same = np.array_equal(found, table[minutes].reshape(PROBES, -1), equal_nan=True)
    name = getattr(transformer.func, "__name__", "its function")
    require(same, f"{name} looks at more of a time than its minute in the week")
    return table


def add_forest(model: onnx.ModelProto, forest: Forest) -> None:
    """Put the trees behind the features of the graph."""
    graph = model.graph
    (features,) = graph.output
    require(features.type.tensor_type.elem_type == TensorProto.DOUBLE, "features are not float64")
    steps: list[tuple[str, str, list[str], dict[str, Any]]] = [
        ("TreeEnsemble", ML, [], attributes(forest))
    ]
    if forest.precision is np.float32:
        steps.insert(0, ("Cast", "", [], {"to": TensorProto.FLOAT}))
    if forest.classes and len(forest.base) == 1:
        second = np.array([[0, 1]], dtype=forest.precision)  # the sum of the first class is 0
        graph.initializer.append(numpy_helper.from_array(second, "second"))
        steps.append(("MatMul", "", ["second"], {}))
    if forest.classes:
        steps.append(("Softmax", "", [], {"axis": 1}))
    last = features.name
    for kind, domain, more, given in steps:
        graph.node.append(helper.make_node(kind, [last, *more], [kind], kind, domain=domain, **given))
        last = kind
    precision = helper.np_dtype_to_tensor_dtype(np.dtype(forest.precision))
    del graph.output[:], model.opset_import[:]
    graph.output.append(helper.make_tensor_value_info(last, precision, [None, None]))
    model.opset_import.extend(helper.make_opsetid(*pair) for pair in TREES.items())
