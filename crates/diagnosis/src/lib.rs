//! Diagnosis: finds the cause of a container's symptoms, and the remedy for it.
//!
//! ```text
//! events ──► triage ──► case_history, host_health      what is known
//!              │              │
//!              │              ▼
//!              │            case ──► exits, health_checks, log_patterns, jobs, …     questions about the evidence
//!              ▼              │
//!           conclude ◄── rules, contraindications
//!              │
//!              ├──► diagnosis reached                     opinion: rules
//!              └──► question to a model (opinion)         a model decides, or shadows
//! ```
//!
//! - [`Triage`] is the decider: it says when a case is evaluated.
//! - [`Case`] is the evidence at one instant. The modules below it each answer one kind of question about it: how its
//!   runs ended, what its health check and its log say, what its dependencies are like, whether a job is running in it.
//! - [`RULES`] map evidence to a cause; the first rule that applies gives the diagnosis ([`conclude()`]).
//! - [`safe`] says which remedies would do harm, whoever proposes them.
//! - [`opinion`] is the question to a language model and the validation of its answer.
//!
//! Whether and when a remedy is carried out is decided elsewhere: by the remedy decider of `hemostat_core`.

mod case;
mod case_history;
mod conclude;
mod contraindications;
mod dependencies;
mod exhibits;
mod exits;
mod growth;
mod health_checks;
mod health_report;
mod host_health;
mod intrusion;
mod jobs;
mod known_failure;
mod log_patterns;
mod memory;
pub mod opinion;
mod phrases;
mod plain_text;
mod progress;
mod recurrence;
mod rules;
#[cfg(test)]
pub(crate) mod tests;
mod traffic;
mod triage;
mod vocabulary;

pub use case::{Attempt, Case, PastIncident};
pub use case_history::CaseHistory;
pub use conclude::conclude;
pub use contraindications::{Contraindication, safe};
pub use exhibits::{EXHIBITS_BYTES, exhibits};
pub use host_health::HostHealth;
pub use known_failure::KnownFailure;
pub use log_patterns::LogMatch;
pub use opinion::question::question;
pub use rules::{RULES, Rule};
pub use triage::Triage;
