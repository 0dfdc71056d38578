//! Logging: sets up `tracing` to write to standard error, as text or as JSON.

use std::{fmt, io::IsTerminal};

use anyhow::Context as _;
use hemostat_schema::Timestamp;
use jiff::tz::TimeZone;
use tracing_subscriber::{
    EnvFilter,
    fmt::{format::Writer, time::FormatTime},
};

use hemostat_settings::LogFormat;

/// Other crates log only warnings: below that, their lines are of no use to an operator.
const QUIET: &str = "axum=warn,bollard=warn,fred=error,h2=warn,hyper=warn,hyper_util=warn,object_store=warn,reqwest=warn,rustls=warn,\
     tower=warn";

/// Makes `tracing` write to standard error.
///
/// # Errors
/// When `level` is invalid, or a subscriber is set already.
pub fn init(level: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives(level)).with_context(|| format!("log_level {level:?} is invalid"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .with_timer(TimeOfDay)
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_timer(Instant).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("could not set up logging: {error}"))
}

/// A plain level applies to HemoStat and keeps other crates quiet; directives are taken as they are.
fn directives(level: &str) -> String {
    if level.contains(['=', ',']) { level.to_owned() } else { format!("{level},{QUIET}") }
}

/// The local time of day, for people.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        write!(to, "{}", Timestamp::now().to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f"))
    }
}

/// RFC 3339 in UTC, for machines.
struct Instant;

impl FormatTime for Instant {
    fn format_time(&self, to: &mut Writer<'_>) -> fmt::Result {
        write!(to, "{:.3}", Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_level_keeps_other_crates_quiet() {
        assert!(EnvFilter::try_new(directives("debug")).is_ok());
        assert!(directives("debug").contains("bollard=warn"));
        assert_eq!(directives("debug,bollard=debug"), "debug,bollard=debug");
    }
}
