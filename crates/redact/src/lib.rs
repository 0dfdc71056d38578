//! Redaction: removes secrets from text before it becomes an event, is shown, or is sent on.
//!
//! Containers print passwords, health checks print URLs with credentials, and processes have tokens in their arguments.
//! All such text passes through a [`Redactor`], which replaces each secret by `[redacted]`.
//!
//! ```text
//! control characters ─► known secrets ─► private keys (PEM) ─► URL credentials ─► token formats ─► key=value
//!                                                ─► the installation's own patterns ─► random text ─► personal data
//! ```
//!
//! A secret is recognised in four ways: by its value, if the container's environment contains it ([`KnownSecrets`]); by
//! its format (`ghp_…`, a JWT, an e-mail address, a card number); by its name (`password=…`, `"token": "…"`,
//! `--secret …`); and because it looks random. In doubt, text is removed: a lost line of evidence does less harm than a
//! leaked secret. Counts, ids and image digests stay, because a diagnosis rests on them.
//!
//! Redaction works for every text, takes linear time, and is idempotent: redacted text does not change again.

mod control_characters;
mod detectors;
mod key_values;
mod known_secrets;
mod patterns;
mod private_keys;
mod random_text;
mod redacted;
mod redactor;
mod secret_names;
#[cfg(test)]
mod tests;
mod token_formats;
mod url_credentials;

pub use control_characters::strip_control_characters;
pub use known_secrets::KnownSecrets;
pub use patterns::{BadPattern, Patterns};
pub use redacted::{MARK, Redacted};
pub use redactor::{Redactor, redact};
