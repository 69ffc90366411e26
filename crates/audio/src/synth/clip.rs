//! Source and filter: from a plan of sounds to samples.
//!
//! A train of glottal pulses (raised-cosine opening, quarter-cosine closing: Rosenberg 1971, shape C) with jitter,
//! shimmer and flutter, and breath noise, goes through a high shelf and a cascade of four formants (two-pole resonators
//! of Klatt 1980, Eq. 1); friction goes through one of its own.
use std::f64::consts::{PI, TAU};

use sottovoce_types::{Emotion, Level};

use super::manner::{Manner, Trait};
use super::phones::{Sound, sentence};
use super::random::Draw;
use super::{EMOTIONS, SAMPLE_RATE_HZ, SENTENCES, Voice};

/// Formants, pitch and amplitudes are renewed this often (5 ms).
const CONTROL_SAMPLES: usize = 80;
/// Share of the way to a new target that the tract goes in one control step: a time constant of about 15 ms.
const GLIDE: f64 = 0.28;
/// Brings an average neutral voice to an RMS of about 0.05 of full scale, so that an angry one seldom clips.
const OUTPUT_GAIN: f64 = 0.040;

/// One clip of 1.3 to 3 seconds at [`SAMPLE_RATE_HZ`], full scale ±1: `voice` speaks the sentence of code `sentence_code`
/// (see [`SENTENCES`]). The same arguments give the same samples.
pub fn synthesise_clip(voice: &Voice, sentence_code: &str, emotion: Emotion, level: Level) -> Vec<f32> {
    let place = |found: Option<usize>| found.map_or(u64::MAX, |i| i as u64);
    let numbers = [
        voice.seed,
        voice.actor.into(),
        place(SENTENCES.iter().position(|&s| s == sentence_code)),
        place(EMOTIONS.iter().position(|&(e, _)| e == emotion)),
        level as u64,
    ];
    let draw = &mut Draw::new("sottovoce/1/synth/clip", &numbers);
    let manner = voice.manner(emotion).in_clip(level, draw);
    let sounds = timed(&sentence(sentence_code), voice, &manner, draw);
    Speaker::new(voice, &manner, draw).speak(&sounds)
}

/// Durations in control steps.
fn timed(sounds: &[Sound], voice: &Voice, manner: &Manner, draw: &mut Draw) -> Vec<(Sound, usize)> {
    let rate = voice.rate * manner[Trait::Rate].exp();
    let step = CONTROL_SAMPLES as f64 / f64::from(SAMPLE_RATE_HZ);
    let steps = |s: &Sound, draw: &mut Draw| (s.seconds * (1.0 + draw.normal(0.08)) / rate / step).round().max(1.0);
    sounds.iter().map(|s| (*s, steps(s, draw) as usize)).collect()
}

fn from_db(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

/// A two-pole resonator with unit gain at 0 Hz (Klatt 1980, Eq. 1 and 2).
#[derive(Clone, Copy, Default)]
struct Resonator {
    a: f64,
    b: f64,
    c: f64,
    last: f64,
    before: f64,
}

impl Resonator {
    fn tune(&mut self, hz: f64, bandwidth_hz: f64) {
        let period = 1.0 / f64::from(SAMPLE_RATE_HZ);
        let radius = (-PI * bandwidth_hz * period).exp();
        self.c = -radius * radius;
        // Formants of a high voice that would pass half the sample rate stay below it.
        self.b = 2.0 * radius * (TAU * hz.min(7_600.0) * period).cos();
        self.a = 1.0 - self.b - self.c;
    }

    fn next(&mut self, x: f64) -> f64 {
        let y = self.a * x + self.b * self.last + self.c * self.before;
        self.before = self.last;
        self.last = y;
        y
    }
}

/// The state of one clip being spoken.
struct Speaker<'a> {
    voice: &'a Voice,
    manner: &'a Manner,
    draw: &'a mut Draw,
    formants: [Resonator; 4],
    friction: Resonator,
    /// What glides: three formants, amplitude of voice and of friction, accent.
    tract: [f64; 6],
    /// Place within the glottal period, 0 to 1.
    phase: f64,
    period_factor: f64,
    pulse_gain: f64,
    flutter_phase: f64,
    shelf_memory: f64,
    colour_memory: f64,
}

/// What holds for one control step.
struct Control {
    f0_hz: f64,
    voice_gain: f64,
    breath_gain: f64,
    friction_gain: f64,
}

impl<'a> Speaker<'a> {
    fn new(voice: &'a Voice, manner: &'a Manner, draw: &'a mut Draw) -> Self {
        let flutter_phase = draw.uniform(0.0, TAU);
        Self {
            voice,
            manner,
            draw,
            formants: [Resonator::default(); 4],
            friction: Resonator::default(),
            tract: [500.0, 1500.0, 2500.0, 0.0, 0.0, 0.0],
            phase: 0.0,
            period_factor: 1.0,
            pulse_gain: 1.0,
            flutter_phase,
            shelf_memory: 0.0,
            colour_memory: 0.0,
        }
    }

    fn speak(mut self, sounds: &[(Sound, usize)]) -> Vec<f32> {
        let total: usize = sounds.iter().map(|(_, steps)| steps).sum();
        let mut out = Vec::with_capacity(total * CONTROL_SAMPLES);
        let gain = OUTPUT_GAIN * from_db(self.voice.gain_db + self.manner[Trait::Loudness]);
        let room = from_db(self.voice.room_noise_db);
        let shelf = from_db(self.voice.tilt_db + self.manner[Trait::Tilt]);
        for (sound, steps) in sounds {
            for _ in 0..*steps {
                let progress = out.len() as f64 / (total * CONTROL_SAMPLES) as f64;
                let control = self.control(sound, progress);
                for _ in 0..CONTROL_SAMPLES {
                    let (breath, hiss) = self.draw.noise_pair();
                    let x = self.sample(&control, breath, shelf) * gain;
                    let coloured = x + self.voice.colour * self.colour_memory;
                    self.colour_memory = x;
                    out.push((coloured + room * hiss).tanh() as f32);
                }
            }
        }
        out
    }

    /// Moves the tract one step towards its targets.
    fn control(&mut self, sound: &Sound, progress: f64) -> Control {
        let (voice, manner) = (self.voice, self.manner);
        let scale = voice.formant_scale * manner[Trait::Formants].exp();
        let contrast = manner[Trait::Stress].exp();
        // An accented syllable is louder, an unaccented one softer, the more so the greater the contrast.
        let loud = from_db(contrast * if sound.accent { 2.0 } else { -1.5 });
        let targets = [
            sound.formants[0] * scale * voice.formant_habit[0] * manner[Trait::Opening].exp(),
            sound.formants[1] * scale * voice.formant_habit[1],
            sound.formants[2] * scale * voice.formant_habit[2],
            sound.voice * loud,
            sound.friction * loud,
            f64::from(u8::from(sound.accent)),
        ];
        for (value, target) in self.tract.iter_mut().zip(targets) {
            *value += GLIDE * (target - *value);
        }
        let [f1, f2, f3, voiced, friction, accent] = self.tract;
        let breath_db = voice.breath_db + manner[Trait::Breath];
        // Breathing voices damp the first formant (the open glottis lets it leak).
        let damping = 1.0 + 2.0 * from_db(breath_db + 12.0);
        for (resonator, (hz, bandwidth)) in self.formants.iter_mut().zip([
            (f1, 60.0 * damping),
            (f2, 90.0),
            (f3, 150.0),
            (voice.fourth_formant_hz * scale, 220.0),
        ]) {
            resonator.tune(hz, bandwidth);
        }
        self.friction.tune(sound.friction_hz * scale.sqrt(), 900.0);
        let step = CONTROL_SAMPLES as f64 / f64::from(SAMPLE_RATE_HZ);
        self.flutter_phase += TAU * 5.8 * step;
        let flutter = manner[Trait::Flutter].max(0.0) * self.flutter_phase.sin();
        let accents = voice.accent_semitones * manner[Trait::Range].exp() * (accent + 0.8 * (0.5 - progress));
        Control {
            f0_hz: voice.f0_hz * ((manner[Trait::Pitch] + accents + flutter) / 12.0).exp2(),
            voice_gain: voiced * (1.0 + 0.35 * flutter),
            breath_gain: voiced * from_db(breath_db),
            friction_gain: friction * from_db(-16.0),
        }
    }

    /// One sample before loudness: glottal flow's derivative and breath through shelf and formants, plus friction.
    fn sample(&mut self, control: &Control, noise: f64, shelf: f64) -> f64 {
        self.phase += control.f0_hz * self.period_factor / f64::from(SAMPLE_RATE_HZ);
        if self.phase >= 1.0 {
            self.phase -= 1.0;
            let rough = self.manner[Trait::Rough].exp();
            self.period_factor = 1.0 + self.draw.normal((self.voice.jitter * rough).min(0.08));
            self.pulse_gain = 1.0 + self.draw.normal((self.voice.shimmer * rough).min(0.25));
        }
        let (flow_slope, open) = glottis(self.phase, self.voice.open_quotient);
        // Breath is turbulence, so it follows the opening.
        let breath = control.breath_gain * noise * (0.4 + open) * 4.0;
        let source = control.voice_gain * self.pulse_gain * flow_slope + breath;
        // One-pole low-pass at 1 kHz; what is above it is raised or lowered.
        self.shelf_memory += 0.325 * (source - self.shelf_memory);
        let tilted = self.shelf_memory + shelf * (source - self.shelf_memory);
        let voiced = self.formants.iter_mut().fold(tilted, |x, r| r.next(x));
        // The shelf lifts friction half as much: it is made in the mouth, not by the voice.
        voiced + self.friction.next(control.friction_gain * noise) * shelf.sqrt() * 12.0
    }
}

/// Slope of the glottal flow and its opening (0 to 1) at a place in the period. The flow rises over 2/3 of the open part
/// as a raised cosine and falls over the rest as a quarter cosine; the jump at closure is what excites the tract.
fn glottis(phase: f64, open_quotient: f64) -> (f64, f64) {
    let (rise, fall) = (open_quotient * 2.0 / 3.0, open_quotient / 3.0);
    if phase < rise {
        let t = PI * phase / rise;
        (0.5 * t.sin() * fall / rise, 0.5 * (1.0 - t.cos()))
    } else if phase < open_quotient {
        let t = 0.5 * PI * (phase - rise) / fall;
        (-t.sin() * 0.5, t.cos())
    } else {
        (0.0, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_the_same_for_the_same_arguments_and_another_for_any_other() {
        let voice = Voice::new(1, 0);
        let clip = synthesise_clip(&voice, "DFA", Emotion::Angry, Level::Unspecified);
        assert_eq!(clip, synthesise_clip(&voice, "DFA", Emotion::Angry, Level::Unspecified));
        for other in [
            synthesise_clip(&Voice::new(2, 0), "DFA", Emotion::Angry, Level::Unspecified),
            synthesise_clip(&Voice::new(1, 2), "DFA", Emotion::Angry, Level::Unspecified),
            synthesise_clip(&voice, "WSI", Emotion::Angry, Level::Unspecified),
            synthesise_clip(&voice, "DFA", Emotion::Sad, Level::Unspecified),
            synthesise_clip(&voice, "DFA", Emotion::Angry, Level::High),
        ] {
            assert_ne!(clip, other);
        }
    }

    #[test]
    fn clips_are_of_speech_length_audible_and_not_clipped() {
        for actor in 0..6 {
            let voice = Voice::new(3, actor);
            for (emotion, _) in EMOTIONS {
                let clip = synthesise_clip(&voice, "ITH", emotion, Level::Unspecified);
                let seconds = clip.len() as f64 / f64::from(SAMPLE_RATE_HZ);
                assert!((1.0..3.5).contains(&seconds), "{emotion} lasts {seconds} s");
                let rms = (clip.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / clip.len() as f64).sqrt();
                assert!((0.003..0.3).contains(&rms), "{emotion} of actor {actor} has RMS {rms}");
                let saturated = clip.iter().filter(|x| x.abs() > 0.9).count();
                assert!(saturated * 100 < clip.len(), "{emotion} of actor {actor}: {saturated} samples saturate");
            }
        }
    }
}
