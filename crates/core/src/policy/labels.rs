//! What a container's labels say about how it is cared for, in HemoStat's own words and in those of autoheal and
//! deunhealth.
//!
//! Labels are written by people, so each is read on its own and a bad one spoils no other. A label that cannot be read
//! becomes a fault, and gives no permission: a mode, a list of actions, a switch or a maintenance window that cannot be
//! read is taken in its most careful sense; a number or a time that cannot be read leaves the default standing.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::{Percent, Span};
use jiff::SignedDuration;

use super::{Allowed, Care, Mode};

/// The defaults, bent by `labels`. Where HemoStat's label and another tool's speak of the same thing, HemoStat's stands.
pub(super) fn bend(defaults: &Care, labels: &BTreeMap<String, String>) -> Care {
    let mut care = defaults.clone();
    let mut faults = vec![];
    let mut read = Reader { labels, faults: &mut faults };

    let switches = ["deunhealth.restart.on.unhealthy", "autoheal", "hemostat.enable"];
    let answers = switches.map(|label| read.label(label, "true or false", switch));
    let mut observe = false;
    for answer in answers {
        match answer {
            Answer::Silent => {}
            Answer::Clear(enabled) => care.enabled = enabled,
            Answer::Garbled => observe = true,
        }
    }
    match read.label("hemostat.mode", "observe, approve or auto", mode) {
        Answer::Silent => {}
        Answer::Clear(mode) => care.mode = mode,
        Answer::Garbled => observe = true,
    }
    if observe {
        care.mode = Mode::Observe;
    }
    match read.label("hemostat.actions", "a list of restart, start, stop, scale, cleanup and exec", actions) {
        Answer::Silent => {}
        Answer::Clear(actions) => care.remedies = actions,
        Answer::Garbled => care.remedies.clear(),
    }
    match read.label("hemostat.maintenance", "true or false", switch) {
        Answer::Silent => {}
        Answer::Clear(maintenance) => care.maintenance = maintenance,
        Answer::Garbled => care.maintenance = true,
    }

    const TIME: &str = "a time such as 30s, 5m or 1h 30m";
    read.number("hemostat.cooldown", TIME, span, |cooldown| care.cooldown = cooldown);
    read.number("hemostat.max_retries", "a whole number", |text| text.parse().ok(), |n| care.max_retries = n);
    read.number("autoheal.stop.timeout", "a number of seconds", span, |time| care.stop_timeout = Some(time));
    read.number("hemostat.stop_timeout", TIME, span, |time| care.stop_timeout = Some(time));
    read.number("hemostat.thresholds.cpu", "a percentage from 0 to 100", percent, |threshold| care.cpu = threshold);
    read.number("hemostat.thresholds.memory", "a percentage from 0 to 100", percent, |threshold| {
        care.memory = threshold;
    });
    read.number("hemostat.for", TIME, span, |time| {
        care.sustained = time;
        care.unhealthy = time;
    });
    read.number("hemostat.grace", TIME, span, |time| care.grace = time);

    care.faults = faults;
    care
}

/// What a label answers.
enum Answer<T> {
    /// It is not there.
    Silent,
    /// This.
    Clear(T),
    /// Something that is not an answer.
    Garbled,
}

struct Reader<'a> {
    labels: &'a BTreeMap<String, String>,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn label<T>(&mut self, label: &str, right: &str, read: impl FnOnce(&str) -> Option<T>) -> Answer<T> {
        let Some(text) = self.labels.get(label) else { return Answer::Silent };
        read(text.trim()).map_or_else(
            || {
                let shown: String = text.chars().take(60).collect();
                self.faults.push(format!("label {label}={shown:?} is not {right}"));
                Answer::Garbled
            },
            Answer::Clear,
        )
    }

    fn number<T>(&mut self, label: &str, right: &str, read: impl FnOnce(&str) -> Option<T>, mut set: impl FnMut(T)) {
        if let Answer::Clear(value) = self.label(label, right, read) {
            set(value);
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn mode(text: &str) -> Option<Mode> {
    match text.to_ascii_lowercase().as_str() {
        "observe" => Some(Mode::Observe),
        "approve" => Some(Mode::Approve),
        "auto" => Some(Mode::Auto),
        _ => None,
    }
}

/// One word that is not an action spoils the list: nobody knows what else was meant.
fn actions(text: &str) -> Option<BTreeSet<Allowed>> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| match word.to_ascii_lowercase().as_str() {
            "restart" => Some(Allowed::Restart),
            "start" => Some(Allowed::Start),
            "stop" => Some(Allowed::Stop),
            "scale" => Some(Allowed::Scale),
            "cleanup" => Some(Allowed::Cleanup),
            "exec" => Some(Allowed::Exec),
            _ => None,
        })
        .collect()
}

fn percent(text: &str) -> Option<Percent> {
    text.strip_suffix('%').unwrap_or(text).trim().parse().ok().and_then(Percent::new)
}

/// A length of time as people write it: `30s`, `5m`, `1h 30m`, or plain seconds.
pub fn span(text: &str) -> Option<Span> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Span::from_secs(seconds));
    }
    let duration = std::time::Duration::try_from(text.parse::<SignedDuration>().ok()?).ok()?;
    Some(duration.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The care that `labels` ask for must be the default as changed by `expected`, with so many faults.
    fn check(labels: &[(&str, &str)], faults: usize, expected: impl FnOnce(&mut Care)) {
        let map = labels.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect();
        let care = bend(&Care::default(), &map);
        assert_eq!(care.faults.len(), faults, "{labels:?}: {:?}", care.faults);
        let mut right = Care { faults: care.faults.clone(), ..Care::default() };
        expected(&mut right);
        assert_eq!(care, right, "{labels:?}");
    }

    #[test]
    fn a_readable_label_is_obeyed() {
        check(&[], 0, |_| {});
        check(&[("com.example.hemostat.mode", "observe")], 0, |_| {});
        check(&[("hemostat.enable", "false")], 0, |care| care.enabled = false);
        check(&[("hemostat.mode", "Observe")], 0, |care| care.mode = Mode::Observe);
        check(&[("hemostat.mode", "approve")], 0, |care| care.mode = Mode::Approve);
        check(&[("hemostat.actions", "restart, stop")], 0, |care| {
            care.remedies = [Allowed::Restart, Allowed::Stop].into();
        });
        check(&[("hemostat.actions", "")], 0, |care| care.remedies.clear());
        check(&[("hemostat.cooldown", "1h 30m")], 0, |care| care.cooldown = Span::from_secs(5400));
        check(&[("hemostat.max_retries", "0")], 0, |care| care.max_retries = 0);
        check(&[("hemostat.stop_timeout", "2m")], 0, |care| care.stop_timeout = Some(Span::from_secs(120)));
        check(&[("hemostat.thresholds.cpu", "92.5")], 0, |care| care.cpu = Percent::clamped(92.5));
        check(&[("hemostat.thresholds.memory", "70 %")], 0, |care| care.memory = Percent::clamped(70.0));
        check(&[("hemostat.for", "30")], 0, |care| {
            care.sustained = Span::from_secs(30);
            care.unhealthy = Span::from_secs(30);
        });
        check(&[("hemostat.grace", "2m")], 0, |care| care.grace = Span::from_secs(120));
        check(&[("hemostat.maintenance", "on")], 0, |care| care.maintenance = true);
    }

    #[test]
    fn labels_of_other_healers_mean_what_they_mean_there() {
        check(&[("autoheal", "true")], 0, |_| {});
        for no in ["false", "False", "FALSE"] {
            check(&[("autoheal", no)], 0, |care| care.enabled = false);
        }
        check(&[("autoheal.stop.timeout", "20")], 0, |care| care.stop_timeout = Some(Span::from_secs(20)));
        check(&[("deunhealth.restart.on.unhealthy", "false")], 0, |care| care.enabled = false);
    }

    #[test]
    fn hemostats_own_label_stands_above_anothers() {
        check(&[("autoheal", "false"), ("hemostat.enable", "true")], 0, |_| {});
        check(&[("autoheal", "true"), ("hemostat.enable", "false")], 0, |care| care.enabled = false);
        check(&[("autoheal.stop.timeout", "20"), ("hemostat.stop_timeout", "5s")], 0, |care| {
            care.stop_timeout = Some(Span::from_secs(5));
        });
    }

    #[test]
    fn an_unreadable_label_is_a_fault_and_gives_no_permission() {
        check(&[("hemostat.enable", "maybe")], 1, |care| care.mode = Mode::Observe);
        check(&[("autoheal", "")], 1, |care| care.mode = Mode::Observe);
        check(&[("hemostat.mode", "automatic")], 1, |care| care.mode = Mode::Observe);
        check(&[("hemostat.mode", "auto"), ("hemostat.enable", "maybe")], 1, |care| care.mode = Mode::Observe);
        check(&[("hemostat.actions", "restart, reboot")], 1, |care| care.remedies.clear());
        check(&[("hemostat.maintenance", "tonight")], 1, |care| care.maintenance = true);
    }

    #[test]
    fn an_unreadable_number_leaves_the_default_standing() {
        for (label, text) in [
            ("hemostat.cooldown", "soon"),
            ("hemostat.cooldown", "-1h"),
            ("hemostat.max_retries", "three"),
            ("hemostat.max_retries", "-1"),
            ("hemostat.thresholds.cpu", "120"),
            ("hemostat.thresholds.memory", "NaN"),
            ("hemostat.for", "1 fortnight"),
            ("autoheal.stop.timeout", "1.5.2"),
        ] {
            check(&[(label, text)], 1, |_| {});
        }
    }

    #[test]
    fn a_fault_names_the_label_what_it_says_and_what_would_be_right() {
        let care = bend(&Care::default(), &[("hemostat.mode".to_owned(), "sleep".to_owned())].into());
        assert_eq!(care.faults, [r#"label hemostat.mode="sleep" is not observe, approve or auto"#]);
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in
            [("45", 45), ("30s", 30), ("5m", 300), ("1h 30m", 5400), ("1h30m", 5400), (" 2 min ", 120)]
        {
            assert_eq!(span(text), Some(Span::from_secs(seconds)), "{text}");
        }
        assert_eq!(span("250ms"), Some(Span::from_millis(250)));
        for text in ["", "s", "-5s", "5x", "1e9999h"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
