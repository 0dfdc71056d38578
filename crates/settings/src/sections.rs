//! Every key of the configuration but those outside of sections: its type, default, meaning and the other names of its
//! variable.
//!
//! The doc comment of a key is also its comment in `hemostat.example.toml`.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use hemostat_core::policy::{AlertScope, ContainerPolicy, Mode, Policy, RemedyKind, Sensitivity};
use hemostat_log::Durability;
use hemostat_redact::Patterns;
use hemostat_schema::{Confidence, Percent, Span, observation::Severity};

use crate::{
    address::WebAddress,
    channels::{Channel, Channels, Entry},
    choices::{ChannelKind, DiagnosisBy, ModelProvider, SampleSource},
    dollars::Dollars,
    secret::Secret,
    section::section,
};

const DAY: u64 = 86_400;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What HemoStat decides by has its defaults in the core.
fn policy() -> Policy {
    Policy::default()
}

fn container() -> ContainerPolicy {
    ContainerPolicy::default()
}

fn sensitivity() -> Sensitivity {
    Sensitivity::default()
}

section! {
    /// The event log, which is kept in Redis.
    Redis {
        /// The address of Redis: redis://user:password@host:6379/0, rediss:// (TLS), unix:///path,
        /// redis-cluster://host:6379,host:6379 or redis-sentinel://host:26379,host:26379/master, and with TLS
        /// rediss-cluster:// or rediss-sentinel://. With "", `hemostat up` starts a Redis of its own. A /, #, ? or @ in
        /// the password is written %2F, %23, %3F, %40. HemoStat reads the address only at its start.
        url: Option<Secret> = None, "redis.url", "REDIS_URL";
        /// The password, if the address contains none. A password in a file is read again at each reconnect.
        password: Option<Secret> = None, "redis.password", "REDIS_PASSWORD";
        /// A PEM file with the certificates to trust; "" trusts those that the system trusts.
        ca_file: Option<PathBuf> = None, "redis.ca_file";
        /// The password of the sentinels, if they have one.
        sentinel_password: Option<Secret> = None, "redis.sentinel_password";
        /// How durable HemoStat's intent to restart or start a container must be before it does so: "always" means
        /// written to the disk of Redis, "replicas:1" (2, 3 ...) means copied to that number of replicas, "everysec"
        /// means whatever Redis does by itself. HemoStat's own Redis writes its disk accordingly.
        durability: Durability = Durability::Always, "redis.durability";
        /// How long HemoStat waits for that durability before it gives up and tries again later.
        durable_within: Duration = secs(2), "redis.durable_within";
        /// The number of partitions of a new log (each Docker host belongs to one); it cannot be changed later. "" takes
        /// the number that the log has, and 1 for a new log.
        partitions: Option<u16> = None, "redis.partitions";
    }
}

section! {
    /// Old events, moved from Redis to Parquet files.
    Archive {
        /// Where archived events are kept: a directory, s3://bucket/prefix (credentials, region and endpoint from
        /// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL) or "none". "" is the directory
        /// "archive" in data_dir with HemoStat's own Redis, and "none" with any other Redis.
        url: Option<String> = None, "archive.url";
        /// A file is completed when it has this number of events ...
        segment_events: u32 = 50_000, "archive.segment_events";
        /// ... or when its oldest event is older than this.
        segment_age: Span = Span::from_secs(3600), "archive.segment_age";
    }
}

section! {
    /// How long events stay in Redis; "0s" keeps them for ever.
    Retention {
        /// What HemoStat observed: state changes, symptoms, examinations.
        observations: Span = Span::from_secs(90 * DAY), "retention.observations";
        /// What HemoStat diagnosed.
        diagnoses: Span = Span::from_secs(90 * DAY), "retention.diagnoses";
        /// What HemoStat decided and did.
        actions: Span = Span::from_secs(90 * DAY), "retention.actions";
        /// Alerts and their delivery.
        alerts: Span = Span::from_secs(90 * DAY), "retention.alerts";
        /// What HemoStat measured: resource usage of containers and disks.
        samples: Span = Span::from_secs(DAY), "retention.samples";
        /// Maximum number of events of each of the five kinds in each partition; 0 sets no limit.
        max_events: u32 = 0, "retention.max_events";
        /// Whether events are deleted that no archive has. They are then lost. Without it and without an archive, Redis
        /// keeps everything.
        discard: bool = false, "retention.discard";
    }
}

section! {
    /// Evidence that the history was not changed: a chain of hashes over all events.
    Notary {
        /// A checkpoint of the chain is written after this number of events of a kind.
        every: u32 = 256, "notary.every";
        /// A second place for checkpoints that a person with access to Redis cannot write: a directory or
        /// s3://bucket/prefix; "" is none.
        witness: Option<String> = None, "notary.witness";
    }
}

section! {
    /// How HemoStat reaches Docker.
    Docker {
        /// The address of Docker: unix:///var/run/docker.sock, tcp://host:2375, tcp://host:2376 with TLS, or
        /// ssh://user@host:22 (which runs `docker system dial-stdio` there). "" takes the Docker context, or the first
        /// socket that exists: Docker's own, rootless, Docker Desktop's, Colima's, Rancher Desktop's, OrbStack's, Podman's.
        /// `hemostat config` says which. A name or a port alone is read as by Docker's client: tcp://.
        host: Option<String> = None, "docker.host", "DOCKER_HOST", "DOCKER_SOCK";
        /// The Docker context to use if host is not set; "" is the one that `docker context use` chose.
        context: Option<String> = None, "docker.context", "DOCKER_CONTEXT";
        /// How long Docker may take to answer.
        timeout: Duration = secs(30), "docker.timeout";
        /// Whether HemoStat uses TLS; "" means yes if a certificate is set below. With DOCKER_TLS_VERIFY=0 it does not,
        /// even if certificates are set (Docker's own client takes 0 for 1). It always checks Docker's certificate.
        tls: Option<bool> = None, "docker.tls", "DOCKER_TLS_VERIFY";
        /// The directory with ca.pem, cert.pem and key.pem; each of them can also be set by itself (tls_ca, tls_cert, tls_key).
        tls_dir: Option<PathBuf> = None, "docker.tls_dir", "DOCKER_CERT_PATH";
        /// A PEM file with the certificates that Docker's certificate is checked against; "" trusts those that the system
        /// trusts.
        tls_ca: Option<PathBuf> = None, "docker.tls_ca";
        /// A PEM file with HemoStat's own certificate.
        tls_cert: Option<PathBuf> = None, "docker.tls_cert";
        /// A PEM file with the key of that certificate.
        tls_key: Option<PathBuf> = None, "docker.tls_key";
        /// A configuration file of ssh (keys, known hosts, jumps), as `ssh -F` reads it; "" is that of the user who runs
        /// HemoStat. HemoStat never types a password, and refuses an unknown host.
        ssh_config: Option<PathBuf> = None, "docker.ssh_config";
    }
}

section! {
    /// What HemoStat looks at, and how often.
    Monitor {
        /// How often CPU and memory are read.
        interval: Duration = secs(5), "monitor.interval", "AGENT_POLL_INTERVAL";
        /// Names of containers that HemoStat never diagnoses or touches; * stands for any text. As a variable: separated by
        /// commas.
        exclude: Vec<String> = vec!["hemostat-*".into()], "monitor.exclude", "MONITOR_CONTAINER_BLACKLIST";
        /// If not empty, HemoStat diagnoses and touches only containers of these names.
        only: Vec<String> = vec![], "monitor.only";
        /// How often a sample of each container is written to the event log if it changed; one that did not change is
        /// written every tenth time.
        sample_every: Span = policy().sample_every, "monitor.sample_every";
        /// Where CPU, memory and other figures are read: "cgroup" reads the kernel's files, "api" asks Docker for each
        /// container, "auto" reads the files if it can, and asks Docker otherwise.
        source: SampleSource = SampleSource::Auto, "monitor.source";
        /// The kernel's control groups. If HemoStat runs in a container: the host's /sys/fs/cgroup, mounted for example
        /// as /host/sys/fs/cgroup.
        cgroup_root: PathBuf = "/sys/fs/cgroup".into(), "monitor.cgroup_root";
        /// The kernel's processes. If HemoStat runs in a container: the host's /proc, mounted for example as /host/proc.
        proc_root: PathBuf = "/proc".into(), "monitor.proc_root";
        /// How often disks are measured (the host's, and what containers and volumes hold), for which Docker counts all
        /// files; "0s" is never.
        disk_every: Duration = secs(300), "monitor.disk_every";
        /// Whether HemoStat examines a sick container before it diagnoses it: its output, its health check, its processes.
        examine: bool = true, "monitor.examine";
        /// A container that stays sick is examined again after this time, then after twice that, up to an hour, because
        /// what it waits for (a restore, a lock) may end without a Docker event; "0s" is never.
        examine_again: Duration = secs(300), "monitor.examine_again";
        /// Maximum number of lines of a container's output that an examination keeps.
        log_lines: u32 = 60, "monitor.log_lines";
        /// Maximum number of bytes of that output.
        log_bytes: u32 = 8192, "monitor.log_bytes";
        /// HemoStat removes secrets from all that: tokens, keys, passwords, credentials in addresses, e-mail addresses.
        /// Regular expressions for what else is secret: ['ACME-\d{8}'].
        redact: Patterns = Patterns::default(), "monitor.redact";
    }
}

section! {
    /// When a container counts as sick.
    Thresholds {
        /// CPU above this is a symptom, in percent of the container's own limit, or of the host if it has none.
        cpu_percent: Percent = container().cpu, "thresholds.cpu_percent", "THRESHOLD_CPU_PERCENT";
        /// Memory (without page cache) above this is a symptom, in percent of the container's own limit, or of the host
        /// if it has none.
        memory_percent: Percent = container().memory, "thresholds.memory_percent", "THRESHOLD_MEMORY_PERCENT";
        /// How long CPU or memory must stay above its threshold before it is a symptom.
        sustained: Span = container().sustained, "thresholds.for";
        /// How long Docker must report a container as unhealthy before that is a symptom.
        unhealthy_for: Span = container().unhealthy, "thresholds.unhealthy_for";
        /// How long a container must be well before a symptom is over.
        clear_after: Span = policy().clear_after, "thresholds.clear_after";
        /// This number of restarts by Docker ...
        loop_restarts: u32 = policy().loop_restarts, "thresholds.loop_restarts";
        /// ... within this time is a restart loop.
        loop_within: Span = policy().loop_within, "thresholds.loop_within";
        /// How long after a container was created (deployed or updated) HemoStat waits for a problem to pass by itself.
        grace: Span = container().grace, "thresholds.grace";
        /// A container that its CPU limit stops in more than this percentage of the scheduler's periods is throttled.
        throttled_percent: Percent = sensitivity().throttled, "thresholds.throttled_percent";
        /// A container that waits for CPU, memory or disk for more than this percentage of the time is under pressure
        /// (where the kernel reports it).
        pressure_percent: Percent = sensitivity().pressure, "thresholds.pressure_percent";
        /// A container that has more than this percentage of its allowed processes and threads is near its limit.
        pids_percent: Percent = sensitivity().pids, "thresholds.pids_percent";
        /// Memory that grows steadily for this time (at least ten times monitor.interval) ...
        leak_over: Span = sensitivity().leak_over, "thresholds.leak_over";
        /// ... and would reach its limit within this time is a leak; "0s" reports no leaks.
        leak_within: Span = sensitivity().leak_within, "thresholds.leak_within";
        /// This number of changes between healthy and unhealthy ...
        flaps: u32 = sensitivity().flaps, "thresholds.flaps";
        /// ... within this time is flapping.
        flaps_within: Span = sensitivity().flaps_within, "thresholds.flaps_within";
        /// If a disk is fuller than this, in percent, HemoStat reports the container that holds or writes the most.
        disk_percent: Percent = sensitivity().disk, "thresholds.disk_percent";
        /// Whether HemoStat also reports what is unusual for a container (with low severity; it never acts on it).
        adaptive: bool = sensitivity().adaptive, "thresholds.adaptive";
    }
}

section! {
    /// How HemoStat diagnoses, and which language model it asks, if any.
    Analyzer {
        /// HemoStat acts only on a diagnosis that is at least this certain, from 0 to 1.
        confidence_threshold: Confidence = policy().min_confidence, "analyzer.confidence_threshold",
            "ANALYZER_CONFIDENCE_THRESHOLD";
        /// How long a diagnosis waits for the examination of a sick container.
        examine_within: Span = policy().examine_within, "analyzer.examine_within";
        /// Who diagnoses: "rules"; "model" (a language model; the rules if it fails); "both" (the rules; a model is asked
        /// as well, and only compared with them).
        mode: DiagnosisBy = DiagnosisBy::Rules, "analyzer.mode";
        /// The language model, such as "gpt-4o-mini", "claude-sonnet-4-5", "meta-llama/Llama-3.1-8B-Instruct" (Hugging
        /// Face), or a model of your own server; "" is none.
        model: Option<String> = None, "analyzer.model", "AI_MODEL";
        /// Whose API is used: "openai", "anthropic" or "huggingface". "" tells it from the model: Anthropic's for
        /// claude-..., Hugging Face's for a name with a slash unless openai_base_url is set, OpenAI's otherwise.
        api: Option<ModelProvider> = None, "analyzer.provider";
        /// The key for OpenAI, or for the server at openai_base_url (which may need none).
        openai_api_key: Option<Secret> = None, "analyzer.openai_api_key", "OPENAI_API_KEY";
        /// The key for Anthropic.
        anthropic_api_key: Option<Secret> = None, "analyzer.anthropic_api_key", "ANTHROPIC_API_KEY";
        /// The token for Hugging Face.
        huggingface_api_key: Option<Secret> = None, "analyzer.huggingface_api_key", "HUGGINGFACE_API_KEY", "HF_TOKEN";
        /// Another server that speaks OpenAI's API, such as "http://localhost:11434/v1" (Ollama); "" is OpenAI.
        openai_base_url: Option<WebAddress> = None, "analyzer.openai_base_url", "OPENAI_BASE_URL";
        /// Another server that speaks Anthropic's API; "" is Anthropic.
        anthropic_base_url: Option<WebAddress> = None, "analyzer.anthropic_base_url", "ANTHROPIC_BASE_URL";
        /// The address of a dedicated Hugging Face endpoint; "" is Hugging Face's router.
        huggingface_base_url: Option<WebAddress> = None, "analyzer.huggingface_base_url", "HF_ENDPOINT_URL";
        /// How long the model may take for an answer, including retries; then the rules decide.
        timeout: Duration = secs(20), "analyzer.timeout";
        /// Maximum length of an answer, in tokens. A model that thinks before it answers needs more.
        max_tokens: u32 = 600, "analyzer.max_tokens";
        /// How often a failed request is repeated within the timeout.
        retries: u32 = 2, "analyzer.retries";
        /// Maximum number of concurrent requests.
        concurrency: u32 = 4, "analyzer.concurrency";
        /// Maximum number of tokens in any hour; "" sets no limit.
        tokens_per_hour: Option<u32> = None, "analyzer.tokens_per_hour";
        /// Maximum cost in any hour, in US dollars; "" sets no limit. It needs both prices.
        dollars_per_hour: Option<Dollars> = None, "analyzer.dollars_per_hour";
        /// The price of a million tokens of a question, in US dollars; "" is unknown.
        price_in: Option<Dollars> = None, "analyzer.price_in";
        /// The price of a million tokens of an answer, in US dollars; "" is unknown.
        price_out: Option<Dollars> = None, "analyzer.price_out";
        /// How long an answer is reused for the same evidence; "0s" asks each time.
        cache: Span = Span::from_secs(3600), "analyzer.cache";
    }
}

section! {
    /// What HemoStat may do to containers.
    Responder {
        /// How far HemoStat may go if a container's labels do not say: "observe" does nothing, "approve" waits for an
        /// operator, "auto" acts.
        mode: Mode = container().mode, "responder.mode";
        /// What HemoStat may do if a container's labels do not say. It can do "restart" and "start".
        actions: BTreeSet<RemedyKind> = container().remedies, "responder.actions";
        /// How long HemoStat leaves a container alone after an incident.
        cooldown: Span = container().cooldown, "responder.cooldown", "RESPONDER_COOLDOWN_SECONDS";
        /// Maximum number of attempts for a container within the window (see below).
        max_attempts: u32 = container().max_attempts, "responder.max_attempts", "RESPONDER_MAX_RETRIES_PER_HOUR",
            "responder.max_retries_per_hour";
        /// With true, HemoStat decides everything and does nothing.
        dry_run: bool = policy().dry_run, "responder.dry_run", "RESPONDER_DRY_RUN";
        /// How long after a remedy HemoStat checks whether it helped.
        stabilisation: Span = policy().stabilisation, "responder.stabilisation";
        /// HemoStat does not act on a diagnosis that is older than this.
        stale_after: Span = policy().stale_after, "responder.stale_after";
        /// If more containers than this are sick on one host, HemoStat does nothing and reports one incident of the host.
        storm: u32 = policy().storm_threshold, "responder.storm";
        /// How long HemoStat leaves a container alone after all attempts have failed.
        hold: Span = policy().breaker_hold, "responder.hold";
        /// The rolling window in which attempts are counted.
        window: Span = policy().attempt_window, "responder.window";
    }
    nested {
        /// The pauses between attempts.
        backoff: Backoff;
    }
}

section! {
    /// The pauses between the attempts of one incident.
    Backoff {
        /// The pause after the first attempt.
        first: Span = policy().backoff.first, "responder.backoff.first";
        /// Each further pause is longer by this factor.
        factor: u32 = policy().backoff.factor, "responder.backoff.factor";
        /// The longest pause.
        cap: Span = policy().backoff.cap, "responder.backoff.cap";
    }
}

section! {
    /// Which alerts HemoStat sends, and where.
    Alerts {
        /// Whether HemoStat sends alerts at all.
        enabled: bool = policy().alerts.enabled, "alerts.enabled", "ALERT_ENABLED";
        /// Which alerts it sends: "incidents" is every incident, when it begins and when it ends; "failures" is only what
        /// HemoStat could not, or must not, heal.
        tell: AlertScope = policy().alerts.scope, "alerts.tell";
        /// Where alerts are sent. Each channel is a table at the end of this file:
        ///     [[alerts.channels]]
        ///     name = "oncall"
        ///     kind = "slack"
        ///     url_file = "/run/secrets/slack-oncall"
        ///     severity = "critical"
        /// kind is "slack" (an incoming webhook); url, or url_file for a file that holds it, is its address; severity ("low",
        /// "high", "critical") leaves out the incidents that are less severe. A channel that is added begins with the alerts that
        /// are open then. As a variable: HEMOSTAT_ALERTS__CHANNELS="oncall=slack" with HEMOSTAT_ALERTS__CHANNELS__ONCALL__URL (or
        /// .._URL_FILE); the systemd credential is alerts.channels.oncall.url.
        channels: Channels = Channels::default(), "alerts.channels";
        /// The address of a Slack incoming webhook: the same as a channel of the name and kind "slack"; "" is none.
        slack_webhook_url: Option<Secret> = None, "alerts.slack_webhook_url", "SLACK_WEBHOOK_URL";
        /// How long a channel may take to answer.
        slack_timeout: Duration = secs(10), "alerts.slack_timeout";
        /// How long a failed delivery is retried, also across restarts.
        retry_for: Span = Span::from_secs(3600), "alerts.retry_for";
    }
}

section! {
    /// The HTTP API.
    Query {
        /// The address and port of the API, on this machine only.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8501)), "query.listen";
    }
}

section! {
    /// The process itself.
    Runtime {
        /// How long a process that has died or frozen keeps its work before another process takes it over.
        lease_ttl: Duration = secs(10), "runtime.lease_ttl";
        /// Where /healthz, /readyz and /metrics are served, on this machine only, besides the API (which serves them too);
        /// "" is nowhere.
        health_listen: Option<SocketAddr> = None, "runtime.health_listen";
    }
}

/// The router of Hugging Face, which speaks OpenAI's API.
const HUGGINGFACE: &str = "https://router.huggingface.co/v1";

impl Alerts {
    /// The channels to which alerts are sent: the entries, and the one of `slack_webhook_url`.
    pub fn all_channels(&self) -> Vec<Channel> {
        let first = self.slack_webhook_url.clone().map(|url| Channel {
            name: "slack".to_owned(),
            kind: ChannelKind::Slack,
            url,
            severity: Severity::Low,
        });
        first.into_iter().chain(self.channels.0.iter().filter_map(Entry::channel)).collect()
    }
}

impl Analyzer {
    /// Whose API the model is asked through; `None` without a model.
    pub fn provider(&self) -> Option<ModelProvider> {
        let model = self.model.as_ref()?;
        Some(self.api.unwrap_or_else(|| {
            if model.to_ascii_lowercase().starts_with("claude") {
                ModelProvider::Anthropic
            } else if model.contains('/') && self.openai_base_url.is_none() {
                ModelProvider::HuggingFace
            } else {
                ModelProvider::OpenAi
            }
        }))
    }

    /// The base address of Hugging Face's API: its router's, or the configured endpoint's, whose API begins at `/v1`.
    pub fn huggingface_url(&self) -> String {
        match self.huggingface_base_url.as_deref().map(|url| url.trim_end_matches('/')) {
            None => HUGGINGFACE.to_owned(),
            Some(url) if url.ends_with("/v1") => url.to_owned(),
            Some(url) => format!("{url}/v1"),
        }
    }
}
