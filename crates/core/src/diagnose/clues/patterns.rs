//! What programs of many makes print when they cannot go on, and what is wrong then.

use super::Trouble;

/// Patterns in small letters; of one with `&` all parts must be in the line. The first trouble that fits has the line.
const PATTERNS: [(Trouble, &[&str]); 18] = [
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
        Trouble::Pool,
        &[
            "queuepool limit",
            "pool exhausted",
            "connection is not available, request timed out",
            "timeout waiting for & connection from pool",
            "timed out & connection from & pool",
            "too many clients already",
            "too many connections",
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
        Trouble::OwnLock,
        &["database is locked", "lock file & already exists", "another instance is already running", "sqlite_busy"],
    ),
    (
        Trouble::Locked,
        &[
            "lock wait timeout exceeded",
            "could not obtain lock",
            "could not acquire & lock",
            "waiting for & changelog lock",
            "waiting for & advisory lock",
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
            "is corrupt",
            "corrupted",
            "data corruption",
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

/// What a line says is wrong, where it does.
pub(super) fn trouble(line: &str) -> Option<Trouble> {
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
        check("sqlite3.OperationalError: database is locked", Some(OwnLock));
        check("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00", Some(Pool));
        check("HikariPool-1 - Connection is not available, request timed out after 30000ms.", Some(Pool));
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
