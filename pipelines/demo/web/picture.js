// Waveforms and spectrograms on canvases.

const COLOURS = [[0, 0, 4], [40, 11, 84], [101, 21, 110], [159, 42, 99], [212, 72, 66], [245, 125, 21], [250, 193, 39], [252, 255, 164]];
// Inferno of Matplotlib, in eight steps: equal steps look equal.

// Fit a canvas's pixels to its place on the screen, and clear it.
function fitted(canvas) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.max(1, Math.round(canvas.clientHeight * scale));
  return canvas.getContext("2d");
}

// Draw the first `filled` samples of a waveform, over the width of all of them.
export function drawWaveform(canvas, { waveform, filled }) {
  const pen = fitted(canvas);
  const { width, height } = canvas;
  pen.fillStyle = getComputedStyle(canvas).color;
  const peak = Math.max(0.05, waveform.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
  const perPixel = waveform.length / width;
  for (let x = 0; x < width; x++) {
    const [from, to] = [Math.floor(x * perPixel), Math.ceil((x + 1) * perPixel)];
    if (from >= filled) break;
    let [low, high] = [Infinity, -Infinity];
    for (let i = from; i < Math.min(to, filled); i++) {
      low = Math.min(low, waveform[i]);
      high = Math.max(high, waveform[i]);
    }
    const middle = height / 2;
    const top = middle - (high / peak) * middle;
    pen.fillRect(x, top, 1, Math.max(1, ((high - low) / peak) * middle));
  }
}

// A spectrogram that gets its frames one by one.
export class Spectrogram {
  #image = document.createElement("canvas");

  // Values from `lowest` to `highest` go from black to white.
  constructor(canvas, numBands, numFrames, lowest, highest) {
    this.canvas = canvas;
    [this.lowest, this.highest] = [lowest, highest];
    [this.#image.width, this.#image.height] = [numFrames, numBands];
    this.pen = this.#image.getContext("2d");
    this.pen.fillRect(0, 0, numFrames, numBands);
    this.column = this.pen.createImageData(1, numBands);
  }

  // Frame l: a value for each band, the lowest band first.
  add(l, values) {
    const last = values.length - 1;
    values.forEach((value, band) => {
      const share = (value - this.lowest) / (this.highest - this.lowest);
      this.column.data.set(colour(share), 4 * (last - band));
    });
    this.pen.putImageData(this.column, l, 0);
  }

  show() {
    const pen = fitted(this.canvas);
    pen.drawImage(this.#image, 0, 0, this.canvas.width, this.canvas.height);
  }
}

function colour(share) {
  const place = Math.min(1, Math.max(0, share)) * (COLOURS.length - 1);
  const low = Math.min(COLOURS.length - 2, Math.floor(place));
  const mixed = COLOURS[low].map((from, i) => from + (COLOURS[low + 1][i] - from) * (place - low));
  return [...mixed, 255];
}
