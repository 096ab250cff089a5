"""What the documents show: their blocks of code, the commands in them with the output shown, their links and what they name."""

import re
import shlex
from dataclasses import dataclass, field

from conftest import ROOT

MANUALS = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [*MANUALS, ROOT / "DEVELOPERS.md", ROOT / "CHANGELOG.md"]

# What commands begin with; blocks that begin with anything else show files, output or formulas.
PROGRAM = re.compile(
    r"\$ |verillm (?!secret key)|\./|cmake |scripts/|build/|benchmarks/|python3? |VENV/|for |ssh |brew |mkdir |export |cp "
)


def blocks(text):
    """The lines of each fenced or indented block of a Markdown text."""
    block, fence = None, False
    for line in [*text.splitlines(), "end"]:
        if line.startswith("```"):
            if fence:
                yield block
            fence, block = not fence, None if fence else []
        elif fence:
            block.append(line)
        elif line.startswith("    ") and line.strip():
            block = (block or []) + [line[4:]]
        elif line.strip() or block is None:
            if block:
                yield block
            block = None
        else:
            block.append("")


@dataclass
class Command:
    """A command as it is shown, on one line and without its comment."""

    text: str
    code: int = 0
    output: list = field(default_factory=list)

    def words(self):
        """Its words, those of redirections and of commands after it left out."""
        lexer = shlex.shlex(self.text, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = []
        for word in lexer:
            if set(word) <= set("<>|&;"):
                break
            words.append(word)
        return words

    def has_placeholder(self):
        return any(re.match(r"[A-Z][A-Z0-9]+([.:@/].*)?$", word) or "..." in word for word in self.words())


def commands(block):
    """The commands of a block, with what is shown of their output: behind a blank line, or where commands begin with "$ ". A
    comment such as "# exit code 1" says how one ends. A loop is one command."""
    if not PROGRAM.match(block[0]):
        return []
    if block[0].startswith("for "):
        return [Command("\n".join(block))]
    transcript = block[0].startswith("$ ")
    found = []
    for i, line in enumerate(block):
        if i > 0 and block[i - 1].endswith("\\"):
            found[-1].text = found[-1].text.removesuffix("\\") + line.strip()
        elif line.startswith("$ ") if transcript else i == 0 or PROGRAM.match(line):
            found.append(Command(line.removeprefix("$ ")))
        elif transcript or "" in block[:i]:
            found[-1].output.append(line)
        elif line and not line.startswith("#"):
            found.append(Command(line))
    for command in found:
        command.text, _, comment = re.sub(r"\s+# ", "\0", command.text, count=1).partition("\0")
        code = re.search(r"exit code (\d)", comment)
        command.code = int(code[1]) if code else 0
    return found


def commands_of(document):
    text = document.read_text(encoding="utf-8")
    return [command for block in blocks(text) if block for command in commands(block)]


def prose(text):
    """A Markdown text without its blocks of code."""
    without_fences = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^    .*$", "", without_fences, flags=re.MULTILINE)


def inline_code(text):
    return [re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", prose(text))]


def links(text):
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def anchors(text):
    """What GitHub names the headings of a Markdown text."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pattern(line):
    """What two lines of output have in common that differ in numbers, digests, keys and devices only."""
    line = re.sub(r"\b(cpu:\w+|RW[A-Za-z0-9+/]{54}|[0-9a-fA-F]{16,})", "#", line)
    line = re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "#", line)
    return re.sub(r"\s+", " ", re.sub(r"# (ms|s|min|bytes|KB|MB|GB)\b", "# units", line)).strip()


def missing_line(shown, printed):
    """The first line shown that was not printed, in order and but for numbers; "..." stands for anything. None where all were."""
    lines = iter([pattern(line) for line in printed])
    for line in shown:
        begin, dots, _ = pattern(line).partition("...")
        begin = begin.rstrip()
        if begin and not any(candidate.startswith(begin) if dots else candidate == begin for candidate in lines):
            return line
    return None
