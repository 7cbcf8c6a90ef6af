//! A store that fails or "kills the process" at the append that a test names, and shows each append.

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use ocim::simulation::OpenedStore;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::sealed::SealedStore;
use ocim_engine::store::{
    AppendError, Appended, Capabilities, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// When something happens to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing of it was written.
    Before,
    /// It was written.
    After,
}

/// Which append is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The n-th from the order on, counted from 0.
    Nth(usize),
    /// The first event of one of these kinds about this step; empty for those about none.
    Step(&'static [&'static str], &'static str),
}

/// What happens to the append that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The process dies there: the call never returns.
    Crash,
    /// The store says that it can't be reached.
    Outage,
    /// It takes a second, in which others may append.
    Slowness,
}

/// An append, shown before and after it is made.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) moment: Moment,
    /// Which one since the watch began, counted from 0.
    pub(crate) nth: usize,
    events: &'a [NewEvent],
}

impl Sight<'_> {
    /// The kind of its first event.
    pub(crate) fn kind(&self) -> &str {
        &self.events[0].kind
    }

    /// The step that its first event is about; empty where it is about none.
    pub(crate) fn step(&self) -> &str {
        self.events[0].data["step"].as_str().unwrap_or_default()
    }
}

type Watcher = Box<dyn Fn(&Sight<'_>) + Send>;

/// Who is shown the appends, and how many there were.
#[derive(Default)]
struct Watch {
    watcher: Option<Watcher>,
    appends: usize,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("appends", &self.appends).finish_non_exhaustive()
    }
}

/// An event store in memory with orders of harm.
#[derive(Debug)]
pub(crate) struct CrashStore {
    inner: MemoryStore,
    /// Reads are deciphered once: that is a third of the time of these tests.
    opened: OpenedStore,
    orders: Mutex<Orders>,
    watch: Mutex<Watch>,
    crashed: Notify,
    slowed: Notify,
    reads: Arc<Mutex<Reads>>,
}

/// What was read since the store was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Calls of the store.
    pub(crate) calls: usize,
    /// Events that they gave.
    pub(crate) events: usize,
}

#[derive(Debug, Default)]
struct Orders {
    order: Option<(Mark, Moment, Harm)>,
    appends: usize,
    struck: bool,
    reads_to_fail: Option<usize>,
    refuses_facts: bool,
    meanwhile: Option<(StreamId, usize, NewEvent)>,
}

impl CrashStore {
    /// Over that log, which `opening` can read.
    pub(crate) fn new(inner: MemoryStore, opening: SealedStore) -> Self {
        let (orders, watch) = (Mutex::default(), Mutex::default());
        let opened = OpenedStore::new(Arc::new(inner.clone()), opening);
        let (crashed, slowed) = (Notify::new(), Notify::new());
        Self { inner, opened, orders, watch, crashed, slowed, reads: Arc::default() }
    }

    /// What was read until now, by whoever.
    pub(crate) fn reads(&self) -> Reads {
        *self.reads.lock().unwrap()
    }

    fn count(&self, events: usize) {
        let mut reads = self.reads.lock().unwrap();
        reads.calls += 1;
        reads.events += events;
    }

    /// Shows every append from now on.
    pub(crate) fn watch(&self, watcher: impl Fn(&Sight<'_>) + Send + 'static) {
        *self.watch.lock().unwrap() = Watch { watcher: Some(Box::new(watcher)), appends: 0 };
    }

    fn show(&self, moment: Moment, events: &[NewEvent]) {
        let mut watch = self.watch.lock().unwrap();
        if let Some(watcher) = &watch.watcher {
            watcher(&Sight { moment, nth: watch.appends, events });
        }
        watch.appends += usize::from(moment == Moment::After);
    }

    /// Orders one harm; counting begins anew.
    pub(crate) fn order(&self, mark: Mark, moment: Moment, harm: Harm) {
        *self.orders() = Orders { order: Some((mark, moment, harm)), ..Orders::default() };
    }

    /// The n-th read of a stream from now on fails, counted from 0.
    pub(crate) fn fail_read(&self, nth: usize) {
        *self.orders() = Orders { reads_to_fail: Some(nth), ..Orders::default() };
    }

    /// Before it is read so many more times, and once more, somebody else appends this to the stream.
    pub(crate) fn append_meanwhile(&self, stream: StreamId, reads: usize, event: NewEvent) {
        *self.orders() = Orders { meanwhile: Some((stream, reads, event)), ..Orders::default() };
    }

    /// From now on, all that is not the log of a run is refused for good; or no more.
    pub(crate) fn refuse_facts(&self, refuses: bool) {
        self.orders().refuses_facts = refuses;
    }

    /// Whether the ordered harm was done.
    pub(crate) fn struck(&self) -> bool {
        self.orders().struck
    }

    /// Returns when the process "died".
    pub(crate) async fn crash(&self) {
        self.crashed.notified().await;
    }

    /// Returns when an append begins to be slow.
    pub(crate) async fn slowness(&self) {
        self.slowed.notified().await;
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap()
    }

    fn strike(&self, events: &[NewEvent]) -> Option<(Moment, Harm)> {
        let mut orders = self.orders();
        let nth = orders.appends;
        orders.appends += 1;
        let (mark, moment, harm) = orders.order.clone()?;
        let is_meant = match mark {
            Mark::Nth(wanted) => wanted == nth,
            Mark::Step(kinds, step) => events.iter().any(|event| {
                let about = event.data["step"].as_str().unwrap_or_default();
                kinds.contains(&event.kind.as_str()) && about == step
            }),
        };
        if !is_meant {
            return None;
        }
        orders.order = None;
        orders.struck = true;
        Some((moment, harm))
    }

    fn take_meanwhile(&self, stream: &StreamId) -> Option<NewEvent> {
        let mut orders = self.orders();
        let (_, left, _) = orders.meanwhile.as_mut().filter(|(of, ..)| of == stream)?;
        if *left == 0 {
            return orders.meanwhile.take().map(|(.., event)| event);
        }
        *left -= 1;
        None
    }

    /// The error that the harm brings, if it brings one.
    async fn harm(&self, harm: Harm) -> Result<(), AppendError> {
        match harm {
            Harm::Outage => Err(AppendError::Unavailable("ordered".into())),
            Harm::Crash => {
                self.crashed.notify_one();
                std::future::pending().await
            }
            Harm::Slowness => {
                self.slowed.notify_one();
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl EventStore for CrashStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.show(Moment::Before, &events);
        if self.orders().refuses_facts && stream.category() != "saga" {
            return Err(AppendError::Refused("ordered".into()));
        }
        let strike = self.strike(&events);
        if let Some((Moment::Before, harm)) = strike {
            self.harm(harm).await?;
        }
        let appended = self.inner.append(stream, expected, events.clone()).await;
        self.show(Moment::After, &events);
        if let Some((Moment::After, harm)) = strike {
            self.harm(harm).await?;
        }
        appended
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        let fails = {
            let mut orders = self.orders();
            let fails = orders.reads_to_fail == Some(0);
            orders.reads_to_fail = orders.reads_to_fail.and_then(|left| left.checked_sub(1));
            orders.struck |= fails;
            fails
        };
        if fails {
            return Err(ReadError("ordered".into()));
        }
        let meanwhile = self.take_meanwhile(stream);
        if let Some(event) = meanwhile {
            let last = self.inner.read_stream(stream, 0).await?.last().map(|it| it.version);
            let expected = last.map_or(Expected::NoStream, Expected::Exact);
            self.inner.append(stream, expected, vec![event]).await.expect("it is next");
        }
        let events = self.opened.read_stream(stream, from).await?;
        self.count(events.len());
        Ok(events)
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let (events, looked_at) = self.inner.read_all(after, filter, limit).await?;
        self.count(events.len());
        Ok((events, looked_at))
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        let reads = Arc::clone(&self.reads);
        let count = move |event: &SubscriptionEvent| {
            if matches!(event, SubscriptionEvent::Event(_)) {
                reads.lock().unwrap().events += 1;
            }
        };
        self.inner.subscribe_all(after, filter).inspect(count).boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}
