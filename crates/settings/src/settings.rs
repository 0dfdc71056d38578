//! All settings: the keys outside of sections, and the sections.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hemostat_schema::HostName;

use crate::{
    choices::LogFormat,
    hosts::Hosts,
    log_filter::LogFilter,
    section::section,
    sections::{
        Alerts, Analyzer, Archive, Docker, Monitor, Notary, Query, Redis, Responder, Retention, Runtime, Thresholds,
    },
};

section! {
    /// All settings.
    Settings {
        /// The name of this host in events and in the API; "" is the machine's own name.
        host: Option<HostName> = None, "host";
        /// The Docker hosts that are monitored. An empty list is this host, whose Docker the section `[docker]` describes.
        /// Each host is a table at the end of this file, with what differs from `[docker]` (docker is its address):
        ///     [[hosts]]
        ///     name = "web"
        ///     docker = "tcp://10.0.0.5:2376"
        ///     tls_dir = "/etc/hemostat/web"
        /// As a variable or on the command line: HEMOSTAT_HOSTS="web=tcp://10.0.0.5:2376,db=ssh://me@db".
        hosts: Hosts = Hosts::default(), "hosts";
        /// Where HemoStat's own Redis keeps its data; "" is $XDG_STATE_HOME/hemostat, ~/.local/state/hemostat or, for
        /// root, /var/lib/hemostat.
        data_dir: Option<PathBuf> = None, "data_dir";
        /// What is logged: error, warn, info, debug, trace, or directives such as "info,hemostat_monitor=debug".
        log_level: LogFilter = LogFilter::default(), "log_level", "LOG_LEVEL";
        /// How it is logged: "text" for people, "json" for machines.
        log_format: LogFormat = LogFormat::Text, "log_format", "LOG_FORMAT";
    }
    nested {
        /// The event log.
        redis: Redis;
        /// Old events.
        archive: Archive;
        /// How long events stay.
        retention: Retention;
        /// Evidence that history is unchanged.
        notary: Notary;
        /// How Docker is reached.
        docker: Docker;
        /// What is looked at.
        monitor: Monitor;
        /// When a container counts as sick.
        thresholds: Thresholds;
        /// How HemoStat diagnoses.
        analyzer: Analyzer;
        /// What HemoStat may do.
        responder: Responder;
        /// Which alerts HemoStat sends, and where.
        alerts: Alerts;
        /// The API.
        query: Query;
        /// The process itself.
        runtime: Runtime;
    }
}

impl Settings {
    /// The name of this host: as configured, or the machine's own.
    pub fn host_name(&self) -> HostName {
        self.host.clone().unwrap_or_else(|| {
            let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            name.trim().parse().unwrap_or_else(|_| "localhost".parse().expect("localhost is a host name"))
        })
    }

    /// Where the embedded Redis keeps its data: as configured, or the system's place for such data.
    pub fn data_directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| {
            let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            match (variable("XDG_STATE_HOME"), variable("HOME")) {
                (Some(state), _) => state.join("hemostat"),
                (None, Some(home)) if home != Path::new("/root") => home.join(".local/state/hemostat"),
                (None, _) => PathBuf::from("/var/lib/hemostat"),
            }
        })
    }

    /// Where history is archived, if anywhere: as configured, or beside the data of the embedded Redis.
    pub fn archive_url(&self) -> Option<String> {
        match self.archive.url.as_deref() {
            Some("none") => None,
            Some(url) => Some(url.to_owned()),
            None if self.redis.url.is_some() => None,
            None => Some(self.data_directory().join("archive").to_string_lossy().into_owned()),
        }
    }
}
