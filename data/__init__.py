"""Corpora, audio files, log-mel features and training segments; tables of numbers."""

from data.audio import (
    AUDIO_SUFFIXES,
    AudioError,
    from_int16,
    read_waveform,
    to_int16,
)
from data.audio_search import Found, find_audio_files, search_audio
from data.audio_writing import write_blocks, write_pcm, write_waveform
from data.corpora import CORPORA, Corpus, fetch, speech_files
from data.debian import CorpusError
from data.features import FeatureMismatch, MelConfig, log_mel
from data.manifest import DataError, Manifest, Skipped, Statistics, Utterance
from data.outputs import mark_output
from data.pitch import NO_PITCH, PitchConfig, check_pitch_rows, pitch_rows, with_pitch, yin
from data.prepare import PrepareConfig, prepare, prepare_part
from data.pulses import residual_energy
from data.segments import Batch, SegmentSampler, UtteranceSet, dither
from data.speakers import speaker_of, speakers_of, with_speaker
from data.split import SPLITS, Split, assign_splits, split_of
from data.synthetic import synthesise
from data.tables import Table, TableError, discrete_columns, read_table, split_rows
from data.toys import TOYS

__all__ = [
    "AUDIO_SUFFIXES",
    "CORPORA",
    "NO_PITCH",
    "SPLITS",
    "TOYS",
    "AudioError",
    "Batch",
    "Corpus",
    "CorpusError",
    "DataError",
    "FeatureMismatch",
    "Found",
    "Manifest",
    "MelConfig",
    "PitchConfig",
    "PrepareConfig",
    "SegmentSampler",
    "Skipped",
    "Split",
    "Statistics",
    "Table",
    "TableError",
    "Utterance",
    "UtteranceSet",
    "assign_splits",
    "check_pitch_rows",
    "discrete_columns",
    "dither",
    "fetch",
    "find_audio_files",
    "from_int16",
    "log_mel",
    "mark_output",
    "pitch_rows",
    "prepare",
    "prepare_part",
    "read_table",
    "read_waveform",
    "residual_energy",
    "search_audio",
    "speaker_of",
    "speakers_of",
    "speech_files",
    "split_of",
    "split_rows",
    "synthesise",
    "to_int16",
    "with_pitch",
    "with_speaker",
    "write_blocks",
    "write_pcm",
    "write_waveform",
    "yin",
]
