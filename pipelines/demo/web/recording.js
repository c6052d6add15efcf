// Recordings from a file or a microphone: mono, at the student's sample rate.

export const LONGEST_SECONDS = 60;
const LONGEST_START_MS = 10_000;

// Decode any audio file that the browser knows. The browser resamples it.
export async function decode(file, sampleRate) {
  const decoder = new OfflineAudioContext(1, 1, sampleRate);
  const bytes = await file.arrayBuffer();
  try {
    return mono(await decoder.decodeAudioData(bytes));
  } catch {
    throw new Error(`${file.name ?? "the file"} is no recording that this browser can decode`);
  }
}

function mono(buffer) {
  const found = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((value, i) => (found[i] += value / buffer.numberOfChannels));
  }
  return found;
}

async function resample(waveform, from, to) {
  if (from === to || !waveform.length) return waveform;
  const length = Math.round((waveform.length * to) / from);
  const context = new OfflineAudioContext(1, length, to);
  const buffer = new AudioBuffer({ length: waveform.length, sampleRate: from });
  buffer.copyToChannel(waveform, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

// A microphone that records until `stop`. `onPiece` gets the seconds heard so far, and the peak of
// what was heard last.
export class Microphone {
  #pieces = [];

  static async open(onPiece) {
    if (!navigator.mediaDevices) throw new Error(PROBLEMS.unsafe);
    const microphone = new Microphone();
    try {
      await microphone.#start(onPiece);
    } catch (error) {
      microphone.#close();
      throw new Error(PROBLEMS[error.name] ?? error.message);
    }
    return microphone;
  }

  async #start(onPiece) {
    // What makes speech intelligible on the telephone would change the voice.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("capture.js");
    const source = new MediaStreamAudioSourceNode(this.context, { mediaStream: this.stream });
    const capture = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    capture.port.onmessage = ({ data }) => {
      this.#pieces.push(data);
      const peak = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      onPiece((this.#pieces.length * data.length) / this.context.sampleRate, peak);
    };
    source.connect(capture);
    await Promise.race([this.context.resume(), tooLate()]);
  }

  // Stop recording, and return what was heard.
  async stop(sampleRate) {
    const from = this.context.sampleRate;
    this.#close();
    const whole = new Float32Array(this.#pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return resample(whole, from, sampleRate);
  }

  #close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.context?.close();
  }
}

// Where there is no sound output, Firefox never starts an audio context, and says nothing.
async function tooLate() {
  await new Promise((resolve) => setTimeout(resolve, LONGEST_START_MS));
  throw new Error(PROBLEMS.silent);
}

const PROBLEMS = {
  silent: "the browser's audio does not start; it may want a loudspeaker or headphones; choose a file",
  unsafe: "a browser allows the microphone to pages by https and on this machine alone; choose a file",
  NotAllowedError: "the microphone was not allowed; allow it in the browser's settings, or choose a file",
  NotFoundError: "there is no microphone; choose a file",
};
