//! The labels of a container override its policy: HemoStat's own labels, and those of autoheal and deunhealth.
//!
//! People write labels, so each is parsed on its own and an invalid one affects no other. An invalid label becomes a
//! fault and grants no permission: an invalid mode, list of actions, switch or maintenance flag is read in its most
//! cautious sense; an invalid number or duration leaves the default in place.

use std::collections::{BTreeMap, BTreeSet};

use hemostat_schema::{
    Percent, RIGHT_SWITCH, Span,
    action::{Mode, RemedyKind},
    parse_switch,
};

use super::container::ContainerPolicy;

/// The defaults, overridden by `labels`. HemoStat's own label wins over that of another tool.
pub(super) fn apply_labels(defaults: &ContainerPolicy, labels: &BTreeMap<String, String>) -> ContainerPolicy {
    let mut container = defaults.clone();
    let mut faults = vec![];
    let mut read = Reader { labels, faults: &mut faults };

    let switches = ["deunhealth.restart.on.unhealthy", "autoheal", "hemostat.enable"];
    let switched = switches.map(|label| read.label(label, RIGHT_SWITCH, switch));
    let mut observe = false;
    for label in switched {
        match label {
            Label::Absent => {}
            Label::Valid(enabled) => container.enabled = enabled,
            Label::Invalid => observe = true,
        }
    }
    match read.label("hemostat.mode", "observe, approve or auto", mode) {
        Label::Absent => {}
        Label::Valid(mode) => container.mode = mode,
        Label::Invalid => observe = true,
    }
    if observe {
        container.mode = Mode::Observe;
    }
    match read.label("hemostat.actions", "a list of restart, start, stop, scale, cleanup and exec", actions) {
        Label::Absent => {}
        Label::Valid(actions) => container.remedies = actions,
        Label::Invalid => container.remedies.clear(),
    }
    match read.label("hemostat.maintenance", RIGHT_SWITCH, switch) {
        Label::Absent => {}
        Label::Valid(maintenance) => container.maintenance = maintenance,
        Label::Invalid => container.maintenance = true,
    }

    read.number("hemostat.cooldown", Span::RIGHT, span, |cooldown| container.cooldown = cooldown);
    // The second label is the present name.
    for label in ["hemostat.max_retries", "hemostat.max_attempts"] {
        read.number(label, "a whole number", |text| text.parse().ok(), |n| container.max_attempts = n);
    }
    read.number("autoheal.stop.timeout", Span::RIGHT, span, |time| container.stop_timeout = Some(time));
    read.number("hemostat.stop_timeout", Span::RIGHT, span, |time| container.stop_timeout = Some(time));
    read.number("hemostat.thresholds.cpu", "a percentage from 0 to 100", percent, |threshold| {
        container.cpu = threshold
    });
    read.number("hemostat.thresholds.memory", "a percentage from 0 to 100", percent, |threshold| {
        container.memory = threshold;
    });
    read.number("hemostat.for", Span::RIGHT, span, |time| {
        container.sustained = time;
        container.unhealthy = time;
    });
    read.number("hemostat.grace", Span::RIGHT, span, |time| container.grace = time);

    container.faults = faults;
    container
}

/// A label and its value.
enum Label<T> {
    Absent,
    Valid(T),
    Invalid,
}

struct Reader<'a> {
    labels: &'a BTreeMap<String, String>,
    faults: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn label<T>(&mut self, label: &str, right: &str, read: impl FnOnce(&str) -> Option<T>) -> Label<T> {
        let Some(text) = self.labels.get(label) else { return Label::Absent };
        read(text.trim()).map_or_else(
            || {
                let shown: String = text.chars().take(60).collect();
                self.faults.push(format!("label {label}={shown:?} is not {right}"));
                Label::Invalid
            },
            Label::Valid,
        )
    }

    fn number<T>(&mut self, label: &str, right: &str, read: impl FnOnce(&str) -> Option<T>, mut set: impl FnMut(T)) {
        if let Label::Valid(value) = self.label(label, right, read) {
            set(value);
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    parse_switch(text).ok()
}

fn span(text: &str) -> Option<Span> {
    text.parse().ok()
}

fn mode(text: &str) -> Option<Mode> {
    Mode::from_name(&text.to_ascii_lowercase())
}

/// One unknown word makes the whole list invalid: it is unclear what else was meant.
fn actions(text: &str) -> Option<BTreeSet<RemedyKind>> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| RemedyKind::from_name(&word.to_ascii_lowercase())).collect()
}

fn percent(text: &str) -> Option<Percent> {
    text.strip_suffix('%').unwrap_or(text).trim().parse().ok().and_then(Percent::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `labels`, the policy must be the default as changed by `change`, with this number of faults.
    fn check(labels: &[(&str, &str)], faults: usize, change: impl FnOnce(&mut ContainerPolicy)) {
        let map = labels.iter().map(|(label, text)| ((*label).to_owned(), (*text).to_owned())).collect();
        let container = apply_labels(&ContainerPolicy::default(), &map);
        assert_eq!(container.faults.len(), faults, "{labels:?}: {:?}", container.faults);
        let mut expected = ContainerPolicy { faults: container.faults.clone(), ..ContainerPolicy::default() };
        change(&mut expected);
        assert_eq!(container, expected, "{labels:?}");
    }

    #[test]
    fn a_valid_label_overrides_the_default() {
        check(&[], 0, |_| {});
        check(&[("com.example.hemostat.mode", "observe")], 0, |_| {});
        check(&[("hemostat.enable", "false")], 0, |container| container.enabled = false);
        check(&[("hemostat.mode", "Observe")], 0, |container| container.mode = Mode::Observe);
        check(&[("hemostat.mode", "approve")], 0, |container| container.mode = Mode::Approve);
        check(&[("hemostat.actions", "restart, stop")], 0, |container| {
            container.remedies = [RemedyKind::Restart, RemedyKind::Stop].into();
        });
        check(&[("hemostat.actions", "")], 0, |container| container.remedies.clear());
        check(&[("hemostat.cooldown", "1h 30m")], 0, |container| container.cooldown = Span::from_secs(5400));
        check(&[("hemostat.max_attempts", "0")], 0, |container| container.max_attempts = 0);
        check(&[("hemostat.max_retries", "2")], 0, |container| container.max_attempts = 2);
        check(&[("hemostat.max_retries", "2"), ("hemostat.max_attempts", "1")], 0, |container| {
            container.max_attempts = 1;
        });
        check(&[("hemostat.stop_timeout", "2m")], 0, |container| container.stop_timeout = Some(Span::from_secs(120)));
        check(&[("hemostat.thresholds.cpu", "92.5")], 0, |container| container.cpu = Percent::clamped(92.5));
        check(&[("hemostat.thresholds.memory", "70 %")], 0, |container| container.memory = Percent::clamped(70.0));
        check(&[("hemostat.for", "30")], 0, |container| {
            container.sustained = Span::from_secs(30);
            container.unhealthy = Span::from_secs(30);
        });
        check(&[("hemostat.grace", "2m")], 0, |container| container.grace = Span::from_secs(120));
        check(&[("hemostat.maintenance", "on")], 0, |container| container.maintenance = true);
    }

    #[test]
    fn labels_of_autoheal_and_deunhealth_keep_their_meaning() {
        check(&[("autoheal", "true")], 0, |_| {});
        for no in ["false", "False", "FALSE"] {
            check(&[("autoheal", no)], 0, |container| container.enabled = false);
        }
        check(&[("autoheal.stop.timeout", "20")], 0, |container| container.stop_timeout = Some(Span::from_secs(20)));
        check(&[("deunhealth.restart.on.unhealthy", "false")], 0, |container| container.enabled = false);
    }

    #[test]
    fn hemostats_own_label_wins_over_that_of_another_tool() {
        check(&[("autoheal", "false"), ("hemostat.enable", "true")], 0, |_| {});
        check(&[("autoheal", "true"), ("hemostat.enable", "false")], 0, |container| container.enabled = false);
        check(&[("autoheal.stop.timeout", "20"), ("hemostat.stop_timeout", "5s")], 0, |container| {
            container.stop_timeout = Some(Span::from_secs(5));
        });
    }

    #[test]
    fn an_invalid_label_is_a_fault_and_grants_no_permission() {
        check(&[("hemostat.enable", "maybe")], 1, |container| container.mode = Mode::Observe);
        check(&[("autoheal", "")], 1, |container| container.mode = Mode::Observe);
        check(&[("hemostat.mode", "automatic")], 1, |container| container.mode = Mode::Observe);
        check(&[("hemostat.mode", "auto"), ("hemostat.enable", "maybe")], 1, |container| {
            container.mode = Mode::Observe
        });
        check(&[("hemostat.actions", "restart, reboot")], 1, |container| container.remedies.clear());
        check(&[("hemostat.maintenance", "tonight")], 1, |container| container.maintenance = true);
    }

    #[test]
    fn an_invalid_number_leaves_the_default_in_place() {
        for (label, text) in [
            ("hemostat.cooldown", "soon"),
            ("hemostat.cooldown", "-1h"),
            ("hemostat.max_attempts", "three"),
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
    fn a_fault_names_the_label_its_value_and_what_would_be_valid() {
        let container =
            apply_labels(&ContainerPolicy::default(), &[("hemostat.mode".to_owned(), "sleep".to_owned())].into());
        assert_eq!(container.faults, [r#"label hemostat.mode="sleep" is not observe, approve or auto"#]);
    }
}
