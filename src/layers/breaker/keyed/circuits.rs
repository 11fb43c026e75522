//! The circuits of a keyed breaker, by key.

use std::cell::LazyCell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::key::Key;
use super::lru::{Lru, Rank};
use super::probe::KeyedProbe;
use super::settings::KeyedSettings;
use super::snapshot::{KeyedSnapshot, States};
use super::sums::Sums;
use crate::base::clock::{self, Tick};
use crate::base::cut::shorten;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::layers::breaker::circuit::Circuit;
use crate::layers::breaker::counters::Counters;
use crate::layers::breaker::group::{CircuitTable, Group, Member};
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::snapshot::CircuitState;
use crate::signal::{self, Emit, Sign, Source};

/// Minimum number of keys of a shard, unless there is only one shard.
const KEYS_PER_SHARD: usize = 512;
const MAX_SHARDS: usize = 64;

/// An open circuit without a call for this long after its wait ranks like a closed one.
const IDLE_LIMIT: Duration = Duration::from_secs(3_600);

/// Maximum bytes of a key in the name of its circuit.
const LONGEST: usize = 256;

/// The circuits of a keyed breaker.
pub(in crate::layers::breaker) struct Circuits<K> {
    pub(super) group: Arc<Group>,
    /// The settings of new circuits.
    settings: ArcSwap<BreakerSettings>,
    probe: Option<KeyedProbe<K>>,
    /// Seeded at random: keys may come from outside, where collisions must not be predictable.
    hasher: RandomState,
    /// Their number is a power of two.
    shards: Box<[Mutex<Shard<K>>]>,
    max_keys: u32,
}

struct Shard<K> {
    lru: Lru<K, Arc<Circuit>>,
    /// The counts of evicted circuits. They are under the lock of the shard, so that a call is never counted twice or
    /// missed.
    retired: Counters,
    evicted: u64,
}

impl<K: Key> Circuits<K> {
    /// An empty table. The settings were validated.
    pub(super) fn new(name: Arc<str>, settings: KeyedSettings, probe: Option<KeyedProbe<K>>) -> Arc<Self> {
        let most = settings.max_keys as usize;
        let shards = match (most / KEYS_PER_SHARD).min(MAX_SHARDS) {
            0 => 1,
            shards => 1 << shards.ilog2(),
        };
        Arc::new_cyclic(|me: &Weak<Self>| Self {
            group: Group::new(name, settings.max_ejected, Weak::clone(me) as _),
            settings: ArcSwap::from_pointee(settings.circuit),
            probe,
            hasher: RandomState::new(),
            shards: (0..shards)
                .map(|number| most / shards + usize::from(number < most % shards))
                .map(|most| {
                    Mutex::new(Shard { lru: Lru::new(most), retired: Counters::default(), evicted: 0 })
                })
                .collect(),
            max_keys: settings.max_keys,
        })
    }

    /// Returns the circuit of `key`, made if there is none. The key counts as used now.
    #[inline]
    pub(super) fn circuit(&self, key: K) -> Arc<Circuit> {
        let hash = self.hasher.hash_one(&key);
        let found = self.shard(hash).lock().lru.get(hash, &key).map(Arc::clone);
        found.unwrap_or_else(|| self.add(hash, key))
    }

    #[cold]
    fn add(&self, hash: u64, key: K) -> Arc<Circuit> {
        // Outside the lock, because it runs code of the key or takes long.
        let settings = self.settings.load_full();
        let mut key_name = key.to_string();
        shorten(&mut key_name, LONGEST);
        let name = format!("{}/{key_name}", self.group.name).into();
        let member = Member { group: Arc::clone(&self.group), hash };
        let probe = self.probe.as_ref().map(|probe| probe.of(&key));
        let new = Circuit::new(name, Arc::clone(&settings), probe, Some(member));
        let mut shard = self.shard(hash).lock();
        if let Some(there) = shard.lru.get(hash, &key) {
            // Another thread has added it meanwhile.
            let there = Arc::clone(there);
            drop(shard);
            return there;
        }
        let evicted = shard.add(hash, key, Arc::clone(&new));
        // Checked under the lock: either the new settings are visible here, or the circuit is visible to `reconfigure`.
        let is_late = !Arc::ptr_eq(&self.settings.load(), &settings);
        drop(shard);
        if is_late {
            self.update(&new);
        }
        if let Some((_, evicted)) = evicted {
            evicted.stop_probing();
            self.log_eviction(&evicted);
        }
        new
    }

    /// Logs the eviction of a circuit whose state an operator had set.
    fn log_eviction(&self, circuit: &Circuit) {
        if rank_of(circuit.state()) == Rank::Manual {
            tracing::warn!(
                target: "campanile::breaker",
                breaker = &*circuit.name,
                state = circuit.state().as_str(),
                max_keys = self.max_keys,
                "a circuit that an operator had set was evicted, because the breaker has more than `max_keys` keys; the next call of \
                 its key starts with a closed circuit"
            );
        }
    }

    /// Returns the circuit of `key`, if there is one.
    pub(super) fn peek(&self, key: &K) -> Option<Arc<Circuit>> {
        let hash = self.hasher.hash_one(key);
        self.shard(hash).lock().lru.peek(hash, key).map(Arc::clone)
    }

    /// All circuits with their keys.
    pub(super) fn all(&self) -> Vec<(K, Arc<Circuit>)> {
        self.collect(|key, circuit| (key.clone(), Arc::clone(circuit)))
    }

    fn collect<T>(&self, make: impl Fn(&K, &Arc<Circuit>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().lru.iter().map(|(key, circuit)| make(key, circuit)));
        }
        all
    }

    // The hash table of a shard uses the lowest bits and the highest seven, so the shard is chosen by others.
    #[allow(clippy::cast_possible_truncation)] // The mask removes the truncated bits.
    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard<K>> {
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)]
    }

    /// Applies the current settings, which may change meanwhile.
    fn update(&self, circuit: &Circuit) {
        let mut settings = self.settings.load_full();
        loop {
            circuit.reconfigure_valid(Arc::clone(&settings));
            let latest = self.settings.load_full();
            if Arc::ptr_eq(&latest, &settings) {
                return;
            }
            settings = latest;
        }
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::new(self.group.late());
        for shard in &self.shards {
            let shard = shard.lock();
            sums.counters.add(&shard.retired);
            sums.evicted += shard.evicted;
            for (_, circuit) in shard.lru.iter() {
                sums.add(circuit);
            }
        }
        sums
    }
}

impl<K: Key> Shard<K> {
    /// Adds a circuit. Returns the circuit that was evicted for it.
    fn add(&mut self, hash: u64, key: K, circuit: Arc<Circuit>) -> Option<(K, Arc<Circuit>)> {
        // The clock is read only if an open circuit may be idle.
        let now: LazyCell<Tick> = LazyCell::new(clock::now);
        let evicted = self.lru.insert(hash, key, circuit, |circuit| current_rank(circuit, &now))?;
        self.retired.add(&evicted.1.evict());
        self.evicted += 1;
        Some(evicted)
    }
}

/// The rank for eviction of a circuit in this state.
fn rank_of(state: CircuitState) -> Rank {
    match state {
        CircuitState::Closed => Rank::Closed,
        CircuitState::Open | CircuitState::HalfOpen => Rank::Broken,
        CircuitState::ForcedOpen | CircuitState::Disabled | CircuitState::MetricsOnly => Rank::Manual,
    }
}

/// The rank of a circuit now. A broken circuit that is idle for long ranks like a closed one.
fn current_rank(circuit: &Circuit, now: &LazyCell<Tick>) -> Rank {
    let rank = rank_of(circuit.state());
    if rank == Rank::Broken && circuit.idle_for(**now) >= IDLE_LIMIT { Rank::Closed } else { rank }
}

impl<K: Key> CircuitTable for Circuits<K> {
    fn state_changed(&self, hash: u64, name: &Arc<str>) {
        let is_it = |circuit: &Arc<Circuit>| Arc::ptr_eq(&circuit.name, name);
        // The state is read under the lock, so the later one of two concurrent changes sets the rank last.
        self.shard(hash).lock().lru.set_rank(hash, is_it, |circuit| rank_of(circuit.state()));
    }
}

/// The circuits of a keyed breaker with any type of keys.
pub(super) trait AnyCircuits: Send + Sync {
    fn group(&self) -> &Group;
    fn circuits(&self) -> Vec<Arc<Circuit>>;
    fn settings(&self) -> BreakerSettings;
    fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError>;
    fn snapshot(&self) -> KeyedSnapshot;
}

impl<K: Key> AnyCircuits for Circuits<K> {
    fn group(&self) -> &Group {
        &self.group
    }

    fn circuits(&self) -> Vec<Arc<Circuit>> {
        self.collect(|_, circuit| Arc::clone(circuit))
    }

    fn settings(&self) -> BreakerSettings {
        BreakerSettings::clone(&self.settings.load())
    }

    fn reconfigure(&self, settings: BreakerSettings) -> Result<(), ConfigError> {
        settings.validate(&self.group.name)?;
        self.settings.store(Arc::new(settings));
        self.circuits().iter().for_each(|circuit| self.update(circuit));
        Ok(())
    }

    fn snapshot(&self) -> KeyedSnapshot {
        let sums = self.sums();
        KeyedSnapshot {
            name: Arc::clone(&self.group.name),
            circuits: sums.circuits,
            max_keys: self.max_keys,
            states: States {
                closed: sums.in_state(CircuitState::Closed),
                open: sums.in_state(CircuitState::Open),
                half_open: sums.in_state(CircuitState::HalfOpen),
                forced_open: sums.in_state(CircuitState::ForcedOpen),
                disabled: sums.in_state(CircuitState::Disabled),
                metrics_only: sums.in_state(CircuitState::MetricsOnly),
            },
            ejected: self.group.ejections.ejected(),
            max_ejected: self.group.ejections.allowed(),
            kept_closed: sums.kept_closed,
            evicted: sums.evicted,
            totals: sums.counters.totals,
            transitions: sums.counters.entered.iter().sum(),
        }
    }
}

impl<K: Key> Source for Circuits<K> {
    #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
    fn observe(&self, emit: &mut Emit<'_>) {
        let sums = self.sums();
        let name = ("breaker", &*self.group.name);
        for state in CircuitState::ALL {
            let circuits = sums.in_state(state) as f64;
            emit(&signal::BREAKER_CIRCUITS, circuits, &[name, ("state", state.as_str())]);
        }
        emit(&signal::BREAKER_EVICTED, sums.evicted as f64, &[name]);
        emit(&signal::BREAKER_KEPT_CLOSED, sums.counters.totals.kept_closed as f64, &[name]);
        sums.counters.emit(&self.group.name, emit);
        self.group.emit_unread(emit);
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let sums = self.sums();
        emit(&self.group.name, Sign::Circuits { broken: sums.broken(), all: sums.circuits });
    }
}

impl<K> fmt::Debug for Circuits<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits").field("breaker", &self.group.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::layers::breaker::handle::CircuitBreaker;
    use crate::signal;

    /// The values of all metrics of this breaker, by their name and other attributes.
    fn metrics(breaker: &str) -> BTreeMap<String, f64> {
        let mut found = BTreeMap::new();
        signal::observe(&mut |metric, value, attributes| {
            if let Some((_, rest)) = attributes.split_first().filter(|(first, _)| first.1 == breaker) {
                assert_eq!(
                    metric.attributes[..attributes.len()],
                    *attributes.iter().map(|(name, _)| *name).collect::<Vec<_>>()
                );
                let rest: Vec<_> = rest.iter().map(|(_, value)| *value).collect();
                assert_eq!(found.insert(format!("{} {}", metric.name, rest.join(" ")), value), None);
            }
        });
        found
    }

    #[tokio::test]
    async fn metrics_are_sums_over_all_keys_and_have_no_keys() {
        let keyed = CircuitBreaker::keyed("summed", |key: &u64| *key)
            .consecutive_failures(1)
            .max_ejected(0.01)
            .max_keys(3)
            .build()
            .unwrap();
        let mut before = metrics("summed");
        let number = before.len();
        for key in 0..8 {
            let _ = keyed.call(key % 4, async { Err::<(), _>("broken") }).await;
            let after = metrics("summed");
            for (name, value) in &after {
                assert!(name.contains("circuits") || *value >= before[name], "{name} went down");
            }
            before = after;
        }
        assert_eq!(before.len(), number, "keys are not attributes");
        assert!(metrics("summed/0").is_empty());
        let value = |name: &str| before[&format!("campanile.breaker.{name}")];
        assert_eq!((value("circuits open"), value("circuits closed")), (1.0, 2.0));
        // 0 opens and stays, because the others are closed. 1, 2 and 3 take turns at the two other keys.
        assert_eq!((value("calls error"), value("rejections open")), (7.0, 1.0));
        assert_eq!((value("transitions open"), value("kept_closed ")), (1.0, 6.0));
        assert_eq!(value("evicted "), 4.0);
    }
}
