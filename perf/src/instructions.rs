//! Instruction counts of the benches, against those stored.
//!
//! The counts come from gungraun, which runs each bench once under callgrind and prints a summary,
//! a JSON object a line. They are the same on a busy machine as on a quiet one, and change with the
//! compiler and the C library: the baseline says with which it was made.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::tables::aligned;

/// Counts, and what they were made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The compiler, as `rustc --version` says it.
    pub rustc: String,
    /// The processor's architecture.
    pub machine: String,
    /// Instructions of each bench by its name.
    pub instructions: BTreeMap<String, u64>,
}

impl Counts {
    /// Takes the counts out of gungraun's summaries; lines of anything else are left out.
    ///
    /// # Errors
    /// A line is no summary, or there is none.
    pub fn parse(summaries: &str, rustc: &str) -> anyhow::Result<Self> {
        let mut instructions = BTreeMap::new();
        for line in summaries.lines().filter(|line| line.starts_with('{')) {
            let summary: Value = serde_json::from_str(line).context("a summary is no JSON")?;
            let (name, count) = name_and_count(&summary)
                .with_context(|| format!("a summary has no name or no count: {line:.200}"))?;
            instructions.insert(name.to_owned(), count);
        }
        anyhow::ensure!(!instructions.is_empty(), "there are no summaries");
        let machine = std::env::consts::ARCH.to_owned();
        Ok(Self { rustc: rustc.trim().to_owned(), machine, instructions })
    }

    /// A table of changes since `baseline`, and whether a count grew by more than
    /// [`GROWTH_PERCENT_MAX`] percent.
    pub fn compare(&self, baseline: &Self) -> (String, bool) {
        let mut lines = vec![["bench", "baseline", "now", "change %"].map(str::to_owned).to_vec()];
        let mut grew = false;
        for (name, now) in &self.instructions {
            let before = baseline.instructions.get(name);
            let change = before.map(|before| percent(*before, *now));
            grew |= before.is_some_and(|before| now * 100 > before * (100 + GROWTH_PERCENT_MAX));
            lines.push(vec![
                name.clone(),
                before.map_or_else(|| "new".to_owned(), u64::to_string),
                now.to_string(),
                change.map_or_else(String::new, |change| format!("{change:+.2}")),
            ]);
        }
        let mut text = aligned(&lines);
        for name in
            baseline.instructions.keys().filter(|name| !self.instructions.contains_key(*name))
        {
            text += &format!("{name} is in the baseline and was not counted\n");
        }
        if (&baseline.rustc, &baseline.machine) != (&self.rustc, &self.machine) {
            let (Self { rustc, machine, .. }, now) = (baseline, &self.rustc);
            text += &format!("the baseline is of {rustc} on {machine}, this is {now}\n");
        }
        (text, grew)
    }
}

fn name_and_count(summary: &Value) -> Option<(&str, u64)> {
    let name = summary["function_name"].as_str()?;
    let profiles = summary["profiles"].as_array()?;
    let callgrind = profiles.iter().find(|profile| profile["tool"] == "Callgrind")?;
    // Beside the new count there may be that of the run before, as "old".
    let count = &callgrind["data"]["total"]["metrics"]["Ir"]["values"]["new"];
    Some((name, count.as_u64()?))
}

fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / (before as f64).max(1.0) - 1.0) * 100.0
}

/// Growth beyond this fails the comparison: below it, a change of layout elsewhere shows.
pub const GROWTH_PERCENT_MAX: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two lines of gungraun 0.20 (schema version 7), all fields but those read taken out, with
    /// cargo's words around them.
    const SUMMARIES: &str = r#"   Running benches/instructions.rs
{"function_name":"ring_hop","profiles":[{"tool":"DHAT"},{"tool":"Callgrind","data":{"total":{"metrics":{"Ir":{"values":{"new":412,"old":400}}}}}}],"version":"7"}
{"function_name":"append","profiles":[{"tool":"Callgrind","data":{"total":{"metrics":{"Ir":{"values":{"new":1000}}}}}}],"version":"7"}
"#;

    fn counts(instructions: &[(&str, u64)]) -> Counts {
        let instructions = instructions.iter().map(|(name, count)| ((*name).to_owned(), *count));
        Counts {
            rustc: "rustc 1.95.0".to_owned(),
            machine: std::env::consts::ARCH.to_owned(),
            instructions: instructions.collect(),
        }
    }

    #[test]
    fn counts_are_taken_from_summaries() {
        let parsed = Counts::parse(SUMMARIES, "rustc 1.95.0\n").unwrap();
        assert_eq!(parsed, counts(&[("ring_hop", 412), ("append", 1_000)]));
        assert!(Counts::parse("", "").is_err());
        assert!(Counts::parse("{\"function_name\":\"a\"}", "").is_err());
        assert!(Counts::parse("{", "").is_err());
    }

    #[test]
    fn growth_of_more_than_three_percent_fails_and_a_gain_does_not() {
        let baseline = counts(&[("append", 1_000), ("gone", 5)]);
        let (table, grew) = counts(&[("append", 1_030), ("hop", 7)]).compare(&baseline);
        assert!(!grew && table.contains("+3.00") && table.contains("| new"), "{table}");
        assert!(table.contains("gone is in the baseline and was not counted"), "{table}");
        assert!(counts(&[("append", 1_031)]).compare(&baseline).1);
        assert!(!counts(&[("append", 500)]).compare(&baseline).1);
    }

    #[test]
    fn another_compiler_is_pointed_out() {
        let baseline = counts(&[("append", 1_000)]);
        let now = Counts { rustc: "rustc 1.96.0".to_owned(), ..baseline.clone() };
        assert!(now.compare(&baseline).0.contains("the baseline is of rustc 1.95.0"));
        assert!(!baseline.compare(&baseline).0.contains("rustc"));
    }
}
