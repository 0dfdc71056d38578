//! One question in flight: its requests, retries and cost.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use hemostat_diagnosis::opinion::{self, Fault};
use hemostat_schema::{
    Span,
    diagnosis::{Reached, Trouble, Usage},
};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::{
    question::{CallError, Question},
    shared::Shared,
};
use crate::{
    breaker::BreakerState,
    budget::{Spending, spending_of},
    nonce,
    prompt::Prompt,
    provider::{ChatRequest, Completion, ProviderError, Retry, Turn},
};

/// The longest backoff, unless the server asks for more.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Bytes of an invalid answer that are sent back to the model for correction.
const MAX_ECHO: usize = 4 * 1024;

/// Characters of a description of what is wrong with an answer.
const MAX_FAULTS: usize = 400;

/// With less time left than this, no model can answer, so no request is made.
const MIN_TIME_LEFT: Duration = Duration::from_millis(5);

/// One question in flight.
pub(super) struct InFlightRequest<'a> {
    client: &'a Shared,
    question: Question<'a>,
    deadline: Instant,
    timeout: Span,
    waiting_for: WaitingFor,
    /// As the provider reported it.
    usage: Usage,
    /// Upper bound of requests whose usage the provider did not report, and of the request in flight.
    unreported: Spending,
}

/// What the question waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitingFor {
    /// A free slot.
    Slot,
    /// The provider's answer.
    Answer,
    /// The end of a backoff.
    Backoff,
}

impl<'a> InFlightRequest<'a> {
    pub(super) fn new(client: &'a Shared, question: Question<'a>, within: Duration) -> Self {
        Self {
            client,
            question,
            deadline: Instant::now() + within,
            timeout: within.into(),
            waiting_for: WaitingFor::Slot,
            usage: Usage::default(),
            unreported: Spending::default(),
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What it has cost so far.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Asks, and lets the model correct an invalid answer once.
    pub(super) async fn run(&mut self) -> Result<Reached, CallError> {
        let client = self.client;
        let _probe = match client.breaker_state() {
            BreakerState::Passing => None,
            BreakerState::Probing => Some(client.probe.try_acquire().map_err(|_| {
                CallError::new(Trouble::BreakerOpen, "it failed repeatedly; another request is probing it right now")
            })?),
            BreakerState::Tripped { until } => {
                let wait = Span::between(client.clock.now(), until);
                let error = format!("it failed repeatedly; HemoStat does not ask it for another {wait}");
                return Err(CallError::new(Trouble::BreakerOpen, error));
            }
        };
        let _slot = client.slots.acquire().await.expect("the slots are never closed");
        let sought = self.question.sought;
        let prompt = Prompt::of(sought, &nonce::generate());
        let mut request = ChatRequest {
            system: prompt.system,
            turns: vec![Turn::User(prompt.user)],
            schema: opinion::schema(sought),
            max_tokens: client.config.max_tokens,
            trace: self.question.trace.map(|trace| trace.child(fastrand::u64(1..))),
        };
        let completion = self.send_with_retries(&request).await?;
        let faults = match opinion::validate(&completion.text, sought) {
            Ok(reached) => return Ok(reached),
            Err(faults) => faults,
        };
        debug!(
            "the model's answer is invalid, asking for a correction: {}",
            describe(&faults, completion.is_truncated)
        );
        request.turns.push(Turn::Assistant(prefix(&completion.text, MAX_ECHO).to_owned()));
        request.turns.push(Turn::User(opinion::repair(&faults)));
        let completion = self.send_with_retries(&request).await?;
        opinion::validate(&completion.text, sought).map_err(|faults| {
            let faults = describe(&faults, completion.is_truncated);
            CallError::new(Trouble::Invalid, format!("its answer is invalid: {faults}"))
        })
    }

    async fn send_with_retries(&mut self, request: &ChatRequest) -> Result<Completion, CallError> {
        let config = &self.client.config;
        let mut backoff = ExponentialBuilder::default()
            .with_min_delay(config.first_wait)
            .with_max_delay(MAX_BACKOFF)
            .with_max_times(usize::try_from(config.retries).unwrap_or(usize::MAX))
            .with_jitter()
            .build();
        loop {
            let ProviderError { trouble, error, retry } = match self.send(request).await? {
                Ok(completion) => return Ok(completion),
                Err(error) => error,
            };
            let retry_after = match retry {
                Retry::Never => return Err(CallError::new(trouble, error)),
                Retry::Reshaped => continue,
                Retry::After(retry_after) => retry_after,
            };
            let Some(delay) = backoff.next() else { return Err(CallError::new(trouble, error)) };
            let delay = retry_after.map_or(delay, |retry_after| retry_after.max(delay));
            if Instant::now() + delay >= self.deadline {
                let error = match retry_after {
                    Some(retry_after) => format!("{error} and asks for a pause of {}", Span::from(retry_after)),
                    None => error,
                };
                return Err(CallError::new(trouble, error));
            }
            debug!("{}: {error}; retrying in {delay:.1?}", self.client.provider.name());
            self.waiting_for = WaitingFor::Backoff;
            sleep(delay).await;
        }
    }

    /// Sends one request if the budget allows it.
    async fn send(&mut self, request: &ChatRequest) -> Result<Result<Completion, ProviderError>, CallError> {
        let client = self.client;
        if Instant::now() + MIN_TIME_LEFT >= self.deadline {
            return Err(self.timed_out());
        }
        let upper_bound = client.config.prices.upper_bound(bytes(request), request.max_tokens);
        {
            let (mut ledger, now) = (client.ledger(), client.clock.now());
            let allowed = client.config.budget.allows(ledger.spent(now), upper_bound);
            allowed.map_err(|exceeded| CallError::new(Trouble::OverBudget, exceeded.to_string()))?;
            ledger.reserve(self.question.id, upper_bound, now);
        }
        self.waiting_for = WaitingFor::Answer;
        self.usage.requests += 1;
        let unreported = self.unreported;
        // If the timeout cancels the request, this is what it may have cost.
        self.unreported = unreported.plus(upper_bound);
        let answer = client.provider.ask(request).await;
        match &answer {
            Ok(completion) if completion.tokens_in + completion.tokens_out > 0 => {
                self.unreported = unreported;
                self.usage.tokens_in += completion.tokens_in;
                self.usage.tokens_out += completion.tokens_out;
                self.usage.cost_micros = client.config.prices.cost(self.usage.tokens_in, self.usage.tokens_out);
            }
            Ok(_) => {}
            Err(error) if error.trouble == Trouble::Invalid => {}
            // A provider that refuses or fails does not bill.
            Err(_) => self.unreported = unreported,
        }
        self.settle();
        Ok(answer)
    }

    fn settle(&self) {
        self.client.ledger().settle(self.question.id, spending_of(&self.usage).plus(self.unreported));
    }

    /// The error at the deadline.
    pub(super) fn timed_out(&self) -> CallError {
        let timeout = self.timeout;
        let error = match self.waiting_for {
            WaitingFor::Slot => {
                let others = self.client.config.concurrency;
                format!("{others} other questions were in flight, and no slot became free within {timeout}")
            }
            WaitingFor::Answer => format!("it did not answer within {timeout}"),
            WaitingFor::Backoff => format!("it failed and could not be asked again within {timeout}"),
        };
        CallError::new(Trouble::TimedOut, error)
    }

    /// Enters the outcome in the ledger.
    pub(super) fn finish(&self, outcome: &Result<Reached, CallError>) {
        self.settle();
        if self.usage.requests == 0 {
            return;
        }
        let is_answered = match outcome {
            Ok(_) => true,
            Err(error) => match error.trouble {
                Trouble::Invalid => true,
                Trouble::Unreachable | Trouble::Refused | Trouble::RateLimited | Trouble::TimedOut => false,
                Trouble::OverBudget | Trouble::BreakerOpen | Trouble::Other => return,
            },
        };
        self.client.ledger().finish(self.question.id, is_answered, self.client.clock.now());
    }
}

/// The size of a request, in bytes.
fn bytes(request: &ChatRequest) -> usize {
    let turns = request.turns.iter().map(|turn| match turn {
        Turn::User(text) | Turn::Assistant(text) => text.len(),
    });
    request.system.len() + request.schema.to_string().len() + turns.sum::<usize>()
}

fn describe(faults: &[Fault], is_truncated: bool) -> String {
    let mut faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    if is_truncated {
        faults.insert(0, "it was cut off at its maximum length (analyzer.max_tokens)".to_owned());
    }
    faults.join("; ").chars().take(MAX_FAULTS).collect()
}

/// The first `max` bytes of a text, cut at a character boundary.
fn prefix(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}
