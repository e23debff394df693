"""A fitted model as ONNX: raw columns in, probabilities or numbers out, the features inside."""

from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
from skl2onnx import convert_sklearn
from skl2onnx.common import data_types
from sklearn.base import is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from mlops_ladder.data.columns import TENSOR_KINDS
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.onnx.converters import CONVERTERS, ML, parse_operator, set_output_shape
from mlops_ladder.export.onnx.forest import (
    extract_forest,
    Forest,
    LEAF,
    require,
    require_library,
    Tree,
)

OPSETS = {"": 18, ML: 3}
TREE_OPSETS = {"": 18, ML: 5}  # the first of ai.onnx.ml with TreeEnsemble


def convert(model: Any, contract: Contract) -> bytes:
    """Return the model as an ONNX file: tensors `numbers`, `words`, `times`, each (rows, columns).

    Its last output has (rows, classes) probabilities, or (rows, 1) numbers.  If the class that the
    model decides for is not always the most probable one, it is the first output.  Equal models
    give equal bytes.  Raises Unconvertible, or a converter's error, if there is no such graph.
    """
    graph = build_graph(select_columns_by_position(model, contract), contract)
    onnx.checker.check_model(graph)
    return bytes(graph.SerializeToString(deterministic=True))


def build_graph(model: Any, contract: Contract) -> onnx.ModelProto:
    """Return the graph of the features and of the estimator; trees are one operator."""
    forest = extract_forest(model[-1]) if isinstance(model, Pipeline) and len(model) > 1 else None
    require_library(model)
    classes = not forest and hasattr(model, "predict_proba")
    # Most operators other than that of trees know no float64.
    real = data_types.DoubleTensorType if forest else data_types.FloatTensorType
    require(bool(forest) or classes or is_regressor(model), "it gives no probabilities")
    graph = convert_sklearn(
        model[:-1] if forest else model,
        name="model",
        initial_types=graph_inputs(contract, real),
        target_opset=OPSETS,
        options={id(model): {"zipmap": False}} if classes else None,
        custom_parsers=dict.fromkeys(CONVERTERS, partial(parse_operator, real)),
        custom_shape_calculators=dict.fromkeys(CONVERTERS, partial(set_output_shape, real)),
        custom_conversion_functions=CONVERTERS,
    )
    if forest:
        add_forest(graph, forest)
    return graph


def graph_inputs(contract: Contract, real: Any) -> list[tuple[str, Any]]:
    """Return the tensors of the graph with their types; one without columns is left out."""
    kinds = {"numbers": real, "words": data_types.StringTensorType}
    kinds["times"] = data_types.Int64TensorType
    widths = {name: len(contract.inputs(*of)) for name, of in TENSOR_KINDS.items()}
    return [(name, kinds[name]([None, width])) for name, width in widths.items() if width]


def select_columns_by_position(model: Any, contract: Contract) -> Any:
    """Return a copy of the model that finds columns by position in the tensors."""
    model = deepcopy(model)
    step = model[0] if isinstance(model, Pipeline) else model
    if isinstance(step, ColumnTransformer):
        ordered = [name for of in TENSOR_KINDS.values() for name in contract.inputs(*of)]
        place = {name: i for i, name in enumerate(ordered)}
        # The only place that says which columns a step was given, however they were named.
        chosen = step._transformer_to_input_indices  # pylint: disable=protected-access
        for number, (name, part, _) in enumerate(step.transformers_):
            kept = "passthrough" if getattr(part, "func", part) is None else part
            places = [place[step.feature_names_in_[i]] for i in chosen[name]]
            step.transformers_[number] = (name, kept, places)
    return model


def add_forest(model: onnx.ModelProto, forest: Forest) -> None:
    """Put the trees behind the features of the graph, and softmax behind those of classes."""
    graph = model.graph
    (features,) = graph.output
    require(features.type.tensor_type.elem_type == TensorProto.DOUBLE, "features are not float64")
    kind, last = helper.np_dtype_to_tensor_dtype(np.dtype(forest.precision)), features.name
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if kind != TensorProto.DOUBLE:
        steps.append(("Cast", [], {"to": kind}))
    steps.append(("TreeEnsemble", [], ensemble_attributes(forest) | {"domain": ML}))
    if forest.classes and len(forest.base) == 1:
        second: np.ndarray = np.array([[0, 1]], forest.precision)  # the sum of the first class is 0
        graph.initializer.append(numpy_helper.from_array(second, "second"))
        steps.append(("MatMul", ["second"], {}))
    if forest.classes:
        steps.append(("Softmax", [], {"axis": 1}))
    for name, more, options in steps:
        graph.node.append(helper.make_node(name, [last, *more], [name], name, **options))
        last = name
    del graph.output[:], model.opset_import[:]
    graph.output.append(helper.make_tensor_value_info(last, kind, [None, None]))
    model.opset_import.extend(helper.make_opsetid(*pair) for pair in TREE_OPSETS.items())


def ensemble_attributes(forest: Forest) -> dict[str, Any]:
    """Return the attributes of the operator TreeEnsemble, the base as the first trees."""
    nodes: list[tuple[Any, ...]] = []
    leaves: list[tuple[int, float]] = []
    roots = []
    base = [Tree(at, [0], [value], [LEAF], [LEAF], [False]) for at, value in enumerate(forest.base)]
    for tree in [*base, *forest.trees]:
        roots.append(len(nodes))
        append_tree(tree, nodes, leaves)
    columns = list(zip(*nodes, strict=True))
    names = ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")
    pairs = zip(names, columns, strict=False)
    attributes: dict[str, Any] = {f"nodes_{name}": list(values) for name, values in pairs}
    weights: np.ndarray = np.array([value for _, value in leaves], dtype=forest.precision)
    return attributes | {
        "nodes_missing_value_tracks_true": list(columns[5]),
        "nodes_splits": numpy_helper.from_array(np.array(columns[6], dtype=forest.precision)),
        "nodes_modes": numpy_helper.from_array(np.full(len(nodes), forest.mode, dtype=np.uint8)),
        "leaf_targetids": [target for target, _ in leaves],
        "leaf_weights": numpy_helper.from_array(weights),
        "tree_roots": roots,
        "n_targets": len(forest.base),
    }


def append_tree(tree: Tree, nodes: list[tuple[Any, ...]], leaves: list[tuple[int, float]]) -> None:
    """Add the nodes and leaves of a tree to those of the operator, which counts each separately.

    A tree of one leaf becomes a node whose two sides are that leaf.
    """
    inner = [place for place, left in enumerate(tree.left) if left != LEAF]
    outer = [place for place, left in enumerate(tree.left) if left == LEAF]
    number = {place: len(nodes) + i for i, place in enumerate(inner)}
    number |= {place: len(leaves) + i for i, place in enumerate(outer)}
    leaves += [(tree.target, float(tree.value[place])) for place in outer]

    def side(child: int) -> tuple[int, int]:
        return number[child], int(tree.left[child] == LEAF)

    for place in inner:
        ends = *side(int(tree.left[place])), *side(int(tree.right[place]))
        missing, split = int(tree.missing_left[place]), float(tree.value[place])
        nodes.append((int(tree.feature[place]), *ends, missing, split))
    if not inner:
        nodes.append((0, *side(0), *side(0), 0, 0.0))
