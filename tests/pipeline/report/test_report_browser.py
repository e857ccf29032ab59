"""The pages in a real browser, from file://, behind a proxy that counts what it is asked for."""

import re
import shutil
import socket
import subprocess
import threading
from contextlib import closing

import pytest
from report_examples import heatmap, report, risk, volume, withheld_report

from pipeline.report.index import write_index, write_predictions_csv
from pipeline.report.write import study_folder_name, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--enable-logging=stderr",
    "--proxy-bypass-list=<-loopback>",
)

BROWSERS_OWN = re.compile(r"^\w+ (http://)?[\w.-]+\.(google|googleapis|gvt1)\.com[:/]")
"""What the browser asks for by itself, even for an empty page: its clock, updates, accounts."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium to open the pages"),
]


class Proxy:
    """Accept connections, note the first line of each, answer none."""

    def __enter__(self):
        self.asked = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def _listen(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with closing(connection):
                connection.settimeout(2)
                self.asked.append(connection.recv(300).split(b"\r\n")[0].decode())

    def __exit__(self, *_):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


def opened(path, profile):
    """Return the page after its script ran, what the browser said, and what the page asked for."""
    with Proxy() as proxy:
        done = subprocess.run(
            [
                CHROMIUM,
                *FLAGS,
                f"--user-data-dir={profile}",
                f"--proxy-server=http://127.0.0.1:{proxy.port}",
                "--virtual-time-budget=2000",
                "--dump-dom",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    return done.stdout, done.stderr, [line for line in proxy.asked if not BROWSERS_OWN.match(line)]


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    out = tmp_path_factory.mktemp("batch")
    withheld = withheld_report(study_uid="1.2.3")
    for made, heatmaps in ((report(), {"mass": heatmap()}), (withheld, {})):
        folder = out / "studies" / study_folder_name(made.study_uid)
        write_report(folder, made, volume=volume(), heatmaps=heatmaps)
    low = report(risk(probability=0.1), study_uid="1.2.4")
    write_index(out, [report(), low, withheld], title="Batch")
    write_predictions_csv(out, [report(), withheld])
    return out


@pytest.mark.parametrize("page", ["index.html", "studies/1.2.3/report.html", "assessed"])
def test_a_page_asks_for_nothing_and_breaks_no_policy(batch, tmp_path, page):
    page = f"studies/{report().study_uid}/report.html" if page == "assessed" else page
    _, said, asked = opened(batch / page, tmp_path)
    assert asked == []
    assert not re.search(r"CONSOLE.*", said), said


def acted_on(page, folder, script):
    """Return the page after a script acted on it as a reader would; the policy is taken out."""
    html = re.sub(r"<meta http-equiv.*>", "", page.read_text("utf-8"))
    copy = folder / "page.html"
    copy.write_text(
        html.replace("</body>", f"<script>{{{script}}}</script></body>"), encoding="utf-8"
    )
    return opened(copy, folder / "profile")[0]


def test_the_slider_shows_another_slice_and_its_overlay(batch, tmp_path):
    page = batch / "studies" / report().study_uid / "report.html"
    script = """
        const range = document.querySelector("input[type=range]");
        range.value = 9;
        range.dispatchEvent(new Event("input"));
        const shown = (name) => document.querySelector(`.stack .${name}`).getAttribute("href");
        const read = (id) => JSON.parse(document.getElementById(id).textContent);
        document.title = [
          document.querySelector("output").textContent,
          read("greys").indexOf(shown("grey")),
          read("task-1-stack").overlays.indexOf(shown("overlay")),
          range.getAttribute("aria-valuetext"),
        ].join("; ");
    """
    assert "<title>10; 9; 9; slice 10</title>" in acted_on(page, tmp_path, script)


def test_without_its_script_a_page_hides_the_slider_and_shows_the_peaks_slice(batch):
    html = (batch / "studies" / report().study_uid / "report.html").read_text("utf-8")
    assert '<div class="control" hidden>' in html
    assert "Acquired slice <output>7</output> of 10" in html


def test_the_columns_of_the_index_can_be_sorted(batch, tmp_path):
    script = """
        const button = document.querySelector("th.sortable button");
        button.click();
        const first = button.closest("th").getAttribute("aria-sort");
        button.click();
        const heading = button.closest("th");
        const cells = [...document.querySelectorAll("tbody td.risk")];
        const values = cells.map((cell) => Number(cell.dataset.value).toFixed(2));
        document.title = [first, heading.getAttribute("aria-sort"), ...values].join(" ");
    """
    dom = acted_on(batch / "index.html", tmp_path, script)
    assert "<title>descending ascending 0.10 0.41</title>" in dom


def test_a_request_would_have_been_noticed(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<img src="http://picture.invalid/x.png">')
    _, _, asked = opened(page, tmp_path / "profile")
    assert asked == ["GET http://picture.invalid/x.png HTTP/1.1"]


def test_the_policy_stops_a_request_and_a_foreign_script(batch, tmp_path):
    html = (batch / "index.html").read_text("utf-8")
    hostile = '<img src="http://picture.invalid/x.png"><script>document.title="x"</script></body>'
    page = tmp_path / "page.html"
    page.write_text(html.replace("</body>", hostile), encoding="utf-8")
    dom, said, asked = opened(page, tmp_path / "profile")
    assert asked == []
    assert "<title>Batch</title>" in dom
    assert "Content Security Policy" in said
