// A waveform as a WAV file of 32-bit floats: exact, and not clipped.

const FLOAT = 3; // the format's code

export function wavFile(waveform, sampleRate) {
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, letters) => [...letters].forEach((c, i) => header.setUint8(at + i, c.charCodeAt(0)));
  const size = 4 * waveform.length;
  text(0, "RIFF");
  header.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, FLOAT, true);
  header.setUint16(22, 1, true); // channel
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, 4 * sampleRate, true);
  header.setUint16(32, 4, true); // bytes per sample
  header.setUint16(34, 32, true); // bits
  text(36, "data");
  header.setUint32(40, size, true);
  return new Blob([header, waveform], { type: "audio/wav" });
}
