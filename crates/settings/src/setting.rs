//! How one value of the configuration is read and shown, whichever source it comes from.
//!
//! The environment and `--set` know only text, a TOML file knows numbers, booleans and lists: each type takes all of
//! these forms, and nothing else. What it would have taken is said by [`Setting::right`].

use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use config::ValueKind;
use hemostat_core::policy::{Allowed, Mode, Tell};
use hemostat_log::Durability;
use hemostat_redact::Patterns;
use hemostat_schema::{Confidence, HostName, Percent, Span};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Dollars, WebAddress,
    sections::{DiagnosisBy, LogFormat, ModelProvider, SampleSource},
    source::written,
};

/// A type that a key of the configuration can have.
pub(super) trait Setting: Sized {
    /// What is right, with its article: `a time such as "10s"`.
    fn right() -> String;
    /// None when `value` is not right.
    fn read(value: &ValueKind) -> Option<Self>;
    /// As [`read`](Self::read), with what is wrong where only a part is.
    fn parse(value: &ValueKind) -> Result<Self, Wrong> {
        Self::read(value).ok_or_else(|| Wrong::Value {
            at: String::new(),
            value: if Self::SECRET { "***".to_owned() } else { written(value) },
            right: Self::right(),
        })
    }
    /// As it is written in a file.
    fn show(&self) -> String;
    /// Whether it is never to be shown.
    const SECRET: bool = false;
}

/// What is wrong with a value, and in which part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// This part is not right.
    Value {
        /// Its place after the key, such as `[1].name`.
        at: String,
        /// As it was written.
        value: String,
        /// What would be right.
        right: String,
    },
    /// There is no such part.
    Unknown {
        /// Its place after the key.
        at: String,
        /// What was probably meant.
        near: Option<String>,
    },
}

impl Wrong {
    /// The same, in a part of something larger.
    pub(super) fn under(self, place: &str) -> Self {
        match self {
            Self::Value { at, value, right } => Self::Value { at: format!("{place}{at}"), value, right },
            Self::Unknown { at, near } => Self::Unknown { at: format!("{place}{at}"), near },
        }
    }
}

fn text(value: &ValueKind) -> Option<&str> {
    match value {
        ValueKind::String(text) => Some(text.trim()),
        _ => None,
    }
}

fn number(value: &ValueKind) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "no setting has more than 2^53 as its value")]
    match value {
        ValueKind::I64(number) => Some(*number as f64),
        ValueKind::Float(number) => Some(*number),
        ValueKind::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn quoted(text: impl std::fmt::Display) -> String {
    let text = text.to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}

impl Setting for bool {
    fn right() -> String {
        "true or false".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        match value {
            ValueKind::Boolean(value) => Some(*value),
            ValueKind::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    fn right() -> String {
        "a whole number such as 3".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        match value {
            ValueKind::I64(number) => (*number).try_into().ok(),
            ValueKind::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u16 {
    fn right() -> String {
        "a whole number from 1 to 65535".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        u32::read(value).and_then(|number| number.try_into().ok()).filter(|number| *number > 0)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for Percent {
    fn right() -> String {
        "a number from 0 to 100".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        Self::new(number(value)?)
    }

    fn show(&self) -> String {
        self.get().to_string()
    }
}

impl Setting for Confidence {
    fn right() -> String {
        "a number from 0 to 1".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        Self::new(number(value)?)
    }

    fn show(&self) -> String {
        self.get().to_string()
    }
}

impl Setting for Dollars {
    fn right() -> String {
        "a number of US dollars such as 2.5".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        Self::new(number(value)?)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// It may hold a password, so what cannot be read is not repeated.
impl Setting for WebAddress {
    fn right() -> String {
        "a web address such as \"http://localhost:11434/v1\"".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        text(value)?.parse().ok()
    }

    fn show(&self) -> String {
        quoted(self)
    }

    const SECRET: bool = true;
}

/// Units of time, the longest first; `ms` before `m` and `s`.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Setting for Span {
    fn right() -> String {
        "a time such as \"500ms\", \"10s\", \"5m\", \"1h\" or \"1h30m\"".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        let mut rest = text(value)?;
        let mut total: u64 = 0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, after) = rest.split_at(digits);
            let length = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at(length);
            let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
            total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*ms)?)?;
            rest = after;
        }
        Some(Self::from_millis(total))
    }

    fn show(&self) -> String {
        let mut left = self.as_millis();
        let mut shown = String::new();
        for (unit, ms) in UNITS {
            if left >= ms && (unit != "d" || left.is_multiple_of(ms)) {
                // Writing to a String cannot fail.
                let _ = write!(shown, "{}{unit}", left / ms);
                left %= ms;
            }
        }
        quoted(if shown.is_empty() { "0s" } else { &shown })
    }
}

impl Setting for Duration {
    fn right() -> String {
        Span::right()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        Span::read(value).map(Self::from)
    }

    fn show(&self) -> String {
        Span::from(*self).show()
    }
}

macro_rules! from_text {
    ($type:ty, $right:literal) => {
        impl Setting for $type {
            fn right() -> String {
                $right.into()
            }

            fn read(value: &ValueKind) -> Option<Self> {
                text(value).filter(|text| !text.is_empty())?.parse().ok()
            }

            fn show(&self) -> String {
                quoted(self)
            }
        }
    };
}

from_text!(String, "a text that is not empty");
from_text!(HostName, "a host name: 1 to 128 visible characters without a slash");
from_text!(Durability, "\"always\", \"everysec\", or \"replicas:1\" (any number from 1 to 255)");
from_text!(SocketAddr, "an address and a port such as \"127.0.0.1:8501\"");

impl Setting for PathBuf {
    fn right() -> String {
        "a path".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        text(value).filter(|text| !text.is_empty()).map(Self::from)
    }

    fn show(&self) -> String {
        quoted(self.display())
    }
}

impl Setting for SecretString {
    fn right() -> String {
        "a text that is not empty".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        text(value).filter(|text| !text.is_empty()).map(Self::from)
    }

    fn show(&self) -> String {
        if self.expose_secret().is_empty() { quoted("") } else { quoted("***") }
    }

    const SECRET: bool = true;
}

/// An empty text is as good as none, so that a variable passed on empty (as Compose does) sets nothing.
impl<T: Setting> Setting for Option<T> {
    fn right() -> String {
        format!("{}, or \"\" for none", T::right())
    }

    fn read(value: &ValueKind) -> Option<Self> {
        match text(value) {
            Some("") => Some(None),
            _ => T::read(value).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }

    const SECRET: bool = T::SECRET;
}

/// The texts of a list, from a list or from a text with commas.
fn list(value: &ValueKind) -> Option<Vec<String>> {
    match value {
        ValueKind::Array(items) => items.iter().map(|item| text(&item.kind).map(str::to_owned)).collect(),
        ValueKind::String(text) => {
            Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        _ => None,
    }
}

fn show_list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// Globs, each of which is tried here, so that [`super::Config::policy`] cannot fail.
impl Setting for Vec<String> {
    fn right() -> String {
        "a list of names such as [\"hemostat-*\"], * stands for any text".into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        let names = list(value)?;
        hemostat_core::policy::Names::new(names.iter().map(String::as_str)).is_ok().then_some(names)
    }

    fn show(&self) -> String {
        show_list(self.iter().map(quoted))
    }
}

/// A text is one pattern: commas have a meaning of their own in it.
impl Setting for Patterns {
    fn right() -> String {
        "a list of regular expressions such as ['ACME-\\d{8}'], each no larger than a few kilobytes, and none that \
         matches an empty text"
            .into()
    }

    fn read(value: &ValueKind) -> Option<Self> {
        let patterns = match value {
            ValueKind::String(text) => {
                vec![text.trim().to_owned()].into_iter().filter(|text| !text.is_empty()).collect()
            }
            value => list(value)?,
        };
        Self::new(patterns.iter().map(String::as_str)).ok()
    }

    fn show(&self) -> String {
        show_list(self.iter().map(quoted))
    }
}

macro_rules! one_of {
    ($type:ty, $( $variant:path = $name:literal ),+) => {
        impl Named for $type {
            const ALL: &'static [(Self, &'static str)] = &[ $( ($variant, $name) ),+ ];
        }

        impl Setting for $type {
            fn right() -> String {
                format!("one of {}", Self::names())
            }

            fn read(value: &ValueKind) -> Option<Self> {
                Self::named(text(value)?)
            }

            fn show(&self) -> String {
                quoted(self.name())
            }
        }
    };
}

/// One of a few names.
trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [(Self, &'static str)];

    fn names() -> String {
        Self::ALL.iter().map(|(_, name)| quoted(name)).collect::<Vec<_>>().join(", ")
    }

    fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(value, _)| *value)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(value, _)| *value == self).map_or("", |(_, name)| name)
    }
}

one_of!(Mode, Mode::Observe = "observe", Mode::Approve = "approve", Mode::Auto = "auto");
one_of!(Tell, Tell::Incidents = "incidents", Tell::Failures = "failures");
one_of!(LogFormat, LogFormat::Text = "text", LogFormat::Json = "json");
one_of!(SampleSource, SampleSource::Auto = "auto", SampleSource::Cgroup = "cgroup", SampleSource::Api = "api");
one_of!(DiagnosisBy, DiagnosisBy::Rules = "rules", DiagnosisBy::Model = "model", DiagnosisBy::Both = "both");
one_of!(ModelProvider, ModelProvider::OpenAi = "openai", ModelProvider::Anthropic = "anthropic");

impl Named for Allowed {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Restart, "restart"),
        (Self::Start, "start"),
        (Self::Stop, "stop"),
        (Self::Scale, "scale"),
        (Self::Cleanup, "cleanup"),
        (Self::Exec, "exec"),
    ];
}

impl Setting for BTreeSet<Allowed> {
    fn right() -> String {
        format!("a list of some of {}", Allowed::names())
    }

    fn read(value: &ValueKind) -> Option<Self> {
        list(value)?.iter().map(|name| Allowed::named(name)).collect()
    }

    fn show(&self) -> String {
        show_list(self.iter().map(|remedy| quoted(remedy.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        let read = |text: &str| Span::read(&ValueKind::String(text.into())).map(Span::as_millis);
        for (text, ms) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            (" 5m ", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("1h30m", Some(5_400_000)),
            ("0s", Some(0)),
            ("10", None),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("-1s", None),
            ("10 parsecs", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(read(text), ms, "{text:?}");
        }
        assert_eq!(Span::read(&ValueKind::I64(10)), None, "a number alone does not say of what");
    }

    #[test]
    fn what_is_shown_is_read_back_the_same() {
        fn check<T: Setting + PartialEq + std::fmt::Debug>(value: T) {
            let shown = value.show();
            let inner = shown.strip_prefix('"').and_then(|shown| shown.strip_suffix('"')).unwrap_or(&shown);
            let plain = inner.replace("\\\"", "\"").replace("\\\\", "\\");
            assert_eq!(T::read(&ValueKind::String(plain)), Some(value), "{shown}");
        }
        for ms in [0, 1, 999, 1_000, 61_500, 3_600_000, 86_400_000, 90_000_001] {
            check(Span::from_millis(ms));
        }
        check(Percent::clamped(85.5));
        check(Mode::Approve);
        check(true);
        check(None::<HostName>);
        check(PathBuf::from(r#"C:\odd "dir""#));
    }

    #[test]
    fn a_list_is_read_from_a_file_and_from_a_variable() {
        let both = [
            ValueKind::Array(vec![config::Value::new(None, "restart"), config::Value::new(None, "start")]),
            ValueKind::String("restart, start,".into()),
        ];
        for value in both {
            assert_eq!(BTreeSet::read(&value), Some(BTreeSet::from([Allowed::Restart, Allowed::Start])));
        }
        assert_eq!(BTreeSet::<Allowed>::read(&ValueKind::String("dance".into())), None);
        assert_eq!(Vec::<String>::read(&ValueKind::String("a[".into())), None, "not a glob");
    }
}
