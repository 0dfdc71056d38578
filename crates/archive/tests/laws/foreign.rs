//! Other programs can read segments: here pyarrow, on which pandas and many others rely.

use std::{path::Path, process::Command};

use bytes::Bytes;
use hemostat_archive::open;
use hemostat_log::{RawEntry, chain::Link};
use serde_json::{Value, json};

use super::{FAMILY, events, id, seal};

const PRINT: &str = r#"
import json, sys, pyarrow.parquet as parquet
file = parquet.ParquetFile(sys.argv[1])
table = file.read()
print(json.dumps({
    "compression": file.metadata.row_group(0).column(0).compression,
    "types": {field.name: str(field.type) for field in table.schema},
    "rows": [{k: v for k, v in row.items() if k != "fields"} for row in table.to_pylist()],
}, default=lambda value: value.isoformat()))
"#;

/// A file as pyarrow reads it.
fn read(file: &Path) -> Value {
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/pyarrow/bin/python");
    let output = Command::new(python)
        .args(["-c", PRINT])
        .arg(file)
        .output()
        .unwrap_or_else(|error| panic!("this test needs pyarrow; run `scripts/with pyarrow --` once ({error})"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_segment_is_read_by_pyarrow_column_by_column() {
    let directory = tempfile::tempdir().unwrap();
    let archive = open(directory.path().to_str().unwrap()).unwrap();
    let mut history = events(1..=2);
    let garbage = vec![(Bytes::from_static(b"k"), Bytes::from_static(b"\xff"))];
    history.push(RawEntry { id: id(3), family: FAMILY, fields: garbage });
    let manifest = seal(&archive, history, Link::default()).await.unwrap();

    let read = read(&directory.path().join("3/action").join(&manifest.file));
    assert_eq!(read["compression"], "ZSTD");
    let types = json!({
        "id": "string", "partition": "int32", "at": "timestamp[ms, tz=UTC]", "family": "string", "kind": "string",
        "version": "int32", "subject": "string", "host": "string", "container": "string", "incident": "string",
        "cause": "string", "data": "string", "fields": "binary",
    });
    assert_eq!(read["types"], types);
    let known = |ms: u64| {
        json!({
            "id": id(ms).to_string(), "partition": 3, "at": "1970-01-01T00:00:01+00:00", "family": "action",
            "kind": "action.resumed", "version": 1, "subject": "host/api", "host": "host", "container": "api",
            "incident": null, "cause": null, "data": format!(r#"{{"by":"at {ms}"}}"#),
        })
    };
    let unknown = json!({
        "id": id(3).to_string(), "partition": 3, "at": null, "family": "action", "kind": null, "version": null,
        "subject": null, "host": null, "container": null, "incident": null, "cause": null, "data": null,
    });
    assert_eq!(read["rows"], json!([known(1), known(2), unknown]));
}
