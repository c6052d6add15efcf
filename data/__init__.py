"""Corpora, audio files, log-mel features, training segments, and tables of numbers."""

from typing import TYPE_CHECKING

from storage.on_demand import on_demand

if TYPE_CHECKING:
    from data.audio.outputs import mark_output, refuse_foreign_files
    from data.audio.read import (
        AUDIO_SUFFIXES,
        AudioError,
        from_int16,
        read_waveform,
        to_int16,
    )
    from data.audio.search import Found, find_audio_files, search_audio
    from data.audio.write import write_blocks, write_pcm, write_waveform
    from data.corpora.catalogue import CORPORA, Corpus
    from data.corpora.debian import CorpusError
    from data.corpora.fetch import fetch, speech_files
    from data.corpora.synthetic import synthesise
    from data.csv_tables import TableError
    from data.mel_files import MEL_SUFFIXES, MelFileError, MelFormat, MelLayout, read_mel_file
    from data.prepared.dither import dither
    from data.prepared.given_mels import MelSource
    from data.prepared.manifest import DataError, Manifest, PreparedUtterance, Skipped, Statistics
    from data.prepared.prepare import prepare, prepare_part
    from data.prepared.segments import Batch, SegmentSampler
    from data.prepared.settings import PrepareConfig
    from data.prepared.speakers import speaker_of, speakers_of, with_speaker
    from data.prepared.split import SPLITS, Split, assign_splits, split_of
    from data.prepared.utterances import UtteranceSet
    from data.tables import (
        HAS_HEADER,
        Table,
        discrete_columns,
        read_table,
        repeated_values,
        split_rows,
    )
    from data.toys import TOYS
    from dsp.filters.mel_equaliser import MelEqualiser
    from dsp.mel import FeatureMismatch, MelConfig, log_mel
    from dsp.mel_conventions import (
        CONVENTIONS,
        MelConventionChoice,
        MelConventionName,
        lead_samples,
        to_model,
    )
    from dsp.mel_plausibility import ConventionError, MelStatistics, check_convention, check_limits
    from dsp.pitch import NO_PITCH, PitchConfig, check_pitch_rows, pitch_rows, with_pitch, yin
    from dsp.pulses import residual_energy
else:
    __getattr__ = on_demand(__name__)

__all__ = [
    "AUDIO_SUFFIXES",
    "CONVENTIONS",
    "CORPORA",
    "HAS_HEADER",
    "MEL_SUFFIXES",
    "NO_PITCH",
    "SPLITS",
    "TOYS",
    "AudioError",
    "Batch",
    "ConventionError",
    "Corpus",
    "CorpusError",
    "DataError",
    "FeatureMismatch",
    "Found",
    "Manifest",
    "MelConfig",
    "MelConventionChoice",
    "MelConventionName",
    "MelEqualiser",
    "MelFileError",
    "MelFormat",
    "MelLayout",
    "MelSource",
    "MelStatistics",
    "PitchConfig",
    "PrepareConfig",
    "PreparedUtterance",
    "SegmentSampler",
    "Skipped",
    "Split",
    "Statistics",
    "Table",
    "TableError",
    "UtteranceSet",
    "assign_splits",
    "check_convention",
    "check_limits",
    "check_pitch_rows",
    "discrete_columns",
    "dither",
    "fetch",
    "find_audio_files",
    "from_int16",
    "lead_samples",
    "log_mel",
    "mark_output",
    "pitch_rows",
    "prepare",
    "prepare_part",
    "read_mel_file",
    "read_table",
    "read_waveform",
    "refuse_foreign_files",
    "repeated_values",
    "residual_energy",
    "search_audio",
    "speaker_of",
    "speakers_of",
    "speech_files",
    "split_of",
    "split_rows",
    "synthesise",
    "to_int16",
    "to_model",
    "with_pitch",
    "with_speaker",
    "write_blocks",
    "write_pcm",
    "write_waveform",
    "yin",
]
