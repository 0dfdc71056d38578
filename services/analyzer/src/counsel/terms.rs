//! On which terms a model is asked: how long, how often, how much.

use std::time::Duration;

use hemostat_schema::Span;
use hemostat_settings::Analyzer;

use crate::{
    breaker::Breaker,
    budget::{Budget, Prices},
};

/// On which terms a model is asked.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a question may take, with everything.
    pub timeout: Duration,
    /// How long an answer may be, in tokens.
    pub max_tokens: u32,
    /// How often a request that failed is made again.
    pub retries: u32,
    /// The wait before the first of these; each next one is twice as long, and a little random.
    pub first_wait: Duration,
    /// Requests at the same time.
    pub concurrency: usize,
    /// What may be spent in an hour.
    pub budget: Budget,
    /// What it costs.
    pub prices: Prices,
    /// When a provider that fails is left alone.
    pub breaker: Breaker,
    /// For how long an answer stands for the same evidence.
    pub cache: Span,
}

impl Terms {
    /// As they are configured.
    pub fn of(config: &Analyzer) -> Self {
        Self {
            timeout: config.timeout,
            max_tokens: config.max_tokens,
            retries: config.retries,
            first_wait: Duration::from_millis(500),
            concurrency: usize::try_from(config.concurrency).unwrap_or(usize::MAX).clamp(1, Self::MOST),
            budget: Budget {
                tokens: config.tokens_per_hour.map(u64::from),
                micros: config.dollars_per_hour.map(|dollars| dollars.micros()),
            },
            prices: Prices {
                question: config.price_in.map(|dollars| dollars.micros()),
                answer: config.price_out.map(|dollars| dollars.micros()),
            },
            breaker: Breaker::default(),
            cache: config.cache,
        }
    }

    /// More requests at the same time than this would be no limit.
    const MOST: usize = 1024;
}
