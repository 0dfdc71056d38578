use secrecy::ExposeSecret as _;

use super::*;
use crate::{
    Config,
    tests::{load, shown},
};

const OPS: &str = "[[alerts.channels]]\nname = \"ops\"\nkind = \"slack\"\n";
const URL: &str = "url = \"https://hooks.example/SECRET\"\n";

/// Name, address and severity of each channel.
fn all(config: &Config) -> Vec<(String, String, Severity)> {
    let channel = |of: Channel| (of.name, of.url.current().expose_secret().to_owned(), of.severity);
    config.alerts.all_channels().into_iter().map(channel).collect()
}

fn one(name: &str, url: &str, severity: Severity) -> (String, String, Severity) {
    (name.to_owned(), url.to_owned(), severity)
}

#[test]
fn a_channel_has_its_own_table_and_the_old_key_is_the_channel_slack() {
    let old = "alerts.slack_webhook_url = \"https://hooks.example/OLD\"\n";
    let config = load(&format!("{old}{OPS}{URL}severity = \"critical\"\n"), &[], &[]).unwrap();
    assert_eq!(
        all(&config),
        [
            one("slack", "https://hooks.example/OLD", Severity::Low),
            one("ops", "https://hooks.example/SECRET", Severity::Critical),
        ]
    );
    assert_eq!(
        shown(&config, "alerts.channels"),
        "[{ name = \"ops\", kind = \"slack\", url = \"***\", severity = \"critical\" }]"
    );
    let config = load(old, &[], &[]).unwrap();
    assert_eq!(all(&config), [one("slack", "https://hooks.example/OLD", Severity::Low)]);
}

#[test]
fn an_address_may_be_in_a_file_a_variable_or_a_credential() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("alerts.channels.ops-2.url");
    std::fs::write(&path, "https://hooks.example/FILE\n").unwrap();
    let (file, directory) = (path.to_str().unwrap(), directory.path().to_str().unwrap());
    let entry = OPS.replace("ops", "ops-2");
    let variable = "HEMOSTAT_ALERTS__CHANNELS__OPS_2__URL";
    let of_file = format!("{variable}_FILE");
    for (entry, environment, url) in [
        (format!("{entry}url_file = {file:?}\n"), vec![], "FILE"),
        (entry.clone(), vec![(of_file.as_str(), file)], "FILE"),
        (entry.clone(), vec![("CREDENTIALS_DIRECTORY", directory)], "FILE"),
        (entry.clone(), vec![(variable, "https://hooks.example/VARIABLE")], "VARIABLE"),
        (format!("{entry}{URL}"), vec![(variable, "https://hooks.example/VARIABLE")], "VARIABLE"),
        (format!("{entry}{URL}"), vec![(variable, "")], "SECRET"),
        (
            String::new(),
            vec![("HEMOSTAT_ALERTS__CHANNELS", "ops-2=slack"), (variable, "https://hooks.example/VARIABLE")],
            "VARIABLE",
        ),
    ] {
        let config = load(&entry, &environment, &[]).unwrap();
        assert_eq!(all(&config), [one("ops-2", &format!("https://hooks.example/{url}"), Severity::Low)], "{entry}");
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
    }
    let config = load(&entry, &[(variable, "https://hooks.example/VARIABLE")], &[]).unwrap();
    let origin = config.shown().into_iter().find(|shown| shown.key == "alerts.channels").unwrap().origin.to_string();
    assert!(
        origin.ends_with(
            "hemostat.toml; alerts.channels.ops-2.url: environment variable HEMOSTAT_ALERTS__CHANNELS__OPS_2__URL"
        ),
        "{origin}"
    );
    let twice = [(variable, "https://hooks.example/VARIABLE"), ("CREDENTIALS_DIRECTORY", directory)];
    let error = load(&entry, &twice, &[]).unwrap_err().to_string();
    assert!(error.contains("alerts.channels.ops-2.url is set twice"), "{error}");
    let config = load(&format!("{OPS}{URL}"), &[("HEMOSTAT_ALERTS__CHANNELS__OSP__URL", "x")], &[]).unwrap();
    let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
    assert!(warning.ends_with("did you mean HEMOSTAT_ALERTS__CHANNELS__OPS__URL?"), "{warning}");
}

#[test]
fn an_entry_that_cannot_work_is_refused_with_what_would_be_right_and_without_its_address() {
    let twice = format!("{OPS}{URL}{OPS}{URL}");
    let taken = format!("alerts.slack_webhook_url = \"https://hooks.example/OLD\"\n{OPS}{URL}").replace("ops", "slack");
    for (file, says) in [
        (OPS.to_owned(), "a web address as url (or its file as url_file) of the channel ops"),
        (format!("{OPS}url = \"SECRET\"\n"), "a web address as url"),
        (format!("{OPS}url = 7\n"), "alerts.channels[0].url = *** (from"),
        (format!("{OPS}{URL}url_file = \"/nowhere/at/all\"\n"), "could not read alerts.channels"),
        (format!("{OPS}{URL}severty = \"high\"\n"), "there is no key alerts.channels[0].severty"),
        (format!("{OPS}{URL}severty = \"high\"\n"), "did you mean severity?"),
        (format!("{OPS}{URL}severity = \"grave\"\n"), "alerts.channels[0].severity = \"grave\""),
        (format!("{OPS}{URL}").replace("\"slack\"", "\"pager\""), "one of \"slack\""),
        (format!("{OPS}{URL}").replace("ops", "Ops!"), "a name of 1 to 32 lower-case letters"),
        (OPS.replace("kind = \"slack\"", "") + URL, "alerts.channels[0].kind"),
        (twice, "a name that no other channel has"),
        (taken, "another name than \"slack\""),
        (format!("[alerts.channels]\n{URL}"), "tables [[alerts.channels]]"),
    ] {
        let error = load(&file, &[], &[]).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("SECRET"), "{file}: {error}");
    }
}
