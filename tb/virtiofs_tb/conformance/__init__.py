"""The conformance matrix: for each clause of spec/clauses.csv what checks it, and what came of it."""
