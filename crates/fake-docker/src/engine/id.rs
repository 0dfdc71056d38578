//! Container ids like Docker's, derived from the seed.

use std::fmt;

use serde::{Serialize, Serializer};

/// A container's id: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId([u8; 64]);

impl ContainerId {
    /// The `n`th id of an engine with this seed.
    pub(crate) fn nth(n: u32, seed: u64) -> Self {
        let mut random =
            fastrand::Rng::with_seed(seed.rotate_left(32) ^ u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut digits = [0; 64];
        digits.fill_with(|| b"0123456789abcdef"[random.usize(..16)]);
        Self(digits)
    }

    /// Parses a full id.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 64] = text.as_bytes().try_into().ok()?;
        digits.iter().all(|digit| digit.is_ascii_hexdigit()).then_some(Self(digits))
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str()[..12])
    }
}

impl Serialize for ContainerId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}
