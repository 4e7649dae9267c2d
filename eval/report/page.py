"""One html file for a benchmark: the table, and outputs with their prompts, so that a number can be looked at.

The pictures are in the file, which therefore opens anywhere; each links to the output it was made from.
"""

import os
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote

from eval.benchmark import Benchmark
from eval.report.sheets import Picture, Sheet
from eval.report.table import Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd; font-weight: normal }
th { vertical-align: bottom; font-size: .85em } th:first-child, td:first-child { text-align: left }
td:nth-child(2), tr.total td { font-weight: bold } .wide { overflow-x: auto }
figure { margin: 0 0 1.2rem } figcaption { margin-bottom: .2rem } img { height: 128px; border: 3px solid #ddd }
img.right { border-color: #28964a } img.wrong { border-color: #c82828 } .absent { color: #c82828 }
li, .group { color: #555 } h2 { margin-top: 2rem }
"""


def page(benchmark: Benchmark, table: Table, sheets: Iterable[Sheet], *, beside: Path) -> str:
    """The html of a page that will lie in the folder `beside`, from which its links to the outputs start."""
    body = [f"<h1>{benchmark.title}</h1>", f"<p>{benchmark.meaning}</p>", *_table(table)]
    figures = [line for sheet in sheets for line in _figure(sheet, beside)]
    if figures:
        body += ["<h2>Outputs</h2>", "<p>The first prompts of every tag or dimension, none chosen.</p>", *figures]
    head = f'<meta charset="utf-8"><title>{benchmark.title}</title><style>{_STYLE}</style>'
    return "\n".join(["<!doctype html>", f'<html lang="en"><head>{head}</head><body>', *body, "</body></html>", ""])


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr>' + "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    yield "</tr></thead><tbody>"
    for index, row in enumerate(table.rows):
        kind = ' class="total"' if index >= table.first_total else ""
        yield f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></div><ul>"
    yield from (f"<li>{escape(note)}</li>" for note in table.notes)
    yield "</ul>"


def _figure(sheet: Sheet, beside: Path) -> Iterator[str]:
    yield f'<figure><figcaption><span class="group">{escape(sheet.group)}</span> {escape(sheet.prompt)}</figcaption>'
    yield from (_picture(picture, beside) for picture in sheet.pictures)
    yield "</figure>"


def _picture(picture: Picture, beside: Path) -> str:
    if picture.jpeg is None:
        return f'<span class="absent">{escape(picture.file.name)} is missing or does not decode</span>'
    link = quote(Path(os.path.relpath(picture.file, beside)).as_posix())
    kind = {None: "", True: "right", False: "wrong"}[picture.correct]
    said = {None: "", True: "correct", False: f"wrong: {picture.reason}"}[picture.correct]
    return f'<a href="{link}"><img class="{kind}" title="{escape(said)}" alt="{escape(said)}" src="{picture.uri}"></a>'
