//! Limits and prices of model calls.

use std::time::Duration;

use hemostat_schema::Span;
use hemostat_settings::Analyzer;

use crate::{
    breaker::Breaker,
    budget::{Budget, Prices},
};

/// Limits and prices of model calls.
#[derive(Debug, Clone, Copy)]
pub struct ClientConfig {
    /// Timeout of a question, with all its requests and waits.
    pub timeout: Duration,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
    /// Retries after the first request.
    pub retries: u32,
    /// Delay before the first retry; it doubles each time, with jitter.
    pub first_wait: Duration,
    /// Maximum concurrent questions.
    pub concurrency: usize,
    /// What may be spent per hour.
    pub budget: Budget,
    /// Prices per million tokens.
    pub prices: Prices,
    /// When HemoStat stops asking a provider that fails.
    pub breaker: Breaker,
    /// How long an answer is reused for the same evidence.
    pub cache: Span,
}

impl ClientConfig {
    /// As configured.
    pub fn from_settings(config: &Analyzer) -> Self {
        Self {
            timeout: config.timeout,
            max_tokens: config.max_tokens,
            retries: config.retries,
            first_wait: Duration::from_millis(500),
            concurrency: usize::try_from(config.concurrency).unwrap_or(usize::MAX).clamp(1, Self::MAX_CONCURRENCY),
            budget: Budget {
                tokens: config.tokens_per_hour.map(u64::from),
                micros: config.dollars_per_hour.map(|dollars| dollars.micros()),
            },
            prices: Prices {
                input: config.price_in.map(|dollars| dollars.micros()),
                output: config.price_out.map(|dollars| dollars.micros()),
            },
            breaker: Breaker::default(),
            cache: config.cache,
        }
    }

    const MAX_CONCURRENCY: usize = 1024;
}
