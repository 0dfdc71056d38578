//! Where are the files of one container?
//!
//! Asked of the kernel, not guessed from the engine's settings: `/proc/<pid>/cgroup` of the container's main process
//! says in which groups it is, whichever driver made them (`/docker/<id>`, `/system.slice/docker-<id>.scope`), below a
//! custom parent or a user's own slice (rootless) alike.
//!
//! The path must name the container's id. That proves that the engine runs on this machine and that the number of the
//! process has not gone to another one since; nothing else needs to be known of the engine's address. What a container
//! made below its own group (systemd or a Docker inside) belongs to it, so the path ends with the part that names it.

use std::path::{Path, PathBuf};

use hemostat_schema::ContainerId;

/// Where the kernel shows its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// Control groups; usually `/sys/fs/cgroup`.
    pub cgroup: PathBuf,
    /// Processes; usually `/proc`.
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { cgroup: "/sys/fs/cgroup".into(), proc: "/proc".into() }
    }
}

/// Where one container's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// cgroup v1: in a directory for each controller.
    V1(Hierarchies),
    /// cgroup v2: in one directory.
    V2(PathBuf),
}

/// A container's directories in the hierarchies of cgroup v1; of the less important ones, where they are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    /// CPU time.
    pub cpuacct: PathBuf,
    /// Memory.
    pub memory: PathBuf,
    /// CPU limits.
    pub cpu: Option<PathBuf>,
    /// Processes.
    pub pids: Option<PathBuf>,
    /// Block devices.
    pub blkio: Option<PathBuf>,
    /// Its group in the hierarchy of cgroup v2 that is mounted beside these (hybrid), which has pressure.
    pub unified: Option<PathBuf>,
}

/// Where engines put their containers; tried where the kernel's word starts above of what is seen here, as it does in a
/// container with a cgroup namespace of its own.
fn usual(id: &ContainerId) -> [String; 2] {
    [format!("/docker/{id}"), format!("/system.slice/docker-{id}.scope")]
}

impl Place {
    /// The place of the container with this id and main process.
    ///
    /// # Errors
    /// Says what is missing: a file, or the id in it.
    pub fn find(roots: &Roots, id: &ContainerId, pid: u32) -> Result<Self, Elsewhere> {
        let path = roots.proc.join(pid.to_string()).join("cgroup");
        let groups = std::fs::read_to_string(&path);
        let groups = groups.map_err(|error| Elsewhere::Unreadable { path, kind: error.kind() })?;
        let exists = |path: &Path| path.exists();
        Self::of(&groups, id, &roots.cgroup, &exists)
    }

    /// The same, given the text of `/proc/<pid>/cgroup` and a way to tell which directories there are.
    fn of(groups: &str, id: &ContainerId, root: &Path, exists: &dyn Fn(&Path) -> bool) -> Result<Self, Elsewhere> {
        if exists(&root.join("cgroup.controllers")) {
            let own = own_group(groups, "", id).ok_or(Elsewhere::NotNamed)?;
            return within(root, own, id, exists).map(Self::V2).ok_or(Elsewhere::NotMounted("cgroup v2"));
        }
        let directory = |controller: &str| {
            let own = own_group(groups, controller, id)?;
            // Mounted by its name, or together with others and linked by its name.
            within(&root.join(controller), own, id, exists)
        };
        if own_group(groups, "memory", id).is_none() {
            return Err(Elsewhere::NotNamed);
        }
        Ok(Self::V1(Hierarchies {
            cpuacct: directory("cpuacct").ok_or(Elsewhere::NotMounted("cpuacct"))?,
            memory: directory("memory").ok_or(Elsewhere::NotMounted("memory"))?,
            cpu: directory("cpu"),
            pids: directory("pids"),
            blkio: directory("blkio"),
            unified: own_group(groups, "", id).and_then(|own| within(&root.join("unified"), own, id, exists)),
        }))
    }
}

/// Why the files of a container are not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Elsewhere {
    /// Its process is not seen here.
    #[error("{} cannot be read: {kind}", path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// The process is not the container's: the engine is on another machine, or the process another by now.
    #[error("the control groups of its process do not name it, so it runs on another machine, or has ended")]
    NotNamed,
    /// The hierarchy is not seen here.
    #[error("its directory of {0} is not below monitor.cgroup_root")]
    NotMounted(&'static str),
}

/// The container's own group in the hierarchy of `controller` (`""` is that of cgroup v2), out of lines such as
/// `4:cpu,cpuacct:/docker/<id>`.
fn own_group<'a>(groups: &'a str, controller: &str, id: &ContainerId) -> Option<&'a str> {
    let path = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let controllers = parts.nth(1)?;
        controllers.split(',').any(|it| it == controller).then(|| parts.next()).flatten()
    })?;
    let named = path.find(id.as_str())? + id.as_str().len();
    let end = path[named..].find('/').map_or(path.len(), |slash| named + slash);
    Some(&path[..end])
}

/// The directory of a group below the mount of its hierarchy.
fn within(mount: &Path, group: &str, id: &ContainerId, exists: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let below = |group: &str| Some(mount.join(group.trim_start_matches('/'))).filter(|path| exists(path));
    if group.starts_with("/..") {
        return usual(id).iter().find_map(|group| below(group));
    }
    below(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";
    const ROOT: &str = "/sys/fs/cgroup";

    fn found(groups: &str, there: &[&str]) -> Result<Place, Elsewhere> {
        let there: Vec<_> = there.iter().map(|path| Path::new(ROOT).join(path.replace("ID", ID))).collect();
        let exists = |path: &Path| there.iter().any(|it| it == path);
        Place::of(&groups.replace("ID", ID), &ID.parse().unwrap(), Path::new(ROOT), &exists)
    }

    fn v2(path: &str) -> Result<Place, Elsewhere> {
        Ok(Place::V2(Path::new(ROOT).join(path.replace("ID", ID))))
    }

    #[test]
    fn a_container_of_cgroup_v2_is_found_under_every_driver() {
        for (groups, path) in [
            ("0::/docker/ID\n", "docker/ID"),
            ("0::/system.slice/docker-ID.scope\n", "system.slice/docker-ID.scope"),
            ("0::/custom.slice/docker-ID.scope\n", "custom.slice/docker-ID.scope"),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope\n",
                "user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            ),
            ("0::/machine.slice/libpod-ID.scope/container\n", "machine.slice/libpod-ID.scope"),
            ("0::/docker/ID/init.scope\n", "docker/ID"),
            // Hybrid leftovers beside the unified hierarchy.
            ("1:name=systemd:/\n0::/docker/ID\n", "docker/ID"),
        ] {
            assert_eq!(found(groups, &["cgroup.controllers", path]), v2(path), "{groups}");
        }
    }

    #[test]
    fn above_our_own_namespace_the_usual_places_are_tried() {
        let scope = "system.slice/docker-ID.scope";
        assert_eq!(found("0::/../docker-ID.scope\n", &["cgroup.controllers", scope]), v2(scope));
        assert_eq!(found("0::/../ID\n", &["cgroup.controllers", "docker/ID"]), v2("docker/ID"));
        let nowhere = found("0::/../ID\n", &["cgroup.controllers", "elsewhere/ID"]);
        assert_eq!(nowhere, Err(Elsewhere::NotMounted("cgroup v2")));
    }

    #[test]
    fn a_container_of_cgroup_v1_has_a_directory_for_each_controller() {
        let groups = "9:name=systemd:/\n8:pids:/docker/ID\n7:blkio:/docker/ID\n4:memory:/docker/ID\n3:cpuset:/docker/ID\n2:cpu,cpuacct:/docker/ID\n0::/\n";
        let path = |controller: &str| Path::new(ROOT).join(controller).join("docker").join(ID);
        let all = ["cpuacct/docker/ID", "cpu/docker/ID", "memory/docker/ID", "pids/docker/ID", "blkio/docker/ID"];
        let expected = Hierarchies {
            cpuacct: path("cpuacct"),
            memory: path("memory"),
            cpu: Some(path("cpu")),
            pids: Some(path("pids")),
            blkio: Some(path("blkio")),
            unified: None,
        };
        assert_eq!(found(groups, &all), Ok(Place::V1(expected.clone())));
        let unified = Some(path("unified"));
        let hybrid = groups.replace("0::/", "0::/docker/ID");
        let beside = [&all[..], &["unified/docker/ID"]].concat();
        assert_eq!(found(&hybrid, &beside), Ok(Place::V1(Hierarchies { unified, ..expected.clone() })));
        assert_eq!(found(&hybrid, &all), Ok(Place::V1(expected.clone())));
        let least = Hierarchies { cpu: None, pids: None, blkio: None, ..expected };
        assert_eq!(found(groups, &["cpuacct/docker/ID", "memory/docker/ID"]), Ok(Place::V1(least)));
        assert_eq!(found(groups, &["cpuacct/docker/ID"]), Err(Elsewhere::NotMounted("memory")));
    }

    #[test]
    fn a_process_whose_groups_do_not_name_the_container_is_not_its_own() {
        for groups in ["", "0::/\n", "0::/docker/0123456789ab\n", "0::/system.slice/ssh.service\n"] {
            assert_eq!(found(groups, &["cgroup.controllers", "docker/ID"]), Err(Elsewhere::NotNamed), "{groups}");
        }
        assert_eq!(found("4:memory:/user.slice\n2:cpuacct:/user.slice\n", &[]), Err(Elsewhere::NotNamed));
    }

    #[test]
    fn a_process_that_is_not_seen_is_elsewhere() {
        let roots = Roots { proc: "/nonexistent".into(), ..Roots::default() };
        let elsewhere = Place::find(&roots, &ID.parse().unwrap(), 7).unwrap_err();
        assert_eq!(elsewhere.to_string(), "/nonexistent/7/cgroup cannot be read: entity not found");
    }
}
