//! The log in Redis.
use crate::{Error, Options};
/// The log in Redis.
#[derive(Debug)]
pub struct RedisLog;
/// A migration that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /** Its number and name. */
    pub name: String,
}
impl RedisLog {
    /// Connects.
    /// # Errors
    /// Many.
    pub async fn connect(_options: &Options) -> Result<Self, Error> {
        unimplemented!()
    }
}
/// Migrates.
/// # Errors
/// Many.
pub async fn migrate(_options: &Options) -> Result<Vec<Applied>, Error> {
    unimplemented!()
}
