"""Texts about copies on this disk, as texts about the addresses that they are copies of: what people have typed.

/home/me/.cache/xllmx-store/folders/3f0c9a1e5b7d/s3/bucket/model/config.json    s3://bucket/model/config.json
/home/me/.cache/xllmx-store/3f0c...9a1e.csv                                     s3://bucket/lists/videos.csv
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from xllmx.store.address import SCHEMES
from xllmx.store.local_copy import address_of, copies_folder

_IN_FOLDER = rf"/folders/[0-9a-f]{{12}}/({'|'.join(SCHEMES)})/"
_FILE = r"/([0-9a-f]{40}(?:\.\w{1,15})?)"


def with_addresses(text: str) -> str:
    """Return a text in which the paths of copies are the addresses of what was copied."""
    folder = copies_folder()
    for root in {str(folder), str(folder.resolve())}:
        if root in text:
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
        raise
