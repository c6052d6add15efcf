// Beside the page's own thread: the student, run by ONNX Runtime, and the log-mel of recordings.

import * as ort from "./runtime/ort.js";
import { LogMel } from "./mel.js";

let student, session, logMel, state;

const answers = {
  async load(described) {
    student = described;
    logMel = new LogMel(student.mel);
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = 1; // more need headers that a plain static server does not send
    ort.env.wasm.wasmBinary = await bytes("runtime/ort.wasm");
    session = await ort.InferenceSession.create(new Uint8Array(await bytes("student/stream.onnx")), {
      executionProviders: ["wasm"],
    });
  },

  // The log-mel of a whole recording.
  mel({ waveform }) {
    return logMel.frames(waveform);
  },

  // A new utterance.
  start() {
    state = new ort.Tensor("float32", new Float32Array(student.state_size), [1, student.state_size]);
  },

  // The next chunk: noise of n frames, and the log-mel of n frames and of their neighbours.
  async draw({ noise, log_mel, pitch_shift, breath }) {
    const started = performance.now();
    const columns = log_mel.length / student.mel.num_mels;
    const inputs = {
      noise: new ort.Tensor("float32", noise, [1, 1, noise.length]),
      log_mel: new ort.Tensor("float32", log_mel, [1, student.mel.num_mels, columns]),
      state,
    };
    if (student.controls) {
      inputs.pitch_shift = new ort.Tensor("float32", [pitch_shift], [1, 1]);
      inputs.breath = new ort.Tensor("float32", [breath], [1, 1]);
    }
    const found = await session.run(inputs);
    state = found.next_state;
    return { waveform: found.waveform.data, milliseconds: performance.now() - started };
  },
};

async function bytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} cannot be loaded (${answer.status})`);
  return answer.arrayBuffer();
}

onmessage = async ({ data: { id, name, given } }) => {
  try {
    postMessage({ id, found: await answers[name](given) });
  } catch (error) {
    postMessage({ id, problem: error.message ?? String(error) });
  }
};
