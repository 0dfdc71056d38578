//! Which container is inspected next?

use std::collections::VecDeque;

use crate::watch::Ask;

/// Containers that are to be inspected: first those for whose inspection events wait, each in the order of asking.
#[derive(Debug, Default)]
pub struct Asks {
    awaited: VecDeque<Ask>,
    others: VecDeque<Ask>,
}

impl Asks {
    /// This one, too.
    pub fn push(&mut self, ask: Ask) {
        if ask.awaited { self.awaited.push_back(ask) } else { self.others.push_back(ask) }
    }

    /// The next.
    pub fn pop(&mut self) -> Option<Ask> {
        self.awaited.pop_front().or_else(|| self.others.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_awaited_does_not_wait_behind_a_round() {
        let mut asks = Asks::default();
        for (token, awaited) in [(1, false), (2, false), (3, true), (4, false), (5, true)] {
            asks.push(Ask { id: "0123456789ab".parse().unwrap(), token, after: Duration::ZERO, awaited });
        }
        let order: Vec<u64> = std::iter::from_fn(|| asks.pop()).map(|ask| ask.token).collect();
        assert_eq!(order, [3, 5, 1, 2, 4]);
    }
}
