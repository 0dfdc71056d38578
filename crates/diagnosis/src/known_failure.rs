//! The failures that HemoStat recognises in log lines and health checks: how each is described, whether it persists
//! across restarts, and what an operator can do about it.

/// What is known of a failure, apart from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trait {
    /// It persists across restarts.
    NeedsPerson,
    /// It may pass by itself.
    MayPass,
    /// A resource of the container itself is exhausted.
    OwnLimit,
    /// Its cause is outside the container, where a restart changes nothing.
    External,
}

/// Declares the failures, each with its traits, its description, and its advice: a clause about the container for a
/// sentence in a diagnosis, and what an operator can do about it.
macro_rules! known_failures {
    ($( $(#[$doc:meta])* $failure:ident [$($trait:ident),*] = $description:literal, $advice:literal; )*) => {
        /// A failure that a log line or a health check names.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum KnownFailure { $( $(#[$doc])* $failure, )* }

        impl KnownFailure {
            fn has(self, wanted: Trait) -> bool {
                let traits: &[Trait] = match self { $( Self::$failure => &[$(Trait::$trait),*], )* };
                traits.contains(&wanted)
            }

            /// A clause about the container, for a sentence in a diagnosis.
            pub(crate) fn description(self) -> &'static str {
                match self { $( Self::$failure => $description, )* }
            }

            /// What an operator can do about it.
            pub(crate) fn advice(self) -> &'static str {
                match self { $( Self::$failure => $advice, )* }
            }
        }
    };
}

known_failures! {
    /// The program is not executable, or was built for another architecture.
    CannotExecute [NeedsPerson] =
        "its program cannot be executed on this machine", "check its command, and the architecture that its image was built for";
    /// A disk is full.
    DiskFull [NeedsPerson, External] = "the disk is full", "free space on the disk";
    /// The container writes to a read-only file system.
    ReadOnly [NeedsPerson, External] =
        "it writes to a read-only file system", "mount the directory that it writes to as writable";
    /// A certificate has expired or is not trusted.
    Certificate [NeedsPerson, External] =
        "a certificate is not valid", "renew the certificate, or add it to the trusted ones";
    /// Another process listens on its port.
    PortTaken [NeedsPerson] =
        "its port is already in use", "find out which process holds the port, or use another port";
    /// Another service refuses its user name, password or key.
    Credentials [NeedsPerson, External] =
        "its user name, password or key is refused", "check its password or key, and its quota, at the service that refuses it";
    /// It has no valid licence.
    Licence [NeedsPerson, External] = "it has no valid licence", "renew its licence";
    /// A service that it needs does not answer or is not found.
    Unreachable [MayPass, External] =
        "it cannot reach a service that it needs", "look at the service that it cannot reach";
    /// It is not ready yet: it loads or recovers its data.
    NotReady [MayPass] = "it is not ready yet", "give it the time that it needs to start";
    /// It was asked to stop, and finishes its work.
    ShuttingDown [] = "it was asked to stop and finishes its work", "let it stop";
    /// It waits for an operator to provide keys or a passphrase.
    Sealed [NeedsPerson, External] = "it is sealed until an operator unseals it", "unseal it with its keys";
    /// Another instance has the role that its health check asks for.
    Standby [NeedsPerson, External] =
        "another instance has the role that its check asks for", "let its check accept either role, or give it the role";
    /// Another process holds a lock that it needs.
    Locked [MayPass, External] = "another process holds a lock that it needs", "find out which process holds the lock";
    /// A lock on its own files is held, usually by itself.
    OwnLock [MayPass, OwnLimit] = "its own file is locked", "find out which of its threads or processes holds the lock";
    /// Its connection pool is exhausted.
    ConnectionPool [OwnLimit] =
        "its connection pool is exhausted", "find out what does not return connections, or enlarge the pool";
    /// Its data is corrupt, or of another version.
    Data [NeedsPerson, External] =
        "its data is corrupt or of another version", "look at its data, and at the version that wrote it";
    /// Its rows violate a constraint of its schema or of a migration.
    DataConstraint [NeedsPerson] = "its data violates its schema", "correct the rows, or the schema migration";
    /// A volume is not mounted, or is empty.
    Unmounted [NeedsPerson, External] =
        "its data volume is not mounted", "mount its volume on the host, then start it again";
    /// A setting is missing.
    MissingSetting [NeedsPerson] = "a setting is missing", "set the missing setting";
    /// A setting is wrong.
    Misconfigured [NeedsPerson] = "its configuration is wrong", "correct its configuration";
    /// It lacks a permission.
    Forbidden [NeedsPerson] = "it lacks a permission", "check owner and permissions of what it uses";
    /// A file, module or library is missing.
    Missing [NeedsPerson] = "a file that it needs is missing", "check its image and its volumes";
    /// It has exhausted the heap limit that it sets itself.
    OutOfHeap [OwnLimit] = "it has exhausted its heap", "raise its heap limit, or find out what fills the heap";
    /// It has reached its limit of open files.
    TooManyOpenFiles [OwnLimit] =
        "it has too many open files", "raise the limit of open files, or find out what leaves them open";
}

impl KnownFailure {
    /// Whether it persists across restarts, so that an operator has to correct it.
    pub(crate) fn needs_a_person(self) -> bool {
        self.has(Trait::NeedsPerson)
    }

    /// Whether it may pass by itself: the other service recovers, or the lock is released.
    pub(crate) fn may_pass(self) -> bool {
        self.has(Trait::MayPass)
    }

    /// Whether the container has exhausted a resource of its own, which a new run starts without.
    pub(crate) fn is_own_limit_reached(self) -> bool {
        self.has(Trait::OwnLimit)
    }

    /// Whether its cause is outside the container.
    pub(crate) fn is_external(self) -> bool {
        self.has(Trait::External)
    }
}
