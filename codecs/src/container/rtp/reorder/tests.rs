use super::*;

const SSRC: u32 = 7;

fn datagram(ssrc: u32, sequence: u16) -> Vec<u8> {
    let timestamp = u32::from(sequence) * 90;
    let header = Header { marker: false, payload_type: 33, sequence, timestamp, ssrc };
    [&header.to_bytes()[..], &sequence.to_be_bytes()].concat()
}

/// A window and what it handed out, by sequence number.
struct Receiver {
    reorder: Reorder,
    out: Vec<u16>,
}

impl Receiver {
    fn new(window_packets: u16, wait_us: u64) -> Self {
        let reorder = Reorder::new(ReorderSettings { window_packets, wait_us });
        Self { reorder, out: Vec::new() }
    }

    fn push(&mut self, ssrc: u32, sequence: u16, now_us: u64) {
        let out = &mut self.out;
        let take = |payload: &[u8]| out.push(number(payload));
        self.reorder.push(&datagram(ssrc, sequence), now_us, take);
    }

    fn push_all(&mut self, sequences: impl IntoIterator<Item = u16>) -> &mut Self {
        for sequence in sequences {
            self.push(SSRC, sequence, 0);
        }
        self
    }

    fn wait_until(&mut self, now_us: u64) {
        let out = &mut self.out;
        self.reorder.handle_timeout(now_us, |payload| out.push(number(payload)));
    }

    fn counters(&self) -> ReorderCounters {
        self.reorder.counters()
    }
}

fn number(payload: &[u8]) -> u16 {
    u16::from_be_bytes(payload.try_into().expect("two bytes"))
}

fn receiver() -> Receiver {
    Receiver::new(64, 20_000)
}

/// What comes out of these, when nothing is waited for.
fn ordered(sequences: impl IntoIterator<Item = u16>) -> Vec<u16> {
    receiver().push_all(sequences).out.clone()
}

#[test]
fn what_is_in_order_is_handed_out_at_once_and_in_place() {
    let mut reorder = Reorder::new(ReorderSettings::default());
    for sequence in (65_000..=65_535).chain(0..1_000) {
        let datagram = datagram(SSRC, sequence);
        let mut count = 0;
        reorder.push(&datagram, 5, |payload| {
            assert_eq!(payload.as_ptr(), datagram[12..].as_ptr(), "copied");
            count += 1;
        });
        assert_eq!((count, reorder.poll_timeout(), reorder.held()), (1, None, 0));
    }
    let counters = reorder.counters();
    let flow = counters.flow;
    assert_eq!(counters, ReorderCounters { flow, ..ReorderCounters::default() });
    assert_eq!((flow.received, flow.lost, flow.reordered), (1_536, 0, 0));
}

#[test]
fn packets_that_overtook_wait_for_the_one_that_is_missing() {
    let mut receiver = receiver();
    receiver.push_all([1, 3, 4]);
    assert_eq!((&receiver.out[..], receiver.reorder.held()), (&[1][..], 2));
    receiver.push_all([2, 5]);
    assert_eq!(receiver.out, [1, 2, 3, 4, 5]);
    let counters = receiver.counters();
    assert_eq!((counters.recovered, counters.flow.lost, counters.too_late), (1, 0, 0));
    assert_eq!(ordered([65_534, 0, 65_535, 2, 1]), [65_534, 65_535, 0, 1, 2]);
}

#[test]
fn every_order_of_five_packets_becomes_the_right_one() {
    for code in 0..120 {
        let (mut left, mut code, mut order) = (vec![1, 2, 3, 4, 5], code, vec![0]);
        for count in (1..=5).rev() {
            order.push(left.remove(code % count));
            code /= count;
        }
        // Over the wrap; the first one stays the first.
        let sequence = |n: u16| n.wrapping_add(65_533);
        let out = ordered(order.iter().copied().map(sequence));
        assert_eq!(out, (0..6).map(sequence).collect::<Vec<_>>(), "{order:?}");
    }
}

#[test]
fn a_gap_is_waited_for_no_longer_than_the_setting_says() {
    let mut receiver = receiver();
    receiver.push(SSRC, 1, 0);
    receiver.push(SSRC, 3, 1_000);
    receiver.push(SSRC, 6, 2_000);
    receiver.push(SSRC, 4, 3_000);
    assert_eq!(receiver.reorder.poll_timeout(), Some(21_000));
    receiver.wait_until(20_999);
    assert_eq!(receiver.out, [1]);
    receiver.wait_until(21_000);
    assert_eq!(receiver.out, [1, 3, 4]);
    // The gap at 5 is known since 6 came.
    assert_eq!(receiver.reorder.poll_timeout(), Some(22_000));
    receiver.push(SSRC, 2, 21_500);
    assert_eq!((receiver.counters().too_late, receiver.reorder.held()), (1, 1));
    receiver.wait_until(22_000);
    assert_eq!((&receiver.out[..], receiver.reorder.poll_timeout()), (&[1, 3, 4, 6][..], None));
}

#[test]
fn a_driver_without_timers_is_served_by_the_next_packet() {
    let mut receiver = receiver();
    receiver.push_all([1, 3]);
    receiver.push(SSRC, 4, 20_000);
    assert_eq!(receiver.out, [1, 3, 4]);
    receiver.push(SSRC, 6, 30_000);
    receiver.push(SSRC, 5, 90_000);
    assert_eq!(receiver.out, [1, 3, 4, 5, 6], "late, but still waited for");
}

#[test]
fn a_full_window_gives_up_the_oldest_gap() {
    let mut receiver = Receiver::new(4, u64::MAX);
    receiver.push_all([1, 3, 4, 5]);
    assert_eq!(receiver.out, [1]);
    receiver.push_all([6]);
    assert_eq!(receiver.out, [1, 3, 4, 5, 6]);
    receiver.push_all([8, 10, 12]);
    assert_eq!((receiver.out.last(), receiver.reorder.held()), (Some(&8), 2));
    receiver.push_all([9]);
    assert_eq!(receiver.out[6..], [9, 10]);
    receiver.push_all([7]);
    assert_eq!(receiver.counters().too_late, 1);
    receiver.reorder.flush(|payload| assert_eq!(number(payload), 12));
    assert_eq!(receiver.reorder.held(), 0);
}

#[test]
fn a_window_of_one_never_waits() {
    let mut receiver = Receiver::new(0, u64::MAX);
    receiver.push_all([1, 3, 2, 4, 9, 10]);
    assert_eq!(receiver.out, [1, 3, 4, 9, 10]);
    assert_eq!((receiver.counters().too_late, receiver.reorder.poll_timeout()), (1, None));
}

#[test]
fn the_same_packet_again_is_left_out() {
    let mut receiver = receiver();
    receiver.push_all([1, 1, 3, 3, 2, 2, 3, 1, 4]);
    assert_eq!(receiver.out, [1, 2, 3, 4]);
    let counters = receiver.counters();
    assert_eq!((counters.flow.duplicates, counters.recovered, counters.too_late), (5, 1, 0));
}

#[test]
fn a_burst_of_losses_longer_than_the_window_ends_the_wait_at_the_second_packet() {
    let mut receiver = receiver();
    receiver.push_all([1, 2, 500]);
    assert_eq!((&receiver.out[..], receiver.reorder.held()), (&[1, 2][..], 1));
    receiver.push_all([501, 502]);
    assert_eq!(receiver.out, [1, 2, 500, 501, 502]);
    assert_eq!((receiver.counters().restarts, receiver.counters().recovered), (0, 0));
    // Out of order behind the burst: that is waited for.
    receiver.push_all([901, 900, 902]);
    assert_eq!((receiver.out.len(), receiver.reorder.held()), (5, 3));
    receiver.wait_until(20_000);
    assert_eq!(receiver.out[5..], [900, 901, 902]);
    assert_eq!((receiver.counters().restarts, receiver.counters().recovered), (0, 1));
}

#[test]
fn a_sender_that_starts_anew_is_believed_at_its_second_packet_and_loses_nothing() {
    let mut receiver = receiver();
    receiver.push_all([10, 11, 13, 40_000]);
    assert_eq!((&receiver.out[..], receiver.counters().restarts), (&[10, 11][..], 0));
    receiver.push_all([40_001, 40_002]);
    assert_eq!(receiver.out, [10, 11, 13, 40_000, 40_001, 40_002]);
    let counters = receiver.counters();
    assert_eq!((counters.restarts, counters.flow.restarts, counters.stray), (1, 1, 0));
}

#[test]
fn a_single_stray_packet_changes_nothing() {
    let mut receiver = receiver();
    receiver.push_all([10, 40_000, 11, 40_001, 50_000, 12]);
    assert_eq!(receiver.out, [10, 11, 12]);
    assert_eq!((receiver.counters().stray, receiver.counters().restarts), (3, 0));
}

#[test]
fn another_ssrc_starts_anew_without_waiting() {
    let mut receiver = receiver();
    receiver.push_all([10, 12]);
    receiver.push(8, 9_000, 1);
    receiver.push(8, 9_001, 2);
    assert_eq!(receiver.out, [10, 12, 9_000, 9_001]);
    let counters = receiver.counters();
    assert_eq!((counters.restarts, counters.flow.ssrc_changes), (1, 1));
}

#[test]
fn what_is_no_rtp_or_too_large_is_counted_and_left_out() {
    let mut reorder = Reorder::new(ReorderSettings::default());
    let never = |_: &[u8]| panic!("handed out");
    reorder.push(&[], 0, never);
    reorder.push(&[0x47; 188], 0, never);
    let mut jumbo = datagram(SSRC, 1);
    jumbo.resize(12 + 65_537, 0);
    reorder.push(&jumbo, 0, never);
    assert_eq!((reorder.counters().malformed, reorder.counters().flow.received), (3, 0));
    // No payload, but a sequence number.
    reorder.push(&datagram(SSRC, 1)[..12], 0, never);
    let mut count = 0;
    reorder.push(&datagram(SSRC, 2), 0, |_| count += 1);
    assert_eq!((count, reorder.held()), (1, 0));
}

#[test]
fn a_shuffled_and_lossy_flow_comes_out_in_order_and_as_complete_as_it_can_be() {
    let mut receiver = receiver();
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        random >> 33
    };
    // A packet every ms, each up to 15 ms late, 1 % missing: the wait of 20 ms recovers them all.
    let mut arrivals: Vec<(u64, u16)> = Vec::new();
    for n in 0..100_000_u64 {
        if next() % 100 > 0 || n == 0 {
            arrivals.push((n * 1_000 + next() % 15_000 * u64::from(n > 0), n as u16));
        }
    }
    arrivals.sort_unstable();
    for &(now_us, sequence) in &arrivals {
        receiver.wait_until(now_us);
        receiver.push(SSRC, sequence, now_us);
    }
    receiver.wait_until(u64::MAX);
    assert_eq!(receiver.out.len(), arrivals.len());
    assert!(receiver.out.windows(2).all(|pair| (1..64).contains(&pair[1].wrapping_sub(pair[0]))));
    let counters = receiver.counters();
    assert_eq!((counters.too_late, counters.restarts, counters.flow.duplicates), (0, 0, 0));
    assert_eq!(counters.flow.lost as usize, 100_000 - arrivals.len());
    assert!(counters.recovered > 10_000);
}
