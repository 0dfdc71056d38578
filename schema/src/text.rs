//! How people write a length of time and a yes or no: one parser of each for labels, the configuration, the command line
//! and the API.

use std::{fmt::Write as _, str::FromStr, time::Duration};

use jiff::SpanRelativeTo;

use crate::unit::Span;

/// A text that is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not {right}", right = Span::RIGHT)]
pub struct InvalidSpan(String);

/// A text that is neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not {RIGHT_SWITCH}")]
pub struct InvalidSwitch(String);

/// What [`parse_switch`] accepts, for errors.
pub const RIGHT_SWITCH: &str = "true or false (also yes or no, on or off, 1 or 0)";

/// Longest part of a wrong text that an error repeats, in characters.
const REPEATED: usize = 120;

/// Units of [`Span::written`] with their length in milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// What is accepted as a length of time, with its article, for errors.
    pub const RIGHT: &str =
        "a time such as \"500ms\", \"45s\", \"2 min\", \"1h30m\", \"1d\", or a whole number of seconds";

    /// As [`FromStr`] reads it back without loss: `1h30m`, `500ms`, `0s`. Days only where they are whole.
    pub fn written(self) -> String {
        let mut left = self.as_millis();
        let mut written = String::new();
        for (unit, ms) in UNITS {
            if left >= ms && (unit != "d" || left.is_multiple_of(ms)) {
                // Writing to a String cannot fail.
                let _ = write!(written, "{}{unit}", left / ms);
                left %= ms;
            }
        }
        if written.is_empty() { "0s".to_owned() } else { written }
    }
}

/// Everything that `jiff` knows as a duration in units of fixed length (`1h30m`, `2 min`, `1.5h`, `PT5M`; a day has 24
/// hours), and a whole number as seconds, as Python HemoStat and autoheal write it.
impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let trimmed = text.trim();
        if let Ok(seconds) = trimmed.parse::<u64>() {
            return Ok(Self::from_secs(seconds));
        }
        // `1,500ms`: a thousand for some, a fraction for others.
        let is_ambiguous = || {
            let follows = |pair: &[u8]| pair[0] == b',' && pair[1].is_ascii_digit();
            trimmed.as_bytes().windows(2).any(follows)
        };
        let parse = || {
            // In any case: `30S`, `5M`.
            let span: jiff::Span = trimmed.to_ascii_lowercase().parse().ok()?;
            let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
            let time = Duration::try_from(signed).ok()?;
            // `10us` would become zero.
            let is_whole = time.subsec_nanos().is_multiple_of(1_000_000);
            (is_whole && !is_ambiguous()).then(|| time.into())
        };
        parse().ok_or_else(|| InvalidSpan(text.chars().take(REPEATED).collect()))
    }
}

/// Reads a yes or no: `true`, `yes`, `on`, `1` or `false`, `no`, `off`, `0`, in any case.
///
/// # Errors
/// When `text` is anything else.
pub fn parse_switch(text: &str) -> Result<bool, InvalidSwitch> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(InvalidSwitch(text.chars().take(REPEATED).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_read_as_people_write_it() {
        for (text, ms) in [
            ("500ms", Some(500)),
            ("250ms", Some(250)),
            ("10s", Some(10_000)),
            ("30s", Some(30_000)),
            ("45s", Some(45_000)),
            ("45", Some(45_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            (" 5m ", Some(300_000)),
            (" 2 min ", Some(120_000)),
            ("2 minutes", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1h30m", Some(5_400_000)),
            ("1h 30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("1.5s", Some(1_500)),
            ("30S", Some(30_000)),
            ("5M", Some(300_000)),
            ("1H30Min", Some(5_400_000)),
            ("pt5m", Some(300_000)),
            ("10us", None),
            ("1.5ms", None),
            ("1,500ms", None),
            ("1,500s", None),
            ("PT5M", Some(300_000)),
            ("2d", Some(172_800_000)),
            ("1d12h", Some(129_600_000)),
            ("2w", Some(1_209_600_000)),
            ("", None),
            ("s", None),
            ("soon", None),
            ("1.5", None),
            ("-1", None),
            ("-1s", None),
            ("-5s", None),
            ("-1h", None),
            ("5s ago", None),
            ("5x", None),
            ("1mo", None),
            ("10 parsecs", None),
            ("1e9999h", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(text.parse().map(Span::as_millis).ok(), ms, "{text:?}");
        }
    }

    #[test]
    fn a_length_of_time_is_read_back_as_it_is_written() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (999, "999ms"),
            (1_000, "1s"),
            (61_500, "1m1s500ms"),
            (5_400_000, "1h30m"),
            (86_400_000, "1d"),
            (90_000_001, "25h1ms"),
        ] {
            assert_eq!(Span::from_millis(ms).written(), text);
            assert_eq!(text.parse(), Ok(Span::from_millis(ms)));
        }
    }

    #[test]
    fn a_yes_or_no_is_read_in_each_of_its_forms() {
        for (text, value) in [
            ("true", Some(true)),
            ("True", Some(true)),
            ("YES", Some(true)),
            (" on ", Some(true)),
            ("1", Some(true)),
            ("false", Some(false)),
            ("FALSE", Some(false)),
            ("no", Some(false)),
            ("Off", Some(false)),
            ("0", Some(false)),
            ("", None),
            ("2", None),
            ("maybe", None),
        ] {
            assert_eq!(parse_switch(text).ok(), value, "{text:?}");
        }
    }

    #[test]
    fn an_error_says_what_would_be_right() {
        let says = |error: &dyn std::error::Error| error.to_string();
        let span = says(&"soon".parse::<Span>().unwrap_err());
        assert!(span.starts_with("\"soon\" is not a time such as ") && span.contains("\"1h30m\""), "{span}");
        let switch = says(&parse_switch("maybe").unwrap_err());
        assert!(switch.starts_with("\"maybe\" is not true or false"), "{switch}");
    }
}
