#!/usr/bin/env node
// One picture from a diffused node, with MQTT.js (npm install mqtt, 5.0 or newer).
//
//   diffused.mjs URL NODE PROMPT FILE [OUTPUT]
//
// URL such as mqtts://broker:8883 or wss://broker/mqtt; OUTPUT is the request's `output` as JSON. MQTT_VERSION=4 speaks
// MQTT 3.1.1, MQTT_USERNAME, MQTT_PASSWORD and MQTT_CA_FILE do what they say.
// Exit status: 0 done, 65 refused or failed, 75 no answer in time, 76 the picture did not come in one piece.
import {createHash, randomBytes} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import mqtt from 'mqtt';

const [url, node, prompt, file, output = '{"format":"png"}'] = process.argv.slice(2);
const client = process.env.MQTT_CLIENT ?? 'node';
const root = `${process.env.MQTT_BASE ?? 'diffused'}/${node}`;
// A random id makes a repeated request harmless: the node knows it again and never works twice.
const id = randomBytes(8).toString('hex');
const reply = `${root}/reply/${client}/${id}`;

const link = mqtt.connect(url, {
  clientId: `${client}-${id}`,
  protocolVersion: Number(process.env.MQTT_VERSION ?? 5),
  username: process.env.MQTT_USERNAME,
  password: process.env.MQTT_PASSWORD,
  ca: process.env.MQTT_CA_FILE && readFileSync(process.env.MQTT_CA_FILE),
});

let accepted = false;
let done = null;
let silence = null; // the timer that asks for what is missing
const images = new Map(); // k -> bytes
const parts = new Map(); // 'k.i' -> bytes

const publish = (topic, message) => link.publish(`${root}/${topic}/${client}`, JSON.stringify(message), {qos: 1});

/** Publishes the request, and again every 10 seconds until the node says that it has it. */
let retry = null;
function ask(wait = 0) {
  clearTimeout(retry);
  retry = setTimeout(() => {
    if (accepted || done) return;
    publish('request', {id, prompt, output: JSON.parse(output)});
    ask(10_000);
  }, wait);
}

/** The bytes of part i. */
const size = (image, i) => Math.min(image.part_bytes, image.bytes - i * image.part_bytes);
/** The parts of a picture that are not there. */
const absent = (image) =>
  [...Array(image.parts).keys()].filter((i) => parts.get(`${image.k}.${i}`)?.length !== size(image, i));
/** Whether parts came that have another size than those of this picture; they are thrown away. */
function misfits(image) {
  const others = absent(image).filter((i) => parts.delete(`${image.k}.${i}`));
  return others.length > 0;
}
const complete = (image) => (image.parts === 0 ? images.has(image.k) : absent(image).length === 0);

/** Asks for what `done` announced and did not come: after 3 seconds of silence, then every 5. */
function get(wait) {
  clearTimeout(silence);
  silence = setTimeout(() => {
    for (const image of done.images.filter((image) => !complete(image))) {
      // Parts that do not fit: the node cuts the picture in another way by now. The whole comes with its manifest.
      const missing = misfits(image) ? [] : absent(image).slice(0, 64);
      publish('command', {command: 'get', job: id, k: image.k, ...(missing.length && {parts: missing})});
    }
    get(5000);
  }, wait);
}

function status(message) {
  switch (message.state) {
    case 'accepted':
    case 'started':
      accepted = true;
      break;
    case 'done':
      done = message;
      break;
    case 'rejected':
      if (message.retryable) {
        ask(message.retry_after_ms ?? 10_000);
        break;
      }
    // falls through
    default:
      finish(65, `${message.state}: ${message.message}`);
  }
}

function hear(topic, payload) {
  const [what, index] = topic.slice(reply.length + 1).split('/');
  if (what === 'status') status(JSON.parse(payload));
  if (what === 'image') images.set(Number(index), payload);
  if (what === 'part') parts.set(index, payload);
  if (what === 'manifest' && done) {
    const {part_bytes, parts} = JSON.parse(payload);
    Object.assign(done.images.find((image) => image.k === Number(index)) ?? {}, {part_bytes, parts});
  }
  if (what === 'progress') {
    const {stage, step, steps} = JSON.parse(payload);
    console.error(`${stage} ${step}/${steps}`);
  }
  if (!done) return;
  if (done.images.every(complete)) save();
  else get(3000);
}

function save() {
  for (const image of done.images) {
    const {k, parts: count} = image;
    const whole = count ? Buffer.concat([...Array(count).keys()].map((i) => parts.get(`${k}.${i}`))) : images.get(k);
    if (createHash('sha256').update(whole).digest('hex') !== image.sha256) return finish(76, `picture ${k} came damaged`);
    const name = k === 0 ? file : `${file}.${k}`;
    writeFileSync(name, whole);
    console.log(`${name}: ${image.format}, ${image.bytes} bytes, seed ${image.seed}`);
  }
  finish(0);
}

function finish(code, message) {
  if (message) console.error(message);
  clearTimeout(retry);
  clearTimeout(silence);
  clearTimeout(patience);
  link.end(true, () => process.exit(code));
}

const patience = setTimeout(() => finish(done ? 76 : 75, 'no answer in time'), Number(process.env.PATIENCE ?? 600) * 1000);
link.on('message', hear);
// MQTT.js subscribes again by itself after a break; the request goes out once the first subscription is granted.
link.on('connect', () => link.subscribe(`${reply}/#`, {qos: 1}, () => accepted || ask()));
link.on('error', (error) => console.error(error.message));
