//! What would have been decided under another policy?
//!
//! Two worlds go through the same history side by side, each with the deciders of the real one (`triage`, `authorise`,
//! `judge`): in the *recorded* world the reference policy decides and what stands on the log happens; in the *simulated*
//! one the proposed policy decides and what it decides happens.
//!
//! ```text
//!   history ──┬─► recorded world   fold ─► which trigger led to this decision? ──┐
//!             │                                                                  ├─ the same trigger, the same instant
//!             └─► simulated world  fold ─► what does the proposed policy say? ◄──┘
//!                                    └─► agrees: the recorded event goes on in both
//!                                        differs: a change; its own event is folded, a remedy counts as carried out
//! ```
//!
//! A decision's trigger is not on the log, but it can be found: the state is that of everything before the decision (the
//! commit's guards see to that), the instant is the decision's own, so it is the first open trigger for which the
//! reference policy gives what is recorded. Where none does, another policy was in force then: the decision stands as it
//! is recorded, and is told as unexplained. Timers ring by the history's clock.
//!
//! What a model answered is no decision that could be taken again. An answer that is on the log goes on in both worlds, where
//! both asked; where only one of them asked, the rules have the word in the simulated one.
//!
//! What it cannot know is how a container would have behaved: a remedy that is simulated is judged by what was really
//! observed afterwards.

mod essence;
mod report;
mod seat;

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use hemostat_core::{Policy, judge::Judge, remedy::Remedy, view::story};
use hemostat_diagnosis::Triage;
use hemostat_log::{History, Range};
use hemostat_schema::{
    Action, Body, Cause, Diagnosis, Event, EventId, Family, IncidentId, NewEvent, Partition, Recorded, Span, Subject,
    Timestamp,
    action::{Proof, Succeeded},
    diagnosis::Part,
};

use crate::{Filter, Progress};
use essence::Essence;
pub use report::{Change, Report, Said, Totals};
use seat::{Pair, Seat};

/// Simulated events come after all recorded ones of their millisecond.
const SIMULATED: u64 = 1 << 40;

/// Goes through all of history that bears on what `filter` asks for.
///
/// # Errors
/// When the log or the archive cannot be read.
pub async fn run(
    history: &History,
    reference: &Policy,
    proposed: &Policy,
    filter: &Filter,
    progress: &Progress,
) -> Result<Report, hemostat_log::Error> {
    let mut report = Report::default();
    for partition in filter.partitions(history.log().partitions()) {
        let mut backtest = Backtest::new(partition, reference, proposed, filter);
        // What is after the part that is asked for changes nothing in it.
        let upto = Range { from: std::ops::Bound::Unbounded, ..filter.range(partition) };
        let mut scan = history.scan(partition, READS, upto);
        while let Some(page) = scan.next().await? {
            for event in page.iter().filter_map(|entry| entry.decode().event.ok()) {
                backtest.take(event);
            }
            progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
        }
        report = report.and(backtest.finish());
    }
    Ok(report)
}

/// What the deciders read.
const READS: [Family; 3] = [Family::Observation, Family::Diagnosis, Family::Action];

/// A walk through the history of one partition.
pub struct Backtest<'a> {
    partition: Partition,
    filter: &'a Filter,
    seats: Vec<Box<dyn Seat + Send + 'a>>,
    now: Timestamp,
    /// The millisecond of the log that is being read.
    ms: u64,
    simulated: u64,
    /// Outcomes of simulated remedies, which are folded next.
    deeds: Vec<NewEvent>,
    /// Authorities that the simulated world does not have.
    foreign: HashSet<EventId>,
    /// Questions on the log whose answer is the diagnosis.
    sought: HashSet<EventId>,
    /// What the rules say in place of the answer to a question that the simulated world does not ask.
    words: HashMap<EventId, Body>,
    refused: HashSet<EventId>,
    ran: HashSet<EventId>,
    would_run: HashSet<EventId>,
    report: Report,
}

impl<'a> Backtest<'a> {
    /// Of the proposed policy against the reference, by which history is thought to have been decided. `filter` says
    /// which decisions are reported; history itself has to be given whole, as decisions rest on all of it.
    pub fn new(partition: Partition, reference: &'a Policy, proposed: &'a Policy, filter: &'a Filter) -> Self {
        Self {
            partition,
            filter,
            seats: vec![
                Box::new(Pair::<Triage>::new(reference, proposed)),
                Box::new(Pair::<Remedy>::new(reference, proposed)),
                Box::new(Pair::<Judge>::new(reference, proposed)),
            ],
            now: Timestamp::UNIX_EPOCH,
            ms: 0,
            simulated: 0,
            deeds: vec![],
            foreign: HashSet::new(),
            sought: HashSet::new(),
            words: HashMap::new(),
            refused: HashSet::new(),
            ran: HashSet::new(),
            would_run: HashSet::new(),
            report: Report::default(),
        }
    }

    /// The next event of the partition, in the order of ids.
    pub fn take(&mut self, event: Recorded) {
        self.report.events += 1;
        if event.id.ms > self.ms {
            self.pass(event.id.ms);
        }
        let Body::Known(what) = &event.body else { return };
        if matches!(what, Event::Diagnosis(Diagnosis::OpinionSought(sought)) if sought.part == Part::Decides) {
            self.sought.insert(event.id);
        }
        // Also where the rules had to answer, because the model did not.
        let is_answer = event.family() == Family::Diagnosis && event.cause.is_some_and(|id| self.sought.contains(&id));
        match self.seats.iter().position(|seat| seat.decides(what)).filter(|_| !is_answer) {
            Some(seat) => self.decision(seat, Arc::new(event)),
            None => self.input(Arc::new(event)),
        }
    }

    /// What was found, after the last event.
    pub fn finish(mut self) -> Report {
        self.settle();
        let refused = self.refused.intersection(&self.would_run);
        self.report.refused_that_would_run = refused.filter(|diagnosis| !self.ran.contains(diagnosis)).count() as u64;
        self.report.changes.sort_by_key(|change| change.at);
        self.report
    }

    /// Something that happened whatever the policy is.
    fn input(&mut self, event: Arc<Recorded>) {
        let of = match event.event() {
            Some(Event::Action(Action::Succeeded(done))) => Some(done.action),
            Some(Event::Action(Action::Failed(failed))) => Some(failed.action),
            Some(Event::Action(Action::Refused(refused))) => refused.refusal.withholds(),
            Some(Event::Diagnosis(_)) => event.cause,
            _ => None,
        };
        let is_foreign = of.is_some_and(|of| self.foreign.contains(&of));
        let word = of.and_then(|of| self.words.get(&of));
        let simulated = match (word, event.event()) {
            (Some(word), Some(Event::Diagnosis(Diagnosis::Reached(_)))) => {
                Some(Arc::new(Recorded { body: word.clone(), ..(*event).clone() }))
            }
            (Some(_), _) => None,
            (None, _) => (!is_foreign).then(|| Arc::clone(&event)),
        };
        for seat in &mut self.seats {
            seat.record(&event);
            if let Some(event) = &simulated {
                seat.simulate(event);
            }
        }
    }

    /// A decision on the log, which is decided again in the simulated world.
    fn decision(&mut self, seat: usize, event: Arc<Recorded>) {
        let answer = self.seats[seat].decide_again(&event);
        for seat in &mut self.seats {
            seat.record(&event);
        }
        let wanted = self.wants(event.id, &event.subject, event.incident.as_ref());
        if wanted {
            self.report.decisions += 1;
            self.report.unexplained += u64::from(!answer.explained);
        }
        let essence = |new: &Option<NewEvent>| new.as_ref().and_then(|new| Essence::of(&new.event));
        let recorded = event.event().and_then(Essence::of);
        let by_proposal = essence(&answer.by_proposal);
        let simulated = if by_proposal == recorded {
            // The same decision, but its times are those of the proposed policy.
            answer.by_proposal.map(|new| Arc::new(Recorded { body: Body::Known(new.event), ..(*event).clone() }))
        } else if !answer.explained && by_proposal == essence(&answer.by_reference) {
            Some(Arc::clone(&event))
        } else {
            let instead = answer.by_proposal.map(|new| Arc::new(new.recorded(event.id, &[])));
            self.change(Some(&event), instead.as_deref());
            self.instead(&event, instead)
        };
        self.count(Some(&event), simulated.as_deref());
        if let Some(simulated) = simulated {
            for seat in &mut self.seats {
                seat.simulate(&simulated);
            }
        }
    }

    /// What the simulated world has at the place of a decision that it does not share. Where only one of the worlds asks a
    /// model, the rules' word comes at the place of the diagnosis on the log, so that what follows is compared with what
    /// followed.
    fn instead(&mut self, was: &Recorded, instead: Option<Arc<Recorded>>) -> Option<Arc<Recorded>> {
        match (was.event(), instead.as_deref().and_then(Recorded::event)) {
            (
                Some(Event::Diagnosis(Diagnosis::Reached(_))),
                Some(Event::Diagnosis(Diagnosis::OpinionSought(sought))),
            ) => {
                let body = Body::Known(sought.fallback.clone().into());
                Some(Arc::new(Recorded { body, ..was.clone() }))
            }
            (Some(Event::Diagnosis(Diagnosis::OpinionSought(_))), Some(Event::Diagnosis(Diagnosis::Reached(word)))) => {
                self.words.insert(was.id, Body::Known(word.clone().into()));
                None
            }
            _ => {
                self.foreign.insert(was.id);
                self.deeds.extend(instead.as_deref().and_then(|event| done(event, self.now)));
                instead
            }
        }
    }

    /// Time goes on: what is due until then is decided.
    fn pass(&mut self, ms: u64) {
        self.settle();
        let until = instant(ms);
        while let Some(due) = self.seats.iter().filter_map(|seat| seat.next_due()).min().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.ms = self.ms.max(u64::try_from(due.as_millisecond()).unwrap_or(0).saturating_sub(1));
            for seat in &mut self.seats {
                seat.ring(due);
            }
            self.settle();
        }
        (self.now, self.ms) = (self.now.max(until), ms);
    }

    /// Lets the simulated world decide whatever it does not share with the recorded one.
    fn settle(&mut self) {
        loop {
            for deed in mem::take(&mut self.deeds) {
                let event = Arc::new(deed.recorded(self.next_id(), &[]));
                for seat in &mut self.seats {
                    seat.simulate(&event);
                }
            }
            let now = self.now;
            let Some(new) = self.seats.iter_mut().find_map(|seat| seat.settle(now)) else { break };
            let event = Arc::new(new.recorded(self.next_id(), &[]));
            self.change(None, Some(&event));
            self.count(None, Some(&event));
            for seat in &mut self.seats {
                seat.simulate(&event);
            }
            self.deeds.extend(done(&event, now));
        }
    }

    fn next_id(&mut self) -> EventId {
        self.simulated += 1;
        EventId { partition: self.partition, ms: self.ms, seq: SIMULATED + self.simulated }
    }

    fn change(&mut self, was: Option<&Recorded>, would_be: Option<&Recorded>) {
        let Some(event) = was.or(would_be) else { return };
        if self.wants(event.id, &event.subject, event.incident.as_ref()) {
            self.report.changes.push(Change {
                at: event.at,
                id: was.map(|was| was.id),
                subject: event.subject.clone(),
                incident: event.incident.clone(),
                was: was.and_then(said),
                would_be: would_be.and_then(said),
            });
        }
    }

    fn count(&mut self, was: Option<&Recorded>, would_be: Option<&Recorded>) {
        let wanted = |event: &&Recorded| self.wants(event.id, &event.subject, event.incident.as_ref());
        let (was, would_be) = (was.filter(wanted), would_be.filter(wanted));
        if let Some(event) = was.and_then(Recorded::event) {
            self.report.was.count(event);
            match event {
                Event::Action(Action::Refused(refused)) => drop(self.refused.insert(refused.diagnosis)),
                Event::Action(Action::Authorised(intent)) => drop(self.ran.insert(intent.diagnosis)),
                _ => {}
            }
        }
        if let Some(event) = would_be.and_then(Recorded::event) {
            self.report.would_be.count(event);
            if let Event::Action(Action::Authorised(intent)) = event {
                self.would_run.insert(intent.diagnosis);
            }
        }
    }

    fn wants(&self, id: EventId, subject: &Subject, incident: Option<&IncidentId>) -> bool {
        let Filter { window, kind: _, host, container, incident: illness } = self.filter;
        let (on, name) = (subject.host.as_str(), subject.container.as_ref().map(|name| name.as_str()));
        window.contains(id)
            && host.as_ref().is_none_or(|host| *host == subject.host)
            && container.as_ref().is_none_or(|whom| name.is_some_and(|name| whom.is(on, name)))
            && illness.as_ref().is_none_or(|illness| incident == Some(illness))
    }
}

impl std::fmt::Debug for Backtest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backtest").field("partition", &self.partition).field("now", &self.now).finish_non_exhaustive()
    }
}

/// What a simulated decision leads to in the world outside: a remedy is carried out at once, a question is answered by the
/// rules.
fn done(decision: &Recorded, now: Timestamp) -> Option<NewEvent> {
    let outcome: Event = match decision.event()? {
        Event::Action(Action::Authorised(intent)) => {
            let proof = if intent.dry_run { Proof::DryRun } else { Proof::Answered };
            let (action, remedy, took) = (decision.id, intent.remedy.clone(), Span::ZERO);
            Succeeded { action, remedy, target: None, called_at: None, took, proof }.into()
        }
        Event::Diagnosis(Diagnosis::OpinionSought(sought)) if sought.part == Part::Decides => {
            sought.fallback.clone().into()
        }
        _ => return None,
    };
    let outcome = NewEvent::new(decision.subject.clone(), now, outcome).caused_by(Cause::Event(decision.id));
    Some(outcome.in_incident(decision.incident.clone()))
}

fn said(event: &Recorded) -> Option<Said> {
    let essence = Essence::of(event.event()?)?;
    Some(Said { kind: event.kind(), short: essence.to_string(), why: story::line(event) })
}

/// The instant of a millisecond of the log's clock.
fn instant(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}
