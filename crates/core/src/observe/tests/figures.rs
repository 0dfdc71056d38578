//! What is told by figures: what it uses, waits for and keeps.

use super::*;
use hemostat_schema::{
    container::Strain,
    observation::{DiskMeasured, Resource, Stored},
};

const MIB: u64 = 1 << 20;

/// Samples every 5 s over a range of seconds, each made by `sample`; what they told besides themselves.
fn watched(
    bed: &mut ObservedContainer,
    seconds: std::ops::RangeInclusive<i64>,
    sample: impl Fn(i64) -> Vitals,
) -> Vec<(i64, String)> {
    let told = seconds.step_by(5).flat_map(|second| {
        let told = bed.when(second, ObservationInput::Sample(sample(second)));
        told.into_iter().map(move |told| (second, told))
    });
    told.filter(|(_, told)| told != "sampled").collect()
}

fn evidence(bed: &ObservedContainer, symptom: Symptom) -> Evidence {
    let found = bed.log.iter().find_map(|event| match &event.event {
        Event::Observation(Observation::SymptomRaised(raised)) if raised.symptom == symptom => {
            Some(raised.evidence.clone())
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{symptom} was not raised: {:?}", bed.log))
}

fn at_second(second: i64, told: &str) -> (i64, String) {
    (second, told.to_owned())
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

fn crowded(pids: u64) -> Vitals {
    Vitals { pids, pids_limit: Some(100), ..vitals(10.0, 10.0) }
}

#[test]
fn each_held_signal_is_told_once_and_is_over_once() {
    let check = |name: &str, severity: &str, high: fn() -> Vitals, hovers: fn() -> Vitals, low: fn() -> Vitals| {
        let mut bed = ObservedContainer::given(facts());
        assert_eq!(watched(&mut bed, 5..=30, |_| high()), [], "{name}");
        assert_eq!(bed.when(31, ObservationInput::Tick), [""; 0]);
        let raised = format!("raised {name} {severity}");
        assert_eq!(watched(&mut bed, 35..=200, |_| high()), [at_second(35, &raised)], "{name}");
        assert_eq!(watched(&mut bed, 205..=300, |_| hovers()), [], "{name}");
        let cleared = format!("cleared {name} Well");
        assert_eq!(watched(&mut bed, 305..=400, |_| low()), [at_second(315, &cleared)], "{name}");
        assert_eq!(bed.wakes(), None);
    };
    check("cpu throttled", "High", || throttled(100.0), || throttled(22.0), || throttled(10.0));
    check("pressure", "High", || waiting_for_disk(99.0), || waiting_for_disk(38.0), || waiting_for_disk(5.0));
    check("pids high", "High", || crowded(93), || crowded(88), || crowded(20));
    check("pids high", "Critical", || crowded(99), || crowded(88), || crowded(20));
    // What is no longer measured is no longer high.
    check("cpu throttled", "High", || throttled(80.0), || throttled(22.0), || vitals(10.0, 10.0));
    check("pressure", "High", || waiting_for_disk(80.0), || waiting_for_disk(38.0), || vitals(10.0, 10.0));
    check("pids high", "High", || crowded(93), || crowded(88), || vitals(10.0, 10.0));
}

#[test]
fn the_evidence_says_what_for_how_much_and_how_long() {
    let mut bed = ObservedContainer::given(facts());
    watched(&mut bed, 5..=60, |_| Vitals {
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
    assert_eq!(evidence(&bed, Symptom::CpuThrottled), level);
    let stalled = Evidence::Stalled {
        resource: Resource::Memory,
        value: Percent::clamped(55.0),
        threshold: Percent::clamped(40.0),
        held,
    };
    assert_eq!(evidence(&bed, Symptom::Pressure), stalled);
    assert_eq!(evidence(&bed, Symptom::PidsHigh), Evidence::Count { value: 95, limit: 100, held });
}

#[test]
fn without_a_limit_there_is_neither_throttling_nor_crowding() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(watched(&mut bed, 5..=600, |_| Vitals { pids: 1_000_000, ..vitals(10.0, 10.0) }), []);
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
fn a_leak_is_told_long_before_the_limit_and_once() {
    let mut bed = ObservedContainer::given(facts());
    let told = watched(&mut bed, 5..=2400, leaking);
    assert_eq!(told.iter().map(|(_, told)| told.as_str()).collect::<Vec<_>>(), ["raised memory leak High"]);
    assert!((1200..1320).contains(&told[0].0), "{told:?}");
    assert!(matches!(evidence(&bed, Symptom::MemoryLeak), Evidence::Growth { .. }));
    let told = watched(&mut bed, 2405..=3000, |_| memory(100.0));
    assert_eq!(told.iter().map(|(_, told)| told.as_str()).collect::<Vec<_>>(), ["cleared memory leak Well"]);
}

#[test]
fn a_leak_is_over_when_another_run_is_well() {
    let mut bed = ObservedContainer::given(with(RestartPolicy::No, Health::None));
    watched(&mut bed, 5..=1400, leaking);
    assert!(bed.state.active_symptoms().contains_key(&Symptom::MemoryLeak));
    bed.exited(1401, 143, ExitBy::Operator);
    bed.started(1402);
    assert_eq!(bed.wakes(), Some(at(1412)));
    assert_eq!(bed.when(1412, ObservationInput::Tick), ["cleared memory leak Well"]);
    assert_eq!(watched(&mut bed, 1415..=2000, |second| leaking(second - 1400)), []);
}

#[test]
fn what_is_unusual_is_worth_knowing_and_no_illness() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(watched(&mut bed, 5..=600, |second| vitals(5.0 + (second % 3) as f64, 10.0)), []);
    let told = watched(&mut bed, 605..=900, |_| vitals(60.0, 10.0));
    assert_eq!(told, [at_second(635, "raised cpu unusual Low")]);
    assert!(!bed.state.is_sick());
    let raised = bed.log.last().expect("it was told");
    assert_eq!((raised.event.name(), &raised.incident), ("sampled", &None));
    assert_eq!(bed.state.incident(), None);
    let told = watched(&mut bed, 905..=960, |_| vitals(6.0, 10.0));
    assert_eq!(told, [at_second(915, "cleared cpu unusual Well")]);
    assert!(bed.log.iter().all(|event| event.incident.is_none()));
}

#[test]
fn what_is_above_its_threshold_is_not_told_as_unusual_too() {
    let mut bed = ObservedContainer::given(facts());
    watched(&mut bed, 5..=600, |_| vitals(5.0, 10.0));
    assert_eq!(watched(&mut bed, 605..=900, |_| vitals(92.0, 10.0)), [at_second(635, "raised cpu high High")]);
    let told = watched(&mut bed, 905..=1000, |_| vitals(5.0, 10.0));
    assert_eq!(told, [at_second(915, "cleared cpu high Well")]);
}

#[test]
fn what_goes_in_and_out_is_measured_as_a_rate() {
    let network = |second: i64| {
        let quiet = second.min(600) as u64 * 10_000;
        let loud = (second - 600).max(0) as u64 * 20 * MIB;
        Vitals { network_rx: ByteCount(quiet + loud), ..vitals(5.0, 10.0) }
    };
    let mut bed = ObservedContainer::given(facts());
    let told = watched(&mut bed, 5..=700, network);
    assert_eq!(told, [at_second(635, "raised network unusual Low")]);
    let Evidence::Unusual { value, expected, .. } = evidence(&bed, Symptom::NetworkUnusual) else { panic!() };
    assert!((value - 20.0 * MIB as f64).abs() < 1.0, "{value}");
    assert!(expected < 2.0 * MIB as f64, "{expected}");

    let written = |second| Vitals { block_write: network(second).network_rx, ..vitals(5.0, 10.0) };
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(watched(&mut bed, 5..=700, written), [at_second(635, "raised block unusual Low")]);
}

#[test]
fn nothing_is_unusual_where_nobody_wants_to_know() {
    let mut bed = ObservedContainer::given(facts());
    watched(&mut bed, 5..=600, |_| vitals(5.0, 10.0));
    watched(&mut bed, 605..=700, |_| vitals(60.0, 10.0));
    assert!(bed.state.active_symptoms().contains_key(&Symptom::CpuUnusual));
    bed.policy.sensitivity.adaptive = false;
    assert_eq!(bed.when(701, ObservationInput::Tick), ["cleared cpu unusual Well"]);
    assert_eq!(watched(&mut bed, 705..=900, |_| vitals(60.0, 10.0)), []);
}

#[test]
fn an_illness_that_comes_while_something_is_unusual_has_an_incident_of_its_own() {
    let mut bed = ObservedContainer::given(facts());
    watched(&mut bed, 5..=600, |_| vitals(5.0, 10.0));
    watched(&mut bed, 605..=700, |_| vitals(60.0, 10.0));
    bed.when(702, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(bed.state.incident(), Some(&IncidentId::begun(&subject(), at(702))));
    bed.when(705, ObservationInput::Health(Health::Healthy));
    assert_eq!(bed.when(715, ObservationInput::Tick), ["cleared unhealthy Well"]);
    assert!(bed.state.active_symptoms().contains_key(&Symptom::CpuUnusual));
    bed.when(900, ObservationInput::Health(Health::Unhealthy));
    assert_eq!(bed.state.incident(), Some(&IncidentId::begun(&subject(), at(900))));
}

fn kept(mib: u64, left: u64, largest: bool) -> ObservationInput {
    let stored = Stored { target: facts().target(), writable: ByteCount(mib * MIB), volumes: vec![] };
    let (size, available) = (ByteCount(100_000 * MIB), ByteCount(left * 100 * MIB));
    ObservationInput::Stored { stored, disk: Some(DiskMeasured { path: "/".into(), size, available }), largest }
}

#[test]
fn what_is_kept_is_told_when_it_has_changed_and_when_it_fills_the_disk() {
    let mut bed = ObservedContainer::given(facts());
    assert_eq!(bed.when(0, kept(10, 500, true)), ["stored"]);
    assert_eq!(bed.when(300, kept(10, 500, true)), [""; 0]);
    assert_eq!(bed.when(600, kept(12, 500, true)), ["stored"]);
    assert_eq!(bed.when(900, kept(12, 80, false)), [""; 0]);
    assert_eq!(bed.when(1200, kept(12, 80, true)), ["stored", "raised disk filling High"]);
    assert_eq!(bed.when(1500, kept(12, 30, true)), ["stored", "worsened disk filling"]);
    assert_eq!(bed.when(1800, kept(12, 120, true)), [""; 0]);
    assert_eq!(bed.when(2100, kept(12, 300, true)), ["stored", "cleared disk filling Well"]);
    assert_eq!(bed.wakes(), None);
}

#[test]
fn what_another_container_keeps_is_not_this_ones() {
    let mut bed = ObservedContainer::given(facts());
    let another = Target { id: "fedcba9876543210".parse().unwrap(), ..facts().target() };
    let ObservationInput::Stored { stored, disk, largest } = kept(10, 10, true) else { panic!() };
    let sight = ObservationInput::Stored { stored: Stored { target: another, ..stored }, disk, largest };
    assert_eq!(bed.when(0, sight), [""; 0]);
}
