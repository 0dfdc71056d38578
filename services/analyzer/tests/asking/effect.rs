//! From `opinion_sought` on the log to the recorded outcome.

use hemostat_analyzer::{AskModel, budget::Budget};
use hemostat_log::{Commit, Log, MemoryLog, Order, Range};
use hemostat_runtime::{Context, EffectWorker, LeasedWorker, ManualClock};
use hemostat_schema::{
    Diagnosis, Event, EventId, Family, NewEvent, Partition, Span,
    diagnosis::{Failed, Method, Opined, Reached, Trouble},
};

use super::*;

const P: Partition = Partition(0);

/// A log in memory, a manual clock, and an analyzer that asks a model.
struct Bench {
    log: Arc<MemoryLog>,
    clock: Arc<ManualClock>,
    ctx: Context,
    epoch: u64,
}

impl Bench {
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

    /// The events caused by `question`, after an analyzer with `client` has handled it.
    async fn recorded(&self, client: Option<ModelClient>, question: EventId) -> Vec<Diagnosis> {
        let worker = EffectWorker::new(self.ctx.clone(), P, Arc::new(AskModel::new(&self.ctx, client)));
        let mut stage = LeasedWorker::new(self.ctx.clone(), worker);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            stage.step().await.unwrap();
            let entries =
                self.log.read(P, &Family::ALL, Range::after(question), Order::OldestFirst, 100).await.unwrap();
            let caused =
                entries.into_iter().map(|entry| entry.event.unwrap()).filter(|event| event.cause == Some(question));
            let recorded: Vec<Diagnosis> = caused
                .map(|event| {
                    assert_eq!(event.incident, Some(testing::incident(0)));
                    let Some(Event::Diagnosis(diagnosis)) = event.event() else { panic!("{event:?}") };
                    diagnosis.clone()
                })
                .collect();
            if !recorded.is_empty() {
                return recorded;
            }
            assert!(std::time::Instant::now() < deadline, "no outcome is recorded");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn client(&self, model: &FakeModel, config: ClientConfig) -> Option<ModelClient> {
        Some(client_at(Api::OpenAi, model, config, self.ctx.clock.clone()))
    }
}

fn reached(recorded: &[Diagnosis]) -> &Reached {
    let [Diagnosis::Reached(reached)] = recorded else { panic!("{recorded:?}") };
    reached
}

fn fallback_of(recorded: &[Diagnosis]) -> (&Failed, &Reached) {
    let [Diagnosis::Failed(failed), Diagnosis::Reached(reached)] = recorded else { panic!("{recorded:?}") };
    assert!(matches!(reached.method, Method::Rule { .. }), "{reached:?}");
    assert!(reached.why.contains("gave no diagnosis"), "{}", reached.why);
    (failed, reached)
}

#[tokio::test]
async fn a_deciding_model_decides() {
    let (mut bench, model) = (Bench::new(), FakeModel::always(valid_answer()).await);
    let question = bench.ask(Api::OpenAi.sought()).await;
    let recorded = bench.recorded(bench.client(&model, config()), question).await;
    assert_eq!(reached(&recorded).usage.unwrap().tokens_in, 900);
    assert!(matches!(&reached(&recorded).method, Method::Model { model, .. } if model == "gpt-4o-mini"));
}

#[tokio::test]
async fn a_shadowing_model_is_compared_with_the_rules() {
    let (mut bench, model) = (Bench::new(), FakeModel::always(valid_answer()).await);
    let question = bench.ask(OpinionSought { part: Part::Shadows, ..Api::OpenAi.sought() }).await;
    let recorded = bench.recorded(bench.client(&model, config()), question).await;
    let [Diagnosis::Opined(Opined { agrees, rules, .. })] = recorded.as_slice() else { panic!("{recorded:?}") };
    assert_eq!((*agrees, rules), (true, &Api::OpenAi.sought().fallback));
}

#[tokio::test]
async fn if_a_model_fails_the_diagnosis_of_the_rules_stands() {
    for (reply, trouble) in [
        (ModelResponse::error(500, "server_error"), Trouble::Unreachable),
        (ModelResponse::rate_limited("86400"), Trouble::RateLimited),
        (ModelResponse::NoResponse, Trouble::TimedOut),
        (ModelResponse::EndlessBody, Trouble::TimedOut),
        (ModelResponse::Text("restart it".into(), 900, 80), Trouble::Invalid),
    ] {
        let (mut bench, model) = (Bench::new(), FakeModel::always(reply).await);
        let question = bench.ask(Api::OpenAi.sought()).await;
        let config = ClientConfig { timeout: Duration::from_millis(700), ..config() };
        let recorded = bench.recorded(bench.client(&model, config), question).await;
        let (failed, rules) = fallback_of(&recorded);
        assert_eq!(failed.trouble, trouble, "{failed:?}");
        assert_eq!(rules.remedy, Api::OpenAi.sought().fallback.remedy);
    }
}

#[tokio::test]
async fn the_answer_to_the_same_evidence_is_cached_across_restarts() {
    let (mut bench, model) = (Bench::new(), FakeModel::always(valid_answer()).await);
    let first = bench.ask(Api::OpenAi.sought()).await;
    bench.recorded(bench.client(&model, config()), first).await;
    // Another run of the container: the cached answer is applied to it.
    let fallback = testing::reached(testing::run(500));
    let again = bench.ask(OpinionSought { fallback, ..Api::OpenAi.sought() }).await;
    let recorded = bench.recorded(bench.client(&model, config()), again).await;
    let cached = reached(&recorded);
    assert_eq!((cached.usage.unwrap().cached, cached.usage.unwrap().tokens_in), (true, 0));
    assert_eq!(cached.target, testing::run(500));
    assert_eq!(cached.root_cause, "its pool of connections is exhausted");

    // A cached remedy that is not on offer any more is not used.
    let narrow = bench.ask(OpinionSought { remedies: vec![Remedy::Start], ..Api::OpenAi.sought() }).await;
    let recorded = bench.recorded(bench.client(&model, config()), narrow).await;
    assert_eq!(fallback_of(&recorded).0.trouble, Trouble::Invalid);
    bench.clock.advance(Span::from_secs(3601));
    let later = bench.ask(Api::OpenAi.sought()).await;
    let recorded = bench.recorded(bench.client(&model, config()), later).await;
    assert!(!reached(&recorded).usage.unwrap().cached);
    assert_eq!(model.requests().len(), 1 + 2 + 1);
}

#[tokio::test]
async fn spending_survives_a_restart() {
    let (mut bench, model) = (Bench::new(), FakeModel::always(valid_answer()).await);
    let upper_bound = config().prices.upper_bound(6_000, 600).tokens;
    let tight =
        ClientConfig { budget: Budget { tokens: Some(upper_bound), micros: None }, cache: Span::ZERO, ..config() };
    let first = bench.ask(Api::OpenAi.sought()).await;
    let recorded = bench.recorded(bench.client(&model, tight), first).await;
    assert!(reached(&recorded).usage.is_some());
    let second = bench.ask(Api::OpenAi.sought()).await;
    let recorded = bench.recorded(bench.client(&model, tight), second).await;
    let (failed, _) = fallback_of(&recorded);
    assert_eq!((failed.trouble, failed.usage.unwrap().requests), (Trouble::OverBudget, 0), "{}", failed.error);
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn provider_failures_survive_a_restart() {
    let (mut bench, model) = (Bench::new(), FakeModel::always(ModelResponse::error(401, "invalid_api_key")).await);
    for _ in 0..5 {
        let question = bench.ask(Api::OpenAi.sought()).await;
        bench.recorded(bench.client(&model, config()), question).await;
    }
    let question = bench.ask(Api::OpenAi.sought()).await;
    let recorded = bench.recorded(bench.client(&model, config()), question).await;
    assert_eq!((fallback_of(&recorded).0.trouble, model.requests().len()), (Trouble::BreakerOpen, 5));
}

#[tokio::test]
async fn an_obsolete_question_is_answered_by_the_rules() {
    let (mut bench, model) = (Bench::new(), FakeModel::always(valid_answer()).await);
    let question = bench.ask(Api::OpenAi.sought()).await;
    assert_eq!(fallback_of(&bench.recorded(None, question).await).0.trouble, Trouble::Other);

    let question = bench.ask(OpinionSought { model: "gpt-3".into(), ..Api::OpenAi.sought() }).await;
    let recorded = bench.recorded(bench.client(&model, config()), question).await;
    assert_eq!(fallback_of(&recorded).0.error, "another model is configured now than gpt-3 of openai");

    let question = bench.ask(Api::OpenAi.sought()).await;
    bench.clock.advance(Span::from_secs(600));
    let recorded = bench.recorded(bench.client(&model, config()), question).await;
    assert_eq!(
        fallback_of(&recorded).0.error,
        "the deadline passed before an analyzer handled the question, which is 10 min old"
    );
    assert_eq!(model.requests().len(), 0);
}
