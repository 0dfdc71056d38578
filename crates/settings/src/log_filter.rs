//! Which directives `log_level` takes.

use std::str::FromStr as _;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Whether `level` is a level or directives.
pub(crate) fn is_filter(level: &str) -> bool {
    let plain = !level.contains(['=', ',']);
    if plain { !level.is_empty() && LevelFilter::from_str(level).is_ok() } else { EnvFilter::try_new(level).is_ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_directives() {
        for good in ["info", "INFO", "off", "info,hemostat_monitor=debug", "hemostat_responder=trace"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "loud", "info,=,", "hemostat_monitor=loud"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
