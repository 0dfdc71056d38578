//! The table at the end of the demo.

use hemostat_schema::Span;

use super::{cases::Case, journal::Story};
use crate::history::format::columns;

const HEADINGS: [&str; 9] =
    ["patient", "symptom", "diagnosis", "remedy", "outcome", "to detect", "to act", "to recover", "alerts"];

/// Renders one line per patient.
pub fn render(patients: &[(&Case, Story)]) -> String {
    let rows: Vec<_> = patients.iter().map(|(case, story)| row(case, story)).collect();
    let table = columns(&HEADINGS.map(str::to_owned), &rows);
    let (head, body) = table.split_once('\n').unwrap_or((&table, ""));
    let width = table.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    format!("{head}\n{}\n{body}", "─".repeat(width))
}

fn row(case: &Case, story: &Story) -> [String; 9] {
    let none = || "–".to_owned();
    let span = |span: Option<Span>| span.map_or_else(none, |span| span.to_string());
    let remedy = match (story.remedy, story.attempts.len()) {
        (None, _) => none(),
        (Some(remedy), 1) => remedy.to_owned(),
        (Some(remedy), times) => format!("{remedy} ×{times}"),
    };
    [
        case.name.to_owned(),
        story.symptom.as_ref().map_or_else(none, |(symptom, _)| symptom.clone()),
        story.diagnosis.clone().unwrap_or_else(none),
        remedy,
        outcome(story).to_owned(),
        span(story.to_detect()),
        span(story.to_act()),
        span(story.to_recover()),
        format!("{} ({} of {} messages delivered)", story.alerts.raised, story.alerts.delivered, story.alerts.messages),
    ]
}

fn outcome(story: &Story) -> &'static str {
    match story {
        Story { recovered: Some(_), .. } => "recovered",
        Story { given_up: Some(_), .. } => "given up",
        Story { attempts, stopped: Some(_), .. } if attempts.is_empty() => "left alone",
        Story { symptom: Some(_), .. } => "still sick",
        _ => "not seen",
    }
}
