"""The text of a DocumentReference: what it carries itself; nothing is fetched."""

import base64
import binascii
import re
from email.message import Message
from html.parser import HTMLParser

from pipeline.history.fhir.resources import Attachment, DocumentReference
from pipeline.history.fhir.statements import StatementError
from pipeline.history.moments import later
from pipeline.history.notes.files import MAX_NOTE_CHARACTERS
from schemas.sources import FhirNotes

PLAIN, MARKUP = "text/plain", ("text/html", "application/xhtml+xml")
COUNTED = frozenset({"current", "superseded"})
NO_TEXT = "has no data that is text/plain or text/html"
UNSEEN = frozenset({"script", "style", "head", "template"})
LINES = frozenset(
    {"address", "blockquote", "br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
     "li", "p", "pre", "section", "table", "tr"}
)  # fmt: skip


def kind_of(document: DocumentReference, notes: tuple[FhirNotes, ...]) -> str:
    """Return the protocol's kind of a document; "" if it is of none or does not count.

    A document that another has superseded since was what was known at its own time.
    """
    if document.status not in COUNTED or document.docStatus == "entered-in-error":
        return ""
    codings = [
        (coding.system, coding.code)
        for concept in (document.type, *document.category)
        for coding in concept.coding
    ]
    for rule in notes:
        if any(system == rule.system and code in rule.codes for system, code in codings):
            return rule.kind
    return ""


def text_of(document: DocumentReference) -> tuple[str, str]:
    """Return when a document was written and what it says.

    Of several forms of a document plain text is preferred to markup.

    Raises
    ------
    StatementError
        If it carries no text: only a link, another format, or data that is not base64.
    """
    attachments = [content.attachment for content in document.content]
    forms = [_media_type(attachment) for attachment in attachments]
    for wanted in (PLAIN, *MARKUP):
        for attachment, (form, charset) in zip(attachments, forms, strict=True):
            if form == wanted and attachment.data:
                text = _decoded(attachment, charset)
                text = text if form == PLAIN else _without_markup(text)
                return later(document.date, attachment.creation), _bounded(text)
    has_link = any(attachment.url for attachment in attachments)
    reason = "url is not fetched: put the text into data" if has_link else NO_TEXT
    msg = f"content[0].attachment: {reason}"
    raise StatementError(msg)


def _media_type(attachment: Attachment) -> tuple[str, str]:
    header = Message()
    header["Content-Type"] = re.sub(r"[\r\n]", " ", attachment.contentType) or PLAIN
    return header.get_content_type(), str(header.get_param("charset", "utf-8"))


def _decoded(attachment: Attachment, charset: str) -> str:
    try:
        content = base64.b64decode("".join(attachment.data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "content[0].attachment.data: is not base64"
        raise StatementError(msg) from error
    try:
        return content.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return content.decode("utf-8", errors="replace")


def _bounded(text: str) -> str:
    text = text.strip()
    if len(text) > MAX_NOTE_CHARACTERS:
        msg = f"content[0].attachment: has more than {MAX_NOTE_CHARACTERS} characters"
        raise StatementError(msg)
    return text


def _without_markup(text: str) -> str:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    """Keeps what a reader of the page would see; a block element ends a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.hidden += tag in UNSEEN
        self._end_line(tag)

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(0, self.hidden - (tag in UNSEEN))
        self._end_line(tag)

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)

    def _end_line(self, tag: str) -> None:
        if tag in LINES:
            self.parts.append("\n")
