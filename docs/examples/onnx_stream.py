"""The same in constant memory: python onnx_stream.py STREAM.onnx MEL.npy OUT.wav."""

import json
import sys

import numpy as np
import onnxruntime
import soundfile

CHUNK = 8  # frames
model, mel_file, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
described = session.get_modelmeta().custom_metadata_map
mel, margin = json.loads(described["mel"]), int(described["context_margin"])
log_mel = np.load(mel_file).astype(np.float32)[None]  # (1, num_mels, L); may come frame by frame
around = np.pad(log_mel, ((0, 0), (0, 0), (margin, margin)), mode="edge")
state = np.zeros((1, int(described["state_size"])), np.float32)
generator = np.random.default_rng(0)
draw = generator.logistic if described["noise"] == "logistic" else generator.normal
with soundfile.SoundFile(out, "w", mel["sample_rate"], 1) as file:
    for start in range(0, log_mel.shape[2], CHUNK):
        frames = around[..., start : start + CHUNK + 2 * margin]
        samples = (frames.shape[2] - 2 * margin) * mel["hop_length"]
        noise = draw(size=(1, 1, samples)).astype(np.float32)
        inputs = {"noise": noise, "log_mel": frames, "state": state}
        waveform, state = session.run(["waveform", "next_state"], inputs)
        file.write(waveform[0, 0].clip(-1, 1))
