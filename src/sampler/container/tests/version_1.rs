//! Groups of version 1, and of both versions at once.

use std::time::Duration;

use super::{Machine, UNLIMITED, pass};
use crate::signal::{
    CONTAINER_CPU_LIMIT, CONTAINER_CPU_PERIODS, CONTAINER_CPU_THROTTLED, CONTAINER_CPU_TIME,
    CONTAINER_CPU_USAGE, CONTAINER_CPU_UTILIZATION, CONTAINER_MEMORY_AVAILABLE, CONTAINER_MEMORY_EVENTS,
    CONTAINER_MEMORY_LIMIT, CONTAINER_MEMORY_USAGE, CONTAINER_MEMORY_UTILIZATION,
    CONTAINER_MEMORY_WORKING_SET, PRESSURE_RECENT,
};

/// The hierarchies of a Docker container with version 1. Each mount shows only the group of the container.
fn docker_v1() -> Machine {
    let ticks = procfs::ticks_per_second();
    let mut mountinfo = String::new();
    for (number, controllers) in ["cpu,cpuacct", "memory", "cpuset"].into_iter().enumerate() {
        mountinfo += &format!(
            "{number} 24 0:26 /docker/3f4a /sys/fs/cgroup/{controllers} ro,nosuid master:11 - cgroup cgroup rw,{controllers}\n"
        );
    }
    let cgroup = "12:memory:/docker/3f4a\n7:cpu,cpuacct:/docker/3f4a\n3:cpuset:/docker/3f4a\n1:name=systemd:/docker/3f4a\n";
    let machine = Machine::new(cgroup, &mountinfo);
    machine.group(
        "sys/fs/cgroup/cpu,cpuacct",
        &[
            ("cpu.cfs_quota_us", "150000\n"),
            ("cpu.cfs_period_us", "100000\n"),
            ("cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 2500000000\n"),
            ("cpuacct.usage", "3000000000\n"),
            ("cpuacct.stat", &format!("user {}\nsystem {}\n", 2 * ticks, ticks)),
        ],
    );
    machine.group("sys/fs/cgroup/cpuset", &[("cpuset.cpus", "0-3\n"), ("cpuset.effective_cpus", "1\n")]);
    machine.group(
        "sys/fs/cgroup/memory",
        &[
            ("memory.usage_in_bytes", "200000000\n"),
            ("memory.limit_in_bytes", "400000000\n"),
            ("memory.use_hierarchy", "1\n"),
            ("memory.failcnt", "5\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"),
            (
                "memory.stat",
                "cache 1\ninactive_file 9\nhierarchical_memory_limit 400000000\ntotal_inactive_file 50000000\n",
            ),
        ],
    );
    machine
}

#[tokio::test(start_paused = true)]
async fn p41_docker_with_version_1() {
    let mut machine = docker_v1();
    let first = machine.read();
    first.is(&CONTAINER_CPU_TIME, &["user"], 2.0);
    first.is(&CONTAINER_CPU_TIME, &["system"], 1.0);
    // Its set has one processor, although the quota would allow one and a half.
    first.is(&CONTAINER_CPU_LIMIT, &[], 1.0);
    first.is(&CONTAINER_CPU_PERIODS, &["throttled"], 4.0);
    first.is(&CONTAINER_CPU_PERIODS, &["unthrottled"], 6.0);
    first.is(&CONTAINER_CPU_THROTTLED, &[], 2.5);
    first.is(&CONTAINER_MEMORY_WORKING_SET, &[], 150_000_000.0);
    first.is(&CONTAINER_MEMORY_LIMIT, &[], 400_000_000.0);
    first.is(&CONTAINER_MEMORY_UTILIZATION, &[], 0.375);
    first.is(&CONTAINER_MEMORY_EVENTS, &["max"], 5.0);
    first.is(&CONTAINER_MEMORY_EVENTS, &["oom_kill"], 1.0);
    first.is(&CONTAINER_MEMORY_EVENTS, &["high"], None);
    assert!(machine.limits.cpu() && machine.limits.memory());

    pass(Duration::from_secs(2)).await;
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "4500000000\n");
    let second = machine.read();
    second.is(&CONTAINER_CPU_USAGE, &[], 0.75);
    second.is(&CONTAINER_CPU_UTILIZATION, &[], 0.75);

    // No limits: the quota is -1, and the limit of memory is the largest number of pages.
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    machine.write("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0-3\n");
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", &format!("{UNLIMITED}\n"));
    machine.write("sys/fs/cgroup/memory/memory.stat", &format!("hierarchical_memory_limit {UNLIMITED}\n"));
    let third = machine.read();
    third.is(&CONTAINER_CPU_LIMIT, &[], None);
    third.is(&CONTAINER_MEMORY_LIMIT, &[], None);
    assert!(!machine.limits.cpu() && !machine.limits.memory());
}

#[test]
fn p41_a_limit_of_a_group_that_is_not_visible_counts() {
    let mut machine = docker_v1();
    machine.write("sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit 250000000\n");
    let read = machine.read();
    read.is(&CONTAINER_MEMORY_LIMIT, &[], 250_000_000.0);
    read.is(&CONTAINER_MEMORY_UTILIZATION, &[], 0.8);
    read.is(&CONTAINER_MEMORY_AVAILABLE, &[], 50_000_000.0);
}

#[test]
fn p41_both_versions_at_once() {
    let mountinfo = "1 2 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        2 2 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        3 2 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let cgroup = "5:memory:/user.slice\n4:cpu,cpuacct:/\n0::/user.slice/session.scope\n";
    let mut machine = Machine::new(cgroup, mountinfo);
    // The root of a hierarchy is the machine and no container.
    let roots =
        [("cgroup.sane_behavior", "0\n"), ("cpuacct.usage", "77\n"), ("memory.usage_in_bytes", "88\n")];
    machine.group("sys/fs/cgroup/cpu,cpuacct", &roots);
    machine.group("sys/fs/cgroup/memory", &roots);
    machine.group(
        "sys/fs/cgroup/memory/user.slice",
        &[("memory.usage_in_bytes", "500\n"), ("memory.limit_in_bytes", "1000\n")],
    );
    machine.group("sys/fs/cgroup/unified", &[]);
    machine.v2("sys/fs/cgroup/unified/user.slice", &[]);
    machine.v2(
        "sys/fs/cgroup/unified/user.slice/session.scope",
        &[
            ("cpu.stat", "usage_usec 1\n"),
            ("io.pressure", "full avg10=50.00 avg60=0 avg300=0 total=1000000\n"),
        ],
    );
    let read = machine.read();
    read.is(&CONTAINER_MEMORY_USAGE, &[], 500.0);
    read.is(&CONTAINER_MEMORY_UTILIZATION, &[], 0.5);
    read.is(&CONTAINER_CPU_TIME, &["user"], None);
    read.is(&CONTAINER_CPU_TIME, &[], None);
    read.is(&CONTAINER_CPU_LIMIT, &[], None);
    read.is(&PRESSURE_RECENT, &["io", "container", "full"], 0.5);
    assert!(!machine.limits.cpu() && machine.limits.memory());
}
