use std::{collections::BTreeSet, fs, time::Duration};

use hemostat_core::policy::{Mode, Model, NamePatterns, Opinion, Policy, RemedyKind};
use hemostat_schema::{Percent, Span};
use secrecy::ExposeSecret as _;

use super::*;

const EXAMPLE: &str = include_str!("../../../hemostat.example.toml");
const ENVIRONMENT_EXAMPLE: &str = include_str!("../../../.env.example");

/// A configuration from a file's text, the environment and the command line.
pub(crate) fn load(file: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Result<Config, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hemostat.toml");
    fs::write(&path, file).unwrap();
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let (environment, overrides) = (owned(environment), owned(overrides));
    Config::load(&Input { file: Some(path), environment, overrides, ..Input::default() })
}

/// The value of a key, as it is shown.
pub(crate) fn shown(config: &Config, key: &str) -> String {
    config.shown().into_iter().find(|shown| shown.key == key).unwrap().value
}

fn values(config: &Config) -> Vec<(&'static str, String)> {
    config.shown().into_iter().map(|shown| (shown.key, shown.value)).collect()
}

/// The example with every setting in force.
fn uncommented() -> String {
    EXAMPLE.lines().filter(|line| !line.starts_with("##")).fold(String::new(), |text, line| {
        let setting = line.strip_prefix("# ").filter(|line| line.starts_with('[') || line.contains(" = "));
        text + setting.unwrap_or_default() + "\n"
    })
}

#[test]
fn the_example_names_every_key_with_its_default() {
    let config = load(&uncommented(), &[], &[]).unwrap();
    assert_eq!(values(&config), values(&Config::default()));
    for Shown { key, origin, .. } in config.shown() {
        assert!(matches!(origin, Origin::File(_)), "{key} is missing in the example");
    }
    let untouched = load(EXAMPLE, &[], &[]).unwrap();
    assert!(untouched.shown().iter().all(|shown| shown.origin == Origin::Default), "the example sets something");
}

#[test]
fn the_defaults_of_the_configuration_are_those_of_the_policy() {
    let ours = Config::default().policy();
    let theirs = Policy::default();
    let without_names = |policy: &Policy| {
        format!("{:?}", Policy { exclude: NamePatterns::default(), only: NamePatterns::default(), ..policy.clone() })
    };
    assert_eq!(without_names(&ours), without_names(&theirs));
    assert!(ours.exclude.contains("hemostat-redis") && !ours.exclude.contains("api-1"));
}

#[test]
fn an_earlier_name_of_a_key_still_works_and_the_present_one_wins() {
    const OLD: (&str, &str) = ("HEMOSTAT_RESPONDER__MAX_RETRIES_PER_HOUR", "7");
    let check = |file: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)], attempts: u32| {
        let config = load(file, environment, overrides).unwrap();
        assert_eq!(config.responder.max_attempts, attempts, "{file:?} {environment:?} {overrides:?}");
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
    };
    let (old, new) = ("responder.max_retries_per_hour", "responder.max_attempts");
    check("[responder]\nmax_retries_per_hour = 7", &[], &[], 7);
    check("", &[OLD], &[], 7);
    check("", &[], &[(old, "7")], 7);
    check("[responder]\nmax_attempts = 2\nmax_retries_per_hour = 7", &[], &[], 2);
    check("", &[OLD, ("HEMOSTAT_RESPONDER__MAX_ATTEMPTS", "2")], &[], 2);
    check("", &[], &[(new, "2"), (old, "7")], 2);
    check("[responder]\nmax_attempts = 2", &[OLD], &[], 7);
    let error = load("", &[], &[("REDIS_URL", "redis://r")]).unwrap_err().to_string();
    assert!(error.contains("REDIS_URL"), "a variable is no key: {error}");
}

#[test]
fn the_environment_example_names_only_variables_that_mean_something() {
    let pairs: Vec<(&str, &str)> = ENVIRONMENT_EXAMPLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .collect();
    let known: BTreeSet<String> = Config::keys()
        .iter()
        .flat_map(|key| {
            let files = key.variables().filter(|_| key.secret).map(|name| format!("{name}_FILE"));
            key.variables().chain(files).collect::<Vec<_>>()
        })
        .collect();
    for (name, _) in &pairs {
        assert!(known.contains(*name), "{name}");
    }
    assert_eq!(values(&load("", &pairs, &[]).unwrap()), values(&Config::default()), "its values are the defaults");
}

#[test]
fn later_sources_win_and_each_value_knows_where_it_is_from() {
    let file = "[responder]\ncooldown = \"1m\"\nstorm = 7\n[thresholds]\nfor = \"2m\"";
    let environment = [
        ("HEMOSTAT_RESPONDER__COOLDOWN", "2m"),
        ("RESPONDER_COOLDOWN_SECONDS", "30"),
        ("THRESHOLD_CPU_PERCENT", "70.5"),
        ("AGENT_POLL_INTERVAL", "15"),
        ("RESPONDER_DRY_RUN", ""),
    ];
    let config = load(file, &environment, &[("responder.mode", "observe"), ("responder.actions", "start")]).unwrap();
    assert_eq!(config.responder.cooldown, Span::from_secs(120), "our own name wins over the older one");
    assert_eq!(config.responder.storm, 7);
    assert_eq!(config.thresholds.sustained, Span::from_secs(120));
    assert_eq!(config.thresholds.cpu_percent, Percent::clamped(70.5));
    assert_eq!(config.monitor.interval, Duration::from_secs(15));
    assert!(!config.responder.dry_run, "an empty variable sets nothing");
    assert_eq!(config.responder.mode, Mode::Observe);
    assert_eq!(config.responder.actions, BTreeSet::from([RemedyKind::Start]));

    let origin = |key| config.shown().into_iter().find(|shown| shown.key == key).unwrap().origin.to_string();
    assert_eq!(origin("responder.cooldown"), "environment variable HEMOSTAT_RESPONDER__COOLDOWN");
    assert_eq!(origin("monitor.interval"), "environment variable AGENT_POLL_INTERVAL");
    assert!(origin("responder.storm").ends_with("hemostat.toml"));
    assert_eq!(origin("responder.mode"), "command line");
    assert_eq!(origin("responder.window"), "default");
}

#[test]
fn a_bad_value_is_refused_with_key_value_origin_and_what_would_be_right() {
    let check = |file: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)], says: &[&str]| {
        let error = load(file, environment, overrides).unwrap_err().to_string();
        for part in says {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    };
    check(
        "[responder]\ncooldown = \"soon\"",
        &[],
        &[],
        &["responder.cooldown", "\"soon\"", "hemostat.toml", "\"1h30m\""],
    );
    check("[responder]\ncooldown = true", &[], &[], &["responder.cooldown = true", "a time such as"]);
    check(
        "",
        &[("RESPONDER_COOLDOWN_SECONDS", "soon")],
        &[],
        &["responder.cooldown", "variable RESPONDER_COOLDOWN_SECONDS"],
    );
    check("", &[("THRESHOLD_CPU_PERCENT", "120")], &[], &["thresholds.cpu_percent", "120", "from 0 to 100"]);
    check(
        "",
        &[],
        &[("responder.mode", "yolo")],
        &["responder.mode", "\"yolo\"", "command line", "\"observe\", \"approve\""],
    );
    check("", &[], &[("responder.dry_run", "maybe")], &["true or false"]);
    check("", &[], &[("query.listen", "8501")], &["query.listen", "127.0.0.1:8501"]);
    check("", &[], &[("monitor.exclude", "a[")], &["monitor.exclude", "list of names"]);
    check(
        "",
        &[("MONITOR_CONTAINER_BLACKLIST", "\"a\",\"b\"")],
        &[],
        &["monitor.exclude", "variable MONITOR_CONTAINER_BLACKLIST", "without quotes", "\\\"a\\\""],
    );
    check("", &[], &[("monitor.only", "a,b c")], &["monitor.only = \"a,b c\"", "\"b c\"", "separated by commas"]);
    check("[monitor]\nlog_lines = 5.0", &[], &[], &["monitor.log_lines = 5.0", "whole number"]);
    check("[monitor]\nredact = [\"(\"]", &[], &[], &["monitor.redact", "a list of regular expressions"]);
    check("", &[], &[("monitor.redact", "a*")], &["monitor.redact", "a*", "empty text"]);
    check("", &[], &[("monitor.log_lines", "1001")], &["monitor.log_lines = 1001", "at most 1000"]);
    check("", &[], &[("runtime.lease_ttl", "10ms")], &["runtime.lease_ttl", "at least 1.0 s"]);
    check("", &[], &[("thresholds.flaps", "1")], &["thresholds.flaps = 1", "2 to 64"]);
    check("", &[], &[("thresholds.flaps", "65")], &["thresholds.flaps = 65", "2 to 64"]);
    check("", &[], &[("thresholds.leak_over", "10ms")], &["thresholds.leak_over", "at least 1.0 s"]);
    check("", &[], &[("responder.storm", "0")], &["responder.storm = 0", "at least 1"]);
    check("", &[], &[("analyzer.mode", "model")], &["analyzer.mode = \"model\"", "AI_MODEL"]);
    check("", &[], &[("analyzer.timeout", "0s")], &["analyzer.timeout", "at least 1 s"]);
    check("", &[], &[("analyzer.dollars_per_hour", "2")], &["analyzer.dollars_per_hour = 2", "analyzer.price_in"]);
    check("", &[("OPENAI_BASE_URL", "me:s3cret@host")], &[], &["analyzer.openai_base_url = ***", "http://localhost"]);
    check("", &[], &[("log_level", "loud")], &["log_level", "\"loud\"", "command line", "error, warn, info"]);
    check("[responder", &[], &[], &["could not read the configuration file", "hemostat.toml"]);
    check("responder = 3", &[], &[], &["there is no key responder"]);
}

#[test]
fn diagnoses_wait_for_examinations_only_where_there_are_any() {
    let waits = |overrides: &[(&str, &str)]| load("", &[], overrides).unwrap().policy().examine_within;
    assert_eq!(waits(&[]), Span::from_secs(5));
    assert_eq!(waits(&[("analyzer.examine_within", "2s")]), Span::from_secs(2));
    assert_eq!(waits(&[("monitor.examine", "false")]), Span::ZERO);
}

#[test]
fn a_model_has_the_say_that_the_mode_gives_it_by_the_api_that_its_name_tells() {
    let asked = |mode: &str, model: &str, provider: &str| {
        let settings = [("analyzer.mode", mode), ("analyzer.model", model), ("analyzer.provider", provider)];
        load("", &[], &settings).unwrap().policy().opinion
    };
    let model = |provider: &str, name: &str| Model { provider: provider.to_owned(), name: name.to_owned() };
    assert_eq!(asked("rules", "gpt-4o", ""), Opinion::Rules);
    assert_eq!(asked("model", "gpt-4o", ""), Opinion::Decides(model("openai", "gpt-4o")));
    assert_eq!(asked("both", "Claude-Haiku-4-5", ""), Opinion::Shadows(model("anthropic", "Claude-Haiku-4-5")));
    assert_eq!(asked("model", "claude-3", "openai"), Opinion::Decides(model("openai", "claude-3")));
    assert_eq!(asked("model", "qwen3:4b", "anthropic"), Opinion::Decides(model("anthropic", "qwen3:4b")));
}

#[test]
fn a_key_that_does_not_exist_is_refused_with_the_one_that_was_meant() {
    for (key, near) in [
        ("responder.cooldwn", Some("responder.cooldown")),
        ("cooldown", Some("responder.cooldown")),
        ("thresholds.cpu", Some("thresholds.cpu_percent")),
        ("weather.forecast", None),
    ] {
        match load("", &[], &[(key, "1h")]).unwrap_err() {
            Error::Unknown { key: said, near: said_near, .. } => {
                assert_eq!((said.as_str(), said_near.as_deref()), (key, near));
            }
            other => panic!("{key}: {other}"),
        }
    }
    let error = load("[responder]\ncool_down = \"1h\"", &[], &[]).unwrap_err().to_string();
    assert!(error.contains("responder.cool_down") && error.contains("did you mean responder.cooldown?"), "{error}");
}

#[test]
fn an_unknown_variable_of_ours_is_told_but_not_refused() {
    let config =
        load("", &[("HEMOSTAT_RESPONDER_COOLDOWN", "1h"), (FILE_VARIABLE, "x"), ("PATH", "/bin")], &[]).unwrap();
    assert_eq!(config.warnings().len(), 1, "{:?}", config.warnings());
    assert!(config.warnings()[0].contains("did you mean HEMOSTAT_RESPONDER__COOLDOWN?"), "{:?}", config.warnings());
}

#[test]
fn a_model_that_is_named_and_not_asked_is_told() {
    let told = |mode| load("", &[("AI_MODEL", "gpt-4")], &[("analyzer.mode", mode)]).unwrap().warnings().len();
    assert_eq!((told("rules"), told("both")), (1, 0));
}

#[test]
fn a_secret_is_never_shown() {
    let secrets = [
        ("REDIS_URL", "redis://me:s3cret@host"),
        ("REDIS_PASSWORD", "s3cret"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/s3cret"),
        ("OPENAI_API_KEY", "sk-s3cret"),
        ("ANTHROPIC_API_KEY", "sk-ant-s3cret"),
        ("OPENAI_BASE_URL", "https://me:s3cret@host/v1"),
    ];
    let config = load("", &secrets, &[]).unwrap();
    assert!(!format!("{config:?} {:?}", config.shown()).contains("s3cret"));
    assert_eq!(config.redis.password.as_ref().unwrap().current().expose_secret(), "s3cret");
    assert_eq!(values(&config).iter().filter(|(_, value)| value == "\"***\"").count(), 5);

    let error = load("[alerts]\nslack_webhook_url = [\"s3cret\"]", &[], &[]).unwrap_err().to_string();
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn a_secret_is_read_from_a_file_that_a_key_a_variable_or_systemd_names_and_read_again_at_each_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("redis.password");
    let text = path.to_str().unwrap();
    let in_file = format!("redis.password_file = {text:?}");
    let nothing: &[(&str, &str)] = &[];
    let cases = [
        (in_file.as_str(), nothing, nothing, "hemostat.toml"),
        ("", &[("REDIS_PASSWORD_FILE", text)], nothing, "environment variable REDIS_PASSWORD_FILE"),
        ("", &[("HEMOSTAT_REDIS__PASSWORD_FILE", text)], nothing, "variable HEMOSTAT_REDIS__PASSWORD_FILE"),
        (
            "",
            &[("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap())],
            nothing,
            "variable CREDENTIALS_DIRECTORY",
        ),
        ("", nothing, &[("redis.password_file", text)], "command line"),
        // A later source wins; an empty value sets nothing.
        (
            "redis.password = \"old\"",
            &[("REDIS_PASSWORD", ""), ("REDIS_PASSWORD_FILE", text)],
            nothing,
            "variable REDIS_",
        ),
        (&format!("redis.password = \"\"\n{in_file}"), nothing, nothing, "hemostat.toml"),
    ];
    for (file, environment, overrides, named_by) in cases {
        fs::write(&path, "s3cret\n").unwrap();
        let config = load(file, environment, overrides).unwrap();
        let password = || config.redis.password.as_ref().unwrap().current().expose_secret().to_owned();
        assert_eq!(password(), "s3cret");
        fs::write(&path, "r0tated\n").unwrap();
        assert_eq!(password(), "r0tated");

        let Shown { value, origin, .. } =
            config.shown().into_iter().find(|shown| shown.key == "redis.password").unwrap();
        let origin = origin.to_string();
        assert_eq!(value, "\"***\"");
        assert!(origin.starts_with(text) && origin.contains(named_by), "{origin}");
        assert!(!format!("{config:?} {:?} {:?}", config.shown(), config.warnings()).contains("s3cret"));
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
    }
}

#[test]
fn a_file_of_a_secret_that_cannot_be_used_is_refused_with_key_path_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, empty) = (directory.path().join("missing"), directory.path().join("empty"));
    fs::write(&empty, "\n").unwrap();
    for (path, reason) in
        [(&missing, "No such file"), (&empty, "it is empty"), (&directory.path().to_owned(), "directory")]
    {
        let path = path.to_str().unwrap();
        let error = load("", &[("SLACK_WEBHOOK_URL_FILE", path)], &[]).unwrap_err().to_string();
        let parts =
            ["alerts.slack_webhook_url", path, "variable SLACK_WEBHOOK_URL_FILE", reason, "write the secret into"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let error = load("redis.password_file = 3", &[], &[]).unwrap_err().to_string();
    assert!(error.contains("redis.password_file = 3") && error.contains("a path"), "{error}");
    let error = load("", &[], &[("monitor.interval_file", "x")]).unwrap_err().to_string();
    assert!(error.contains("there is no key monitor.interval_file"), "only secrets are read from files: {error}");
}

#[test]
fn a_secret_that_one_source_sets_as_a_value_and_as_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("redis.password");
    fs::write(&path, "s3cret").unwrap();
    let (path, credentials) = (path.to_str().unwrap(), directory.path().to_str().unwrap());
    let file = format!("redis.password = \"s3cret\"\nredis.password_file = {path:?}");
    let nothing: &[(&str, &str)] = &[];
    for (file, environment, overrides) in [
        (file.as_str(), nothing, nothing),
        ("", &[("REDIS_PASSWORD", "s3cret"), ("REDIS_PASSWORD_FILE", path)], nothing),
        ("", &[("HEMOSTAT_REDIS__PASSWORD", "s3cret"), ("REDIS_PASSWORD_FILE", path)], nothing),
        ("", &[("REDIS_PASSWORD", "s3cret"), ("CREDENTIALS_DIRECTORY", credentials)], nothing),
        ("", &[("REDIS_PASSWORD_FILE", path), ("CREDENTIALS_DIRECTORY", credentials)], nothing),
        ("", nothing, &[("redis.password_file", path), ("redis.password", "s3cret")]),
    ] {
        let error = load(file, environment, overrides).unwrap_err().to_string();
        assert!(error.contains("redis.password is set twice") && error.contains(path), "{error}");
        assert!(!error.contains("s3cret\""), "{error}");
    }
}

#[test]
fn a_secret_address_that_cannot_work_is_refused_with_its_variable_and_is_not_repeated() {
    let encode = "/ is written %2F";
    for (environment, says) in [
        (vec![("REDIS_URL", "redis://me:s3cret@host:6379/0")], vec![]),
        (vec![("REDIS_URL", "redis://:s3cret%2F%23%40@host")], vec![]),
        (vec![("REDIS_URL", "unix:///run/a#b@c/redis.sock")], vec![]),
        (vec![("REDIS_URL", "redis-sentinel://me:s3cret@a,b/master")], vec![]),
        (vec![("REDIS_URL", "s3cret@host:6379")], vec!["variable REDIS_URL", "it has no scheme"]),
        (
            vec![("HEMOSTAT_REDIS__URL", "redis://host:s3cret")],
            vec!["variable HEMOSTAT_REDIS__URL", "port is not valid"],
        ),
        (vec![("REDIS_URL", "redis://:s3cret/x@host:6379")], vec!["variable REDIS_URL", encode]),
        (vec![("REDIS_URL", "redis://:s3cret#x@host:6379")], vec![encode]),
        (vec![("REDIS_URL", "redis://me:12#s3cret@host:6379")], vec!["not percent-encoded", encode]),
        (vec![("REDIS_URL", "redis://me:12/s3cret@host:6379")], vec![encode]),
        (vec![("REDIS_URL", "redis://me:s3cret@x@host:6379x")], vec![encode]),
        (vec![("REDIS_HOST", "redis"), ("REDIS_PORT", "many")], vec!["redis.url", "variable REDIS_PORT"]),
        (vec![("REDIS_HOST", "redis"), ("REDIS_DB", "first")], vec!["redis.url", "variable REDIS_DB"]),
        (vec![("REDIS_HOST", "redis:many")], vec!["redis.url", "variable REDIS_HOST"]),
        (vec![("REDIS_HOST", "http://redis")], vec!["variable REDIS_HOST", "scheme http is not supported"]),
        (
            vec![("SLACK_WEBHOOK_URL", "hooks.slack.com/services/s3cret")],
            vec!["alerts.slack_webhook_url", "variable SLACK_WEBHOOK_URL", "https://hooks.slack.com"],
        ),
        (vec![("SLACK_WEBHOOK_URL", "s3cret")], vec!["alerts.slack_webhook_url"]),
        (vec![("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/s3cret")], vec![]),
    ] {
        match load("", &environment, &[]) {
            Ok(_) => assert!(says.is_empty(), "{environment:?} is accepted"),
            Err(error) => {
                let error = error.to_string();
                let is_told = !says.is_empty() && says.iter().all(|part| error.contains(part));
                assert!(is_told && !error.contains("s3cret"), "{environment:?}: {error}");
            }
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file_and_a_name_that_begins_with_one_is_told() {
    let config = load("\u{feff}[responder]\nstorm = 7", &[("\u{feff}REDIS_URL", "redis://host")], &[]).unwrap();
    assert_eq!((config.responder.storm, config.redis.url.is_some()), (7, false));
    let [warning] = config.warnings() else { panic!("{:?}", config.warnings()) };
    assert!(warning.contains("variable REDIS_URL begins with a byte order mark"), "{warning}");
}

#[test]
fn a_variable_that_is_no_text_is_refused_if_it_is_a_setting_and_told_if_it_is_only_named_like_one() {
    let input = |name: &str| Input { unreadable: vec![name.to_owned()], ..Input::default() };
    for (name, key) in [
        ("HEMOSTAT_RESPONDER__COOLDOWN", "responder.cooldown"),
        ("REDIS_PASSWORD", "redis.password"),
        ("REDIS_PASSWORD_FILE", "redis.password"),
        ("DOCKER_HOST", "docker.host"),
    ] {
        let error = Config::load(&input(name)).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains(name) && error.contains("not UTF-8"), "{error}");
    }
    assert_eq!(Config::load(&input("HEMOSTAT_WEATHER")).unwrap().warnings().len(), 1);
    assert_eq!(Config::load(&input("LESSOPEN")).unwrap().warnings().len(), 0);
}
