"""Log-mel in, waveform out: python onnx_vocoder.py STUDENT.onnx MEL.npy OUT.wav."""

import json
import sys

import numpy as np
import onnxruntime
import soundfile

model, mel_file, out = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
described = session.get_modelmeta().custom_metadata_map
mel = json.loads(described["mel"])  # the convention: n_fft, hop_length, fmin_hz, log_base, ...
log_mel = np.load(mel_file).astype(np.float32)[None]  # (1, num_mels, L)
assert log_mel.shape[1] == mel["num_mels"], log_mel.shape
generator = np.random.default_rng(0)
draw = generator.logistic if described["noise"] == "logistic" else generator.normal
noise = draw(size=(1, 1, log_mel.shape[2] * mel["hop_length"])).astype(np.float32)
(waveform,) = session.run(None, {"noise": noise, "log_mel": log_mel})
soundfile.write(out, waveform[0, 0].clip(-1, 1), mel["sample_rate"])
