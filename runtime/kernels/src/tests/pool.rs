use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::{KernelError, ThreadPool};

#[test]
fn every_task_runs_once_for_any_number_of_tasks_and_threads() {
    for threads in [0, 1, 2, 3, 8] {
        let pool = ThreadPool::new(threads).unwrap();
        assert_eq!(pool.threads(), threads.max(1));
        for tasks in [0, 1, 2, 7, 1000] {
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, &|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            })
            .unwrap();
            assert!(
                counts.iter().all(|c| c.load(Ordering::Relaxed) == 1),
                "{threads} threads, {tasks} tasks"
            );
        }
    }
}

#[test]
fn many_jobs_in_a_row_with_pauses_between_them_lose_no_task() {
    let pool = ThreadPool::new(3).unwrap();
    let sum = AtomicUsize::new(0);
    for round in 0..3000 {
        pool.run(5, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        })
        .unwrap();
        if round % 100 == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    assert_eq!(sum.load(Ordering::Relaxed), 30_000);
}

#[test]
fn a_panic_becomes_an_error_and_the_pool_goes_on() {
    for threads in [1, 2] {
        let pool = ThreadPool::new(threads).unwrap();
        for _ in 0..20 {
            let error = pool.run(4, &|i| assert!(i != 2, "task two is broken")).unwrap_err();
            assert!(matches!(&error, KernelError::Task(m) if m.contains("task two is broken")), "{error}");
            pool.run(4, &|_| ()).unwrap();
        }
    }
}

#[test]
fn a_task_may_use_its_own_pool() {
    let pool = ThreadPool::new(2).unwrap();
    let count = AtomicUsize::new(0);
    pool.run(4, &|_| {
        pool.run(3, &|_| {
            count.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    })
    .unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 12);
}

#[test]
fn callers_on_several_threads_take_turns() {
    let pool = ThreadPool::new(2).unwrap();
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.run(3, &|_| {
                        count.fetch_add(1, Ordering::Relaxed);
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(count.load(Ordering::Relaxed), 2400);
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_pool_uses_no_processor_time() {
    // This measures the processor time of the whole process, so it is sharp only if the test runs in its own process
    // (nextest). Other tests that sleep do not disturb it.
    let ticks = || {
        let total: u64 = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|t| {
                let path = t.unwrap().path();
                let name = std::fs::read_to_string(path.join("comm")).ok()?;
                let stat = std::fs::read_to_string(path.join("schedstat")).ok()?;
                name.starts_with("kernel-").then(|| stat.split(' ').next().unwrap().parse::<u64>().unwrap())
            })
            .sum();
        total
    };
    let pool = ThreadPool::new(4).unwrap();
    pool.run(16, &|_| ()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = ticks();
    std::thread::sleep(Duration::from_millis(500));
    let used = ticks().saturating_sub(before);
    assert!(used < 5_000_000, "{used} ns in half a second");
}
