// A student that draws waveforms chunk by chunk; it runs in a worker.

import { noiseOf } from "./noise.js";

const CHUNK = 8; // frames
const SHORTEST = 2; // frames that a student with a voice must be given at once
const QUIETEST = 1e-3; // the graph takes the logarithm of the breath

export class Vocoder {
  #worker = new Worker("worker.js", { type: "module" });
  #asked = new Map();
  #count = 0;
  #drawing = null; // the newest drawing

  // `student` is what student/student.json says; `ready` fulfils once it is loaded.
  constructor(student) {
    this.student = student;
    this.#worker.onmessage = ({ data: { id, found, problem } }) => {
      const { resolve, reject } = this.#asked.get(id);
      this.#asked.delete(id);
      if (problem === undefined) resolve(found);
      else reject(new Error(problem));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      const problem = new Error(event.message || "the worker cannot be loaded");
      for (const { reject } of this.#asked.values()) reject(problem);
      this.#asked.clear();
    };
    this.ready = this.#ask("load", student);
    this.ready.catch(() => {}); // told by who waits for it
  }

  #ask(name, given) {
    return new Promise((resolve, reject) => {
      this.#asked.set(++this.#count, { resolve, reject });
      this.#worker.postMessage({ id: this.#count, name, given });
    });
  }

  // The log-mel of a waveform, as rows of bands.
  async logMel(waveform) {
    await this.ready;
    return this.#ask("mel", { waveform });
  }

  // Draw a waveform from a log-mel. `settings` is asked before each chunk and returns temperature,
  // pitchShift in semitones and breath. Yields { waveform, milliseconds }.
  async *draw(logMel, seed, settings) {
    const { mel, noise: kind, context_margin: margin } = this.student;
    const numFrames = logMel.length / mel.num_mels;
    const draw = noiseOf(seed, kind);
    // The worker has one state: a drawing that another one has replaced must not advance it.
    const mine = (this.#drawing = {});
    await this.#ask("start");
    for (const [start, stop] of chunks(numFrames)) {
      if (mine !== this.#drawing) return;
      const { temperature, pitchShift, breath } = settings();
      const noise = draw((stop - start) * mel.hop_length).map((value) => temperature * value);
      yield await this.#ask("draw", {
        noise,
        log_mel: columns(logMel, mel.num_mels, start - margin, stop + margin),
        pitch_shift: pitchShift,
        breath: Math.max(breath, QUIETEST),
      });
    }
  }
}

// Divide frames into chunks; the last one takes a rest that is too short for a chunk of its own.
function* chunks(numFrames) {
  let start = 0;
  while (start < numFrames) {
    const rest = numFrames - start - CHUNK;
    const stop = rest < SHORTEST ? numFrames : start + CHUNK;
    yield [start, stop];
    start = stop;
  }
}

// Columns of a matrix of rows; before the first and after the last, the outermost is repeated.
function columns(matrix, rows, from, to) {
  const length = matrix.length / rows;
  const found = new Float32Array(rows * (to - from));
  for (let row = 0; row < rows; row++) {
    for (let i = from; i < to; i++) {
      const column = Math.min(length - 1, Math.max(0, i));
      found[row * (to - from) + i - from] = matrix[row * length + column];
    }
  }
  return found;
}
