//! Files good and bad, through the decoder.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::cast_possible_truncation, reason = "samples")]

use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use sottovoce_audio::{DecodeError, FrontEnd, Signal, decode};
use sottovoce_types::FeatureSpec;
use tempfile::TempDir;

fn spec(channels: u16, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
    WavSpec { channels, sample_rate: 16_000, bits_per_sample, sample_format }
}

fn wav(
    folder: &TempDir,
    spec: WavSpec,
    write: impl FnOnce(&mut WavWriter<std::io::BufWriter<std::fs::File>>),
) -> PathBuf {
    let path = folder.path().join("clip.wav");
    let mut writer = WavWriter::create(&path, spec).unwrap();
    write(&mut writer);
    writer.finalize().unwrap();
    path
}

fn write_all<S: hound::Sample + Copy>(w: &mut WavWriter<std::io::BufWriter<std::fs::File>>, samples: &[S]) {
    for &x in samples {
        w.write_sample(x).unwrap();
    }
}

fn close(signal: &Signal, wanted: &[f32], tolerance: f32) {
    assert_eq!((signal.sample_rate_hz, signal.samples.len()), (16_000, wanted.len()));
    for (got, want) in signal.samples.iter().zip(wanted) {
        assert!((got - want).abs() <= tolerance, "{got} and {want}");
    }
}

#[test]
fn a_truncated_wav_is_an_error_that_names_the_file_and_both_counts() {
    let folder = TempDir::new().unwrap();
    let path = wav(&folder, spec(1, 16, SampleFormat::Int), |w| (0i16..5000).for_each(|x| w.write_sample(x).unwrap()));
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(decode(&path).unwrap().samples.len(), 5000);
    for cut in [1, 2, 777, 2304, 4608, 9998, 10_000] {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let error = decode(&path).unwrap_err();
        assert!(matches!(error, DecodeError::Truncated { promised: 5000, .. }), "{cut} bytes short: {error}");
        assert!(error.to_string().contains("clip.wav"), "{error}");
    }
}

#[test]
fn a_wav_of_no_samples_and_an_empty_file_are_errors() {
    let folder = TempDir::new().unwrap();
    let path = wav(&folder, spec(1, 16, SampleFormat::Int), |_| ());
    assert!(matches!(decode(&path), Err(DecodeError::Empty { .. })));
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(decode(&path), Err(DecodeError::Empty { .. })));
}

#[test]
fn what_is_not_audio_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("notes.wav");
    for bytes in [b"Dear diary, ".repeat(500), b"RIFF".to_vec(), vec![0; 70_000]] {
        std::fs::write(&path, bytes).unwrap();
        let error = decode(&path).unwrap_err();
        assert!(matches!(error, DecodeError::NotAudio { .. }), "{error:?}");
    }
    assert!(matches!(decode(Path::new("/no/such.wav")), Err(DecodeError::Io { .. })));
}

#[test]
fn nan_in_a_float_wav_is_an_error_that_says_where() {
    let folder = TempDir::new().unwrap();
    let path = wav(&folder, spec(1, 32, SampleFormat::Float), |w| {
        write_all(w, &[0.5f32, f32::NAN, 0.25]);
    });
    assert!(matches!(decode(&path), Err(DecodeError::NonFinite { sample: 1, .. })));
}

#[test]
fn widths_of_16_24_32_bits_and_float_give_the_same_signal() {
    let folder = TempDir::new().unwrap();
    let wanted = [0.0f32, 0.5, -0.5, 0.25, -1.0];
    for bits in [16u16, 24, 32] {
        let scale = f64::from(bits - 1).exp2();
        let path = wav(&folder, spec(1, bits, SampleFormat::Int), |w| {
            for x in wanted {
                #[allow(clippy::cast_possible_truncation, reason = "exact: powers of two within the width")]
                w.write_sample((f64::from(x) * scale) as i32).unwrap();
            }
        });
        close(&decode(&path).unwrap(), &wanted, 1e-7);
    }
    let path = wav(&folder, spec(1, 32, SampleFormat::Float), |w| {
        write_all(w, &wanted);
    });
    close(&decode(&path).unwrap(), &wanted, 0.0);
}

#[test]
fn stereo_is_averaged_to_mono() {
    let folder = TempDir::new().unwrap();
    let path = wav(&folder, spec(2, 16, SampleFormat::Int), |w| {
        write_all(w, &[16_384i16, -16_384, 16_384, 0]);
    });
    let signal = decode(&path).unwrap();
    assert_eq!(signal.channels, 2, "what it was is known");
    close(&signal, &[0.0, 0.25], 1e-7);
}

/// `ramp.flac`: sample n is (n mod 400 − 200), n = 0..5999, 16 kHz mono 16 bit; encoded by libsndfile (libFLAC).
#[test]
fn flac_is_read_and_a_damaged_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("clip.flac");
    let whole = include_bytes!("vectors/ramp.flac");
    std::fs::write(&path, whole).unwrap();
    let wanted: Vec<f32> = (0i16..6000).map(|n| f32::from(n % 400 - 200) / 32_768.0).collect();
    close(&decode(&path).unwrap(), &wanted, 1e-7);
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = decode(&path).unwrap_err();
    assert!(matches!(error, DecodeError::Truncated { promised: 6000, .. } | DecodeError::Corrupt { .. }), "{error}");
    let mut other_md5 = whole.to_vec();
    other_md5[30] ^= 1; // within STREAMINFO's MD5 (bytes 26 to 42 of the file)
    std::fs::write(&path, &other_md5).unwrap();
    let error = decode(&path).unwrap_err();
    assert!(matches!(error, DecodeError::Corrupt { .. }), "{error}");
}

#[test]
fn a_header_on_which_the_parser_panics_is_this_files_error_and_nobody_elses() {
    let folder = TempDir::new().unwrap();
    let path = wav(&folder, spec(1, 16, SampleFormat::Int), |w| write_all(w, &[1i16, 2, 3, 4]));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[22..24].copy_from_slice(&u16::MAX.to_le_bytes()); // channels
    std::fs::write(&path, bytes).unwrap();
    let error = decode(&path).unwrap_err();
    assert!(error.to_string().contains("clip.wav"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_rather_than_waited_for() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("1001_DFA_ANG_XX.wav");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(decode(&pipe), Err(DecodeError::NotAudio { .. })));
    std::fs::write(folder.path().join("1001_DFA_SAD_XX.wav"), b"").unwrap();
    let kind = sottovoce_audio::CorpusKind::CremaD;
    let scan = sottovoce_audio::scan(kind, folder.path(), sottovoce_audio::Labelling::default()).unwrap();
    assert_eq!((scan.clips.len(), scan.skipped_by_reason()["not a file"]), (1, 1));
}

/// A tone of 440 Hz and level 0.4 for a second, as the formula has it.
fn tone(rate: u32) -> Vec<f32> {
    (0..rate).map(|n| (0.4 * (std::f64::consts::TAU * 440.0 * f64::from(n) / f64::from(rate)).sin()) as f32).collect()
}

#[test]
fn recordings_of_any_rate_width_and_number_of_channels_become_the_same_tone() {
    let folder = TempDir::new().unwrap();
    let front_end = FrontEnd::new(&FeatureSpec::default()).unwrap();
    for (sample_rate, channels, bits_per_sample, sample_format) in [
        (8_000, 1, 16, SampleFormat::Int),
        (16_000, 1, 16, SampleFormat::Int),
        (22_050, 1, 24, SampleFormat::Int),
        (44_100, 2, 16, SampleFormat::Int),
        (48_000, 2, 24, SampleFormat::Int),
        (48_000, 1, 32, SampleFormat::Float),
    ] {
        let path = wav(&folder, WavSpec { channels, sample_rate, bits_per_sample, sample_format }, |w| {
            for x in tone(sample_rate) {
                for _ in 0..channels {
                    match sample_format {
                        SampleFormat::Float => w.write_sample(x).unwrap(),
                        SampleFormat::Int => {
                            let full_scale = f64::from(1u32 << (bits_per_sample - 1));
                            w.write_sample((f64::from(x) * full_scale).round() as i32).unwrap();
                        }
                    }
                }
            }
        });
        let signal = decode(&path).unwrap();
        assert_eq!((signal.sample_rate_hz, signal.channels), (sample_rate, usize::from(channels)));
        let heard = front_end.condition(&signal, &path).unwrap();
        let wanted = tone(16_000);
        assert_eq!(heard.len(), wanted.len(), "{sample_rate} Hz: the same second");
        // The ends ring; 16 bits leave about 90 dB, and a channel or a rate taken wrongly leaves less than 10.
        let inner = 2_000..14_000;
        let power = |x: f64| 10.0 * x.log10();
        let signal_power: f64 = wanted[inner.clone()].iter().map(|x| f64::from(x * x)).sum();
        let error: f64 = heard[inner.clone()].iter().zip(&wanted[inner]).map(|(h, w)| f64::from(h - w).powi(2)).sum();
        let ratio = power(signal_power / error.max(1e-30));
        assert!(ratio > 75.0, "{sample_rate} Hz, {bits_per_sample} bits, {channels} channels: {ratio:.0} dB");
        assert_eq!(front_end.features(&signal, &path).unwrap().len(), 50 * 13);
    }
}
