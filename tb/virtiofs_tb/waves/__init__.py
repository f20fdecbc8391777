"""Waves: which signals a viewer is to show, and under which names (`virtiofs-tb waves`)."""
