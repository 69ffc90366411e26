//! One actor: a voice, a room, and a way of each emotion.
use sottovoce_types::{Emotion, Sex};

use super::EMOTIONS;
use super::manner::Manner;
use super::random::Draw;

/// A synthetic actor's voice, drawn from a seed.
#[derive(Clone, Debug)]
pub struct Voice {
    pub(super) seed: u64,
    pub(super) actor: u32,
    sex: Sex,
    age_years: u32,
    /// Mean pitch of a neutral reading.
    pub(super) f0_hz: f64,
    /// Height of an accent in a neutral reading.
    pub(super) accent_semitones: f64,
    /// Factor on the formants of an average man (a shorter tract gives higher ones).
    pub(super) formant_scale: f64,
    /// Factor on each of the first three formants.
    pub(super) formant_habit: [f64; 3],
    pub(super) fourth_formant_hz: f64,
    /// Factor on speaking rate.
    pub(super) rate: f64,
    /// Treble over bass above 1 kHz.
    pub(super) tilt_db: f64,
    pub(super) breath_db: f64,
    /// Deviation of one period from the next, as a share of it.
    pub(super) jitter: f64,
    /// Deviation of one period's amplitude from the next, as a share of it.
    pub(super) shimmer: f64,
    /// Share of a period in which the glottis is open.
    pub(super) open_quotient: f64,
    /// Distance and gain of the microphone.
    pub(super) gain_db: f64,
    pub(super) room_noise_db: f64,
    /// One-zero filter of microphone and room.
    pub(super) colour: f64,
    manners: [Manner; 6],
}

impl Voice {
    /// Actor number `actor` (from 0) of the corpus with `seed`; even ones are male.
    pub fn new(seed: u64, actor: u32) -> Self {
        let draw = &mut Draw::new("sottovoce/1/synth/voice", &[seed, actor.into()]);
        let sex = if actor.is_multiple_of(2) { Sex::Male } else { Sex::Female };
        let (f0_hz, formant_scale) = match sex {
            Sex::Male => (118.0, 1.0),
            Sex::Female => (205.0, 1.12),
        };
        Self {
            seed,
            actor,
            sex,
            age_years: draw.uniform(20.0, 75.0) as u32,
            f0_hz: f0_hz * (draw.normal(1.7) / 12.0).exp2(),
            accent_semitones: draw.uniform(2.0, 4.0),
            formant_scale: formant_scale * (1.0 + draw.normal(0.014)),
            formant_habit: std::array::from_fn(|_| 1.0 + draw.normal(0.035)),
            fourth_formant_hz: 3_500.0 * (1.0 + draw.normal(0.08)),
            rate: 1.0 + draw.normal(0.05),
            tilt_db: draw.normal(0.5),
            breath_db: -30.0 + draw.normal(1.0),
            jitter: draw.uniform(0.004, 0.012),
            shimmer: draw.uniform(0.02, 0.06),
            open_quotient: draw.uniform(0.55, 0.65),
            gain_db: draw.normal(0.6),
            room_noise_db: -58.0 + draw.normal(3.0),
            colour: draw.normal(0.15),
            manners: EMOTIONS.map(|(emotion, _)| Manner::of_actor(emotion, draw)),
        }
    }

    /// Sex of the voice.
    pub fn sex(&self) -> Sex {
        self.sex
    }

    /// Age written to the demographics; nothing else depends on it.
    pub fn age_years(&self) -> u32 {
        self.age_years
    }

    /// This actor's way of an emotion; emotions that the corpus lacks are read as neutral.
    pub(super) fn manner(&self, emotion: Emotion) -> &Manner {
        let place = |wanted| EMOTIONS.iter().position(|&(e, _)| e == wanted);
        &self.manners[place(emotion).or_else(|| place(Emotion::Neutral)).unwrap_or(0)]
    }
}
