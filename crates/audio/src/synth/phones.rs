//! The twelve sentences of CREMA-D as sequences of sounds.

/// A stretch of speech with one target for each parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sound {
    /// Seconds at rate 1.
    pub(super) seconds: f64,
    /// First three formants of an average man, Hz.
    pub(super) formants: [f64; 3],
    /// Amplitude of the voice, 0 to 1.
    pub(super) voice: f64,
    /// Amplitude of friction or burst, 0 to 1.
    pub(super) friction: f64,
    /// Where friction is strongest, Hz.
    pub(super) friction_hz: f64,
    /// Whether the syllable carries an accent.
    pub(super) accent: bool,
}

const SILENT: Sound = Sound {
    seconds: 0.06,
    formants: [500.0, 1500.0, 2500.0],
    voice: 0.0,
    friction: 0.0,
    friction_hz: 2500.0,
    accent: false,
};

/// The sounds of a sentence by its code, silence at both ends; a code that is not one of the twelve is read as `DFA`.
pub(super) fn sentence(code: &str) -> Vec<Sound> {
    let mut sounds = vec![Sound { seconds: 0.15, ..SILENT }];
    transcript(code).split_whitespace().for_each(|phone| push(phone, &mut sounds));
    sounds.push(Sound { seconds: 0.20, ..SILENT });
    sounds
}

/// ARPAbet, accents marked by `'`.
fn transcript(code: &str) -> &'static str {
    match code {
        "IEO" => "ih t s ih l 'eh v ah n ah k l 'aa k",
        "IOM" => "ay m aa n m ay w 'ey t uw dh ah m 'iy t ih ng",
        "ITH" => "ay th ih ng k ay hh ae v ah d 'aa k t er z ah p 'oy n t m ah n t",
        "ITS" => "ay th ih ng k ay v 's 'iy n dh ih s b ih f 'ao r",
        "IWL" => "ay w uh d l ay k ah n 'uw ah l 'aa r m k l aa k",
        "IWW" => "ay w 'ah n d er w ah t dh ih s ih z ah b 'aw t",
        "MTI" => "m 'ey b iy t ah m 'aa r ow ih t w ih l b iy k 'ow l d",
        "TAI" => "dh iy 'eh r p l ey n ih z 'ao l m ow s t f 'uh l",
        "TIE" => "dh ae t ih z ih g z 'ae k l iy w ah t hh 'ae p ah n d",
        "TSI" => "dh ah s 'er f ah s ih z s l 'ih k",
        "WSI" => "w iy l s t 'aa p ih n ah k 'ah p ah l ah v m 'ih n ah t s",
        _ => "d 'ow n t f er g 'eh t ah jh 'ae k ih t",
    }
}

fn push(phone: &str, out: &mut Vec<Sound>) {
    let (accent, phone) = match phone.strip_prefix('\'') {
        Some(rest) => (true, rest),
        None => (false, phone),
    };
    if let Some((first, second)) = diphthong(phone) {
        for formants in [vowel(first), vowel(second)] {
            out.push(vowel_sound(formants, if accent { 0.085 } else { 0.065 }, accent));
        }
        return;
    }
    if let Some((closure_voice, burst, burst_hz)) = stop(phone) {
        let formants = out.last().map_or(SILENT.formants, |s| s.formants);
        out.push(Sound { seconds: 0.045, formants, voice: closure_voice, ..SILENT });
        out.push(Sound {
            seconds: 0.018,
            formants,
            voice: closure_voice,
            friction: burst,
            friction_hz: burst_hz,
            accent,
        });
        return;
    }
    out.push(match consonant(phone) {
        Some(sound) => Sound { accent, ..sound },
        None => vowel_sound(vowel(phone), if accent { 0.115 } else { 0.070 }, accent),
    });
}

fn vowel_sound(formants: [f64; 3], seconds: f64, accent: bool) -> Sound {
    Sound { seconds, formants, voice: 1.0, accent, ..SILENT }
}

/// Mean formants of men (Peterson & Barney 1952, Table II).
fn vowel(phone: &str) -> [f64; 3] {
    match phone {
        "iy" => [270.0, 2290.0, 3010.0],
        "ih" => [390.0, 1990.0, 2550.0],
        "eh" => [530.0, 1840.0, 2480.0],
        "ae" => [660.0, 1720.0, 2410.0],
        "aa" => [730.0, 1090.0, 2440.0],
        "ao" => [570.0, 840.0, 2410.0],
        "uh" => [440.0, 1020.0, 2240.0],
        "uw" => [300.0, 870.0, 2240.0],
        "er" => [490.0, 1350.0, 1690.0],
        _ => [640.0, 1190.0, 2390.0], // ah
    }
}

fn diphthong(phone: &str) -> Option<(&'static str, &'static str)> {
    Some(match phone {
        "ay" => ("aa", "ih"),
        "aw" => ("aa", "uh"),
        "ey" => ("eh", "iy"),
        "ow" => ("ao", "uw"),
        "oy" => ("ao", "ih"),
        _ => return None,
    })
}

/// Voice during closure, burst, and where the burst is strongest.
fn stop(phone: &str) -> Option<(f64, f64, f64)> {
    Some(match phone {
        "p" => (0.0, 0.25, 1200.0),
        "t" => (0.0, 0.45, 4200.0),
        "k" => (0.0, 0.40, 2200.0),
        "b" => (0.15, 0.15, 1000.0),
        "d" => (0.15, 0.25, 3800.0),
        "g" => (0.15, 0.22, 2000.0),
        "jh" => (0.10, 0.55, 3000.0),
        _ => return None,
    })
}

fn consonant(phone: &str) -> Option<Sound> {
    let voiced = |seconds, formants, voice| Sound { seconds, formants, voice, ..SILENT };
    let rough = |seconds, formants, voice, friction, friction_hz| Sound {
        seconds,
        formants,
        voice,
        friction,
        friction_hz,
        accent: false,
    };
    Some(match phone {
        "m" => voiced(0.065, [250.0, 1000.0, 2200.0], 0.35),
        "n" => voiced(0.060, [250.0, 1700.0, 2600.0], 0.35),
        "ng" => voiced(0.065, [250.0, 2300.0, 2750.0], 0.35),
        "l" => voiced(0.055, [360.0, 1300.0, 2900.0], 0.60),
        "r" => voiced(0.055, [330.0, 1060.0, 1500.0], 0.60),
        "w" => voiced(0.055, [290.0, 610.0, 2150.0], 0.55),
        "dh" => rough(0.045, [300.0, 1400.0, 2500.0], 0.40, 0.06, 4500.0),
        "v" => rough(0.050, [300.0, 1200.0, 2400.0], 0.40, 0.06, 3500.0),
        "z" => rough(0.070, [300.0, 1700.0, 2500.0], 0.30, 0.35, 5000.0),
        "s" => rough(0.095, [300.0, 1700.0, 2500.0], 0.0, 0.60, 5300.0),
        "f" => rough(0.085, [300.0, 1200.0, 2400.0], 0.0, 0.14, 4500.0),
        "th" => rough(0.080, [300.0, 1400.0, 2500.0], 0.0, 0.12, 4800.0),
        "hh" => rough(0.055, [600.0, 1500.0, 2500.0], 0.0, 0.12, 1700.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::SENTENCES;

    #[test]
    fn the_twelve_sentences_differ_and_last_one_to_three_seconds() {
        let mut seen: Vec<Vec<Sound>> = Vec::new();
        for code in SENTENCES {
            let sounds = sentence(code);
            let seconds: f64 = sounds.iter().map(|s| s.seconds).sum();
            assert!((1.0..3.0).contains(&seconds), "{code} lasts {seconds} s");
            assert!(sounds.iter().filter(|s| s.accent).count() >= 2, "{code} has accents");
            assert!(!seen.contains(&sounds), "{code} is a sentence of its own");
            seen.push(sounds);
        }
    }
}
