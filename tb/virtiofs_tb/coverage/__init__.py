"""Functional coverage: which situations were met in runs, judged from their observation logs alone.

model.py: the bins, as data; sampler.py: what of a log falls into which; counts.py: one file a run, and their sum;
plan.toml: the runs of `make coverage`; waivers.toml: bins that need not be hit, why, and who sees to them.

Nothing here runs anything: coverage_runs.py and coverage_command.py beside this package do.
"""
