//! Amounts of money, counted in whole millionths of a US dollar so that sums are exact.

use std::fmt;

/// An amount of US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Dollars(u64);

impl Dollars {
    /// In millionths.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// `None` when it is not a number, negative, or more than a billion.
    pub fn new(dollars: f64) -> Option<Self> {
        /// Above this a float no longer represents millionths.
        const MOST: f64 = 1e9;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1e15")]
        (0.0..=MOST).contains(&dollars).then(|| Self((dollars * 1e6).round() as u64))
    }
}

/// As a plain number: `2.5`.
impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if micros == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{micros:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact_to_a_millionth_and_shown_as_it_was_written() {
        for (dollars, micros, shown) in [
            (0.0, 0, "0"),
            (2.5, 2_500_000, "2.5"),
            (0.15, 150_000, "0.15"),
            (0.000_001, 1, "0.000001"),
            (3.0, 3_000_000, "3"),
        ] {
            let amount = Dollars::new(dollars).unwrap();
            assert_eq!((amount.micros(), amount.to_string().as_str()), (micros, shown));
        }
        for bad in [-0.01, f64::NAN, f64::INFINITY, 1e10] {
            assert_eq!(Dollars::new(bad), None, "{bad}");
        }
    }
}
