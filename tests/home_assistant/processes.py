"""A broker, a node and Home Assistant, each a process of its own on a free port of this machine."""

import datetime
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

import jwt
import requests

PATIENCE = 120


def eventually(what, done, patience=PATIENCE):
    """Waits until `done` gives something true, and returns it."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := done():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {patience} s")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A program that can be stopped and started again."""

    def __init__(self, command, log, env=None):
        self.command, self.log, self.env = command, log, env
        self.child = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env)

    def stop(self):
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(60)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


class Broker(Process):
    """A mosquitto that keeps what is retained over restarts."""

    def __init__(self, folder):
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n"
            f"persistence true\npersistence_location {folder}/\n"
        )
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        super().__init__([program, "-c", str(config)], folder / "mosquitto.log")


class Node(Process):
    """The service. `program` is `diffused`, or `fake-node`, whose pictures are flat and quick."""

    def __init__(self, program, folder, broker, form, models):
        self.config, self.broker, self.folder, self.models = folder / "diffused.toml", broker, folder, models
        self.write(f"enabled = true\ndiscovery = '{form}'\nsuggested_area = 'Studio'")
        fake = pathlib.Path(program).name.startswith("fake-node")
        verb = [] if fake else ["run"]
        log = ["--log", str(folder / "made.log"), "--pass", "50"] if fake else []
        super().__init__([program, *verb, "--config", str(self.config), *log], folder / "node.log")

    def write(self, home_assistant):
        models = f"[models]\ndir = '{self.models}'\ndefault = 'shapes'\n" if self.models else ""
        self.config.write_text(
            f"[node]\nname = 'jet1'\n[mqtt]\nurl = 'mqtt://127.0.0.1:{self.broker.port}'\n"
            f"[store]\ndir = '{self.folder}/store'\n{models}[home_assistant]\n{home_assistant}\n"
        )


class HomeAssistant(Process):
    """Home Assistant with an owner, whose token we have, and with the broker, but without anything else."""

    def __init__(self, program, folder, broker):
        self.folder, self.port, self.key = folder / "config", free_port(), secrets.token_hex(64)
        (self.folder / ".storage").mkdir(parents=True)
        (self.folder / "configuration.yaml").write_text(
            "homeassistant:\n  name: Test\n  latitude: 50\n  longitude: 10\n  elevation: 0\n"
            "  unit_system: metric\n  time_zone: UTC\n  country: DE\n  currency: EUR\n"
            f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\n"
            "api:\nlogger:\n  default: info\n"
        )
        self.store("auth", self.owner())
        self.store("core.config_entries", {"entries": [self.entry(broker)]})
        self.store("onboarding", {"done": ["user", "core_config", "analytics", "integration"]}, 4)
        self.log_file = self.folder / "home-assistant.log"
        command = [program, "--config", str(self.folder), "--skip-pip", "--log-file", str(self.log_file)]
        super().__init__(command, folder / "hass.log")

    def store(self, name, data, version=1):
        whole = {"version": version, "minor_version": 1, "key": name, "data": data}
        (self.folder / ".storage" / name).write_text(json.dumps(whole))

    def owner(self):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        user = {"id": "o" * 32, "group_ids": ["system-admin"], "is_owner": True, "is_active": True, "name": "Owner",
                "system_generated": False, "local_only": False}
        token = {"id": "t" * 32, "user_id": "o" * 32, "client_id": None, "client_name": "test", "client_icon": None,
                 "token_type": "long_lived_access_token", "created_at": now, "access_token_expiration": 315360000.0,
                 "token": secrets.token_hex(64), "jwt_key": self.key, "last_used_at": None, "last_used_ip": None,
                 "expire_at": None, "credential_id": None, "version": None}
        groups = [{"id": "system-admin", "name": "Administrators"}]
        return {"users": [user], "groups": groups, "credentials": [], "refresh_tokens": [token]}

    @staticmethod
    def entry(broker):
        data = {"broker": "127.0.0.1", "port": broker.port, "discovery": True, "discovery_prefix": "homeassistant"}
        return {"entry_id": "e" * 32, "version": 1, "minor_version": 1, "domain": "mqtt", "title": "mosquitto",
                "data": data, "options": {}, "pref_disable_new_entities": False, "pref_disable_polling": False,
                "source": "user", "unique_id": None, "disabled_by": None}

    def ask(self, path, body=None):
        """What its REST interface answers, or nothing while it is not there."""
        now = int(time.time())
        token = jwt.encode({"iss": "t" * 32, "iat": now - 60, "exp": now + 3600}, self.key, algorithm="HS256")
        url, headers = f"http://127.0.0.1:{self.port}{path}", {"Authorization": f"Bearer {token}"}
        try:
            if body is None:
                answer = requests.get(url, headers=headers, timeout=30)
            else:
                answer = requests.post(url, headers=headers, json=body, timeout=30)
        except requests.ConnectionError:
            return None
        return answer if answer.ok else None

    def wait(self):
        running = lambda: (it := self.ask("/api/config")) and it.json()["state"] == "RUNNING"
        eventually("Home Assistant runs", running)

    def states(self):
        """The states of everything by entity id."""
        answer = self.ask("/api/states")
        return {state["entity_id"]: state for state in answer.json()} if answer else {}

    def entities(self):
        """Every entity that came over MQTT, also those of which only the registry knows."""
        answer = self.ask("/api/template", {"template": "{{ integration_entities('mqtt') | sort | tojson }}"})
        return answer.json() if answer else None

    def call(self, service, entity, **data):
        domain, name = service.split(".")
        answer = self.ask(f"/api/services/{domain}/{name}", {"entity_id": entity, **data})
        assert answer is not None, f"{service} of {entity} with {data} is refused"
