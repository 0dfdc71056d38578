//! The value of `log_level`: a level, or directives for single modules.

use std::{fmt, ops::Deref, str::FromStr};

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// A level or directives, as `tracing` reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// Python's levels (`WARNING`, `CRITICAL`) are taken as well.
impl FromStr for LogFilter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = match text.to_ascii_lowercase().as_str() {
            "warning" => "warn",
            "critical" => "error",
            _ => text,
        };
        let is_level = !text.contains(['=', ',']);
        let is_right = if is_level { LevelFilter::from_str(text).is_ok() } else { EnvFilter::try_new(text).is_ok() };
        if is_right && !text.is_empty() { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Deref for LogFilter {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_directives() {
        for good in ["info", "INFO", "off", "info,hemostat_monitor=debug", "hemostat_responder=trace"] {
            assert_eq!(good.parse::<LogFilter>().as_deref(), Ok(good));
        }
        for (python, ours) in [("WARNING", "warn"), ("critical", "error")] {
            assert_eq!(python.parse::<LogFilter>().as_deref(), Ok(ours));
        }
        for bad in ["", "loud", "info,=,", "hemostat_monitor=loud"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }
}
