"""The text layer of a PDF, by pypdf. There is no reading of images: a scan is refused by that name."""

from __future__ import annotations

import io
import logging

from analyzer.errors import InputError


def pdf_text(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Text of all pages, and warnings. Raises InputError when it is encrypted, broken or has no text layer."""
    try:
        import pypdf
        from pypdf.errors import DependencyError
    except ImportError:
        raise InputError("PDF needs the optional part 'documents' (pip install 'chartgap[documents]')") from None
    # pypdf reports oddities through logging and may quote the file in them.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)
    try:
        reader = pypdf.PdfReader(io.BytesIO(raw), strict=False)
        # Files protected against changes only open with an empty password.
        if reader.is_encrypted and not reader.decrypt(""):
            raise InputError("the PDF is encrypted: it needs a password")
        pages = [page.extract_text() for page in reader.pages]
    except InputError:
        raise
    except DependencyError:
        raise InputError("the PDF is encrypted in a way that cannot be read here") from None
    except Exception as error:
        # Broken files make pypdf raise whatever its own code runs into.
        raise InputError(f"a PDF that cannot be read ({type(error).__name__})") from None
    if not pages:
        raise InputError("the PDF has no pages")
    empty = [number for number, text in enumerate(pages, start=1) if not text.strip()]
    if len(empty) == len(pages):
        raise InputError("scanned, no text layer: the PDF holds images of pages only")
    warnings = []
    if empty:
        warnings.append(f"pages without a text layer were not read: {len(empty)} of {len(pages)}")
    text = "\n".join(text.strip("\n") for text in pages if text.strip())
    return text.replace("\x00", ""), tuple(warnings)
