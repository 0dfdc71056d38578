//! The environment variables of Python HemoStat that are not simply another name of a key: each has an effect here, or
//! a warning at the start says why it has none.
//!
//! Some of these names belong to other programs as well (METRICS_PORT, GRAFANA_ADMIN_USER): they count only beside a
//! variable that is unmistakably HemoStat's. REDIS_HOST counts always, like REDIS_URL, because a container that is given
//! only a Redis must find it.

use hemostat_schema::parse_switch;

use crate::{section::PREFIX, variables::Variables};

/// Names that no other program has. The prefix `HEMOSTAT_` counts as well.
const UNMISTAKABLE: [&str; 13] = [
    "AGENT_POLL_INTERVAL",
    "ANALYZER_CONFIDENCE_THRESHOLD",
    "ANALYZER_HISTORY_SIZE",
    "ANALYZER_HISTORY_TTL",
    "MONITOR_CONTAINER_BLACKLIST",
    "RESPONDER_COOLDOWN_SECONDS",
    "RESPONDER_DRY_RUN",
    "RESPONDER_ENFORCE_EXEC_ALLOWLIST",
    "RESPONDER_MAX_RETRIES_PER_HOUR",
    "RESPONDER_RETRY_DELAY",
    "RESPONDER_RETRY_MAX",
    "THRESHOLD_CPU_PERCENT",
    "THRESHOLD_MEMORY_PERCENT",
];

const RECONNECTS: &str = "HemoStat reconnects to Redis for as long as it runs, with growing pauses";
const DOCKER_CALLS: &str = "responder.max_attempts limits the attempts, and responder.backoff sets their pauses";
const HISTORY: &str =
    "HemoStat reads a container's history from its event log, and retention.diagnoses says how long it stays";
const DASHBOARD: &str = "HemoStat has an HTTP API (query.listen) in place of that dashboard";
const GRAFANA: &str = "HemoStat does not start Grafana; give the variable to Grafana itself";
const WORKER: &str = "`hemostat demo` starts test containers of its own";
const SCANNER: &str = "HemoStat does not scan for vulnerabilities";

/// Variables without an effect, and why.
const GONE: [(&str, &str); 24] = [
    (
        "REDIS_CLEAR_ON_STARTUP",
        "HemoStat never deletes its history at a start; the section [retention] says how long it stays",
    ),
    ("AGENT_RETRY_MAX", RECONNECTS),
    ("AGENT_RETRY_DELAY", RECONNECTS),
    ("RESPONDER_ENFORCE_EXEC_ALLOWLIST", "HemoStat runs no commands in containers"),
    ("RESPONDER_RETRY_MAX", DOCKER_CALLS),
    ("RESPONDER_RETRY_DELAY", DOCKER_CALLS),
    ("ANALYZER_HISTORY_SIZE", HISTORY),
    ("ANALYZER_HISTORY_TTL", HISTORY),
    ("ALERT_EVENT_TTL", "retention.alerts says how long alerts stay"),
    ("ALERT_MAX_EVENTS", "retention.max_events limits the number of events"),
    (
        "ALERT_DEDUPE_TTL",
        "HemoStat sends one alert when an incident begins and one when it ends, so there are no duplicates",
    ),
    ("DASHBOARD_REFRESH_INTERVAL", DASHBOARD),
    ("DASHBOARD_MAX_EVENTS", DASHBOARD),
    ("DASHBOARD_AUTO_REFRESH", DASHBOARD),
    ("GRAFANA_ADMIN_USER", GRAFANA),
    ("GRAFANA_ADMIN_PASSWORD", GRAFANA),
    ("WORKER_INTERVAL", WORKER),
    ("WORKER_SPIKE_PROBABILITY", WORKER),
    ("WORKER_SPIKE_DURATION", WORKER),
    ("ZAP_HOST", SCANNER),
    ("ZAP_PORT", SCANNER),
    ("VULNSCANNER_INTERVAL", SCANNER),
    ("VULNSCANNER_TIMEOUT", SCANNER),
    ("VULNSCANNER_MAX_TIME", SCANNER),
];

/// As [`GONE`], but a list of addresses.
const TARGETS: &str = "VULNSCANNER_TARGETS";

/// What these variables mean.
#[derive(Debug, Default)]
pub(crate) struct Translation {
    /// Keys with their values, and the variable that each comes from.
    pub values: Vec<(&'static str, String, &'static str)>,
    pub warnings: Vec<String>,
}

/// Translates Python HemoStat's variables among `variables`.
pub(crate) fn translate(variables: &Variables) -> Translation {
    let mut translation = Translation::default();
    let is_ours = |name: &str| name.starts_with(PREFIX) || UNMISTAKABLE.contains(&name);
    let is_hemostats = variables.set().any(|(name, _)| is_ours(name));
    redis(&mut translation, variables, is_hemostats);
    if !is_hemostats {
        return translation;
    }
    for (name, key) in [("DASHBOARD_PORT", "query.listen"), ("METRICS_PORT", "runtime.health_listen")] {
        if let Some(port) = variables.get(name) {
            // One that is not a port is refused by the key, with what would be right.
            translation.values.push((key, format!("127.0.0.1:{port}"), name));
        }
    }
    for (name, why) in GONE.into_iter().chain([(TARGETS, SCANNER)]) {
        if variables.get(name).is_some() {
            translation.warn(name, why);
        }
    }
    if variables.get("AI_FALLBACK_ENABLED").is_some_and(|value| parse_switch(value) != Ok(true)) {
        translation.warn("AI_FALLBACK_ENABLED", "the rules always decide if the language model fails");
    }
    translation
}

/// REDIS_HOST, REDIS_PORT and REDIS_DB as an address. REDIS_HOST may have the port as well, or be a whole address.
fn redis(translation: &mut Translation, variables: &Variables, is_hemostats: bool) {
    let (port, database) = (variables.get("REDIS_PORT"), variables.get("REDIS_DB"));
    match variables.get("REDIS_HOST") {
        Some(host) => {
            let is_whole = host.contains("://");
            let has_port = !is_whole && (host.contains("]:") || host.matches(':').count() == 1);
            let place = if has_port {
                host.to_owned()
            } else {
                let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
                let host = if is_bare_ipv6 { format!("[{host}]") } else { host.to_owned() };
                format!("{host}:{}", port.unwrap_or("6379"))
            };
            let address =
                if is_whole { host.to_owned() } else { format!("redis://{place}/{}", database.unwrap_or("0")) };
            let is_bad = |part: Option<&str>| !is_whole && part.is_some_and(|part| part.parse::<u16>().is_err());
            let origin = match () {
                () if !has_port && is_bad(port) => "REDIS_PORT",
                () if is_bad(database) => "REDIS_DB",
                () => "REDIS_HOST",
            };
            let repeats = |port: &str| host.ends_with(&format!(":{port}"));
            if (is_whole || has_port) && port.is_some_and(|port| !repeats(port)) {
                translation.warn("REDIS_PORT", "REDIS_HOST says the port already");
            }
            if is_whole && database.is_some() {
                translation.warn("REDIS_DB", "REDIS_HOST is a whole address; write the database at its end");
            }
            translation.values.push(("redis.url", address, origin));
        }
        None if is_hemostats => {
            for (name, _) in
                [("REDIS_PORT", port), ("REDIS_DB", database)].into_iter().filter(|(_, value)| value.is_some())
            {
                translation
                    .warn(name, "it belongs to REDIS_HOST, which is not set; REDIS_URL takes all three in one address");
            }
        }
        None => {}
    }
}

impl Translation {
    fn warn(&mut self, name: &str, why: &str) {
        self.warnings.push(format!("the environment variable {name} of Python HemoStat has no effect: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::{error::Origin, tests::load};

    /// Every variable of Python HemoStat, with a value that is not HemoStat's default.
    const ALL: [(&str, &str); 56] = [
        ("REDIS_HOST", "redis"),
        ("REDIS_PORT", "6380"),
        ("REDIS_DB", "1"),
        ("REDIS_PASSWORD", "s3cret"),
        ("REDIS_CLEAR_ON_STARTUP", "false"),
        ("LOG_LEVEL", "WARNING"),
        ("LOG_FORMAT", "json"),
        ("AGENT_RETRY_MAX", "3"),
        ("AGENT_RETRY_DELAY", "1"),
        ("AGENT_POLL_INTERVAL", "30"),
        ("THRESHOLD_CPU_PERCENT", "70"),
        ("THRESHOLD_MEMORY_PERCENT", "70"),
        ("MONITOR_CONTAINER_BLACKLIST", "db-*,cache"),
        ("DOCKER_HOST", "unix:///elsewhere.sock"),
        ("RESPONDER_COOLDOWN_SECONDS", "60"),
        ("RESPONDER_MAX_RETRIES_PER_HOUR", "5"),
        ("RESPONDER_DRY_RUN", "True"),
        ("RESPONDER_ENFORCE_EXEC_ALLOWLIST", "true"),
        ("RESPONDER_RETRY_MAX", "3"),
        ("RESPONDER_RETRY_DELAY", "1"),
        ("AI_MODEL", "lakhera2023/devops-slm"),
        ("AI_FALLBACK_ENABLED", "false"),
        ("OPENAI_API_KEY", "s3cret"),
        ("ANTHROPIC_API_KEY", "s3cret"),
        ("HUGGINGFACE_API_KEY", "s3cret"),
        ("HF_TOKEN", "s3cret"),
        ("HF_ENDPOINT_URL", "https://endpoint.example"),
        ("ANALYZER_CONFIDENCE_THRESHOLD", "0.9"),
        ("ANALYZER_HISTORY_SIZE", "10"),
        ("ANALYZER_HISTORY_TTL", "3600"),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/s3cret"),
        ("ALERT_ENABLED", "false"),
        ("ALERT_EVENT_TTL", "3600"),
        ("ALERT_MAX_EVENTS", "100"),
        ("ALERT_DEDUPE_TTL", "60"),
        ("METRICS_PORT", "9090"),
        ("DASHBOARD_PORT", "8502"),
        ("DASHBOARD_REFRESH_INTERVAL", "5"),
        ("DASHBOARD_MAX_EVENTS", "100"),
        ("DASHBOARD_AUTO_REFRESH", "true"),
        ("GRAFANA_ADMIN_USER", "admin"),
        ("GRAFANA_ADMIN_PASSWORD", "s3cret"),
        ("WORKER_INTERVAL", "60"),
        ("WORKER_SPIKE_PROBABILITY", "0.1"),
        ("WORKER_SPIKE_DURATION", "30"),
        ("ZAP_HOST", "zap"),
        ("ZAP_PORT", "8080"),
        ("VULNSCANNER_INTERVAL", "3600"),
        ("VULNSCANNER_TIMEOUT", "1800"),
        ("VULNSCANNER_MAX_TIME", "3600"),
        ("VULNSCANNER_TARGETS", "http://juice-shop:3000"),
        // Other forms of a value.
        ("AI_FALLBACK_ENABLED", "maybe"),
        ("LOG_LEVEL", "CRITICAL"),
        ("LOG_LEVEL", "DEBUG"),
        ("RESPONDER_DRY_RUN", "1"),
        ("ALERT_ENABLED", "no"),
    ];

    #[test]
    fn every_variable_of_python_hemostat_has_an_effect_or_a_warning_that_names_it() {
        for (name, value) in ALL {
            let ours = ("MONITOR_CONTAINER_BLACKLIST", "hemostat-*");
            let host = ("REDIS_HOST", if name == "REDIS_HOST" { value } else { "host" });
            let without = load("", &[ours, host], &[]).unwrap();
            let with = load("", &[(name, value), ours, host], &[]).unwrap();
            let plain = load("", &[], &[]).unwrap();
            let has_origin = with.shown().iter().any(|shown| shown.origin == Origin::Environment(name.to_owned()));
            let address = |config: &crate::Config| {
                config.redis.url.as_ref().map(|url| secrecy::ExposeSecret::expose_secret(&url.current()).to_owned())
            };
            let changes_address = match name {
                "REDIS_HOST" => address(&with) != address(&plain),
                _ => address(&with) != address(&without),
            };
            let warned = with.warnings().iter().any(|warning| warning.contains(&format!("variable {name} ")));
            assert!(has_origin || changes_address || warned, "{name}={value}: {:?}", with.warnings());
            assert!(!(has_origin && warned), "{name}={value} has an effect: {:?}", with.warnings());
            let shown = format!("{:?} {:?}", with.shown(), with.warnings());
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn the_parts_of_the_address_of_redis_are_put_together() {
        for (environment, address) in [
            (vec![("REDIS_HOST", "redis")], Some("redis://redis:6379/0")),
            (vec![("REDIS_HOST", "r"), ("REDIS_PORT", "6380"), ("REDIS_DB", "2")], Some("redis://r:6380/2")),
            (vec![("REDIS_HOST", "::1")], Some("redis://[::1]:6379/0")),
            (vec![("REDIS_HOST", "r"), ("REDIS_PORT", "tcp://10.0.0.1:6379")], Some("redis://r:6379/0")),
            (vec![("REDIS_HOST", "r"), ("REDIS_URL", "redis://other")], Some("redis://other")),
            (vec![("REDIS_HOST", "r:6380")], Some("redis://r:6380/0")),
            (vec![("REDIS_HOST", "r:6380"), ("REDIS_PORT", "6379"), ("REDIS_DB", "2")], Some("redis://r:6380/2")),
            (vec![("REDIS_HOST", "[::1]:6380")], Some("redis://[::1]:6380/0")),
            (vec![("REDIS_HOST", "[::1]"), ("REDIS_PORT", "6380")], Some("redis://[::1]:6380/0")),
            (vec![("REDIS_HOST", "redis://r:6380/1"), ("REDIS_PORT", "6380")], Some("redis://r:6380/1")),
            (vec![("REDIS_PORT", "tcp://10.0.0.1:6379")], None),
            (vec![("REDIS_DB", "0")], None),
        ] {
            let config = load("", &environment, &[]).unwrap();
            let url =
                config.redis.url.as_ref().map(|url| secrecy::ExposeSecret::expose_secret(&url.current()).to_owned());
            assert_eq!(url.as_deref(), address, "{environment:?}");
        }
    }

    #[test]
    fn names_that_other_programs_have_as_well_count_only_beside_one_of_hemostats() {
        let shared = [("METRICS_PORT", "9090"), ("DASHBOARD_PORT", "80"), ("ZAP_PORT", "1"), ("WORKER_INTERVAL", "1")];
        let config = load("", &shared, &[]).unwrap();
        assert!(config.warnings().is_empty() && config.runtime.health_listen.is_none(), "{:?}", config.warnings());
        let beside: Vec<_> = shared.into_iter().chain([("RESPONDER_DRY_RUN", "false")]).collect();
        let config = load("", &beside, &[]).unwrap();
        assert_eq!(config.warnings().len(), 2, "{:?}", config.warnings());
        assert_eq!(config.runtime.health_listen, Some(([127, 0, 0, 1], 9090).into()));
        assert_eq!(config.query.listen, ([127, 0, 0, 1], 80).into());
        let error = load("", &[("METRICS_PORT", "many"), ("RESPONDER_DRY_RUN", "false")], &[]).unwrap_err().to_string();
        assert!(error.contains("runtime.health_listen") && error.contains("variable METRICS_PORT"), "{error}");
    }

    #[test]
    fn a_model_with_a_slash_is_asked_through_hugging_face() {
        use crate::choices::ModelProvider::{Anthropic, HuggingFace, OpenAi};
        for (model, more, provider) in [
            ("lakhera2023/devops-slm", vec![], HuggingFace),
            ("gpt-4", vec![], OpenAi),
            ("claude-3-opus", vec![], Anthropic),
            ("meta-llama/Llama-3", vec![("OPENAI_BASE_URL", "http://localhost:8000/v1")], OpenAi),
            ("qwen3:4b", vec![("HEMOSTAT_ANALYZER__PROVIDER", "huggingface")], HuggingFace),
        ] {
            let environment: Vec<_> = std::iter::once(("AI_MODEL", model)).chain(more).collect();
            assert_eq!(load("", &environment, &[]).unwrap().analyzer.provider(), Some(provider), "{model}");
        }
        for (endpoint, url) in [
            ("", "https://router.huggingface.co/v1"),
            ("https://e.example/", "https://e.example/v1"),
            ("https://e.example/v1", "https://e.example/v1"),
        ] {
            assert_eq!(load("", &[("HF_ENDPOINT_URL", endpoint)], &[]).unwrap().analyzer.huggingface_url(), url);
        }
    }
}
