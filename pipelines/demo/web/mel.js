// The log-mel of `dsp/mel.py`, in its named convention: frame l covers the samples from l * hop to
// (l + 1) * hop, its window is centred on them, and both ends of a waveform are reflected.

const MAGNITUDE_EPS = 1e-9; // added to the energy; part of the convention, as in HiFi-GAN

export class LogMel {
  // `mel` holds the fields of Python's MelConfig.
  constructor(mel) {
    this.mel = mel;
    this.padding = (mel.n_fft - mel.hop_length) / 2;
    this.window = hann(mel.win_length, mel.n_fft);
    this.bands = filterbank(mel);
    this.fft = new FourierTransform(mel.n_fft);
    this.energy = new Float64Array(mel.n_fft / 2 + 1);
    this.log = mel.log_base === "e" ? Math.log : Math.log10;
  }

  // The value of digital silence.
  get silence() {
    return this.log(this.mel.log_floor);
  }

  numFrames(numSamples) {
    return Math.floor(numSamples / this.mel.hop_length);
  }

  // Samples that must be known before frame l can be computed, of a waveform of so many in all.
  numSamplesFor(l, total) {
    return Math.min(total, l * this.mel.hop_length + this.mel.n_fft - this.padding);
  }

  // Frame l of a waveform: `num_mels` values.
  frame(waveform, l) {
    const { n_fft, hop_length, power, log_floor } = this.mel;
    const { real, imaginary } = this.fft;
    const first = l * hop_length - this.padding;
    for (let i = 0; i < n_fft; i++) {
      real[i] = this.window[i] * sample(waveform, first + i, this.padding);
      imaginary[i] = 0;
    }
    this.fft.run();
    for (let k = 0; k <= n_fft / 2; k++) {
      const energy = real[k] ** 2 + imaginary[k] ** 2 + MAGNITUDE_EPS;
      this.energy[k] = power === 1 ? Math.sqrt(energy) : energy ** (power / 2);
    }
    return Float32Array.from(this.bands, ({ start, weights }) => {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * this.energy[start + k];
      return this.log(Math.max(sum, log_floor));
    });
  }

  // All frames of a waveform, as rows of bands: index band * numFrames + frame.
  frames(waveform) {
    const length = this.numFrames(waveform.length);
    const found = new Float32Array(this.mel.num_mels * length);
    for (let l = 0; l < length; l++) {
      this.frame(waveform, l).forEach((value, band) => (found[band * length + l] = value));
    }
    return found;
  }
}

// Sample i of a waveform that is reflected at its ends, or followed by zeros if it is too short.
function sample(waveform, i, padding) {
  const last = waveform.length - 1;
  if (i >= 0 && i <= last) return waveform[i];
  if (last < padding) return 0;
  return waveform[i < 0 ? -i : 2 * last - i] ?? 0; // samples after the last frame are not read
}

// A periodic Hann window in the middle of `n_fft` samples.
function hann(length, n_fft) {
  const window = new Float64Array(n_fft);
  const first = Math.floor((n_fft - length) / 2);
  for (let i = 0; i < length; i++) {
    window[first + i] = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length);
  }
  return window;
}

// Triangles on Slaney's mel scale: for each band the first bin, and the weights from it on.
function filterbank(mel) {
  const [low, high] = [toMel(mel.fmin_hz), toMel(mel.fmax_hz)];
  const edges = Array.from({ length: mel.num_mels + 2 }, (_, i) =>
    toHz(low + ((high - low) * i) / (mel.num_mels + 1)),
  );
  return Array.from({ length: mel.num_mels }, (_, band) => {
    const [from, top, to] = edges.slice(band, band + 3);
    const area = mel.filterbank_norm === "slaney" ? 2 / (to - from) : 1;
    const weights = [];
    let start = 0;
    for (let k = 0; k <= mel.n_fft / 2; k++) {
      const hz = (k * mel.sample_rate) / mel.n_fft;
      const weight = area * Math.min((hz - from) / (top - from), (to - hz) / (to - top));
      if (weight > 0) weights.push(weight);
      else if (!weights.length) start = k + 1;
    }
    return { start, weights: Float64Array.from(weights) };
  });
}

const LINEAR_HZ = 1000; // Slaney's scale is linear below, logarithmic above
const HZ_PER_MEL = 200 / 3;
const LOG_STEP = Math.log(6.4) / 27;

function toMel(hz) {
  if (hz < LINEAR_HZ) return hz / HZ_PER_MEL;
  return LINEAR_HZ / HZ_PER_MEL + Math.log(hz / LINEAR_HZ) / LOG_STEP;
}

function toHz(mel) {
  const above = mel - LINEAR_HZ / HZ_PER_MEL;
  return above < 0 ? mel * HZ_PER_MEL : LINEAR_HZ * Math.exp(LOG_STEP * above);
}

// A Fourier transform in place, of a power of two of points (Cooley and Tukey, 1965).
class FourierTransform {
  constructor(points) {
    this.real = new Float64Array(points);
    this.imaginary = new Float64Array(points);
    const bits = Math.log2(points);
    this.reversed = Uint32Array.from({ length: points }, (_, i) => {
      let reversed = 0;
      for (let bit = 0; bit < bits; bit++) reversed |= ((i >> bit) & 1) << (bits - 1 - bit);
      return reversed;
    });
    this.cosines = Float64Array.from({ length: points / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / points));
    this.sines = Float64Array.from({ length: points / 2 }, (_, k) => -Math.sin((2 * Math.PI * k) / points));
  }

  run() {
    const { real, imaginary, reversed, cosines, sines } = this;
    const points = real.length;
    for (let i = 0; i < points; i++) {
      const j = reversed[i];
      if (j <= i) continue;
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
    for (let half = 1; half < points; half *= 2) {
      const stride = points / (2 * half);
      for (let start = 0; start < points; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [a, b] = [start + k, start + k + half];
          const [c, s] = [cosines[k * stride], sines[k * stride]];
          const re = real[b] * c - imaginary[b] * s;
          const im = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
  }
}
