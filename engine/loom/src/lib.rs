//! Every interleaving of a producer and a core that goes to sleep, explored by loom.
#![cfg(loom)]

#[path = "../../src/mesh/sleep_flag.rs"]
mod sleep_flag;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Condvar, Mutex};
    use loom::thread;

    use super::sleep_flag::SleepFlag;

    /// The ring (its write index) and the eventfd, as loom can see them.
    #[derive(Default)]
    struct Core {
        flag: SleepFlag,
        written: AtomicUsize,
        event: Mutex<u64>,
        rung: Condvar,
    }

    impl Core {
        fn produce(&self) {
            self.written.fetch_add(1, Ordering::Release);
            if self.flag.take_for_wake() {
                *self.event.lock().unwrap() += 1;
                self.rung.notify_one();
            }
        }

        /// The run loop of a core: returns when `expected` messages were seen. A lost wake-up is a
        /// deadlock, which loom reports.
        fn consume(&self, expected: usize) {
            loop {
                self.flag.set();
                if self.written.load(Ordering::Acquire) >= expected {
                    self.flag.clear();
                    return;
                }
                let mut event = self.event.lock().unwrap();
                while *event == 0 {
                    event = self.rung.wait(event).unwrap();
                }
                *event = 0;
                drop(event);
                self.flag.clear();
            }
        }
    }

    /// Explores with at most three forced preemptions, which finds every known bug of this kind in
    /// seconds instead of minutes.
    fn model(run: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(run);
    }

    #[test]
    fn no_wake_up_is_lost_with_one_producer() {
        model(|| {
            let core = Arc::new(Core::default());
            let producer = {
                let core = Arc::clone(&core);
                thread::spawn(move || {
                    core.produce();
                    core.produce();
                })
            };
            core.consume(2);
            producer.join().unwrap();
        });
    }

    #[test]
    fn no_wake_up_is_lost_with_two_producers() {
        model(|| {
            let core = Arc::new(Core::default());
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    let core = Arc::clone(&core);
                    thread::spawn(move || core.produce())
                })
                .collect();
            core.consume(2);
            for producer in producers {
                producer.join().unwrap();
            }
        });
    }
}
