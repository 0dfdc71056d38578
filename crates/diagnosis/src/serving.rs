//! Whether a container whose health check fails, or whose CPU is high, serves others all the same.
//!
//! Its output says whom it answered, and those that need it are well or not. Like every clue that keeps from a remedy and
//! brings none about.

use hemostat_schema::{
    Span,
    container::{Health, State},
    examination::{Relation, Relative},
    observation::Symptom,
};

use super::{
    Case,
    clues::{is_of_a_request, request},
};

/// So many requests show that it serves.
const REQUESTS: usize = 3;
/// They were answered so lately.
const LATELY: Span = Span::from_secs(60);
/// That others are well who need it says for so long that it serves them: not all look at it.
const NEEDED_FOR: Span = Span::from_secs(1800);
/// Whom health checks and monitoring ask.
const PROBES: [&str; 8] = ["/health", "/live", "/metrics", "/ping", "/ready", "/-/ready", "/status", "/up "];

impl Case<'_> {
    /// Whether the run that stands has answered several requests lately, beside those that only ask how it is.
    pub(super) fn answers(&self) -> bool {
        let lines = self.examined_now().map_or(&[][..], |examined| &examined.output);
        let answered = lines.iter().filter(|line| {
            let text = line.text.to_lowercase();
            line.at.is_some_and(|at| Span::between(at, self.now) <= LATELY)
                && is_of_a_request(&line.text)
                && is_well_answered(&line.text)
                && !PROBES.iter().any(|probe| text.contains(probe))
        });
        answered.count() >= REQUESTS
    }

    /// Whether it serves others though its health check fails: it answers their requests, or those that need it are well.
    /// The check itself gets an answer, if not the one that it wants; or it asks at another address.
    pub(super) fn serves_others(&self) -> bool {
        let relatives = self.examined_now().map_or(&[][..], |examined| &examined.relatives);
        let well = |other: &Relative| {
            other.relation == Relation::Dependent && other.state == State::Running && other.health == Health::Healthy
        };
        let answered = !self.failing_checks().is_empty() && !self.is_late();
        let lately = self.stood(Symptom::Unhealthy) <= NEEDED_FOR;
        let needed = lately && !self.is_refused() && relatives.iter().any(well);
        answered && (self.answers() || needed) && !self.was_healed_by_a_restart()
    }
}

/// Whether a line about a request gives an answer of 2xx or 3xx: the first number of three digits behind the path.
fn is_well_answered(line: &str) -> bool {
    let words = request(line).unwrap_or_default().split_whitespace().skip(2);
    let mut words = words.map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    let code = words.find(|word| word.len() == 3 && word.chars().all(|c| c.is_ascii_digit()));
    code.is_some_and(|code| code.starts_with(['2', '3']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_well_answered_by_its_code_and_by_no_other_figure() {
        for line in ["GET /a 200 12ms", "\"GET /a HTTP/1.1\" 304 0", "GET /a?b=500 for 10.0.0.1:1, 200 OK in 2 ms"] {
            assert!(is_well_answered(line), "{line}");
        }
        for line in ["GET /a 500 200 ms", "\"GET /200 HTTP/1.1\" 502 23", "GET /a", "POST /a 404 2", "no request 200"] {
            assert!(!is_well_answered(line), "{line}");
        }
    }
}
