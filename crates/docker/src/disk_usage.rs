//! Parses how much disk space containers and their volumes use.

use std::collections::HashMap;

use hemostat_schema::{ByteCount, ContainerId, sample::VolumeSize};
use serde::Deserialize;

/// The disk usage of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskUsage {
    /// The container.
    pub id: ContainerId,
    /// Its writable layer.
    pub writable: ByteCount,
    /// Its volumes with a known size.
    pub volumes: Vec<VolumeSize>,
}

impl DiskUsage {
    /// Writable layer and volumes.
    pub fn total(&self) -> ByteCount {
        let volumes = self.volumes.iter().map(|volume| volume.size.0);
        ByteCount(volumes.fold(self.writable.0, u64::saturating_add))
    }
}

/// Combines the engine's list of containers with the sizes of volumes.
pub(crate) fn usage(listed: Vec<Listed>, volumes: &HashMap<String, ByteCount>) -> Vec<DiskUsage> {
    let one = |container: Listed| {
        let mounts = container.mounts.unwrap_or_default();
        let mut mounted: Vec<_> = mounts
            .into_iter()
            .filter(|mount| mount.typ.as_deref() == Some("volume"))
            .filter_map(|mount| mount.name)
            .filter_map(|name| Some(VolumeSize { size: *volumes.get(&name)?, name }))
            .collect();
        mounted.sort_by(|a, b| a.name.cmp(&b.name));
        mounted.dedup();
        // A container that wrote nothing has no `SizeRw`.
        let writable = container.size_rw.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        Some(DiskUsage { id: container.id.parse().ok()?, writable: ByteCount(writable), volumes: mounted })
    };
    listed.into_iter().filter_map(one).collect()
}

/// The sizes of volumes, without those whose driver does not report one (-1).
pub(crate) fn volumes(df: Df) -> HashMap<String, ByteCount> {
    let Df { volumes, volume_usage } = df;
    let all = volumes.into_iter().flatten().chain(volume_usage.and_then(|usage| usage.items).into_iter().flatten());
    all.filter_map(|volume| Some((volume.name, ByteCount(u64::try_from(volume.usage?.size).ok()?)))).collect()
}

/// A container of `/containers/json?size=true`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    id: String,
    size_rw: Option<i64>,
    mounts: Option<Vec<Mount>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    #[serde(rename = "Type")]
    typ: Option<String>,
    name: Option<String>,
}

/// An answer of `/system/df`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Df {
    /// Up to API 1.51.
    volumes: Option<Vec<Volume>>,
    /// From API 1.52 on.
    volume_usage: Option<VolumeUsage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeUsage {
    items: Option<Vec<Volume>>,
}

#[derive(Debug, Deserialize)]
struct Volume {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "UsageData")]
    usage: Option<VolumeSpace>,
}

#[derive(Debug, Deserialize)]
struct VolumeSpace {
    #[serde(rename = "Size")]
    size: i64,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "ef1ff59165b9fed19d914ad5062fedf9a3d4b61300b5a0bb702fa6d29375851f";

    #[test]
    fn volumes_are_parsed_from_old_and_new_engines() {
        let volume = |name: &str, size: i64| json!({"Name": name, "UsageData": {"RefCount": 1, "Size": size}});
        let expected = HashMap::from([("data".to_owned(), ByteCount(4096))]);
        for answer in [
            json!({"LayersSize": 1, "Volumes": [volume("data", 4096), volume("far", -1), {"Name": "x", "UsageData": null}]}),
            json!({"VolumeUsage": {"TotalCount": 2, "Items": [volume("data", 4096), volume("far", -1)]}}),
        ] {
            assert_eq!(volumes(serde_json::from_value(answer).unwrap()), expected);
        }
        assert_eq!(volumes(serde_json::from_str(r#"{"Volumes": null}"#).unwrap()), HashMap::new());
    }

    #[test]
    fn a_container_has_the_volumes_that_are_mounted_in_it() {
        let listed = serde_json::from_value(json!([
            {"Id": ID, "SizeRw": 1024, "Mounts": [
                {"Type": "volume", "Name": "data", "Destination": "/data"},
                {"Type": "volume", "Name": "data", "Destination": "/backup"},
                {"Type": "volume", "Name": "far", "Destination": "/far"},
                {"Type": "bind", "Source": "/etc", "Destination": "/etc"}]},
            {"Id": "0123456789ab", "Mounts": null},
            {"Id": "not an id"}
        ]));
        let sizes = HashMap::from([("data".to_owned(), ByteCount(7)), ("other".to_owned(), ByteCount(9))]);
        let data = VolumeSize { name: "data".into(), size: ByteCount(7) };
        let expected = vec![
            DiskUsage { id: ID.parse().unwrap(), writable: ByteCount(1024), volumes: vec![data] },
            DiskUsage { id: "0123456789ab".parse().unwrap(), writable: ByteCount(0), volumes: vec![] },
        ];
        assert_eq!(usage(listed.unwrap(), &sizes), expected);
    }
}
