//! Colours of data, the same in both themes: a shade that stands for a number must not change with the reader's taste.

/// How many colours a map has. More cannot be told apart, and fewer of them make longer runs of one colour.
pub(crate) const LEVELS: u8 = 64;

/// What has no number. Loud on purpose, and in neither map.
pub(crate) const VOID: &str = "#e6007e";

/// A map from numbers to colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Palette {
    /// From little to much.
    Sequential,
    /// From below to above a middle.
    Diverging,
}

/// viridis by Smith and van der Walt (CC0), every tenth of its range: perceptually uniform, and readable without colour
/// vision and in print.
const VIRIDIS: [[u8; 3]; 11] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x24, 0x75],
    [0x41, 0x44, 0x87],
    [0x35, 0x5f, 0x8d],
    [0x2a, 0x78, 0x8e],
    [0x21, 0x91, 0x8c],
    [0x22, 0xa8, 0x84],
    [0x44, 0xbf, 0x70],
    [0x7a, 0xd1, 0x51],
    [0xbd, 0xdf, 0x26],
    [0xfd, 0xe7, 0x25],
];

/// The figures' own blue and orange, with lightness that rises to the middle in equal steps from both ends.
const BLUE_ORANGE: [[u8; 3]; 9] = [
    [0x08, 0x2f, 0x4d],
    [0x1f, 0x5f, 0x8b],
    [0x5a, 0x93, 0xbd],
    [0xa5, 0xc6, 0xde],
    [0xef, 0xee, 0xea],
    [0xf0, 0xc0, 0x9e],
    [0xdc, 0x8a, 0x5a],
    [0xb8, 0x50, 0x1f],
    [0x6a, 0x25, 0x07],
];

impl Palette {
    /// The level of `value` on a scale from `low` to `high`, values beyond at its ends; `None` when it has none.
    pub(crate) fn level(value: f64, low: f64, high: f64) -> Option<u8> {
        if value.is_nan() {
            return None;
        }
        let at = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
        Some(((at * f64::from(LEVELS)) as u8).min(LEVELS - 1))
    }

    /// The colour of a level as `#rrggbb`.
    pub(crate) fn colour(self, level: u8) -> String {
        let stops: &[[u8; 3]] = match self {
            Self::Sequential => &VIRIDIS,
            Self::Diverging => &BLUE_ORANGE,
        };
        let at = f64::from(level.min(LEVELS - 1)) / f64::from(LEVELS - 1) * (stops.len() - 1) as f64;
        let below = (at as usize).min(stops.len() - 2);
        let between = at - below as f64;
        let mix = |i: usize| {
            let (a, b) = (f64::from(stops[below][i]), f64::from(stops[below + 1][i]));
            (a + (b - a) * between).round() as u8
        };
        format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_has_no_level_and_what_lies_beyond_has_the_last() {
        assert_eq!(Palette::level(f64::NAN, 0.0, 1.0), None);
        assert_eq!(Palette::level(f64::NEG_INFINITY, 0.0, 1.0), Some(0));
        assert_eq!(Palette::level(7.0, 0.0, 1.0), Some(LEVELS - 1));
        assert_eq!(Palette::level(3.0, 3.0, 3.0), Some(LEVELS / 2), "a scale without width");
    }

    #[test]
    fn the_ends_of_a_map_are_its_first_and_last_stop_and_lightness_rises() {
        assert_eq!(Palette::Sequential.colour(0), "#440154");
        assert_eq!(Palette::Sequential.colour(LEVELS - 1), "#fde725");
        assert_eq!(Palette::Diverging.colour(LEVELS - 1), "#6a2507");
        let light = |level| {
            let colour = Palette::Sequential.colour(level);
            let channel = |i| f64::from(u8::from_str_radix(&colour[i..i + 2], 16).unwrap());
            0.299 * channel(1) + 0.587 * channel(3) + 0.114 * channel(5)
        };
        assert!((1..LEVELS).all(|level| light(level) > light(level - 1)));
    }
}
