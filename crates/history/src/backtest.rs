//! Backtest: what would HemoStat have decided under another policy?
//!
//! Two worlds replay the same history side by side, each with the deciders `triage`, `authorise` and `judge`. In the
//! *recorded* world the reference policy decides, and the events of the log happen. In the *simulated* world the proposed
//! policy decides, and its decisions happen.
//!
//! ```text
//!   history ──┬─► recorded world   fold ─► which trigger led to this decision? ──┐
//!             │                                                                  ├─ the same trigger, the same time
//!             └─► simulated world  fold ─► what does the proposed policy decide? ┘
//!                                    └─► the same: the recorded event happens in both worlds
//!                                        another: a change; its own event is folded, a remedy succeeds at once
//! ```
//!
//! A decision records the policy that it was made by and its trigger, and the log records that policy, so the recorded
//! world decides as HemoStat did. Decisions of earlier versions record neither: the reference policy is taken for theirs,
//! and the trigger is the first pending one upon which it makes the recorded decision. The commit's guards ensure that a
//! decision rests on everything before it, and it carries its own time. A decision that the recorded world does not make
//! counts as recorded and is reported as unexplained. Timers fire by the time of the history.
//!
//! The answer of a model cannot be computed again. A recorded answer happens in both worlds if both asked the model; if only
//! one of them asked, the rules decide in the simulated world.
//!
//! A backtest cannot know how a container would have behaved: a simulated remedy is judged by the observations that really
//! followed.

mod decision_key;
mod pair;
mod report;

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};

use hemostat_core::{Policy, judge::Judge, remedy::Authorisation, views::story};
use hemostat_diagnosis::Triage;
use hemostat_log::{History, Range};
use hemostat_schema::{
    Action, Body, Cause, Diagnosis, Event, EventId, Family, IncidentId, NewEvent, Partition, Recorded, Span, Subject,
    Timestamp,
    action::{Proof, Succeeded},
    diagnosis::Part,
};

use crate::{Policies, filter::Filter, select::Progress};
use decision_key::DecisionKey;
use pair::{InBothWorlds, Pair};
pub use report::{Change, DecisionSummary, Report, Totals};

/// The first sequence number of simulated events: they come after all recorded ones of their millisecond.
const SIMULATED: u64 = 1 << 40;

/// Replays all history on which the events that `filter` selects may rest.
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
        let policies = Policies::read(history, partition).await?;
        let backtest = Backtest::new(partition, reference, proposed, filter).with_policies(policies);
        let mut backtest = Backtest { report, ..backtest };
        // Events after the selected window change nothing in it.
        let upto = Range { from: std::ops::Bound::Unbounded, ..filter.window.range(partition) };
        let mut scan = history.scan(partition, READS, upto);
        while let Some(page) = scan.next().await? {
            for event in page.iter().filter_map(|entry| entry.decode().event.ok()) {
                backtest.take(event);
            }
            progress.add(page.len(), page.last().map_or(0, |last| last.id.ms));
        }
        report = backtest.finish();
    }
    Ok(report)
}

/// The families that the deciders read.
const READS: [Family; 3] = [Family::Observation, Family::Diagnosis, Family::Action];

/// The replay of one partition.
pub struct Backtest<'a> {
    partition: Partition,
    filter: &'a Filter,
    policies: Policies,
    deciders: Vec<Box<dyn InBothWorlds + Send>>,
    now: Timestamp,
    /// The time of the log, in milliseconds.
    ms: u64,
    /// How many simulated events have an id.
    simulated: u64,
    /// Outcomes of simulated decisions, to be folded next.
    outcomes: Vec<NewEvent>,
    /// Recorded decisions that do not happen in the simulated world.
    only_recorded: HashSet<EventId>,
    /// Recorded questions to a model whose answer is the diagnosis.
    asked: HashSet<EventId>,
    /// The diagnosis by rules that replaces the answer to a question that the simulated world does not ask.
    rule_diagnoses: HashMap<EventId, Body>,
    refused: HashSet<EventId>,
    ran: HashSet<EventId>,
    would_run: HashSet<EventId>,
    report: Report,
}

impl<'a> Backtest<'a> {
    /// Compares the proposed policy with the recorded ones, or where none is recorded with the reference policy, which is
    /// assumed to have been in force. `filter` selects the
    /// decisions that are reported; [`take`](Self::take) needs the whole history, as decisions rest on all of it.
    pub fn new(partition: Partition, reference: &Policy, proposed: &Policy, filter: &'a Filter) -> Self {
        let (reference, proposed) = (Arc::new(reference.clone()), Arc::new(proposed.clone()));
        Self {
            partition,
            filter,
            policies: Policies::default(),
            deciders: vec![
                Box::new(Pair::<Triage>::new(Arc::clone(&reference), Arc::clone(&proposed))),
                Box::new(Pair::<Authorisation>::new(Arc::clone(&reference), Arc::clone(&proposed))),
                Box::new(Pair::<Judge>::new(reference, proposed)),
            ],
            now: Timestamp::UNIX_EPOCH,
            ms: 0,
            simulated: 0,
            outcomes: vec![],
            only_recorded: HashSet::new(),
            asked: HashSet::new(),
            rule_diagnoses: HashMap::new(),
            refused: HashSet::new(),
            ran: HashSet::new(),
            would_run: HashSet::new(),
            report: Report::default(),
        }
    }

    /// With the policies that the partition has recorded, by which decisions name theirs.
    #[must_use]
    pub fn with_policies(self, policies: Policies) -> Self {
        Self { policies, ..self }
    }

    /// The next event of the partition, in the order of ids.
    pub fn take(&mut self, event: Recorded) {
        self.report.events += 1;
        if event.id.ms > self.ms {
            self.advance_to(event.id.ms);
        }
        let Body::Known(what) = &event.body else { return };
        if let Event::Action(Action::PolicyChanged(changed)) = what {
            self.in_force(Policy::recorded(changed).ok());
        }
        if matches!(what, Event::Diagnosis(Diagnosis::OpinionSought(sought)) if sought.part == Part::Decides) {
            self.asked.insert(event.id);
        }
        // The rules answer when the model does not: that is an answer, too.
        let is_answer = event.family() == Family::Diagnosis && event.cause.is_some_and(|id| self.asked.contains(&id));
        match self.deciders.iter().position(|decider| decider.decides(what)).filter(|_| !is_answer) {
            Some(decider) => self.decision(decider, Arc::new(event)),
            None => self.input(Arc::new(event)),
        }
    }

    /// The report, after the last event.
    pub fn finish(mut self) -> Report {
        self.settle();
        let refused = self.refused.intersection(&self.would_run);
        self.report.refused_that_would_run += refused.filter(|diagnosis| !self.ran.contains(diagnosis)).count() as u64;
        self.report.changes.sort_by_key(|change| change.at);
        self.report
    }

    /// An event that does not depend on the policy.
    fn input(&mut self, event: Arc<Recorded>) {
        let of = match event.event() {
            Some(Event::Action(Action::Succeeded(done))) => Some(done.action),
            Some(Event::Action(Action::Failed(failed))) => Some(failed.action),
            Some(Event::Action(Action::Refused(refused))) => refused.refusal.unexecuted_intent(),
            Some(Event::Diagnosis(_)) => event.cause,
            _ => None,
        };
        let is_only_recorded = of.is_some_and(|of| self.only_recorded.contains(&of));
        let by_rules = of.and_then(|of| self.rule_diagnoses.get(&of));
        let simulated = match (by_rules, event.event()) {
            (Some(by_rules), Some(Event::Diagnosis(Diagnosis::Reached(_)))) => {
                Some(Arc::new(Recorded { body: by_rules.clone(), ..(*event).clone() }))
            }
            (Some(_), _) => None,
            (None, _) => (!is_only_recorded).then(|| Arc::clone(&event)),
        };
        for decider in &mut self.deciders {
            decider.fold_recorded(&event);
            if let Some(event) = &simulated {
                decider.fold_simulated(event);
            }
        }
    }

    fn in_force(&mut self, policy: Option<Policy>) {
        if let Some(policy) = policy.map(Arc::new) {
            self.deciders.iter_mut().for_each(|decider| decider.in_force(&policy));
        }
    }

    /// A recorded decision: the simulated world decides upon the same trigger.
    fn decision(&mut self, decider: usize, event: Arc<Recorded>) {
        let basis = event.event().and_then(Event::basis);
        let policy = basis.and_then(|basis| basis.policy).and_then(|hash| self.policies.policy(hash));
        let is_recorded = policy.is_some() && basis.is_some_and(|basis| basis.trigger.is_some());
        if let Some(policy) = policy {
            self.deciders[decider].in_force(&Arc::new(policy));
        }
        let redecision = self.deciders[decider].decide_again(&event);
        for decider in &mut self.deciders {
            decider.fold_recorded(&event);
        }
        let wanted = self.wants(event.id, &event.subject, event.incident.as_ref());
        if wanted {
            self.report.decisions += 1;
            self.report.unexplained += u64::from(!redecision.explained);
            self.report.guessed += u64::from(!is_recorded);
        }
        let key = |new: &Option<NewEvent>| new.as_ref().and_then(|new| DecisionKey::of(&new.event));
        let recorded = event.event().and_then(DecisionKey::of);
        let by_proposal = key(&redecision.by_proposal);
        let simulated = if by_proposal == recorded {
            // The same decision, with the times of the proposed policy.
            redecision.by_proposal.map(|new| Arc::new(Recorded { body: Body::Known(new.event), ..(*event).clone() }))
        } else if !redecision.explained && by_proposal == key(&redecision.by_reference) {
            Some(Arc::clone(&event))
        } else {
            let instead = redecision.by_proposal.map(|new| Arc::new(new.recorded(event.id, &[])));
            self.change(Some(&event), instead.as_deref());
            self.instead(&event, instead)
        };
        self.count(Some(&event), simulated.as_deref());
        if let Some(simulated) = simulated {
            self.fold_simulated(&simulated);
        }
    }

    /// What happens in the simulated world in place of a recorded decision. If only one of the worlds asks a model, the
    /// diagnosis by rules takes the place of the recorded diagnosis, so that the decisions that follow can be compared.
    fn instead(&mut self, was: &Recorded, instead: Option<Arc<Recorded>>) -> Option<Arc<Recorded>> {
        match (was.event(), instead.as_deref().and_then(Recorded::event)) {
            (
                Some(Event::Diagnosis(Diagnosis::Reached(_))),
                Some(Event::Diagnosis(Diagnosis::OpinionSought(sought))),
            ) => {
                let body = Body::Known(sought.fallback.clone().into());
                Some(Arc::new(Recorded { body, ..was.clone() }))
            }
            (
                Some(Event::Diagnosis(Diagnosis::OpinionSought(_))),
                Some(Event::Diagnosis(Diagnosis::Reached(reached))),
            ) => {
                self.rule_diagnoses.insert(was.id, Body::Known(reached.clone().into()));
                None
            }
            _ => {
                self.only_recorded.insert(was.id);
                self.outcomes.extend(instead.as_deref().and_then(|event| outcome(event, self.now)));
                instead
            }
        }
    }

    /// Advances the time of the log and fires the timers due until then.
    fn advance_to(&mut self, ms: u64) {
        self.settle();
        let until = instant(ms);
        while let Some(due) =
            self.deciders.iter().filter_map(|decider| decider.next_due()).min().filter(|due| *due <= until)
        {
            self.now = self.now.max(due);
            self.ms = self.ms.max(u64::try_from(due.as_millisecond()).unwrap_or(0).saturating_sub(1));
            for decider in &mut self.deciders {
                decider.fire_timers(due);
            }
            self.settle();
        }
        (self.now, self.ms) = (self.now.max(until), ms);
    }

    /// Decides upon the triggers that only the simulated world has.
    fn settle(&mut self) {
        loop {
            for outcome in mem::take(&mut self.outcomes) {
                let event = Arc::new(outcome.recorded(self.next_id(), &[]));
                self.fold_simulated(&event);
            }
            let now = self.now;
            let Some(new) = self.deciders.iter_mut().find_map(|decider| decider.settle(now)) else { break };
            let event = Arc::new(new.recorded(self.next_id(), &[]));
            self.change(None, Some(&event));
            self.count(None, Some(&event));
            self.fold_simulated(&event);
            self.outcomes.extend(outcome(&event, now));
        }
    }

    fn fold_simulated(&mut self, event: &Arc<Recorded>) {
        self.deciders.iter_mut().for_each(|decider| decider.fold_simulated(event));
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
                was: was.and_then(summary),
                would_be: would_be.and_then(summary),
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
        let Filter { window, incident: of_incident, .. } = self.filter;
        let (on, name) = (subject.host.as_str(), subject.container.as_ref().map(|name| name.as_str()));
        window.contains(id)
            && self.filter.is_about(on, name)
            && of_incident.as_ref().is_none_or(|wanted| incident == Some(wanted))
    }
}

impl std::fmt::Debug for Backtest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backtest").field("partition", &self.partition).field("now", &self.now).finish_non_exhaustive()
    }
}

/// The outcome of a simulated decision: a remedy succeeds at once, a question is answered by the rules.
fn outcome(decision: &Recorded, now: Timestamp) -> Option<NewEvent> {
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

fn summary(event: &Recorded) -> Option<DecisionSummary> {
    let key = DecisionKey::of(event.event()?)?;
    Some(DecisionSummary { kind: event.kind(), short: key.to_string(), why: story::line(event) })
}

/// A time of the log.
fn instant(ms: u64) -> Timestamp {
    EventId { ms, ..EventId::start(Partition(0)) }.appended_at()
}
