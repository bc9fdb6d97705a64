//! Colours.

use std::fmt::{self, Display};

use crate::args::ColorChoice;

/// Whether a stream is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(bool);

/// The look of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// For headings.
    Bold,
    /// For what matters less.
    Dim,
    /// For success.
    Green,
    /// For failures.
    Red,
    /// For warnings.
    Yellow,
    /// For what runs.
    Blue,
    /// For hints and names.
    Cyan,
}

impl Style {
    /// The style of a task's status.
    pub(crate) fn of_status(status: &str) -> Option<Self> {
        match status {
            "finished" => Some(Self::Green),
            "failed" | "quarantined" => Some(Self::Red),
            "running" => Some(Self::Blue),
            "cancelled" => Some(Self::Yellow),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Bold => 1,
            Self::Dim => 2,
            Self::Red => 31,
            Self::Green => 32,
            Self::Yellow => 33,
            Self::Blue => 34,
            Self::Cyan => 36,
        }
    }
}

impl Paint {
    /// No colours.
    pub(crate) const NONE: Self = Self(false);

    /// Decides for a stream. The option wins over `NO_COLOR`, that over `CLICOLOR_FORCE`, that over what the stream is.
    pub(crate) fn choose(
        choice: ColorChoice,
        is_terminal: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        Self(match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if is_set("NO_COLOR") => false,
            ColorChoice::Auto
                if variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") =>
            {
                true
            }
            ColorChoice::Auto => is_terminal && variable("TERM").is_some_and(|kind| kind != "dumb"),
        })
    }

    /// Returns a text in a style, if the stream is coloured.
    pub(crate) fn apply(self, style: Style, text: impl Display) -> Painted<impl Display> {
        Painted { code: self.0.then(|| style.code()), text }
    }
}

/// A text with the sequences for its style around it.
#[derive(Debug)]
pub(crate) struct Painted<T> {
    code: Option<u8>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(formatter, "\u{1b}[{code}m{}\u{1b}[0m", self.text),
            None => self.text.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_explicit_wins() {
        use ColorChoice::{Always, Auto, Never};
        for (choice, is_terminal, variables, expected) in [
            (Auto, true, &[("TERM", "xterm")][..], true),
            (Auto, false, &[("TERM", "xterm")], false),
            (Auto, true, &[("TERM", "dumb")], false),
            (Auto, true, &[("TERM", "xterm"), ("NO_COLOR", "1")], false),
            (Auto, true, &[("TERM", "xterm"), ("NO_COLOR", "")], true),
            (Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (Auto, false, &[("CLICOLOR_FORCE", "0")], false),
            (Auto, false, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
            (Always, false, &[("NO_COLOR", "1"), ("TERM", "dumb")], true),
            (Never, true, &[("CLICOLOR_FORCE", "1"), ("TERM", "xterm")], false),
        ] {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            let paint = Paint::choose(choice, is_terminal, variable);
            assert_eq!(paint, Paint(expected), "{choice:?} {is_terminal} {variables:?}");
        }
    }

    #[test]
    fn a_style_surrounds_the_text_only_if_the_stream_is_coloured() {
        assert_eq!(Paint(true).apply(Style::Red, "x").to_string(), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(Paint::NONE.apply(Style::Red, "x").to_string(), "x");
    }
}
