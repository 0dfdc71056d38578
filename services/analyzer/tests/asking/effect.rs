//! From `opinion_sought` on the log to what came of it on the log.

use hemostat_analyzer::{Consult, budget::Budget};
use hemostat_log::{Commit, Log, MemoryLog, Order, Range};
use hemostat_runtime::{Context, EffectWorker, ManualClock, Stage};
use hemostat_schema::{
    Diagnosis, Event, EventId, Family, NewEvent, Partition, Span,
    diagnosis::{Failed, Method, Opined, Reached, Trouble},
};

use super::*;

const P: Partition = Partition(0);

/// A log in memory, a clock that only the test moves, and an analyzer that asks a model.
struct Ward {
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    ctx: Context,
    epoch: u64,
}

impl Ward {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(testing::at(0)));
        let log = Arc::new(MemoryLog::new(1));
        let ctx = Context { clock: clock.clone(), ..Context::new(log.clone()) };
        Self { log, clock, ctx, epoch: 0 }
    }

    /// Puts a question on the log, as triage would.
    async fn ask(&mut self, sought: OpinionSought) -> EventId {
        let lease = self.log.acquire(P, "test", "test", Duration::from_secs(10)).await.unwrap().unwrap();
        self.epoch += 1;
        let event = NewEvent::new(testing::subject(), testing::at(0), sought).in_incident(Some(testing::incident(0)));
        let event = NewEvent { at: self.clock_now(), ..event };
        self.log.commit(&Commit { events: vec![event], seq: Some(1), ..Commit::new(lease) }).await.unwrap()[0]
    }

    fn clock_now(&self) -> hemostat_schema::Timestamp {
        Clock::now(&*self.clock)
    }

    /// What the log says because of `question`, once an analyzer that asks by `counsel` has dealt with it.
    async fn told(&self, counsel: Option<Counsel>, question: EventId) -> Vec<Diagnosis> {
        let worker = EffectWorker::new(self.ctx.clone(), P, Arc::new(Consult::new(&self.ctx, counsel)));
        let mut stage = Stage::new(self.ctx.clone(), worker);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            stage.step().await.unwrap();
            let entries =
                self.log.read(P, &Family::ALL, Range::after(question), Order::OldestFirst, 100).await.unwrap();
            let caused =
                entries.into_iter().map(|entry| entry.event.unwrap()).filter(|event| event.cause == Some(question));
            let told: Vec<Diagnosis> = caused
                .map(|event| {
                    assert_eq!(event.incident, Some(testing::incident(0)));
                    let Some(Event::Diagnosis(diagnosis)) = event.event() else { panic!("{event:?}") };
                    diagnosis.clone()
                })
                .collect();
            if !told.is_empty() {
                return told;
            }
            assert!(std::time::Instant::now() < deadline, "nothing is told");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn counsel(&self, model: &FakeModel, terms: Terms) -> Option<Counsel> {
        Some(timed(Api::OpenAi, model, terms, self.ctx.clock.clone()))
    }
}

fn reached(told: &[Diagnosis]) -> &Reached {
    let [Diagnosis::Reached(reached)] = told else { panic!("{told:?}") };
    reached
}

fn stood(told: &[Diagnosis]) -> (&Failed, &Reached) {
    let [Diagnosis::Failed(failed), Diagnosis::Reached(reached)] = told else { panic!("{told:?}") };
    assert!(matches!(reached.method, Method::Rule { .. }), "{reached:?}");
    assert!(reached.why.contains("has no diagnosis"), "{}", reached.why);
    (failed, reached)
}

#[tokio::test]
async fn a_model_that_decides_decides() {
    let (mut ward, model) = (Ward::new(), FakeModel::saying(good()).await);
    let question = ward.ask(Api::OpenAi.sought()).await;
    let told = ward.told(ward.counsel(&model, terms()), question).await;
    assert_eq!(reached(&told).usage.unwrap().tokens_in, 900);
    assert!(matches!(&reached(&told).method, Method::Model { model, .. } if model == "gpt-4o-mini"));
}

#[tokio::test]
async fn a_model_that_shadows_is_compared_with_the_rules() {
    let (mut ward, model) = (Ward::new(), FakeModel::saying(good()).await);
    let question = ward.ask(OpinionSought { part: Part::Shadows, ..Api::OpenAi.sought() }).await;
    let told = ward.told(ward.counsel(&model, terms()), question).await;
    let [Diagnosis::Opined(Opined { agrees, rules, .. })] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((*agrees, rules), (true, &Api::OpenAi.sought().fallback));
}

#[tokio::test]
async fn where_a_model_fails_the_rules_answer_stands() {
    for (reply, trouble) in [
        (Reply::error(500, "server_error"), Trouble::Unreachable),
        (Reply::later("86400"), Trouble::RateLimited),
        (Reply::Silence, Trouble::TimedOut),
        (Reply::Endless, Trouble::TimedOut),
        (Reply::Says("restart it".into(), 900, 80), Trouble::Invalid),
    ] {
        let (mut ward, model) = (Ward::new(), FakeModel::saying(reply).await);
        let question = ward.ask(Api::OpenAi.sought()).await;
        let terms = Terms { timeout: Duration::from_millis(700), ..terms() };
        let told = ward.told(ward.counsel(&model, terms), question).await;
        let (failed, rules) = stood(&told);
        assert_eq!(failed.trouble, trouble, "{failed:?}");
        assert_eq!(rules.remedy, Api::OpenAi.sought().fallback.remedy);
    }
}

#[tokio::test]
async fn the_same_evidence_is_not_asked_about_twice_even_after_a_restart() {
    let (mut ward, model) = (Ward::new(), FakeModel::saying(good()).await);
    let first = ward.ask(Api::OpenAi.sought()).await;
    ward.told(ward.counsel(&model, terms()), first).await;
    // Another run of another container: what is remembered is about this one.
    let fallback = testing::reached(testing::run(500));
    let again = ward.ask(OpinionSought { fallback, ..Api::OpenAi.sought() }).await;
    let told = ward.told(ward.counsel(&model, terms()), again).await;
    let remembered = reached(&told);
    assert_eq!((remembered.usage.unwrap().cached, remembered.usage.unwrap().tokens_in), (true, 0));
    assert_eq!(remembered.target, testing::run(500));
    assert_eq!(remembered.root_cause, "its pool of connections is exhausted");

    // A remedy that is not on offer now is not given because it was then.
    let narrow = ward.ask(OpinionSought { remedies: vec![Remedy::Start], ..Api::OpenAi.sought() }).await;
    let told = ward.told(ward.counsel(&model, terms()), narrow).await;
    assert_eq!(stood(&told).0.trouble, Trouble::Invalid);
    ward.clock.advance(Span::from_secs(3601));
    let later = ward.ask(Api::OpenAi.sought()).await;
    let told = ward.told(ward.counsel(&model, terms()), later).await;
    assert!(!reached(&told).usage.unwrap().cached);
    assert_eq!(model.asked().len(), 1 + 2 + 1);
}

#[tokio::test]
async fn a_restart_makes_nobody_forget_what_was_spent() {
    let (mut ward, model) = (Ward::new(), FakeModel::saying(good()).await);
    let most = terms().prices.at_most(6_000, 600).tokens;
    let tight = Terms { budget: Budget { tokens: Some(most), micros: None }, cache: Span::ZERO, ..terms() };
    let first = ward.ask(Api::OpenAi.sought()).await;
    let told = ward.told(ward.counsel(&model, tight), first).await;
    assert!(reached(&told).usage.is_some());
    let second = ward.ask(Api::OpenAi.sought()).await;
    let told = ward.told(ward.counsel(&model, tight), second).await;
    let (failed, _) = stood(&told);
    assert_eq!((failed.trouble, failed.usage.unwrap().requests), (Trouble::OverBudget, 0), "{}", failed.error);
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn a_restart_makes_nobody_forget_that_the_provider_fails() {
    let (mut ward, model) = (Ward::new(), FakeModel::saying(Reply::error(401, "invalid_api_key")).await);
    for _ in 0..5 {
        let question = ward.ask(Api::OpenAi.sought()).await;
        ward.told(ward.counsel(&model, terms()), question).await;
    }
    let question = ward.ask(Api::OpenAi.sought()).await;
    let told = ward.told(ward.counsel(&model, terms()), question).await;
    assert_eq!((stood(&told).0.trouble, model.asked().len()), (Trouble::BreakerOpen, 5));
}

#[tokio::test]
async fn a_question_that_nobody_can_or_should_ask_any_more_is_answered_by_the_rules() {
    let (mut ward, model) = (Ward::new(), FakeModel::saying(good()).await);
    let question = ward.ask(Api::OpenAi.sought()).await;
    assert_eq!(stood(&ward.told(None, question).await).0.trouble, Trouble::Other);

    let question = ward.ask(OpinionSought { model: "gpt-3".into(), ..Api::OpenAi.sought() }).await;
    let told = ward.told(ward.counsel(&model, terms()), question).await;
    assert_eq!(stood(&told).0.error, "another model is configured now than gpt-3 of openai");

    let question = ward.ask(Api::OpenAi.sought()).await;
    ward.clock.advance(Span::from_secs(600));
    let told = ward.told(ward.counsel(&model, terms()), question).await;
    assert_eq!(stood(&told).0.error, "nobody came to ask it: the question is 10 min old");
    assert_eq!(model.asked().len(), 0);
}
