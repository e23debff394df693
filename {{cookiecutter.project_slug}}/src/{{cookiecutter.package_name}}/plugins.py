"""Plugins: functions of yours that the library calls where something happens.

Name a function as its hook, and take any of the arguments of the hook; nothing has to be installed.
All hooks are in `mlops_ladder/hooks.py`.  For instance, nothing becomes champion on a Friday:

    from datetime import date

    from mlops_ladder.hooks import hookimpl


    @hookimpl
    def find_promotion_objections() -> list[str]:
        return ["it is Friday"] if date.today().isoweekday() == 5 else []
"""
