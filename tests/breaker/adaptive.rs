//! A learned slow-call limit: which calls it follows and which it ignores.

use std::time::Duration;

use campanile::breaker::{Adaptive, BreakerSettings, CircuitBreakerBuilder, SlowCall};
use campanile::{CircuitBreaker, CircuitState, HalfOpen, Window};

use crate::{advance, builder, fail};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The configured limit.
const LIMIT: Duration = ms(400);

/// Opens when half of the last hundred calls are slow. The bounds of the limit are 10 ms and 1.6 s.
fn adaptive() -> CircuitBreakerBuilder {
    builder().window(Window::count(100)).minimum_calls(20).slow_call(LIMIT, 0.5).adaptive(true)
}

fn limit(breaker: &CircuitBreaker) -> Duration {
    breaker.snapshot().slow_call_limit.unwrap()
}

/// Whether `limit` is twice `p95`, within the width of a bucket.
fn is_twice(limit: Duration, p95: Duration) -> bool {
    limit.as_secs_f64() / p95.as_secs_f64() / 2.0 > 0.93
        && limit.as_secs_f64() / p95.as_secs_f64() / 2.0 < 1.07
}

async fn call(breaker: &CircuitBreaker, taken: Duration) -> bool {
    let work = async {
        advance(taken).await;
        Ok::<_, &str>(())
    };
    breaker.call(work).await.is_ok()
}

/// A minute with 150 successes. Every tenth takes `tenth`, the others `most`.
async fn minute(breaker: &CircuitBreaker, most: Duration, tenth: Duration) {
    for n in 0..150 {
        let taken = if n % 10 == 9 { tenth } else { most };
        call(breaker, taken).await;
        advance(ms(400).saturating_sub(taken)).await;
    }
}

async fn minutes(breaker: &CircuitBreaker, minutes: u32, taken: Duration) {
    for _ in 0..minutes {
        minute(breaker, taken, taken).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_limit_holds_until_the_warm_up_is_over() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 3, ms(80)).await;
    assert_eq!(limit(&breaker), LIMIT);
    minutes(&breaker, 2, ms(80)).await;
    assert!(is_twice(limit(&breaker), ms(80)), "{:?}", limit(&breaker));
    // A call that takes less than the configured limit is slow now.
    assert!(call(&breaker, ms(200)).await);
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.slow_calls, snapshot.totals.slow), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn many_calls_at_once_do_not_end_the_warm_up() {
    let breaker = adaptive().build().unwrap();
    for _ in 0..5_000 {
        call(&breaker, ms(1)).await;
    }
    assert_eq!(limit(&breaker), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn only_the_p95_sets_the_limit() {
    let breaker = adaptive().build().unwrap();
    for _ in 0..10 {
        minute(&breaker, ms(10), ms(120)).await;
    }
    assert!(is_twice(limit(&breaker), ms(120)), "{:?}", limit(&breaker));
}

#[tokio::test(start_paused = true)]
async fn the_limit_stays_between_floor_and_ceiling() {
    let quick = adaptive().build().unwrap();
    minutes(&quick, 6, ms(1)).await;
    assert_eq!(limit(&quick), ms(10));

    let bounds = Adaptive { floor: Some(ms(300)), ceiling: Some(ms(500)), ..Adaptive::default() };
    let bounded = adaptive().adaptive_limits(bounds).build().unwrap();
    minutes(&bounded, 6, ms(1)).await;
    assert_eq!(limit(&bounded), ms(300));
    minutes(&bounded, 80, ms(290)).await;
    assert_eq!(limit(&bounded), ms(500));
}

#[tokio::test(start_paused = true)]
async fn the_limit_falls_by_at_most_a_32nd_a_minute_and_rises_by_a_128th() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let mut last = limit(&breaker);
    for (taken, times) in [(ms(180), 100), (ms(70), 60)] {
        for _ in 0..times {
            minutes(&breaker, 1, taken).await;
            let now = limit(&breaker);
            assert!(
                now <= last + last / 127 && now + last / 31 >= last,
                "from {last:?} to {now:?} in a minute"
            );
            last = now;
        }
        assert!(is_twice(last, taken), "{last:?}");
    }
    assert_eq!(breaker.snapshot().transitions, 0);
}

/// A tenth of the calls takes more than the limit, which is too few to open the circuit, but includes the p95.
#[tokio::test(start_paused = true)]
async fn calls_above_the_limit_are_learned() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    for _ in 0..180 {
        minute(&breaker, ms(100), ms(350)).await;
    }
    assert!(is_twice(limit(&breaker), ms(350)), "{:?}", limit(&breaker));
    assert_eq!(breaker.snapshot().transitions, 0);
}

/// Calls that hang are never normal traffic, however long they go on.
#[tokio::test(start_paused = true)]
async fn calls_far_above_the_limit_are_never_learned() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    for _ in 0..120 {
        minute(&breaker, ms(100), ms(5_000)).await;
    }
    assert_eq!(limit(&breaker), before);
    assert_eq!(breaker.snapshot().transitions, 0);
}

/// Outages with calls above the limit, but near enough to be learned. The circuit opens before the minute is over.
async fn outages(breaker: &CircuitBreaker, times: u32, each_fails: usize) {
    for _ in 0..times {
        for n in 1..=100 {
            if n % each_fails == 0 {
                fail(breaker).await;
            }
            call(breaker, ms(350)).await;
        }
        assert_eq!(breaker.state(), CircuitState::Open);
        advance(Duration::from_secs(60)).await;
        assert!(call(breaker, ms(100)).await && call(breaker, ms(100)).await);
        assert_eq!(breaker.state(), CircuitState::Closed);
        // A healthy time that is too short to learn from.
        for _ in 0..100 {
            call(breaker, ms(100)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_teaches_nothing() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    outages(&breaker, 30, 5).await;
    assert_eq!(limit(&breaker), before);
}

#[tokio::test(start_paused = true)]
async fn slow_successes_raise_the_limit_up_to_the_configured_one() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    // At the usual pace: a round takes a little less than two minutes.
    outages(&breaker, 10, usize::MAX).await;
    let later = limit(&breaker);
    assert!(later > before && later < before * 6 / 5, "from {before:?} to {later:?}");
    minutes(&breaker, 20, ms(100)).await;
    assert!(is_twice(limit(&breaker), ms(100)), "{:?}", limit(&breaker));
    // The service stays slow. Its calls are admitted in the end, but the limit does not exceed the configured one.
    let mut opened = 0;
    let hour_of = async |breaker: &CircuitBreaker, taken: Duration| {
        for _ in 0..9_000 {
            let rest = if call(breaker, taken).await { Duration::ZERO } else { taken };
            advance(rest + ms(5)).await;
        }
    };
    for hour in 0..6 {
        let transitions = breaker.snapshot().transitions;
        hour_of(&breaker, ms(395)).await;
        opened = if breaker.snapshot().transitions > transitions { hour } else { opened };
    }
    assert!((1..4).contains(&opened), "{opened}");
    assert_eq!(breaker.state(), CircuitState::Closed);
    let slower = adaptive().build().unwrap();
    minutes(&slower, 6, ms(100)).await;
    for _ in 0..6 {
        hour_of(&slower, ms(600)).await;
    }
    assert_eq!((limit(&slower), slower.state() == CircuitState::Closed), (LIMIT, false));
}

#[tokio::test(start_paused = true)]
async fn the_limit_follows_a_slow_decline_to_the_ceiling_where_the_circuit_opens() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let mut taken = ms(100);
    while breaker.state() == CircuitState::Closed {
        assert!(taken < ms(1_700), "{taken:?} is more than the ceiling and the circuit is closed");
        minutes(&breaker, 1, taken).await;
        taken = taken * 201 / 200;
    }
    assert!(taken > ms(1_600) && limit(&breaker) == 4 * LIMIT);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_learned_while_many_calls_fail() {
    let breaker = adaptive().failure_rate(0.5).build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let failing = async |each: usize| {
        for n in 0..3_000 {
            if n % each == 0 {
                fail(&breaker).await;
            }
            call(&breaker, ms(180)).await;
        }
        assert_eq!(breaker.snapshot().transitions, 0);
    };
    // A third of the calls fails; half would open the circuit.
    failing(2).await;
    let before = limit(&breaker);
    failing(2).await;
    assert_eq!(limit(&breaker), before);
    failing(100).await;
    assert!(limit(&breaker) > before);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_learned_unless_the_circuit_is_closed() {
    let half_open = HalfOpen { permits: 1_000, max_wait: Duration::from_secs(3_600) };
    let breaker = adaptive().half_open(half_open).build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    breaker.disable();
    minutes(&breaker, 6, ms(150)).await;
    assert_eq!(limit(&breaker), before);

    breaker.force_closed();
    for _ in 0..100 {
        fail(&breaker).await;
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    advance(Duration::from_secs(60)).await;
    minutes(&breaker, 6, ms(150)).await;
    assert_eq!((breaker.state(), limit(&breaker)), (CircuitState::HalfOpen, before));
    minutes(&breaker, 6, ms(150)).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert!(limit(&breaker) > before);
}

/// A metrics-only circuit learns too, so that limits can be tried.
#[tokio::test(start_paused = true)]
async fn a_metrics_only_circuit_learns_unless_it_would_be_open() {
    let breaker = adaptive().build().unwrap();
    breaker.metrics_only();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    assert!(is_twice(before, ms(100)), "{before:?}");
    // Above the limit, but near enough to be learned.
    minutes(&breaker, 60, ms(350)).await;
    assert_eq!((limit(&breaker), breaker.snapshot().totals.would_open), (before, 1));
    // The calls just before it are not learned either.
    for _ in 0..30 {
        for taken in [ms(100), ms(350)] {
            for _ in 0..100 {
                call(&breaker, taken).await;
                advance(ms(400) - taken).await;
            }
        }
    }
    assert_eq!((limit(&breaker), breaker.snapshot().totals.would_open), (before, 31));
    minutes(&breaker, 6, ms(150)).await;
    assert!(limit(&breaker) > before);
}

#[tokio::test(start_paused = true)]
async fn new_settings_keep_the_learned_limit_unless_they_change_the_limits() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    let settings = breaker.settings();
    breaker.reconfigure(BreakerSettings { failure_rate: 0.7, ..settings.clone() }).unwrap();
    assert_eq!(limit(&breaker), before);

    let slower =
        BreakerSettings { slow_call: Some(SlowCall { limit: ms(500), rate: 0.5 }), ..settings.clone() };
    breaker.reconfigure(slower).unwrap();
    assert_eq!(limit(&breaker), ms(500));
    minutes(&breaker, 6, ms(100)).await;
    assert!(is_twice(limit(&breaker), ms(100)));

    breaker.reconfigure(BreakerSettings { adaptive: None, ..settings.clone() }).unwrap();
    assert_eq!(limit(&breaker), LIMIT);
    minutes(&breaker, 6, ms(100)).await;
    assert_eq!(limit(&breaker), LIMIT);
    assert!(breaker.reconfigure(BreakerSettings { slow_call: None, ..settings }).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reset_discards_the_learned_limit() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    breaker.force_closed();
    assert!(is_twice(limit(&breaker), ms(100)));
    breaker.reset();
    assert_eq!(limit(&breaker), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn hours_without_traffic_change_nothing() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(100)).await;
    let before = limit(&breaker);
    advance(Duration::from_secs(12 * 3_600)).await;
    assert_eq!(limit(&breaker), before);
    // The first call after them does not decide alone.
    call(&breaker, ms(10)).await;
    assert_eq!(limit(&breaker), before);
}

/// One call in ten seconds: a turn lasts for 128 calls, and may then move the limit as far as eight minutes would.
#[tokio::test(start_paused = true)]
async fn little_traffic_is_learned_in_hours() {
    let breaker = adaptive().build().unwrap();
    for n in 0..6 * 128 {
        call(&breaker, ms(100)).await;
        advance(Duration::from_secs(10)).await;
        assert!(n >= 500 || limit(&breaker) == LIMIT);
    }
    assert!(is_twice(limit(&breaker), ms(100)), "{:?}", limit(&breaker));
    for _ in 0..14 * 128 {
        call(&breaker, ms(180)).await;
        advance(Duration::from_secs(10)).await;
    }
    assert!(is_twice(limit(&breaker), ms(180)), "{:?}", limit(&breaker));
}

#[tokio::test(start_paused = true)]
async fn too_few_calls_for_a_p95_change_nothing() {
    let soon = Adaptive { warm_up_calls: 20, ..Adaptive::default() };
    let breaker = adaptive().adaptive_limits(soon).build().unwrap();
    for _ in 0..127 {
        call(&breaker, ms(80)).await;
        advance(Duration::from_secs(10)).await;
    }
    assert_eq!(limit(&breaker), LIMIT);
    call(&breaker, ms(80)).await;
    assert!(is_twice(limit(&breaker), ms(80)), "{:?}", limit(&breaker));
}

#[tokio::test(start_paused = true)]
async fn p07_a_cancelled_call_is_judged_by_the_learned_limit() {
    let breaker = adaptive().build().unwrap();
    minutes(&breaker, 6, ms(80)).await;
    for (taken, failures) in [(ms(100), 0), (ms(250), 1)] {
        let hangs = breaker.call(std::future::pending::<Result<(), &str>>());
        assert!(tokio::time::timeout(taken, hangs).await.is_err());
        assert_eq!(breaker.snapshot().failures, failures);
    }
}

#[test]
fn without_a_slow_call_limit_the_snapshot_has_none() {
    assert_eq!(CircuitBreaker::builder("test").build().unwrap().snapshot().slow_call_limit, None);
    let fixed = builder().slow_call(LIMIT, 0.5).build().unwrap();
    assert_eq!(fixed.snapshot().slow_call_limit, Some(LIMIT));
    let off = builder().slow_call(LIMIT, 0.5).adaptive(true).adaptive(false).build();
    assert_eq!(off.unwrap().snapshot().slow_call_limit, Some(LIMIT));
}

#[test]
fn limits_out_of_range_are_refused_by_name() {
    let new = |limits: Adaptive| adaptive().adaptive_limits(limits);
    let normal = Adaptive::default();
    let cases = [
        (builder().adaptive(true), "adaptive", "on", "slow_call"),
        (new(Adaptive { floor: Some(Duration::ZERO), ..normal }), "adaptive.floor", "0ns", "more than zero"),
        (new(Adaptive { floor: Some(ms(401)), ..normal }), "adaptive.floor", "401ms", "slow_call.limit"),
        (new(Adaptive { ceiling: Some(ms(399)), ..normal }), "adaptive.ceiling", "399ms", "slow_call.limit"),
        (new(Adaptive { factor: 0.9, ..normal }), "adaptive.factor", "0.9", "from 1"),
        (new(Adaptive { factor: f64::NAN, ..normal }), "adaptive.factor", "NaN", "from 1"),
        (new(Adaptive { factor: 101.0, ..normal }), "adaptive.factor", "101.0", "to 100"),
        (new(Adaptive { warm_up_calls: 19, ..normal }), "adaptive.warm_up_calls", "19", "20"),
        (new(Adaptive { period: ms(999), ..normal }), "adaptive.period", "999ms", "1 s"),
        (new(Adaptive { period: ms(3_600_001), ..normal }), "adaptive.period", "3600.001s", "1 h"),
    ];
    for (builder, setting, value, allowed) in cases {
        let error = builder.build().expect_err(setting);
        assert_eq!((error.setting(), error.value()), (setting, value));
        assert!(error.to_string().contains(allowed), "{error}");
    }
    let widest = Adaptive { floor: Some(Duration::from_nanos(1)), ceiling: Some(Duration::MAX), ..normal };
    assert!(new(widest).build().is_ok());
    assert!(new(Adaptive { floor: Some(LIMIT), ceiling: Some(LIMIT), ..normal }).build().is_ok());
    assert!(builder().slow_call(Duration::MAX, 0.5).adaptive(true).build().is_ok());
}

#[test]
fn a_bool_and_a_table_are_read() {
    let read = |text: &str| serde_json::from_str::<BreakerSettings>(text).map(|settings| settings.adaptive);
    let all = Adaptive {
        floor: Some(ms(100)),
        ceiling: Some(ms(1_500)),
        factor: 2.5,
        warm_up_calls: 50,
        period: ms(10_000),
    };
    for (text, wanted) in [
        (r#"{}"#, None),
        (r#"{"adaptive": false}"#, None),
        (r#"{"adaptive": null}"#, None),
        (r#"{"adaptive": true}"#, Some(Adaptive::default())),
        (r#"{"adaptive": {}}"#, Some(Adaptive::default())),
        (r#"{"adaptive": {"factor": 3}}"#, Some(Adaptive { factor: 3.0, ..Adaptive::default() })),
        (
            r#"{"adaptive": {"floor": "100ms", "ceiling": 1.5, "factor": 2.5, "warm_up_calls": 50, "period": "10s"}}"#,
            Some(all),
        ),
    ] {
        assert_eq!(read(text).unwrap(), wanted, "{text}");
    }
    let settings = BreakerSettings { adaptive: Some(all), ..BreakerSettings::default() };
    assert_eq!(read(&serde_json::to_string(&settings).unwrap()).unwrap(), Some(all));
    for (text, what) in [
        (r#"{"adaptive": {"flor": "1s"}}"#, "flor"),
        (r#"{"adaptive": {"floor": "1 sheep"}}"#, "1 sheep"),
        (r#"{"adaptive": "yes"}"#, "`true`, `false` or a table"),
        (r#"{"adaptive": {"warm_up_calls": -1}}"#, "-1"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}
