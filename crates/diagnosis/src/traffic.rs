//! Whether a container serves its clients although its health check fails or its CPU is high.
//!
//! Its access log shows the requests that it answered; the containers that depend on it are healthy or not. Log lines can
//! be forged, so they can only prevent a remedy, never cause one.

use hemostat_schema::{
    Span,
    container::{Health, State},
    examination::{Relation, Relative},
    observation::Symptom,
};

use crate::{
    case::Case,
    log_patterns::{is_access_log, request},
};

/// How many answered requests show that it serves.
const MIN_REQUESTS: usize = 3;
/// How recent they must be.
const RECENT: Span = Span::from_secs(60);
/// For how long into the failure healthy dependents show that it serves them: not every dependent checks it.
const DEPENDENTS_TELL_FOR: Span = Span::from_secs(1800);
/// Paths of health checks and monitoring, which are no client traffic.
const PROBES: [&str; 8] = ["/health", "/live", "/metrics", "/ping", "/ready", "/-/ready", "/status", "/up "];

impl Case<'_> {
    /// Whether the current run has answered several client requests in the last minute.
    pub(super) fn answers_requests(&self) -> bool {
        let lines = self.current_examination().map_or(&[][..], |examined| &examined.output);
        let answered = lines.iter().filter(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= RECENT)
                && is_access_log(&line.text)
                && is_success(&line.text)
                && !PROBES.iter().any(|probe| text.contains(probe))
        });
        answered.count() >= MIN_REQUESTS
    }

    /// Whether it serves its clients although its health check fails: it answers requests, or a container that depends on
    /// it is healthy. The check itself must get an answer, even if a bad one.
    pub(super) fn serves_others(&self) -> bool {
        let relatives = self.current_examination().map_or(&[][..], |examined| &examined.relatives);
        let healthy = |other: &Relative| {
            other.relation == Relation::Dependent && other.state == State::Running && other.health == Health::Healthy
        };
        let answered = !self.failed_checks().is_empty() && !self.checks_time_out();
        let recent = self.symptom_age(Symptom::Unhealthy) <= DEPENDENTS_TELL_FOR;
        let needed = recent && !self.refuses_connections() && relatives.iter().any(healthy);
        answered && (self.answers_requests() || needed) && !self.restart_helped_before()
    }
}

/// Whether the status in an access log line is 2xx or 3xx: the first three-digit number after the path.
fn is_success(line: &str) -> bool {
    let words = request(line).unwrap_or_default().split_whitespace().skip(2);
    let mut words = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let code = words.find(|word| word.len() == 3 && word.chars().all(|c| c.is_ascii_digit()));
    code.is_some_and(|code| code.starts_with(['2', '3']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_read_from_the_status_code_and_no_other_number() {
        for line in ["GET /a 200 12ms", "\"GET /a HTTP/1.1\" 304 0", "GET /a?b=500 for 10.0.0.1:1, 200 OK in 2 ms"] {
            assert!(is_success(line), "{line}");
        }
        for line in ["GET /a 500 200 ms", "\"GET /200 HTTP/1.1\" 502 23", "GET /a", "POST /a 404 2", "no request 200"] {
            assert!(!is_success(line), "{line}");
        }
    }
}
