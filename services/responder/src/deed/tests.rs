//! Remedies against a Docker engine of our own making, in paused time: who dies when is chosen to the millisecond.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use hemostat_schema::{ContainerId, EventId, Partition, action::Limits};
use hemostat_settings::Durability;

use super::*;

const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
/// The container takes so long to stop, and then so long to start.
const STOPPING: Duration = Duration::from_secs(2);
const STARTING: Duration = Duration::from_millis(300);

/// A container that obeys, and an engine that carries each call through whatever becomes of the caller.
#[derive(Debug)]
struct World {
    began: Instant,
    life: Mutex<Life>,
}

#[derive(Debug, Clone)]
struct Life {
    started_at: Timestamp,
    state: State,
    /// A restart under way: when it was asked for, and how far it will get.
    restart: Option<(Instant, Fate)>,
    touched: bool,
    record: Traces,
    calls: Vec<&'static str>,
    deaf: bool,
    gone: bool,
    refuses: bool,
    refuses_half_way: bool,
    swallows_answers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Through,
    StuckStopped,
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_462_698_000 + ms).unwrap()
}

impl World {
    fn new() -> Self {
        let life = Life {
            started_at: at(-60_000),
            state: State::Running,
            restart: None,
            touched: false,
            record: Traces::Untouched,
            calls: vec![],
            deaf: false,
            gone: false,
            refuses: false,
            refuses_half_way: false,
            swallows_answers: false,
        };
        Self { began: Instant::now(), life: Mutex::new(life) }
    }

    fn now(&self) -> Timestamp {
        at(i64::try_from(self.began.elapsed().as_millis()).unwrap())
    }

    fn set(&self, change: impl FnOnce(&mut Life)) {
        change(&mut self.life.lock().unwrap());
    }

    /// A restart is asked for; it goes on by itself.
    fn begin_restart(&self, fate: Fate) {
        self.set(|life| (life.restart, life.touched) = (Some((Instant::now(), fate)), true));
    }

    fn life(&self) -> Life {
        let mut life = self.life.lock().unwrap();
        if let Some((asked, fate)) = life.restart
            && asked.elapsed() >= STOPPING
        {
            life.state = State::Exited;
            if fate == Fate::Through && asked.elapsed() >= STOPPING + STARTING {
                let whole = Span::from(asked.duration_since(self.began) + STOPPING + STARTING);
                (life.state, life.started_at, life.restart) = (State::Running, whole.after(at(0)), None);
            }
        }
        life.clone()
    }

    fn heard(&self) -> Result<(), Error> {
        let life = self.life();
        let doing = "listen";
        match () {
            () if life.deaf => {
                Err(Error::NoAnswer { host: "here".into(), doing, reason: "nobody answers".into(), remedy: LOOK })
            }
            () if life.gone => Err(Error::Gone),
            () => Ok(()),
        }
    }
}

/// What a person should look at.
const LOOK: &str = "look at it";

#[async_trait]
impl Engine for World {
    async fn look(&self, _: &ContainerId) -> Result<Found, Error> {
        self.heard()?;
        let life = self.life();
        Ok(Found { started_at: Some(life.started_at), state: life.state, stop_timeout: Some(Span::from_secs(4)) })
    }

    async fn traces(&self, _: &ContainerId, _: Timestamp) -> Result<Traces, Error> {
        self.heard()?;
        let life = self.life();
        Ok(if life.touched { Traces::Touched } else { life.record })
    }

    async fn restart(&self, _: &ContainerId, _: Span) -> Result<(), Error> {
        self.heard()?;
        self.set(|life| life.calls.push("restart"));
        if self.life().refuses {
            return Err(Error::Refused { doing: "restart the container", message: "no space left".into() });
        }
        if self.life().refuses_half_way {
            self.set(|life| life.state = State::Exited);
            return Err(Error::Refused { doing: "restart the container", message: "the port is taken".into() });
        }
        self.begin_restart(Fate::Through);
        if self.life().swallows_answers {
            let reason = "connection reset".into();
            return Err(Error::NoAnswer { host: "here".into(), doing: "restart the container", reason, remedy: LOOK });
        }
        sleep(STOPPING + STARTING).await;
        Ok(())
    }

    async fn start(&self, _: &ContainerId) -> Result<(), Error> {
        self.heard()?;
        self.set(|life| life.calls.push("start"));
        sleep(STARTING).await;
        let now = self.now();
        self.set(|life| (life.state, life.started_at, life.restart) = (State::Running, now, None));
        Ok(())
    }
}

#[derive(Debug)]
struct Mine<'a>(&'a World, AtomicBool);

#[async_trait]
impl Leave for Mine<'_> {
    async fn check(&self) -> Result<(), Denied> {
        let lost = || Denied::Fault(Fault::Retry(anyhow::anyhow!("the lease is lost")));
        if self.1.load(Ordering::Relaxed) { Ok(()) } else { Err(lost()) }
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// The right to act on an intent that is not safe.
#[derive(Debug)]
struct Unsafe<'a>(&'a World);

const SHORT: Undurable = Undurable { wanted: Durability::Always, replicas: 0 };

#[async_trait]
impl Leave for Unsafe<'_> {
    async fn check(&self) -> Result<(), Denied> {
        Err(Denied::Undurable(SHORT))
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

fn intent(remedy: Remedy) -> Authorised {
    Authorised {
        remedy,
        target: Target { id: ID.parse().unwrap(), started_at: Some(at(-60_000)) },
        diagnosis: EventId::start(Partition(0)),
        limits: Limits::of_attempt(1, 3),
        stop_timeout: None,
        dry_run: false,
    }
}

async fn run(world: &World, intent: &Authorised, in_doubt: bool) -> Result<Deed, Fault> {
    let leave = Mine(world, AtomicBool::new(true));
    errand(world, intent, &leave).run(in_doubt).await
}

fn errand<'a>(world: &'a World, intent: &'a Authorised, leave: &'a dyn Leave) -> Errand<'a, World> {
    Errand { engine: world, name: "api-1", intended_at: at(0), intent, stale_after: Span::from_secs(600), leave }
}

async fn carry_out(world: &World, intent: &Authorised, in_doubt: bool) -> Deed {
    run(world, intent, in_doubt).await.unwrap()
}

fn proof(deed: &Deed) -> Option<Proof> {
    match deed {
        Deed::Done { proof, .. } => Some(*proof),
        Deed::NotDone(_) | Deed::Withheld(_) => None,
    }
}

fn why(deed: Deed) -> String {
    match deed {
        Deed::NotDone(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_tells_which_run_came_of_it_and_how_long_it_took() {
    let world = World::new();
    let deed = carry_out(&world, &intent(Remedy::Restart), false).await;
    let expected = Deed::Done {
        target: Some(Target { id: ID.parse().unwrap(), started_at: Some(at(2300)) }),
        called_at: Some(at(0)),
        took: Span::from_millis(2300),
        proof: Proof::Answered,
    };
    assert_eq!(deed, expected);
}

/// The first process dies before or after it called; the second comes so many milliseconds later.
#[tokio::test(start_paused = true)]
async fn whenever_the_first_process_dies_there_is_one_restart() {
    for (begun, later) in
        [(false, 0), (false, 5_000), (true, 0), (true, 1), (true, 1_000), (true, 2_100), (true, 2_301), (true, 60_000)]
    {
        let world = World::new();
        if begun {
            world.begin_restart(Fate::Through);
        }
        sleep(Duration::from_millis(later)).await;
        let deed = carry_out(&world, &intent(Remedy::Restart), true).await;
        let life = world.life();
        let (calls, expected): (&[&str], _) = if begun { (&[], Proof::Found) } else { (&["restart"], Proof::Answered) };
        assert_eq!((proof(&deed), life.calls.as_slice()), (Some(expected), calls), "begun {begun}, {later} ms later");
        assert_eq!(life.state, State::Running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_broke_off_between_its_halves_is_finished_by_a_start() {
    let world = World::new();
    world.begin_restart(Fate::StuckStopped);
    let deed = carry_out(&world, &intent(Remedy::Restart), true).await;
    assert_eq!((proof(&deed), world.life().calls.as_slice()), (Some(Proof::Answered), &["start"][..]));
}

#[tokio::test(start_paused = true)]
async fn where_the_engine_has_forgotten_an_earlier_call_is_waited_out() {
    let world = World::new();
    world.set(|life| life.record = Traces::Forgotten);
    let began = Instant::now();
    let deed = carry_out(&world, &intent(Remedy::Restart), true).await;
    assert_eq!((proof(&deed), world.life().calls.as_slice()), (Some(Proof::Answered), &["restart"][..]));
    assert!(began.elapsed() >= Duration::from_secs(4) + UNDER_WAY);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_does_not_make_a_second_restart() {
    let world = World::new();
    world.set(|life| life.swallows_answers = true);
    let deed = carry_out(&world, &intent(Remedy::Restart), false).await;
    assert_eq!((proof(&deed), world.life().calls.as_slice()), (Some(Proof::Found), &["restart"][..]));
    assert!(matches!(deed, Deed::Done { called_at: Some(called), .. } if called == at(0)));
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_never_answers_is_given_up_on() {
    let world = World::new();
    world.set(|life| life.deaf = true);
    let deed = carry_out(&world, &intent(Remedy::Restart), false).await;
    assert_eq!(why(deed), "the Docker engine at here did not listen: nobody answers; look at it");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_as_it_was_diagnosed_is_not_touched() {
    type Change = fn(&mut Life);
    let cases: [(Remedy, Change, &str); 8] = [
        (Remedy::Restart, |l| l.started_at = at(-1), "superseded: it has been started anew since it was diagnosed"),
        (Remedy::Restart, |l| l.state = State::Exited, "superseded: it has ended since it was diagnosed"),
        (Remedy::Restart, |l| l.state = State::Paused, "superseded: it was frozen since it was diagnosed"),
        (Remedy::Restart, |l| l.gone = true, "superseded: the container is gone: it was removed or recreated"),
        (Remedy::Start, |l| l.started_at = at(-1), "superseded: it has been started anew since it was diagnosed"),
        (Remedy::Start, |_| {}, "superseded: it runs again"),
        (Remedy::Start, |l| l.state = State::Removing, "superseded: it is being removed"),
        (Remedy::Stop, |_| {}, "this responder cannot carry out stop; it knows restart and start"),
    ];
    for (remedy, change, expected) in cases {
        let world = World::new();
        world.set(change);
        assert_eq!(why(carry_out(&world, &intent(remedy), false).await), expected);
        assert!(world.life().calls.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ended_is_started_once() {
    for (in_doubt, started_meanwhile) in [(false, false), (true, false), (true, true)] {
        let world = World::new();
        world.set(|life| life.state = State::Exited);
        if started_meanwhile {
            world.set(|life| (life.state, life.started_at) = (State::Exited, at(5)));
        }
        let deed = carry_out(&world, &intent(Remedy::Start), in_doubt).await;
        let (calls, expected): (&[&str], _) =
            if started_meanwhile { (&[], Proof::Found) } else { (&["start"], Proof::Answered) };
        assert_eq!((proof(&deed), world.life().calls.as_slice()), (Some(expected), calls));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_touches_nothing() {
    let world = World::new();
    let deed = carry_out(&world, &Authorised { dry_run: true, ..intent(Remedy::Restart) }, false).await;
    assert_eq!((proof(&deed), world.life().calls.len()), (Some(Proof::DryRun), 0));
}

#[tokio::test(start_paused = true)]
async fn the_engines_own_refusal_is_passed_on() {
    let world = World::new();
    world.set(|life| life.refuses = true);
    let deed = carry_out(&world, &intent(Remedy::Restart), false).await;
    assert_eq!(why(deed), "the Docker engine refused to restart the container: no space left");
}

#[tokio::test(start_paused = true)]
async fn without_leave_nothing_is_touched() {
    let world = World::new();
    let (intent, leave) = (intent(Remedy::Restart), Mine(&world, AtomicBool::new(false)));
    assert!(errand(&world, &intent, &leave).run(false).await.is_err());
    assert!(world.life().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_not_safe_is_withheld_but_what_was_done_for_it_is_told() {
    for in_doubt in [false, true] {
        let world = World::new();
        let deed = errand(&world, &intent(Remedy::Restart), &Unsafe(&world)).run(in_doubt).await.unwrap();
        assert_eq!(deed, Deed::Withheld(SHORT), "in doubt: {in_doubt}");
        assert!(world.life().calls.is_empty());
    }
    let world = World::new();
    world.begin_restart(Fate::Through);
    let deed = errand(&world, &intent(Remedy::Restart), &Unsafe(&world)).run(true).await.unwrap();
    assert_eq!((proof(&deed), world.life().calls.len()), (Some(Proof::Found), 0));
}

#[tokio::test(start_paused = true)]
async fn an_intent_from_before_an_outage_is_not_carried_out() {
    for in_doubt in [false, true] {
        let world = World::new();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let deed = carry_out(&world, &intent(Remedy::Restart), in_doubt).await;
        let Deed::NotDone(why) = deed else { panic!("{deed:?}") };
        assert_eq!(why, "superseded: the intent is 1 h old, more than 10 min");
        assert!(world.life().calls.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_stopped_during_an_outage_is_not_started_for_an_old_intent() {
    let world = World::new();
    world.set(|life| (life.touched, life.state) = (true, State::Exited));
    tokio::time::advance(Duration::from_secs(3600)).await;
    let deed = carry_out(&world, &intent(Remedy::Restart), true).await;
    assert!(matches!(&deed, Deed::NotDone(why) if why.contains("the intent is 1 h old")), "{deed:?}");
    assert!(world.life().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_container_that_a_refused_restart_left_stopped_is_started() {
    let world = World::new();
    world.set(|life| life.refuses_half_way = true);
    let deed = carry_out(&world, &intent(Remedy::Restart), false).await;
    assert_eq!(proof(&deed), Some(Proof::Answered), "{deed:?}");
    assert_eq!((world.life().calls, world.life().state), (vec!["restart", "start"], State::Running));
}
