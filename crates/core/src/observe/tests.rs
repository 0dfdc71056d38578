//! Given a container, when the monitor sees this, then these events are emitted.

use hemostat_schema::{
    ByteCount, Cause, Event, IncidentId, NewEvent, Observation, Percent, Span, Subject, Timestamp,
    container::{Exit, ExitBy, Facts, Health, RestartPolicy, Run, State as Life, Vitals},
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

/// One container under observation, with every event that was emitted.
struct ObservedContainer {
    state: State,
    policy: Policy,
    log: Vec<NewEvent>,
}

impl ObservedContainer {
    /// A container that was inspected with these facts at second 0, under a policy with short times.
    fn given(facts: Facts) -> Self {
        let mut observed = Self { state: State::default(), policy: policy(), log: vec![] };
        observed.when(0, ObservationInput::Facts(Box::new(facts)));
        observed
    }

    /// The emitted events, abbreviated.
    fn when(&mut self, seconds: i64, input: ObservationInput) -> Vec<String> {
        // A test may have changed the policy.
        self.state.forget_policy();
        let events = observe(&mut self.state, &subject(), input, &self.policy, at(seconds));
        let emitted = events.iter().map(emitted).collect();
        self.log.extend(events);
        emitted
    }

    /// Samples of this CPU and memory every 5 s over a range of seconds; the emitted events but the samples.
    fn samples(&mut self, seconds: std::ops::RangeInclusive<i64>, cpu: f64, memory: f64) -> Vec<String> {
        let emitted =
            seconds.step_by(5).flat_map(|second| self.when(second, ObservationInput::Sample(vitals(cpu, memory))));
        emitted.filter(|emitted| emitted != "container" && emitted != "sampled").collect()
    }

    fn deadline(&self) -> Option<Timestamp> {
        next_deadline(&self.state, &subject(), &self.policy)
    }

    fn run(&self) -> Run {
        self.state.facts().unwrap().target()
    }

    fn started(&mut self, seconds: i64) -> Vec<String> {
        let next = Run { started_at: Some(at(seconds)), ..self.run() };
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

fn emitted(event: &NewEvent) -> String {
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
fn what_is_known_already_emits_nothing() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(observed.log.len(), 1);
    let run = observed.run();
    for input in [
        ObservationInput::Facts(Box::new(facts())),
        ObservationInput::Started(run),
        ObservationInput::Health(Health::Healthy),
        ObservationInput::Unpaused,
        ObservationInput::Tick,
    ] {
        assert_eq!(observed.when(1, input.clone()), [""; 0], "{input:?}");
    }
    let earlier = Run { started_at: Some(at(-9)), ..observed.run() };
    assert_eq!(observed.when(2, ObservationInput::Exited(earlier, exit(2, 1, ExitBy::Crash))), [""; 0]);
}

#[test]
fn nothing_counts_before_the_first_inspection() {
    let mut observed = ObservedContainer { state: State::default(), policy: policy(), log: vec![] };
    assert_eq!(observed.when(0, ObservationInput::Health(Health::Unhealthy)), [""; 0]);
    assert_eq!(observed.when(0, ObservationInput::Removed), [""; 0]);
    assert_eq!(observed.state, State::default());
}

#[test]
fn unhealthy_is_raised_once_and_cleared_after_a_time_of_health() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(
        observed.when(5, ObservationInput::Health(Health::Unhealthy)),
        ["Healthy to Unhealthy", "raised unhealthy High"]
    );
    assert_eq!(observed.when(6, ObservationInput::Health(Health::Unhealthy)), [""; 0]);
    assert_eq!(observed.when(7, ObservationInput::Tick), [""; 0]);
    assert_eq!(observed.when(10, ObservationInput::Health(Health::Healthy)), ["Unhealthy to Healthy"]);
    assert_eq!(observed.deadline(), Some(at(20)));
    assert_eq!(observed.when(19, ObservationInput::Tick), [""; 0]);
    assert_eq!(observed.when(20, ObservationInput::Tick), ["cleared unhealthy Well"]);
    assert_eq!(observed.deadline(), None);
}

#[test]
fn a_health_check_that_flips_raises_unhealthy_once() {
    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    for seconds in (10..30).step_by(10) {
        assert_eq!(observed.when(seconds, ObservationInput::Health(Health::Healthy)), ["Unhealthy to Healthy"]);
        assert_eq!(observed.when(seconds + 5, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
    }
}

#[test]
fn a_label_delays_unhealthy() {
    let mut observed = ObservedContainer::given(labelled("hemostat.for", "1m"));
    assert_eq!(observed.when(5, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
    assert_eq!(observed.deadline(), Some(at(65)));
    assert_eq!(observed.when(64, ObservationInput::Tick), [""; 0]);
    assert_eq!(observed.when(66, ObservationInput::Tick), ["raised unhealthy High"]);
    let Some(Event::Observation(Observation::SymptomRaised(raised))) = observed.log.last().map(|event| &event.event)
    else {
        panic!("not raised: {:?}", observed.log);
    };
    assert_eq!((raised.since, &raised.evidence), (at(5), &Evidence::Health { held: Span::from_secs(61) }));
}

#[test]
fn starting_and_no_health_check_are_not_unhealthy() {
    for health in [Health::Starting, Health::None] {
        let mut observed = ObservedContainer::given(with(RestartPolicy::No, health));
        assert_eq!(observed.when(600, ObservationInput::Tick), [""; 0], "{health:?}");
        assert_eq!(observed.deadline(), None);
    }
}

#[test]
fn a_restart_does_not_clear_a_symptom_before_the_health_check_passes() {
    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(observed.exited(10, 137, ExitBy::Operator), ["exited"]);
    assert_eq!(observed.started(12), ["started"]);
    assert_eq!(observed.when(40, ObservationInput::Tick), [""; 0]);
    assert_eq!(observed.when(50, ObservationInput::Health(Health::Healthy)), ["Starting to Healthy"]);
    assert_eq!(observed.when(60, ObservationInput::Tick), ["cleared unhealthy Well"]);

    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    observed.exited(10, 137, ExitBy::Operator);
    observed.started(12);
    assert_eq!(observed.when(50, ObservationInput::Health(Health::Unhealthy)), ["Starting to Unhealthy"]);
    assert!(observed.state.active_symptoms().contains_key(&Symptom::Unhealthy));
}

#[test]
fn an_exit_is_a_symptom_only_if_it_was_not_intended_and_docker_does_not_restart() {
    let check = |restart_policy, code, by, expected: &[&str]| {
        let mut observed = ObservedContainer::given(with(restart_policy, Health::None));
        assert_eq!(observed.exited(10, code, by), expected, "{restart_policy:?} {code} {by:?}");
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
fn an_exhausted_restart_policy_leaves_a_symptom() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::OnFailure { max: 1 }, Health::None));
    assert_eq!(observed.exited(10, 1, ExitBy::Crash), ["exited"]);
    assert_eq!(observed.started(11), ["started"]);
    assert_eq!(observed.exited(20, 1, ExitBy::Crash), ["exited", "raised exited High"]);
}

#[test]
fn an_inspection_corrects_what_docker_was_expected_to_do() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::OnFailure { max: 9 }, Health::None));
    assert_eq!(observed.exited(10, 1, ExitBy::Crash), ["exited"]);
    let unseen = Exit { by: ExitBy::Unknown, ..exit(10, 1, ExitBy::Crash) };
    let given_up = Facts { state: Life::Exited, exit: Some(unseen), ..observed.state.facts().unwrap().clone() };
    assert_eq!(observed.when(11, ObservationInput::Facts(Box::new(given_up))), ["seen", "raised exited High"]);
}

#[test]
fn an_exit_that_was_not_observed_is_no_symptom() {
    let ended = Facts { state: Life::Exited, exit: Some(exit(-900, 1, ExitBy::Unknown)), ..facts() };
    let mut observed = ObservedContainer::given(ended);
    assert_eq!(observed.log.len(), 1);
    assert_eq!(observed.when(60, ObservationInput::Tick), [""; 0]);
}

#[test]
fn a_crash_is_cleared_when_the_next_run_has_been_well() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    observed.exited(10, 1, ExitBy::Crash);
    assert_eq!(observed.started(15), ["started"]);
    assert_eq!(observed.exited(20, 1, ExitBy::Crash), ["exited"]);
    assert_eq!(observed.started(30), ["started"]);
    assert_eq!(observed.deadline(), Some(at(40)));
    assert_eq!(observed.when(40, ObservationInput::Tick), ["cleared exited Well"]);
}

#[test]
fn repeated_restarts_by_docker_are_a_restart_loop() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    for n in 1..=3 {
        assert_eq!(observed.exited(n * 10, 1, ExitBy::Crash), ["exited"]);
        let expected: &[&str] = if n == 3 { &["started", "raised restart loop High"] } else { &["started"] };
        assert_eq!(observed.started(n * 10 + 5), expected, "{n}");
    }
    let Some(Event::Observation(Observation::SymptomRaised(raised))) = observed.log.last().map(|event| &event.event)
    else {
        panic!("not raised: {:?}", observed.log);
    };
    let last = Some(exit(30, 1, ExitBy::Crash));
    assert_eq!(raised.evidence, Evidence::Restarts { count: 3, within: Span::from_secs(120), last });
    assert_eq!(raised.since, at(15));
    assert_eq!(observed.exited(40, 1, ExitBy::Crash), ["exited"]);
    assert_eq!(observed.started(45), ["started"]);
    assert_eq!(observed.deadline(), Some(at(105)));
    assert_eq!(observed.when(105, ObservationInput::Tick), ["cleared restart loop Well"]);
    assert_eq!(observed.when(106, ObservationInput::Tick), [""; 0]);
}

#[test]
fn a_restart_loop_is_cleared_when_a_run_lasts_even_an_unhealthy_one() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::Always, Health::Healthy));
    for n in 1..=3 {
        observed.exited(n * 10, 1, ExitBy::Crash);
        observed.started(n * 10 + 5);
    }
    assert!(observed.state.active_symptoms().contains_key(&Symptom::RestartLoop));
    assert_eq!(
        observed.when(50, ObservationInput::Health(Health::Unhealthy)),
        ["Starting to Unhealthy", "raised unhealthy High"]
    );
    assert_eq!(observed.deadline(), Some(at(95)));
    assert_eq!(observed.when(95, ObservationInput::Tick), ["cleared restart loop Well"]);
}

#[test]
fn an_inspection_counts_missed_restarts() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    let known = observed.state.facts().unwrap().clone();
    let between = Facts { restarts: 3, state: Life::Restarting, exit: Some(exit(8, 1, ExitBy::Unknown)), ..known };
    assert_eq!(
        observed.when(9, ObservationInput::Facts(Box::new(between))),
        ["exited", "seen", "raised restart loop High"]
    );
}

#[test]
fn slow_restarts_and_those_by_an_operator_are_no_restart_loop() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    for n in 1..=9 {
        assert_eq!(observed.exited(n * 70, 1, ExitBy::Crash), ["exited"]);
        assert_eq!(observed.started(n * 70 + 5), ["started"]);
    }
    let mut observed = ObservedContainer::given(with(RestartPolicy::Always, Health::None));
    for n in 1..=9 {
        assert_eq!(observed.exited(n * 10, 143, ExitBy::Operator), ["exited"]);
        assert_eq!(observed.started(n * 10 + 5), ["started"]);
    }
}

#[test]
fn a_level_is_raised_after_the_required_time_and_cleared_below_its_clear_threshold() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(observed.samples(5..=30, 90.0, 20.0), [""; 0]);
    assert_eq!(observed.samples(35..=35, 90.0, 20.0), ["raised cpu high High"]);
    assert_eq!(observed.samples(40..=60, 90.0, 20.0), [""; 0]);
    assert_eq!(observed.samples(65..=95, 97.0, 20.0), ["worsened cpu high"]);
    assert_eq!(observed.samples(100..=200, 82.0, 20.0), [""; 0]);
    assert_eq!(observed.samples(205..=210, 70.0, 20.0), [""; 0]);
    assert_eq!(observed.samples(215..=215, 70.0, 20.0), ["cleared cpu high Well"]);
}

#[test]
fn a_level_near_its_limit_is_raised_as_critical() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(observed.samples(5..=60, 10.0, 99.0), ["raised memory high Critical"]);
    let evidence = observed.log.iter().find_map(|event| match &event.event {
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
fn a_restart_empties_the_windows_and_each_level_is_debounced_again() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    observed.samples(5..=40, 90.0, 90.0);
    let both: Vec<Symptom> = observed.state.active_symptoms().keys().copied().collect();
    assert_eq!(both, [Symptom::CpuHigh, Symptom::MemoryHigh]);
    observed.exited(41, 143, ExitBy::Operator);
    observed.started(42);
    assert_eq!(observed.when(60, ObservationInput::Tick), [""; 0]);
    assert_eq!(observed.samples(65..=70, 10.0, 90.0), [""; 0]);
    assert_eq!(observed.samples(75..=75, 10.0, 90.0), ["cleared cpu high Well"]);
}

#[test]
fn a_lasting_stop_by_an_operator_clears_every_symptom() {
    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(observed.exited(20, 143, ExitBy::Operator), ["exited"]);
    assert_eq!(observed.deadline(), Some(at(30)));
    assert_eq!(observed.when(30, ObservationInput::Tick), ["cleared unhealthy Stopped"]);
    assert_eq!(observed.when(300, ObservationInput::Tick), [""; 0]);
}

#[test]
fn a_pause_clears_every_symptom_at_once_and_a_paused_container_is_not_sick() {
    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(observed.when(20, ObservationInput::Paused), ["paused", "cleared unhealthy Stopped"]);
    assert_eq!(observed.when(25, ObservationInput::Health(Health::Healthy)), ["Unhealthy to Healthy"]);
    assert_eq!(observed.when(30, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
    assert_eq!(observed.when(40, ObservationInput::Unpaused), ["unpaused", "raised unhealthy High"]);
}

#[test]
fn a_removed_container_leaves_the_default_state() {
    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(observed.when(9, ObservationInput::Removed), ["removed", "cleared unhealthy Removed"]);
    assert_eq!(observed.state, State::default());
}

#[test]
fn another_container_of_the_same_name_starts_over() {
    let mut observed = ObservedContainer::given(facts());
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    let another = Facts { id: "fedcba9876543210".parse().unwrap(), ..facts() };
    assert_eq!(
        observed.when(9, ObservationInput::Facts(Box::new(another))),
        ["removed", "cleared unhealthy Removed", "seen"]
    );
}

#[test]
fn a_container_that_is_not_watched_is_observed_and_never_sick() {
    for facts in [labelled("hemostat.enable", "false"), labelled("autoheal", "FALSE"), labelled(ROLE_LABEL, "monitor")]
    {
        let mut observed = ObservedContainer::given(facts);
        assert_eq!(observed.when(5, ObservationInput::Health(Health::Unhealthy)), ["Healthy to Unhealthy"]);
        assert_eq!(observed.exited(9, 1, ExitBy::Crash), ["exited"]);
        assert_eq!(observed.deadline(), None);
    }
    let own: Subject = "docker-1/hemostat-redis".parse().unwrap();
    let mut state = State::default();
    let sick = ObservationInput::Facts(Box::new(Facts { health: Health::Unhealthy, ..facts() }));
    let events = observe(&mut state, &own, sick, &policy(), at(0));
    assert_eq!(events.iter().map(emitted).collect::<Vec<_>>(), ["seen"]);
}

#[test]
fn symptoms_that_overlap_or_follow_closely_are_one_incident() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::No, Health::Healthy));
    let incidents = |observed: &ObservedContainer| -> Vec<Option<IncidentId>> {
        let symptom = |event: &&NewEvent| event.event.name() == "symptom_raised";
        observed.log.iter().filter(symptom).map(|event| event.incident.clone()).collect()
    };
    observed.when(5, ObservationInput::Health(Health::Unhealthy));
    observed.exited(8, 1, ExitBy::Crash);
    observed.started(10);
    observed.when(12, ObservationInput::Health(Health::Healthy));
    observed.when(22, ObservationInput::Tick);
    assert!(observed.state.active_symptoms().is_empty());
    observed.when(82, ObservationInput::Health(Health::Unhealthy));
    let first = Some(IncidentId::begun(&subject(), at(5)));
    assert_eq!(incidents(&observed), [first.clone(), first.clone(), first]);
    observed.when(90, ObservationInput::Health(Health::Healthy));
    observed.when(100, ObservationInput::Tick);
    observed.when(161, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(incidents(&observed).last(), Some(&Some(IncidentId::begun(&subject(), at(161)))));
}

#[test]
fn samples_are_recorded_when_they_changed_and_whenever_a_symptom_changes() {
    let mut observed = ObservedContainer::given(facts());
    for second in (5..=60).step_by(5) {
        observed.when(second, ObservationInput::Sample(vitals(if second >= 15 { 90.0 } else { 10.0 }, 10.0)));
    }
    let emitted: Vec<(Timestamp, String, Option<Cause>)> =
        observed.log.iter().skip(1).map(|event| (event.at, emitted(event), event.cause)).collect();
    let sampled = |seconds| (at(seconds), "container".to_owned(), None);
    let raised = (at(45), "raised cpu high High".to_owned(), None);
    assert_eq!(emitted, [sampled(5), sampled(20), sampled(45), raised]);
}

#[test]
fn samples_of_different_containers_are_recorded_at_different_times() {
    let every = i64::try_from(Policy::default().sample_every.as_millis()).unwrap() / 1000;
    let mut recorded_at: std::collections::BTreeMap<i64, usize> = std::collections::BTreeMap::new();
    for n in 0..200 {
        let mut observed = ObservedContainer::given(Facts { id: format!("{n:064x}").parse().unwrap(), ..facts() });
        let emitted: Vec<i64> = (0..=300)
            .step_by(5)
            .filter(|second| {
                // Each differs from the one that was recorded before it.
                let cpu = f64::from(i32::try_from(*second * 3 % 50).unwrap());
                !observed.when(*second, ObservationInput::Sample(vitals(cpu, 9.0))).is_empty()
            })
            .collect();
        let gaps: Vec<i64> = emitted.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (every / 2..=every + 5).contains(gap)), "{emitted:?}");
        assert!(gaps[2..].iter().all(|gap| *gap >= every - 5), "{emitted:?}");
        emitted.iter().filter(|second| **second > 60).for_each(|second| *recorded_at.entry(*second).or_default() += 1);
    }
    // With a perfectly even spread a sixth of the containers would be recorded in each sweep.
    assert!(recorded_at.len() == 48 && recorded_at.values().all(|count| (15..=60).contains(count)), "{recorded_at:?}");
}
