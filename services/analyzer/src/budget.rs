//! What a model may cost: a limit in tokens and one in money, for any hour.
//!
//! A question is weighed before it is sent, at the most that it can cost, so a limit is kept and not found broken
//! afterwards. How much was spent is the [`Casebook`](crate::casebook::Casebook)'s to know.

use std::fmt;

use hemostat_schema::{Span, diagnosis::Usage};

/// The time in which spending is counted.
pub const HOUR: Span = Span::from_secs(3600);

/// So many bytes of a question make a token, at the least: of English prose it is about four.
const BYTES_A_TOKEN: usize = 3;

/// Tokens, and what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Of questions and answers together.
    pub tokens: u64,
    /// In millionths of a US dollar.
    pub micros: u64,
}

impl Spent {
    /// Both together.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(more.tokens), micros: self.micros.saturating_add(more.micros) }
    }

    /// So many times.
    #[must_use]
    pub fn times(self, factor: u64) -> Self {
        Self { tokens: self.tokens.saturating_mul(factor), micros: self.micros.saturating_mul(factor) }
    }
}

/// What a million tokens cost, in millionths of a US dollar; none where nobody has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    /// Of a question.
    pub question: Option<u64>,
    /// Of an answer.
    pub answer: Option<u64>,
}

impl Prices {
    /// What so many tokens cost, in millionths of a US dollar, rounded up; none where a price is not known.
    pub fn cost(&self, tokens_in: u64, tokens_out: u64) -> Option<u64> {
        let part = |tokens: u64, price: u64| u128::from(tokens) * u128::from(price);
        let sum = part(tokens_in, self.question?) + part(tokens_out, self.answer?);
        Some(u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    /// The most that one question of `bytes` bytes, answered with `max_tokens` tokens, can come to.
    pub fn at_most(&self, bytes: usize, max_tokens: u32) -> Spent {
        let tokens_in = u64::try_from(bytes.div_ceil(BYTES_A_TOKEN)).unwrap_or(u64::MAX);
        let tokens_out = u64::from(max_tokens);
        Spent {
            tokens: tokens_in.saturating_add(tokens_out),
            micros: self.cost(tokens_in, tokens_out).unwrap_or_default(),
        }
    }
}

/// What was spent, as it is recorded.
pub fn spent_by(usage: &Usage) -> Spent {
    Spent { tokens: usage.tokens_in.saturating_add(usage.tokens_out), micros: usage.cost_micros.unwrap_or_default() }
}

/// How much may be spent in any [`HOUR`]; none is as much as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub micros: Option<u64>,
}

/// A limit that a question would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// That in tokens.
    Tokens {
        /// What was spent within the hour, and is about to be.
        spent: u64,
        /// What the question may cost.
        more: u64,
        /// What may be spent.
        limit: u64,
    },
    /// That in money, in millionths of a US dollar.
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
    /// Whether `more` may be spent where `spent` has been within the hour.
    ///
    /// # Errors
    /// The limit that it would break.
    pub fn allows(&self, spent: Spent, more: Spent) -> Result<(), Broken> {
        let breaks =
            |limit: Option<u64>, spent: u64, more: u64| limit.filter(|limit| spent.saturating_add(more) > *limit);
        if let Some(limit) = breaks(self.tokens, spent.tokens, more.tokens) {
            return Err(Broken::Tokens { spent: spent.tokens, more: more.tokens, limit });
        }
        if let Some(limit) = breaks(self.micros, spent.micros, more.micros) {
            return Err(Broken::Money { spent: spent.micros, more: more.micros, limit });
        }
        Ok(())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens { spent, more, limit } => {
                write!(
                    f,
                    "{spent} tokens were spent within the hour and this may take {more} more; {limit} are allowed"
                )
            }
            Self::Money { spent, more, limit } => write!(
                f,
                "{} were spent within the hour and this may cost {} more; {} are allowed",
                dollars(*spent),
                dollars(*more),
                dollars(*limit)
            ),
        }
    }
}

/// An amount, as it is written: `$0.0125`.
fn dollars(micros: u64) -> String {
    format!("${}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPT: Prices = Prices { question: Some(2_500_000), answer: Some(10_000_000) };

    #[test]
    fn a_price_is_that_of_a_million_tokens_and_is_never_rounded_down() {
        for (prices, tokens, cost) in [
            (GPT, (1_000_000, 0), Some(2_500_000)),
            (GPT, (0, 1_000_000), Some(10_000_000)),
            (GPT, (1_200, 150), Some(4_500)),
            (GPT, (1, 0), Some(3)),
            (GPT, (0, 0), Some(0)),
            (GPT, (u64::MAX, u64::MAX), Some(u64::MAX)),
            (Prices { answer: None, ..GPT }, (1, 1), None),
            (Prices::default(), (1, 1), None),
        ] {
            assert_eq!(prices.cost(tokens.0, tokens.1), cost, "{tokens:?} at {prices:?}");
        }
    }

    #[test]
    fn a_question_that_could_break_a_limit_is_not_sent() {
        let spent = |tokens, micros| Spent { tokens, micros };
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
    fn a_broken_limit_says_which_and_by_how_much() {
        let spent = Spent { tokens: 9_500, micros: 49_000 };
        let more = Spent { tokens: 900, micros: 12_550 };
        let tokens = Budget { tokens: Some(10_000), micros: None }.allows(spent, more).unwrap_err().to_string();
        assert_eq!(tokens, "9500 tokens were spent within the hour and this may take 900 more; 10000 are allowed");
        let money = Budget { tokens: None, micros: Some(50_000) }.allows(spent, more).unwrap_err().to_string();
        assert_eq!(money, "$0.0490 were spent within the hour and this may cost $0.0125 more; $0.0500 are allowed");
    }

    #[test]
    fn the_most_that_a_question_can_cost_is_more_than_it_does() {
        assert_eq!(GPT.at_most(3_000, 600), Spent { tokens: 1_600, micros: 8_500 });
        assert_eq!(Prices::default().at_most(1, 600), Spent { tokens: 601, micros: 0 });
    }
}
