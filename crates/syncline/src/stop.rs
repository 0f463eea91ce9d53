//! How the parts of the process are told to stop.

use tokio::sync::watch;

/// What a loop is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    #[default]
    Run,
    /// End after the sync that is under way.
    Finish,
    /// Interrupt what is under way, and end; a signal with this name came.
    Shutdown(&'static str),
}

/// Hears orders. Clones hear the same ones.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Order>);

impl Stop {
    /// Somebody to give orders, and somebody to hear them.
    pub fn channel() -> (watch::Sender<Order>, Stop) {
        let (orders, receiver) = watch::channel(Order::Run);
        (orders, Stop(receiver))
    }

    /// Wait for an order to end, of either kind.
    pub async fn ordered(&mut self) -> Order {
        self.wait_for(|order| (order != Order::Run).then_some(order)).await
    }

    /// Wait for the order to interrupt what is under way, and return the name of the signal.
    pub async fn shutdown(&mut self) -> &'static str {
        self.wait_for(|order| match order {
            Order::Shutdown(signal) => Some(signal),
            _ => None,
        })
        .await
    }

    async fn wait_for<T>(&mut self, wanted: impl Fn(Order) -> Option<T>) -> T {
        let found =
            self.0.wait_for(|order| wanted(*order).is_some()).await.ok().and_then(|order| wanted(*order));
        match found {
            Some(found) => found,
            // Nobody can give orders any more.
            None => std::future::pending().await,
        }
    }
}
