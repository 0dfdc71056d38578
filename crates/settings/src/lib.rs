//! HemoStat's configuration: a file, the environment and the command line, checked before anything starts.
//!
//! A bad value is refused with its key, its value, its origin and what would be right; so is a key that does not exist.
//! Secrets are never shown.

mod address;
// Its doc comments write `[[alerts.channels]]`, which is TOML.
#[allow(rustdoc::broken_intra_doc_links)]
mod channels;
mod check;
mod choices;
mod config;
mod credentials;
mod dollars;
mod error;
mod hosts;
mod log_filter;
mod named_list;
mod other_tools;
mod policy;
mod python;
mod reload;
mod secret;
mod section;
mod sections;
mod setting;
// Its doc comments are also the comments of hemostat.example.toml, where `[[hosts]]` is TOML.
#[allow(rustdoc::broken_intra_doc_links)]
mod settings;
mod source;
mod suggestion;
#[cfg(test)]
mod tests;
mod value;
mod variables;
mod watched;

pub use hemostat_log::Durability;

pub use self::{
    address::WebAddress,
    channels::{Channel, Channels},
    choices::{ChannelKind, DiagnosisBy, LogFormat, ModelProvider, SampleSource},
    config::{Config, Shown},
    dollars::Dollars,
    error::{Error, Origin},
    hosts::{Entry, Hosts},
    log_filter::LogFilter,
    reload::Reloaded,
    secret::Secret,
    section::Key,
    sections::{
        Alerts, Analyzer, Archive, Backoff, Docker, Monitor, Notary, Query, Redis, Responder, Retention, Runtime,
        Thresholds,
    },
    settings::Settings,
    source::{FILE_VARIABLE, Input},
    watched::{Said, Watched},
};
