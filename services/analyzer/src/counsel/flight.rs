//! One question on its way: every request that it takes, with what each costs.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use hemostat_diagnosis::opinion::{self, Fault};
use hemostat_schema::{
    Span,
    diagnosis::{Reached, Trouble, Usage},
};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::{Asked, Counsel, Snag};
use crate::{
    breaker::Passage,
    budget::{Spent, spent_by},
    nonce,
    prompt::Prompt,
    provider::{Again, Miss, Question, Said, Turn},
};

/// The longest wait between two requests that is our own idea.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// So much of an answer that cannot be used is shown to the model again, in bytes.
const REPEATED: usize = 4 * 1024;

/// So much is said of what is wrong with an answer, in characters.
const TOLD: usize = 400;
/// Nobody answers in less, so a request for which no more time is left would only cost.
const LEAST: Duration = Duration::from_millis(5);

/// One question on its way.
pub(super) struct Flight<'a> {
    counsel: &'a Counsel,
    asked: Asked<'a>,
    until: Instant,
    /// How long it is until then.
    within: Span,
    stage: Stage,
    usage: Usage,
    /// Of what the provider did not say, the most that it can be; and of the request that is on its way.
    unsaid: Spent,
}

/// What it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// That fewer others are on their way.
    Slot,
    /// The provider's answer.
    Answer,
    /// That it may ask again.
    Pause,
}

impl<'a> Flight<'a> {
    pub(super) fn new(counsel: &'a Counsel, asked: Asked<'a>, within: Duration) -> Self {
        Self {
            counsel,
            asked,
            until: Instant::now() + within,
            within: within.into(),
            stage: Stage::Slot,
            usage: Usage::default(),
            unsaid: Spent::default(),
        }
    }

    /// When its time is over.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// What it has cost so far.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Asks until there is a diagnosis, or no hope of one.
    pub(super) async fn run(&mut self) -> Result<Reached, Snag> {
        let counsel = self.counsel;
        let _probe = match counsel.passage() {
            Passage::Passing => None,
            Passage::Probing => Some(counsel.probe.try_acquire().map_err(|_| {
                Snag::new(Trouble::BreakerOpen, "it failed again and again, and is just being tried once more")
            })?),
            Passage::Open { until } => {
                let wait = Span::between(counsel.clock.now(), until);
                let error = format!("it failed again and again, and is left alone for another {wait}");
                return Err(Snag::new(Trouble::BreakerOpen, error));
            }
        };
        let _slot = counsel.slots.acquire().await.expect("the slots are never closed");
        let sought = self.asked.sought;
        let prompt = Prompt::of(sought, &nonce::fresh());
        let mut question = Question {
            system: prompt.system,
            turns: vec![Turn::Ours(prompt.user)],
            schema: opinion::schema(sought),
            max_tokens: counsel.terms.max_tokens,
            trace: self.asked.trace.map(|trace| trace.child(fastrand::u64(1..))),
        };
        let said = self.persist(&question).await?;
        let faults = match opinion::validate(&said.text, sought) {
            Ok(reached) => return Ok(reached),
            Err(faults) => faults,
        };
        debug!("the model's answer cannot be used, and it is asked once more: {}", told(&faults, said.is_cut));
        question.turns.push(Turn::Models(beginning(&said.text, REPEATED).to_owned()));
        question.turns.push(Turn::Ours(opinion::repair(&faults)));
        let said = self.persist(&question).await?;
        opinion::validate(&said.text, sought).map_err(|faults| {
            Snag::new(Trouble::Invalid, format!("its answer cannot be used: {}", told(&faults, said.is_cut)))
        })
    }

    /// Makes a request, and again where that is worth it.
    async fn persist(&mut self, question: &Question) -> Result<Said, Snag> {
        let terms = &self.counsel.terms;
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(terms.first_wait)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(usize::try_from(terms.retries).unwrap_or(usize::MAX))
            .with_jitter()
            .build();
        loop {
            let Miss { trouble, error, again } = match self.once(question).await? {
                Ok(said) => return Ok(said),
                Err(miss) => miss,
            };
            let asked = match again {
                Again::Never => return Err(Snag::new(trouble, error)),
                Again::Otherwise => continue,
                Again::Later(asked) => asked,
            };
            let Some(ours) = waits.next() else { return Err(Snag::new(trouble, error)) };
            let wait = asked.map_or(ours, |asked| asked.max(ours));
            if Instant::now() + wait >= self.until {
                let error = match asked {
                    Some(asked) => format!("{error} and wants to be left alone for {}", Span::from(asked)),
                    None => error,
                };
                return Err(Snag::new(trouble, error));
            }
            debug!("{}: {error}; trying again in {wait:.1?}", self.counsel.provider.name());
            self.stage = Stage::Pause;
            sleep(wait).await;
        }
    }

    /// Makes one request, if the budget allows.
    async fn once(&mut self, question: &Question) -> Result<Result<Said, Miss>, Snag> {
        let counsel = self.counsel;
        if Instant::now() + LEAST >= self.until {
            return Err(self.late());
        }
        let most = counsel.terms.prices.at_most(bytes(question), question.max_tokens);
        {
            let (mut casebook, now) = (counsel.casebook(), counsel.clock.now());
            let allowed = counsel.terms.budget.allows(casebook.spent(now), most);
            allowed.map_err(|broken| Snag::new(Trouble::OverBudget, broken.to_string()))?;
            casebook.reserve(self.asked.id, most, now);
        }
        self.stage = Stage::Answer;
        self.usage.requests += 1;
        let unsaid = self.unsaid;
        // If this is not waited for, that is what it may have cost.
        self.unsaid = unsaid.and(most);
        let answer = counsel.provider.ask(question).await;
        match &answer {
            Ok(said) if said.tokens_in + said.tokens_out > 0 => {
                self.unsaid = unsaid;
                self.usage.tokens_in += said.tokens_in;
                self.usage.tokens_out += said.tokens_out;
                self.usage.cost_micros = counsel.terms.prices.cost(self.usage.tokens_in, self.usage.tokens_out);
            }
            Ok(_) => {}
            Err(miss) if miss.trouble == Trouble::Invalid => {}
            // Who refuses or fails does not charge.
            Err(_) => self.unsaid = unsaid,
        }
        self.settle();
        Ok(answer)
    }

    fn settle(&self) {
        self.counsel.casebook().settle(self.asked.id, spent_by(&self.usage).and(self.unsaid));
    }

    /// What is to be said when its time is over.
    pub(super) fn late(&self) -> Snag {
        let within = self.within;
        let error = match self.stage {
            Stage::Slot => {
                format!("{} others were on their way, and its turn did not come within {within}", self.others())
            }
            Stage::Answer => format!("it did not answer within {within}"),
            Stage::Pause => format!("it failed and could not be asked again within {within}"),
        };
        Snag::new(Trouble::TimedOut, error)
    }

    fn others(&self) -> usize {
        self.counsel.terms.concurrency
    }

    /// Notes what came of it.
    pub(super) fn land(&self, outcome: &Result<Reached, Snag>) {
        self.settle();
        if self.usage.requests == 0 {
            return;
        }
        let is_answered = match outcome {
            Ok(_) => true,
            Err(snag) => match snag.trouble {
                Trouble::Invalid => true,
                Trouble::Unreachable | Trouble::Refused | Trouble::RateLimited | Trouble::TimedOut => false,
                Trouble::OverBudget | Trouble::BreakerOpen | Trouble::Other => return,
            },
        };
        self.counsel.casebook().answered(self.asked.id, is_answered, self.counsel.clock.now());
    }
}

/// How long a question is.
fn bytes(question: &Question) -> usize {
    let turns = question.turns.iter().map(|turn| match turn {
        Turn::Ours(text) | Turn::Models(text) => text.len(),
    });
    question.system.len() + question.schema.to_string().len() + turns.sum::<usize>()
}

/// What is wrong with an answer, in a sentence or two.
fn told(faults: &[Fault], is_cut: bool) -> String {
    let mut told: Vec<String> = faults.iter().map(Fault::to_string).collect();
    if is_cut {
        told.insert(0, "it was cut off at its longest (analyzer.max_tokens)".to_owned());
    }
    told.join("; ").chars().take(TOLD).collect()
}

/// The beginning of a text, of at most so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}
