// Noise by a seed: one seed gives one waveform.

// Return a function that draws the next `count` values, standard normal or standard logistic.
export function noiseOf(seed, kind) {
  const uniform = uniformOf(seed);
  const draw = kind === "logistic" ? () => logistic(uniform()) : normalOf(uniform);
  return (count) => Float32Array.from({ length: count }, draw);
}

// Mulberry32, a generator of 32 bits of state: uniform values strictly between 0 and 1.
function uniformOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

// Box and Muller (1958): two uniform values give two normal ones.
function normalOf(uniform) {
  let spare = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

const logistic = (uniform) => Math.log(uniform / (1 - uniform));
