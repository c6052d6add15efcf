// In the audio thread: pass on what the microphone hears, in pieces.

const PIECE = 2048; // samples

class Capture extends AudioWorkletProcessor {
  #piece = new Float32Array(PIECE);
  #filled = 0;

  process([[heard]]) {
    for (const value of heard ?? []) {
      this.#piece[this.#filled++] = value;
      if (this.#filled < PIECE) continue;
      this.port.postMessage(this.#piece);
      this.#filled = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
