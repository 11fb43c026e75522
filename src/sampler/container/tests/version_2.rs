//! Groups of version 2.

use std::time::Duration;

use super::{Machine, V2_MOUNT, cpu_stat, pass};
use crate::signal::Watched;
use crate::signal::{
    CONTAINER_CPU_LIMIT, CONTAINER_CPU_PERIODS, CONTAINER_CPU_THROTTLED, CONTAINER_CPU_TIME,
    CONTAINER_CPU_USAGE, CONTAINER_CPU_UTILIZATION, CONTAINER_MEMORY_AVAILABLE, CONTAINER_MEMORY_EVENTS,
    CONTAINER_MEMORY_LIMIT, CONTAINER_MEMORY_USAGE, CONTAINER_MEMORY_UTILIZATION,
    CONTAINER_MEMORY_WORKING_SET, PRESSURE_RECENT, PRESSURE_TIME,
};

#[tokio::test(start_paused = true)]
async fn p41_docker_with_version_2() {
    // In its own namespace the group looks like the root, but is not.
    let mut machine = Machine::new("0::/\n", V2_MOUNT);
    let own = "sys/fs/cgroup";
    machine.v2(
        own,
        &[
            ("cpu.max", "50000 100000\n"),
            ("cpu.stat", &cpu_stat(8_000_000, 100, 30)),
            ("cpuset.cpus.effective", "0-3\n"),
            ("memory.current", "400000000\n"),
            ("memory.max", "536870912\n"),
            ("memory.high", "max\n"),
            ("memory.stat", "anon 250000000\nfile 150000000\nkernel 1\ninactive_anon 5\ninactive_file 100000000\n"),
            ("memory.events", "low 9\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 0\n"),
            ("cpu.pressure", "some avg10=25.00 avg60=1.00 avg300=1.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"),
            ("memory.pressure", "some avg10=1.00 avg60=1.00 avg300=1.00 total=7\n"),
        ],
    );
    let first = machine.read();
    first.is(&CONTAINER_CPU_TIME, &["user"], 6.0);
    first.is(&CONTAINER_CPU_TIME, &["system"], 2.0);
    first.is(&CONTAINER_CPU_USAGE, &[], None);
    first.is(&CONTAINER_CPU_LIMIT, &[], 0.5);
    first.is(&CONTAINER_CPU_UTILIZATION, &[], None);
    first.is(&CONTAINER_CPU_PERIODS, &["throttled"], 30.0);
    first.is(&CONTAINER_CPU_PERIODS, &["unthrottled"], 70.0);
    first.is(&CONTAINER_CPU_THROTTLED, &[], 1.5);
    first.is(&CONTAINER_MEMORY_USAGE, &[], 400_000_000.0);
    first.is(&CONTAINER_MEMORY_WORKING_SET, &[], 300_000_000.0);
    first.is(&CONTAINER_MEMORY_AVAILABLE, &[], 236_870_912.0);
    first.is(&CONTAINER_MEMORY_LIMIT, &[], 536_870_912.0);
    first.is(&CONTAINER_MEMORY_UTILIZATION, &[], 300_000_000.0 / 536_870_912.0);
    for (event, times) in [("high", 0.0), ("max", 17.0), ("oom", 3.0), ("oom_kill", 2.0)] {
        first.is(&CONTAINER_MEMORY_EVENTS, &[event], times);
    }
    first.is(&PRESSURE_TIME, &["cpu", "container", "some"], 2.5);
    first.is(&PRESSURE_RECENT, &["cpu", "container", "some"], 0.25);
    first.is(&PRESSURE_TIME, &["memory", "container", "some"], 7e-6);
    first.is(&PRESSURE_TIME, &["memory", "container", "full"], None);
    assert!(machine.limits.cpu() && machine.limits.memory());
    assert_eq!(first.watched(), [(Watched::Memory, 300_000_000.0 / 536_870_912.0)]);

    pass(Duration::from_secs(10)).await;
    machine.write(&format!("{own}/cpu.stat"), &cpu_stat(12_000_000, 200, 130));
    let second = machine.read();
    second.is(&CONTAINER_CPU_USAGE, &[], 0.4);
    second.is(&CONTAINER_CPU_UTILIZATION, &[], 0.8);
    assert_eq!(second.watched()[0], (Watched::Cpu, 0.8));

    // The limits are removed while it runs.
    machine.write(&format!("{own}/cpu.max"), "max 100000\n");
    machine.write(&format!("{own}/memory.max"), "max\n");
    pass(Duration::from_secs(10)).await;
    let third = machine.read();
    third.is(&CONTAINER_CPU_USAGE, &[], 0.0);
    for metric in [
        &CONTAINER_CPU_LIMIT,
        &CONTAINER_CPU_UTILIZATION,
        &CONTAINER_CPU_THROTTLED,
        &CONTAINER_MEMORY_LIMIT,
        &CONTAINER_MEMORY_UTILIZATION,
        &CONTAINER_MEMORY_AVAILABLE,
    ] {
        third.is(metric, &[], None);
    }
    assert!(!machine.limits.cpu() && !machine.limits.memory() && third.watched().is_empty());
}

#[tokio::test(start_paused = true)]
async fn p41_kubernetes_where_the_pod_has_the_smaller_limit() {
    let (slice, pod) = ("sys/fs/cgroup/kubepods.slice", "sys/fs/cgroup/kubepods.slice/kubepods-pod7.slice");
    let own = format!("{pod}/cri-containerd-1a.scope");
    let mut machine =
        Machine::new("0::/kubepods.slice/kubepods-pod7.slice/cri-containerd-1a.scope\n", V2_MOUNT);
    machine.group("sys/fs/cgroup", &[("cpu.stat", "usage_usec 1\n"), ("memory.stat", "anon 1\n")]);
    let group = |folder: &str, cpu: &str, usage: u64, memory: &str, used: u64, kills: u64| {
        machine.v2(
            folder,
            &[
                ("cpu.max", cpu),
                ("cpu.stat", &cpu_stat(usage, usage / 100_000, usage / 200_000)),
                ("memory.max", memory),
                ("memory.high", "max\n"),
                ("memory.current", &format!("{used}\n")),
                ("memory.stat", "inactive_file 0\n"),
                ("memory.events", &format!("low 0\nhigh 0\nmax {kills}\noom {kills}\noom_kill {kills}\n")),
            ],
        );
    };
    group(slice, "max 100000\n", 90_000_000, "6000000000\n", 900_000_000, 50);
    group(pod, "100000 100000\n", 2_000_000, "1000000000\n", 800_000_000, 4);
    group(&own, "200000 100000\n", 1_000_000, "2000000000\n", 300_000_000, 1);
    let first = machine.read();
    first.is(&CONTAINER_CPU_LIMIT, &[], 1.0);
    first.is(&CONTAINER_CPU_PERIODS, &["throttled"], 10.0);
    first.is(&CONTAINER_MEMORY_USAGE, &[], 300_000_000.0);
    first.is(&CONTAINER_MEMORY_LIMIT, &[], 1_000_000_000.0);
    // Memory that another container of the pod uses is not available.
    first.is(&CONTAINER_MEMORY_AVAILABLE, &[], 200_000_000.0);
    first.is(&CONTAINER_MEMORY_UTILIZATION, &[], 0.8);
    // The limit was reached in the pod. Killed processes are those of this container.
    first.is(&CONTAINER_MEMORY_EVENTS, &["oom"], 4.0);
    first.is(&CONTAINER_MEMORY_EVENTS, &["oom_kill"], 1.0);

    pass(Duration::from_secs(1)).await;
    machine.write(&format!("{pod}/cpu.stat"), &cpu_stat(2_900_000, 30, 20));
    machine.write(&format!("{own}/cpu.stat"), &cpu_stat(1_200_000, 0, 0));
    let second = machine.read();
    second.is(&CONTAINER_CPU_USAGE, &[], 0.2);
    second.is(&CONTAINER_CPU_UTILIZATION, &[], 0.9);
    second.is(&CONTAINER_CPU_PERIODS, &["throttled"], 20.0);

    // Now the quota of the container is the smallest. Its counters are different ones, and add nothing.
    machine.write(&format!("{own}/cpu.max"), "50000 100000\n");
    machine.write(&format!("{own}/cpu.stat"), &cpu_stat(1_200_000, 700, 600));
    pass(Duration::from_secs(1)).await;
    machine.read().is(&CONTAINER_CPU_PERIODS, &["throttled"], 20.0);
}

#[test]
fn p41_a_service_of_systemd() {
    // On the machine: no quota, a soft limit of memory, two of four processors.
    let mut machine = Machine::new("0::/system.slice/odd name.service\n", V2_MOUNT);
    machine.group("sys/fs/cgroup", &[("cpu.stat", "usage_usec 5\n")]);
    machine.v2("sys/fs/cgroup/system.slice", &[("cpu.max", "max 100000\n"), ("memory.max", "max\n")]);
    machine.v2(
        "sys/fs/cgroup/system.slice/odd name.service",
        &[
            ("cpu.max", "max 100000\n"),
            ("cpu.stat", "usage_usec 40\nuser_usec 30\nsystem_usec 10\n"),
            ("cpuset.cpus.effective", "1,3\n"),
            ("memory.current", "30\n"),
            ("memory.max", "max\n"),
            ("memory.high", "100\n"),
        ],
    );
    let read = machine.read();
    read.is(&CONTAINER_CPU_LIMIT, &[], 2.0);
    read.is(&CONTAINER_CPU_PERIODS, &["throttled"], None);
    read.is(&CONTAINER_MEMORY_LIMIT, &[], 100.0);
    read.is(&CONTAINER_MEMORY_WORKING_SET, &[], 30.0);
    assert!(machine.limits.cpu() && machine.limits.memory());

    // A limit above what the machine has is reported, and not watched.
    machine.write("sys/fs/cgroup/system.slice/odd name.service/memory.high", "90000000000\n");
    machine.write("sys/fs/cgroup/system.slice/odd name.service/cpuset.cpus.effective", "0-3\n");
    machine.write("sys/fs/cgroup/system.slice/odd name.service/cpu.max", "800000 100000\n");
    let read = machine.read();
    read.is(&CONTAINER_CPU_LIMIT, &[], 4.0);
    read.is(&CONTAINER_MEMORY_LIMIT, &[], 90_000_000_000.0);
    assert!(!machine.limits.cpu() && !machine.limits.memory() && read.watched().is_empty());
}
