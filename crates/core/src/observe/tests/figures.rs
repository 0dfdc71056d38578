//! Symptoms of resource use: what a container uses, waits for and keeps on disk.

use super::*;
use hemostat_schema::{
    container::Strain,
    observation::Resource,
    sample::{Disk, Storage},
};

const MIB: u64 = 1 << 20;

/// Samples every 5 s over a range of seconds, each made by `sample`; the emitted events but the samples.
fn watched(
    observed: &mut ObservedContainer,
    seconds: std::ops::RangeInclusive<i64>,
    sample: impl Fn(i64) -> Vitals,
) -> Vec<(i64, String)> {
    let emitted = seconds.step_by(5).flat_map(|second| {
        let emitted = observed.when(second, ObservationInput::Sample(sample(second)));
        emitted.into_iter().map(move |emitted| (second, emitted))
    });
    emitted.filter(|(_, emitted)| emitted != "container" && emitted != "sampled").collect()
}

fn evidence(observed: &ObservedContainer, symptom: Symptom) -> Evidence {
    let found = observed.log.iter().find_map(|event| match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) if raised.symptom == symptom => {
            Some(raised.evidence.clone())
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{symptom} was not raised: {:?}", observed.log))
}

fn at_second(second: i64, emitted: &str) -> (i64, String) {
    (second, emitted.to_owned())
}

fn strained(strain: Strain) -> Vitals {
    Vitals { strain, ..vitals(10.0, 10.0) }
}

fn throttled(percent: f64) -> Vitals {
    strained(Strain { throttled: Some(Percent::clamped(percent)), ..Strain::default() })
}

fn waiting_for_disk(percent: f64) -> Vitals {
    strained(Strain { disk: Some(Percent::clamped(percent)), ..Strain::default() })
}

fn many_pids(pids: u64) -> Vitals {
    Vitals { pids, pids_limit: Some(100), ..vitals(10.0, 10.0) }
}

#[test]
fn each_debounced_signal_is_raised_once_and_cleared_once() {
    let check = |name: &str, severity: &str, high: fn() -> Vitals, hovers: fn() -> Vitals, low: fn() -> Vitals| {
        let mut observed = ObservedContainer::given(facts());
        assert_eq!(watched(&mut observed, 5..=30, |_| high()), [], "{name}");
        assert_eq!(observed.when(31, ObservationInput::Tick), [""; 0]);
        let raised = format!("raised {name} {severity}");
        assert_eq!(watched(&mut observed, 35..=200, |_| high()), [at_second(35, &raised)], "{name}");
        assert_eq!(watched(&mut observed, 205..=300, |_| hovers()), [], "{name}");
        let cleared = format!("cleared {name} Well");
        assert_eq!(watched(&mut observed, 305..=400, |_| low()), [at_second(315, &cleared)], "{name}");
        assert_eq!(observed.deadline(), None);
    };
    check("cpu throttled", "High", || throttled(100.0), || throttled(22.0), || throttled(10.0));
    check("pressure", "High", || waiting_for_disk(99.0), || waiting_for_disk(38.0), || waiting_for_disk(5.0));
    check("pids high", "High", || many_pids(93), || many_pids(88), || many_pids(20));
    check("pids high", "Critical", || many_pids(99), || many_pids(88), || many_pids(20));
    // A signal that is no longer measured is cleared.
    check("cpu throttled", "High", || throttled(80.0), || throttled(22.0), || vitals(10.0, 10.0));
    check("pressure", "High", || waiting_for_disk(80.0), || waiting_for_disk(38.0), || vitals(10.0, 10.0));
    check("pids high", "High", || many_pids(93), || many_pids(88), || vitals(10.0, 10.0));
}

#[test]
fn the_evidence_has_the_resource_the_value_and_the_duration() {
    let mut observed = ObservedContainer::given(facts());
    watched(&mut observed, 5..=60, |_| Vitals {
        pids: 95,
        pids_limit: Some(100),
        ..strained(Strain {
            throttled: Some(Percent::clamped(60.0)),
            cpu: Some(Percent::clamped(90.0)),
            memory: Some(Percent::clamped(55.0)),
            disk: None,
        })
    });
    let held = Span::from_secs(30);
    let level = Evidence::Level {
        value: Percent::clamped(60.0),
        threshold: Percent::clamped(25.0),
        held,
        trend: Trend::Steady,
    };
    assert_eq!(evidence(&observed, Symptom::CpuThrottled), level);
    let stalled = Evidence::Stalled {
        resource: Resource::Memory,
        value: Percent::clamped(55.0),
        threshold: Percent::clamped(40.0),
        held,
    };
    assert_eq!(evidence(&observed, Symptom::Pressure), stalled);
    assert_eq!(evidence(&observed, Symptom::PidsHigh), Evidence::Count { value: 95, limit: 100, held });
}

#[test]
fn without_limits_there_is_neither_throttling_nor_pids_high() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(watched(&mut observed, 5..=600, |_| Vitals { pids: 1_000_000, ..vitals(10.0, 10.0) }), []);
}

/// Memory in MiB of a limit of 1,000.
fn memory(used: f64) -> Vitals {
    let share = used / 10.0;
    let bytes = |mib: f64| ByteCount((mib * 1_048_576.0) as u64);
    Vitals { memory_used: bytes(used), memory_limit: bytes(1_000.0), ..vitals(10.0, share) }
}

/// From 200 MiB on, 10 more every minute.
fn leaking(second: i64) -> Vitals {
    memory(200.0 + second as f64 / 6.0)
}

#[test]
fn a_leak_is_raised_once_long_before_the_limit() {
    let mut observed = ObservedContainer::given(facts());
    let emitted = watched(&mut observed, 5..=2400, leaking);
    assert_eq!(emitted.iter().map(|(_, emitted)| emitted.as_str()).collect::<Vec<_>>(), ["raised memory leak High"]);
    assert!((1200..1320).contains(&emitted[0].0), "{emitted:?}");
    assert!(matches!(evidence(&observed, Symptom::MemoryLeak), Evidence::Growth { .. }));
    let emitted = watched(&mut observed, 2405..=3000, |_| memory(100.0));
    assert_eq!(emitted.iter().map(|(_, emitted)| emitted.as_str()).collect::<Vec<_>>(), ["cleared memory leak Well"]);
}

#[test]
fn a_leak_is_cleared_when_another_run_is_well() {
    let mut observed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    watched(&mut observed, 5..=1400, leaking);
    assert!(observed.state.active_symptoms().contains_key(&Symptom::MemoryLeak));
    observed.exited(1401, 143, ExitBy::Operator);
    observed.started(1402);
    assert_eq!(observed.deadline(), Some(at(1412)));
    assert_eq!(observed.when(1412, ObservationInput::Tick), ["cleared memory leak Well"]);
    assert_eq!(watched(&mut observed, 1415..=2000, |second| leaking(second - 1400)), []);
}

#[test]
fn an_unusual_symptom_belongs_to_no_incident() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(watched(&mut observed, 5..=600, |second| vitals(5.0 + (second % 3) as f64, 10.0)), []);
    let emitted = watched(&mut observed, 605..=900, |_| vitals(60.0, 10.0));
    assert_eq!(emitted, [at_second(635, "raised cpu unusual Low")]);
    assert!(!observed.state.is_sick());
    let raised = observed.log.last().expect("it was emitted");
    assert_eq!((raised.event.name(), &raised.incident), ("container", &None));
    assert_eq!(observed.state.incident(), None);
    let emitted = watched(&mut observed, 905..=960, |_| vitals(6.0, 10.0));
    assert_eq!(emitted, [at_second(915, "cleared cpu unusual Well")]);
    assert!(observed.log.iter().all(|event| event.incident.is_none()));
}

#[test]
fn a_signal_above_its_threshold_is_not_also_unusual() {
    let mut observed = ObservedContainer::given(facts());
    watched(&mut observed, 5..=600, |_| vitals(5.0, 10.0));
    assert_eq!(watched(&mut observed, 605..=900, |_| vitals(92.0, 10.0)), [at_second(635, "raised cpu high High")]);
    let emitted = watched(&mut observed, 905..=1000, |_| vitals(5.0, 10.0));
    assert_eq!(emitted, [at_second(915, "cleared cpu high Well")]);
}

#[test]
fn network_and_block_io_are_compared_as_rates() {
    let network = |second: i64| {
        let quiet = second.min(600) as u64 * 10_000;
        let loud = (second - 600).max(0) as u64 * 20 * MIB;
        Vitals { network_rx: ByteCount(quiet + loud), ..vitals(5.0, 10.0) }
    };
    let mut observed = ObservedContainer::given(facts());
    let emitted = watched(&mut observed, 5..=700, network);
    assert_eq!(emitted, [at_second(635, "raised network unusual Low")]);
    let Evidence::Unusual { value, expected, .. } = evidence(&observed, Symptom::NetworkUnusual) else { panic!() };
    assert!((value - 20.0 * MIB as f64).abs() < 1.0, "{value}");
    assert!(expected < 2.0 * MIB as f64, "{expected}");

    let written = |second| Vitals { block_write: network(second).network_rx, ..vitals(5.0, 10.0) };
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(watched(&mut observed, 5..=700, written), [at_second(635, "raised block unusual Low")]);
}

#[test]
fn nothing_is_unusual_when_baselines_are_switched_off() {
    let mut observed = ObservedContainer::given(facts());
    watched(&mut observed, 5..=600, |_| vitals(5.0, 10.0));
    watched(&mut observed, 605..=700, |_| vitals(60.0, 10.0));
    assert!(observed.state.active_symptoms().contains_key(&Symptom::CpuUnusual));
    observed.policy.sensitivity.adaptive = false;
    assert_eq!(observed.when(701, ObservationInput::Tick), ["cleared cpu unusual Well"]);
    assert_eq!(watched(&mut observed, 705..=900, |_| vitals(60.0, 10.0)), []);
}

#[test]
fn a_symptom_that_is_raised_while_another_is_unusual_opens_its_own_incident() {
    let mut observed = ObservedContainer::given(facts());
    watched(&mut observed, 5..=600, |_| vitals(5.0, 10.0));
    watched(&mut observed, 605..=700, |_| vitals(60.0, 10.0));
    observed.when(702, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(observed.state.incident(), Some(&IncidentId::begun(&subject(), at(702))));
    observed.when(705, ObservationInput::Health(Health::Healthy));
    assert_eq!(observed.when(715, ObservationInput::Tick), ["cleared unhealthy Well"]);
    assert!(observed.state.active_symptoms().contains_key(&Symptom::CpuUnusual));
    observed.when(900, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(observed.state.incident(), Some(&IncidentId::begun(&subject(), at(900))));
}

fn kept(mib: u64, left: u64, largest: bool) -> ObservationInput {
    let stored = Storage { target: facts().target(), writable: ByteCount(mib * MIB), volumes: vec![] };
    let (size, available) = (ByteCount(100_000 * MIB), ByteCount(left * 100 * MIB));
    ObservationInput::Stored { stored, disk: Some(Disk { path: "/".into(), size, available }), largest }
}

#[test]
fn disk_usage_is_recorded_when_it_has_changed_and_when_it_fills_the_disk() {
    let mut observed = ObservedContainer::given(facts());
    assert_eq!(observed.when(0, kept(10, 500, true)), ["storage"]);
    assert_eq!(observed.when(300, kept(10, 500, true)), [""; 0]);
    assert_eq!(observed.when(600, kept(12, 500, true)), ["storage"]);
    assert_eq!(observed.when(900, kept(12, 80, false)), [""; 0]);
    assert_eq!(observed.when(1200, kept(12, 80, true)), ["storage", "raised disk filling High"]);
    assert_eq!(observed.when(1500, kept(12, 30, true)), ["storage", "worsened disk filling"]);
    assert_eq!(observed.when(1800, kept(12, 120, true)), [""; 0]);
    assert_eq!(observed.when(2100, kept(12, 300, true)), ["storage", "cleared disk filling Well"]);
    assert_eq!(observed.deadline(), None);
}

#[test]
fn the_disk_usage_of_another_container_is_ignored() {
    let mut observed = ObservedContainer::given(facts());
    let another = Run { id: "fedcba9876543210".parse().unwrap(), ..facts().target() };
    let ObservationInput::Stored { stored, disk, largest } = kept(10, 10, true) else { panic!() };
    let input = ObservationInput::Stored { stored: Storage { target: another, ..stored }, disk, largest };
    assert_eq!(observed.when(0, input), [""; 0]);
}
