"""Repeating: does the same training, in a new process, give the same predictions?"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from . import ProjectError
from .contract import read_contract
from .prediction import predict
from .problem import read_data
from .settings import Settings, load
from .training import train

HASH_SEEDS = ("1", "2")  # the order of Python's sets differs between the two


def apart(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """How far two models' predictions for the same rows are apart: the largest difference.

    Infinite where they name different classes, or predict for other rows.
    """
    if list(first) != list(second) or len(first) != len(second):
        return np.inf
    numbers = first.select_dtypes("number").columns
    words = first.columns.difference(numbers)
    if not first[words].equals(second[words]):
        return np.inf
    return float(np.abs(first[numbers] - second[numbers]).to_numpy().max(initial=0))
