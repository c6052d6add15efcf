// The player: every system's waveform of an utterance runs at once, and one of them is heard. So a
// switch keeps the position to the sample.
"use strict";
(() => {
  const utterances = JSON.parse(document.getElementById("utterances").textContent);
  const articles = [...document.querySelectorAll(".utterance")];
  const transport = document.querySelector(".transport");
  const find = (selector) => transport.querySelector(selector);
  const [slider, chips, loop, match] = [".position", ".chips", ".loop", ".match"].map(find);
  const FADE_SECONDS = 0.012; // short enough to be at once, long enough not to click

  let audio; // AudioContext, made at the first play: browsers want a person's gesture
  let current = 0; // utterance
  let system = utterances[0].systems[0];
  let offset = 0; // seconds at which `running` started, or where it is paused
  let running = null; // {startedAt, sources, gains} while it plays
  let request = 0; // counts calls of play: a slow load must not start what is no longer wanted

  // Audio arrives by scripts, one an utterance, each calling receiveAudio.
  const waiting = new Map();
  const loaded = new Map();
  window.receiveAudio = (index, encoded) => waiting.get(index)?.(encoded);

  function load(index) {
    if (!loaded.has(index)) {
      const promise = fetchScript(index)
        .then((encoded) => Promise.all(encoded.map(decode)))
        .then((buffers) => ({ buffers, matched: matchedGains(buffers) }));
      promise.catch(() => loaded.delete(index)); // a later play tries again
      loaded.set(index, promise);
    }
    return loaded.get(index);
  }

  function fetchScript(index) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(index, resolve);
      script.src = `audio/${String(index).padStart(2, "0")}.js`;
      script.onerror = () => reject(new Error(`${script.getAttribute("src")} cannot be loaded`));
      document.head.append(script);
    });
  }

  async function decode(base64) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return audio.decodeAudioData(bytes.buffer);
  }

  // Gains to the first system's level, the recording's, as far as that does not clip.
  function matchedGains(buffers) {
    const measured = buffers.map((buffer) => {
      let energy = 0, peak = 1e-9;
      for (const sample of buffer.getChannelData(0)) {
        energy += sample * sample;
        peak = Math.max(peak, Math.abs(sample));
      }
      return { rms: Math.sqrt(energy / buffer.length) + 1e-9, peak };
    });
    return measured.map(({ rms, peak }) => Math.min(measured[0].rms / rms, 1 / peak));
  }

  const seconds = () => utterances[current].seconds;
  const trackOf = (index) => Math.max(0, utterances[index].systems.indexOf(system));
  const position = () =>
    running ? Math.min(seconds(), offset + Math.max(0, audio.currentTime - running.startedAt)) : offset;

  async function play() {
    const wanted = ++request;
    setState("loading");
    try {
      audio ??= new AudioContext();
      if (navigator.audioSession) navigator.audioSession.type = "playback"; // heard on a muted phone
      const [tracks] = await Promise.all([load(current), audio.resume()]);
      if (wanted === request) start(tracks);
    } catch (error) {
      if (wanted !== request) return;
      find(".problem").textContent = `Cannot play: ${error.message}`;
      setState("paused");
    }
  }

  function start({ buffers, matched }) {
    halt();
    find(".problem").textContent = "";
    if (offset >= seconds() - 0.02) offset = 0;
    const startedAt = audio.currentTime + 0.03; // all at one time in the near future
    const gains = buffers.map(() => new GainNode(audio, { gain: 0 }));
    const sources = [];
    buffers.forEach((buffer, k) => {
      if (offset >= buffer.duration) return; // shorter than the others, and over
      const source = audio.createBufferSource();
      source.buffer = buffer;
      source.connect(gains[k]).connect(audio.destination);
      source.start(startedAt, offset);
      sources.push(source);
    });
    const longest = sources.reduce((a, b) => (b.buffer.duration > a.buffer.duration ? b : a));
    longest.onended = finish;
    running = { startedAt, sources, gains, matched };
    fadeTo(startedAt);
    setState("playing");
    requestAnimationFrame(tick);
  }

  function halt() {
    if (!running) return;
    const { sources, gains } = running;
    offset = position();
    running = null;
    for (const { gain } of gains) gain.setTargetAtTime(0, audio.currentTime, FADE_SECONDS / 3);
    for (const source of sources) {
      source.onended = null;
      source.stop(audio.currentTime + 3 * FADE_SECONDS);
    }
  }

  function pause() {
    request++;
    halt();
    setState("paused");
  }

  function finish() {
    const again = loop.checked;
    halt();
    offset = 0;
    if (again) play();
    else pause();
  }

  // Fade to the chosen system, from a time of the audio's clock on.
  function fadeTo(time) {
    running.gains.forEach(({ gain }, k) => {
      const heard = k === trackOf(current) ? (match.checked ? running.matched[k] : 1) : 0;
      gain.setTargetAtTime(heard, time, FADE_SECONDS / 3);
    });
  }

  function seek(to) {
    const playing = running !== null;
    halt();
    offset = Math.min(seconds(), Math.max(0, to));
    if (playing) play();
    else show();
  }

  function choose(index, name) {
    const playing = running !== null || transport.dataset.state === "loading";
    if (index !== current) {
      halt();
      current = index;
      offset = 0;
    }
    system = name;
    if (running) fadeTo(audio.currentTime);
    else if (playing) play();
    show();
  }

  function toggle(index) {
    const active = transport.dataset.state !== "paused";
    if (active && index === current) {
      pause();
      return;
    }
    if (index !== current) choose(index, utterances[index].systems[trackOf(index)]);
    if (transport.dataset.state === "paused") play();
  }

  function tick() {
    show();
    if (running) requestAnimationFrame(tick);
  }

  const clock = (time) => `${Math.floor(time / 60)}:${(time % 60).toFixed(1).padStart(4, "0")}`;

  function setState(state) {
    transport.dataset.state = state;
    transport.setAttribute("aria-busy", state === "loading");
    show();
  }

  // Draw the state; called at every frame while it plays.
  let drawn = "";
  function show() {
    const at = position();
    articles[current].style.setProperty("--position", at / seconds());
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${seconds().toFixed(1)} seconds`);
    find(".time").textContent = `${clock(at)} / ${clock(seconds())}`;
    const track = trackOf(current);
    const state = [current, track, transport.dataset.state].join();
    if (state === drawn) return;
    drawn = state;
    const active = transport.dataset.state !== "paused";
    slider.max = seconds();
    slider.value = at;
    find(".where .name").textContent = utterances[current].name;
    transport.classList.toggle("playing", active);
    find(".play").setAttribute("aria-label", active ? "Pause" : "Play");
    articles.forEach((article, index) => {
      const here = index === current;
      article.classList.toggle("current", here);
      article.classList.toggle("playing", here && active);
      const button = article.querySelector(".play");
      button.setAttribute("aria-label", `${here && active ? "Pause" : "Play"} ${utterances[index].name}`);
      article.querySelectorAll(".track").forEach((row, k) => {
        row.classList.toggle("selected", k === trackOf(index));
        row.querySelector("input").checked = k === trackOf(index);
      });
    });
    if (chips.dataset.utterance !== String(current)) makeChips();
    [...chips.children].forEach((chip, k) => chip.setAttribute("aria-pressed", k === track));
  }

  function makeChips() {
    chips.dataset.utterance = current;
    const rows = articles[current].querySelectorAll(".track");
    chips.replaceChildren(
      ...utterances[current].systems.map((name, k) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.textContent = utterances[current].labels[k];
        chip.style.setProperty("--colour", rows[k].style.getPropertyValue("--colour"));
        chip.addEventListener("click", () => choose(current, name));
        return chip;
      }),
    );
  }

  articles.forEach((article, index) => {
    article.querySelector(".play").addEventListener("click", () => toggle(index));
    article.querySelectorAll(".track").forEach((row, k) => {
      const name = utterances[index].systems[k];
      row.querySelector("input").addEventListener("change", () => choose(index, name));
      row.querySelector(".lane").addEventListener("click", (event) => {
        const box = event.currentTarget.getBoundingClientRect();
        choose(index, name);
        halt();
        offset = ((event.clientX - box.left) / box.width) * seconds();
        play();
      });
    });
  });
  find(".play").addEventListener("click", () => toggle(current));
  slider.addEventListener("input", () => seek(Number(slider.value)));
  // A click with the mouse leaves the focus where it is: the space bar then still plays.
  document.addEventListener("mousedown", (event) => {
    if (event.target.closest(".play, .chips button")) event.preventDefault();
  });
  match.addEventListener("change", () => running && fadeTo(audio.currentTime));

  const step = (by) => {
    const index = Math.min(utterances.length - 1, Math.max(0, current + by));
    choose(index, utterances[index].systems[trackOf(index)]);
    articles[index].scrollIntoView({ block: "nearest" });
  };
  const keys = {
    " ": () => toggle(current),
    ArrowLeft: () => seek(position() - 0.5),
    ArrowRight: () => seek(position() + 0.5),
    j: () => step(1),
    k: () => step(-1),
    l: () => loop.click(),
    m: () => match.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    // Keys that a focused control has a use for are left to it.
    if (event.key === " " && target.closest("button, summary, a, input[type=checkbox]")) return;
    if (event.key.startsWith("Arrow") && target === slider) return;
    const name = utterances[current].systems[Number(event.key) - 1];
    const action = name === undefined ? keys[event.key] : () => choose(current, name);
    if (!action) return;
    event.preventDefault();
    action();
  });

  transport.hidden = false;
  show();
})();
