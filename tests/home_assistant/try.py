"""A node and the real Home Assistant: what an owner does there, seen at the broker, and the other way round.

Run by tests/home_assistant.sh with the Python in which Home Assistant is installed.
"""

import argparse
import hashlib
import json
import pathlib
import re
import sys
import tempfile
import time

import paho.mqtt.client as mqtt
from processes import Broker, HomeAssistant, Node, eventually

# Platform and object of every entity.
EXPECTED = """image.picture event.job text.prompt button.generate_again button.cancel text.negative_prompt select.model
select.sampler select.size number.steps number.guidance number.seed_1_is_random switch.accept_jobs sensor.state
sensor.queue sensor.progress sensor.last_duration sensor.jobs_done sensor.jobs_failed sensor.temperature sensor.power
sensor.memory_available binary_sensor.problem""".split()


class Ear:
    """Hears everything at the broker, and the newest message of each topic."""

    def __init__(self, port):
        self.newest, self.all = {}, []
        # Version 2 of the library wants to be told which callbacks it is given.
        version = [mqtt.CallbackAPIVersion.VERSION1] if hasattr(mqtt, "CallbackAPIVersion") else []
        self.client = mqtt.Client(*version, client_id="ear")
        self.client.on_message = self.hear
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def hear(self, _client, _data, message):
        self.newest[message.topic] = message.payload
        self.all.append((message.topic, message.payload))

    def json(self, topic):
        return json.loads(self.newest.get(f"diffused/jet1/{topic}") or b"{}")

    def retained_for_home_assistant(self):
        return sorted(topic for topic, payload in self.newest.items()
                      if topic.startswith("homeassistant/") and topic.endswith("/config") and payload)


class Try:
    def __init__(self, args, folder):
        self.broker = Broker(folder)
        self.ear = eventually("the broker listens", lambda: self.connected())
        self.node = Node(args.node, folder, self.broker, args.form, args.models)
        eventually("the node is online", self.is_online)
        self.home = HomeAssistant(args.hass, folder, self.broker)

    def connected(self):
        try:
            return Ear(self.broker.port)
        except OSError:
            return None

    def is_online(self):
        return self.ear.newest.get("diffused/jet1/availability") == b"online"

    def close(self):
        for process in (self.home, self.node, self.broker):
            process.stop()

    @staticmethod
    def entity(name):
        platform, name = name.split(".")
        return f"{platform}.diffused_jet1_{name}"

    def state(self, name):
        return self.home.states().get(self.entity(name), {}).get("state")

    def shown(self, name, wanted):
        eventually(f"{name} shows {wanted!r}, not {self.state(name)!r}", lambda: self.state(name) == wanted)

    def everything_is_there(self):
        wanted = sorted(self.entity(name) for name in EXPECTED)
        eventually(f"every entity is there: {self.home.entities()}", lambda: self.home.entities() == wanted)
        alive = lambda: not [one for one in wanted if self.home.states().get(one, {}).get("state") in (None, "unavailable")]
        eventually("every entity is available", alive)

    def picture(self):
        """The digest of the picture that Home Assistant shows, if it is the one at the broker."""
        shown = self.home.ask(f"/api/image_proxy/{self.entity('image.picture')}")
        said = self.ear.newest.get("diffused/jet1/image")
        if shown is None or said is None or shown.content != said:
            return None
        return hashlib.sha256(said).hexdigest()

    def next_picture(self, before, what):
        digest = eventually(f"the picture of {what}", lambda: (found := self.picture()) != before and found)
        done = lambda: self.ear.json("image/status").get("state") == "done" and self.ear.json("image/status")
        status = eventually(f"{what} is done", done)
        assert status["images"][0]["sha256"] == digest, status
        print(f"  {what}: {digest[:16]}... in Home Assistant, at the broker and in the status")
        return digest, status

    def prompt(self, text):
        self.home.call("text.set_value", self.entity("text.prompt"), value=text)

    def set(self, service, name, wanted, **data):
        self.home.call(service, self.entity(name), **data)
        for key, value in wanted.items():
            eventually(f"defaults have {key} = {value}", lambda: self.ear.json("defaults").get(key) == value)


def asks_for_pictures(it):
    it.prompt("a red circle on a blue background")
    first, status = it.next_picture(None, "a prompt")
    it.home.call("button.press", it.entity("button.generate_again"))
    second, again = it.next_picture(first, "Generate again")
    assert again["images"][0]["seed"] != status["images"][0]["seed"]
    it.shown("sensor.jobs_done", "2")
    return second


def sets_what_holds(it, before):
    it.set("number.set_value", "number.steps", {"steps": 3}, value=3)
    it.shown("number.steps", "3")
    it.set("number.set_value", "number.seed_1_is_random", {"seed": 9007199254740990}, value=9007199254740990)
    it.set("number.set_value", "number.guidance", {"guidance_scale": 2.5}, value=2.5)
    it.set("select.select_option", "select.sampler", {"sampler": "euler"}, option="euler")
    it.set("text.set_value", "text.negative_prompt", {"negative_prompt": 'a "grey" <sky>'}, value='a "grey" <sky>')
    it.set("select.select_option", "select.size", {"width": 96, "height": 64}, option="96x64")
    it.shown("select.size", "96x64")
    it.shown("text.negative_prompt", 'a "grey" <sky>')
    it.prompt("a star")
    picture, status = it.next_picture(before, "a prompt with other settings")
    made = status["images"][0]
    assert (made["seed"], made["width"], made["height"]) == (9007199254740990, 96, 64), made
    it.set("number.set_value", "number.seed_1_is_random", {"seed": -1}, value=-1)
    model = it.ear.json("defaults")["model"]
    it.set("select.select_option", "select.model", {"model": model, "width": 64, "height": 64}, option=model)
    it.shown("select.size", "64x64")
    return picture


def governs(it):
    it.home.call("switch.turn_off", it.entity("switch.accept_jobs"))
    it.shown("sensor.state", "paused")
    it.shown("switch.accept_jobs", "off")
    it.prompt("nobody makes this")
    eventually("it is refused", lambda: it.ear.json("image/status").get("code") == "paused")
    eventually("the event says so", lambda: it.home.states()[it.entity("event.job")]["attributes"].get("code") == "paused")
    it.home.call("switch.turn_on", it.entity("switch.accept_jobs"))
    it.shown("sensor.state", "ready")
    print("  the switch pauses and resumes, and the event tells of a refusal")


def cancels(it):
    it.prompt("waits slow:600000")
    it.shown("sensor.state", "busy")
    it.home.call("button.press", it.entity("button.cancel"))
    eventually("it is cancelled", lambda: it.ear.json("image/status").get("state") == "cancelled")
    eventually("the event says so",
               lambda: it.home.states()[it.entity("event.job")]["attributes"].get("event_type") == "cancelled")
    it.shown("sensor.state", "ready")
    print("  a job of ten minutes is cancelled, and the event says so")


def comes_back(it, picture):
    it.home.stop()
    it.home.start()
    it.home.wait()
    it.everything_is_there()
    eventually("the picture is back", lambda: it.picture() == picture)
    print("  restart of Home Assistant: everything is back")
    it.node.stop()
    it.shown("sensor.state", "unavailable")
    it.node.start()
    it.everything_is_there()
    print("  restart of the node: unavailable meanwhile, and back")
    it.broker.stop()
    it.broker.start()
    eventually("the node is back", lambda: it.is_online() and it.state("sensor.state") == "ready")
    it.everything_is_there()
    assert it.picture() == picture
    print("  restart of the broker: everything is back")


def shows_less_and_more(it, form):
    """Pictures for a panel are none for a browser: their entity goes, and comes back with JPEG."""
    for image, there in [("rgb565", False), ("jpeg", True)]:
        it.node.stop()
        it.node.write(f"enabled = true\ndiscovery = '{form}'\n[image]\nformat = '{image}'")
        it.node.start()
        name = it.entity("image.picture")
        eventually(f"with {image} the picture is there: {there}", lambda: (name in it.home.entities()) == there)
        eventually("nothing else is gone", lambda: len(it.home.entities()) == len(EXPECTED) - (not there))
    it.everything_is_there()
    print("  an entity that there is no reason for disappears, and comes back")


def moves(it):
    """The other form and back: Home Assistant unloads the entities and takes them up again, and forgets none."""
    registered = lambda: pathlib.Path(it.home.log).read_text().count("Registered new")
    before = registered()
    for form, count in [("single", len(EXPECTED)), ("device", 1)]:
        it.node.stop()
        it.node.write(f"enabled = true\ndiscovery = '{form}'")
        it.node.start()
        eventually(f"{form} is told", lambda: len(it.ear.retained_for_home_assistant()) == count)
        time.sleep(2)
        it.everything_is_there()
    assert registered() == before, "entities were removed and made anew"
    print("  the other form and back: the entities are the same")


def goes(it):
    told = it.ear.retained_for_home_assistant()
    assert told, "nothing is retained?"
    it.node.stop()
    it.node.write("enabled = false")
    it.node.start()
    eventually("Home Assistant has nothing left", lambda: it.home.entities() == [])
    eventually("nothing is retained", lambda: it.ear.retained_for_home_assistant() == [])
    left = [one for one in it.home.states() if "jet1" in one]
    assert not left, left
    it.home.stop()
    it.home.start()
    it.home.wait()
    time.sleep(3)
    assert it.home.entities() == [], it.home.entities()
    print(f"  switched off: {len(told)} retained topics and every entity are gone, also after a restart")


def complains_of_nothing(it, but="nothing else"):
    """Home Assistant's log has no warning about us, or about MQTT at all, but that the broker was gone for a moment."""
    text = pathlib.Path(it.home.log_file).read_text() + pathlib.Path(it.home.log).read_text()
    lines = [line for line in text.splitlines() if re.search(r" (WARNING|ERROR|CRITICAL) ", line)]
    ours = {line for line in lines if re.search("mqtt|diffused|jet1|template", line, re.IGNORECASE)}
    gone = "failed to receive on socket|Disconnected from MQTT server|Failed to connect to MQTT server|connection was lost"
    ours = sorted(line for line in ours if not re.search(f"{gone}|{but}", line))
    assert not ours, "\n".join(ours)
    print(f"  Home Assistant complains of nothing of ours ({len(lines)} warnings about other things)")


def would_notice_a_complaint(it):
    """What is no JSON at all is planted; the look at the log must find Home Assistant's word about it."""
    it.ear.client.publish("homeassistant/sensor/someone/planted/config", "{", 1)
    word = lambda: "planted" in pathlib.Path(it.home.log).read_text()
    eventually("Home Assistant complains of what was planted", word)
    try:
        complains_of_nothing(it, "Received a conflicting MQTT discovery message")
    except AssertionError:
        return
    raise AssertionError("a complaint was not noticed")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hass", required=True, help="the program hass")
    parser.add_argument("--node", required=True, help="fake-node, or diffused with --models")
    parser.add_argument("--models", help="a folder with the model shapes")
    parser.add_argument("--form", default="single", choices=["single", "device"])
    parser.add_argument("--keep", help="a folder for logs and configurations that stays")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(args.keep or folder)
        folder.mkdir(parents=True, exist_ok=True)
        it = Try(args, folder)
        try:
            it.home.wait()
            it.everything_is_there()
            print(f"  {len(EXPECTED)} entities of one device, {len(it.ear.retained_for_home_assistant())} retained topics")
            picture = asks_for_pictures(it)
            picture = sets_what_holds(it, picture)
            governs(it)
            if not args.models:
                cancels(it)
            comes_back(it, picture)
            shows_less_and_more(it, args.form)
            complains_of_nothing(it)
            if args.form == "device":
                moves(it)
            goes(it)
            # Said of every entity that moved, when the message in the old form is cleared as its manual says.
            complains_of_nothing(it, "Received a conflicting MQTT discovery message")
            would_notice_a_complaint(it)
        finally:
            it.close()
    print("all of it holds")


if __name__ == "__main__":
    sys.exit(main())
