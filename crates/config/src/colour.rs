//! When errors are coloured.
use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;

/// When output is coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Colour {
    /// On a terminal, where `NO_COLOR` is not set (<https://no-color.org>).
    #[default]
    Auto,
    /// Even into a file or a pipe.
    Always,
    /// Nowhere.
    Never,
}

impl Colour {
    /// Whether stderr gets colour.
    pub fn on_stderr(self) -> bool {
        self.on(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()))
    }

    fn on(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Auto => terminal && !no_color,
            Self::Always => true,
            Self::Never => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is none of those.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write auto, always or never")]
pub struct NotAColour;

impl FromStr for Colour {
    type Err = NotAColour;
    fn from_str(word: &str) -> Result<Self, NotAColour> {
        [Self::Auto, Self::Always, Self::Never].into_iter().find(|c| c.name() == word).ok_or(NotAColour)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_on_a_terminal_alone_and_no_color_turns_it_off() {
        let on = |c: Colour| [(true, false), (true, true), (false, false), (false, true)].map(|(t, n)| c.on(t, n));
        assert_eq!(on(Colour::Auto), [true, false, false, false]);
        assert_eq!(on(Colour::Always), [true; 4]);
        assert_eq!(on(Colour::Never), [false; 4]);
        for colour in [Colour::Auto, Colour::Always, Colour::Never] {
            assert_eq!(colour.to_string().parse(), Ok(colour));
        }
        assert_eq!("yes".parse::<Colour>(), Err(NotAColour));
    }
}
