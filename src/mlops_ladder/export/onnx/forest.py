"""Gradient-boosted trees of scikit-learn, LightGBM and XGBoost as one ONNX operator, exactly.

Each library compares in its own precision and sends missing values its own way; the general
converters round every threshold to float32, which sends some rows to the other side of a split.
"""

import json
from copy import copy
from dataclasses import dataclass
from math import log
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

LEQ, LT = 0, 1  # modes of ONNX's TreeEnsemble: to the left where value <= split, value < split
LEAF = -1
LIBRARIES = ("sklearn.", "lightgbm.", "xgboost.")
PROBED_SHARES = 10_000  # of probabilities, to see how a wrapper decides


class Unconvertible(Exception):
    """The reason why a model cannot become ONNX, in a line."""


class Tree(NamedTuple):
    """One tree, an entry for each node; `left` of a leaf is LEAF, and its `value` what it adds."""

    target: int
    feature: Any
    value: Any
    left: Any
    right: Any
    missing_left: Any


@dataclass(frozen=True)
class Forest:
    """Trees and a base whose leaves are summed for each target.

    `classes` says that the sums are to become probabilities, by softmax; of two classes there is a
    sum for the second only, and that of the first is 0.
    """

    trees: list[Tree]
    base: Any
    classes: bool
    mode: int = LEQ
    precision: type = np.float64


def extract_forest(estimator: Any) -> Forest | None:
    """Return the trees of a fitted estimator; None if it is of none of the three libraries.

    Raises Unconvertible for an unusual objective or kind of split.
    """
    inner = getattr(estimator, "estimator_", estimator)  # Labelled: XGBoost's, for any labels
    readers = {
        "_predictors": read_scikit_learn,
        "booster_": read_lightgbm,
        "get_booster": read_xgboost,
    }
    for attribute, read in readers.items():
        if hasattr(inner, attribute):
            require_library(inner)
            decides = inner is estimator or is_pass_through(estimator)
            require(decides, "it decides in a way of its own")
            return read(inner)
    return None


def is_pass_through(wrapper: Any) -> bool:
    """Return whether a wrapper only names the classes of the estimator within, as `Labelled` does.

    It is tried: probabilities of any size pass through it, and the largest one decides.
    """
    shares = np.random.default_rng(0).dirichlet(np.ones(len(wrapper.classes_)), PROBED_SHARES)
    probe = copy(wrapper)
    probe.estimator_ = SimpleNamespace(predict_proba=lambda rows: shares)
    try:
        passed = np.array_equal(probe.predict_proba(shares), shares)
        largest = probe.classes_[shares.argmax(axis=1)]
        return passed and np.array_equal(probe.predict(shares), largest)
    except Exception:  # pylint: disable=broad-exception-caught  # it wants another estimator
        return False


def require_library(model: Any) -> None:
    """Raise Unconvertible if the class is not a library's: it may answer in its own way."""
    kind = type(model)
    require(kind.__module__.startswith(LIBRARIES), f"{kind.__name__} is a class of its own")


def require(fact: bool, reason: str) -> None:
    """Raise Unconvertible for this reason, unless the fact holds."""
    if not fact:
        raise Unconvertible(reason)


def read_scikit_learn(estimator: Any) -> Forest:
    """Return the trees of histogram gradient boosting: float64, value <= split."""
    # scikit-learn says the link and the start of the sum nowhere else.
    link = type(estimator._loss.link).__name__  # pylint: disable=protected-access
    require(link in ("IdentityLink", "LogitLink", "MultinomialLogit"), f"its link is {link}")
    trees = []
    for iteration in estimator._predictors:  # pylint: disable=protected-access  # no public way
        for target, predictor in enumerate(iteration):
            nodes = predictor.nodes
            require(not nodes["is_categorical"].any(), "it splits on sets of categories")
            leaf = nodes["is_leaf"].astype(bool)
            value = np.where(leaf, nodes["value"], nodes["num_threshold"])
            left = np.where(leaf, LEAF, nodes["left"].astype("int64"))
            rest = left, nodes["right"], nodes["missing_go_to_left"]
            trees.append(Tree(target, nodes["feature_idx"], value, *rest))
    base = estimator._baseline_prediction.ravel()  # pylint: disable=protected-access  # as above
    return Forest(trees, base, hasattr(estimator, "classes_"))


def read_lightgbm(estimator: Any) -> Forest:
    """Return the trees of LightGBM: float64, value <= split.

    If training saw no missing value, a missing one counts as 0.
    """
    dump = estimator.booster_.dump_model()
    objective, *options = dump["objective"].split()
    classes = objective in ("binary", "multiclass")
    plain = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
    require(classes or (objective in plain and not options), f"its objective is {objective}")
    require(objective != "binary" or options == ["sigmoid:1"], "its sigmoid is scaled")
    require(not dump["average_output"], "its trees are averaged")
    targets = dump["num_tree_per_iteration"]
    roots = enumerate(tree["tree_structure"] for tree in dump["tree_info"])
    trees = [flatten_tree(root, number % targets) for number, root in roots]
    return Forest(trees, np.zeros(targets), classes)


def flatten_tree(root: dict[str, Any], target: int) -> Tree:
    """Return a tree from LightGBM's nested nodes."""
    rows: list[list[Any]] = []

    def add(node: dict[str, Any]) -> int:
        place = len(rows)
        if "leaf_value" in node:
            require("leaf_const" not in node, "its leaves are linear models")
            rows.append([0, node["leaf_value"], LEAF, LEAF, False])
            return place
        split, kind = node["threshold"], node["missing_type"]
        require(node["decision_type"] == "<=", "it splits on sets of categories")
        require(kind != "Zero", "it takes zero for missing")
        missing_left = node["default_left"] if kind == "NaN" else split >= 0
        rows.append([node["split_feature"], split, 0, 0, missing_left])
        rows[place][2:4] = add(node["left_child"]), add(node["right_child"])
        return place

    add(root)
    return Tree(target, *zip(*rows, strict=True))


def read_xgboost(estimator: Any) -> Forest:
    """Return the trees of XGBoost: float32, value < split."""
    booster = estimator.get_booster()
    best = getattr(estimator, "best_iteration", None)
    kept = booster if best is None else booster[: best + 1]
    learner = json.loads(kept.save_raw("json"))["learner"]
    objective, model = learner["objective"]["name"], learner["gradient_booster"]
    plain = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror")
    classes = objective in ("binary:logistic", "multi:softprob")
    require(classes or objective in plain, f"its objective is {objective}")
    require(model["name"] == "gbtree", f"its booster is {model['name']}")
    base = np.array(json.loads(learner["learner_model_param"]["base_score"]), ndmin=1, dtype=float)
    if objective == "binary:logistic":
        base = np.array([log(share / (1 - share)) for share in base])
    pairs = zip(model["model"]["trees"], model["model"]["tree_info"], strict=True)
    trees = [read_boosted_tree(tree, target) for tree, target in pairs]
    return Forest(trees, base, classes, LT, np.float32)


def read_boosted_tree(tree: dict[str, Any], target: int) -> Tree:
    """Return a tree from XGBoost's own file format."""
    require(not any(tree["split_type"]), "it splits on sets of categories")
    require(tree["tree_param"]["size_leaf_vector"] in ("0", "1"), "its leaves are vectors")
    keys = ("split_indices", "split_conditions", "left_children", "right_children", "default_left")
    return Tree(target, *(tree[key] for key in keys))
