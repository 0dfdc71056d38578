//! The environment as HemoStat reads it.
//!
//! - `docker run --env-file` and lists in Compose files keep quotes around a value: one matching pair is stripped.
//! - Kubernetes and Docker inject variables for the services that a container may call: `REDIS_PORT=tcp://10.0.0.1:6379`,
//!   and for a service called `hemostat` names with HemoStat's own prefix. They are no settings and are left out.

use crate::section::PREFIX;

/// The variables that may be settings. Names can repeat; the first value that is not empty counts.
#[derive(Debug, Default)]
pub(crate) struct Variables(Vec<(String, String)>);

impl Variables {
    pub fn new(environment: &[(String, String)]) -> Self {
        let settings = environment.iter().filter(|(name, value)| !is_injected(name, value));
        Self(settings.map(|(name, value)| (name.clone(), unquoted(value).to_owned())).collect())
    }

    /// The value of a variable that is set and not empty: Compose passes a variable that is not set as an empty one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.set().find(|(is, _)| *is == name).map(|(_, value)| value)
    }

    /// The variables that are set and not empty.
    pub fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(_, value)| !value.is_empty())
    }

    /// The names of all variables, also of empty ones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// `value` without blanks around it and without one pair of quotes around the whole.
pub(crate) fn unquoted(value: &str) -> &str {
    let value = value.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        // `"a","b"` is no pair around the whole.
        (!inner.contains(quote)).then(|| inner.trim())
    });
    inner.unwrap_or(value)
}

/// Whether an orchestrator sets this variable for a service: the port of any service as an address, or one of the other
/// names that a service called `hemostat` or `hemostat-...` gets.
fn is_injected(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.trim().starts_with(scheme));
    if name.ends_with("_PORT") && is_address {
        return true;
    }
    let Some(service) = name.strip_prefix(PREFIX).map(|rest| format!("_{rest}")).filter(|rest| !rest.contains("__"))
    else {
        return false;
    };
    service.contains("_SERVICE_") || service.contains("_PORT_")
}

#[cfg(test)]
mod tests {
    use crate::tests::load;

    #[test]
    fn one_pair_of_quotes_around_a_whole_value_is_stripped() {
        for (value, read) in [
            ("\"a\"", "a"),
            ("'a'", "a"),
            (" \" a \" ", "a"),
            ("\"\"", ""),
            ("\"a'", "\"a'"),
            ("\"a", "\"a"),
            ("\"a\",\"b\"", "\"a\",\"b\""),
            ("''a''", "''a''"),
            ("\"", "\""),
            ("a\"b\"c", "a\"b\"c"),
            ("\"it's\"", "it's"),
        ] {
            assert_eq!(super::unquoted(value), read, "{value}");
        }
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("key");
        std::fs::write(&key, "s3cret").unwrap();
        let quoted = format!("\"{}\"", key.display());
        let environment = [
            ("MONITOR_CONTAINER_BLACKLIST", "\"db-*,cache\""),
            ("RESPONDER_DRY_RUN", "'true'"),
            ("HEMOSTAT_RESPONDER__COOLDOWN", "\"5m\""),
            ("THRESHOLD_CPU_PERCENT", "\"\""),
            ("REDIS_HOST", "\"redis\""),
            ("OPENAI_API_KEY_FILE", &quoted),
        ];
        let config = load("", &environment, &[]).unwrap();
        assert_eq!(config.monitor.exclude, ["db-*", "cache"]);
        assert!(config.responder.dry_run && config.analyzer.openai_api_key.is_some() && config.redis.url.is_some());
        assert_eq!(config.responder.cooldown, hemostat_schema::Span::from_secs(300));
    }

    #[test]
    fn variables_that_an_orchestrator_injects_are_no_settings() {
        let injected = [
            ("REDIS_PORT", "tcp://10.0.0.1:6379"),
            ("METRICS_PORT", "tcp://10.0.0.1:9090"),
            ("DASHBOARD_PORT", "tcp://10.0.0.1:80"),
            ("HEMOSTAT_PORT", "tcp://10.0.0.1:8501"),
            ("HEMOSTAT_PORT_8501_TCP", "tcp://10.0.0.1:8501"),
            ("HEMOSTAT_PORT_8501_TCP_ADDR", "10.0.0.1"),
            ("HEMOSTAT_PORT_8501_TCP_PORT", "8501"),
            ("HEMOSTAT_PORT_8501_TCP_PROTO", "tcp"),
            ("HEMOSTAT_SERVICE_HOST", "10.0.0.1"),
            ("HEMOSTAT_SERVICE_PORT", "8501"),
            ("HEMOSTAT_SERVICE_PORT_HTTP", "8501"),
            ("HEMOSTAT_API_PORT", "tcp://10.0.0.1:8501"),
            ("HEMOSTAT_API_PORT_53_UDP", "udp://10.0.0.1:53"),
            ("HEMOSTAT_API_SERVICE_HOST", "10.0.0.1"),
        ];
        // ZAP_PORT is of Python HemoStat, if anything proves that there is one.
        let environment: Vec<_> = injected.into_iter().chain([("ZAP_PORT", "8080")]).collect();
        let config = load("", &environment, &[]).unwrap();
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
        let plain = load("", &[], &[]).unwrap();
        assert_eq!(format!("{:?}", config.shown()), format!("{:?}", plain.shown()));
        let beside: Vec<_> = injected.into_iter().chain([("RESPONDER_DRY_RUN", "false")]).collect();
        let config = load("", &beside, &[]).unwrap();
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
        assert_eq!((config.runtime.health_listen, config.query.listen), (None, plain.query.listen));
        let own = load("", &[("HEMOSTAT_PORT", "8501")], &[]).unwrap();
        assert_eq!(own.warnings().len(), 1, "a person wrote that: {:?}", own.warnings());
    }
}
