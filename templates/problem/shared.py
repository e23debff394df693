def read_data(settings: Settings) -> pd.DataFrame:
    """All rows to learn from, one column for each column of the contract.

    To read from elsewhere, say a database, change this function.
    """
    return read_table(settings.data.path, settings.data, read_contract())


def calendar(times: pd.DataFrame) -> pd.DataFrame:
    """Weekday (0 is Monday) and hour (0 to 24, with minutes) of each time column, as floats.

    Not the month: one that training has not seen is outside everything that the model knows.
    """
    parts = {}
    for name in times:
        clock = times[name].dt
        parts[f"{name} weekday"] = clock.weekday
        parts[f"{name} hour"] = clock.hour + clock.minute / 60
    return pd.DataFrame(parts, index=times.index, dtype="float64")


def features(contract: Contract) -> ColumnTransformer:
    """The columns of the contract as one matrix of floats, (rows, features); NaN where missing.

    Categories become numbers in their sorted order, which trees split well; one that training has
    not seen becomes -1.
    """
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
    )
    return ColumnTransformer(
        [
            ("numbers", "passthrough", contract.inputs("number", "integer", "boolean")),
            ("categories", encoder, contract.inputs("category", "text")),
            ("calendar", FunctionTransformer(calendar), contract.inputs("time")),
        ]
    )
