//! The delays between attempts, against naive oracles.

use std::cell::RefCell;
use std::time::Duration;

use campanile::{Backoff, Jitter, Retry};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::support::{millis, secs};

const JITTERS: [Jitter; 4] = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated];

/// The settings of a backoff, in seconds.
#[derive(Clone, Copy, Debug)]
struct Setting {
    first: f64,
    max: f64,
    factor: f64,
    jitter: Jitter,
}

impl Setting {
    fn backoff(self) -> Backoff {
        let [first, max] = [self.first, self.max].map(Duration::from_secs_f64);
        Backoff::exponential(first, max).factor(self.factor).jitter(self.jitter)
    }

    /// The minimum and maximum of wait `n`, counted from 0, after a wait of `previous`.
    fn bounds(self, n: u32, previous: f64) -> (f64, f64) {
        let mut grown = self.first;
        for _ in 0..n {
            grown *= self.factor;
            if grown > self.max {
                grown = self.max;
                break;
            }
        }
        match self.jitter {
            Jitter::None => (grown, grown),
            Jitter::Full => (0.0, grown),
            Jitter::Equal => (grown / 2.0, grown),
            Jitter::Decorrelated => (self.first, (3.0 * previous).max(self.first).min(self.max)),
        }
    }
}

fn setting() -> impl Strategy<Value = Setting> {
    // With less growth the oracle would take too many steps to the cap.
    let factor = prop_oneof![Just(1.0), 1.01_f64..5.0];
    let strategy = (1_u32..10_000, 1_u32..1_000, factor, prop::sample::select(&JITTERS[..]));
    strategy.prop_map(|(millis, times, factor, jitter)| {
        let first = f64::from(millis) / 1_000.0;
        Setting { first, max: first * f64::from(times), factor, jitter }
    })
}

/// Whether a delay, which is a whole number of nanoseconds, is within bounds.
fn within(delay: f64, least: f64, most: f64) -> bool {
    let off = 1e-9 + most * 1e-9;
    (least - off..=most + off).contains(&delay)
}

proptest! {
    #[test]
    fn a_delay_is_the_drawn_part_of_its_range(
        setting in setting(),
        n in prop_oneof![0_u32..12, Just(u32::MAX)],
        previous in 0.0_f64..2_000.0,
        seed in any::<u64>(),
    ) {
        fastrand::seed(seed);
        let draw = fastrand::f64();
        fastrand::seed(seed);
        let delay = setting.backoff().delay(n, Duration::from_secs_f64(previous)).as_secs_f64();
        let (least, most) = setting.bounds(n.min(5_000), previous);
        prop_assert!(within(delay, least, most), "{delay} not in {least}..={most}");
        // Decorrelated jitter draws from its range before the cap is applied.
        let most = match setting.jitter {
            Jitter::Decorrelated => (3.0 * previous).max(setting.first),
            _ => most,
        };
        let drawn = (least + (most - least) * draw).min(setting.max);
        prop_assert!(within(delay, drawn, drawn), "{delay} and not {drawn}");
    }

    /// The waits of one call.
    #[test]
    fn the_waits_of_a_call_are_within_their_bounds(mut setting in setting()) {
        setting.first += 0.1;
        setting.max += 0.1;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let retry = Retry::builder().max_attempts(8).backoff(setting.backoff()).budget(None).build().unwrap();
        let began = RefCell::new(Vec::new());
        let result = runtime.unwrap().block_on(retry.run(|| {
            began.borrow_mut().push(Instant::now());
            async { Err::<(), _>("broken") }
        }));
        prop_assert!(result.is_err());
        let began = began.into_inner();
        prop_assert_eq!(began.len(), 8);
        // The timer ticks in milliseconds. Its rounding of one wait may extend the range of the next.
        let tick = 0.002;
        let mut previous = 0.0;
        for (n, pair) in (0..).zip(began.windows(2)) {
            let waited = (pair[1] - pair[0]).as_secs_f64();
            let (least, most) = setting.bounds(n, previous);
            prop_assert!(within(waited, least, most + tick), "{waited} not in {least}..={most}");
            previous = waited;
        }
    }
}

#[test]
fn the_range_is_drawn_uniformly() {
    let (first, max) = (secs(1), secs(60));
    for (jitter, least, most) in [
        (Jitter::Full, 0.0, 4.0),
        (Jitter::Equal, 2.0, 4.0),
        // After a wait of two seconds.
        (Jitter::Decorrelated, 1.0, 6.0),
    ] {
        fastrand::seed(7);
        let backoff = Backoff::exponential(first, max).jitter(jitter);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let part = (backoff.delay(2, secs(2)).as_secs_f64() - least) / (most - least);
            assert!((0.0..1.0).contains(&part), "{jitter:?}: {part}");
            tenths[(part * 10.0) as usize] += 1;
        }
        // A thousand draws each. The standard deviation is thirty.
        assert!(tenths.iter().all(|count| (850..1_150).contains(count)), "{jitter:?}: {tenths:?}");
    }
    assert!((0..100).all(|_| Backoff::constant(millis(7)).delay(9, secs(9)) == millis(7)));
}

/// A long wait that a server asked for is not a drawn delay.
#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn the_delay_of_a_server_does_not_widen_the_range() {
    use http::{Request, Response};
    use http_body_util::Full;
    use tower::{Layer, ServiceExt, service_fn};

    let backoff = Backoff::exponential(secs(1), secs(600)).jitter(Jitter::Decorrelated);
    let retry = Retry::builder().max_attempts(3).backoff(backoff).budget(None).build().unwrap();
    for _ in 0..50 {
        let began = RefCell::new(Vec::new());
        let service = service_fn(|_| {
            let mut began = began.borrow_mut();
            began.push(Instant::now());
            let response = Response::builder().status(if began.len() < 3 { 503 } else { 200 });
            let response = if began.len() == 1 { response.header("retry-after", 30) } else { response };
            std::future::ready(response.body(Full::<bytes::Bytes>::default()))
        });
        let request = Request::new(Full::<bytes::Bytes>::default());
        retry.http_layer().layer(service).oneshot(request).await.unwrap();
        let began = began.into_inner();
        assert!((secs(30)..millis(30_002)).contains(&(began[1] - began[0])));
        // The first draw is one second, so the second is three at most.
        assert!((secs(1)..millis(3_002)).contains(&(began[2] - began[1])), "{:?}", began[2] - began[1]);
    }
}
