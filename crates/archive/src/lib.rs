//! History that is no longer in the streams: sealed segments in a directory or an S3-compatible store.
//!
//! A segment holds the events of one family of one partition between two ids, as a Parquet file that DuckDB, pandas and
//! Polars open; its manifest says what the file holds and what came before it. Nothing that is sealed ever changes.
//!
//! ```text
//!   0/observation/…1764000000000-….json      manifest ◄─┐ SHA-256 of the manifest before,
//!   0/observation/…1764000000000-…_….parquet            │ SHA-256 of its own file, the notary's hash at its end
//!   0/observation/…1764003600000-….json      manifest ──┘
//!   0/observation/…1764003600000-…_….parquet
//! ```
//!
//! [`Archive`] seals and reads; what is to be sealed, and what is then trimmed, the archivist decides. An altered or a
//! missing segment is an error that names it, both in [`Archive::verify_chain`] and when it is read.

mod archive;
mod cache;
mod columns;
mod draft;
mod error;
mod manifest;
mod place;
mod read;
mod seal;
mod segment;
mod verify;
mod witness;

pub use archive::{Archive, open};
pub use draft::Draft;
pub use error::{Broken, Damage, Error};
pub use manifest::{Manifest, Previous};
pub use segment::{Reader, Writer};
pub use witness::{Testimony, Witness};
