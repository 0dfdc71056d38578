//! How one value of the configuration is read and shown, whichever source it comes from.
//!
//! The environment and `--set` have only text, a TOML file has numbers, booleans and lists: each type accepts all of
//! these forms. What it accepts is said by [`Setting::right`].

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use hemostat_core::policy::{AlertScope, Mode, NamePatterns, RemedyKind};
use hemostat_log::Durability;
use hemostat_redact::Patterns;
use hemostat_schema::{Confidence, HostName, Percent, RIGHT_SWITCH, Span, observation::Severity, parse_switch};
use toml::Value;

use crate::{
    address::WebAddress,
    dollars::Dollars,
    error::Wrong,
    log_filter::LogFilter,
    secret::Secret,
    value::{bracketed, list, number, quoted, text, written},
};

/// A type that a key of the configuration can have.
pub(crate) trait Setting: Sized {
    /// Whether its value is a secret, which may be kept in a file of its own.
    const SECRET: bool = false;
    /// Whether an error must not repeat its value.
    const HIDDEN: bool = Self::SECRET;
    /// What is right, with its article: `a path`.
    fn right() -> String;
    /// `None` when `value` is invalid.
    fn read(value: &Value) -> Option<Self>;
    /// As [`read`](Self::read), with what is wrong.
    fn parse(value: &Value) -> Result<Self, Wrong> {
        Self::read(value).ok_or_else(|| Wrong::Value {
            at: String::new(),
            value: if Self::HIDDEN { "***".to_owned() } else { written(value) },
            right: Self::right(),
        })
    }
    /// As it is written in a file.
    fn show(&self) -> String;
    /// Whether it is another value than `other`.
    fn differs(&self, other: &Self) -> bool {
        self.show() != other.show()
    }
}

/// How a type is a setting: what is right, how a value is read, and how it is shown.
macro_rules! setting {
    ($(#[$doc:meta])* $type:ty $(, $hidden:ident)?: $right:expr, $read:expr, $show:expr) => {
        $(#[$doc])*
        impl $crate::setting::Setting for $type {
            $( const $hidden: bool = true; )?

            fn right() -> String {
                $right.into()
            }

            fn read(value: &toml::Value) -> Option<Self> {
                let read: fn(&toml::Value) -> Option<Self> = $read;
                read(value)
            }

            fn show(&self) -> String {
                let show: fn(&Self) -> String = $show;
                show(self)
            }
        }
    };
}

setting! {
    bool: RIGHT_SWITCH,
    |value| match value {
        Value::Boolean(value) => Some(*value),
        Value::Integer(number @ (0 | 1)) => Some(*number == 1),
        value => parse_switch(text(value)?).ok(),
    },
    Self::to_string
}
setting! {
    u32: "a whole number such as 3",
    |value| match value {
        Value::Integer(number) => (*number).try_into().ok(),
        value => text(value)?.parse().ok(),
    },
    Self::to_string
}
setting! {
    u16: "a whole number from 1 to 65535",
    |value| u32::read(value).and_then(|number| number.try_into().ok()).filter(|number| *number > 0),
    Self::to_string
}
setting!(Dollars: "a number of US dollars such as 2.5", |value| Self::new(number(value)?), Self::to_string);
setting! {
    Percent: "a number from 0 to 100",
    |value| match text(value).and_then(|text| text.strip_suffix('%')) {
        Some(number) => Self::new(number.trim().parse().ok()?),
        None => Self::new(number(value)?),
    },
    |percent| percent.get().to_string()
}
setting!(Confidence: "a number from 0 to 1", |value| Self::new(number(value)?), |share| share.get().to_string());
setting! {
    Span: Self::RIGHT,
    |value| match value {
        Value::Integer(seconds) => Some(Self::from_secs((*seconds).try_into().ok()?)),
        value => text(value)?.parse().ok(),
    },
    |span| quoted(span.written())
}
setting!(Duration: Span::RIGHT, |value| Span::read(value).map(Self::from), |time| Span::from(*time).show());
setting!(String: "a text that is not empty", parsed, |text| quoted(text));
setting! {
    /// The name that stands for HemoStat itself in events is the name of no host.
    HostName: "a host name: 1 to 128 visible characters without a slash, and not @hemostat",
    |value| parsed(value).filter(|name: &Self| !name.is_system()),
    |name| quoted(name)
}
setting! {
    Durability: "\"always\", \"everysec\", or \"replicas:1\" (any number from 1 to 255)", parsed, |durability| quoted(durability)
}
setting!(SocketAddr: "an address and a port such as \"127.0.0.1:8501\"", parsed, |address| quoted(address));
setting! {
    LogFilter: "error, warn, info, debug or trace, or directives such as info,hemostat_monitor=debug",
    parsed, |filter| quoted(filter)
}
setting! {
    /// It may hold a password, so an error does not repeat what cannot be read.
    WebAddress, HIDDEN: "a web address such as \"http://localhost:11434/v1\"", parsed, |address| quoted(address)
}
setting!(PathBuf: "a path", parsed, |path| quoted(path.display()));

fn parsed<T: FromStr>(value: &Value) -> Option<T> {
    text(value).filter(|text| !text.is_empty())?.parse().ok()
}

/// A text, or as `{ file = "..." }` the path of the file that holds it: so the sources write `<key>_file`.
impl Setting for Secret {
    const SECRET: bool = true;

    fn right() -> String {
        "a text that is not empty".into()
    }

    fn read(value: &Value) -> Option<Self> {
        text(value).filter(|text| !text.is_empty()).map(Self::from)
    }

    fn parse(value: &Value) -> Result<Self, Wrong> {
        match value.get("file").and_then(text) {
            Some(path) => Self::from_file(path.into()).map_err(Wrong::SecretFile),
            None => Self::read(value).ok_or_else(|| Wrong::Value {
                at: String::new(),
                value: "***".to_owned(),
                right: Self::right(),
            }),
        }
    }

    fn show(&self) -> String {
        quoted("***")
    }

    /// The file of a secret is read at each use, so what it holds makes no difference.
    fn differs(&self, other: &Self) -> bool {
        !self.is_same(other)
    }
}

/// An empty text is as good as none, so that a variable passed on empty (as Compose does) sets nothing.
impl<T: Setting> Setting for Option<T> {
    const SECRET: bool = T::SECRET;
    const HIDDEN: bool = T::HIDDEN;

    fn right() -> String {
        format!("{}, or \"\" for none", T::right())
    }

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value).ok()
    }

    fn parse(value: &Value) -> Result<Self, Wrong> {
        if text(value) == Some("") {
            return Ok(None);
        }
        T::parse(value).map(Some).map_err(|wrong| match wrong {
            Wrong::Value { at, value, .. } if at.is_empty() => Wrong::Value { at, value, right: Self::right() },
            part => part,
        })
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), T::show)
    }

    fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Some(one), Some(other)) => one.differs(other),
            (one, other) => one.is_some() != other.is_some(),
        }
    }
}

/// Globs for names of containers, each of which is tried here, so that making the policy cannot fail.
impl Setting for Vec<String> {
    fn right() -> String {
        "a list of names such as [\"hemostat-*\"], * stands for any text".into()
    }

    fn read(value: &Value) -> Option<Self> {
        Self::parse(value).ok()
    }

    fn parse(value: &Value) -> Result<Self, Wrong> {
        let names = list(value).ok_or_else(|| Wrong::value("", value, Self::right()))?;
        for name in &names {
            if let Some(fault) = name_fault(name) {
                return Err(Wrong::value("", value, format!("{}; {} {fault}", Self::right(), quoted(name))));
            }
        }
        Ok(names)
    }

    fn show(&self) -> String {
        bracketed(self.iter().map(quoted))
    }
}

/// Why no container can have a name that this glob matches, if that is so. Docker allows letters, digits, `_`, `.` and
/// `-`, and a letter or digit at the beginning.
fn name_fault(glob: &str) -> Option<&'static str> {
    let is_in_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_in_glob = |c: char| "*?[]{},".contains(c);
    let negated = glob.replace("[!", "[");
    match glob.chars().next() {
        None => return Some("matches no name"),
        Some('/') => return Some("should be written without the leading /"),
        Some(_) => {}
    }
    if glob.contains(['"', '\'', '`']) {
        return Some("should be written without quotes");
    }
    if glob.contains([' ', '\t', '\n', ';', '|']) {
        return Some("should be several names, separated by commas");
    }
    if let Some(odd) = negated.chars().find(|c| !is_in_name(*c) && !is_in_glob(*c)) {
        let regular = Some("looks like a regular expression; names are written literally, with * for any text");
        return if "^$+()\\".contains(odd) { regular } else { Some("has a character that no name of a container has") };
    }
    if glob.starts_with(['.', '_', '-']) {
        return Some("matches no name, as names begin with a letter or a digit");
    }
    NamePatterns::new([glob]).is_err().then_some("is not a valid glob")
}

setting! {
    /// A text is one pattern, as a comma has a meaning of its own in a regular expression.
    Patterns:
    "a list of regular expressions such as ['ACME-\\d{8}'], each no larger than a few kilobytes, and none that \
     matches an empty text",
    |value| {
        let patterns = match text(value) {
            Some("") => vec![],
            Some(pattern) => vec![pattern.to_owned()],
            None => list(value)?,
        };
        Self::new(patterns.iter().map(String::as_str)).ok()
    },
    |patterns| bracketed(patterns.iter().map(quoted))
}

/// One of a few names, which are written as strum derives them.
pub(crate) trait Named: strum::VariantArray + Copy + Into<&'static str> {
    fn words() -> String {
        Self::VARIANTS.iter().map(|value| value.quoted()).collect::<Vec<_>>().join(", ")
    }

    fn named(text: &str) -> Option<Self> {
        Self::VARIANTS.iter().copied().find(|value| (*value).into().eq_ignore_ascii_case(text))
    }

    fn quoted(self) -> String {
        quoted(self.into())
    }
}

impl<T: strum::VariantArray + Copy + Into<&'static str>> Named for T {}

macro_rules! one_of {
    ($($type:ty),+) => { $(
        $crate::setting::setting! {
            $type: format!("one of {}", <Self as $crate::setting::Named>::words()),
            |value| $crate::setting::Named::named($crate::value::text(value)?),
            |value| $crate::setting::Named::quoted(*value)
        }
    )+ };
}
pub(crate) use {one_of, setting};

one_of!(Mode, AlertScope, Severity);
setting! {
    BTreeSet<RemedyKind>: format!("a list of some of {}", RemedyKind::words()),
    |value| list(value)?.iter().map(|name| RemedyKind::named(name)).collect(),
    |remedies| bracketed(remedies.iter().map(|remedy| remedy.quoted()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_switches_may_be_plain_numbers_in_a_file() {
        assert_eq!(Span::read(&Value::Integer(10)), Some(Span::from_secs(10)));
        assert_eq!(Span::read(&Value::Integer(-10)), None);
        assert_eq!(Span::read(&Value::Float(1.5)), None, "a fraction is written with its unit");
        assert_eq!(bool::read(&Value::Integer(1)), Some(true));
        assert_eq!(bool::read(&Value::Integer(2)), None);
        assert_eq!(Percent::read(&"85%".into()), Percent::new(85.0));
        assert_eq!(Percent::read(&" 85.5 % ".into()), Percent::new(85.5));
        assert_eq!(Percent::read(&"%".into()), None);
        let Err(Wrong::Value { value, .. }) = u32::parse(&Value::Float(5.0)) else { panic!("5.0 is no whole number") };
        assert_eq!(value, "5.0", "as it was written");
    }

    #[test]
    fn a_glob_that_can_match_no_container_is_refused_with_what_is_wrong_with_it() {
        for (glob, fault) in [
            ("db", None),
            ("hemostat-*", None),
            ("web_1.?", None),
            ("*", None),
            ("[ab]*", None),
            ("[!ab]*", None),
            ("{web,db}-*", None),
            ("\"db\"", Some("without quotes")),
            ("'db'", Some("without quotes")),
            ("db'", Some("without quotes")),
            ("db cache", Some("separated by commas")),
            ("db;cache", Some("separated by commas")),
            ("db|cache", Some("separated by commas")),
            ("db\ncache", Some("separated by commas")),
            ("/db", Some("leading /")),
            ("^db", Some("regular expression")),
            ("db$", Some("regular expression")),
            ("db.+", Some("regular expression")),
            ("(db)", Some("regular expression")),
            ("db\\d", Some("regular expression")),
            ("!db", Some("no name of a container has")),
            ("db:1", Some("no name of a container has")),
            ("dé", Some("no name of a container has")),
            (".*", Some("begin with a letter")),
            ("-db", Some("begin with a letter")),
            ("a[", Some("not a valid glob")),
            ("", Some("matches no name")),
        ] {
            match Vec::<String>::parse(&Value::Array(vec![glob.into()])) {
                Ok(_) => assert_eq!(fault, None, "{glob}"),
                Err(Wrong::Value { right, .. }) => {
                    assert!(fault.is_some_and(|fault| right.contains(fault)), "{glob}: {right}");
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_shown_is_read_back_the_same() {
        fn check<T: Setting + PartialEq + std::fmt::Debug>(value: T) {
            let shown = value.show();
            let inner = shown.strip_prefix('"').and_then(|shown| shown.strip_suffix('"')).unwrap_or(&shown);
            let plain = inner.replace("\\\"", "\"").replace("\\\\", "\\");
            assert_eq!(T::read(&Value::String(plain)), Some(value), "{shown}");
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
        let both = [Value::Array(vec!["restart".into(), "start".into()]), Value::String("restart, start,".into())];
        for value in both {
            assert_eq!(BTreeSet::read(&value), Some(BTreeSet::from([RemedyKind::Restart, RemedyKind::Start])));
        }
        assert_eq!(BTreeSet::<RemedyKind>::read(&Value::String("dance".into())), None);
        assert_eq!(Vec::<String>::read(&Value::String("a[".into())), None, "not a glob");
    }
}
