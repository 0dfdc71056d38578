//! Lines that programs print, and the failure that each means.

use super::*;

#[test]
fn messages_of_many_programs_are_recognised() {
    use KnownFailure::*;
    let check = |line: &str, expected: Option<KnownFailure>| assert_eq!(failure(line), expected, "{line}");
    check("exec /usr/local/bin/app: exec format error", Some(CannotExecute));
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
    check("openai: insufficient_quota: You exceeded your current quota", Some(Credentials));
    check("oauth2: \"invalid_grant\" \"Token has been expired or revoked.\"", Some(Credentials));
    check("FATAL: your license has expired on 2025-12-31", Some(Licence));
    check("upstream connect error or disconnect/reset before headers", Some(Unreachable));
    check("Get \"https://api.example.com/\": net/http: TLS handshake timeout", Some(Unreachable));
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
    check("  Applying shop.0042_backfill_location...", Some(NotReady));
    check("INFO  [alembic.runtime.migration] Running upgrade 1975ea -> ae1027", Some(NotReady));
    check("1:S 01 Jan 2026 08:00:00.000 * MASTER <-> REPLICA sync started", Some(NotReady));
    check("MongoServerError: node is not in primary or recovering state; state is STARTUP2", Some(NotReady));
    check("This instance is currently in maintenance mode", Some(NotReady));
    check("Turned off maintenance", None);
    check("<Debug> shop.events (b2a): Loading data parts", Some(NotReady));
    check("Loading safetensors checkpoint shards:  57% Completed | 17/30", Some(NotReady));
    check("[MY-012532] [InnoDB] Applying a batch of 249 redo log records ...", Some(NotReady));
    check("received SIGTERM, shutting down gracefully", Some(ShuttingDown));
    check("draining: 11 connections left", Some(ShuttingDown));
    check("[INFO]  core: vault is sealed", Some(Sealed));
    check("role is standby, expected primary", Some(Standby));
    check("Error: resource alarm(s) in effect: memory", Some(NotReady));
    check("ERROR 1223 (HY000): Can't execute the query because you have a conflicting read lock", Some(Locked));
    check("LOADING Redis is loading the dataset in memory", Some(NotReady));
    check("sqlite3.OperationalError: database is locked", Some(OwnLock));
    check("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00", Some(ConnectionPool));
    check("HikariPool-1 - Connection is not available, request timed out after 30000ms.", Some(ConnectionPool));
    check("liquibase: Waiting for changelog lock....", Some(Locked));
    check("FATAL:  database files are incompatible with server", Some(Data));
    check("ERROR:  relation \"users\" does not exist at character 15", Some(Data));
    check("Bad file format reading the append only file: make a backup of your AOF file", Some(Data));
    check("django.db.utils.IntegrityError: column \"postcode\" contains null values", Some(DataConstraint));
    check("ERROR:  insert or update on table \"a\" violates foreign key constraint \"b\"", Some(DataConstraint));
    check("ERROR 1062 (23000): Duplicate entry '7' for key 'users.PRIMARY'", Some(DataConstraint));
    check("Your data directory is invalid. Ensure there is a file called \".ncdata\"", Some(Unmounted));
    check("/mnt/media is not a mountpoint", Some(Unmounted));
    check("Error: Database is uninitialized and superuser password is not specified.", Some(MissingSetting));
    check("Error: Missing required environment variable: DATABASE_URL", Some(MissingSetting));
    check("KeyError: 'SECRET_KEY'", Some(MissingSetting));
    check("/entrypoint.sh: line 3: DB_HOST: unbound variable", Some(MissingSetting));
    check("*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***", Some(Misconfigured));
    check("nginx: [emerg] unknown directive \"proxy_pas\" in /etc/nginx/nginx.conf:12", Some(Misconfigured));
    check("error: unrecognized option '--foo'", Some(Misconfigured));
    check("PermissionError: [Errno 13] Permission denied: '/data/app.db'", Some(Forbidden));
    check("FATAL:  data directory \"/var/lib/postgresql/data\" has wrong ownership", Some(Forbidden));
    check("Error: Cannot find module '/app/server.js'", Some(Missing));
    check("python: can't open file '/app/main.py': [Errno 2] No such file or directory", Some(Missing));
    check("Error: Unable to access jarfile app.jar", Some(Missing));
    check("java.lang.OutOfMemoryError: Java heap space", Some(OutOfHeap));
    check("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", Some(OutOfHeap));
    check("accept4: too many open files", Some(TooManyOpenFiles));
    check("10.0.0.1 - - [25/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 612", None);
    check("server is listening on :8080", None);
    check("", None);
}

#[test]
fn an_announced_retry_after_a_temporary_error_is_recognised() {
    for line in [
        "upload of 71b2.pdf failed, try 4 of 10, next in 32s: Please reduce your request rate. (Service: S3, Status Code: 503)",
        "payment provider: 503 Service Unavailable retryAfter=30",
        "openai: Rate limit reached for gpt-4o; retrying in 20s",
        "WARN request to https://api.example.com timed out, backing off 4s",
    ] {
        assert!(reports_retry(line), "{line}");
    }
    for line in [
        "GET /health 503 12ms",
        "job 1503 failed, next in 5s",
        "took 12.503 s, next in 5s",
        "retrying in 5s",
        "too many requests from 192.0.2.1",
        "",
    ] {
        assert!(!reports_retry(line), "{line}");
    }
}
