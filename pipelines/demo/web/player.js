// Play waveforms that may still grow, from one position shared by all.

const LEAD = 0.03; // seconds from a decision to the sound

export class Player {
  #audio = null;
  #sources = [];
  #signal = null; // what is heard
  #scheduled = 0; // samples of it given to the audio thread
  #startedAt = 0; // time of the audio's clock at which its sample 0 would sound
  #offset = 0; // position in seconds, while nothing plays

  // `onChange` is called at every frame of the screen while something plays, and when it ends.
  constructor(sampleRate, onChange) {
    this.sampleRate = sampleRate;
    this.onChange = onChange;
  }

  get playing() {
    return this.#signal;
  }

  get position() {
    if (!this.#signal) return this.#offset;
    const now = this.#audio.currentTime - this.#startedAt;
    return Math.max(this.#offset, Math.min(now, this.#scheduled / this.sampleRate));
  }

  // Play a signal { waveform, filled }, whose first `filled` samples are known.
  async play(signal, from = this.#offset) {
    this.#halt();
    this.#audio ??= new AudioContext({ sampleRate: this.sampleRate });
    if (navigator.audioSession) navigator.audioSession.type = "playback"; // heard on a muted phone
    const length = signal.waveform.length / this.sampleRate;
    this.#offset = from >= length - 0.02 ? 0 : Math.max(0, from);
    this.#signal = signal;
    this.#scheduled = Math.round(this.#offset * this.sampleRate);
    this.#startedAt = this.#audio.currentTime + LEAD - this.#offset;
    this.grow();
    requestAnimationFrame(() => this.#tick(signal));
    await this.#audio.resume();
  }

  // Whether sound comes out; a browser may keep quiet until a button is pressed.
  get audible() {
    return this.#audio?.state === "running";
  }

  // Take over what has been added to the signal.
  grow() {
    const signal = this.#signal;
    if (!signal || signal.filled <= this.#scheduled) return;
    const late = this.#audio.currentTime + LEAD / 2 - (this.#startedAt + this.#scheduled / this.sampleRate);
    if (late > 0) this.#startedAt += late; // it came too late: there is a pause
    const length = signal.filled - this.#scheduled;
    const buffer = new AudioBuffer({ length, sampleRate: this.sampleRate });
    buffer.copyToChannel(signal.waveform.subarray(this.#scheduled, signal.filled), 0);
    const source = new AudioBufferSourceNode(this.#audio, { buffer });
    source.connect(this.#audio.destination);
    source.start(this.#startedAt + this.#scheduled / this.sampleRate);
    this.#sources.push(source);
    this.#scheduled = signal.filled;
  }

  pause() {
    this.#halt();
    this.onChange();
  }

  seek(to) {
    if (this.#signal) return this.play(this.#signal, to);
    this.#offset = to;
    this.onChange();
  }

  #halt() {
    this.#offset = this.position;
    this.#signal = null;
    for (const source of this.#sources) source.stop();
    this.#sources = [];
  }

  #tick(signal) {
    if (this.#signal !== signal) return;
    if (this.position >= signal.waveform.length / this.sampleRate - 0.001) {
      this.#halt();
      this.#offset = 0;
    } else {
      requestAnimationFrame(() => this.#tick(signal));
    }
    this.onChange();
  }
}
