//! The encoding of materialised rows: MessagePack with named fields.

use hemostat_log::Error;
use serde::{Serialize, de::DeserializeOwned};

/// Encodes a row.
///
/// # Errors
/// When a value cannot be written as MessagePack.
pub fn encode(row: &impl Serialize) -> Result<Vec<u8>, Error> {
    rmp_serde::to_vec_named(row).map_err(|error| Error::Invalid { doing: "write a row", reason: error.to_string() })
}

/// Decodes a row.
///
/// # Errors
/// When the bytes are not those of such a row.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::Corrupt { doing: "read a row", reason: error.to_string() })
}

/// The advice for a row that cannot be decoded.
const ADVICE: &str = "to build it again, run `hemostat rebuild` for this view or decider";

/// Decodes the row `key` of `view`.
///
/// # Errors
/// When the bytes are not those of such a row: the error names the row and says what the operator can do.
pub fn decode_row<T: DeserializeOwned>(view: &str, key: &str, bytes: &[u8]) -> Result<T, Error> {
    rmp_serde::from_slice(bytes).map_err(|error| Error::Corrupt {
        doing: "read a row",
        reason: format!("{key} of the view {view}: {error}; {ADVICE}"),
    })
}
