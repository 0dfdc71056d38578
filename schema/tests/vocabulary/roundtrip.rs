//! Property test: every event survives encoding and decoding.

use hemostat_schema::{
    ByteCount, Cause, Confidence, ContainerId, ContainerName, DecidedOn, Event, EventId, IncidentId, NewEvent,
    Partition, Percent, PolicyHash, Span, Subject, Timestamp, TraceParent,
    action::{self, Arguments, Outcome, Proof, Refusal, Remedy, RemedyKind, Removable, Service},
    alert::{self, Resolution},
    codec,
    container::{Compose, Exit, ExitBy, Facts, Health, Limits, RestartPolicy, Run, State, Strain, Swarm, Vitals},
    diagnosis::{self, Exhibit, Method, Part, Trouble, Usage, Verdict},
    examination::{Change, Changed, Check, Examined, Line, Process, Relation, Relative, Sample, Stream},
    observation::{self, Cleared, Evidence, Resource, Severity, Symptom, Trend},
    sample,
};
use proptest::{option, prelude::*, sample::select};
use serde_json::json;

fn time() -> impl Strategy<Value = Timestamp> + Clone {
    (0_i64..253_000_000_000, 0_i32..1_000_000_000).prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap())
}

fn span() -> impl Strategy<Value = Span> + Clone {
    any::<u64>().prop_map(Span::from_millis)
}

fn bytes() -> impl Strategy<Value = ByteCount> + Clone {
    any::<u64>().prop_map(ByteCount)
}

fn percent() -> impl Strategy<Value = Percent> + Clone {
    (0.0..=100.0).prop_map(Percent::clamped)
}

fn confidence() -> impl Strategy<Value = Confidence> + Clone {
    (0.0..=1.0).prop_map(Confidence::clamped)
}

fn event_id() -> impl Strategy<Value = EventId> + Clone {
    any::<(u16, u64, u64)>().prop_map(|(partition, ms, seq)| EventId { partition: Partition(partition), ms, seq })
}

fn container_id() -> impl Strategy<Value = ContainerId> + Clone {
    "[0-9a-f]{12,64}".prop_map(|text| text.parse().unwrap())
}

fn target() -> impl Strategy<Value = Run> + Clone {
    (container_id(), option::of(time())).prop_map(|(id, started_at)| Run { id, started_at })
}

fn exit() -> impl Strategy<Value = Exit> + Clone {
    let by = select(vec![ExitBy::Itself, ExitBy::Crash, ExitBy::Oom, ExitBy::Operator, ExitBy::Unknown]);
    (time(), any::<i64>(), by).prop_map(|(at, code, by)| Exit { at, code, by })
}

fn health() -> impl Strategy<Value = Health> + Clone {
    select(vec![Health::None, Health::Starting, Health::Healthy, Health::Unhealthy])
}

fn facts() -> impl Strategy<Value = Facts> {
    use State::{Created, Dead, Exited, Paused, Removing, Restarting, Running};
    let policy = prop_oneof![
        Just(RestartPolicy::No),
        Just(RestartPolicy::Always),
        Just(RestartPolicy::UnlessStopped),
        any::<u32>().prop_map(|max| RestartPolicy::OnFailure { max }),
    ];
    let life =
        (select(vec![Created, Running, Paused, Restarting, Removing, Exited, Dead]), health(), option::of(exit()));
    let limits = (option::of(0.001..512.0), option::of(bytes())).prop_map(|(cpus, memory)| Limits { cpus, memory });
    let compose = ("[a-z]{1,9}", "[a-z]{1,9}", option::of(any::<u32>()), prop::collection::vec("[a-z]{1,9}", 0..3))
        .prop_map(|(project, service, number, depends_on)| Compose { project, service, number, depends_on });
    let swarm = (any::<String>(), any::<String>()).prop_map(|(service_id, service)| Swarm { service_id, service });
    let place = (option::of(any::<String>()), option::of(compose), option::of(swarm));
    let labels = prop::collection::btree_map(any::<String>(), any::<String>(), 0..4);
    let restarts = (policy, any::<u32>(), option::of(span()));
    (target(), any::<(String, String)>(), time(), life, restarts, limits, place, labels).prop_map(
        |(run, (image, image_id), created_at, (state, health, exit), restarts, limits, place, labels)| Facts {
            id: run.id,
            image,
            image_id,
            created_at,
            started_at: run.started_at,
            state,
            health,
            exit,
            restart_policy: restarts.0,
            restarts: restarts.1,
            stop_timeout: restarts.2,
            limits,
            network_of: place.0,
            compose: place.1,
            swarm: place.2,
            labels,
        },
    )
}

fn vitals() -> impl Strategy<Value = Vitals> {
    let share = || option::of(percent());
    let strain = (share(), share(), share(), share()).prop_map(|(throttled, cpu, memory, disk)| Strain {
        throttled,
        cpu,
        memory,
        disk,
    });
    (percent(), percent(), any::<[u64; 7]>(), any::<Option<u64>>(), strain).prop_map(
        |(cpu, memory, counts, pids_limit, strain)| Vitals {
            cpu,
            memory,
            memory_used: ByteCount(counts[0]),
            memory_limit: ByteCount(counts[1]),
            network_rx: ByteCount(counts[2]),
            network_tx: ByteCount(counts[3]),
            block_read: ByteCount(counts[4]),
            block_write: ByteCount(counts[5]),
            pids: counts[6],
            pids_limit,
            strain,
        },
    )
}

fn symptom() -> impl Strategy<Value = Symptom> + Clone {
    select(Symptom::ALL.to_vec())
}

fn severity() -> impl Strategy<Value = Severity> + Clone {
    select(vec![Severity::Low, Severity::High, Severity::Critical])
}

fn evidence() -> impl Strategy<Value = Evidence> + Clone {
    let trend = select(vec![Trend::Unknown, Trend::Rising, Trend::Steady, Trend::Falling]);
    prop_oneof![
        (percent(), percent(), span(), trend).prop_map(|(value, threshold, held, trend)| Evidence::Level {
            value,
            threshold,
            held,
            trend
        }),
        exit().prop_map(|exit| Evidence::Exit { exit }),
        (any::<u32>(), span(), option::of(exit())).prop_map(|(count, within, last)| Evidence::Restarts {
            count,
            within,
            last
        }),
        span().prop_map(|held| Evidence::Health { held }),
        (any::<u32>(), span()).prop_map(|(count, within)| Evidence::Killed { count, within }),
        (any::<u32>(), span()).prop_map(|(count, within)| Evidence::Flips { count, within }),
        (select(vec![Resource::Cpu, Resource::Memory, Resource::Disk]), percent(), percent(), span())
            .prop_map(|(resource, value, threshold, held)| Evidence::Stalled { resource, value, threshold, held }),
        (any::<(u64, u64)>(), span()).prop_map(|((value, limit), held)| Evidence::Count { value, limit, held }),
        (bytes(), bytes(), bytes(), 0.0..=1.0, span(), span()).prop_map(
            |(used, limit, per_hour, fit, over, limit_in)| Evidence::Growth {
                used,
                limit,
                per_hour,
                fit,
                over,
                limit_in
            }
        ),
        (any::<String>(), percent(), percent(), bytes(), bytes()).prop_map(
            |(path, value, threshold, writable, per_hour)| Evidence::Disk {
                path,
                value,
                threshold,
                writable,
                per_hour
            }
        ),
        (0.0..1e12, 0.0..1e12, 0.0..1e12, span()).prop_map(|(value, expected, deviation, held)| Evidence::Unusual {
            value,
            expected,
            deviation,
            held
        }),
    ]
}

fn name() -> impl Strategy<Value = ContainerName> + Clone {
    "[a-z][a-z0-9_.-]{0,20}".prop_map(|text| text.parse().unwrap())
}

fn change() -> impl Strategy<Value = Change> {
    let what = prop_oneof![
        any::<(String, String)>().prop_map(|(from, to)| Changed::Image { from, to }),
        Just(Changed::Recreated),
        Just(Changed::Limits),
        Just(Changed::Started),
        exit().prop_map(|exit| Changed::Ended { exit }),
        health().prop_map(|to| Changed::Health { to }),
    ];
    (time(), what).prop_map(|(at, what)| Change { at, what })
}

fn relative() -> impl Strategy<Value = Relative> {
    let relation = select(vec![
        Relation::Dependency,
        Relation::Network,
        Relation::Dependent,
        Relation::Replica,
        Relation::Project,
    ]);
    let state = select(vec![State::Running, State::Exited, State::Paused]);
    (name(), relation, state, health(), option::of(time()))
        .prop_map(|(name, relation, state, health, since)| Relative { name, relation, state, health, since })
}

fn examined() -> impl Strategy<Value = Examined> {
    use prop::collection::vec;
    let check = (time(), any::<i64>(), any::<String>()).prop_map(|(at, code, output)| Check { at, code, output });
    let stream = select(vec![Stream::Stdout, Stream::Stderr]);
    let line = (option::of(time()), stream, any::<String>()).prop_map(|(at, stream, text)| Line { at, stream, text });
    let process = (any::<u32>(), span(), bytes(), any::<String>()).prop_map(|(pid, cpu, memory, command)| Process {
        pid,
        cpu,
        memory,
        command,
    });
    let sample = (time(), vitals()).prop_map(|(at, vitals)| Sample { at, vitals });
    let who = (target(), vec(symptom(), 0..3));
    let said = (vec(check, 0..3), vec(line, 0..3), any::<bool>());
    let ended = (option::of(exit()), any::<bool>());
    let lists = (vec(process, 0..3), vec(sample, 0..3), vec(change(), 0..3), vec(relative(), 0..3));
    let rest = (option::of(bytes()), option::of(percent()), any::<Vec<String>>(), any::<u32>(), span());
    (who, said, ended, lists, rest).prop_map(
        |(
            (target, symptoms),
            (checks, output, output_cut),
            (exit, out_of_memory),
            (processes, samples, changes, relatives),
            (writable, disk, missing, redacted, took),
        )| Examined {
            target,
            symptoms,
            checks,
            output,
            output_cut,
            exit,
            out_of_memory,
            processes,
            samples,
            changes,
            relatives,
            writable,
            disk,
            missing,
            redacted,
            took,
        },
    )
}

fn observation() -> BoxedStrategy<Event> {
    use observation::{DiskMeasured, Exited, HealthChanged, Removed, Sampled, Seen, Started, Stored};
    use observation::{SymptomCleared, SymptomRaised, SymptomWorsened};
    let why = select(vec![Cleared::Well, Cleared::Stopped, Cleared::Removed]);
    prop_oneof![
        facts().prop_map(|facts| Seen { facts }.into()),
        target().prop_map(|target| Removed { target }.into()),
        target().prop_map(|target| Started { target }.into()),
        (target(), exit()).prop_map(|(target, exit)| Exited { target, exit }.into()),
        (target(), health(), health()).prop_map(|(target, from, to)| HealthChanged { target, from, to }.into()),
        vitals().prop_map(|vitals| Sampled { vitals }.into()),
        storage().prop_map(|measured| Stored(measured).into()),
        disk().prop_map(|measured| DiskMeasured(measured).into()),
        examined().prop_map(Into::into),
        (symptom(), severity(), time(), target(), evidence()).prop_map(
            |(symptom, severity, since, target, evidence)| {
                SymptomRaised { symptom, severity, since, target, evidence }.into()
            }
        ),
        (symptom(), severity(), target(), evidence()).prop_map(|(symptom, severity, target, evidence)| {
            SymptomWorsened { symptom, severity, target, evidence }.into()
        }),
        (symptom(), why, span()).prop_map(|(symptom, why, stood)| SymptomCleared { symptom, why, stood }.into()),
    ]
    .boxed()
}

fn container() -> impl Strategy<Value = sample::Container> {
    (vitals(), span()).prop_map(|(vitals, holds)| sample::Container { vitals, holds })
}

fn storage() -> impl Strategy<Value = sample::Storage> {
    (target(), bytes(), option::of((any::<String>(), bytes()))).prop_map(|(target, writable, volume)| {
        let volumes = volume.into_iter().map(|(name, size)| sample::VolumeSize { name, size }).collect();
        sample::Storage { target, writable, volumes }
    })
}

fn disk() -> impl Strategy<Value = sample::Disk> {
    (any::<String>(), bytes(), bytes()).prop_map(|(path, size, available)| sample::Disk { path, size, available })
}

fn measured() -> BoxedStrategy<Event> {
    let unmeasured = time().prop_map(|since| sample::Unmeasured { since });
    prop_oneof![
        container().prop_map_into(),
        storage().prop_map_into(),
        disk().prop_map_into(),
        unmeasured.prop_map_into()
    ]
    .boxed()
}

fn remedy() -> impl Strategy<Value = Remedy> + Clone {
    let plain: Vec<_> = RemedyKind::ALL.into_iter().filter_map(RemedyKind::plain).collect();
    prop_oneof![select(plain), prop::collection::vec(any::<String>(), 0..4).prop_map(|argv| Remedy::Exec { argv }),]
}

fn basis() -> impl Strategy<Value = (Option<PolicyHash>, Option<DecidedOn>)> + Clone {
    let policy = any::<u64>().prop_map(|number| PolicyHash::of(&number.into()));
    let trigger = prop_oneof![
        event_id().prop_map(DecidedOn::Event),
        (any::<String>(), time()).prop_map(|(name, due)| DecidedOn::Timer { name, due }),
    ];
    (option::of(policy), option::of(trigger))
}

fn reached() -> impl Strategy<Value = diagnosis::Reached> {
    let verdict = select(vec![Verdict::Sick, Verdict::FalseAlarm, Verdict::Unclear]);
    let method = prop_oneof![
        any::<String>().prop_map(|rule| Method::Rule { rule }),
        any::<(String, String)>().prop_map(|(provider, model)| Method::Model { provider, model }),
    ];
    let symptoms = prop::collection::vec(symptom(), 0..6);
    let said = any::<(String, String, Vec<String>)>();
    let rests_on = (option::of(event_id()), option::of(usage()), basis());
    (verdict, symptoms, target(), option::of(remedy()), confidence(), method, said, rests_on).prop_map(
        |(verdict, symptoms, target, remedy, confidence, method, (root_cause, why, cites), rests_on)| {
            let (examination, usage, (policy, trigger)) = rests_on;
            diagnosis::Reached {
                verdict,
                symptoms,
                target,
                root_cause,
                remedy,
                confidence,
                method,
                why,
                examination,
                cites,
                usage,
                policy,
                trigger,
            }
        },
    )
}

fn usage() -> impl Strategy<Value = Usage> {
    (any::<(u64, u64)>(), any::<Option<u64>>(), any::<u32>(), span(), any::<bool>()).prop_map(
        |((tokens_in, tokens_out), cost_micros, requests, took, cached)| Usage {
            tokens_in,
            tokens_out,
            cost_micros,
            requests,
            took,
            cached,
        },
    )
}

fn diagnosis() -> BoxedStrategy<Event> {
    let exhibit = any::<(String, String, String)>().prop_map(|(id, kind, text)| Exhibit { id, kind, text });
    let shown = (prop::collection::vec(exhibit, 0..3), prop::collection::vec(remedy(), 0..3));
    let sought = (any::<(String, String, String)>(), select(vec![Part::Decides, Part::Shadows]), reached(), shown)
        .prop_map(|((provider, model, fingerprint), part, fallback, (evidence, remedies))| {
            diagnosis::OpinionSought { provider, model, part, fallback, evidence, remedies, fingerprint }.into()
        });
    let opined = (reached(), reached(), any::<bool>())
        .prop_map(|(opinion, rules, agrees)| diagnosis::Opined { opinion, rules, agrees }.into());
    let trouble = select(vec![Trouble::Unreachable, Trouble::RateLimited, Trouble::Invalid, Trouble::OverBudget]);
    let failed = (any::<(String, String, String)>(), trouble, span(), option::of(usage())).prop_map(
        |((provider, model, error), trouble, took, usage)| {
            diagnosis::Failed { provider, model, trouble, error, took, usage }.into()
        },
    );
    prop_oneof![reached().prop_map(Into::into), sought, opined, failed].boxed()
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        select(vec![
            Refusal::Paused,
            Refusal::Observing,
            Refusal::OperatorStopped,
            Refusal::NotPermitted,
            Refusal::InHand,
            Refusal::Moot,
        ]),
        (span(), span()).prop_map(|(age, limit)| Refusal::Stale { age, limit }),
        any::<String>().prop_map(|why| Refusal::Protected { why }),
        option::of(time()).prop_map(|until| Refusal::Maintenance { until }),
        (confidence(), confidence()).prop_map(|(confidence, threshold)| Refusal::Unsure { confidence, threshold }),
        any::<(u32, u32)>().prop_map(|(sick, limit)| Refusal::Storm { sick, limit }),
        time().prop_map(|until| Refusal::BackingOff { until }),
        time().prop_map(|until| Refusal::CoolingDown { until }),
        time().prop_map(|until| Refusal::Tripped { until }),
        any::<String>().prop_map(|why| Refusal::Unsupported { why }),
        (event_id(), any::<(String, u32)>()).prop_map(|(action, (wanted, replicas))| Refusal::NotDurable {
            action,
            wanted,
            replicas
        }),
    ]
}

fn limits() -> impl Strategy<Value = action::Limits> {
    use action::{Limits, LimitsSnapshot, Mode, Passage};
    let mode = select(vec![Mode::Approve, Mode::Auto]);
    let sure = (confidence(), confidence());
    let spans = (span(), span(), span());
    let passed = (option::of(time()), option::of(time()), select(vec![Passage::Passing, Passage::Probing]));
    let snapshot = (mode, sure, spans, any::<(u32, u32)>(), passed).prop_map(
        |(mode, (confidence, threshold), (age, stale_after, window), (sick, storm), (backoff, cooldown, breaker))| {
            LimitsSnapshot {
                mode,
                confidence,
                threshold,
                age,
                stale_after,
                sick,
                storm,
                window,
                backoff,
                cooldown,
                breaker,
            }
        },
    );
    (any::<(u32, u32)>(), option::of(snapshot)).prop_map(|((attempt, of), snapshot)| Limits { attempt, of, snapshot })
}

fn acts_on() -> impl Strategy<Value = (action::Target, Option<Arguments>)> + Clone {
    let compose = any::<(String, String)>().prop_map(|(project, service)| Service::Compose { project, service });
    let swarm = any::<(String, String)>().prop_map(|(service_id, service)| Swarm { service_id, service });
    let service = prop_oneof![compose, swarm.prop_map(Service::Swarm)].prop_map(action::Target::Service);
    let removable = prop::collection::vec(select(Removable::ALL.to_vec()), 0..3);
    let arguments = prop_oneof![any::<u32>().prop_map(Arguments::Replicas), removable.prop_map(Arguments::Remove)];
    let target = prop_oneof![target().prop_map(action::Target::Run), service, Just(action::Target::Host)];
    (target, option::of(arguments))
}

fn action() -> BoxedStrategy<Event> {
    use action::{Authorised, Failed, GaveUp, Paused, PolicyChanged, Proposed, Refused, Succeeded, Verified};
    let proof = select(vec![Proof::Answered, Proof::Found, Proof::DryRun]);
    let outcome = select(vec![Outcome::Recovered, Outcome::Relapsed, Outcome::Inconclusive]);
    let how = (limits(), option::of(span()), any::<bool>(), basis());
    prop_oneof![
        (remedy(), acts_on(), event_id(), time(), basis()).prop_map(
            |(remedy, (target, arguments), diagnosis, expires, (policy, trigger))| {
                Proposed { remedy, target, arguments, diagnosis, expires, policy, trigger }.into()
            }
        ),
        (remedy(), acts_on(), event_id(), how).prop_map(
            |(remedy, (target, arguments), diagnosis, (limits, stop_timeout, dry_run, (policy, trigger)))| {
                Authorised { remedy, target, arguments, diagnosis, limits, stop_timeout, dry_run, policy, trigger }
                    .into()
            }
        ),
        (remedy(), event_id(), refusal(), basis()).prop_map(|(remedy, diagnosis, refusal, (policy, trigger))| {
            Refused { remedy, diagnosis, refusal, policy, trigger }.into()
        }),
        (event_id(), remedy(), option::of(target()), option::of(time()), span(), proof).prop_map(
            |(action, remedy, target, called_at, took, proof)| {
                Succeeded { action, remedy, target, called_at, took, proof }.into()
            }
        ),
        (event_id(), remedy(), any::<String>(), span()).prop_map(|(action, remedy, error, took)| Failed {
            action,
            remedy,
            error,
            took
        }
        .into()),
        (event_id(), remedy(), outcome, any::<String>(), span(), basis()).prop_map(
            |(action, remedy, outcome, why, took, (policy, trigger))| Verified {
                action,
                remedy,
                outcome,
                why,
                took,
                policy,
                trigger
            }
            .into()
        ),
        (any::<u32>(), time(), basis()).prop_map(|(attempts, until, (policy, trigger))| GaveUp {
            attempts,
            until,
            policy,
            trigger
        }
        .into()),
        any::<(String, String)>().prop_map(|(by, reason)| Paused { by, reason }.into()),
        (any::<(u32, f64, String)>(), any::<(String, String)>()).prop_map(|((count, share, name), (origin, by))| {
            let share = if share.is_finite() { share } else { 0.5 };
            let policy = json!({ "count": count, "share": share, "names": [name], "none": null });
            PolicyChanged { hash: PolicyHash::of(&policy), policy, was: None, origin, by }.into()
        }),
    ]
    .boxed()
}

fn alert() -> BoxedStrategy<Event> {
    use alert::{Delivered, Escalated, Raised, Resolved, Undelivered};
    let how = select(vec![Resolution::Healed, Resolution::Passed, Resolution::Stopped, Resolution::Removed]);
    let words = any::<(String, String)>;
    prop_oneof![
        (severity(), words()).prop_map(|(severity, (title, text))| Raised { severity, title, text }.into()),
        (event_id(), words()).prop_map(|(alert, (title, text))| Escalated { alert, title, text }.into()),
        (event_id(), how, words(), span()).prop_map(|(alert, how, (title, text), took)| Resolved {
            alert,
            how,
            title,
            text,
            took
        }
        .into()),
        (event_id(), any::<String>(), any::<u32>(), span()).prop_map(|(alert, channel, attempts, took)| Delivered {
            alert,
            channel,
            attempts,
            took
        }
        .into()),
        (event_id(), words(), any::<u32>()).prop_map(|(alert, (channel, error), attempts)| Undelivered {
            alert,
            channel,
            attempts,
            error
        }
        .into()),
    ]
    .boxed()
}

fn new_event() -> impl Strategy<Value = NewEvent> {
    let event = prop_oneof![observation(), diagnosis(), action(), alert(), measured()];
    let subject =
        "[a-z][a-z0-9.-]{0,20}(/[a-zA-Z0-9][a-zA-Z0-9_.-]{0,40})?".prop_map(|text| text.parse::<Subject>().unwrap());
    let trace =
        (1_u128.., 1_u64.., any::<bool>()).prop_map(|(trace, span, sampled)| TraceParent { trace, span, sampled });
    (subject, time(), option::of(time()), option::of(event_id()), option::of(trace), event).prop_map(
        |(subject, at, began, cause, trace, event)| NewEvent {
            incident: began.map(|began| IncidentId::begun(&subject, began)),
            cause: cause.map(Cause::Event),
            subject,
            at,
            trace,
            event,
        },
    )
}

proptest! {
    #[test]
    fn every_event_survives_a_round_trip(event in new_event(), id in event_id()) {
        let encoded = codec::encode(&event).unwrap();
        let cause = event.cause.map(|cause| match cause {
            Cause::Event(id) => id.to_string(),
            Cause::Sibling(_) => unreachable!("only causes on the log are generated"),
        });
        let read = codec::decode(id, &encoded.kind, &encoded.subject, cause.as_deref(), &encoded.envelope).unwrap();
        prop_assert_eq!(read, event.recorded(id, &[]));
    }
}
