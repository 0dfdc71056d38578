//! Budget for model calls: a limit in tokens and one in money, per rolling hour.
//!
//! Before a request is sent, its upper bound is checked against the budget, so a limit is never exceeded. The
//! [`UsageLedger`](crate::usage_ledger::UsageLedger) knows how much was spent.

use hemostat_schema::{Span, diagnosis::Usage};

/// The rolling window in which spending is counted.
pub const HOUR: Span = Span::from_secs(3600);

/// Assumed bytes per token, lower than the real ratio (English prose has about four), so that estimates are upper bounds.
const MIN_BYTES_PER_TOKEN: usize = 3;

/// Tokens and money spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    /// Tokens of prompts and answers together.
    pub tokens: u64,
    /// Money, in millionths of a US dollar.
    pub micros: u64,
}

impl Spending {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(more.tokens), micros: self.micros.saturating_add(more.micros) }
    }

    /// `factor` times as much.
    #[must_use]
    pub fn times(self, factor: u64) -> Self {
        Self { tokens: self.tokens.saturating_mul(factor), micros: self.micros.saturating_mul(factor) }
    }
}

/// Price per million tokens, in millionths of a US dollar; none if not configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// Of prompt tokens.
    pub input: Option<u64>,
    /// Of answer tokens.
    pub output: Option<u64>,
}

impl Prices {
    /// The cost in millionths of a US dollar, rounded up; none if a price is not configured.
    pub fn cost(&self, tokens_in: u64, tokens_out: u64) -> Option<u64> {
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = part(tokens_in, self.input?) + part(tokens_out, self.output?);
        Some(u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    /// Upper bound of one request with a prompt of `bytes` bytes and an answer of `max_tokens` tokens.
    pub fn upper_bound(&self, bytes: usize, max_tokens: u32) -> Spending {
        let tokens_in = u64::try_from(bytes.div_ceil(MIN_BYTES_PER_TOKEN)).unwrap_or(u64::MAX);
        let tokens_out = u64::from(max_tokens);
        Spending {
            tokens: tokens_in.saturating_add(tokens_out),
            micros: self.cost(tokens_in, tokens_out).unwrap_or_default(),
        }
    }
}

/// The spending that a recorded usage stands for.
pub fn spending_of(usage: &Usage) -> Spending {
    Spending { tokens: usage.tokens_in.saturating_add(usage.tokens_out), micros: usage.cost_micros.unwrap_or_default() }
}

/// What may be spent per rolling [`HOUR`]; none means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub micros: Option<u64>,
}

/// The limit that a request would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BudgetExceeded {
    /// The limit in tokens.
    #[error("{spent} tokens were spent within the hour and this request may take {more} more; the limit is {limit}")]
    Tokens {
        /// What was spent within the hour, and is about to be.
        spent: u64,
        /// What the question may cost.
        more: u64,
        /// What may be spent.
        limit: u64,
    },
    /// The limit in money; all amounts in millionths of a US dollar.
    #[error(
        "{} was spent within the hour and this request may cost {} more; the limit is {}",
        dollars(*spent),
        dollars(*more),
        dollars(*limit)
    )]
    Money {
        /// What was spent within the hour, and is about to be.
        spent: u64,
        /// What the question may cost.
        more: u64,
        /// What may be spent.
        limit: u64,
    },
}

impl Budget {
    /// Checks that `more` may be spent after `spent` within the hour.
    ///
    /// # Errors
    /// The limit that it would exceed.
    pub fn allows(&self, spent: Spending, more: Spending) -> Result<(), BudgetExceeded> {
        let exceeded =
            |limit: Option<u64>, spent: u64, more: u64| limit.filter(|limit| spent.saturating_add(more) > *limit);
        if let Some(limit) = exceeded(self.tokens, spent.tokens, more.tokens) {
            return Err(BudgetExceeded::Tokens { spent: spent.tokens, more: more.tokens, limit });
        }
        if let Some(limit) = exceeded(self.micros, spent.micros, more.micros) {
            return Err(BudgetExceeded::Money { spent: spent.micros, more: more.micros, limit });
        }
        Ok(())
    }
}

/// Formats an amount: `$0.0125`.
fn dollars(micros: u64) -> String {
    format!("${}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPT: Prices = Prices { input: Some(2_500_000), output: Some(10_000_000) };

    #[test]
    fn a_price_is_per_million_tokens_and_the_cost_is_rounded_up() {
        for (prices, tokens, cost) in [
            (GPT, (1_000_000, 0), Some(2_500_000)),
            (GPT, (0, 1_000_000), Some(10_000_000)),
            (GPT, (1_200, 150), Some(4_500)),
            (GPT, (1, 0), Some(3)),
            (GPT, (0, 0), Some(0)),
            (GPT, (u64::MAX, u64::MAX), Some(u64::MAX)),
            (Prices { output: None, ..GPT }, (1, 1), None),
            (Prices::default(), (1, 1), None),
        ] {
            assert_eq!(prices.cost(tokens.0, tokens.1), cost, "{tokens:?} at {prices:?}");
        }
    }

    #[test]
    fn a_request_that_could_exceed_a_limit_is_not_allowed() {
        let spent = |tokens, micros| Spending { tokens, micros };
        let both = Budget { tokens: Some(10_000), micros: Some(50_000) };
        for (budget, before, more, allowed) in [
            (Budget::default(), spent(u64::MAX, u64::MAX), spent(u64::MAX, 1), true),
            (both, spent(0, 0), spent(10_000, 50_000), true),
            (both, spent(9_000, 0), spent(1_000, 1), true),
            (both, spent(9_000, 0), spent(1_001, 1), false),
            (both, spent(0, 49_999), spent(1, 1), true),
            (both, spent(0, 49_999), spent(1, 2), false),
            (both, spent(u64::MAX, 0), spent(1, 0), false),
            (Budget { tokens: Some(0), micros: None }, spent(0, 0), spent(1, 0), false),
        ] {
            assert_eq!(budget.allows(before, more).is_ok(), allowed, "{before:?} and {more:?} of {budget:?}");
        }
    }

    #[test]
    fn an_exceeded_limit_says_which_and_by_how_much() {
        let spent = Spending { tokens: 9_500, micros: 49_000 };
        let more = Spending { tokens: 900, micros: 12_550 };
        let tokens = Budget { tokens: Some(10_000), micros: None }.allows(spent, more).unwrap_err().to_string();
        assert_eq!(
            tokens,
            "9500 tokens were spent within the hour and this request may take 900 more; the limit is 10000"
        );
        let money = Budget { tokens: None, micros: Some(50_000) }.allows(spent, more).unwrap_err().to_string();
        assert_eq!(
            money,
            "$0.0490 was spent within the hour and this request may cost $0.0125 more; the limit is $0.0500"
        );
    }

    #[test]
    fn the_upper_bound_counts_the_whole_answer() {
        assert_eq!(GPT.upper_bound(3_000, 600), Spending { tokens: 1_600, micros: 8_500 });
        assert_eq!(Prices::default().upper_bound(1, 600), Spending { tokens: 601, micros: 0 });
    }
}
