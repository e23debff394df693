"""How the steps of `problem.features` become operators of ONNX: words and times as numbers."""

from typing import Any

import numpy as np
import pandas as pd
from onnx import TensorProto
from skl2onnx import get_model_alias
from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType, StringTensorType
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from mlops_ladder.data.columns import MINUTES_PER_DAY, MISSING_WORD
from mlops_ladder.export.onnx.forest import require

ML = "ai.onnx.ml"
MINUTES_PER_WEEK = 7 * MINUTES_PER_DAY
MONDAY = pd.Timestamp(1970, 1, 5)
PROBED_DAYS = 40_000  # days: from 1970 to 2079


def parse_operator(real: Any, scope: Any, step: Any, tensors: Any, **_: Any) -> Any:
    """Return the outputs of an operator for a step: real numbers, for any kind of input."""
    operator = scope.declare_local_operator(get_model_alias(type(step)), step)
    operator.inputs = tensors
    operator.outputs.append(scope.declare_local_variable("features", real()))
    return operator.outputs


def set_output_shape(real: Any, operator: Any) -> None:
    """Set the shape of an operator's output: as many rows as its input."""
    operator.outputs[0].type = real([operator.inputs[0].get_first_dimension(), None])


def convert_encoder(scope: Any, operator: Any, container: Any) -> None:
    """Convert words to the numbers of their categories, each column by its own table."""
    encoder, (words,) = operator.raw_operator, operator.inputs
    require(isinstance(words.type, StringTensorType), "it encodes what are no words")
    require(encoder.handle_unknown == "use_encoded_value", "an unknown category is an error in it")
    require(encoder.max_categories is None and encoder.min_frequency is None, "rare categories")
    columns = [scope.get_unique_variable_name("word") for _ in encoder.categories_]
    codes = [scope.get_unique_variable_name("code") for _ in columns]
    together = scope.get_unique_variable_name("codes")
    split = {"op_version": 18, "axis": 1, "num_outputs": len(columns)}
    container.add_node("Split", [words.full_name], columns, **split)
    for column, code, categories in zip(columns, codes, encoder.categories_, strict=True):
        table = build_category_table(encoder, categories)
        container.add_node("LabelEncoder", [column], [code], op_domain=ML, op_version=2, **table)
    container.add_node("Concat", codes, [together], op_version=13, axis=1)
    cast = {"op_version": 13, "to": output_precision(operator)}
    container.add_node("Cast", [together], operator.output_full_names, **cast)


def build_category_table(encoder: OrdinalEncoder, categories: Any) -> dict[str, Any]:
    """Return the number of each word of a column, of a missing one, and of any other."""
    codes = {str(word): float(number) for number, word in enumerate(categories)}
    words = [word for word in categories if isinstance(word, str)]
    require(len(words) >= len(categories) - 1, "its categories are no words")
    require(len(codes) == len(categories), f"{MISSING_WORD!r} is one of its categories")
    if len(words) < len(categories):
        codes[MISSING_WORD] = float(encoder.encoded_missing_value)
    table = {"keys_strings": list(codes), "values_floats": list(codes.values())}
    return table | {"default_float": float(encoder.unknown_value)}


def convert_times(scope: Any, operator: Any, container: Any) -> None:
    """Convert times by a table of the output of the function for each minute of the week."""
    times, step = operator.inputs[0], operator.raw_operator
    require(isinstance(times.type, Int64TensorType), "it calls a function on other than times")
    table = tabulate_minutes_of_week(step)
    shape = np.array([-1, table.shape[1] * step.n_features_in_])
    constants = {"week": np.array(MINUTES_PER_WEEK), "table": table, "flat": shape}
    names = [scope.get_unique_variable_name(name) for name in (*constants, "minute", "found")]
    for name, constant in zip(names, constants.values(), strict=False):
        kind = output_precision(operator) if constant is table else TensorProto.INT64
        container.add_initializer(name, kind, constant.shape, constant.ravel().tolist())
    week, lookup, flat, *results = names
    # fmod keeps the sign: -1, a missing time, stays -1, which is the last row of the table
    container.add_node("Mod", [times.full_name, week], results[:1], op_version=13, fmod=1)
    container.add_node("Gather", [lookup, results[0]], results[1:], op_version=13, axis=0)
    container.add_node("Reshape", [results[1], flat], operator.output_full_names, op_version=14)


def output_precision(operator: Any) -> int:
    """Return the type of an operator's output, as ONNX numbers it."""
    double = isinstance(operator.outputs[0].type, DoubleTensorType)
    return int(TensorProto.DOUBLE if double else TensorProto.FLOAT)


def tabulate_minutes_of_week(transformer: FunctionTransformer) -> np.ndarray:
    """Return the output for each minute of the week and a missing time, (minutes + 1, features).

    Raises Unconvertible if the function depends on more than that.  It is tried on each day from
    1970 to 2079, at a random microsecond.
    """
    names = list(transformer.feature_names_in_)
    week = MONDAY + pd.to_timedelta(np.arange(MINUTES_PER_WEEK), unit="min")
    every = week.append(pd.DatetimeIndex([pd.NaT]))
    table = transformer.transform(pd.DataFrame({name: every for name in names}))
    table = np.asarray(table, dtype="float64")[:, : table.shape[1] // len(names)]
    random = np.random.default_rng(0)
    days = np.stack([random.permutation(PROBED_DAYS) for _ in names], axis=1)
    instants = days * 86_400_000_000 + random.integers(0, 86_400_000_000, days.shape)
    minutes = (instants // 60_000_000 - 4 * MINUTES_PER_DAY) % MINUTES_PER_WEEK
    instants[:100, 0], minutes[:100, 0] = np.iinfo("int64").min, MINUTES_PER_WEEK
    frame = pd.DataFrame(instants.astype("datetime64[us]"), columns=names)
    output = np.asarray(transformer.transform(frame), dtype="float64")
    same = np.array_equal(output, table[minutes].reshape(PROBED_DAYS, -1), equal_nan=True)
    name = getattr(transformer.func, "__name__", "its function")
    require(same, f"{name} looks at more of a time than its minute in the week")
    return table


CONVERTERS = {OrdinalEncoder: convert_encoder, FunctionTransformer: convert_times}
