"""What happened in a run, told from its observation log alone: stories, ring snapshots, exports."""
