//! What the last lines of a container's output say about why it does not work: a small table of patterns.
//!
//! Programs say the same few things when they cannot go on, whatever they are written in. A clue is a hint and no
//! proof: anybody who can make a container print something can print such a line. So a clue never brings about a
//! remedy. It names the cause, and it may keep a remedy from being tried, where the run also ended at its very start.

use hemostat_schema::examination::{Check, Examined};

use crate::opinion::{output_id, plain};

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
    /// A name or password of its own is not accepted by another service.
    Credentials,
    /// What it needs over the network does not answer or is not found.
    Unreachable,
    /// It is not ready yet: it loads or repairs its data.
    NotReady,
    /// A lock that it needs is held by somebody else.
    Locked,
    /// Its data is damaged, or of another version.
    Data,
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
            Self::Credentials => "its name or password is not accepted",
            Self::Unreachable => "it cannot reach what it needs",
            Self::NotReady => "it is not ready yet",
            Self::Locked => "a lock that it needs is held",
            Self::Data => "its data is damaged or of another version",
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
            | Self::Data
            | Self::Unset
            | Self::Misconfigured
            | Self::Forbidden
            | Self::Missing => true,
            Self::Unreachable | Self::NotReady | Self::Locked | Self::Heap | Self::Files => false,
        }
    }

    /// What a person can do about it.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Unrunnable => "check its command, and for which kind of machine its image was made",
            Self::DiskFull => "make room on the disk",
            Self::ReadOnly => "mount what it writes to so that it can be written",
            Self::Certificate => "renew the certificate, or have it trusted",
            Self::PortTaken => "find out who holds the port, or give it another",
            Self::Credentials => "check its password with the service that refuses it",
            Self::Unreachable => "look at the service that it cannot reach",
            Self::NotReady => "give it the time that it needs to begin",
            Self::Locked => "find out who holds the lock",
            Self::Data => "look at its data, and at the version that wrote it",
            Self::Unset => "set what is missing",
            Self::Misconfigured => "correct its configuration",
            Self::Forbidden => "check owner and rights of what it wants to use",
            Self::Missing => "check its image and its volumes",
            Self::Heap => "raise the memory that it grants itself, or find out what fills it",
            Self::Files => "raise the limit of open files, or find out what leaves them open",
        }
    }
}

/// Patterns in small letters; of one with `&` all parts must be in the line. The first trouble that fits has the line.
const PATTERNS: [(Trouble, &[&str]); 16] = [
    (
        Trouble::Unrunnable,
        &[
            "exec format error",
            "cannot execute binary file",
            "executable file not found in $path",
            "exec user process caused",
            "cannot execute: required file not found",
        ],
    ),
    (Trouble::DiskFull, &["no space left on device", "enospc", "disk quota exceeded", "no space left on disk"]),
    (Trouble::ReadOnly, &["read-only file system", "erofs"]),
    (
        Trouble::Certificate,
        &[
            "certificate has expired",
            "certificate expired",
            "cert_has_expired",
            "certificate is not yet valid",
            "certificate verify failed",
            "certificate signed by unknown authority",
            "self-signed certificate",
            "self signed certificate",
            "certpathvalidatorexception",
            "pkix path building failed",
        ],
    ),
    (
        Trouble::PortTaken,
        &[
            "address already in use",
            "eaddrinuse",
            "port is already allocated",
            "address in use",
            "port & already in use",
        ],
    ),
    (
        Trouble::Credentials,
        &[
            "password authentication failed",
            "access denied for user",
            "authentication failed",
            "noauth authentication required",
            "wrongpass",
            "invalid username-password pair",
            "login failed for user",
            "access_refused",
        ],
    ),
    (
        Trouble::NotReady,
        &[
            "redo in progress",
            "redo starts at",
            "automatic recovery in progress",
            "the database system is starting up",
            "the database system is in recovery mode",
            "rejecting connections",
            "loading redis is loading",
            "redis is loading the dataset",
            "starting crash recovery",
            "recovering from translog",
            "replaying wal",
            "wal segment loaded",
            "still initializing",
            "not ready yet",
        ],
    ),
    (
        Trouble::Unreachable,
        &[
            "connection refused",
            "econnrefused",
            "no route to host",
            "ehostunreach",
            "network is unreachable",
            "host is unreachable",
            "etimedout",
            "connection timed out",
            "connect & timed out",
            "name or service not known",
            "could not resolve host",
            "could not translate host name",
            "temporary failure in name resolution",
            "enotfound",
            "eai_again",
            "no such host",
            "host not found in upstream",
            "unknownhostexception",
            "unknown mysql server host",
            "server misbehaving",
            "could not connect to server",
            "can't connect to",
            "connectionrefusederror",
            "broker may not be available",
        ],
    ),
    (
        Trouble::Locked,
        &[
            "database is locked",
            "lock wait timeout exceeded",
            "could not obtain lock",
            "could not acquire & lock",
            "waiting for & changelog lock",
            "lock file & already exists",
            "another instance is already running",
        ],
    ),
    (
        Trouble::Data,
        &[
            "database files are incompatible with server",
            "could not locate a valid checkpoint record",
            "bad file format reading the append only file",
            "wrong signature trying to load the db",
            "can't handle rdb format version",
            "invalid page in block",
            "database disk image is malformed",
            "checksum mismatch",
            "corrupt",
            "relation & does not exist",
            "no such table",
            "unknown column",
            "dirty database version",
            "unsupported & version & data",
        ],
    ),
    (
        Trouble::Unset,
        &[
            "environment variable & not set",
            "environment variable & required",
            "environment variable & missing",
            "environment variable & undefined",
            "missing & environment variable",
            "missing required",
            "must be set",
            "must be specified",
            "is required but",
            "is not specified",
            "env & is not set",
            "keyerror:",
            "parameter not set",
            "unbound variable",
            "you need to specify",
        ],
    ),
    (
        Trouble::Misconfigured,
        &[
            "fatal config file error",
            "unknown directive",
            "invalid configuration",
            "configuration error",
            "config & invalid",
            "error in config",
            "error parsing config",
            "failed to parse config",
            "could not parse config",
            "configuration file & error",
            "unrecognized configuration parameter",
            "bad directive",
            "unknown flag",
            "unknown option",
            "unrecognized option",
            "unrecognized argument",
            "invalid value",
            "yaml: ",
            "yaml & error",
            "syntaxerror: unexpected token & json",
            "toml parse error",
            "[emerg]",
            "improperlyconfigured",
            "application failed to start",
        ],
    ),
    (Trouble::Forbidden, &["permission denied", "eacces", "operation not permitted", "eperm", "has wrong ownership"]),
    (
        Trouble::Missing,
        &[
            "no such file or directory",
            "enoent",
            "cannot find module",
            "module_not_found",
            "modulenotfounderror",
            "no module named",
            "classnotfoundexception",
            "noclassdeffounderror",
            "could not find or load main class",
            "unable to access jarfile",
            "cannot open shared object file",
            "error loading shared library",
            "filenotfounderror",
            "command not found",
        ],
    ),
    (
        Trouble::Heap,
        &[
            "java.lang.outofmemoryerror",
            "heap out of memory",
            "gc overhead limit exceeded",
            "cannot allocate memory",
            "std::bad_alloc",
            "memoryerror",
            "allocation & failed",
            "allowed memory size of",
            "out of memory",
        ],
    ),
    (Trouble::Files, &["too many open files", "emfile"]),
];

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

    /// The exhibit that shows it.
    pub(super) fn exhibit(&self) -> String {
        self.index.map_or_else(|| "checks".to_owned(), output_id)
    }
}

/// The last line of the output that says what is wrong.
pub(super) fn in_output(examined: &Examined) -> Option<Clue<'_>> {
    let lines = examined.output.iter().enumerate().rev().take(LAST_LINES);
    let mut own = lines.filter(|(_, line)| !is_of_a_request(&line.text));
    own.find_map(|(index, line)| Some(Clue { trouble: trouble(&line.text)?, line: &line.text, index: Some(index) }))
}

/// Whether a line tells of a request that was answered, as access logs do. In it stands what a stranger asked for.
pub(super) fn is_of_a_request(line: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    has(&["GET /", "POST /", "PUT /", "DELETE /", "PATCH /", "HEAD /"]) && has(&[" 2", " 3", " 4", "HTTP/1", "HTTP/2"])
}

/// What a health check says, where it does.
pub(super) fn in_check(check: &Check) -> Option<Clue<'_>> {
    Some(Clue { trouble: trouble(&check.output)?, line: &check.output, index: None })
}

fn trouble(line: &str) -> Option<Trouble> {
    let line = line.to_lowercase();
    let fits = |pattern: &&str| pattern.split(" & ").all(|part| line.contains(part));
    PATTERNS.iter().find(|(_, patterns)| patterns.iter().any(fits)).map(|(trouble, _)| *trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as programs of many makes print them.
    #[test]
    fn what_programs_say_when_they_cannot_go_on_is_known() {
        use Trouble::*;
        let check = |line: &str, expected: Option<Trouble>| assert_eq!(trouble(line), expected, "{line}");
        check("exec /usr/local/bin/app: exec format error", Some(Unrunnable));
        check("OSError: [Errno 28] No space left on device: '/var/lib/app/q'", Some(DiskFull));
        check("PANIC:  could not write to file \"pg_wal/xlogtemp.29\": No space left on device", Some(DiskFull));
        check("touch: /data/x: Read-only file system", Some(ReadOnly));
        check("x509: certificate has expired or is not yet valid: current time 2026-01-02", Some(Certificate));
        check("Error: certificate has expired\n  code: 'CERT_HAS_EXPIRED'", Some(Certificate));
        check(
            "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed",
            Some(Certificate),
        );
        check("Error: listen EADDRINUSE: address already in use :::3000", Some(PortTaken));
        check("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", Some(PortTaken));
        check("FATAL:  password authentication failed for user \"app\"", Some(Credentials));
        check("ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.3' (using password: YES)", Some(Credentials));
        check("(error) NOAUTH Authentication required.", Some(Credentials));
        check("dial tcp 172.18.0.2:5432: connect: connection refused", Some(Unreachable));
        check("Error: getaddrinfo ENOTFOUND db", Some(Unreachable));
        check(
            "nginx: [emerg] host not found in upstream \"app:8080\" in /etc/nginx/conf.d/default.conf:3",
            Some(Unreachable),
        );
        check("could not translate host name \"db\" to address: Name or service not known", Some(Unreachable));
        check("java.net.SocketTimeoutException: Connect timed out", Some(Unreachable));
        check("FATAL:  the database system is starting up", Some(NotReady));
        check("LOG:  redo in progress, elapsed time: 10.00 s, current LSN: 0/3A2B1C8", Some(NotReady));
        check("/var/run/postgresql:5432 - rejecting connections", Some(NotReady));
        check("LOADING Redis is loading the dataset in memory", Some(NotReady));
        check("sqlite3.OperationalError: database is locked", Some(Locked));
        check("liquibase: Waiting for changelog lock....", Some(Locked));
        check("FATAL:  database files are incompatible with server", Some(Data));
        check("ERROR:  relation \"users\" does not exist at character 15", Some(Data));
        check("Bad file format reading the append only file: make a backup of your AOF file", Some(Data));
        check("Error: Database is uninitialized and superuser password is not specified.", Some(Unset));
        check("Error: Missing required environment variable: DATABASE_URL", Some(Unset));
        check("KeyError: 'SECRET_KEY'", Some(Unset));
        check("/entrypoint.sh: line 3: DB_HOST: unbound variable", Some(Unset));
        check("*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***", Some(Misconfigured));
        check("nginx: [emerg] unknown directive \"proxy_pas\" in /etc/nginx/nginx.conf:12", Some(Misconfigured));
        check("error: unrecognized option '--foo'", Some(Misconfigured));
        check("PermissionError: [Errno 13] Permission denied: '/data/app.db'", Some(Forbidden));
        check("FATAL:  data directory \"/var/lib/postgresql/data\" has wrong ownership", Some(Forbidden));
        check("Error: Cannot find module '/app/server.js'", Some(Missing));
        check("python: can't open file '/app/main.py': [Errno 2] No such file or directory", Some(Missing));
        check("Error: Unable to access jarfile app.jar", Some(Missing));
        check("java.lang.OutOfMemoryError: Java heap space", Some(Heap));
        check("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", Some(Heap));
        check("accept4: too many open files", Some(Files));
        check("10.0.0.1 - - [25/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 612", None);
        check("server is listening on :8080", None);
        check("", None);
    }

    #[test]
    fn each_pattern_is_written_as_it_is_looked_for_and_stands_only_once() {
        let mut seen = std::collections::BTreeSet::new();
        for pattern in PATTERNS.iter().flat_map(|(_, patterns)| *patterns) {
            assert_eq!(pattern.to_lowercase(), **pattern);
            assert!(seen.insert(*pattern), "{pattern} stands twice");
        }
    }
}
