//! The archive: events moved out of the streams into sealed segments, in a directory or an S3-compatible store.
//!
//! A segment is a Parquet file (readable by DuckDB, pandas and Polars) with the events of one family of one partition
//! between two ids. Its manifest describes the file and references the previous manifest. Both are immutable.
//!
//! ```text
//!   0/observation/…1764000000000-….json      manifest ◄─┐ SHA-256 of the previous manifest,
//!   0/observation/…1764000000000-…_….parquet            │ SHA-256 of its own file, the notary's hash at its end
//!   0/observation/…1764003600000-….json      manifest ──┘
//!   0/observation/…1764003600000-…_….parquet
//! ```
//!
//! [`Archive`] seals and reads segments. The archivist decides what is sealed and what is then trimmed from the log. An
//! altered or missing segment is an error that names the object, in [`Archive::verify_chain`] and on every read.

mod archive;
mod builder;
mod cache;
mod columns;
mod error;
mod manifest;
mod parquet_file;
mod read;
mod seal;
mod storage;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod verify;
mod witness;

pub use archive::{Archive, open};
pub use builder::SegmentBuilder;
pub use error::{Damage, DamagedObject, Error};
pub use manifest::{Manifest, Previous};
pub use parquet_file::{ParquetReader, ParquetWriter};
pub use witness::{Witness, WitnessRecord};
