//! The log's end as this process knows it: it only moves on, and ends with the store.

use ocim_domain::event::Position;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// Who tells the head, to whoever listens.
#[derive(Debug)]
pub(super) struct Heads {
    sender: Mutex<Option<watch::Sender<Position>>>,
    receiver: watch::Receiver<Position>,
}

impl Heads {
    /// Begins with the head that was found.
    pub(super) fn new(head: Position) -> Self {
        let (sender, receiver) = watch::channel(head);
        Self { sender: Mutex::new(Some(sender)), receiver }
    }

    /// Tells a head, if it is later than the one told before.
    pub(super) fn raise(&self, head: Position) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*sender {
            sender.send_if_modified(|last| {
                let is_later = head > *last;
                *last = head.max(*last);
                is_later
            });
        }
    }

    /// The last head that was told.
    pub(super) fn last(&self) -> Position {
        *self.receiver.borrow()
    }

    /// Hears of later ones.
    pub(super) fn watch(&self) -> watch::Receiver<Position> {
        self.receiver.clone()
    }

    /// Lets those who listen know that there will be none any more.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether [`Heads::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}
