//! How a labelled case is written: in TOML, short enough to be read by people, with what is usual left out.
//!
//! Instants are ages before the case's own present (`ago = "5m"`), lengths of time and sizes are written as people
//! write them. services/hemostat/eval/README.md describes every key. What it means is `super::case`'s.

use hemostat_schema::{
    ByteCount, InvalidSpan, Span,
    action::Outcome,
    container::{ExitBy, Health, State},
    diagnosis::Verdict,
    examination::Relation,
    observation::{Resource, Severity, Symptom, Trend},
};
use serde::Deserialize;

use super::choice::Choice;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub story: String,
    pub why: String,
    pub tried: Option<Tried>,
    pub container: Container,
    pub vitals: Option<Figures>,
    #[serde(rename = "symptom")]
    pub symptoms: Vec<Told>,
    pub examined: Option<Found>,
    #[serde(default)]
    pub past: Vec<Earlier>,
    pub expect: Expect,
}

/// What is right.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub verdicts: Vec<Verdict>,
    pub remedies: Vec<Choice>,
    pub harmful: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Container {
    pub name: String,
    pub image: String,
    pub created: Length,
    pub up: Length,
    pub state: Option<State>,
    pub health: Option<Health>,
    pub exit: Option<Ended>,
    pub restart_policy: Option<String>,
    #[serde(default)]
    pub restarts: u32,
    pub cpus: Option<f64>,
    pub memory: Option<Size>,
    pub network_of: Option<String>,
    pub project: Option<String>,
    pub service: Option<String>,
    #[serde(default)]
    pub depends_on: Vec<String>,
    pub actions: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ended {
    pub code: i64,
    pub by: ExitBy,
    pub ago: Length,
}

/// A symptom, with those of the keys that its kind of evidence has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    pub is: Symptom,
    #[serde(default = "high")]
    pub severity: Severity,
    #[serde(rename = "for")]
    pub held: Length,
    pub code: Option<i64>,
    pub by: Option<ExitBy>,
    pub value: Option<f64>,
    pub threshold: Option<f64>,
    pub trend: Option<Trend>,
    pub count: Option<u32>,
    pub within: Option<Length>,
    pub resource: Option<Resource>,
    pub used: Option<Size>,
    pub limit: Option<Size>,
    pub per_hour: Option<Size>,
    pub fit: Option<f64>,
    pub over: Option<Length>,
    pub limit_in: Option<Length>,
    pub path: Option<String>,
    pub writable: Option<Size>,
    pub expected: Option<f64>,
    pub deviation: Option<f64>,
}

fn high() -> Severity {
    Severity::High
}

/// What a container uses: shares in per cent.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    pub cpu: f64,
    pub memory: f64,
    #[serde(default)]
    pub pids: u64,
    pub pids_limit: Option<u64>,
    pub throttled: Option<f64>,
    pub wait_cpu: Option<f64>,
    pub wait_memory: Option<f64>,
    pub wait_disk: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Found {
    pub output: String,
    pub errors: String,
    /// How long ago the last line was printed.
    pub silent: Option<Length>,
    pub checks: Vec<Checked>,
    pub processes: Vec<Process>,
    pub samples: Vec<Sample>,
    pub changes: Vec<Change>,
    pub runs: Option<Runs>,
    pub relatives: Vec<Relative>,
    pub writable: Option<Size>,
    pub disk: Option<f64>,
    pub missing: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    pub ago: Length,
    pub code: i64,
    pub output: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub command: String,
    pub cpu: Length,
    pub memory: Size,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    pub ago: Length,
    pub cpu: f64,
    pub memory: f64,
    #[serde(default)]
    pub pids: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "is")]
pub enum Change {
    Image { ago: Length, from: String, to: String },
    Recreated { ago: Length },
    Limits { ago: Length },
    Started { ago: Length },
    Health { ago: Length, to: Health },
}

/// Runs that all ended alike.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    pub count: u32,
    pub lasted: Length,
    /// From the beginning of one to that of the next.
    pub apart: Length,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relative {
    pub name: String,
    pub is: Relation,
    pub state: State,
    pub health: Health,
    pub since: Option<Length>,
}

/// A remedy that was tried in this illness.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    pub remedy: Choice,
    pub outcome: Outcome,
}

/// An earlier illness.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Earlier {
    pub ago: Length,
    pub symptoms: Vec<Symptom>,
    pub cause: Option<String>,
    pub remedy: Choice,
    pub outcome: Outcome,
}

/// A length of time: `90s`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Length(pub Span);

impl TryFrom<String> for Length {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: InvalidSpan| error.to_string())
    }
}

/// A number of bytes, or of anything else: `512MiB`, `900`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Size(pub ByteCount);

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl TryFrom<Written> for Size {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let text = match written {
            Written::Number(number) => return Ok(Self(ByteCount(number))),
            Written::Text(text) => text,
        };
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let shift = match unit {
            "" | "B" => Some(0),
            "KiB" => Some(10),
            "MiB" => Some(20),
            "GiB" => Some(30),
            _ => None,
        };
        let size = shift.zip(number.parse::<u64>().ok()).and_then(|(shift, number)| number.checked_mul(1 << shift));
        size.map(|size| Self(ByteCount(size))).ok_or_else(|| format!("{text:?} is not a size such as 512MiB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = |text: &str| Size::try_from(Written::Text(text.into())).map(|size| size.0.0).ok();
        for (text, size) in [("0B", Some(0)), ("3KiB", Some(3072)), ("2GiB", Some(2 << 30)), ("17", Some(17))] {
            assert_eq!(read(text), size, "{text}");
        }
        for wrong in ["", "GiB", "1.5GiB", "2GB", "-1B", "99999999999GiB"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
