//! Every key of the configuration: its name, type, default, meaning, and the older names of its variable.
//!
//! One list makes the struct, its defaults, the keys and the reading, so that none can be forgotten in one of them.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use hemostat_core::policy::{Allowed, Mode, Tell};
use hemostat_log::Durability;
use hemostat_redact::Patterns;
use hemostat_schema::{Confidence, HostName, Percent, Span};
use secrecy::SecretString;

use super::{
    Dollars, Error, WebAddress,
    hosts::Hosts,
    setting::Setting,
    source::{Alias, Key, Sources},
};

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where containers' counters come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SampleSource {
    /// From the kernel's files where they can be read, and from the engine else.
    #[default]
    Auto,
    /// From the kernel's files alone.
    Cgroup,
    /// From the engine alone.
    Api,
}

/// Who concludes what is wrong with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagnosisBy {
    /// The rules alone.
    Rules,
    /// A language model; the rules where it fails.
    Model,
    /// The rules; a language model is asked as well, and compared with them.
    Both,
}

/// Whose API a language model is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelProvider {
    /// OpenAI's, which many servers speak.
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

impl ModelProvider {
    /// On the log: `openai`, `anthropic`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }
}

impl Analyzer {
    /// By whose API the model is asked; none where there is no model.
    pub fn provider(&self) -> Option<ModelProvider> {
        let model = self.model.as_ref()?;
        let is_claude = model.to_ascii_lowercase().starts_with("claude");
        Some(self.api.unwrap_or(if is_claude { ModelProvider::Anthropic } else { ModelProvider::OpenAi }))
    }
}

/// A group of keys that is read as one.
pub(super) trait Section: Sized + Default {
    /// Hands out every key.
    fn keys(each: &mut dyn FnMut(Key));
    /// Reads every key; one that no source sets keeps its default.
    fn read(sources: &Sources) -> Result<Self, Error>;
    /// Hands out every key with its value as it is written in a file.
    fn show(&self, each: &mut dyn FnMut(&'static str, String));
}

macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $field:ident: $type:ty = $default:expr, $key:literal $(, $alias:expr)* ; )*
        }
        $( nested { $( $(#[$inner_doc:meta])* $inner:ident: $section:ty ; )* } )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name {
            $( $(#[$doc])* pub $field: $type, )*
            $( $( $(#[$inner_doc])* pub $inner: $section, )* )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $( $inner: <$section>::default(), )* )? }
            }
        }

        impl Section for $name {
            fn keys(each: &mut dyn FnMut(Key)) {
                $( each(Key { name: $key, aliases: &[$( $alias ),*], secret: <$type as Setting>::SECRET }); )*
                $( $( <$section>::keys(each); )* )?
            }

            fn read(sources: &Sources) -> Result<Self, Error> {
                let default = Self::default();
                Ok(Self {
                    $( $field: sources.read($key)?.unwrap_or(default.$field), )*
                    $( $( $inner: <$section>::read(sources)?, )* )?
                })
            }

            fn show(&self, each: &mut dyn FnMut(&'static str, String)) {
                $( each($key, Setting::show(&self.$field)); )*
                $( $( self.$inner.show(each); )* )?
            }
        }
    };
}

/// In seconds.
const DAY: u64 = 86_400;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

section! {
    /// The whole configuration, section by section.
    Settings {
        /// The name of this host in events and in the API; the machine's own where it is none.
        host: Option<HostName> = None, "host";
        /// The Docker hosts that are watched; this one where it names none.
        hosts: Hosts = Hosts::default(), "hosts";
        /// Where the embedded Redis keeps its data; `$XDG_STATE_HOME/hemostat`, or `/var/lib/hemostat` for root, where
        /// it is none.
        data_dir: Option<PathBuf> = None, "data_dir";
        /// What is worth a line: error, warn, info, debug, trace, or directives as `tracing_subscriber::EnvFilter` reads.
        log_level: String = "info".into(), "log_level", Alias::Plain("LOG_LEVEL");
        /// How lines look.
        log_format: LogFormat = LogFormat::Text, "log_format", Alias::Plain("LOG_FORMAT");
    }
    nested {
        /// The event log.
        redis: Redis;
        /// History that is no longer on the log.
        archive: Archive;
        /// How long events stay on the log.
        retention: Retention;
        /// Proof that history is what it was.
        notary: Notary;
        /// The engine that is watched.
        docker: Docker;
        /// Looking.
        monitor: Monitor;
        /// What is too much.
        thresholds: Thresholds;
        /// Concluding.
        analyzer: Analyzer;
        /// Acting.
        responder: Responder;
        /// Telling people.
        alerts: Alerts;
        /// The API.
        query: Query;
        /// The process itself.
        runtime: Runtime;
    }
}

section! {
    /// The event log.
    Redis {
        /// Where it is; HemoStat starts a Redis of its own where it is none.
        url: Option<SecretString> = None, "redis.url", Alias::Plain("REDIS_URL");
        /// Its password, where it is not in the address.
        password: Option<SecretString> = None, "redis.password", Alias::Plain("REDIS_PASSWORD");
        /// A PEM file with the certificates to trust; the system's where it is none.
        ca_file: Option<PathBuf> = None, "redis.ca_file";
        /// The password of the sentinels, where they have one.
        sentinel_password: Option<SecretString> = None, "redis.sentinel_password";
        /// How safe an intent must be before HemoStat acts on it.
        durability: Durability = Durability::Always, "redis.durability";
        /// How long to wait for that before the act is refused.
        durable_within: Duration = secs(2), "redis.durable_within";
        /// Into how many partitions a new log is divided; as many as it has, or one for a new one, where it is none.
        partitions: Option<u16> = None, "redis.partitions";
    }
}

section! {
    /// History that is no longer on the log.
    Archive {
        /// Where it lies: a directory, `file://`, `s3://bucket/prefix`, or `none`; where it is not set, `archive` in the data
        /// directory of the embedded Redis, and none for any other.
        url: Option<String> = None, "archive.url";
        /// A segment is sealed when there are so many events of its family ...
        segment_events: u32 = 50_000, "archive.segment_events";
        /// ... or when its first one is so old.
        segment_age: Span = Span::from_secs(3600), "archive.segment_age";
    }
}

section! {
    /// How long events stay on the log; zero is for ever.
    Retention {
        /// What was seen: most of what there is.
        observations: Span = Span::from_secs(DAY), "retention.observations";
        /// What was concluded.
        diagnoses: Span = Span::from_secs(90 * DAY), "retention.diagnoses";
        /// What was decided and done.
        actions: Span = Span::from_secs(90 * DAY), "retention.actions";
        /// What was told.
        alerts: Span = Span::from_secs(90 * DAY), "retention.alerts";
        /// At most so many events of each of these stay in each partition; 0 is any number.
        max_events: u32 = 0, "retention.max_events";
        /// Whether events may go that no archive has.
        discard: bool = false, "retention.discard";
    }
}

section! {
    /// Proof that history is what it was.
    Notary {
        /// A checkpoint of the chain of hashes after so many events of a family.
        every: u32 = 256, "notary.every";
        /// Where checkpoints are also kept: a directory or `s3://bucket/prefix` that whoever can write in Redis cannot.
        witness: Option<String> = None, "notary.witness";
    }
}

section! {
    /// The engine that is watched.
    Docker {
        /// Its socket or address; where it is none, the context says it, or it is found by itself.
        host: Option<String> = None, "docker.host", Alias::Plain("DOCKER_HOST");
        /// The Docker context that says where it is; where it is none, the one that Docker's own client uses.
        context: Option<String> = None, "docker.context", Alias::Plain("DOCKER_CONTEXT");
        /// How long it may take to answer.
        timeout: Duration = secs(30), "docker.timeout";
        /// Whether it is spoken to over TLS; where it is not said, it is when there is a certificate or a directory of them.
        tls: Option<bool> = None, "docker.tls", Alias::Plain("DOCKER_TLS_VERIFY");
        /// Where `ca.pem`, `cert.pem` and `key.pem` are.
        tls_dir: Option<PathBuf> = None, "docker.tls_dir", Alias::Plain("DOCKER_CERT_PATH");
        /// A PEM file with the certificates that vouch for the engine; the system's where it is none.
        tls_ca: Option<PathBuf> = None, "docker.tls_ca";
        /// A PEM file with the certificate that vouches for HemoStat.
        tls_cert: Option<PathBuf> = None, "docker.tls_cert";
        /// A PEM file with the key to that.
        tls_key: Option<PathBuf> = None, "docker.tls_key";
        /// A configuration file for ssh; the user's own where it is none.
        ssh_config: Option<PathBuf> = None, "docker.ssh_config";
    }
}

section! {
    /// Looking.
    Monitor {
        /// How often CPU and memory are read.
        interval: Duration = secs(5), "monitor.interval", Alias::Seconds("AGENT_POLL_INTERVAL");
        /// Names (globs) of containers that are never diagnosed or touched.
        exclude: Vec<String> = vec!["hemostat-*".into()], "monitor.exclude", Alias::Plain("MONITOR_CONTAINER_BLACKLIST");
        /// Names (globs) of the only containers that are diagnosed and touched; all, where there is none.
        only: Vec<String> = vec![], "monitor.only";
        /// How often a sample is put on the log for each container.
        sample_every: Span = Span::from_secs(30), "monitor.sample_every";
        /// Where counters come from.
        source: SampleSource = SampleSource::Auto, "monitor.source";
        /// Where the kernel shows its control groups.
        cgroup_root: PathBuf = "/sys/fs/cgroup".into(), "monitor.cgroup_root";
        /// Where the kernel shows its processes.
        proc_root: PathBuf = "/proc".into(), "monitor.proc_root";
        /// How often disks are measured; zero is never.
        disk_every: Duration = secs(300), "monitor.disk_every";
        /// Whether a container that fell ill is examined before anything is done to it.
        examine: bool = true, "monitor.examine";
        /// Who stays ill is examined again after this time, then after twice that, up to an hour; zero is never.
        examine_again: Duration = secs(300), "monitor.examine_again";
        /// So many lines of its output are kept then, at most ...
        log_lines: u32 = 60, "monitor.log_lines";
        /// ... and so many bytes of it.
        log_bytes: u32 = 8192, "monitor.log_bytes";
        /// What else is secret, as regular expressions.
        redact: Patterns = Patterns::default(), "monitor.redact";
    }
}

section! {
    /// What is too much.
    Thresholds {
        /// CPU, as a share of the container's own limit or of the host.
        cpu_percent: Percent = Percent::clamped(85.0), "thresholds.cpu_percent", Alias::Plain("THRESHOLD_CPU_PERCENT");
        /// Memory without page cache, as a share of the container's own limit or of the host.
        memory_percent: Percent = Percent::clamped(80.0), "thresholds.memory_percent",
            Alias::Plain("THRESHOLD_MEMORY_PERCENT");
        /// For how long CPU or memory must be above.
        sustained: Span = Span::from_secs(60), "thresholds.for";
        /// For how long Docker must call a container unhealthy.
        unhealthy_for: Span = Span::ZERO, "thresholds.unhealthy_for";
        /// For how long a container must be well until a symptom counts as over.
        clear_after: Span = Span::from_secs(10), "thresholds.clear_after";
        /// So many restarts by Docker ...
        loop_restarts: u32 = 5, "thresholds.loop_restarts";
        /// ... within this time are a restart loop.
        loop_within: Span = Span::from_secs(600), "thresholds.loop_within";
        /// For how long after a container was made what is wrong with it may pass by itself.
        grace: Span = Span::from_secs(30), "thresholds.grace";
        /// The share of the scheduler's periods in which its CPU limit may stop a container.
        throttled_percent: Percent = Percent::clamped(25.0), "thresholds.throttled_percent";
        /// The share of the time in which it may wait for CPU, memory or disk.
        pressure_percent: Percent = Percent::clamped(40.0), "thresholds.pressure_percent";
        /// The share of its processes and threads that it may have.
        pids_percent: Percent = Percent::clamped(90.0), "thresholds.pids_percent";
        /// Memory that grows steadily for this time ...
        leak_over: Span = Span::from_secs(900), "thresholds.leak_over";
        /// ... and reaches the limit within this time is a leak.
        leak_within: Span = Span::from_secs(3600), "thresholds.leak_within";
        /// So many changes of mind of a health check ...
        flaps: u32 = 6, "thresholds.flaps";
        /// ... within this time are flapping.
        flaps_within: Span = Span::from_secs(600), "thresholds.flaps_within";
        /// How full a disk may be before whoever fills it is told of.
        disk_percent: Percent = Percent::clamped(90.0), "thresholds.disk_percent";
        /// Whether what is unusual for a container is told, too.
        adaptive: bool = true, "thresholds.adaptive";
    }
}

section! {
    /// Concluding.
    Analyzer {
        /// A diagnosis must be at least this sure to be acted on.
        confidence_threshold: Confidence = Confidence::clamped(0.7), "analyzer.confidence_threshold",
            Alias::Plain("ANALYZER_CONFIDENCE_THRESHOLD");
        /// A diagnosis waits at most so long for the examination of a container that fell ill.
        examine_within: Span = Span::from_secs(5), "analyzer.examine_within";
        /// Who concludes.
        mode: DiagnosisBy = DiagnosisBy::Rules, "analyzer.mode";
        /// The model that is asked.
        model: Option<String> = None, "analyzer.model", Alias::Plain("AI_MODEL");
        /// Whose API it is asked by; told from the model's name where it is none.
        api: Option<ModelProvider> = None, "analyzer.provider";
        /// The key for OpenAI, or for the server at `openai_base_url`.
        openai_api_key: Option<SecretString> = None, "analyzer.openai_api_key", Alias::Plain("OPENAI_API_KEY");
        /// A server that speaks OpenAI's API; OpenAI itself where it is none.
        openai_base_url: Option<WebAddress> = None, "analyzer.openai_base_url", Alias::Plain("OPENAI_BASE_URL");
        /// The key for Anthropic.
        anthropic_api_key: Option<SecretString> = None, "analyzer.anthropic_api_key", Alias::Plain("ANTHROPIC_API_KEY");
        /// A server that speaks Anthropic's API; Anthropic itself where it is none.
        anthropic_base_url: Option<WebAddress> = None, "analyzer.anthropic_base_url",
            Alias::Plain("ANTHROPIC_BASE_URL");
        /// How long a model may take, with everything; the rules' answer then stands.
        timeout: Duration = secs(20), "analyzer.timeout";
        /// How long its answer may be, in tokens.
        max_tokens: u32 = 600, "analyzer.max_tokens";
        /// How often a request that failed is made again within that time.
        retries: u32 = 2, "analyzer.retries";
        /// Requests at the same time.
        concurrency: u32 = 4, "analyzer.concurrency";
        /// At most so many tokens in any hour; any number where it is none.
        tokens_per_hour: Option<u32> = None, "analyzer.tokens_per_hour";
        /// At most so much money in any hour; any amount where it is none.
        dollars_per_hour: Option<Dollars> = None, "analyzer.dollars_per_hour";
        /// What a million tokens of a question cost.
        price_in: Option<Dollars> = None, "analyzer.price_in";
        /// What a million tokens of an answer cost.
        price_out: Option<Dollars> = None, "analyzer.price_out";
        /// For how long an answer stands for the same evidence; zero: the model is asked each time.
        cache: Span = Span::from_secs(3600), "analyzer.cache";
    }
}

section! {
    /// Acting.
    Responder {
        /// How far HemoStat may go where a container's labels do not say.
        mode: Mode = Mode::Auto, "responder.mode";
        /// What it may do where a container's labels do not say: restart and start are what it can do today.
        actions: BTreeSet<Allowed> = BTreeSet::from([Allowed::Restart, Allowed::Start]), "responder.actions";
        /// How long after an incident a new one of the same container is not acted on.
        cooldown: Span = Span::from_secs(3600), "responder.cooldown", Alias::Seconds("RESPONDER_COOLDOWN_SECONDS");
        /// Attempts in a rolling `window`.
        max_retries_per_hour: u32 = 3, "responder.max_retries_per_hour", Alias::Plain("RESPONDER_MAX_RETRIES_PER_HOUR");
        /// Everything is decided, nothing is done.
        dry_run: bool = false, "responder.dry_run", Alias::Plain("RESPONDER_DRY_RUN");
        /// How long after a remedy it is judged.
        stabilisation: Span = Span::from_secs(60), "responder.stabilisation";
        /// An older diagnosis is not acted on.
        stale_after: Span = Span::from_secs(600), "responder.stale_after";
        /// More sick containers than this on one host at once are a storm: one incident of the host, no acts.
        storm: u32 = 10, "responder.storm";
        /// How long nothing is done after all attempts have failed.
        hold: Span = Span::from_secs(3600), "responder.hold";
        /// The rolling window in which attempts are counted.
        window: Span = Span::from_secs(3600), "responder.window";
    }
    nested {
        /// The pauses between attempts.
        backoff: Backoff;
    }
}

section! {
    /// The pauses between attempts.
    Backoff {
        /// After the first attempt.
        first: Span = Span::from_secs(10), "responder.backoff.first";
        /// Each next one is so many times longer.
        factor: u32 = 2, "responder.backoff.factor";
        /// At most so long.
        cap: Span = Span::from_secs(300), "responder.backoff.cap";
    }
}

section! {
    /// Telling people.
    Alerts {
        /// Whether anything is told at all.
        enabled: bool = true, "alerts.enabled", Alias::Plain("ALERT_ENABLED");
        /// What is worth telling: every incident, or only failures.
        tell: Tell = Tell::Incidents, "alerts.tell";
        /// A Slack incoming webhook.
        slack_webhook_url: Option<SecretString> = None, "alerts.slack_webhook_url", Alias::Plain("SLACK_WEBHOOK_URL");
        /// How long Slack may take to answer.
        slack_timeout: Duration = secs(10), "alerts.slack_timeout";
        /// For how long delivery is tried again.
        retry_for: Span = Span::from_secs(3600), "alerts.retry_for";
    }
}

section! {
    /// The API.
    Query {
        /// Where it listens.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8501)), "query.listen";
    }
}

section! {
    /// The process itself.
    Runtime {
        /// How long a process that fell silent keeps its work before another takes it over.
        lease_ttl: Duration = secs(10), "runtime.lease_ttl";
        /// Where a role that runs alone serves /healthz, /readyz and /metrics; nowhere where it is none.
        health_listen: Option<SocketAddr> = None, "runtime.health_listen";
    }
}
