//! Network interfaces, from `/proc/net/dev`.
//!
//! A packet to a container passes a network card, a bridge and the interface of the container, and each of these counts
//! it. Only the cards are reported, so that their sum is what the machine received and sent. Inside a container no card is
//! visible: there, every interface is reported that is not known to be on top of another one.

use std::path::Path;

use super::devices::{too_many, whole};
use super::filters::{NameFilter, matches};
use crate::base::clock;
use crate::sampler::counter::{Counters, Rules};
use crate::sampler::files::{Files, numbers};
use crate::sampler::probe::{Labels, Probe, ProbeError, Sample, count};
use crate::sampler::snapshot::NetworkSnapshot;
use crate::signal::capacity::DEVICES;
use crate::signal::{
    Metric, SYSTEM_NETWORK_DROPPED, SYSTEM_NETWORK_ERRORS, SYSTEM_NETWORK_IO, SYSTEM_NETWORK_PACKETS,
};

/// Loopback, tunnels, bridges, and the outer ends of interfaces of containers and virtual machines.
const VIRTUAL: &str = "lo veth* docker* br-* virbr* cni* podman* flannel* cali* cilium* lxc* lxd* kube-* nodelocaldns \
    vxlan* geneve* ovs-* genev_sys* antrea* weave* tun* tap* wg* tailscale* zt* sit* gre* erspan* ip6tnl* ip6_vti* \
    ip6gre* ip_vti* teql* dummy* ifb* nlmon* vnet* vmnet*";

/// Reads the network interfaces.
#[derive(Debug, Default)]
pub(in crate::sampler) struct Networks {
    files: Files,
    filter: NameFilter,
    /// The interfaces that were listed last. Those without labels are not reported.
    known: Vec<(String, Option<[DirectionLabels; 2]>)>,
    /// Whether there are more interfaces than are reported.
    too_many: bool,
    counters: Counters,
}

#[derive(Debug)]
struct DirectionLabels {
    interface: Labels,
    /// The convention has another attribute for packets.
    device: Labels,
}

impl Networks {
    pub(in crate::sampler) fn below(root: &Path, filter: NameFilter) -> Self {
        Self { files: Files::below(root), filter, ..Self::default() }
    }

    /// Calls `take` with the values of each reported interface. Malformed values are left out.
    fn each(&mut self, mut take: impl FnMut(&'static Metric, &Labels, f64)) -> Result<(), ProbeError> {
        let text = self.files.read("proc/net/dev")?.into_owned();
        // The two lines at the top have no colon.
        let interfaces =
            text.lines().filter_map(|line| line.rsplit_once(':')).map(|(name, line)| (name.trim(), line));
        let interfaces: Vec<_> = interfaces.filter(|(name, _)| !name.is_empty()).collect();
        if !interfaces.iter().map(|(name, _)| *name).eq(self.known.iter().map(|(name, _)| &**name)) {
            let names: Vec<_> = interfaces.iter().map(|(name, _)| *name).collect();
            (self.known, self.too_many) = recognize(&names, &self.files, &self.filter);
        }
        let now = clock::now();
        for ((_, line), (_, labels)) in interfaces.iter().zip(&self.known) {
            let Some(labels) = labels else { continue };
            let [received @ .., _, _, _, _, sent, sent_packets, sent_errors, sent_dropped] =
                numbers::<12>(line);
            for ([bytes, packets, errors, dropped], labels) in
                [received, [sent, sent_packets, sent_errors, sent_dropped]].into_iter().zip(labels)
            {
                for (metric, read, labels) in [
                    (&SYSTEM_NETWORK_IO, bytes, &labels.interface),
                    (&SYSTEM_NETWORK_PACKETS, packets, &labels.device),
                    (&SYSTEM_NETWORK_ERRORS, errors, &labels.interface),
                    (&SYSTEM_NETWORK_DROPPED, dropped, &labels.interface),
                ] {
                    // The counters of some drivers have 32 bits.
                    let shown = self.counters.take(metric, read.map(count), labels, now, &Rules::NARROW);
                    shown.into_iter().for_each(|shown| take(metric, labels, shown));
                }
            }
        }
        Ok(())
    }

    /// The sum of the reported interfaces.
    pub(in crate::sampler) fn totals(&mut self) -> Option<NetworkSnapshot> {
        let (mut received, mut sent, mut packets, mut errors, mut dropped) = (0.0, 0.0, 0.0, 0.0, 0.0);
        self.each(|metric, labels, shown| {
            let sends = labels.with(|labels| labels.contains(&("network.io.direction", "transmit")));
            let is = |known: &'static Metric| std::ptr::eq(metric, known);
            let total = if is(&SYSTEM_NETWORK_PACKETS) {
                &mut packets
            } else if is(&SYSTEM_NETWORK_ERRORS) {
                &mut errors
            } else if is(&SYSTEM_NETWORK_DROPPED) {
                &mut dropped
            } else if sends {
                &mut sent
            } else {
                &mut received
            };
            *total += shown;
        })
        .ok()?;
        let interfaces = self.known.iter().filter(|(_, labels)| labels.is_some()).count();
        let [received, sent, packets, errors, dropped] =
            [received, sent, packets, errors, dropped].map(whole);
        Some(NetworkSnapshot { interfaces, received, sent, packets, errors, dropped })
    }
}

impl Probe for Networks {
    fn sample(&mut self, sample: &mut Sample) -> Result<(), ProbeError> {
        self.each(|metric, labels, shown| sample.with(metric, shown, labels))?;
        too_many(self.too_many, "interfaces", &mut sample.failures);
        Ok(())
    }
}

/// The kind of an interface.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It belongs to a device.
    Card,
    /// It belongs to no device, and is not known to be virtual.
    Other,
    Virtual,
}

/// The interfaces with these names, with labels if they are reported, and whether there are more than are reported.
#[allow(clippy::type_complexity)]
fn recognize(
    names: &[&str],
    files: &Files,
    filter: &NameFilter,
) -> (Vec<(String, Option<[DirectionLabels; 2]>)>, bool) {
    let kinds: Vec<_> = names.iter().map(|name| kind(files, name)).collect();
    let cards = kinds.contains(&Kind::Card);
    let (mut room, mut too_many) = (DEVICES, false);
    let recognize = |(name, kind): (&&str, Kind)| {
        let by_kind = kind == Kind::Card || kind == Kind::Other && !cards;
        let taken = filter.decide(name).unwrap_or(by_kind);
        let fits = taken && room > 0;
        room -= usize::from(fits);
        too_many |= taken && !fits;
        ((*name).to_owned(), fits.then(|| labels(name)))
    };
    (names.iter().zip(kinds).map(recognize).collect(), too_many)
}

fn kind(files: &Files, name: &str) -> Kind {
    let folder = files.path("sys/class/net").join(name);
    let has = |what| folder.join(what).exists();
    if VIRTUAL.split(' ').any(|pattern| matches(pattern, name)) {
        Kind::Virtual
    } else if has("device") {
        // If the master of a card is a card too, as in some clouds, the master counts the packets of both.
        if has("master/device") { Kind::Virtual } else { Kind::Card }
    } else if has("master") || has("bridge") || has("bonding") {
        Kind::Virtual
    } else {
        Kind::Other
    }
}

fn labels(name: &str) -> [DirectionLabels; 2] {
    ["receive", "transmit"].map(|direction| DirectionLabels {
        interface: Labels::new([("network.interface.name", name), ("network.io.direction", direction)]),
        device: Labels::new([("network.io.direction", direction), ("system.device", name)]),
    })
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{devices, one, read, tree, write};
    use super::*;

    const HEAD: &str = "Inter-|   Receive                            |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

    fn networks(names: &[&str], links: &[&str], filter: &[&str]) -> (tempfile::TempDir, Networks) {
        let root = tree(&[]);
        listed(&root, names);
        links.iter().for_each(|link| write(&root, &format!("sys/class/net/{link}/"), ""));
        let networks = Networks::below(root.path(), NameFilter::new(filter));
        (root, networks)
    }

    fn listed(root: &tempfile::TempDir, names: &[&str]) {
        let row = |name: &&str| format!("{name:>6}: 1000 20 3 4 0 0 0 0 5000 60 7 8 0 0 0 0\n");
        write(root, "proc/net/dev", &(HEAD.to_owned() + &names.iter().map(row).collect::<String>()));
    }

    fn seen(networks: &mut Networks) -> Vec<String> {
        devices(&read(networks), SYSTEM_NETWORK_IO.name, 0)
    }

    #[test]
    fn p41_on_a_machine_the_cards_are_reported() {
        let names =
            ["lo", "eth0", "wlan0", "eth0.100", "br0", "bond0", "docker0", "veth12ab", "tun0", "macvlan1"];
        let (_root, mut networks) = networks(
            &names,
            &["eth0/device", "wlan0/device", "br0/bridge", "bond0/bonding", "eth0/master"],
            &[],
        );
        let readings = read(&mut networks);
        assert_eq!(devices(&readings, SYSTEM_NETWORK_IO.name, 0), ["eth0", "wlan0"]);
        assert_eq!(one(&readings, "system.network.io eth0 receive"), Some(1000.0));
        assert_eq!(one(&readings, "system.network.io eth0 transmit"), Some(5000.0));
        assert_eq!(one(&readings, "system.network.packet.count transmit eth0"), Some(60.0));
        assert_eq!(one(&readings, "system.network.errors eth0 receive"), Some(3.0));
        assert_eq!(one(&readings, "system.network.packet.dropped eth0 transmit"), Some(8.0));
        let totals = networks.totals().unwrap();
        assert_eq!((totals.interfaces, totals.received, totals.sent, totals.packets), (2, 2000, 10_000, 160));
        assert_eq!((totals.errors, totals.dropped), (20, 24));
    }

    #[test]
    fn p41_in_a_container_its_own_interface_is_reported() {
        let names = ["lo", "tunl0", "sit0", "ip6tnl0", "gre0", "eth0", "docker0", "vethabc", "br7"];
        let (_root, mut networks) = networks(&names, &["br7/bridge"], &[]);
        assert_eq!(seen(&mut networks), ["eth0"]);
    }

    #[test]
    fn p41_a_card_behind_a_card_is_counted_once() {
        let links = ["eth0/device", "enP1s1/device", "enP1s1/master/device"];
        let (_root, mut networks) = networks(&["lo", "eth0", "enP1s1"], &links, &[]);
        assert_eq!(seen(&mut networks), ["eth0"]);
    }

    #[test]
    fn patterns_override_the_default() {
        let (_root, mut networks) = networks(&["lo", "eth0", "eth1"], &["eth0/device"], &["lo", "!eth0"]);
        assert_eq!(seen(&mut networks), ["lo"]);
    }

    #[test]
    fn p41_a_removed_interface_has_no_series_and_unusual_names_are_kept() {
        let names = ["lo", "eth0", "a@b-ö.7\u{1}"];
        let (root, mut networks) = networks(&names, &["eth0/device", "a@b-ö.7\u{1}/device"], &[]);
        assert_eq!(seen(&mut networks), names[1..]);
        listed(&root, &["lo", names[2]]);
        assert_eq!(seen(&mut networks), [names[2]]);
        listed(&root, &names);
        assert_eq!(seen(&mut networks), names[1..]);
    }

    #[tokio::test(start_paused = true)]
    async fn p41_a_replaced_interface_continues_the_counters_and_one_of_32_bits_wraps() {
        let (root, mut networks) = networks(&["eth0"], &[], &[]);
        let mut received = async |bytes: u64| {
            write(&root, "proc/net/dev", &format!("eth0: {bytes} 20 3 4 0 0 0 0 5000 60 7 8 0 0 0 0\n"));
            tokio::time::advance(std::time::Duration::from_secs(10)).await;
            let totals = networks.totals().unwrap();
            assert_eq!(
                one(&read(&mut networks), "system.network.io eth0 receive"),
                Some(totals.received as f64)
            );
            totals.received
        };
        // Another interface gets the name.
        assert_eq!(received(4_000_000_000_000).await, 4_000_000_000_000);
        assert_eq!(received(700).await, 4_000_000_000_000);
        assert_eq!(received(1_700).await, 4_000_000_001_000);
        let (root, mut networks) = self::networks(&["eth0"], &[], &[]);
        let mut received = async |bytes: u64| {
            write(&root, "proc/net/dev", &format!("eth0: {bytes} 20 3 4 0 0 0 0 5000 60 7 8 0 0 0 0\n"));
            tokio::time::advance(std::time::Duration::from_secs(10)).await;
            networks.totals().unwrap().received
        };
        assert_eq!(received(u64::from(u32::MAX)).await, u64::from(u32::MAX));
        received(10).await;
        assert_eq!(received(20).await, (1 << 32) + 20);
    }

    #[test]
    fn p40_a_malformed_value_does_not_affect_the_others() {
        let (root, mut networks) = networks(&[], &[], &[]);
        assert_eq!(seen(&mut networks), [""; 0]);
        write(
            &root,
            "proc/net/dev",
            "eth0: 1 2\neth1: x -2 3 4 x 6 7 8 9 10 11 12 13 14 15 16\n:\n: 1\n\u{0}\n",
        );
        let readings = read(&mut networks);
        assert_eq!(readings.len(), 2 + 6, "{readings:?}");
        assert_eq!(one(&readings, "system.network.io eth0 receive"), Some(1.0));
        assert_eq!(one(&readings, "system.network.io eth1 transmit"), Some(9.0));
        assert_eq!(one(&readings, "system.network.errors eth1 receive"), Some(3.0));
        std::fs::remove_file(root.path().join("proc/net/dev")).unwrap();
        assert!(networks.sample(&mut Sample::default()).is_err());
    }
}
