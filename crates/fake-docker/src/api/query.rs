//! Query parameters, parsed as Docker does.

use std::{collections::HashMap, time::Duration};

use serde::Deserialize;

use super::reply::ApiError;
use crate::time::UnixNanos;

/// The parameters of a request.
#[derive(Debug, Default)]
pub(crate) struct Query(HashMap<String, String>);

/// The values of one filter: a list, or (from old clients) a map with the values as keys.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Map(HashMap<String, bool>),
}

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        Self(form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A boolean as Docker reads it: true unless empty, `0`, `no`, `none` or `false`.
    pub(crate) fn flag(&self, key: &str, default: bool) -> bool {
        self.get(key)
            .map_or(default, |value| !["0", "no", "none", "false"].contains(&value.to_ascii_lowercase().as_str()))
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        let read = |text: &str| text.parse().map_err(|_| ApiError::invalid(format!("{key} is not a number: {text}")));
        self.get(key).map(read).transpose()
    }

    /// A time in seconds, with or without nanoseconds, or as RFC 3339.
    pub(crate) fn time(&self, key: &str) -> Result<Option<UnixNanos>, ApiError> {
        let bad = |text: &str| ApiError::invalid(format!("{key} is not a time: {text}"));
        self.get(key).map(|text| time(text).ok_or_else(|| bad(text))).transpose()
    }

    pub(crate) fn filters(&self) -> Result<HashMap<String, Vec<String>>, ApiError> {
        let Some(text) = self.get("filters") else { return Ok(HashMap::new()) };
        let read: HashMap<String, Values> =
            serde_json::from_str(text).map_err(|error| ApiError::invalid(format!("invalid filter: {error}")))?;
        let values = |values| match values {
            Values::List(list) => list,
            Values::Map(map) => map.into_iter().filter_map(|(value, set)| set.then_some(value)).collect(),
        };
        Ok(read.into_iter().map(|(key, these)| (key, values(these))).collect())
    }

    /// The grace period of a stop.
    pub(crate) fn grace(&self) -> Result<Option<Duration>, ApiError> {
        Ok(self.number::<i64>("t")?.map(|seconds| match u64::try_from(seconds) {
            Ok(seconds) => Duration::from_secs(seconds),
            // A negative value means no limit; a year is long enough.
            Err(_) => Duration::from_secs(365 * 24 * 3600),
        }))
    }
}

fn time(text: &str) -> Option<UnixNanos> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(at.as_nanosecond()).ok().map(UnixNanos::from_nanos);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if fraction.len() > 9 || !fraction.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{fraction:0<9}").parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(UnixNanos::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_all_of_dockers_formats() {
        for (text, nanos) in [
            ("1", Some(1_000_000_000)),
            ("1795462698.792223107", Some(1_795_462_698_792_223_107)),
            ("1795462698.5", Some(1_795_462_698_500_000_000)),
            ("2026-11-23T19:38:18.792223107Z", Some(1_795_462_698_792_223_107)),
            ("soon", None),
            ("1.5x", None),
        ] {
            assert_eq!(time(text).map(UnixNanos::nanos), nanos, "{text}");
        }
    }

    #[test]
    fn filters_are_read_in_both_forms() {
        for text in [r#"{"type":["container"]}"#, r#"{"type":{"container":true,"network":false}}"#] {
            let encoded: String = form_urlencoded::Serializer::new(String::new()).append_pair("filters", text).finish();
            let query = Query::parse(Some(&encoded));
            let expected = HashMap::from([("type".to_owned(), vec!["container".to_owned()])]);
            assert_eq!(query.filters().unwrap(), expected, "{text}");
        }
        assert!(Query::parse(Some("filters=%5B")).filters().is_err());
    }

    #[test]
    fn booleans_are_read_like_docker_reads_them() {
        for (text, set) in [("all=1", true), ("all=true", true), ("all=0", false), ("all=False", false), ("", false)] {
            assert_eq!(Query::parse(Some(text)).flag("all", false), set, "{text}");
        }
    }
}
