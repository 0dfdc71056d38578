//! What the last lines of a container's output, or its health check, say about why it does not work.
//!
//! Programs say the same few things when they cannot go on, whatever they are written in; `patterns` has the table. A
//! clue is a hint and no proof: anybody who can make a container print something can print such a line. So no clue
//! brings about a remedy, save the clearing away of rubbish where nobody has measured the disk. It names the cause, and
//! it may keep from being tried what would be tried in vain. Lines of access logs are passed over, as strangers write
//! them.

use hemostat_schema::examination::{Check, Examined};

use crate::opinion::{output_id, plain};

mod patterns;

use patterns::{trouble, waits_for_others};

/// So many of the last lines are looked at.
const LAST_LINES: usize = 25;
/// Of a line that is quoted, so many characters.
const QUOTED: usize = 140;

/// What is wrong, as the output has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its program is not made for this machine, or is no program.
    Unrunnable,
    /// There is no room on a disk.
    DiskFull,
    /// It wants to write where nothing can be written.
    ReadOnly,
    /// A certificate is no longer valid, or not trusted.
    Certificate,
    /// Somebody else listens on its port.
    PortTaken,
    /// A name, password or key of its own is not accepted by another service, or no longer.
    Credentials,
    /// It has no licence that is good still.
    Licence,
    /// What it needs over the network does not answer or is not found.
    Unreachable,
    /// It is not ready yet: it loads or repairs its data.
    NotReady,
    /// It was told to end, and finishes what it has begun.
    Leaving,
    /// It waits for what only people give it: keys, a passphrase.
    Sealed,
    /// Another has the role that its health check asks for.
    Standby,
    /// A lock that it needs is held by somebody else.
    Locked,
    /// A lock on its own files is held, by itself as a rule.
    OwnLock,
    /// It has used up its connections to others.
    Pool,
    /// Its data is damaged, or of another version.
    Data,
    /// Its rows do not satisfy what its schema, or a change of that, asks of them.
    Rows,
    /// What should be mounted is not, or is empty.
    Unmounted,
    /// A setting is missing.
    Unset,
    /// A setting is wrong.
    Misconfigured,
    /// It may not do what it wants to.
    Forbidden,
    /// A file, module or library is missing.
    Missing,
    /// It came to the end of the memory that it grants itself.
    Heap,
    /// It has opened all the files that it may.
    Files,
}

impl Trouble {
    /// As the rest of a sentence about the container.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::Unrunnable => "its program cannot be run on this machine",
            Self::DiskFull => "the disk is full",
            Self::ReadOnly => "it wants to write to a file system that is read-only",
            Self::Certificate => "a certificate is not valid",
            Self::PortTaken => "the port that it wants is taken",
            Self::Credentials => "its name, password or key is not accepted",
            Self::Licence => "it has no licence that is good still",
            Self::Unreachable => "it cannot reach what it needs",
            Self::NotReady => "it is not ready yet",
            Self::Leaving => "it was told to end and finishes its work",
            Self::Sealed => "it is sealed until people open it",
            Self::Standby => "another has the role that is asked for",
            Self::Locked => "a lock that it needs is held by another",
            Self::OwnLock => "its own file is locked",
            Self::Pool => "its connections to others are used up",
            Self::Data => "its data is damaged or of another version",
            Self::Rows => "its data does not fit its schema",
            Self::Unmounted => "its data is not where it should be mounted",
            Self::Unset => "a setting is missing",
            Self::Misconfigured => "its configuration is wrong",
            Self::Forbidden => "it may not do what it wants to",
            Self::Missing => "something that it needs is not there",
            Self::Heap => "it ran out of the memory that it grants itself",
            Self::Files => "it has too many files open",
        }
    }

    /// Whether only a person can mend it: to start the container again leads to the same end.
    pub(super) fn stays(self) -> bool {
        match self {
            Self::Unrunnable
            | Self::DiskFull
            | Self::ReadOnly
            | Self::Certificate
            | Self::PortTaken
            | Self::Credentials
            | Self::Licence
            | Self::Data
            | Self::Rows
            | Self::Unmounted
            | Self::Unset
            | Self::Misconfigured
            | Self::Forbidden
            | Self::Sealed
            | Self::Standby
            | Self::Missing => true,
            Self::Unreachable
            | Self::NotReady
            | Self::Leaving
            | Self::Locked
            | Self::OwnLock
            | Self::Pool
            | Self::Heap
            | Self::Files => false,
        }
    }

    /// Whether it may be over by itself: what it waits for gets well, or is let go.
    pub(super) fn passes(self) -> bool {
        matches!(self, Self::Unreachable | Self::NotReady | Self::Locked | Self::OwnLock)
    }

    /// Whether it is for want of what the container itself holds, and a new run begins with none of.
    pub(super) fn is_used_up(self) -> bool {
        matches!(self, Self::OwnLock | Self::Pool | Self::Heap | Self::Files)
    }

    /// What a person can do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Unrunnable => "check its command, and for which kind of machine its image was made",
            Self::DiskFull => "make room on the disk",
            Self::ReadOnly => "mount what it writes to so that it can be written",
            Self::Certificate => "renew the certificate, or have it trusted",
            Self::PortTaken => "find out who holds the port, or give it another",
            Self::Credentials => {
                "check its password or key, and what is left of its quota, with the service that refuses it"
            }
            Self::Licence => "renew its licence",
            Self::Unreachable => "look at the service that it cannot reach",
            Self::NotReady => "give it the time that it needs to begin",
            Self::Leaving => "let it end",
            Self::Sealed => "bring the keys that open it",
            Self::Standby => "have its check accept either role, or give it the role",
            Self::Locked => "find out who holds the lock",
            Self::OwnLock => "find out which of its threads or processes holds the lock",
            Self::Pool => "find out what does not give connections back, or let it have more",
            Self::Data => "look at its data, and at the version that wrote it",
            Self::Rows => "put right the rows, or the change of the schema",
            Self::Unmounted => "mount on the host what it is given, and begin it anew then",
            Self::Unset => "set what is missing",
            Self::Misconfigured => "correct its configuration",
            Self::Forbidden => "check owner and rights of what it wants to use",
            Self::Missing => "check its image and its volumes",
            Self::Heap => "raise the memory that it grants itself, or find out what fills it",
            Self::Files => "raise the limit of open files, or find out what leaves them open",
        }
    }
}

/// A line that says what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clue<'a> {
    /// What.
    pub trouble: Trouble,
    /// The line.
    line: &'a str,
    /// Which line of the output it is; none where the health check printed it.
    index: Option<usize>,
}

impl Clue<'_> {
    /// What is wrong, with the words that say so.
    pub(super) fn told(&self) -> String {
        format!("{} (it printed “{}”)", self.trouble.told(), self.quoted())
    }

    /// The line, as it may be shown.
    fn quoted(&self) -> String {
        plain(self.line, QUOTED)
    }

    /// Whether it is one of the last so many of all lines, or what the health check says.
    pub(super) fn is_among_the_last(&self, last: usize, lines: usize) -> bool {
        self.index.is_none_or(|index| index + last >= lines)
    }

    /// The exhibit that shows it.
    pub(super) fn exhibit(&self) -> String {
        self.index.map_or_else(|| "checks".to_owned(), output_id)
    }
}

/// The last line of the output that says what is wrong. That it is told to end is no reason for why it ends.
pub(super) fn in_output(examined: &Examined) -> Option<Clue<'_>> {
    all_in_output(examined).find(|clue| clue.trouble != Trouble::Leaving)
}

/// The last line of the output that says that it was told to end.
pub(super) fn leaving(examined: &Examined) -> Option<Clue<'_>> {
    all_in_output(examined).find(|clue| clue.trouble == Trouble::Leaving)
}

/// What the last lines say, the last one first.
fn all_in_output(examined: &Examined) -> impl Iterator<Item = Clue<'_>> {
    let lines = examined.output.iter().enumerate().rev().take(LAST_LINES);
    let own = lines.filter(|(_, line)| !is_of_a_request(&line.text));
    own.filter_map(|(index, line)| {
        // Its health check tries again, too: there it says nothing of others.
        let trouble = trouble(&line.text).or_else(|| waits_for_others(&line.text).then_some(Trouble::Unreachable))?;
        Some(Clue { trouble, line: &line.text, index: Some(index) })
    })
}

/// Whether a line tells of a request that was answered, as access logs do. In it stands what a stranger asked for.
pub(super) fn is_of_a_request(line: &str) -> bool {
    request(line).is_some() && [" 2", " 3", " 4", "HTTP/1", "HTTP/2"].iter().any(|answer| line.contains(answer))
}

/// What a line says from the method of a request on, where there is one.
pub(super) fn request(line: &str) -> Option<&str> {
    const METHODS: [&str; 6] = ["GET /", "POST /", "PUT /", "DELETE /", "PATCH /", "HEAD /"];
    METHODS.iter().find_map(|method| line.find(method)).map(|begin| &line[begin..])
}

/// What a health check says, where it does.
pub(super) fn in_check(check: &Check) -> Option<Clue<'_>> {
    Some(Clue { trouble: trouble(&check.output)?, line: &check.output, index: None })
}

/// That a part of what it needs is not well, as a health check reports.
pub(super) fn of_a_part(check: &Check) -> Clue<'_> {
    Clue { trouble: Trouble::Unreachable, line: &check.output, index: None }
}
