//! wav and flac to mono samples, refusing whatever is not whole.
use std::io::{Cursor, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use crate::RateError;

/// Mono audio.
#[derive(Clone, PartialEq, Debug)]
pub struct Signal {
    /// Samples per second.
    pub sample_rate_hz: u32,
    /// Channels of the recording, averaged to one.
    pub channels: usize,
    /// Samples, full scale ±1; all finite, at least one.
    pub samples: Vec<f32>,
}

impl Signal {
    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.sample_rate_hz)
    }
}

/// A file that gives no usable audio.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum DecodeError {
    #[error("{path}: {reason}: the audio is damaged here; fetch the file again")]
    Corrupt { path: PathBuf, reason: String },
    #[error("{path}: holds no audio (0 samples); leave it out of the corpus or fetch it again")]
    Empty { path: PathBuf },
    #[error("{path}: cannot be read: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path}: sample {sample} is not a finite number; convert the file again from its source")]
    NonFinite { path: PathBuf, sample: usize },
    #[error("{path}: is not wav or flac audio that can be read ({reason}); convert it to 16-bit wav")]
    NotAudio { path: PathBuf, reason: String },
    #[error("{path}: {source}")]
    SampleRate {
        path: PathBuf,
        #[source]
        source: RateError,
    },
    #[error("{path}: its samples are so large that features overflow; full scale is ±1, convert it to 16-bit wav")]
    TooLoud { path: PathBuf },
    #[error(
        "{path}: its {samples} samples do not fill one frame of {frame_ms} ms; leave it out, or set a shorter features.frame_ms"
    )]
    TooShort { path: PathBuf, samples: usize, frame_ms: f64 },
    #[error("{path}: is cut short: its header promises {promised} samples and {found} are there; fetch it again")]
    Truncated { path: PathBuf, promised: u64, found: u64 },
}

/// Decodes one wav or flac file; channels are averaged to mono.
///
/// # Errors
/// [`DecodeError`] for a file that cannot be read, is not audio, is cut short (the header promises more than there
/// is), is damaged (flac: its MD5 disagrees), holds no samples, or holds NaN or infinity.
pub fn decode(path: &Path) -> Result<Signal, DecodeError> {
    let io = |source| DecodeError::Io { path: path.to_owned(), source };
    // Reading a pipe or a device would not end.
    if std::fs::metadata(path).map_err(io)?.is_file() {
        decode_bytes(std::fs::read(path).map_err(io)?, path)
    } else {
        Err(DecodeError::NotAudio { path: path.to_owned(), reason: "it is no regular file".to_owned() })
    }
}

/// Decodes the bytes of a file already read; `path` gives the extension and the name in errors.
///
/// # Errors
/// As [`decode`].
pub fn decode_bytes(bytes: Vec<u8>, path: &Path) -> Result<Signal, DecodeError> {
    // The parser panics on some damaged headers. One bad file must not take the rest of a corpus with it; nothing that a panic
    // could leave half done outlives the call.
    std::panic::catch_unwind(AssertUnwindSafe(|| parse(bytes, path))).unwrap_or_else(|_| {
        Err(DecodeError::Corrupt { path: path.to_owned(), reason: "its header makes no sense".to_owned() })
    })
}

fn parse(bytes: Vec<u8>, path: &Path) -> Result<Signal, DecodeError> {
    let not_audio = |reason: &dyn ToString| DecodeError::NotAudio { path: path.to_owned(), reason: reason.to_string() };
    let mut format = open(bytes, path)?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| not_audio(&"no audio track"))?;
    let (track_id, promised) = (track.id, track.num_frames);
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or_else(|| not_audio(&"no codec stated"))?;
    // `verify`: a flac file carries the MD5 of its samples, so silent damage is found for the price of one MD5.
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(params, &AudioDecoderOptions::default().verify(true))
        .map_err(|e| not_audio(&e))?;
    let mut signal = Signal { sample_rate_hz: params.sample_rate.unwrap_or(0), channels: 0, samples: Vec::new() };
    drain(format.as_mut(), decoder.as_mut(), track_id, &mut signal, path)?;
    let found = signal.samples.len() as u64;
    if let Some(promised) = promised
        && found < promised
    {
        return Err(DecodeError::Truncated { path: path.to_owned(), promised, found });
    }
    if signal.samples.is_empty() || signal.sample_rate_hz == 0 {
        return Err(DecodeError::Empty { path: path.to_owned() });
    }
    if decoder.finalize().verify_ok == Some(false) {
        return Err(DecodeError::Corrupt { path: path.to_owned(), reason: "its MD5 disagrees".to_owned() });
    }
    if let Some(sample) = signal.samples.iter().position(|x| !x.is_finite()) {
        return Err(DecodeError::NonFinite { path: path.to_owned(), sample });
    }
    Ok(signal)
}

fn open(bytes: Vec<u8>, path: &Path) -> Result<Box<dyn FormatReader>, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty { path: path.to_owned() });
    }
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let source =
        MediaSourceStream::new(Box::new(Cursor::new(bytes)), symphonia::core::io::MediaSourceStreamOptions::default());
    symphonia::default::get_probe()
        .probe(&hint, source, FormatOptions::default(), MetadataOptions::default())
        .map_err(|e| DecodeError::NotAudio { path: path.to_owned(), reason: e.to_string() })
}

/// Appends all packets of the track, mixed to mono, to `signal`.
fn drain(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track_id: u32,
    signal: &mut Signal,
    path: &Path,
) -> Result<(), DecodeError> {
    let corrupt = |e: &Symphonia| DecodeError::Corrupt { path: path.to_owned(), reason: e.to_string() };
    let mut interleaved: Vec<f32> = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) if packet.track_id == track_id => packet,
            Ok(Some(_)) => continue,
            // The caller compares what was found with what the header promised, so an early end is never silent.
            Ok(None) => return Ok(()),
            Err(Symphonia::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(corrupt(&e)),
        };
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) => decoded,
            Err(Symphonia::IoError(e)) if e.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(e) => return Err(corrupt(&e)),
        };
        signal.sample_rate_hz = decoded.spec().rate();
        let channels = decoded.num_planes().max(1);
        signal.channels = channels;
        decoded.copy_to_vec_interleaved(&mut interleaved);
        if channels == 1 {
            signal.samples.extend_from_slice(&interleaved);
        } else {
            let scale = 1.0 / channels as f32;
            signal.samples.extend(interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() * scale));
        }
    }
}
