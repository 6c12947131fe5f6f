"""The commands for whoever keeps a rules file: `python -m flows.rules check`, and its neighbours, a module each.

None of them imports Prefect: they start in an app's CI, where there is none.
"""
