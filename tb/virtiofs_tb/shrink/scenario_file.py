"""The result as a test: a file of one scenario that carries the stimulus as data."""

from __future__ import annotations

import re
import textwrap

from virtiofs_tb import catalogue
from virtiofs_tb.report import FailureReport
from virtiofs_tb.scenario import load_scenarios
from virtiofs_tb.shrink.candidate import Candidate

WIDTH = 120
PREFIX = "shrunk"
KEEP = "To keep it, move this file to tests/sim/scenarios, where every file is a test."

_CODE = '''"""{title}

{failure}

{again}
"""

from __future__ import annotations

from virtiofs_tb.host.port import HostPort
from virtiofs_tb.scenario import Bench, scenario
from virtiofs_tb.sequences.recorded import Stimulus, replay
{engine}{before}
STIMULUS = Stimulus.of(
    """
{stimulus}
"""{noqa}
)


@scenario(clauses={clauses}, needs={needs})
async def {name}(host: HostPort, tb: Bench) -> None:
    """What is left of {test} with seed {seed} and still fails."""
    await replay(host, tb, STIMULUS{given})
'''


def name_of(test: str, seed: int) -> str:
    """The name of the scenario, and of its file without ending."""
    word = re.sub(r"\W", "_", catalogue.stem(test))
    return word if word.startswith(PREFIX) else f"{PREFIX}_{word}_{seed}"


def write_scenario(name: str, test: str, seed: int, candidate: Candidate, failure: FailureReport, again: str) -> str:
    """The text of the file. again: the command that runs it; failure: what it ends in."""
    lines = candidate.stimulus.lines
    clause = f" [{failure.clause}]" if failure.clause else ""
    told = f"It fails: {failure.source}{clause}: {failure.line.splitlines()[0]}"
    needs = {need for step in candidate.before for need in load_scenarios(catalogue.SCENARIOS)[step].needs}
    return _CODE.format(
        title=f"{catalogue.stem(test)} with seed {seed}, shrunk to {candidate.size}.",
        failure=_wrapped(told),
        again=_wrapped(f"Run it with `{again}`. {KEEP}"),
        before=f"\nBEFORE = {_tuple(candidate.before)}" if candidate.before else "",
        engine=f'\nENGINE = "{candidate.engine}"' if candidate.engine != catalogue.DEFAULT_ENGINE else "",
        given=", BEFORE" if candidate.before else "",
        stimulus="\n".join(lines),
        noqa="  # noqa: E501" if max(map(len, lines)) > WIDTH else "",
        clauses=_list([failure.clause] if failure.clause else []),
        needs=_list(sorted(needs)),
        name=name,
        test=catalogue.stem(test),
        seed=seed,
    )


def _wrapped(text: str) -> str:
    """As it stands between triple quotes."""
    safe = text.replace("\\", "\\\\").replace('"""', "'''")
    return "\n".join(textwrap.wrap(safe, WIDTH, break_long_words=False, break_on_hyphens=False))


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _tuple(names: tuple[str, ...]) -> str:
    return "(\n" + "".join(f'    "{name}",\n' for name in names) + ")"
