//! The circuits of a keyed breaker, by key.

use std::cell::LazyCell;
use std::fmt::{self, Display};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::group::{Files, Group, Member};
use super::lru::{Lru, Worth};
use super::probe::KeyedProbe;
use super::settings::KeyedSettings;
use super::snapshot::{KeyedSnapshot, States};
use super::survey::Survey;
use crate::base::clock::{self, Tick};
use crate::base::cut::shorten;
use crate::base::error::ConfigError;
use crate::base::sync::Mutex;
use crate::layers::breaker::circuit::Circuit;
use crate::layers::breaker::settings::BreakerSettings;
use crate::layers::breaker::snapshot::CircuitState;
use crate::layers::breaker::tally::Tally;
use crate::signal::{self, Emit, Sign, Source};

/// A shard has room for this many keys, or there is but one.
const KEYS_PER_SHARD: usize = 512;
const MAX_SHARDS: usize = 64;

/// An open circuit that no call has asked for this long after its wait was over is worth as little as a closed one.
const FORGOTTEN: Duration = Duration::from_secs(3_600);

/// Bytes of a key that are kept in the name of its circuit.
const LONGEST: usize = 256;

/// What can be a key: cheap to make and to clone, for each call makes one, and fit to be read, for it is part of its
/// circuit's name, up to 256 bytes of it. Each key that is known is kept: where keys come from outside, bound their length.
///
/// `Eq` runs under a lock, and so does `Clone` in [`KeyedBreaker::circuits`](super::KeyedBreaker::circuits): they must
/// not call the breaker. `Hash` and `Display` run outside. Whatever has these traits is a key.
pub trait Key: Hash + Eq + Clone + Display + Send + Sync + 'static {}

impl<K: Hash + Eq + Clone + Display + Send + Sync + 'static> Key for K {}

/// See the [module](self).
pub(in crate::layers::breaker) struct Circuits<K> {
    pub(super) group: Arc<Group>,
    /// For circuits to come.
    settings: ArcSwap<BreakerSettings>,
    probe: Option<KeyedProbe<K>>,
    /// Keys come from outside, so the hash is one that nobody outside can make collide.
    hasher: RandomState,
    /// A power of two.
    shards: Box<[Mutex<Shard<K>>]>,
    max_keys: u32,
}

struct Shard<K> {
    lru: Lru<K, Arc<Circuit>>,
    /// What the circuits counted that this shard gave up. It lies with the others under one lock, so that nothing is
    /// ever counted twice or not at all.
    retired: Tally,
    evicted: u64,
}

impl<K: Key> Circuits<K> {
    /// No circuits yet, by settings that were validated.
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
                .map(|most| Mutex::new(Shard { lru: Lru::new(most), retired: Tally::default(), evicted: 0 }))
                .collect(),
            max_keys: settings.max_keys,
        })
    }

    /// The circuit of `key`, made if there is none. The key counts as used now.
    #[inline]
    pub(super) fn circuit(&self, key: K) -> Arc<Circuit> {
        let hash = self.hasher.hash_one(&key);
        let found = self.shard(hash).lock().lru.get(hash, &key).map(Arc::clone);
        found.unwrap_or_else(|| self.add(hash, key))
    }

    #[cold]
    fn add(&self, hash: u64, key: K) -> Arc<Circuit> {
        // All that runs code of the key's own, or takes long, outside the lock.
        let settings = self.settings.load_full();
        let mut key_name = key.to_string();
        shorten(&mut key_name, LONGEST);
        let name = format!("{}/{key_name}", self.group.name).into();
        let member = Member { group: Arc::clone(&self.group), hash };
        let probe = self.probe.as_ref().map(|probe| probe.of(&key));
        let new = Circuit::new(name, Arc::clone(&settings), probe, Some(member));
        let mut shard = self.shard(hash).lock();
        if let Some(there) = shard.lru.get(hash, &key) {
            // Somebody was faster.
            let there = Arc::clone(there);
            drop(shard);
            return there;
        }
        let evicted = shard.add(hash, key, Arc::clone(&new));
        // Seen under the lock: either this sees new settings, or those who bring them see the circuit.
        let is_late = !Arc::ptr_eq(&self.settings.load(), &settings);
        drop(shard);
        if is_late {
            self.update(&new);
        }
        if let Some((_, evicted)) = evicted {
            evicted.stop_probing();
            self.tell_evicted(&evicted);
        }
        new
    }

    /// An operator's word must not be lost in silence.
    fn tell_evicted(&self, circuit: &Circuit) {
        if filed(circuit.state()) == Worth::Set {
            tracing::warn!(
                target: "campanile::breaker",
                breaker = &*circuit.name,
                state = circuit.state().as_str(),
                max_keys = self.max_keys,
                "a circuit that somebody set was evicted: its key starts anew with the next call"
            );
        }
    }

    /// The circuit of `key`, if there is one.
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

    // Bits that the table of a shard leaves alone: it takes the lowest, and the topmost seven.
    #[allow(clippy::cast_possible_truncation)] // What is cut off is masked anyway.
    #[inline]
    fn shard(&self, hash: u64) -> &Mutex<Shard<K>> {
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)]
    }

    /// Puts the settings of the moment in force, which may change meanwhile.
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

    fn survey(&self) -> Survey {
        let mut survey = Survey::new(self.group.late());
        for shard in &self.shards {
            let shard = shard.lock();
            survey.tally.add(&shard.retired);
            survey.evicted += shard.evicted;
            for (_, circuit) in shard.lru.iter() {
                survey.add(circuit);
            }
        }
        survey
    }
}

impl<K: Key> Shard<K> {
    /// Takes in a circuit, and gives back the one that it gave up for it.
    fn add(&mut self, hash: u64, key: K, circuit: Arc<Circuit>) -> Option<(K, Arc<Circuit>)> {
        // Read at the first circuit that may have been left alone for long.
        let now: LazyCell<Tick> = LazyCell::new(clock::now);
        let evicted = self.lru.insert(hash, key, circuit, |circuit| worth(circuit, &now))?;
        self.retired.add(&evicted.1.evict());
        self.evicted += 1;
        Some(evicted)
    }
}

/// What a circuit in that state is worth when one has to go.
fn filed(state: CircuitState) -> Worth {
    match state {
        CircuitState::Closed => Worth::Little,
        CircuitState::Open | CircuitState::HalfOpen => Worth::Much,
        CircuitState::ForcedOpen | CircuitState::Disabled | CircuitState::MetricsOnly => Worth::Set,
    }
}

/// What a circuit is worth now: one that is open and was left alone since keeps nothing but the place of another.
fn worth(circuit: &Circuit, now: &LazyCell<Tick>) -> Worth {
    let filed = filed(circuit.state());
    if filed == Worth::Much && circuit.left_alone_for(**now) >= FORGOTTEN { Worth::Little } else { filed }
}

impl<K: Key> Files for Circuits<K> {
    fn file(&self, member: &Member, circuit: &Circuit) {
        let is_it = |other: &Arc<Circuit>| std::ptr::eq(&raw const **other, circuit);
        // The state is read under the lock: of two changes at once the later one is filed last.
        self.shard(member.hash).lock().lru.file(member.hash, is_it, |circuit| filed(circuit.state()));
    }
}

/// A keyed breaker whatever its keys are.
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
        settings.validate()?;
        self.settings.store(Arc::new(settings));
        self.circuits().iter().for_each(|circuit| self.update(circuit));
        Ok(())
    }

    fn snapshot(&self) -> KeyedSnapshot {
        let survey = self.survey();
        KeyedSnapshot {
            name: Arc::clone(&self.group.name),
            circuits: survey.circuits,
            max_keys: self.max_keys,
            states: States {
                closed: survey.in_state(CircuitState::Closed),
                open: survey.in_state(CircuitState::Open),
                half_open: survey.in_state(CircuitState::HalfOpen),
                forced_open: survey.in_state(CircuitState::ForcedOpen),
                disabled: survey.in_state(CircuitState::Disabled),
                metrics_only: survey.in_state(CircuitState::MetricsOnly),
            },
            ejected: self.group.ejections.ejected(),
            max_ejected: self.group.ejections.allowed(),
            kept_closed: survey.kept_closed,
            evicted: survey.evicted,
            totals: survey.tally.totals,
            transitions: survey.tally.entered.iter().sum(),
        }
    }
}

impl<K: Key> Source for Circuits<K> {
    #[allow(clippy::cast_precision_loss)] // Counts stay far below 2^52.
    fn observe(&self, emit: &mut Emit<'_>) {
        let survey = self.survey();
        let name = ("breaker", &*self.group.name);
        for state in CircuitState::ALL {
            let circuits = survey.in_state(state) as f64;
            emit(&signal::BREAKER_CIRCUITS, circuits, &[name, ("state", state.as_str())]);
        }
        emit(&signal::BREAKER_EVICTED, survey.evicted as f64, &[name]);
        emit(&signal::BREAKER_KEPT_CLOSED, survey.tally.totals.kept_closed as f64, &[name]);
        survey.tally.emit(&self.group.name, emit);
    }

    fn signs(&self, emit: &mut dyn FnMut(&str, Sign)) {
        let survey = self.survey();
        emit(&self.group.name, Sign::Circuits { broken: survey.broken(), all: survey.circuits });
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

    /// The values of all metrics that carry this name, with what else they carry.
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
    async fn metrics_are_sums_over_all_keys_and_name_none() {
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
        assert_eq!(before.len(), number, "keys are no attributes");
        assert!(metrics("summed/0").is_empty());
        let value = |name: &str| before[&format!("campanile.breaker.{name}")];
        assert_eq!((value("circuits open"), value("circuits closed")), (1.0, 2.0));
        // 0 opens and stays, for others are closed; 1, 2 and 3 take turns at two places.
        assert_eq!((value("calls error"), value("rejections open")), (7.0, 1.0));
        assert_eq!((value("transitions open"), value("kept_closed ")), (1.0, 6.0));
        assert_eq!(value("evicted "), 4.0);
    }
}
