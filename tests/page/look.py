"""Looks at the page of a demo in headless Chromium; called by tests/page.sh.

A line for each thing that is as it should be, and an assertion that fails for one that is not.
"""

import argparse
import http.server
import re
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PROMPTS = [
    "a red circle on a blue background",
    "a yellow star on a purple background",
    "a green square on a white background",
    "a blue triangle on a yellow background",
    "a white circle on a black background",
]
# Pictures of the prompts, the one that the demo asks for by itself, and one for a panel.
PICTURES = len(PROMPTS) + 2
# More the page does not show.
MOST = 12
PATIENCE = 60_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Demo:
    """`diffused demo` with its page."""

    def __init__(self, program, folder):
        self.program, self.folder, self.port = program, folder, free_port()
        command = [program, "demo", "--keep-running", "--http", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.url = self.broker = None
        for line in self.process.stderr:
            page, broker = re.search(r"In a browser: (\S+)", line), re.search(r"mosquitto_sub .* -p (\d+)", line)
            self.url = page.group(1) if page else self.url
            self.broker = broker.group(1) if broker else self.broker
            if self.url and self.broker:
                break
        assert self.url and self.broker, "the demo did not start"
        # Nobody reads what it says from now on, and it must not wait for that.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def sending(self, prompt, *flags):
        url = f"mqtt://127.0.0.1:{self.broker}"
        command = [self.program, "send", prompt, "--broker", url, "--node", "demo", "-o", "picture", *flags]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def send(self, prompt, *flags):
        assert self.sending(prompt, *flags).wait(timeout=120) == 0, prompt

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def ok(what):
    print(f"ok    {what}", flush=True)


def newest(page):
    return page.locator("figure").first.inner_text()


def looks_right(page, demo, folder):
    page.goto(demo.url)
    expect(page.locator("h1")).to_have_text("demo")
    expect(page.locator(".state b")).to_have_text("ready")
    expect(page.locator("figure")).to_have_count(PICTURES)
    expect(page.locator("img")).to_have_count(PICTURES - 1)
    expect(page.locator(".panel")).to_have_text("mono for a panel")
    sizes = page.locator("img").evaluate_all("all => all.map(one => [one.complete, one.naturalWidth])")
    assert all(size == [True, 64] for size in sizes), sizes
    assert "seed 4" in newest(page), newest(page)
    assert page.locator("q").count() == 0, "a prompt is shown"
    ok("state, pictures with size and seed, no prompt")
    # Style and script are taken though the policy takes nothing else.
    assert page.locator(".pictures").evaluate("one => getComputedStyle(one).display") == "grid"
    planted = "() => { const s = document.createElement('script'); s.text = 'window.evil = 1'; document.body.append(s); }"
    page.evaluate(planted)
    assert page.evaluate("() => window.evil") is None, "a script that is not the page's was run"
    ok("its own style is taken, a script that is not its own is not run")
    page.screenshot(path=folder / "ready.png", full_page=True)


def follows_jobs(page, demo, folder):
    star = "a purple star on a green background"
    jobs = [demo.sending(star, "--steps", "150", "--count", "4", "--seed", str(seed)) for seed in range(1000, 5000, 1000)]
    expect(page.locator(".work p")).to_have_text(re.compile(r"Denoising, step \d+ of 150"), timeout=PATIENCE)
    expect(page.locator(".state b")).to_have_text("busy")
    page.screenshot(path=folder / "busy.png", full_page=True)
    assert all(job.wait(timeout=120) == 0 for job in jobs)
    expect(page.locator("figure")).to_have_count(MOST, timeout=PATIENCE)
    expect(page.locator(".work")).to_have_count(0)
    assert "000" in newest(page), newest(page)
    ok("jobs appear with their progress and their pictures, without loading the page again")


def fits(browser, demo, folder):
    for name, width, scheme in [("phone", 390, "light"), ("phone-dark", 390, "dark"), ("dark", 1200, "dark")]:
        page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme)
        page.goto(demo.url)
        expect(page.locator("figure")).not_to_have_count(0)
        wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name}: {wide} pixels too wide"
        back = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        brightness = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
        assert (brightness < 64) == (scheme == "dark"), f"{name}: {back}"
        page.screenshot(path=folder / f"{name}.png", full_page=True)
        page.close()
    ok("fits a phone, and is dark where that is wanted")


def reads_without_scripts(browser, demo):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(demo.url)
    expect(page.locator("h1")).to_have_text("demo")
    assert page.locator("noscript meta").count() == 1 or page.locator("meta[http-equiv=refresh]").count() == 1
    context.close()
    ok("can be read without its script")


def tells_websites_nothing(browser, demo):
    """Another page of this machine neither shows a picture nor reads the page. The control reads itself."""
    path = "/picture/1/0"

    class Website(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<p>a website</p>")

        def log_message(self, *_):
            pass

    website = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Website)
    threading.Thread(target=website.serve_forever, daemon=True).start()
    shows = """url => new Promise(done => {
        const one = new Image(); one.onload = () => done(true); one.onerror = () => done(false); one.src = url; })"""
    reads = "url => fetch(url).then(one => one.text()).then(text => text.length > 0, () => false)"
    page = browser.new_page()
    page.goto(demo.url)
    assert page.evaluate(shows, path) and page.evaluate(reads, "/"), "the control: our own page may"
    page.goto(f"http://127.0.0.1:{website.server_address[1]}/")
    assert page.evaluate(reads, "/"), "the control: a website reads itself"
    own = demo.url.rstrip("/")
    assert not page.evaluate(shows, own + path) and not page.evaluate(reads, own + "/")
    page.close()
    website.shutdown()
    ok("another website shows none of its pictures and reads nothing")


def says_that_it_is_lost(page, demo, folder):
    expect(page.locator("p.lost")).to_be_hidden()
    demo.stop()
    expect(page.locator("p.lost")).to_be_visible(timeout=PATIENCE)
    page.screenshot(path=folder / "lost.png")
    ok("says so when the node is gone")


def main():
    parser = argparse.ArgumentParser()
    for flag in ["--program", "--browser", "--folder"]:
        parser.add_argument(flag, type=Path, required=True)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        demo = Demo(args.program.absolute(), scratch)
        browser = playwright.chromium.launch(executable_path=args.browser, args=["--no-sandbox"])
        try:
            demo.send(PROMPTS[0], "--format", "mono", "--seed", "99")
            for seed, prompt in enumerate(PROMPTS):
                demo.send(prompt, "--seed", str(seed))
            page = browser.new_page(viewport={"width": 1200, "height": 844}, color_scheme="light")
            complaints = []
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            looks_right(page, demo, args.folder)
            # The script that was planted is the only thing to complain about.
            assert len(complaints) == 1 and "Content Security Policy" in complaints[0], complaints
            follows_jobs(page, demo, args.folder)
            fits(browser, demo, args.folder)
            reads_without_scripts(browser, demo)
            tells_websites_nothing(browser, demo)
            assert len(complaints) == 1, complaints
            says_that_it_is_lost(page, demo, args.folder)
        finally:
            browser.close()
            if demo.process.poll() is None:
                demo.process.kill()
    print(f"screenshots: {args.folder}")


if __name__ == "__main__":
    main()
