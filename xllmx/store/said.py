"""Texts about copies on this disk, as texts about the addresses that they are copies of: what people have typed.

/home/me/.cache/xllmx-store/folders/3f0c9a1e5b7d/s3/bucket/model/config.json    s3://bucket/model/config.json
/home/me/.cache/xllmx-store/3f0c...9a1e.csv                                     s3://bucket/lists/videos.csv
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from xllmx.store.address import SCHEMES
from xllmx.store.local_copy import COPIES, address_of, copies_folder

_IN_FOLDER = rf"/folders/[0-9a-f]{{12}}/({'|'.join(SCHEMES)})/"
_FILE = r"/([0-9a-f]{40}(?:\.\w{1,15})?)"


def with_addresses(text: str) -> str:
    """Return a text in which the paths of copies are the addresses of what was copied."""
    if COPIES not in text:  # most are: and where nobody's home is known there are no copies to look for
        return text
    folder = copies_folder()
    for root in sorted({str(folder), str(folder.resolve())}, key=len, reverse=True):  # one may be the end of the other
        text = re.sub(re.escape(root) + _IN_FOLDER, r"\1://", text)
        text = re.sub(re.escape(root) + _FILE, lambda found: address_of(found[1]) or found[0], text)
    return text


@contextmanager
def naming_addresses() -> Iterator[None]:
    """A context, and a decorator, in which errors about copies speak of what was copied."""
    try:
        yield
    except (ValueError, OSError) as error:
        error.args = tuple(with_addresses(one) if isinstance(one, str) else one for one in error.args)
        if isinstance(error, OSError) and isinstance(error.filename, str):
            error.filename = with_addresses(error.filename)
        raise
