//! What AES-128-GCM alone costs, within this process: the part of TLS that nobody can leave out.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::measure::Run;
use crate::figures::Spread;
use crate::sys::threads;

/// CPU seconds per gigabit on a CPU, in records as a stream's bursts give them.
///
/// # Errors
/// There is no such CPU.
pub(super) fn measure(cpu: usize) -> anyhow::Result<Run> {
    let work = move || {
        threads::pin_to(cpu).with_context(|| format!("cannot run on CPU {cpu}"))?;
        seconds_per_gigabit()
    };
    let result = thread::spawn(work).join();
    let cpu_s_per_gbit = result.map_err(|_| anyhow!("the encryption panicked"))??;
    Ok(Run { cpu_s_per_gbit, ..Run::default() })
}

/// The median of several passes over as many bytes as a relay's log holds, in place.
fn seconds_per_gigabit() -> anyhow::Result<f64> {
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).map_err(|_| anyhow!("no AES-128-GCM"))?;
    let key = LessSafeKey::new(key);
    let mut log = vec![0x5A_u8; LOG_BYTES];
    let mut pass = || {
        let (begun, mut number) = (Instant::now(), 0_u64);
        for _ in 0..PASS_BYTES / LOG_BYTES {
            for record in log.chunks_mut(RECORD_BYTES) {
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&number.to_be_bytes());
                number += 1;
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from([0x17; 5]), record);
                let tag = tag.map_err(|_| anyhow!("AES-128-GCM refuses a record"))?;
                std::hint::black_box(tag.as_ref());
            }
        }
        let gigabits = (PASS_BYTES / LOG_BYTES * LOG_BYTES) as f64 * 8e-9;
        anyhow::Ok(begun.elapsed().as_secs_f64() / gigabits)
    };
    pass()?;
    let passes = (0..PASSES).map(|_| pass()).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Spread::of(&passes).median)
}

/// About how long it takes.
pub(super) const ESTIMATE: Duration = Duration::from_millis(500);
const PASSES: usize = 5;
/// 40 ms of a stream of 2.15 Mbit/s: one record of a burst to one player.
const RECORD_BYTES: usize = 10_750;
/// Ten seconds of it.
const LOG_BYTES: usize = 5 << 19;
/// Some tens of milliseconds.
const PASS_BYTES: usize = 128 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypting_a_gigabit_takes_milliseconds_to_seconds() {
        let run = measure(threads::cpus().unwrap()[0]).unwrap();
        assert!((1e-3..20.0).contains(&run.cpu_s_per_gbit), "{run:?}");
        assert!(measure(usize::MAX).is_err());
    }
}
