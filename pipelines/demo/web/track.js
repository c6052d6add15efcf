// A row of the page: a waveform, its spectrogram, and a button to play them.

import { Spectrogram, drawWaveform } from "./picture.js";

export class Track {
  #spectrogram = null;
  #frames = 0; // of the spectrogram that are drawn

  // `row` is the track's element; `logMel` computes frames, and `player` plays.
  constructor(row, logMel, player) {
    this.row = row;
    this.logMel = logMel;
    this.player = player;
    this.signal = null;
    this.name = row.dataset.name;
    this.button = row.querySelector(".play");
    this.lane = row.querySelector(".lane");
    [this.waveform, this.picture] = row.querySelectorAll("canvas");
    this.button.addEventListener("click", () => this.toggle());
    this.lane.addEventListener("click", (event) => {
      if (!this.signal) return;
      const box = this.lane.getBoundingClientRect();
      this.player.play(this.signal, ((event.clientX - box.left) / box.width) * this.seconds);
    });
    new ResizeObserver(() => this.show()).observe(this.lane);
  }

  get seconds() {
    return this.signal.waveform.length / this.player.sampleRate;
  }

  // Show a signal { waveform, filled }; colours are scaled to `loudest`.
  set(signal, loudest) {
    const numFrames = this.logMel.numFrames(signal.waveform.length);
    this.signal = signal;
    this.row.classList.remove("empty");
    this.#frames = 0;
    this.#spectrogram = new Spectrogram(this.picture, this.logMel.mel.num_mels, numFrames, this.logMel.silence, loudest);
    this.picture.setAttribute("aria-label", `Log-mel spectrogram, ${this.name}, ${this.seconds.toFixed(1)} seconds`);
    this.grow();
  }

  // Take over what has been added to the signal.
  grow() {
    const { waveform, filled } = this.signal;
    const total = this.logMel.numFrames(waveform.length);
    while (this.#frames < total && this.logMel.numSamplesFor(this.#frames, waveform.length) <= filled) {
      this.#spectrogram.add(this.#frames, this.logMel.frame(waveform, this.#frames++));
    }
    this.show();
    this.follow();
  }

  show() {
    if (!this.signal) return;
    drawWaveform(this.waveform, this.signal);
    this.#spectrogram.show();
  }

  toggle() {
    if (this.player.playing === this.signal) this.player.pause();
    else this.player.play(this.signal);
  }

  // Show where the player is.
  follow() {
    const playing = this.signal !== null && this.player.playing === this.signal;
    this.button.disabled = !this.signal?.filled;
    this.row.classList.toggle("playing", playing);
    this.button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} ${this.name}`);
    if (this.signal) this.lane.style.setProperty("--position", this.player.position / this.seconds);
  }
}
