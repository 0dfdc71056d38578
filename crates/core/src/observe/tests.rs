//! Given a container, when it is seen so, then this goes on the log.

use hemostat_schema::{
    ByteCount, Cause, Event, IncidentId, NewEvent, Observation, Percent, Span, Subject, Timestamp,
    container::{Exit, ExitBy, Facts, Health, RestartPolicy, State as Life, Target, Vitals},
    observation::{Evidence, Symptom, Trend},
};

use super::{ObservationInput, State, next_deadline, observe};
use crate::{
    Policy,
    policy::{ContainerPolicy, NamePatterns, ROLE_LABEL},
    testing::{self, at, facts, labelled},
};

mod figures;
mod intent;
mod laws;
mod recorded;
mod unrest;

/// One container under observation, with everything that went on the log.
struct ObservedContainer {
    state: State,
    policy: Policy,
    log: Vec<NewEvent>,
}

impl ObservedContainer {
    /// A container that was seen with these facts at second 0, under a policy with short times.
    fn given(facts: Facts) -> Self {
        let mut bed = Self { state: State::default(), policy: policy(), log: vec![] };
        bed.when(0, ObservationInput::Facts(Box::new(facts)));
        bed
    }

    /// What goes on the log, in short.
    fn when(&mut self, seconds: i64, sight: ObservationInput) -> Vec<String> {
        let events = observe(&mut self.state, &subject(), sight, &self.policy, at(seconds));
        let told = events.iter().map(told).collect();
        self.log.extend(events);
        told
    }

    /// Samples of this CPU and memory every 5 s over a range of seconds; what they told besides themselves.
    fn samples(&mut self, seconds: std::ops::RangeInclusive<i64>, cpu: f64, memory: f64) -> Vec<String> {
        let told =
            seconds.step_by(5).flat_map(|second| self.when(second, ObservationInput::Sample(vitals(cpu, memory))));
        told.filter(|told| told != "sampled").collect()
    }

    fn wakes(&self) -> Option<Timestamp> {
        next_deadline(&self.state, &subject(), &self.policy)
    }

    fn run(&self) -> Target {
        self.state.facts().unwrap().target()
    }

    fn started(&mut self, seconds: i64) -> Vec<String> {
        let next = Target { started_at: Some(at(seconds)), ..self.run() };
        self.when(seconds, ObservationInput::Started(next))
    }

    fn exited(&mut self, seconds: i64, code: i64, by: ExitBy) -> Vec<String> {
        let run = self.run();
        self.when(seconds, ObservationInput::Exited(run, exit(seconds, code, by)))
    }
}

fn policy() -> Policy {
    Policy {
        container_defaults: ContainerPolicy { sustained: Span::from_secs(30), ..ContainerPolicy::default() },
        exclude: NamePatterns::new(["hemostat-*"]).unwrap(),
        loop_restarts: 3,
        loop_within: Span::from_secs(120),
        ..Policy::default()
    }
}

fn subject() -> Subject {
    "docker-1/api".parse().unwrap()
}

fn vitals(cpu: f64, memory: f64) -> Vitals {
    testing::vitals(cpu, memory, 1)
}

fn told(event: &NewEvent) -> String {
    match &event.event {
        Event::Observation(Observation::SymptomRaised(it)) => format!("raised {} {:?}", it.symptom, it.severity),
        Event::Observation(Observation::SymptomWorsened(it)) => format!("worsened {}", it.symptom),
        Event::Observation(Observation::SymptomCleared(it)) => format!("cleared {} {:?}", it.symptom, it.why),
        Event::Observation(Observation::HealthChanged(it)) => format!("{:?} to {:?}", it.from, it.to),
        event => event.name().to_owned(),
    }
}

fn exit(second: i64, code: i64, by: ExitBy) -> Exit {
    Exit { at: at(second), code, by }
}

fn with(restart_policy: RestartPolicy, health: Health) -> Facts {
    Facts { restart_policy, health, ..facts() }
}

#[test]
fn what_is_known_already_is_not_told_again() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(bed.log.len(), 1);
    let run = bed.run();
    for sight in [
        ObservationInput::Facts(Box::new(facts())),
        ObservationInput::Started(run),
        ObservationInput::Health(Health::Healthy),
        ObservationInput::Unpaused,
        ObservationInput::Tick,
    ] {
        assert_eq!(bed.when(1, sight.clone()), [""; 0], "{sight:?}");
    }
    let earlier = Target { started_at: Some(at(-9)), ..bed.run() };
    assert_eq!(bed.when(2, ObservationInput::Exited(earlier, exit(2, 1, ExitBy::Crash))), [""; 0]);
}

#[test]
fn nothing_counts_before_the_first_inspection() {
    let mut bed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
    assert_eq!(bed.when(0, ObservationInput::Health(Health::Unhealthy)), [""; 0]);
    assert_eq!(bed.when(0, ObservationInput::Removed), [""; 0]);
    assert_eq!(bed.state, State::default());
}

#[test]
fn unhealthy_is_raised_once_and_cleared_when_health_has_held() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(
        bed.when(5, ObservationInput::Health(Health::Unhealthy)),
        ["Healthy to Unhealthy", "raised unhealthy High"]
    );
    assert_eq!(bed.when(6, ObservationInput::Health(Health::Unhealthy)), [""; 0]);
    assert_eq!(bed.when(7, ObservationInput::Tick), [""; 0]);
    assert_eq!(bed.when(10, ObservationInput::Health(Health::Healthy)), ["Unhealthy to Healthy"]);
    assert_eq!(bed.wakes(), Some(at(20)));
    assert_eq!(bed.when(19, ObservationInput::Tick), [""; 0]);
    assert_eq!(bed.when(20, ObservationInput::Tick), ["cleared unhealthy Well"]);
    assert_eq!(bed.wakes(), None);
}

#[test]
fn health_that_flaps_is_one_illness() {
    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    for seconds in (10..30).step_by(10) {
        assert_eq!(bed.when(seconds, ObservationInput::Health(Health::Healthy)), ["Unhealthy to Healthy"]);
        assert_eq!(bed.when(seconds + 5, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
    }
}

#[test]
fn a_container_may_ask_for_time_before_it_counts_as_unhealthy() {
    let mut bed = ObservedContainer::given(labelled("hemostat.for", "1m"));
    assert_eq!(bed.when(5, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
    assert_eq!(bed.wakes(), Some(at(65)));
    assert_eq!(bed.when(64, ObservationInput::Tick), [""; 0]);
    assert_eq!(bed.when(66, ObservationInput::Tick), ["raised unhealthy High"]);
    let Some(Event::Observation(Observation::SymptomRaised(raised))) = bed.log.last().map(|event| &event.event) else {
        panic!("not raised: {:?}", bed.log);
    };
    assert_eq!((raised.since, &raised.evidence), (at(5), &Evidence::Health { held: Span::from_secs(61) }));
}

#[test]
fn starting_and_no_health_check_are_not_unhealthy() {
    for health in [Health::Starting, Health::None] {
        let mut bed = ObservedContainer::given(with(RestartPolicy::No, health));
        assert_eq!(bed.when(600, ObservationInput::Tick), [""; 0], "{health:?}");
        assert_eq!(bed.wakes(), None);
    }
}

#[test]
fn a_restart_does_not_end_an_illness_before_health_is_proven() {
    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(bed.exited(10, 137, ExitBy::Operator), ["exited"]);
    assert_eq!(bed.started(12), ["started"]);
    assert_eq!(bed.when(40, ObservationInput::Tick), [""; 0]);
    assert_eq!(bed.when(50, ObservationInput::Health(Health::Healthy)), ["Starting to Healthy"]);
    assert_eq!(bed.when(60, ObservationInput::Tick), ["cleared unhealthy Well"]);

    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    bed.exited(10, 137, ExitBy::Operator);
    bed.started(12);
    assert_eq!(bed.when(50, ObservationInput::Health(Health::Unhealthy)), ["Starting to Unhealthy"]);
    assert!(bed.state.active_symptoms().contains_key(&Symptom::Unhealthy));
}

#[test]
fn an_end_is_an_illness_only_when_nobody_wanted_it_and_docker_leaves_it_so() {
    let check = |restart_policy, code, by, expected: &[&str]| {
        let mut bed = ObservedContainer::given(with(restart_policy, Health::None));
        assert_eq!(bed.exited(10, code, by), expected, "{restart_policy:?} {code} {by:?}");
    };
    let on_failure = RestartPolicy::OnFailure { max: 1 };
    check(RestartPolicy::No, 1, ExitBy::Crash, &["exited", "raised exited High"]);
    check(RestartPolicy::No, 139, ExitBy::Crash, &["exited", "raised exited High"]);
    check(RestartPolicy::No, 137, ExitBy::Oom, &["exited", "raised oom killed Critical"]);
    check(RestartPolicy::No, 0, ExitBy::Itself, &["exited"]);
    check(RestartPolicy::No, 143, ExitBy::Operator, &["exited"]);
    check(RestartPolicy::No, 137, ExitBy::Operator, &["exited"]);
    check(RestartPolicy::No, 1, ExitBy::Unknown, &["exited"]);
    check(RestartPolicy::Always, 1, ExitBy::Crash, &["exited"]);
    check(RestartPolicy::Always, 137, ExitBy::Oom, &["exited"]);
    check(RestartPolicy::UnlessStopped, 143, ExitBy::Operator, &["exited"]);
    check(on_failure, 1, ExitBy::Crash, &["exited"]);
}

#[test]
fn an_exhausted_restart_policy_leaves_an_illness() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::OnFailure { max: 1 }, Health::None));
    assert_eq!(bed.exited(10, 1, ExitBy::Crash), ["exited"]);
    assert_eq!(bed.started(11), ["started"]);
    assert_eq!(bed.exited(20, 1, ExitBy::Crash), ["exited", "raised exited High"]);
}

#[test]
fn inspecting_corrects_what_docker_was_believed_to_do() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::OnFailure { max: 9 }, Health::None));
    assert_eq!(bed.exited(10, 1, ExitBy::Crash), ["exited"]);
    let unseen = Exit { by: ExitBy::Unknown, ..exit(10, 1, ExitBy::Crash) };
    let given_up = Facts { state: Life::Exited, exit: Some(unseen), ..bed.state.facts().unwrap().clone() };
    assert_eq!(bed.when(11, ObservationInput::Facts(Box::new(given_up))), ["seen", "raised exited High"]);
}

#[test]
fn an_end_that_was_only_found_is_not_an_illness() {
    let ended = Facts { state: Life::Exited, exit: Some(exit(-900, 1, ExitBy::Unknown)), ..facts() };
    let mut bed = ObservedContainer::given(ended);
    assert_eq!(bed.log.len(), 1);
    assert_eq!(bed.when(60, ObservationInput::Tick), [""; 0]);
}

#[test]
fn a_crash_is_over_when_the_next_run_has_stayed_well() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    bed.exited(10, 1, ExitBy::Crash);
    assert_eq!(bed.started(15), ["started"]);
    assert_eq!(bed.exited(20, 1, ExitBy::Crash), ["exited"]);
    assert_eq!(bed.started(30), ["started"]);
    assert_eq!(bed.wakes(), Some(at(40)));
    assert_eq!(bed.when(40, ObservationInput::Tick), ["cleared exited Well"]);
}

#[test]
fn docker_restarting_again_and_again_is_a_loop() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    for n in 1..=3 {
        assert_eq!(bed.exited(n * 10, 1, ExitBy::Crash), ["exited"]);
        let expected: &[&str] = if n == 3 { &["started", "raised restart loop High"] } else { &["started"] };
        assert_eq!(bed.started(n * 10 + 5), expected, "{n}");
    }
    let Some(Event::Observation(Observation::SymptomRaised(raised))) = bed.log.last().map(|event| &event.event) else {
        panic!("not raised: {:?}", bed.log);
    };
    let last = Some(exit(30, 1, ExitBy::Crash));
    assert_eq!(raised.evidence, Evidence::Restarts { count: 3, within: Span::from_secs(120), last });
    assert_eq!(raised.since, at(15));
    assert_eq!(bed.exited(40, 1, ExitBy::Crash), ["exited"]);
    assert_eq!(bed.started(45), ["started"]);
    assert_eq!(bed.wakes(), Some(at(105)));
    assert_eq!(bed.when(105, ObservationInput::Tick), ["cleared restart loop Well"]);
    assert_eq!(bed.when(106, ObservationInput::Tick), [""; 0]);
}

#[test]
fn a_loop_is_over_when_a_run_lasts_also_when_that_run_is_unhealthy() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::Always, Health::Healthy));
    for n in 1..=3 {
        bed.exited(n * 10, 1, ExitBy::Crash);
        bed.started(n * 10 + 5);
    }
    assert!(bed.state.active_symptoms().contains_key(&Symptom::RestartLoop));
    assert_eq!(
        bed.when(50, ObservationInput::Health(Health::Unhealthy)),
        ["Starting to Unhealthy", "raised unhealthy High"]
    );
    assert_eq!(bed.wakes(), Some(at(95)));
    assert_eq!(bed.when(95, ObservationInput::Tick), ["cleared restart loop Well"]);
}

#[test]
fn restarts_that_were_missed_are_counted_by_inspecting() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    let known = bed.state.facts().unwrap().clone();
    let between = Facts { restarts: 3, state: Life::Restarting, exit: Some(exit(8, 1, ExitBy::Unknown)), ..known };
    assert_eq!(bed.when(9, ObservationInput::Facts(Box::new(between))), ["exited", "seen", "raised restart loop High"]);
}

#[test]
fn slow_restarts_and_those_of_others_are_no_loop() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    for n in 1..=9 {
        assert_eq!(bed.exited(n * 70, 1, ExitBy::Crash), ["exited"]);
        assert_eq!(bed.started(n * 70 + 5), ["started"]);
    }
    let mut bed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    for n in 1..=9 {
        assert_eq!(bed.exited(n * 10, 143, ExitBy::Operator), ["exited"]);
        assert_eq!(bed.started(n * 10 + 5), ["started"]);
    }
}

#[test]
fn a_level_must_hold_for_its_time_and_fall_well_below_to_be_over() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(bed.samples(5..=30, 90.0, 20.0), [""; 0]);
    assert_eq!(bed.samples(35..=35, 90.0, 20.0), ["raised cpu high High"]);
    assert_eq!(bed.samples(40..=60, 90.0, 20.0), [""; 0]);
    assert_eq!(bed.samples(65..=95, 97.0, 20.0), ["worsened cpu high"]);
    assert_eq!(bed.samples(100..=200, 82.0, 20.0), [""; 0]);
    assert_eq!(bed.samples(205..=210, 70.0, 20.0), [""; 0]);
    assert_eq!(bed.samples(215..=215, 70.0, 20.0), ["cleared cpu high Well"]);
}

#[test]
fn a_level_at_its_limit_from_the_first_is_critical_at_once() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(bed.samples(5..=60, 10.0, 99.0), ["raised memory high Critical"]);
    let evidence = bed.log.iter().find_map(|event| match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) => Some(raised.evidence.clone()),
        _ => None,
    });
    let expected = Evidence::Level {
        value: Percent::clamped(99.0),
        threshold: Percent::clamped(80.0),
        held: Span::from_secs(30),
        trend: Trend::Steady,
    };
    assert_eq!(evidence, Some(expected));
}

#[test]
fn a_restart_empties_the_windows_but_memory_must_prove_itself() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    bed.samples(5..=40, 90.0, 90.0);
    let both: Vec<Symptom> = bed.state.active_symptoms().keys().copied().collect();
    assert_eq!(both, [Symptom::CpuHigh, Symptom::MemoryHigh]);
    bed.exited(41, 143, ExitBy::Operator);
    bed.started(42);
    assert_eq!(bed.when(60, ObservationInput::Tick), [""; 0]);
    assert_eq!(bed.samples(65..=70, 10.0, 90.0), [""; 0]);
    assert_eq!(bed.samples(75..=75, 10.0, 90.0), ["cleared cpu high Well"]);
}

#[test]
fn an_operators_stop_ends_every_illness_once_it_lasts() {
    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(bed.exited(20, 143, ExitBy::Operator), ["exited"]);
    assert_eq!(bed.wakes(), Some(at(30)));
    assert_eq!(bed.when(30, ObservationInput::Tick), ["cleared unhealthy Stopped"]);
    assert_eq!(bed.when(300, ObservationInput::Tick), [""; 0]);
}

#[test]
fn freezing_ends_every_illness_at_once_and_what_is_frozen_is_not_sick() {
    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(bed.when(20, ObservationInput::Paused), ["paused", "cleared unhealthy Stopped"]);
    assert_eq!(bed.when(25, ObservationInput::Health(Health::Healthy)), ["Unhealthy to Healthy"]);
    assert_eq!(bed.when(30, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
    assert_eq!(bed.when(40, ObservationInput::Unpaused), ["unpaused", "raised unhealthy High"]);
}

#[test]
fn a_container_that_is_gone_leaves_nothing_behind() {
    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(bed.when(9, ObservationInput::Removed), ["removed", "cleared unhealthy Removed"]);
    assert_eq!(bed.state, State::default());
}

#[test]
fn another_container_of_the_same_name_begins_anew() {
    let mut bed = ObservedContainer::given(facts());
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    let another = Facts { id: "fedcba9876543210".parse().unwrap(), ..facts() };
    assert_eq!(
        bed.when(9, ObservationInput::Facts(Box::new(another))),
        ["removed", "cleared unhealthy Removed", "seen"]
    );
}

#[test]
fn what_is_not_watched_is_seen_and_never_sick() {
    for facts in [labelled("hemostat.enable", "false"), labelled("autoheal", "FALSE"), labelled(ROLE_LABEL, "monitor")]
    {
        let mut bed = ObservedContainer::given(facts);
        assert_eq!(bed.when(5, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
        assert_eq!(bed.exited(9, 1, ExitBy::Crash), ["exited"]);
        assert_eq!(bed.wakes(), None);
    }
    let own: Subject = "docker-1/hemostat-redis".parse().unwrap();
    let mut state = State::default();
    let sick = ObservationInput::Facts(Box::new(Facts { health: Health::Unhealthy, ..facts() }));
    let events = observe(&mut state, &own, sick, &policy(), at(0));
    assert_eq!(events.iter().map(told).collect::<Vec<_>>(), ["seen"]);
}

#[test]
fn illnesses_that_overlap_or_follow_closely_are_one_incident() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::No, Health::Healthy));
    let incidents = |bed: &ObservedContainer| -> Vec<Option<IncidentId>> {
        let symptom = |event: &&NewEvent| event.event.name() == "symptom_raised";
        bed.log.iter().filter(symptom).map(|event| event.incident.clone()).collect()
    };
    bed.when(5, ObservationInput::Health(Health::Unhealthy));
    bed.exited(8, 1, ExitBy::Crash);
    bed.started(10);
    bed.when(12, ObservationInput::Health(Health::Healthy));
    bed.when(22, ObservationInput::Tick);
    assert!(bed.state.active_symptoms().is_empty());
    bed.when(82, ObservationInput::Health(Health::Unhealthy));
    let first = Some(IncidentId::begun(&subject(), at(5)));
    assert_eq!(incidents(&bed), [first.clone(), first.clone(), first]);
    bed.when(90, ObservationInput::Health(Health::Healthy));
    bed.when(100, ObservationInput::Tick);
    bed.when(161, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(incidents(&bed).last(), Some(&Some(IncidentId::begun(&subject(), at(161)))));
}

#[test]
fn samples_go_on_the_log_now_and_then_and_whenever_they_decide_something() {
    let mut bed = ObservedContainer::given(facts());
    for second in (5..=60).step_by(5) {
        bed.when(second, ObservationInput::Sample(vitals(if second >= 15 { 90.0 } else { 10.0 }, 10.0)));
    }
    let told: Vec<(Timestamp, String, Option<Cause>)> =
        bed.log.iter().skip(1).map(|event| (event.at, told(event), event.cause)).collect();
    let sampled = |seconds| (at(seconds), "sampled".to_owned(), None);
    let raised = (at(45), "raised cpu high High".to_owned(), Some(Cause::Sibling(0)));
    assert_eq!(told, [sampled(5), sampled(20), sampled(45), raised]);
}

#[test]
fn not_all_containers_are_told_of_at_once() {
    let every = i64::try_from(Policy::default().sample_every.as_millis()).unwrap() / 1000;
    let mut told_at: std::collections::BTreeMap<i64, usize> = std::collections::BTreeMap::new();
    for n in 0..200 {
        let mut bed = ObservedContainer::given(Facts { id: format!("{n:064x}").parse().unwrap(), ..facts() });
        let told: Vec<i64> = (0..=300)
            .step_by(5)
            .filter(|second| !bed.when(*second, ObservationInput::Sample(vitals(9.0, 9.0))).is_empty())
            .collect();
        let gaps: Vec<i64> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (every / 2..=every + 5).contains(gap)), "{told:?}");
        assert!(gaps[2..].iter().all(|gap| *gap >= every - 5), "{told:?}");
        told.iter().filter(|second| **second > 60).for_each(|second| *told_at.entry(*second).or_default() += 1);
    }
    // A sixth of them would have their turn in each sweep, were they spread as evenly as can be.
    assert!(told_at.len() == 48 && told_at.values().all(|count| (15..=60).contains(count)), "{told_at:?}");
}
