//! An event as a line in a terminal: time, step, sentence.

use anstyle::{AnsiColor, Style};
use hemostat_core::views::story;
use hemostat_schema::{Action, Alert, Body, Diagnosis, Event, Observation, Recorded, action::Outcome};
use jiff::{civil::Date, tz::TimeZone};

/// The line for `event`, with colours; `anstream` strips them if there is no terminal.
pub fn line(event: &Recorded) -> String {
    let (step, style) = step(event);
    let time = event.at.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string();
    format!("{dim}{time}{dim:#}  {style}{step:<12}{style:#}  {}", story::line(event), dim = Style::new().dimmed())
}

/// The heading of a day.
pub fn day(date: Date) -> String {
    let dim = Style::new().dimmed();
    format!("{dim}{date}{dim:#}")
}

/// The step of the incident in a word, and its colour.
fn step(event: &Recorded) -> (&'static str, Style) {
    let plain = Style::new();
    let colour = |colour: AnsiColor| plain.fg_color(Some(colour.into()));
    let Body::Known(event) = &event.body else { return ("unknown", plain.dimmed()) };
    match event {
        Event::Observation(observation) => match observation {
            Observation::SymptomRaised(_) | Observation::SymptomWorsened(_) => ("sick", colour(AnsiColor::Red)),
            Observation::SymptomCleared(_) => ("well", colour(AnsiColor::Green)),
            Observation::EngineLost(_) => ("observed", colour(AnsiColor::Red)),
            Observation::Examined(_) => ("examined", plain),
            _ => ("observed", plain),
        },
        Event::Sample(_) => ("observed", plain),
        Event::Diagnosis(diagnosis) => match diagnosis {
            Diagnosis::Reached(_) => ("diagnosed", colour(AnsiColor::Cyan)),
            Diagnosis::OpinionSought(_) => ("asked", colour(AnsiColor::Cyan)),
            Diagnosis::Opined(_) => ("opined", colour(AnsiColor::Cyan)),
            Diagnosis::Failed(_) => ("not answered", colour(AnsiColor::Yellow)),
        },
        Event::Action(action) => match action {
            Action::Proposed(_) => ("proposed", colour(AnsiColor::Yellow)),
            Action::Approved(_) => ("approved", colour(AnsiColor::Green)),
            Action::Denied(_) => ("denied", colour(AnsiColor::Yellow)),
            Action::Expired(_) => ("expired", colour(AnsiColor::Yellow)),
            Action::Authorised(_) => ("authorised", colour(AnsiColor::Blue)),
            Action::Refused(_) => ("refused", colour(AnsiColor::Yellow)),
            Action::Succeeded(succeeded) => (succeeded.remedy.info().past, colour(AnsiColor::Blue)),
            Action::Failed(_) => ("failed", colour(AnsiColor::Red)),
            Action::Verified(verified) => match verified.outcome {
                Outcome::Recovered => ("verified", colour(AnsiColor::Green)),
                Outcome::Relapsed => ("verified", colour(AnsiColor::Red)),
                Outcome::Inconclusive => ("verified", colour(AnsiColor::Yellow)),
            },
            Action::GaveUp(_) => ("gave up", colour(AnsiColor::Red).bold()),
            Action::BreakerReset(_) => ("reset", plain),
            Action::Paused(_) => ("paused", colour(AnsiColor::Yellow)),
            Action::Resumed(_) => ("resumed", colour(AnsiColor::Green)),
            Action::DeadLetterRedriven(_) => ("redriven", plain),
            Action::DeadLetterDiscarded(_) => ("discarded", colour(AnsiColor::Yellow)),
            Action::PolicyChanged(_) => ("policy", colour(AnsiColor::Blue)),
            Action::PolicyRefused(_) | Action::PoliciesCompared(_) => ("policy", colour(AnsiColor::Yellow)),
        },
        Event::Alert(alert) => match alert {
            Alert::Raised(_) | Alert::Escalated(_) | Alert::Resolved(_) | Alert::Tested(_) => {
                ("alert", colour(AnsiColor::Magenta))
            }
            Alert::Suppressed(_) => ("suppressed", plain.dimmed()),
            Alert::Delivered(_) => ("delivered", colour(AnsiColor::Magenta)),
            Alert::Undelivered(_) => ("undelivered", colour(AnsiColor::Red)),
        },
    }
}
