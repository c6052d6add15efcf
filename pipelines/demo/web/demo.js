// The page: a recording comes in, a student draws it again, both can be heard and seen.

import { LogMel } from "./mel.js";
import { Player } from "./player.js";
import { LONGEST_SECONDS, Microphone, decode } from "./recording.js";
import { Track } from "./track.js";
import { Vocoder } from "./vocoder.js";
import { wavFile } from "./wav.js";

const AHEAD_SECONDS = 0.6; // that are drawn before they are heard, so that sliders act soon
const LOADING = "Loading the student…";
const find = (id) => document.getElementById(id);

const student = await (await fetch("student/student.json")).json();
const { sample_rate: sampleRate, hop_length: hop } = student.mel;
const logMel = new LogMel(student.mel);
const vocoder = new Vocoder(student);
const player = new Player(sampleRate, follow);
const tracks = {
  recording: new Track(find("recording"), logMel, player),
  drawn: new Track(find("drawn"), logMel, player),
};
let microphone = null;
let frames = null; // the log-mel of the recording
let drawing = 0; // number of the drawing at work; another number ends it

const tell = (text) => (find("status").textContent = text);

// Run what a person has asked for, and say what goes wrong.
async function attempt(action) {
  find("problem").textContent = "";
  try {
    await action();
  } catch (error) {
    tell("");
    find("problem").textContent = `Sorry: ${error.message}.`;
  }
}

// Take a recording in, show it, and draw it.
async function take(waveform, name) {
  const most = LONGEST_SECONDS * sampleRate;
  const cut = waveform.subarray(0, Math.min(most, waveform.length - (waveform.length % hop)));
  if (cut.length < 4 * hop) throw new Error(`${name} is too short: ${waveform.length} samples at ${sampleRate} Hz`);
  drawing++;
  player.pause();
  player.seek(0);
  const about = `${(cut.length / sampleRate).toFixed(1)} s${waveform.length > most ? ", the first minute" : ""}`;
  tell(LOADING);
  frames = await vocoder.logMel(cut);
  find("recording").querySelector(".about").textContent = `${name}, ${about}`;
  tracks.recording.set({ waveform: cut, filled: cut.length }, loudest());
  find("draw").disabled = find("where").disabled = false;
  await draw();
}

const loudest = () => frames.reduce((most, value) => Math.max(most, value), -Infinity);

// Draw the recording again, and play it while it is drawn.
async function draw() {
  const mine = ++drawing;
  const seed = Number(find("seed").value) || 0;
  const signal = { waveform: new Float32Array((frames.length / student.mel.num_mels) * hop), filled: 0 };
  let milliseconds = 0;
  tell("Drawing…");
  find("save").hidden = true;
  tracks.drawn.set(signal, loudest());
  player.play(signal, 0);
  const started = performance.now();
  for await (const piece of vocoder.draw(frames, seed, settings)) {
    if (mine !== drawing) return;
    if (!signal.filled) find("first").textContent = `${Math.round(performance.now() - started)} ms`;
    signal.waveform.set(piece.waveform, signal.filled);
    signal.filled += piece.waveform.length;
    milliseconds += piece.milliseconds;
    player.grow();
    tracks.drawn.grow();
    showSpeed(signal.filled, milliseconds);
    await room(signal, mine);
    if (mine !== drawing) return;
  }
  offer(signal.waveform);
  const factor = find("factor").textContent;
  tell(`Drawn: ${(signal.filled / sampleRate).toFixed(1)} seconds, ${factor} times real time.`);
}

// Wait until what is drawn has nearly been heard, if it is being heard.
async function room(signal, mine) {
  const ahead = () => signal.filled / sampleRate - player.position;
  while (mine === drawing && player.playing === signal && player.audible && ahead() > AHEAD_SECONDS) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function showSpeed(numSamples, milliseconds) {
  const perSecond = numSamples / (milliseconds / 1000);
  find("factor").textContent = (perSecond / sampleRate).toFixed(1);
  find("speed").textContent = (Math.round(perSecond / 1000) * 1000).toLocaleString("en");
  find("drawn").querySelector(".about").textContent = `${(numSamples / sampleRate).toFixed(1)} s`;
}

function offer(waveform) {
  const link = find("save");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(wavFile(waveform, sampleRate));
  link.download = "drawn.wav";
  link.hidden = false;
}

// Sliders

const sliders = {
  temperature: (value) => value.toFixed(2),
  pitch: (value) => `${value > 0 ? "+" : ""}${value} semitone${Math.abs(value) === 1 ? "" : "s"}`,
  breath: (value) => `${Math.round(100 * value)} %`,
};
const valueOf = (id) => Number(find(id).value);
const settings = () => ({ temperature: valueOf("temperature"), pitchShift: valueOf("pitch"), breath: valueOf("breath") });

function showSlider(id) {
  const text = sliders[id](valueOf(id)).replace("-", "−");
  find(id).setAttribute("aria-valuetext", text);
  find(`${id}-value`).textContent = text;
}

for (const id of Object.keys(sliders)) find(id).addEventListener("input", () => showSlider(id));

function reset() {
  const own = { temperature: 1, pitch: 0, breath: student.breath ?? 1 };
  for (const id of Object.keys(sliders)) {
    find(id).value = own[id];
    showSlider(id);
  }
}

// Recordings

async function record() {
  if (microphone) return finish();
  drawing++;
  player.pause();
  tell("Waiting for the microphone…");
  microphone = await Microphone.open((seconds, peak) => {
    find("elapsed").textContent = `${seconds.toFixed(0)} s`;
    find("level").value = peak;
    if (seconds >= LONGEST_SECONDS) attempt(finish);
  });
  showRecording();
  tell("Recording.");
}

async function finish() {
  const recorded = microphone?.stop(sampleRate);
  microphone = null;
  showRecording();
  if (recorded) await take(await recorded, "your voice");
}

function showRecording() {
  find("record").classList.toggle("recording", microphone !== null);
  find("record").querySelector(".text").textContent = microphone ? "Stop" : "Record";
  document.querySelector(".hearing").hidden = microphone === null;
}

async function open(file) {
  tell(`Reading ${file.name}…`);
  await take(await decode(file, sampleRate), file.name);
}

async function example() {
  const answer = await fetch(student.example);
  if (!answer.ok) throw new Error(`${student.example} cannot be loaded`);
  const blob = await answer.blob();
  await take(await decode(blob, sampleRate), "the example");
}

// Position

function follow() {
  for (const track of Object.values(tracks)) track.follow();
  if (!tracks.recording.signal) return;
  const [at, whole] = [player.position, tracks.recording.seconds];
  find("where").max = whole;
  find("where").value = at;
  find("where").setAttribute("aria-valuetext", `${at.toFixed(1)} of ${whole.toFixed(1)} seconds`);
  find("time").textContent = `${at.toFixed(1)} / ${whole.toFixed(1)} s`;
}

find("record").addEventListener("click", () => attempt(record));
find("choose").addEventListener("click", () => find("file").click());
find("file").addEventListener("change", ({ target }) => target.files.length && attempt(() => open(target.files[0])));
find("example").addEventListener("click", () => attempt(example));
find("draw").addEventListener("click", () => attempt(draw));
find("reset").addEventListener("click", reset);
find("where").addEventListener("input", () => player.seek(valueOf("where")));
for (const [name, dropping] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", dropping);
    if (name === "drop" && event.dataTransfer.files.length) attempt(() => open(event.dataTransfer.files[0]));
  });
}

find("student").textContent = student.name;
find("runtime").textContent = student.runtime;
find("example").hidden = !student.example;
for (const slider of document.querySelectorAll(".voiced")) slider.hidden = !student.controls;
reset();
attempt(async () => {
  tell(LOADING);
  await vocoder.ready;
  if (find("status").textContent === LOADING) tell("Ready.");
});
