//! The comparison of instruction counts, as `scripts/bench-micro` calls it.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{perf, scratch};

fn summary(count: u64) -> String {
    let metrics = format!(r#"{{"Ir":{{"values":{{"new":{count}}}}}}}"#);
    let data = format!(r#"{{"total":{{"metrics":{metrics}}}}}"#);
    format!(
        r#"{{"function_name":"hop","profiles":[{{"tool":"Callgrind","data":{data}}}]}}{}"#,
        "\n"
    )
}

/// Compares a count with the baseline in the folder; true when that is fine.
fn compare(folder: &Path, count: u64, more: &[&str]) -> bool {
    let summaries = folder.join("summaries.json");
    fs::write(&summaries, summary(count)).unwrap();
    let mut command = perf(&["instructions", "--rustc", "rustc 1", "--summaries"]);
    command.arg(summaries).arg("--baseline").arg(folder.join("baseline.json")).args(more);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn a_count_that_grew_fails_until_it_is_stored() {
    let folder = scratch("instructions");
    assert!(!compare(&folder, 100, &[]), "there is no baseline yet");
    assert!(compare(&folder, 100, &["--update"]));
    assert!(compare(&folder, 103, &[]) && compare(&folder, 50, &[]));
    assert!(!compare(&folder, 104, &[]));
    assert!(compare(&folder, 104, &["--update"]) && compare(&folder, 104, &[]));
    fs::remove_dir_all(folder).unwrap();
}
