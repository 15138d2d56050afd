use super::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

fn backoff(first: u64, max: u64) -> Backoff {
    Backoff { first: Duration::from_millis(first), max: Duration::from_millis(max) }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_there_once_and_in_one_hand() {
    let queue = Queue::default();
    queue.add("a");
    queue.add("a");
    queue.add("b");
    assert_eq!(queue.take().await, Some("a"));
    queue.add("a");
    assert_eq!((queue.take().await, queue.len()), (Some("b"), 0));
    queue.done(&"a", Done::Ok);
    assert_eq!(queue.take().await, Some("a"));
    queue.done(&"a", Done::Ok);
    queue.done(&"b", Done::Ok);
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_each_time_and_success_forgets_them() {
    let queue = Queue::new(backoff(10, 35));
    queue.add("a");
    let mut waits = Vec::new();
    for done in [Done::Retry, Done::Retry, Done::Retry, Done::Retry, Done::Ok] {
        let start = Instant::now();
        let key = queue.take().await.unwrap();
        waits.push(start.elapsed().as_millis());
        queue.done(&key, done);
    }
    assert_eq!(waits, [0, 10, 20, 35, 35]);
    queue.add("a");
    let key = queue.take().await.unwrap();
    queue.done(&key, Done::Retry);
    let start = Instant::now();
    assert_eq!(queue.take().await, Some("a"));
    assert_eq!(start.elapsed().as_millis(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_earliest_time_counts() {
    let queue = Queue::default();
    let start = Instant::now();
    for delay in [300, 100, 200] {
        queue.add_after("a", Duration::from_millis(delay));
    }
    assert_eq!(queue.take().await, Some("a"));
    assert_eq!(start.elapsed().as_millis(), 100);
    queue.done(&"a", Done::Ok);
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_learns_of_an_earlier_time() {
    let queue = Queue::default();
    queue.add_after("late", Duration::from_secs(100));
    let taker = tokio::spawn({
        let queue = queue.clone();
        async move { (queue.take().await, Instant::now()) }
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    queue.add_after("soon", Duration::from_secs(1));
    let (key, then) = taker.await.unwrap();
    assert_eq!((key, (then - start).as_secs()), (Some("soon"), 1));
}

#[tokio::test]
async fn closing_ends_every_worker() {
    let queue: Queue<u32> = Queue::default();
    let work = tokio::spawn({
        let queue = queue.clone();
        async move { queue.work(4, |_| async { Done::Ok }).await }
    });
    queue.add(1);
    queue.close();
    work.await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever the order of additions: every key is worked on after its last addition, and never twice at once.
    #[test]
    fn every_addition_is_followed_by_work(
        adds in proptest::collection::vec((0_usize..5, 0_u64..4), 1..60),
        n_workers in 1_usize..5,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let queue: Queue<usize> = Queue::new(backoff(1, 8));
            let wanted: Arc<Vec<AtomicUsize>> = Arc::new((0..5).map(|_| AtomicUsize::new(0)).collect());
            let seen: Arc<Vec<AtomicUsize>> = Arc::new((0..5).map(|_| AtomicUsize::new(0)).collect());
            let busy: Arc<Vec<AtomicUsize>> = Arc::new((0..5).map(|_| AtomicUsize::new(0)).collect());
            let calls = Arc::new(AtomicUsize::new(0));
            let work = tokio::spawn({
                let (queue, wanted, seen, busy, calls) =
                    (queue.clone(), Arc::clone(&wanted), Arc::clone(&seen), Arc::clone(&busy), Arc::clone(&calls));
                async move {
                    queue.work(n_workers, move |key| {
                        let (wanted, seen, busy, calls) = (Arc::clone(&wanted), Arc::clone(&seen), Arc::clone(&busy), Arc::clone(&calls));
                        async move {
                            assert_eq!(busy[key].fetch_add(1, Ordering::SeqCst), 0, "in two hands");
                            let version = wanted[key].load(Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(2)).await;
                            seen[key].store(version, Ordering::SeqCst);
                            busy[key].fetch_sub(1, Ordering::SeqCst);
                            if calls.fetch_add(1, Ordering::SeqCst) % 3 == 0 { Done::Retry } else { Done::Ok }
                        }
                    }).await;
                }
            });
            for (at, (key, delay)) in adds.iter().enumerate() {
                wanted[*key].store(at + 1, Ordering::SeqCst);
                queue.add_after(*key, Duration::from_millis(*delay));
                if at % 3 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            while !queue.is_idle() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for key in 0..5 {
                assert_eq!(wanted[key].load(Ordering::SeqCst), seen[key].load(Ordering::SeqCst));
            }
            queue.close();
            work.await.unwrap();
        });
    }
}
