"""
Presses JupyterLab's ■ (jupyter_client's interrupt_kernel) on cells of a real Deno kernel.

Reads JSON from standard input: {folder, setup, cases: [{name, code, presses, gap, begun}]}. Each case is pressed once it has
shown the words "begun". Writes one line of JSON a case: how the cell ended, what it showed, whether the kernel lives and
still has `x`.
"""

import json
import random
import sys
import time
from queue import Empty

from jupyter_client import KernelManager

PATIENCE = 120


class Kernel:
    def __init__(self, folder, setup):
        self.manager = KernelManager(kernel_name="deno")
        self.manager.start_kernel(cwd=folder)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(PATIENCE)
        ended = self.run(setup)
        if ended["end"] != "idle" or ended["errors"]:
            raise RuntimeError(f"The first cell failed: {ended}")

    def messages(self, request):
        """What a cell publishes, as far as it is its own; None when the kernel has died."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except Empty:
                if not self.manager.is_alive():
                    yield None
                    return
                continue
            if message["parent_header"].get("msg_id") == request:
                yield message

    def run(self, code, presses=0, gap=0, begun=""):
        """Runs a cell; presses ■ once it has shown `begun`."""
        request = self.client.execute(code)
        found = {"end": "timeout", "errors": [], "shown": []}
        pressed = None
        for message in self.messages(request):
            if message is None:
                found["end"] = "dead"
                break
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                found["shown"].append(content["text"])
            elif kind == "error":
                found["errors"].append(f"{content['ename']}: {content['evalue']}")
            elif kind in ("display_data", "update_display_data", "execute_result"):
                # Markers of the library, which nobody shows, have no text.
                found["shown"] += filter(None, [content["data"].get("text/plain")])
            elif kind == "status" and content["execution_state"] == "idle":
                found["end"] = "idle"
                break
            if presses and pressed is None and begun in "".join(found["shown"]):
                # Anywhere in the work.
                time.sleep(random.uniform(0, 0.5))
                pressed = time.monotonic()
                for i in range(presses):
                    time.sleep(gap if i else 0)
                    self.manager.interrupt_kernel()
        found["seconds"] = None if pressed is None else time.monotonic() - pressed
        return found

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


asked = json.load(sys.stdin)
kernel = Kernel(asked["folder"], asked["setup"])
try:
    for case in asked["cases"]:
        found = kernel.run(case["code"], case["presses"], case["gap"], case["begun"])
        after = kernel.run("x") if found["end"] == "idle" else {"shown": []}
        print(json.dumps({"name": case["name"], **found, "after": after["shown"]}), flush=True)
        if found["end"] != "idle":
            kernel.end()
            kernel = Kernel(asked["folder"], asked["setup"])
finally:
    kernel.end()
