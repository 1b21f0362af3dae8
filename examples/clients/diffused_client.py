#!/usr/bin/env python3
"""One picture from a diffused node, with Eclipse Paho (pip install paho-mqtt, 2.0 or newer).

    diffused_client.py [--protocol 5|3.1.1] [--output JSON] HOST NODE PROMPT FILE

Both versions of MQTT do the same here: whatever a property of MQTT 5 carries stands in the JSON too.
Exit status: 0 done, 65 refused or failed, 75 no answer in time, 76 the picture did not come in one piece.
"""

import argparse
import hashlib
import json
import queue
import secrets
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def arguments():
    parser = argparse.ArgumentParser(description="one picture from a diffused node")
    parser.add_argument("host")
    parser.add_argument("node")
    parser.add_argument("prompt")
    parser.add_argument("file")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--protocol", choices=["5", "3.1.1"], default="5")
    parser.add_argument("--base", default="diffused")
    parser.add_argument("--client", default="python")
    parser.add_argument("--username")
    parser.add_argument("--password-file")
    parser.add_argument("--ca-file", help="speak TLS and trust these certificates")
    parser.add_argument("--output", type=json.loads, default={"format": "png"}, help="the request's output as JSON")
    parser.add_argument("--patience", type=float, default=600, help="seconds that all of it may take")
    return parser.parse_args()


class Stop(Exception):
    """The end, with an exit status."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Errand:
    """One job: its messages, in whatever order they come, and however often."""

    def __init__(self, args):
        self.args = args
        # A random id makes a repeated request harmless: the node knows it again and never works twice.
        self.id = secrets.token_hex(8)
        self.root = f"{args.base}/{args.node}"
        self.reply = f"{self.root}/reply/{args.client}/{self.id}"
        self.inbox = queue.Queue()
        self.link = self.connect()
        self.accepted = False
        self.done = None
        self.images = {}  # k -> bytes
        self.parts = {}  # (k, i) -> bytes

    def connect(self):
        version = mqtt.MQTTv5 if self.args.protocol == "5" else mqtt.MQTTv311
        link = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"{self.args.client}-{self.id}", protocol=version)
        if self.args.username:
            password = open(self.args.password_file, encoding="utf-8").read().strip() if self.args.password_file else None
            link.username_pw_set(self.args.username, password)
        if self.args.ca_file:
            link.tls_set(self.args.ca_file)
        # Subscribed anew after every connect, because the broker may have forgotten us.
        link.on_connect = lambda link, *_: link.subscribe(f"{self.reply}/#", qos=1)
        link.on_subscribe = lambda *_: self.inbox.put((None, b""))
        link.on_message = lambda _link, _data, message: self.inbox.put((message.topic, message.payload))
        link.connect(self.args.host, self.args.port, keepalive=30)
        link.loop_start()
        return link

    def run(self):
        start = time.monotonic()
        next_request = None  # when the request is published (again)
        next_get = None  # when missing pieces are asked for
        while self.done is None or self.missing():
            if time.monotonic() > start + self.args.patience:
                raise Stop(76 if self.done else 75, "no answer in time" if not self.done else "the picture is not complete")
            try:
                topic, payload = self.inbox.get(timeout=0.2)
                if topic is None:  # subscribed: from now on nothing is missed
                    next_request = next_request or time.monotonic()
                else:
                    wait = self.hear(topic, payload)
                    if wait is not None:
                        next_request = time.monotonic() + wait
                    if self.done:
                        next_get = time.monotonic() + 3
            except queue.Empty:
                pass
            if not self.accepted and self.done is None and next_request and time.monotonic() >= next_request:
                self.ask()
                next_request = time.monotonic() + 10
            if self.done and next_get and time.monotonic() >= next_get:
                self.get()
                next_get = time.monotonic() + 5
        return self.pictures()

    def ask(self):
        request = {"id": self.id, "prompt": self.args.prompt, "output": self.args.output}
        self.link.publish(f"{self.root}/request/{self.args.client}", json.dumps(request), qos=1)

    def hear(self, topic, payload):
        """Takes a message; returns after how many seconds the request is to be published again, if so."""
        what = topic[len(self.reply) + 1 :].split("/")
        if what[0] == "image":
            self.images[int(what[1])] = payload
        elif what[0] == "part":
            k, i = what[1].split(".")
            self.parts[int(k), int(i)] = payload
        elif what[0] == "manifest" and self.done:
            manifest = json.loads(payload)
            for image in self.done["images"]:
                if image["k"] == int(what[1]):
                    image.update(part_bytes=manifest["part_bytes"], parts=manifest["parts"])
        elif what[0] == "progress":
            progress = json.loads(payload)
            print(f"{progress['stage']} {progress['step']}/{progress['steps']}", file=sys.stderr)
        elif what[0] == "status":
            return self.status(json.loads(payload))
        return None

    def status(self, status):
        state = status["state"]
        if state in ("accepted", "started"):
            self.accepted = True
        elif state == "done":
            self.done = status
        elif state == "rejected" and status["retryable"]:
            return status.get("retry_after_ms", 10_000) / 1000
        else:
            raise Stop(65, f"{state}: {status['message']}")
        return None

    def missing(self):
        """The pieces that `done` announced and that are not there: (k, None) or (k, [i, ...])."""
        gaps = []
        for image in self.done["images"]:
            k = image["k"]
            if image["parts"] == 0 and k not in self.images:
                gaps.append((k, None))
            absent = [i for i in range(image["parts"]) if not self.has(image, i)]
            if absent:
                gaps.append((k, absent))
        return gaps

    def has(self, image, i):
        """Whether part i is there, with as many bytes as it must have."""
        size = min(image["part_bytes"], image["bytes"] - i * image["part_bytes"])
        return len(self.parts.get((image["k"], i), b"")) == size

    def get(self):
        for k, absent in self.missing():
            command = {"command": "get", "job": self.id, "k": k}
            # Parts that do not fit: the node cuts the picture in another way by now. The whole comes with its manifest.
            misfits = [i for i in absent or [] if self.parts.pop((k, i), None)]
            if absent is not None and not misfits:
                command["parts"] = absent[:64]
            self.link.publish(f"{self.root}/command/{self.args.client}", json.dumps(command), qos=1)

    def pictures(self):
        for image in self.done["images"]:
            k = image["k"]
            whole = b"".join(self.parts[k, i] for i in range(image["parts"])) if image["parts"] else self.images[k]
            if hashlib.sha256(whole).hexdigest() != image["sha256"]:
                raise Stop(76, f"picture {k} came damaged")
            yield image, whole


def main():
    args = arguments()
    errand = Errand(args)
    try:
        for image, whole in errand.run():
            name = args.file if image["k"] == 0 else f"{args.file}.{image['k']}"
            with open(name, "wb") as file:
                file.write(whole)
            print(f"{name}: {image['format']}, {image['bytes']} bytes, seed {image['seed']}")
    except Stop as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    finally:
        errand.link.disconnect()
        errand.link.loop_stop()


if __name__ == "__main__":
    main()
