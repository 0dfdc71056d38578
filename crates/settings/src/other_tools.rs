//! The environment variables of autoheal and Watchtower, beside or in place of which people run HemoStat: each has an
//! effect here, or a warning at the start says what replaces it. autoheal's DOCKER_SOCK is another name of `docker.host`.

use crate::variables::Variables;

const AUTOHEAL: &str = "AUTOHEAL_";
const WATCHTOWER: &str = "WATCHTOWER_";
const LABEL: &str = "AUTOHEAL_CONTAINER_LABEL";

/// autoheal's variables, and what replaces each.
const REPLACED: [(&str, &str); 4] = [
    (
        "AUTOHEAL_INTERVAL",
        "Docker tells HemoStat at once that a container is unhealthy (thresholds.unhealthy_for delays it)",
    ),
    ("AUTOHEAL_START_PERIOD", "thresholds.grace is how long after its creation a container may be unwell"),
    (
        "AUTOHEAL_DEFAULT_STOP_TIMEOUT",
        "a container stops within its own stop timeout, or that of the label hemostat.stop_timeout on it",
    ),
    (
        "AUTOHEAL_ONLY_MONITOR_RUNNING",
        "responder.actions says what HemoStat may do, and the label hemostat.enable=false excludes a container",
    ),
];

/// Names that other programs have as well: they count only beside a variable of autoheal.
const SHARED: [(&str, &str); 5] = [
    ("WEBHOOK_URL", ALERTS),
    ("WEBHOOK_JSON_KEY", ALERTS),
    ("APPRISE_URL", ALERTS),
    ("POST_RESTART_SCRIPT", "HemoStat runs no scripts; every restart is an event of its API"),
    ("CURL_TIMEOUT", "docker.timeout is how long Docker may take to answer"),
];
const ALERTS: &str = "alerts.slack_webhook_url is where HemoStat sends alerts";

/// What has no effect, a line each.
pub(crate) fn warnings(variables: &Variables) -> Vec<String> {
    let of = |prefix: &'static str| variables.set().filter(move |(name, _)| name.starts_with(prefix));
    let mut warnings = vec![];
    for (name, value) in of(AUTOHEAL) {
        if name == LABEL {
            if value != "all" {
                warnings.push(format!(
                    "the environment variable {LABEL} of autoheal has no effect: HemoStat heals all containers, not only \
                     those with that label, unless monitor.only or labels (autoheal=false, hemostat.enable=false) say \
                     otherwise; autoheal=true needs no change"
                ));
            }
            continue;
        }
        let why =
            REPLACED.iter().find(|(known, _)| *known == name).map_or("HemoStat has no such setting", |(_, why)| why);
        warnings.push(no_effect(name, "autoheal", why));
    }
    if of(AUTOHEAL).next().is_some() {
        let set = SHARED.iter().filter(|(name, _)| variables.get(name).is_some());
        warnings.extend(set.map(|(name, why)| no_effect(name, "autoheal", why)));
    }
    let watchtower: Vec<_> = of(WATCHTOWER).map(|(name, _)| name).collect();
    match watchtower.as_slice() {
        [] => {}
        [name] => warnings.push(no_effect(name, "Watchtower", NO_UPDATES)),
        names => warnings
            .push(format!("the environment variables {} of Watchtower have no effect: {NO_UPDATES}", names.join(", "))),
    }
    warnings
}

const NO_UPDATES: &str = "HemoStat does not update images; leave that to Watchtower";

fn no_effect(name: &str, tool: &str, why: &str) -> String {
    format!("the environment variable {name} of {tool} has no effect: {why}")
}

#[cfg(test)]
mod tests {
    use crate::tests::load;

    #[test]
    fn a_variable_of_another_tool_has_an_effect_or_one_warning_that_names_it() {
        for (environment, warned) in [
            (vec![("AUTOHEAL_INTERVAL", "5")], vec![vec!["AUTOHEAL_INTERVAL ", "thresholds.unhealthy_for"]]),
            (vec![("AUTOHEAL_START_PERIOD", "60")], vec![vec!["AUTOHEAL_START_PERIOD ", "thresholds.grace"]]),
            (vec![("AUTOHEAL_DEFAULT_STOP_TIMEOUT", "10")], vec![vec!["hemostat.stop_timeout"]]),
            (vec![("AUTOHEAL_ONLY_MONITOR_RUNNING", "true")], vec![vec!["responder.actions"]]),
            (vec![("AUTOHEAL_NEW", "1")], vec![vec!["AUTOHEAL_NEW ", "no such setting"]]),
            (vec![("AUTOHEAL_CONTAINER_LABEL", "all")], vec![]),
            (vec![("AUTOHEAL_CONTAINER_LABEL", "autoheal")], vec![vec!["heals all containers", "monitor.only"]]),
            (
                vec![("AUTOHEAL_CONTAINER_LABEL", "all"), ("WEBHOOK_URL", "https://s3cret"), ("CURL_TIMEOUT", "30")],
                vec![vec!["WEBHOOK_URL ", "alerts.slack_webhook_url"], vec!["CURL_TIMEOUT ", "docker.timeout"]],
            ),
            (vec![("WEBHOOK_URL", "https://s3cret"), ("CURL_TIMEOUT", "30"), ("AUTOHEAL_INTERVAL", "")], vec![]),
            (vec![("WATCHTOWER_CLEANUP", "true")], vec![vec!["variable WATCHTOWER_CLEANUP of", "does not update"]]),
            (
                vec![("WATCHTOWER_CLEANUP", "true"), ("WATCHTOWER_POLL_INTERVAL", "60")],
                vec![vec!["WATCHTOWER_CLEANUP, WATCHTOWER_POLL_INTERVAL of Watchtower have"]],
            ),
            (vec![("DOCKER_SOCK", "/var/run/docker.sock")], vec![]),
        ] {
            let config = load("", &environment, &[]).unwrap();
            assert_eq!(config.warnings().len(), warned.len(), "{environment:?}: {:?}", config.warnings());
            for (warning, parts) in config.warnings().iter().zip(warned) {
                assert!(parts.iter().all(|part| warning.contains(part)), "{environment:?}: {warning}");
                assert!(!warning.contains("s3cret"), "{warning}");
            }
        }
        let sock = |environment: &[(&str, &str)]| load("", environment, &[]).unwrap().docker.host.clone();
        assert_eq!(sock(&[("DOCKER_SOCK", "/a.sock")]).as_deref(), Some("/a.sock"));
        assert_eq!(sock(&[("DOCKER_SOCK", "/a.sock"), ("DOCKER_HOST", "unix:///b")]).as_deref(), Some("unix:///b"));
    }
}
