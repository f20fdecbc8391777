"""Scoreboards: the judges of a run, fed from the observation log. They import neither cocotb nor pyuvm."""

from virtiofs_tb.scoreboards.base import Scoreboard
from virtiofs_tb.scoreboards.board_set import ALL, ScoreboardSet
from virtiofs_tb.scoreboards.events import Failure

__all__ = ["ALL", "Failure", "Scoreboard", "ScoreboardSet"]
