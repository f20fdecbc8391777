"""The clauses of side `driver`, checked from the observation log alone, whoever drives.

A rule says what a log shows of a driver that breaks a clause of spec/clauses.csv. It never asks what the driver meant,
and it is silent where the log does not prove anything. checker.py binds the themes; registry.py says for each clause of
the side how it is observed, or why it is not.
"""
